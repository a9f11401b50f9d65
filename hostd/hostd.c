/* SPDX-License-Identifier: MIT */

/* fluid-hostd: wiring. The only file that knows everything. */

#include "api/api.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/config.h"
#include "core/manager.h"
#include "core/network.h"
#include "core/profile.h"

#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define DRAIN_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define READY_POLL_USEC    (20 * USEC_PER_MSEC)
#define READY_POLLS_MAX    250

#define HEAP_THRESHOLD_BYTES (128 << 10)

typedef struct Daemon {
        sd_event *event;
        Manager *manager;
        Api *api;
        const char *config_path;
        unsigned polls;
} Daemon;

static const char usage[] =
        "Usage: fluid-hostd [OPTION…]\n"
        "\n"
        "The per-host daemon of fluid: disposable virtual machines for agents.\n"
        "It is started by its unit: systemctl start fluid-hostd\n"
        "\n"
        "  -c, --config FILE    read FILE instead of " CONFIG_PATH "\n"
        "      --check-config   check it, and the network profiles that it names, and exit\n"
        "      --print-config[=NAME]\n"
        "                       print a fluid.conf, or networks.conf, with every key\n"
        "      --print-manual[=NAME]\n"
        "                       print the manual page of fluid.conf, or networks.conf\n"
        "  -h, --help           show this\n"
        "      --version        show the version\n";

/* What can be printed of each file; the first where none is named. */
static const struct {
        const char *name;
        void (*example)(FILE *to);
        void (*manual)(FILE *to);
} files[] = {{"fluid.conf", config_print_example, config_print_manual},
             {"networks.conf", profiles_print_example, profiles_print_manual}};

static int print_file(const char *name, bool is_manual)
{
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                if (!name || strcmp(files[i].name, name) == 0) {
                        (is_manual ? files[i].manual : files[i].example)(stdout);
                        return EXIT_SUCCESS;
                }
        (void) fprintf(stderr, "fluid-hostd: there is no '%s'; use fluid.conf or networks.conf\n",
                       name);
        return 2;
}

static void set_log_level(const char *name)
{
        static const struct {
                const char *name;
                int priority;
        } levels[] = {{"error", LOG_ERR},
                      {"warning", LOG_WARNING},
                      {"info", LOG_INFO},
                      {"debug", LOG_DEBUG}};

        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
                if (strcmp(levels[i].name, name) == 0)
                        log_set_max_priority(levels[i].priority);
}

/* One heap for all threads, which gives back what a burst has taken; without the thresholds being
 * set, glibc raises them with the size of what is freed. */
static void keep_heap_small(void)
{
        (void) mallopt(M_ARENA_MAX, 1);
        (void) mallopt(M_MMAP_THRESHOLD, HEAP_THRESHOLD_BYTES);
        (void) mallopt(M_TRIM_THRESHOLD, HEAP_THRESHOLD_BYTES);
}

/* A missing file means the defaults, unless it was named. */
static int load_config(const char *path, bool is_named, Config **ret, Fault *f)
{
        Fault why = {0};
        int r = config_load(path, ret, &why);

        if (r < 0 && why.code == FAULT_NOT_FOUND && !is_named) {
                *ret = config_new();
                return 0;
        }
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}

static int check(const Config *config)
{
        g_autoptr(Profiles) profiles = NULL;
        Fault f = {0};

        if (profiles_load(config->networks_file, &profiles, &f) == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "fluid-hostd: %s\n", f.message);
        return EXIT_FAILURE;
}

static void on_drained(void *userdata)
{
        Daemon *d = userdata;

        (void) sd_event_exit(d->event, EXIT_SUCCESS);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata)
{
        Daemon *d = userdata;

        (void) source;
        log_info("asked to stop by signal %u: ending what is under way", info->ssi_signo);
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Ending what is under way");
        manager_drain(d->manager, DRAIN_TIMEOUT_USEC, on_drained, d);
        return 0;
}

/* A broken file keeps the old configuration. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        Daemon *d = userdata;
        g_autoptr(Config) config = NULL;
        Fault f = {0};

        (void) source;
        (void) info;
        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" G_GUINT64_FORMAT,
                          now_monotonic_usec());
        if (load_config(d->config_path, false, &config, &f) < 0) {
                log_error("the old configuration is kept: %s", f.message);
        } else {
                set_log_level(config->log_level);
                manager_reload(d->manager, g_steal_pointer(&config));
        }
        (void) sd_notify(false, "READY=1");
        return 0;
}

static void on_bus_lost(void *userdata)
{
        Daemon *d = userdata;

        log_error("the connection to the system bus was lost; exiting to be started again");
        (void) sd_event_exit(d->event, EXIT_FAILURE);
}

static int add_signals(Daemon *d, Fault *f)
{
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } signals[] = {{SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGHUP, on_reload}};
        sigset_t set;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                (void) sigaddset(&set, signals[i].number);
        /* Before any thread is started, so that all inherit it. */
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return fault_set(f, FAULT_INTERNAL, "cannot block signals");
        (void) signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                int r = sd_event_add_signal(d->event, NULL, signals[i].number, signals[i].handler,
                                            d);
                if (r < 0)
                        return fault_set_errno(f, FAULT_INTERNAL, r, "cannot watch signals");
        }
        return 0;
}

/* Whoever starts the unit and then makes a sandbox should find libvirtd; but if that does not come,
 * the daemon is of use without. */
static int on_poll_ready(sd_event_source *source, uint64_t usec, void *userdata)
{
        Daemon *d = userdata;

        bool is_there = strcmp(manager_state(d->manager), "running") == 0 &&
                        !manager_is_starting(d->manager);

        if (!is_there && ++d->polls < READY_POLLS_MAX) {
                (void) sd_event_source_set_time(source, usec + READY_POLL_USEC);
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }
        (void) sd_notify(false, "READY=1\nSTATUS=Running");
        log_info("fluid-hostd %s is ready", FLUID_VERSION);
        return 0;
}

static int start(Daemon *d, Config *config, Fault *f)
{
        int r = sd_event_default(&d->event);

        if (r < 0) {
                (void) config_free(config);
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot make an event loop");
        }
        r = add_signals(d, f);
        if (r < 0)
                (void) config_free(config);
        else
                r = manager_new(d->event, config, &d->manager, f);
        if (r == 0)
                r = api_new(d->event, d->manager, NULL, FLUID_VERSION, on_bus_lost, d, &d->api, f);
        if (r == 0)
                r = api_claim_name(d->api, f);
        if (r < 0)
                return r;
        (void) sd_event_set_watchdog(d->event, true);
        r = sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                       on_poll_ready, d);
        return r < 0 ? fault_set_errno(f, FAULT_INTERNAL, r, "cannot set a timer") : 0;
}

static int serve(const char *config_path, Config *config)
{
        Daemon d = {.config_path = config_path};
        Fault f = {0};
        int r;

        keep_heap_small();
        r = start(&d, config, &f);

        if (r < 0) {
                log_error("fluid-hostd cannot start: %s", f.message);
                (void) sd_notifyf(false, "STATUS=%s", f.message);
        } else {
                r = sd_event_loop(d.event);
        }
        d.api = api_free(d.api);
        d.manager = manager_free(d.manager);
        d.event = sd_event_unref(d.event);
        return r < 0 ? EXIT_FAILURE : r;
}

int main(int argc, char **argv)
{
        enum { OPTION_CHECK = 256, OPTION_PRINT, OPTION_MANUAL, OPTION_VERSION };
        static const struct option options[] = {
                {"config", required_argument, NULL, 'c'},
                {"check-config", no_argument, NULL, OPTION_CHECK},
                {"print-config", optional_argument, NULL, OPTION_PRINT},
                {"print-manual", optional_argument, NULL, OPTION_MANUAL},
                {"version", no_argument, NULL, OPTION_VERSION},
                {"help", no_argument, NULL, 'h'},
                {0}};
        const char *path = NULL;
        bool only_check = false;
        g_autoptr(Config) config = NULL;
        Fault f = {0};

        for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0;) {
                switch (c) {
                case 'c':
                        path = optarg;
                        break;
                case OPTION_CHECK:
                        only_check = true;
                        break;
                case OPTION_PRINT:
                        return print_file(optarg, false);
                case OPTION_MANUAL:
                        return print_file(optarg, true);
                case OPTION_VERSION:
                        (void) puts("fluid-hostd " FLUID_VERSION);
                        return EXIT_SUCCESS;
                case 'h':
                        (void) fputs(usage, stdout);
                        return EXIT_SUCCESS;
                default:
                        (void) fputs("Try 'fluid-hostd --help'.\n", stderr);
                        return 2;
                }
        }
        if (optind < argc) {
                (void) fprintf(stderr, "fluid-hostd: unexpected argument '%s'\n", argv[optind]);
                return 2;
        }
        if (load_config(path ? path : CONFIG_PATH, path, &config, &f) < 0) {
                (void) fprintf(stderr, "fluid-hostd: %s\n", f.message);
                return EXIT_FAILURE;
        }
        if (only_check)
                return check(config);
        set_log_level(config->log_level);
        return serve(path ? path : CONFIG_PATH, g_steal_pointer(&config));
}

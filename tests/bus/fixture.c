/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "api/sandbox-list.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/quantity.h"
#include "tests/socket-unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_USEC (60 * USEC_PER_SEC)

Fixture fixture;
char bus_error[128], bus_error_message[1024];

static pid_t diff_unit;
static GPtrArray *connections, *replies_kept, *strings_kept;

static void need(int r, const char *what)
{
        if (r >= 0)
                return;
        tap_note("%s: %s", what, g_strerror(-r));
        tap_bail_out("the fixture cannot be made");
}

static void need_fault(int r, const Fault *f)
{
        if (r >= 0)
                return;
        tap_note("%s", f->message);
        tap_bail_out("the fixture cannot be made");
}

static const char *keep_string(char *text)
{
        g_ptr_array_add(strings_kept, text);
        return text;
}

/* -- the bus ---------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *content, mode_t mode)
{
        need(g_file_set_contents(path, content, -1, NULL) ? 0 : -EIO, path);
        need(chmod(path, mode), path);
}

static void start_bus(void)
{
        g_autofree char *config = g_build_filename(fixture.directory, "bus.conf", NULL);
        g_autofree char *option = g_strdup_printf("--config-file=%s", config);
        g_autofree char *text = g_strdup_printf(
                "<busconfig><type>system</type><listen>unix:path=%s/bus</listen>"
                "<auth>EXTERNAL</auth><policy context='default'><allow user='*'/>"
                "<allow own='*'/><allow send_type='method_call'/><allow send_type='signal'/>"
                "<allow send_requested_reply='true' send_type='method_return'/>"
                "<allow send_requested_reply='true' send_type='error'/>"
                "<allow receive_type='method_call'/><allow receive_type='method_return'/>"
                "<allow receive_type='error'/><allow receive_type='signal'/></policy>"
                "<limit name='max_replies_per_connection'>1000</limit>"
                "<include ignore_missing='yes'>%s</include></busconfig>",
                fixture.directory, fixture.policy ? fixture.policy : "none");
        int pipes[2];
        char line[256];

        write_file(config, text, 0644);
        need(pipe2(pipes, 0), "pipe");
        fixture.bus_pid = fork();
        if (fixture.bus_pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) dup2(pipes[1], 3);
                (void) dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
                (void) execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile",
                              "--nosyslog", "--print-address=3", NULL);
                _exit(127);
        }
        (void) close_fd(pipes[1]);
        need(read(pipes[0], line, sizeof line) > 0 ? 0 : -ECHILD, "dbus-daemon");
        (void) close_fd(pipes[0]);
        fixture.address = g_strdup_printf("unix:path=%s/bus", fixture.directory);
        need(setenv("DBUS_SYSTEM_BUS_ADDRESS", fixture.address, 1), "setenv");
}

/* The bus asks the kernel who connects: user, group and further groups. */
static void become(uid_t uid)
{
        const struct passwd *user = getpwuid(uid);
        gid_t gid = user ? user->pw_gid : (gid_t) -1;

        need(user ? seteuid(0) : -ENOENT, "getpwuid");
        need(setegid(gid), "setegid");
        need(setgroups(1, &gid), "setgroups");
        need(seteuid(uid), "seteuid");
}

sd_bus *fixture_connect(uid_t uid)
{
        sd_bus *bus = NULL;

        need(sd_bus_new(&bus), "sd_bus_new");
        need(sd_bus_set_address(bus, fixture.address), "sd_bus_set_address");
        need(sd_bus_set_bus_client(bus, 1), "sd_bus_set_bus_client");
        become(uid);
        need(sd_bus_start(bus), "sd_bus_start");
        while (sd_bus_is_ready(bus) == 0) {
                need(sd_bus_process(bus, NULL), "sd_bus_process");
                need(sd_bus_wait(bus, USEC_PER_SEC), "sd_bus_wait");
        }
        become(0);
        need(sd_bus_attach_event(bus, fixture.event, 0), "sd_bus_attach_event");
        (void) sd_bus_set_exit_on_disconnect(bus, 0);
        g_ptr_array_add(connections, bus);
        return bus;
}

/* -- what the client hears -------------------------------------------------------------------- */

static void read_names(sd_bus_message *m, GString *names)
{
        const char *name;

        need(sd_bus_message_enter_container(m, 'a', "{sv}"), "changed");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                need(sd_bus_message_read(m, "s", &name), "changed");
                need(sd_bus_message_skip(m, "v"), "changed");
                need(sd_bus_message_exit_container(m), "changed");
                g_string_append_printf(names, "%s%s", names->len ? "," : "", name);
        }
}

static int on_signal(sd_bus_message *m, G_GNUC_UNUSED void *userdata,
                     G_GNUC_UNUSED sd_bus_error *error)
{
        const char *member = sd_bus_message_get_member(m);
        const char *path = sd_bus_message_get_path(m), *interface = "";
        g_autoptr(GString) names = g_string_new(NULL);

        if (g_str_equal(member, "PropertiesChanged")) {
                need(sd_bus_message_read(m, "s", &interface), member);
                read_names(m, names);
        } else {
                need(sd_bus_message_read(m, "o", &path), member);
                if (g_str_equal(member, "InterfacesAdded")) {
                        need(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), member);
                        need(sd_bus_message_enter_container(m, 'e', "sa{sv}"), member);
                        need(sd_bus_message_read(m, "s", &interface), member);
                        read_names(m, names);
                } else {
                        need(sd_bus_message_enter_container(m, 'a', "s"), member);
                        need(sd_bus_message_read(m, "s", &interface), member);
                }
        }
        g_ptr_array_add(fixture.signals,
                        g_strdup_printf("%s %s %s %s", member, path, interface, names->str));
        return 0;
}

bool bus_heard(const char *beginning)
{
        for (guint i = 0; i < fixture.signals->len; i++)
                if (g_str_has_prefix(fixture.signals->pdata[i], beginning))
                        return true;
        return false;
}

static void listen_for(const char *interface)
{
        g_autofree char *rule = g_strdup_printf("type='signal',interface='%s'", interface);

        need(sd_bus_add_match(fixture.client, NULL, rule, on_signal, NULL), "sd_bus_add_match");
}

/* -- the daemon's inside ---------------------------------------------------------------------- */

static void on_lost(G_GNUC_UNUSED void *userdata)
{
        fixture.lost++;
}

static bool is_running(G_GNUC_UNUSED void *userdata)
{
        return g_str_equal(manager_state(fixture.manager), "running");
}

static void start_daemon(void)
{
        g_autofree char *path = g_build_filename(fixture.directory, "fluid.conf", NULL);
        Config *config = NULL;
        Fault f = {0};

        need_fault(config_load(path, &config, &f), &f);
        need_fault(manager_new(fixture.event, config, &fixture.manager, &f), &f);
        need_fault(api_new(fixture.event, fixture.manager, NULL, "1.2.3", on_lost, NULL,
                           &fixture.api, &f),
                   &f);
        need_fault(api_claim_name(fixture.api, &f), &f);
        if (!fixture_until(is_running, NULL))
                tap_bail_out("the fake host is not reached");
}

static void stop_daemon(void)
{
        fixture.api = api_free(fixture.api);
        fixture.manager = manager_free(fixture.manager);
}

void fixture_restart(void)
{
        stop_daemon();
        start_daemon();
}

static void write_config(const char *settings)
{
        g_autofree char *path = g_build_filename(fixture.directory, "fluid.conf", NULL);
        g_autofree char *networks = g_build_filename(fixture.directory, "networks.conf", NULL);
        g_autofree char *text = g_strdup_printf(
                "state_directory = %s/s\nruntime_directory = %s/r\nqemu_user = root\n"
                "qemu_group = root\nnetworks_file = %s\nboot_timeout = 3s\n"
                "stop_timeout = 1s\nworker_threads = 2\n%s\n",
                fixture.directory, fixture.directory, networks, settings ? settings : "");

        write_file(path, text, 0644);
        write_file(networks,
                   "[mirror]\nallow = 192.0.2.0/24:443\n"
                   "[secret]\ninternet = yes\nadmins_only = yes\n",
                   0644);
}

static char *runtime_directory(void)
{
        return g_build_filename(fixture.directory, "r", NULL);
}

/* What fluid-diff would be. */
static void start_units(void)
{
        g_autofree char *runtime = runtime_directory();
        g_autofree char *program = g_build_filename(fixture.directory, "diff", NULL);

        write_file(program,
                   "#!/bin/sh\n"
                   "case \" $* \" in ' --cat '*|' --extract '*) printf '%s ' \"$@\"; exit;; esac\n"
                   "case \" $* \" in *' --playbook '*) echo '{}' >&3; echo '[]' >&4;; esac\n"
                   "echo '{\"changes\":[]}'\n",
                   0755);
        need(g_mkdir(runtime, 0700) < 0 ? -errno : 0, runtime);
        diff_unit = socket_unit_start(runtime, "fluid-diff", program);
}

static void stop_units(void)
{
        g_autofree char *runtime = runtime_directory();

        socket_unit_stop(diff_unit, runtime, "fluid-diff");
}

static void close_connection(gpointer bus)
{
        (void) sd_bus_flush_close_unref(bus);
}

static void unref_message(gpointer m)
{
        (void) sd_bus_message_unref(m);
}

void fixture_start(const char *settings)
{
        char template[] = "/tmp/fluid-bus-XXXXXX";

        if (geteuid() != 0) {
                tap_skip("all of it", "has to run as root: the daemon changes owners");
                exit(tap_done());
        }
        log_set_max_priority(g_getenv("FLUID_TEST_LOG") ? LOG_DEBUG : LOG_CRIT);
        connections = g_ptr_array_new_with_free_func(close_connection);
        replies_kept = g_ptr_array_new_with_free_func(unref_message);
        strings_kept = g_ptr_array_new_with_free_func(g_free);
        fixture.signals = g_ptr_array_new_with_free_func(g_free);
        fixture.directory = g_strdup(mkdtemp(template));
        need(fixture.directory ? chmod(fixture.directory, 0755) : -errno, "mkdtemp");
        need(sd_event_new(&fixture.event), "sd_event_new");
        fake_host_reset();
        start_bus();
        write_config(settings);
        start_units();
        start_daemon();
        fixture.client = fixture_connect(0);
        listen_for("org.freedesktop.DBus.ObjectManager");
        listen_for("org.freedesktop.DBus.Properties");
}

void fixture_stop(void)
{
        g_ptr_array_unref(replies_kept);
        stop_daemon();
        g_ptr_array_unref(connections);
        (void) sd_event_unref(fixture.event);
        fake_host_reset();
        stop_units();
        (void) kill(fixture.bus_pid, SIGTERM);
        (void) waitpid(fixture.bus_pid, NULL, 0);
        (void) remove_tree(fixture.directory, NULL);
        g_free(fixture.directory);
        g_free(fixture.address);
        g_ptr_array_unref(fixture.signals);
        g_ptr_array_unref(strings_kept);
}

static void check_listed(void *object, G_GNUC_UNUSED void *userdata)
{
        g_autoptr(GBytes) kept = NULL, now = NULL;

        need(sandbox_list_get(fixture.api, object, &kept), "what is kept of a sandbox");
        need(sandbox_list_encode(fixture.api, object, &now), "a sandbox");
        if (!g_bytes_equal(kept, now))
                tap_bail_out("what is kept of a sandbox for the list is not of now");
}

static void run_loop(void)
{
        const Caller root = {.uid = 0};

        need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        if (fixture.api)
                manager_foreach(fixture.manager, &root, OBJECT_SANDBOX, check_listed, NULL);
}

bool fixture_until(bool (*condition)(void *userdata), void *userdata)
{
        uint64_t end = now_monotonic_usec() + PATIENCE_USEC;

        while (!condition(userdata)) {
                if (now_monotonic_usec() > end)
                        return false;
                run_loop();
        }
        return true;
}

/* -- calls ------------------------------------------------------------------------------------ */

static int on_reply(sd_bus_message *m, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        sd_bus_message **reply = userdata;

        *reply = sd_bus_message_ref(m);
        return 0;
}

static bool is_set(void *userdata)
{
        return *(void **) userdata != NULL;
}

sd_bus_message *bus_call_begin(sd_bus *bus, const char *path, const char *interface,
                               const char *member)
{
        sd_bus_message *m = NULL;

        need(sd_bus_message_new_method_call(bus, &m, BUS_NAME, path, interface, member), member);
        return m;
}

sd_bus_message *bus_call_end(sd_bus *bus, sd_bus_message *m)
{
        sd_bus_message *reply = NULL;
        const sd_bus_error *error;

        need(sd_bus_call_async(bus, NULL, m, on_reply, &reply, PATIENCE_USEC), "call");
        (void) sd_bus_message_unref(m);
        if (!fixture_until(is_set, &reply))
                tap_bail_out("a call was not answered");
        g_ptr_array_add(replies_kept, reply);
        error = sd_bus_message_get_error(reply);
        (void) g_strlcpy(bus_error, error ? error->name : "", sizeof bus_error);
        (void) g_strlcpy(bus_error_message, error ? error->message : "", sizeof bus_error_message);
        if (error && g_str_has_prefix(error->name, BUS_ERROR_PREFIX))
                (void) g_strlcpy(bus_error, error->name + strlen(BUS_ERROR_PREFIX),
                                 sizeof bus_error);
        return error ? NULL : reply;
}

sd_bus_message *bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
                         const char *types, ...)
{
        sd_bus_message *m = bus_call_begin(bus, path, interface, member);
        va_list ap;

        va_start(ap, types);
        need(sd_bus_message_appendv(m, types, ap), member);
        va_end(ap);
        return bus_call_end(bus, m);
}

static int on_counted(G_GNUC_UNUSED sd_bus_message *m, void *userdata,
                      G_GNUC_UNUSED sd_bus_error *error)
{
        ++*(unsigned *) userdata;
        return 0;
}

void bus_call_later(sd_bus *bus, unsigned *replies, const char *path, const char *interface,
                    const char *member, const char *types, ...)
{
        sd_bus_message *m = bus_call_begin(bus, path, interface, member);
        va_list ap;

        va_start(ap, types);
        need(sd_bus_message_appendv(m, types, ap), member);
        va_end(ap);
        need(sd_bus_call_async(bus, NULL, m, on_counted, replies, PATIENCE_USEC), member);
        (void) sd_bus_message_unref(m);
}

static char *read_basic(sd_bus_message *m, char type)
{
        union {
                const char *s;
                uint32_t u;
                int32_t i;
                uint64_t t;
        } value = {0};

        need(sd_bus_message_read_basic(m, type, &value), "property");
        switch (type) {
        case 's':
        case 'o':
                return g_strdup(value.s);
        case 'u':
                return g_strdup_printf("%" PRIu32, value.u);
        case 'i':
        case 'b':
                return g_strdup_printf("%" PRIi32, value.i);
        case 't':
                return g_strdup_printf("%" PRIu64, value.t);
        default:
                return g_strdup("");
        }
}

const char *bus_property(sd_bus *bus, const char *path, const char *interface, const char *name)
{
        sd_bus_message *reply = bus_call(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss",
                                         interface, name);
        const char *contents;
        char type;

        if (!reply)
                return "";
        need(sd_bus_message_peek_type(reply, &type, &contents), name);
        need(sd_bus_message_enter_container(reply, 'v', contents), name);
        if (strlen(contents) == 1)
                return keep_string(read_basic(reply, contents[0]));
        return contents;
}

const char *id_of_path(const char *path)
{
        return strrchr(path, '/') + 1;
}

unsigned audit_count(const char *kind, const char *phase, const char *error)
{
        sd_bus_message *reply = bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "Audit",
                                         "a{sv}", 1, "kind", "s", kind);
        g_autofree char *text = NULL, *path = NULL;
        g_auto(GStrv) lines = NULL;
        unsigned n = 0;
        int fd = -1;
        Fault f = {0};

        need(reply ? sd_bus_message_read(reply, "h", &fd) : -EIO, bus_error);
        path = g_strdup_printf("/proc/self/fd/%d", fd);
        need_fault(file_read(path, 16 << 20, &text, NULL, &f), &f);
        lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; lines[i] && *lines[i]; i++) {
                g_autoptr(Json) row = NULL;
                const char *row_phase, *row_error;

                need_fault(json_parse(lines[i], strlen(lines[i]), 8, &row, &f), &f);
                n += json_find_string(row, "phase", &row_phase) &&
                     json_find_string(row, "error", &row_error) && g_str_equal(row_phase, phase) &&
                     g_str_equal(row_error, error);
        }
        return n;
}

/* -- objects ---------------------------------------------------------------------------------- */

int fixture_file(const char *content)
{
        int fd = memfd_create("test", MFD_CLOEXEC);

        need(fd, "memfd_create");
        need(write_all(fd, content, strlen(content)), "write");
        need(lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
        return fd;
}

static const char *reply_path(sd_bus_message *reply, const char *what)
{
        const char *path;

        if (!reply) {
                tap_note("%s: %s: %s", what, bus_error, bus_error_message);
                tap_bail_out("the fixture's objects cannot be made");
        }
        need(sd_bus_message_read(reply, "o", &path), what);
        return path;
}

const char *fixture_template(const char *name)
{
        autofd fd = fixture_file("a disk of nothing");
        const char *path =
                reply_path(bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate",
                                    "sa{sv}", name, 1, "image", "h", fd),
                           "ImportTemplate");

        if (!bus_call(fixture.client, path, INTERFACE_TEMPLATE, "Wait", "t", PATIENCE_USEC))
                tap_bail_out(bus_error_message);
        return path;
}

const char *fixture_sandbox(sd_bus *bus, const char *name)
{
        const char *path = reply_path(bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox",
                                               "sa{sv}", "base", 1, "name", "s", name),
                                      "CreateSandbox");

        if (!bus_call(bus, path, INTERFACE_SANDBOX, "Wait", "st", "ready", PATIENCE_USEC))
                tap_bail_out(bus_error_message);
        return path;
}

/* SPDX-License-Identifier: MIT */

/* What a caller waits for a list while many ask at once, beside guests whose agents do not answer.
 *
 * 20 copies of the warm template "mini" have their agents stopped, each with a command that waits
 * for its own. 200 clients, each on a connection of its own, then ask for the list of sandboxes, 50
 * times, the next as soon as the last is there: load_list_ms, load_list_p99_ms, and
 * load_list_alone_ms of one client before. load_refused: of one caller's commands for a silent
 * guest those that are refused at once, beyond what a user may have under way. load_fds_grown: file
 * descriptors of the daemon's when all is gone, less those of the beginning. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

#define SILENT       20
#define CLIENTS      200
#define LISTS        50
#define FLOODS       4   /* connections: the bus itself lets each wait for 128 answers */
#define FLOOD        100 /* commands of each */
#define SILENCE_USEC (2 * USEC_PER_SEC) /* until the agents have stopped */
#define REST_USEC    (1 * USEC_PER_SEC)

typedef struct Client {
        sd_event *event;
        sd_bus *bus;
        Samples *samples;
        unsigned left, *running;
        uint64_t since_usec;
} Client;

/* -- lists ---------------------------------------------------------------------------------- */

static void ask(Client *c);

static int on_list(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        Client *c = userdata;

        (void) error;
        if (sd_bus_message_is_method_error(reply, NULL))
                errx(1, "ListSandboxes: %s", sd_bus_message_get_error(reply)->message);
        samples_add_since(c->samples, c->since_usec);
        if (--c->left > 0)
                ask(c);
        else if (--*c->running == 0)
                (void) sd_event_exit(c->event, 0);
        return 0;
}

static void ask(Client *c)
{
        c->since_usec = now_monotonic_usec();
        if (sd_bus_call_method_async(c->bus, NULL, BUS_NAME, PATH_ROOT, INTERFACE_MANAGER,
                                     "ListSandboxes", on_list, c, "a{sv}", 0) < 0)
                errx(1, "ListSandboxes cannot be called");
}

static void list_at_once(unsigned n, Samples *samples)
{
        g_autofree Client *clients = g_new0(Client, n);
        sd_event *event = NULL;
        unsigned running = n;

        if (sd_event_new(&event) < 0)
                errx(1, "no event loop");
        for (unsigned i = 0; i < n; i++) {
                clients[i] = (Client){.event = event,
                                      .bus = bus_open(),
                                      .samples = samples,
                                      .left = LISTS,
                                      .running = &running};
                const char *name; /* which it has when it is connected */
                if (sd_bus_get_unique_name(clients[i].bus, &name) < 0)
                        errx(1, "a client is not connected");
                if (sd_bus_attach_event(clients[i].bus, event, 0) < 0)
                        errx(1, "no event loop for a connection");
        }
        for (unsigned i = 0; i < n; i++)
                ask(&clients[i]);
        if (sd_event_loop(event) < 0)
                errx(1, "the event loop failed");
        for (unsigned i = 0; i < n; i++) {
                (void) sd_bus_detach_event(clients[i].bus);
                sd_bus_flush_close_unref(clients[i].bus);
        }
        sd_event_unref(event);
}

/* -- silent guests -------------------------------------------------------------------------- */

/* A moment later, so that this script's own end is still told. */
static void silence(sd_bus *bus, const char *sandbox)
{
        bus_run_script(bus, sandbox,
                       "(sleep 1; kill -STOP $(pidof qemu-ga)) </dev/null >/dev/null 2>&1 &");
}

/* Neither is waited for: its connection's end is the call's. */
static void run_unanswered(sd_bus *bus, const char *sandbox, sd_bus_message_handler_t on_reply,
                           void *userdata)
{
        sd_bus_message *call = NULL;
        int r = sd_bus_message_new_method_call(bus, &call, BUS_NAME, sandbox, INTERFACE_SANDBOX,
                                               "Run");

        if (r >= 0)
                r = sd_bus_message_append(call, "asa{sv}", 1, "/bin/true", 0);
        if (r >= 0)
                r = sd_bus_call_async(bus, NULL, call, on_reply, userdata, 0);
        if (r < 0)
                errx(1, "Run cannot be called");
        sd_bus_message_unref(call);
}

static int on_refused(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        unsigned *refused = userdata;

        (void) error;
        *refused += sd_bus_message_is_method_error(reply, BUS_ERROR_PREFIX "LimitsExceeded") > 0;
        return 0;
}

/* How many of them are refused within a second of the last call. */
static unsigned flood(const char *sandbox)
{
        sd_bus *buses[FLOODS];
        unsigned refused = 0;
        bool is_busy;

        for (unsigned i = 0; i < FLOODS; i++) {
                buses[i] = bus_open();
                for (unsigned k = 0; k < FLOOD; k++)
                        run_unanswered(buses[i], sandbox, on_refused, &refused);
                (void) sd_bus_flush(buses[i]);
        }
        g_usleep(REST_USEC);
        do {
                is_busy = false;
                for (unsigned i = 0; i < FLOODS; i++)
                        is_busy |= sd_bus_process(buses[i], NULL) > 0;
        } while (is_busy);
        for (unsigned i = 0; i < FLOODS; i++)
                sd_bus_flush_close_unref(buses[i]);
        return refused;
}

/* -- the daemon ----------------------------------------------------------------------------- */

static unsigned count_descriptors(sd_bus *bus)
{
        sd_bus_creds *creds = NULL;
        pid_t pid;
        unsigned n = 0;

        if (sd_bus_get_name_creds(bus, BUS_NAME, SD_BUS_CREDS_PID, &creds) < 0 ||
            sd_bus_creds_get_pid(creds, &pid) < 0)
                errx(1, "the daemon's process is not known");
        sd_bus_creds_unref(creds);
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int) pid);
        GDir *dir = g_dir_open(path, 0, NULL);
        while (dir && g_dir_read_name(dir))
                n++;
        if (dir)
                g_dir_close(dir);
        return n;
}

static void print_one(const char *name, double value)
{
        Samples s = {0};

        samples_add(&s, value);
        samples_print(&s, name);
}

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        unsigned before = count_descriptors(bus);
        g_autofree char *template = bus_warm_template(bus, "mini");
        Samples alone = {0}, listed = {0};
        char *sandboxes[SILENT];
        sd_bus *waiting[SILENT];

        for (unsigned i = 0; i < SILENT; i++) {
                g_autofree char *name = g_strdup_printf("bench-load-%u", i);
                sandboxes[i] = bus_create_sandbox(bus, name);
                bus_wait_until_ready(bus, sandboxes[i]);
                silence(bus, sandboxes[i]);
        }
        g_usleep(SILENCE_USEC);
        for (unsigned i = 0; i < SILENT; i++) {
                waiting[i] = bus_open();
                run_unanswered(waiting[i], sandboxes[i], NULL, NULL);
                (void) sd_bus_flush(waiting[i]);
        }
        list_at_once(1, &alone);
        list_at_once(CLIENTS, &listed);
        unsigned refused = flood(sandboxes[0]);
        for (unsigned i = 0; i < SILENT; i++) {
                sd_bus_flush_close_unref(waiting[i]);
                bus_destroy_sandbox(bus, sandboxes[i]);
                g_free(sandboxes[i]);
        }
        bus_cool_template(bus, template);
        g_usleep(REST_USEC);
        unsigned after = count_descriptors(bus);
        samples_print(&alone, "load_list_alone_ms");
        samples_print(&listed, "load_list_ms");
        print_one("load_list_p99_ms", samples_quantile(&listed, 0.99));
        print_one("load_refused", refused);
        print_one("load_fds_grown", (double) after - before);
        return 0;
}

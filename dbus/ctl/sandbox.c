/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/sandbox.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#include <errno.h>
#include <string.h>

/* One Wait on the bus; and how much later than the daemon's deadline ours is. */
#define SLICE_USEC (600 * USEC_PER_SEC)
#define GRACE_USEC (10 * USEC_PER_SEC)

static int find_path(Ctl *ctl, const char *method, const char *name, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        const char *path;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, PATH_ROOT, INTERFACE_MANAGER, method, &reply, f,
                            "s", name);
        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        if (r < 0)
                return r;
        *ret_path = g_strdup(path);
        return 0;
}

int sandbox_find(Ctl *ctl, const char *name, char **ret_path, Fault *f)
{
        return find_path(ctl, "GetSandbox", name, ret_path, f);
}

int template_find(Ctl *ctl, const char *name, char **ret_path, Fault *f)
{
        return find_path(ctl, "GetTemplate", name, ret_path, f);
}

int snapshot_find(Ctl *ctl, const char *sandbox, const char *name, char **ret_path, Fault *f)
{
        g_autoptr(Json) snapshots = NULL;

        int r = bus_objects(ctl, INTERFACE_SNAPSHOT, sandbox, "created_usec", &snapshots, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(snapshots); i++) {
                Json *snapshot = json_object_array_get_idx(snapshots, i);
                if (!g_str_equal(json_text(snapshot, "name"), name))
                        continue;
                *ret_path = g_strdup(json_text(snapshot, "object"));
                return 0;
        }
        return fault_set(f, FAULT_NOT_FOUND, "there is no snapshot '%s': see 'snapshots'", name);
}

/* One long call: after a failed import there is nothing left to ask for the reason. */
int template_wait(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec, Fault *f)
{
        uint64_t limit = timeout_usec < USEC_INFINITY - GRACE_USEC ? timeout_usec + GRACE_USEC
                                                                   : USEC_INFINITY;

        progress_begin(ctl, "importing '%s'", name);
        int r = bus_request(ctl, limit, path, INTERFACE_TEMPLATE, "Wait", NULL, f, "t",
                            timeout_usec);
        progress_end(ctl);
        if (f->code == FAULT_CANCELLED)
                fprintf(stderr, "fluidctl: the import of '%s' goes on\n", name);
        return r;
}

int template_print(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) properties = NULL;

        int r = bus_properties(ctl, path, INTERFACE_TEMPLATE, &properties, f);
        if (r < 0)
                return r;
        const char *state = json_text(properties, "state");
        g_autofree char *size = size_format(json_number(properties, "size_bytes"));
        g_autofree char *line = g_strdup_printf(
                "template '%s' is %s%s%s", json_text(properties, "name"), state,
                g_str_equal(state, "ready") ? ": " : "", g_str_equal(state, "ready") ? size : "");
        print_result(ctl, TAKE_PTR(properties), "%s", line);
        return 0;
}

/* -EAGAIN without a Fault where a slice has passed. */
static int wait_slice(Ctl *ctl, const char *path, const char *state, uint64_t slice_usec,
                      char **ret_reached, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        const char *reached;
        Fault reason = {0};

        int r = bus_request(ctl, slice_usec + GRACE_USEC, path, INTERFACE_SANDBOX, "Wait", &reply,
                            &reason, "st", state, slice_usec);
        if (r >= 0)
                r = bus_read(reply, &reason, "s", &reached);
        if (reason.code == FAULT_TIMED_OUT)
                return -EAGAIN;
        if (r < 0)
                return fault_set(f, reason.code, "%s", reason.message);
        *ret_reached = g_strdup(reached);
        return 0;
}

int sandbox_wait(Ctl *ctl, const char *path, const char *name, const char *state,
                 uint64_t timeout_usec, char **ret_reached, Fault *f)
{
        uint64_t begun = now_monotonic_usec(), left = timeout_usec;
        int r;

        progress_begin(ctl, "waiting for '%s'%s%s", name, *state ? " to be " : "", state);
        while ((r = wait_slice(ctl, path, state, MIN(left, SLICE_USEC), ret_reached, f)) ==
               -EAGAIN) {
                uint64_t passed = now_monotonic_usec() - begun;
                if (timeout_usec != USEC_INFINITY && passed >= timeout_usec)
                        break;
                left = timeout_usec == USEC_INFINITY ? timeout_usec : timeout_usec - passed;
        }
        progress_end(ctl);
        if (r != -EAGAIN)
                return r;
        g_autofree char *text = duration_format(timeout_usec);
        return fault_set(f, FAULT_TIMED_OUT, "sandbox '%s' is not %s after %s", name,
                         *state ? state : "settled", text);
}

/* `reached` is none that was awaited. */
static int set_reached(Ctl *ctl, const char *path, const char *name, const char *reached,
                       const char *state, Fault *f)
{
        g_autoptr(Json) properties = NULL;

        (void) bus_properties(ctl, path, INTERFACE_SANDBOX, &properties, NULL);
        const char *reason = json_text(properties, "reason");
        if (g_str_equal(reached, "failed"))
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' failed%s%s", name,
                                 *reason ? ": " : "", reason);
        return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not %s%s%s", name, reached,
                         state, *reason ? ": " : "", reason);
}

int sandbox_wait_for(Ctl *ctl, const char *path, const char *name, const char *state,
                     uint64_t timeout_usec, Fault *f)
{
        g_autofree char *reached = NULL;

        int r = sandbox_wait(ctl, path, name, state, timeout_usec, &reached, f);
        if (r < 0 || g_str_equal(reached, state))
                return r;
        return set_reached(ctl, path, name, reached, state, f);
}

int sandbox_wait_online(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec,
                        uint64_t begun_usec, Fault *f)
{
        g_autofree char *text = duration_format(timeout_usec), *reached = NULL;
        uint64_t left = timeout_usec;
        Fault reason = {0};

        if (left != USEC_INFINITY)
                left -= MIN(left, now_monotonic_usec() - begun_usec);
        int r = sandbox_wait(ctl, path, name, "online", left, &reached, &reason);
        if (reason.code == FAULT_TIMED_OUT)
                return fault_set(f, FAULT_TIMED_OUT,
                                 "the address of sandbox '%s' did not answer within %s", name,
                                 text);
        if (r < 0)
                return fault_set(f, reason.code, "%s", reason.message);
        return g_str_equal(reached, "ready") ? 0
                                             : set_reached(ctl, path, name, reached, "online", f);
}

int sandbox_call(Ctl *ctl, const char *path, const char *method, Fault *f)
{
        return bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SANDBOX, method, NULL, f,
                           NULL);
}

void sandbox_print_ports(Json *sandbox)
{
        Json *ports = NULL;

        (void) json_find_array(sandbox, "published_ports", &ports);
        for (size_t i = 0; ports && i < json_object_array_length(ports); i++)
                print_field("published", "%s",
                            json_object_get_string(json_object_array_get_idx(ports, i)));
}

char *sandbox_format_expiry(Json *sandbox)
{
        uint64_t paused = json_number(sandbox, "paused_usec");
        uint64_t held = json_number(sandbox, "held_usec");
        bool is_both = paused && held;

        return format_expiry(json_number(sandbox, "expires_usec"),
                             is_both ? MIN(paused, held) : MAX(paused, held));
}

int sandbox_print(Ctl *ctl, const char *path, Fault *f)
{
        g_autofree char *name = NULL, *state = NULL;
        g_autoptr(Json) properties = NULL;

        int r = bus_properties(ctl, path, INTERFACE_SANDBOX, &properties, f);
        if (r < 0)
                return r;
        name = g_strdup(json_text(properties, "name"));
        state = g_strdup(json_text(properties, "state"));
        print_result(ctl, TAKE_PTR(properties), "sandbox '%s' is %s", name, state);
        return 0;
}

int sandbox_read_at(Ctl *ctl, const Place *place, const char *method, uint64_t size_max,
                    BusMessage **ret_reply, int *ret_fd, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        g_autofree char *path = NULL, *shown = place_printable(place);

        int r = sandbox_find(ctl, place->sandbox, &path, f);
        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SANDBOX, method, &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "ss", shown, place->point);
        bus_options_open(m);
        if (strchr(shown, '\\'))
                bus_option_bool(m, "escaped", true);
        bus_option_u64(m, "size_max", size_max);
        bus_options_close(m);
        progress_begin(ctl, "reading %s at '%s'", shown, place->point);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "h", ret_fd);
        if (r < 0)
                return r;
        *ret_reply = TAKE_PTR(reply);
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/sandbox.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#include <errno.h>

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

int sandbox_wait_for(Ctl *ctl, const char *path, const char *name, const char *state,
                     uint64_t timeout_usec, Fault *f)
{
        g_autofree char *reached = NULL;
        g_autoptr(Json) properties = NULL;

        int r = sandbox_wait(ctl, path, name, state, timeout_usec, &reached, f);
        if (r < 0 || g_str_equal(reached, state))
                return r;
        (void) bus_properties(ctl, path, INTERFACE_SANDBOX, &properties, NULL);
        const char *reason = json_text(properties, "reason");
        if (g_str_equal(reached, "failed"))
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' failed%s%s", name,
                                 *reason ? ": " : "", reason);
        return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s, not %s%s%s", name, reached,
                         state, *reason ? ": " : "", reason);
}

int sandbox_call(Ctl *ctl, const char *path, const char *method, Fault *f)
{
        return bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SANDBOX, method, NULL, f,
                           NULL);
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

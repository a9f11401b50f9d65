/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool no_freeze, delete;
} arg;

static const Option options[] = {
        {.name = "no-freeze",
         .flag = &arg.no_freeze,
         .help = "do not ask the guest to freeze its file systems"},
        {.name = "delete",
         .flag = &arg.delete,
         .help = "delete the snapshot, if nothing stands on it"},
};

static int find(Ctl *ctl, const char *sandbox, const char *name, char **ret_path, Fault *f)
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

static int delete (Ctl *ctl, const char *sandbox, const char *name, Fault *f)
{
        g_autofree char *path = NULL;

        int r = find(ctl, sandbox, name, &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SNAPSHOT, "Delete",
                                NULL, f, "a{sv}", 0);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "deleted", json_object_new_string(name));
        print_result(ctl, result, "snapshot '%s' is deleted", name);
        return 0;
}

static int make(Ctl *ctl, const char *sandbox, const char *name, Json **ret, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        const char *path;

        int r = bus_method(ctl, sandbox, INTERFACE_SANDBOX, "CreateSnapshot", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", name);
        bus_options_open(m);
        if (arg.no_freeze)
                (void) sd_bus_message_append(m, "{sv}", "freeze", "b", 0);
        bus_options_close(m);
        progress_begin(ctl, "making snapshot '%s'", name);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        return r < 0 ? r : bus_properties(ctl, path, INTERFACE_SNAPSHOT, ret, f);
}

static const char *describe(const char *consistency)
{
        if (g_str_equal(consistency, "crash"))
                return "crash-consistent";
        if (g_str_equal(consistency, "off"))
                return "the sandbox was off";
        return consistency;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL, *line = NULL;
        g_autoptr(Json) snapshot = NULL;

        int r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r >= 0 && arg.delete)
                return delete (ctl, sandbox, args[1], f);
        if (r >= 0)
                r = make(ctl, sandbox, args[1], &snapshot, f);
        if (r < 0)
                return r;
        const char *reason = json_text(snapshot, "reason");
        line = g_strdup_printf("snapshot '%s': %s%s%s", args[1],
                               describe(json_text(snapshot, "consistency")), *reason ? ": " : "",
                               reason);
        print_result(ctl, TAKE_PTR(snapshot), "%s", line);
        return 0;
}

const Verb verb_snapshot = {
        .name = "snapshot",
        .summary = "make an immutable point of a sandbox's disk, or delete one",
        .usage = "NAME SNAP",
        .help = "Says whether the guest's file systems were frozen for it, and if not, why.",
        .example = "snapshot web1 installed",
        VERB_OPTIONS(options),
        .args_min = 2,
        .args_max = 2,
        .run = run,
};

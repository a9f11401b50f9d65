/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool no_freeze, memory, delete, cascade;
} arg;

static const Option options[] = {
        {.name = "no-freeze",
         .flag = &arg.no_freeze,
         .help = "do not ask the guest to freeze its file systems"},
        {.name = "memory",
         .flag = &arg.memory,
         .help = "keep what a running one has in memory, too: a restore or a branch runs on from it"},
        {.name = "delete",
         .flag = &arg.delete,
         .help = "delete the snapshot, if nothing stands on it"},
        {.name = "cascade",
         .flag = &arg.cascade,
         .help = "with --delete: and all that stand on it, but not the head's"},
};

static int delete (Ctl *ctl, const char *sandbox, const char *name, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        g_autofree char *path = NULL;

        int r = snapshot_find(ctl, sandbox, name, &path, f);
        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SNAPSHOT, "Delete", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_bool(m, "cascade", arg.cascade);
        bus_options_close(m);
        progress_begin(ctl, "deleting snapshot '%s'", name);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, NULL, f);
        progress_end(ctl);
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
        bus_option_bool(m, "memory", arg.memory);
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

/* "snapshot 'x': crash-consistent: the agent refused", "snapshot 'x': with 120M of memory" */
static char *describe_all(Json *snapshot)
{
        const char *name = json_text(snapshot, "name"), *reason = json_text(snapshot, "reason");
        g_autofree char *memory = size_format(json_number(snapshot, "memory_bytes"));

        if (json_truth(snapshot, "has_memory"))
                return g_strdup_printf("snapshot '%s': with %s of memory", name, memory);
        return g_strdup_printf("snapshot '%s': %s%s%s", name,
                               describe(json_text(snapshot, "consistency")), *reason ? ": " : "",
                               reason);
}

static int check_options(Ctl *ctl, Fault *f)
{
        if (arg.cascade && !arg.delete)
                return usage_error(ctl, f, "--cascade needs --delete");
        if (arg.delete &&(arg.memory || arg.no_freeze))
                return usage_error(ctl, f, "--delete goes with neither --memory nor --no-freeze");
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL, *line = NULL;
        g_autoptr(Json) snapshot = NULL;

        int r = check_options(ctl, f);
        if (r >= 0)
                r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r >= 0 && arg.delete)
                return delete (ctl, sandbox, args[1], f);
        if (r >= 0)
                r = make(ctl, sandbox, args[1], &snapshot, f);
        if (r < 0)
                return r;
        line = describe_all(snapshot);
        print_result(ctl, TAKE_PTR(snapshot), "%s", line);
        return 0;
}

const Verb verb_snapshot = {
        .name = "snapshot",
        .summary = "make an immutable point of a sandbox, or delete one",
        .usage = "NAME SNAP",
        .help = "Of its disk alone, which is what a boot finds after a restore; says whether the guest's "
                "file systems were frozen for it, and if not, why. With --memory the guest stands "
                "still for a moment instead, and all that runs in it is a part of the point.",
        .example = "snapshot web1 installed",
        VERB_OPTIONS(options),
        .args_min = 2,
        .args_max = 2,
        .run = run,
};

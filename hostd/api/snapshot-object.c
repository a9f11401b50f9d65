/* SPDX-License-Identifier: MIT */
#include "core/snapshot.h"

#include "api/call.h"
#include "api/options.h"
#include "core/sandbox.h"
#include "core/template.h"

/* -- properties ------------------------------------------------------------------------------- */

PROPERTY(get_id, Snapshot, s, "s", snapshot_row(s)->id.text)
PROPERTY(get_name, Snapshot, s, "s", snapshot_row(s)->name)
PROPERTY(get_sandbox, Snapshot, s, "o",
         object_path(OBJECT_SANDBOX, snapshot_row(s)->sandbox_id.text).text)
PROPERTY(get_parent, Snapshot, s, "s", snapshot_parent_name(s))
PROPERTY(get_has_memory, Snapshot, s, "b", snapshot_row(s)->memory_abi != NULL)
PROPERTY(get_consistency, Snapshot, s, "s", snapshot_row(s)->consistency)
PROPERTY(get_reason, Snapshot, s, "s", snapshot_row(s)->reason)
PROPERTY(get_size_bytes, Snapshot, s, "t", snapshot_row(s)->size_bytes)
PROPERTY(get_memory_bytes, Snapshot, s, "t", snapshot_row(s)->memory_bytes)
PROPERTY(get_created_usec, Snapshot, s, "t", snapshot_row(s)->created_usec)

/* -- methods ---------------------------------------------------------------------------------- */

static int delete_snapshot(Call *call, void *object, Fault *f)
{
        bool cascade = false;
        const Option options[] = {{"cascade", "b", &cascade}};
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        if (r >= 0)
                r = snapshot_delete(object, &call->caller, cascade, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int promote(Call *call, void *object, Fault *f)
{
        const char *name;
        Template *t;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &name), f);

        if (r >= 0)
                r = snapshot_promote(object, &call->caller, name, &t, f);
        if (r >= 0)
                ends_watch_template(call->api->ends, t);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_TEMPLATE, template_row(t)->id.text).text);
        return r;
}

/* -- the interface ---------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Delete", delete_snapshot, ACTION_USE, "snapshot.delete"},
        {"Promote", promote, ACTION_MANAGE_TEMPLATE, "template.import"},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Promote", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", template),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sandbox", "o", get_sandbox, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Parent", "s", get_parent, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("HasMemory", "b", get_has_memory, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Consistency", "s", get_consistency, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("SizeBytes", "t", get_size_bytes, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_memory_bytes, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_created_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, const Caller *caller, const char *id)
{
        return manager_find_snapshot(m, caller, id);
}

static const char *id_of(const void *object)
{
        return snapshot_row(object)->id.text;
}

/* A point without name is a diff's own affair. */
static bool is_visible(const void *object, const Caller *caller)
{
        return snapshot_row(object)->name && sandbox_is_visible(snapshot_sandbox(object), caller);
}

const Interface snapshot_interface = {
        .kind = OBJECT_SNAPSHOT,
        .name = INTERFACE_SNAPSHOT,
        .path = PATH_SNAPSHOT,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

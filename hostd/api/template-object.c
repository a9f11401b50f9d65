/* SPDX-License-Identifier: MIT */
#include "core/template.h"

#include "api/call.h"
#include "api/options.h"

/* -- properties ------------------------------------------------------------------------------- */

static int append_defaults(sd_bus_message *reply, const Template *t)
{
        const TemplateRow *row = template_row(t);
        const TemplateDiskRow *disk = row->disks->len > 0 ? row->disks->pdata[0] : NULL;

        return sd_bus_message_append(
                reply, "a{sv}", 6, "format", "s", disk ? disk->format : "", "virtual_size_bytes",
                "t", disk ? disk->virtual_size_bytes : UINT64_C(0), "vcpus", "u", row->vcpus,
                "memory_bytes", "t", row->memory_bytes, "boot", "s",
                row->kernel ? "kernel" : "disk", "cmdline", "s", row->cmdline ? row->cmdline : "");
}

PROPERTY(get_id, Template, t, "s", template_row(t)->id.text)
PROPERTY(get_name, Template, t, "s", template_row(t)->name)
PROPERTY(get_state, Template, t, "s", template_row(t)->state)
PROPERTY(get_source, Template, t, "s", template_row(t)->source)
PROPERTY(get_sha256, Template, t, "s", template_row(t)->sha256)
PROPERTY(get_size_bytes, Template, t, "t", template_row(t)->size_bytes)
PROPERTY_BY(get_defaults, append_defaults)
PROPERTY(get_created_usec, Template, t, "t", template_row(t)->created_usec)
PROPERTY(get_warm, Template, t, "b", template_warmth(t).is_warm)
PROPERTY(get_warm_phase, Template, t, "s", template_warmth(t).phase)
PROPERTY(get_warm_reason, Template, t, "s", template_warmth(t).reason)
PROPERTY(get_warm_bytes, Template, t, "t", template_warmth(t).memory_bytes)
PROPERTY(get_pool, Template, t, "u", template_warmth(t).pool)
PROPERTY(get_pool_ready, Template, t, "u", template_warmth(t).pool_ready)

/* -- methods ---------------------------------------------------------------------------------- */

static void on_reached(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "s", "ready");
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int wait_for(Call *call, void *object, Fault *f)
{
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &timeout_usec), f);

        if (r >= 0)
                r = template_wait(object, timeout_usec, on_reached, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int remove_template(Call *call, void *object, Fault *f)
{
        int r = template_remove(object, &call->caller, call_done, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int warm(Call *call, void *object, Fault *f)
{
        uint32_t vcpus = 0;
        uint64_t memory_bytes = 0;
        const Option options[] = {{"vcpus", "u", &vcpus}, {"memory_bytes", "t", &memory_bytes}};
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        if (r >= 0)
                r = template_warm(object, &call->caller, vcpus, memory_bytes, f);
        return r < 0 ? r : call_reply(call, f, "");
}

static int wait_warm(Call *call, void *object, Fault *f)
{
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &timeout_usec), f);

        if (r >= 0)
                r = template_wait_warm(object, timeout_usec, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int cool(Call *call, void *object, Fault *f)
{
        int r = template_cool(object, &call->caller, call_done, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int set_pool(Call *call, void *object, Fault *f)
{
        uint32_t size;
        int r = call_read_fault(sd_bus_message_read(call->message, "u", &size), f);

        if (r >= 0)
                r = template_set_pool(object, &call->caller, size, f);
        return r < 0 ? r : call_reply(call, f, "");
}

/* -- the interface ---------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Wait", wait_for, ACTION_OBSERVE, NULL},
        {"Remove", remove_template, ACTION_MANAGE_TEMPLATE, "template.remove"},
        {"Warm", warm, ACTION_MANAGE_TEMPLATE, "template.warm"},
        {"WaitWarm", wait_warm, ACTION_OBSERVE, NULL},
        {"Cool", cool, ACTION_MANAGE_TEMPLATE, "template.cool"},
        {"SetPool", set_pool, ACTION_MANAGE_TEMPLATE, "template.pool"},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_ARGS("t", timeout_usec), SD_BUS_RESULT("s", state),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Warm", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("WaitWarm", SD_BUS_ARGS("t", timeout_usec), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cool", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetPool", SD_BUS_ARGS("u", size), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Source", "s", get_source, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sha256", "s", get_sha256, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("SizeBytes", "t", get_size_bytes, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Defaults", "a{sv}", get_defaults, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_created_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Warm", "b", get_warm, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("WarmPhase", "s", get_warm_phase, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("WarmReason", "s", get_warm_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("WarmBytes", "t", get_warm_bytes, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Pool", "u", get_pool, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("PoolReady", "u", get_pool_ready, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, G_GNUC_UNUSED const Caller *caller, const char *id)
{
        return manager_find_template(m, id);
}

static const char *id_of(const void *object)
{
        return template_row(object)->id.text;
}

/* Templates are everybody's. */
static bool is_visible(G_GNUC_UNUSED const void *object, G_GNUC_UNUSED const Caller *caller)
{
        return true;
}

const Interface template_interface = {
        .kind = OBJECT_TEMPLATE,
        .name = INTERFACE_TEMPLATE,
        .path = PATH_TEMPLATE,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

/* SPDX-License-Identifier: MIT */
#include "api/playbook-object.h"

#include "api/options.h"

/* -- making one -------------------------------------------------------------------------------- */

static void on_exported(Playbook *p, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "o",
                               object_path(OBJECT_PLAYBOOK, playbook_row(p)->id.text).text);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

int playbook_object_export(Call *call, void *object, Fault *f)
{
        PlaybookSpec spec = {0};
        const Option options[] = {
                {"name", "s", &spec.name},
                {"allow-secrets", "b", &spec.allows_secrets},
                {"allow-setuid", "b", &spec.allows_setuid},
        };
        int r = call_read_fault(sd_bus_message_read(call->message, "ss", &spec.from, &spec.to), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = playbook_export(object, &call->caller, &spec, on_exported, call, f);
        return r < 0 ? r : CALL_PENDING;
}

int playbook_object_import(Call *call, void *object, Fault *f)
{
        PlaybookImportSpec spec = {0};
        const Option options[] = {
                {"name", "s", &spec.name}, {"from", "s", &spec.from}, {"to", "s", &spec.to}};
        int fd, r = call_read_fault(sd_bus_message_read(call->message, "h", &fd), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = playbook_import(object, &call->caller, &spec, fd, on_exported, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- properties -------------------------------------------------------------------------------- */

static int append_residual(sd_bus_message *reply, const Playbook *p)
{
        g_autofree char *text = playbook_residual_text(p);

        return sd_bus_message_append(reply, "s", text);
}

PROPERTY(get_id, Playbook, p, "s", playbook_row(p)->id.text)
PROPERTY(get_name, Playbook, p, "s", playbook_row(p)->name)
PROPERTY(get_origin, Playbook, p, "s", playbook_row(p)->origin)
PROPERTY(get_sandbox, Playbook, p, "o",
         object_path(OBJECT_SANDBOX, playbook_row(p)->sandbox_id.text).text)
PROPERTY(get_sandbox_name, Playbook, p, "s", playbook_row(p)->sandbox_name)
PROPERTY(get_agent, Playbook, p, "s", playbook_row(p)->agent)
PROPERTY(get_from, Playbook, p, "s", playbook_row(p)->from_name)
PROPERTY(get_to, Playbook, p, "s", playbook_row(p)->to_name)
PROPERTY(get_summary, Playbook, p, "s", playbook_row(p)->summary)
PROPERTY(get_sha256, Playbook, p, "s", playbook_row(p)->sha256)
PROPERTY(get_size_bytes, Playbook, p, "t", playbook_row(p)->size_bytes)
PROPERTY(get_allows_secrets, Playbook, p, "b", playbook_row(p)->allows_secrets)
PROPERTY(get_allows_setuid, Playbook, p, "b", playbook_row(p)->allows_setuid)
PROPERTY(get_owner_uid, Playbook, p, "u", playbook_row(p)->owner_uid)
PROPERTY(get_created_usec, Playbook, p, "t", playbook_row(p)->created_usec)
PROPERTY(get_verified, Playbook, p, "s", playbook_row(p)->verified)
PROPERTY(get_verified_reason, Playbook, p, "s", playbook_row(p)->verified_reason)
PROPERTY(get_verified_usec, Playbook, p, "t", playbook_row(p)->verified_usec)
PROPERTY_BY(get_residual, append_residual)

/* -- methods ----------------------------------------------------------------------------------- */

static int open_archive(Call *call, void *object, Fault *f)
{
        int fd = -1, r = playbook_open_archive(object, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int open_diff(Call *call, void *object, Fault *f)
{
        int fd = -1, r = playbook_open_document(object, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int open_log(Call *call, void *object, Fault *f)
{
        int fd = -1, r = playbook_open_log(object, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int open_residual(Call *call, void *object, Fault *f)
{
        int fd = -1, r = playbook_open_residual(object, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int verify(Call *call, void *object, Fault *f)
{
        VerifySpec spec = {0};
        const Option options[] = {{"against", "s", &spec.against}, {"point", "s", &spec.point}};
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        if (r >= 0)
                r = playbook_verify(object, &call->caller, &spec, f);
        return r < 0 ? r : call_reply(call, f, "");
}

static void on_verified(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};
        const char *id;

        if (r >= 0 && !call_is_orphan(call)) {
                const Playbook *p = call_object(call, &id);
                r = p ? call_reply(call, &fault, "s", playbook_row(p)->verified)
                      : fault_set(&fault, FAULT_NOT_FOUND, "playbook %s was removed", id);
        }
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int wait_for(Call *call, void *object, Fault *f)
{
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &timeout_usec), f);

        if (r >= 0)
                r = playbook_wait(object, timeout_usec, on_verified, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int remove_playbook(Call *call, void *object, Fault *f)
{
        int r = playbook_remove(object, &call->caller, f);

        return r < 0 ? r : call_reply(call, f, "");
}

/* -- the interface ----------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Open", open_archive, ACTION_OBSERVE, NULL},
        {"OpenDiff", open_diff, ACTION_OBSERVE, NULL},
        {"OpenLog", open_log, ACTION_OBSERVE, NULL},
        {"OpenResidual", open_residual, ACTION_OBSERVE, NULL},
        {"Verify", verify, ACTION_USE, "playbook.verify"},
        {"Wait", wait_for, ACTION_OBSERVE, NULL},
        {"Remove", remove_playbook, ACTION_USE, "playbook.remove"},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Open", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", archive), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenDiff", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", document),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenLog", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", log), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenResidual", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", document),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Verify", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_ARGS("t", timeout_usec),
                                SD_BUS_RESULT("s", verified), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Origin", "s", get_origin, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sandbox", "o", get_sandbox, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("SandboxName", "s", get_sandbox_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Agent", "s", get_agent, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("From", "s", get_from, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("To", "s", get_to, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Summary", "s", get_summary, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sha256", "s", get_sha256, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("SizeBytes", "t", get_size_bytes, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("AllowsSecrets", "b", get_allows_secrets, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("AllowsSetuid", "b", get_allows_setuid, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("OwnerUid", "u", get_owner_uid, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_created_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Verified", "s", get_verified, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("VerifiedReason", "s", get_verified_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("VerifiedUSec", "t", get_verified_usec, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Residual", "s", get_residual, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, const Caller *caller, const char *id)
{
        return manager_find_playbook(m, caller, id);
}

static const char *id_of(const void *object)
{
        return playbook_row(object)->id.text;
}

static bool is_visible(const void *object, const Caller *caller)
{
        return playbook_is_visible(object, caller);
}

const Interface playbook_interface = {
        .kind = OBJECT_PLAYBOOK,
        .name = INTERFACE_PLAYBOOK,
        .path = PATH_PLAYBOOK,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

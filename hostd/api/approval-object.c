/* SPDX-License-Identifier: MIT */
#include "api/approval-object.h"

#include "api/options.h"

/* -- asking ------------------------------------------------------------------------------------ */

int approval_object_request(Call *call, void *object, Fault *f)
{
        ApprovalSpec spec = {0};
        g_auto(GStrv) alternatives = NULL;
        const Option options[] = {
                {"action", "s", &spec.action},
                {"summary", "s", &spec.summary},
                {"text", "s", &spec.text},
                {"sandbox", "s", &spec.sandbox},
                {"agent", "s", &spec.agent},
                {"urgency", "s", &spec.urgency},
                {"timeout_usec", "t", &spec.timeout_usec},
                {"alternatives", "as", &alternatives},
                {"profile", "s", &spec.profile},
                {"playbook", "s", &spec.playbook},
                {"check", "b", &spec.checks},
        };
        Approval *a;
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        spec.alternatives = (const char *const *) alternatives;
        if (r >= 0)
                r = approval_request(object, &call->caller, &spec, &a, f);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_APPROVAL, approval_row(a)->id.text).text);
        return r;
}

/* -- properties -------------------------------------------------------------------------------- */

static int append_alternatives(sd_bus_message *reply, const Approval *a)
{
        return sd_bus_message_append_strv(reply, (char **) approval_content(a)->alternatives);
}

/* "/" stands for none. */
static int append_sandbox(sd_bus_message *reply, const Approval *a)
{
        const char *id = approval_row(a)->sandbox_id.text;

        return sd_bus_message_append(reply, "o", *id ? object_path(OBJECT_SANDBOX, id).text : "/");
}

PROPERTY(get_id, Approval, a, "s", approval_row(a)->id.text)
PROPERTY(get_action, Approval, a, "s", approval_row(a)->action)
PROPERTY(get_summary, Approval, a, "s", approval_content(a)->summary)
PROPERTY(get_sha256, Approval, a, "s", approval_row(a)->sha256)
PROPERTY(get_requested_sha256, Approval, a, "s", approval_row(a)->requested_sha256)
PROPERTY(get_state, Approval, a, "s", approval_row(a)->state)
PROPERTY(get_reason, Approval, a, "s", approval_row(a)->reason)
PROPERTY(get_urgency, Approval, a, "s", approval_row(a)->urgency)
PROPERTY_BY(get_alternatives, append_alternatives)
PROPERTY(get_requester_uid, Approval, a, "u", approval_row(a)->requester_uid)
PROPERTY(get_agent, Approval, a, "s", approval_row(a)->agent)
PROPERTY_BY(get_sandbox, append_sandbox)
PROPERTY(get_decided_by, Approval, a, "u", approval_row(a)->decided_by_uid)
PROPERTY(get_comment, Approval, a, "s", approval_row(a)->comment)
PROPERTY(get_alternative, Approval, a, "s", approval_row(a)->alternative)
PROPERTY(get_created_usec, Approval, a, "t", approval_row(a)->created_usec)
PROPERTY(get_expires_usec, Approval, a, "t", approval_row(a)->expires_usec)
PROPERTY(get_decided_usec, Approval, a, "t", approval_row(a)->decided_usec)

/* -- methods ----------------------------------------------------------------------------------- */

static void on_answered(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};
        const char *id;

        if (r >= 0 && !call_is_orphan(call)) {
                const Approval *a = call_object(call, &id);
                r = a ? call_reply(call, &fault, "s", approval_row(a)->state)
                      : fault_set(&fault, FAULT_NOT_FOUND, "approval %s was forgotten", id);
        }
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int wait_for(Call *call, void *object, Fault *f)
{
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &timeout_usec), f);

        if (r >= 0)
                r = approval_wait(object, timeout_usec, on_answered, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int reply_content(Call *call, const Approval *a, bool requested, Fault *f)
{
        int fd = -1, r = approval_open_content(a, requested, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int content(Call *call, void *object, Fault *f)
{
        return reply_content(call, object, false, f);
}

static int requested_content(Call *call, void *object, Fault *f)
{
        return reply_content(call, object, true, f);
}

static int open_log(Call *call, void *object, Fault *f)
{
        int fd = -1, r = approval_open_log(object, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int open_check_log(Call *call, void *object, Fault *f)
{
        int fd = -1, r = approval_open_check_log(object, &call->caller, &fd, f);

        return call_reply_opened(call, r, fd, f);
}

static int approve(Call *call, void *object, Fault *f)
{
        ApprovalAnswer answer = {0};
        OptionBytes edited = {0};
        const Option options[] = {
                {"comment", "s", &answer.comment},
                {"alternative", "s", &answer.alternative},
                {"content", "ay", &edited},
        };
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &answer.sha256), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        answer.content = edited.bytes;
        answer.content_size = edited.size;
        if (r >= 0)
                r = approval_approve(object, &call->caller, &answer, f);
        return r < 0 ? r : call_reply(call, f, "");
}

static int deny(Call *call, void *object, Fault *f)
{
        const char *comment;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &comment), f);

        if (r >= 0)
                r = approval_deny(object, &call->caller, comment, f);
        return r < 0 ? r : call_reply(call, f, "");
}

static int cancel(Call *call, void *object, Fault *f)
{
        int r = approval_cancel(object, &call->caller, f);

        return r < 0 ? r : call_reply(call, f, "");
}

static int apply(Call *call, void *object, Fault *f)
{
        int r = options_read(call->message, NULL, 0, f);

        if (r >= 0)
                r = approval_apply(object, &call->caller, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- the interface ----------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Wait", wait_for, ACTION_OBSERVE, NULL},
        {"Content", content, ACTION_OBSERVE, NULL},
        {"RequestedContent", requested_content, ACTION_OBSERVE, NULL},
        {"Approve", approve, ACTION_APPROVE, "approval.approve"},
        {"Deny", deny, ACTION_APPROVE, "approval.deny"},
        {"Cancel", cancel, ACTION_USE, "approval.cancel"},
        {"Apply", apply, ACTION_USE, "approval.apply"},
        {"Log", open_log, ACTION_OBSERVE, NULL},
        {"CheckLog", open_check_log, ACTION_OBSERVE, NULL},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_ARGS("t", timeout_usec), SD_BUS_RESULT("s", state),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Content", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", content), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RequestedContent", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", content),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Approve", SD_BUS_ARGS("s", sha256, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Deny", SD_BUS_ARGS("s", comment), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Apply", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Log", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", log), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckLog", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", log), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Action", "s", get_action, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Summary", "s", get_summary, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Sha256", "s", get_sha256, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("RequestedSha256", "s", get_requested_sha256, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Urgency", "s", get_urgency, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Alternatives", "as", get_alternatives, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("RequesterUid", "u", get_requester_uid, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Agent", "s", get_agent, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sandbox", "o", get_sandbox, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("DecidedBy", "u", get_decided_by, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Comment", "s", get_comment, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Alternative", "s", get_alternative, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_created_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get_expires_usec, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("DecidedUSec", "t", get_decided_usec, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, const Caller *caller, const char *id)
{
        return manager_find_approval(m, caller, id);
}

static const char *id_of(const void *object)
{
        return approval_row(object)->id.text;
}

static bool is_visible(const void *object, const Caller *caller)
{
        return approval_is_visible(object, caller);
}

const Interface approval_interface = {
        .kind = OBJECT_APPROVAL,
        .name = INTERFACE_APPROVAL,
        .path = PATH_APPROVAL,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

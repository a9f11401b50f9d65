/* SPDX-License-Identifier: MIT */
#include "api/call.h"

#include "api/authorise.h"
#include "base/log.h"
#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

/* -- budgets ---------------------------------------------------------------------------------- */

static unsigned pending_of(Api *api, uid_t uid)
{
        return GPOINTER_TO_UINT(g_hash_table_lookup(api->pending_by_uid, GUINT_TO_POINTER(uid)));
}

static int charge(Api *api, uid_t uid, Fault *f)
{
        unsigned pending = pending_of(api, uid);

        if (pending >= CALLS_PER_UID_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%u calls of yours are under way already, which is the most: wait "
                                 "for some to end",
                                 pending);
        if (api->pending >= CALLS_MAX)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "%u calls are under way already, which is the most: try again later",
                        api->pending);
        api->pending++;
        (void) g_hash_table_insert(api->pending_by_uid, GUINT_TO_POINTER(uid),
                                   GUINT_TO_POINTER(pending + 1));
        return 0;
}

static void discharge(Api *api, uid_t uid)
{
        unsigned pending = pending_of(api, uid);

        g_assert(pending > 0 && api->pending > 0);
        api->pending--;
        if (pending == 1)
                (void) g_hash_table_remove(api->pending_by_uid, GUINT_TO_POINTER(uid));
        else
                (void) g_hash_table_insert(api->pending_by_uid, GUINT_TO_POINTER(uid),
                                           GUINT_TO_POINTER(pending - 1));
}

/* -- a call's life ---------------------------------------------------------------------------- */

static Call *call_free(Call *call)
{
        if (call->api) {
                g_queue_unlink(&call->api->calls, &call->link);
                discharge(call->api, call->caller.uid);
        }
        (void) sd_bus_slot_unref(call->polkit);
        (void) sd_bus_message_unref(call->message);
        g_free(call);
        return NULL;
}

static int call_new(Api *api, sd_bus_message *m, const Method *method, const Caller *caller,
                    Call **ret, Fault *f)
{
        int r = charge(api, caller->uid, f);

        if (r < 0)
                return r;
        *ret = g_new0(Call, 1);
        (*ret)->api = api;
        (*ret)->message = sd_bus_message_ref(m);
        (*ret)->method = method;
        (*ret)->caller = *caller;
        (*ret)->link.data = *ret;
        g_queue_push_tail_link(&api->calls, &(*ret)->link);
        return 0;
}

int call_set_error(sd_bus_error *error, const Fault *f)
{
        FaultCode code = fault_is_set(f) ? f->code : FAULT_INTERNAL;
        char name[sizeof BUS_ERROR_PREFIX + 64];

        (void) g_snprintf(name, sizeof name, BUS_ERROR_PREFIX "%s", fault_to_string(code));
        return sd_bus_error_set(error, name, fault_is_set(f) ? f->message : "no reason is known");
}

static void reply_fault(sd_bus_message *m, const Fault *f)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;

        (void) call_set_error(&error, f);
        int r = sd_bus_reply_method_error(m, &error);
        sd_bus_error_free(&error);
        if (r < 0)
                log_warning("api: cannot reply to %s: %s", sd_bus_message_get_sender(m),
                            g_strerror(-r));
}

static void refuse(Api *api, sd_bus_message *m, const Method *method, Caller *caller,
                   const Fault *f)
{
        if (method->audit_kind)
                audit_refuse(api->manager, caller, method->audit_kind, sd_bus_message_get_path(m),
                             f);
        reply_fault(m, f);
}

/* Why there is no such object. A wait may be for one that failed before the wait began. */
static int missing(Api *api, const Method *method, const Caller *caller, const char *path, Fault *f)
{
        const char *id;
        const Interface *interface = interface_at(path, &id);
        const Fault *why = NULL;

        if (interface && g_str_equal(method->member, "Wait"))
                why = ends_find(api->ends, caller, interface->kind, id);
        if (why)
                return fault_set(f, why->code, "%s", why->message);
        return fault_set(f, FAULT_NOT_FOUND, "there is no object %.100s", path);
}

/* The object is found here, and only here: between arrival and permission it may have gone. */
static void run(Call *call)
{
        const char *id, *path = sd_bus_message_get_path(call->message);
        const Interface *interface = interface_at(path, &id);
        void *object = interface_find(interface, call->api, &call->caller, id);
        Fault f = {0};
        int r = object ? call->method->handle(call, object, &f)
                       : missing(call->api, call->method, &call->caller, path, &f);

        if (r < 0)
                refuse(call->api, call->message, call->method, &call->caller, &f);
        if (r != CALL_PENDING)
                (void) call_free(call);
}

static void on_authorised(Call *call, int r, const Fault *f)
{
        if (r >= 0) {
                run(call);
                return;
        }
        refuse(call->api, call->message, call->method, &call->caller, f);
        (void) call_free(call);
}

static void begin(Api *api, sd_bus_message *m, const Method *method)
{
        Caller caller = {.uid = (uid_t) -1};
        Call *call = NULL;
        Fault f = {0};
        int r = callers_get(api->callers, m, &caller, &f);

        if (r >= 0)
                r = call_new(api, m, method, &caller, &call, &f);
        if (r < 0) {
                reply_fault(m, &f);
                return;
        }
        r = authorise(call, on_authorised, &f);
        if (r != 0)
                on_authorised(call, r, &f);
}

/* -- arrival ---------------------------------------------------------------------------------- */

static void begin_known(sd_bus_message *m, void *userdata)
{
        const char *id;
        const Interface *interface = interface_at(sd_bus_message_get_path(m), &id);
        const Method *method =
                interface ? interface_method(interface, sd_bus_message_get_member(m)) : NULL;

        g_assert(method);
        begin(userdata, m, method);
}

int call_enter(sd_bus_message *m, G_GNUC_UNUSED void *object, G_GNUC_UNUSED sd_bus_error *error)
{
        Api *api = sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));

        if (!callers_defer(api->callers, m, begin_known, api))
                begin_known(m, api);
        return 1;
}

int call_enter_missing(sd_bus_message *m, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        Api *api = userdata;
        const char *id, *path = sd_bus_message_get_path(m);
        const Interface *interface = interface_at(path, &id);
        const Method *method = NULL;
        Caller caller = {.uid = (uid_t) -1};
        Fault f = {0};

        if (path_is_node(path))
                return 0;
        if (callers_get(api->callers, m, &caller, NULL) < 0)
                interface = NULL;
        if (interface && interface_find(interface, api, &caller, id))
                return 0;
        if (interface && sd_bus_message_is_method_call(m, interface->name, NULL))
                method = interface_method(interface, sd_bus_message_get_member(m));
        if (!method)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT,
                                                  "Unknown object '%s'.", path);
        (void) missing(api, method, &caller, path, &f);
        refuse(api, m, method, &caller, &f);
        return 1;
}

/* -- its end ---------------------------------------------------------------------------------- */

bool call_is_orphan(const Call *call)
{
        return !call->api;
}

void call_end(Call *call, int r, const Fault *f)
{
        if (r < 0 && !call_is_orphan(call))
                reply_fault(call->message, f);
        (void) call_free(call);
}

void call_done(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "");
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static void orphan(Call *call)
{
        Api *api = call->api;
        bool awaits_core = !call->polkit;

        g_queue_unlink(&api->calls, &call->link);
        discharge(api, call->caller.uid);
        call->api = NULL;
        call->polkit = sd_bus_slot_unref(call->polkit);
        call->message = sd_bus_message_unref(call->message);
        if (!awaits_core)
                (void) call_free(call);
}

void calls_orphan(Api *api, const char *sender)
{
        for (GList *link = api->calls.head, *next; link; link = next) {
                Call *call = link->data;

                next = link->next;
                if (!sender || g_strcmp0(sd_bus_message_get_sender(call->message), sender) == 0)
                        orphan(call);
        }
}

/* -- replies ---------------------------------------------------------------------------------- */

int call_read_fault(int r, Fault *f)
{
        if (r >= 0)
                return 0;
        return fault_set_errno(f, FAULT_INVALID_ARGUMENT, r, "the arguments cannot be read");
}

int call_send(Call *call, sd_bus_message *reply, int r, Fault *f)
{
        if (r >= 0)
                r = sd_bus_send(call->api->bus, reply, NULL);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "the reply to %s cannot be sent",
                                       call->method->member);
        return 0;
}

int call_reply(Call *call, Fault *f, const char *types, ...)
{
        g_autoptr(sd_bus_message) reply = NULL;
        va_list ap;
        int r = sd_bus_message_new_method_return(call->message, &reply);

        va_start(ap, types);
        if (r >= 0)
                r = sd_bus_message_appendv(reply, types, ap);
        va_end(ap);
        return call_send(call, reply, r, f);
}

int call_reply_file(Call *call, int fd, Fault *f)
{
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        autofd reader = open(path, O_RDONLY | O_CLOEXEC);

        if (reader < 0)
                return fault_set_errno(f, FAULT_IO, errno, "the document cannot be opened");
        return call_reply(call, f, "h", reader);
}

void *call_object(Call *call, const char **ret_id)
{
        const Interface *interface = interface_at(sd_bus_message_get_path(call->message), ret_id);

        return interface_find(interface, call->api, &call->caller, *ret_id);
}

int call_reply_opened(Call *call, int r, int fd, Fault *f)
{
        autofd owned = fd;

        return r < 0 ? r : call_reply_file(call, owned, f);
}

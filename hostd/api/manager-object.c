/* SPDX-License-Identifier: MIT */
#include "core/manager.h"

#include "api/approval-object.h"
#include "api/call.h"
#include "api/options.h"
#include "api/sandbox-list.h"
#include "api/sandbox-object.h"
#include "core/audit.h"
#include "core/network.h"
#include "core/template.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* -- properties ------------------------------------------------------------------------------- */

static int append_host_name(sd_bus_message *reply, G_GNUC_UNUSED const Api *api)
{
        char name[256] = "";

        if (gethostname(name, sizeof name - 1) < 0)
                return -errno;
        return sd_bus_message_append(reply, "s", name);
}

static int append_capacity(sd_bus_message *reply, const Api *api)
{
        Capacity c = manager_capacity(api->manager);

        return sd_bus_message_append(reply, "a{sv}", 6, "sandboxes", "u", c.sandboxes,
                                     "sandboxes_max", "u", c.sandboxes_max, "disk_free_bytes", "t",
                                     c.disk_free_bytes, "disk_floor_bytes", "t", c.disk_floor_bytes,
                                     "vcpus_used", "u", c.vcpus_used, "memory_used_bytes", "t",
                                     c.memory_used_bytes);
}

PROPERTY(get_version, Api, api, "s", api->version)
PROPERTY_BY(get_host_name, append_host_name)
PROPERTY(get_state, Api, api, "s", manager_state(api->manager))
PROPERTY_BY(get_capacity, append_capacity)
PROPERTY(get_network_fault, Api, api, "s", manager_network_fault(api->manager))
PROPERTY(get_features, G_GNUC_UNUSED Api, api, "as", 8, "disk-snapshots", "diff-ext4",
         "domain-templates", "memory-snapshots", "warm-templates", "networks", "approvals",
         "playbooks")

/* -- sandboxes -------------------------------------------------------------------------------- */

static int create_sandbox(Call *call, void *object, Fault *f)
{
        SandboxSpec spec = {0};
        g_autofree char *labels = NULL;
        g_auto(GStrv) ports = NULL;
        Sandbox *s;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &spec.template), f);

        if (r >= 0)
                r = sandbox_object_read_spec(call, false, &spec, &labels, &ports, f);
        if (r >= 0)
                r = sandbox_create(object, &call->caller, &spec, &s, f);
        return r < 0 ? r : sandbox_object_reply(call, s, f);
}

static int get_sandbox(Call *call, void *object, Fault *f)
{
        const char *name;
        Sandbox *s;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &name), f);

        if (r >= 0)
                r = manager_get_sandbox(object, &call->caller, name, &s, f);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_SANDBOX, sandbox_row(s)->id.text).text);
        return r;
}

/* -- templates -------------------------------------------------------------------------------- */

/* One of a template's files: a descriptor, or for root a path. */
typedef struct Source {
        const char *what;
        int fd;
        const char *path;
        int opened;
} Source;

static int source_open(Source *s, const Caller *caller, Fault *f)
{
        if (!s->path)
                return 0;
        if (s->fd >= 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "give %s or %s_path, not both", s->what,
                                 s->what);
        if (!caller_is_admin(caller))
                return fault_set(f, FAULT_DENIED,
                                 "%s_path is for root only: open the file and pass its descriptor "
                                 "as %s",
                                 s->what, s->what);
        if (s->path[0] != '/')
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s_path has to be absolute", s->what);
        s->opened = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (s->opened < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "%s cannot be opened", s->path);
        s->fd = s->opened;
        return 0;
}

enum { IMAGE, KERNEL, INITRD, N_SOURCES };

static int read_template(Call *call, TemplateSpec *spec, Source sources[static N_SOURCES], Fault *f)
{
        const Option options[] = {
                {"image", "h", &sources[IMAGE].fd},
                {"image_path", "s", &sources[IMAGE].path},
                {"format", "s", &spec->format},
                {"kernel", "h", &sources[KERNEL].fd},
                {"kernel_path", "s", &sources[KERNEL].path},
                {"initrd", "h", &sources[INITRD].fd},
                {"initrd_path", "s", &sources[INITRD].path},
                {"cmdline", "s", &spec->cmdline},
                {"domain", "s", &spec->domain},
                {"vcpus", "u", &spec->vcpus},
                {"memory_bytes", "t", &spec->memory_bytes},
        };
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &spec->name), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        for (size_t i = 0; r >= 0 && i < N_SOURCES; i++)
                r = source_open(&sources[i], &call->caller, f);
        spec->image_fd = sources[IMAGE].fd;
        spec->kernel_fd = sources[KERNEL].fd;
        spec->initrd_fd = sources[INITRD].fd;
        return r;
}

static int import_template(Call *call, void *object, Fault *f)
{
        Source sources[N_SOURCES] = {
                [IMAGE] = {"image", -1, NULL, -1},
                [KERNEL] = {"kernel", -1, NULL, -1},
                [INITRD] = {"initrd", -1, NULL, -1},
        };
        TemplateSpec spec = {0};
        Template *t;
        int r = read_template(call, &spec, sources, f);

        if (r >= 0)
                r = template_import(object, &call->caller, &spec, &t, f);
        for (size_t i = 0; i < N_SOURCES; i++)
                (void) close_fd(sources[i].opened);
        if (r >= 0)
                ends_watch_template(call->api->ends, t);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_TEMPLATE, template_row(t)->id.text).text);
        return r;
}

static int get_template(Call *call, void *object, Fault *f)
{
        const char *name;
        Template *t;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &name), f);

        if (r >= 0)
                r = manager_get_template(object, name, &t, f);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_TEMPLATE, template_row(t)->id.text).text);
        return r;
}

/* -- the host --------------------------------------------------------------------------------- */

static int append_domains(sd_bus_message *reply, const DomainListing *domains, size_t n)
{
        int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "a{sv}", 3, "name", "s", domains[i].name, "uuid",
                                          "s", domains[i].uuid, "state", "s", domains[i].state);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void on_domains(const DomainListing *domains, size_t n, int r, const Fault *f,
                       void *userdata)
{
        g_autoptr(sd_bus_message) reply = NULL;
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call)) {
                r = sd_bus_message_new_method_return(call->message, &reply);
                if (r >= 0)
                        r = append_domains(reply, domains, n);
                r = call_send(call, reply, r, &fault);
        }
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int list_domains(Call *call, void *object, Fault *f)
{
        int r = manager_list_domains(object, on_domains, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int append_network(sd_bus_message *reply, const char *name, const char *description,
                          bool admins_only)
{
        return sd_bus_message_append(reply, "a{sv}", 3, "name", "s", name, "description", "s",
                                     description, "admins_only", "b", admins_only);
}

static int append_networks(sd_bus_message *reply, const Profiles *profiles)
{
        size_t n;
        const Profile *list = profiles_list(profiles, &n);
        int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

        if (r >= 0)
                r = append_network(reply, NETWORK_NONE, "no network interface", false);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                g_autofree char *description = profile_describe(&list[i]);

                r = append_network(reply, list[i].rules.name, description, list[i].admins_only);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int list_networks(Call *call, void *object, Fault *f)
{
        g_autoptr(sd_bus_message) reply = NULL;
        int r = sd_bus_message_new_method_return(call->message, &reply);

        if (r >= 0)
                r = append_networks(reply, manager_profiles(object));
        return call_send(call, reply, r, f);
}

static void on_audit(int fd, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply_file(call, fd, &fault);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int audit(Call *call, void *object, Fault *f)
{
        AuditQuery query = {.caller_uid = UINT32_MAX};
        const Option options[] = {
                {"object", "s", &query.object},
                {"sandbox", "s", &query.sandbox},
                {"agent", "s", &query.agent},
                {"kind", "s", &query.kind},
                {"phase", "s", &query.phase},
                {"error", "s", &query.error},
                {"caller_uid", "u", &query.caller_uid},
                {"since_usec", "t", &query.since_usec},
                {"until_usec", "t", &query.until_usec},
                {"before_seq", "t", &query.before_seq},
                {"limit", "t", &query.limit},
                {"newest_first", "b", &query.is_newest_first},
        };
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        query.has_caller_uid = query.caller_uid != UINT32_MAX;
        if (r >= 0)
                r = audit_export(object, &call->caller, &query, on_audit, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static void on_verified(bool is_intact, uint64_t rows, const char *detail, int r, const Fault *f,
                        void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "bts", is_intact, rows, detail);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int verify_audit(Call *call, void *object, Fault *f)
{
        int r = audit_verify(object, &call->caller, NULL, 0, on_verified, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int read_heads(sd_bus_message *m, GArray *ret)
{
        uint64_t seq;
        const char *hash;
        int r = sd_bus_message_enter_container(m, 'a', "(ts)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(ts)", &seq, &hash)) > 0) {
                AuditHead head = {.seq = seq};
                /* What is too long is none, and said to be so. */
                if (g_strlcpy(head.hash, hash, sizeof head.hash) >= sizeof head.hash)
                        *head.hash = '\0';
                (void) g_array_append_val(ret, head);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int verify_audit_heads(Call *call, void *object, Fault *f)
{
        g_autoptr(GArray) heads = g_array_new(FALSE, FALSE, sizeof(AuditHead));
        int r = call_read_fault(read_heads(call->message, heads), f);

        if (r >= 0)
                r = audit_verify(object, &call->caller, (const AuditHead *) (void *) heads->data,
                                 heads->len, on_verified, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- the interface ---------------------------------------------------------------------------- */

static const Method methods[] = {
        {"CreateSandbox", create_sandbox, ACTION_CREATE, "sandbox.create"},
        {"GetSandbox", get_sandbox, ACTION_OBSERVE, NULL},
        {"ListSandboxes", sandbox_list_reply, ACTION_OBSERVE, NULL},
        {"ImportTemplate", import_template, ACTION_MANAGE_TEMPLATE, "template.import"},
        {"GetTemplate", get_template, ACTION_OBSERVE, NULL},
        {"ListDomains", list_domains, ACTION_OBSERVE, NULL},
        {"ListNetworks", list_networks, ACTION_OBSERVE, NULL},
        {"RequestApproval", approval_object_request, ACTION_USE, "approval.request"},
        {"Audit", audit, ACTION_OBSERVE, NULL},
        {"VerifyAudit", verify_audit, ACTION_OBSERVE, NULL},
        {"VerifyAuditHeads", verify_audit_heads, ACTION_OBSERVE, NULL},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("CreateSandbox", SD_BUS_ARGS("s", template, "a{sv}", options),
                                SD_BUS_RESULT("o", sandbox), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetSandbox", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", sandbox),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSandboxes", SD_BUS_ARGS("a{sv}", filter),
                                SD_BUS_RESULT("a(oa{sv})", sandboxes), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportTemplate", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", template), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetTemplate", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", template),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListDomains", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", domains),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListNetworks", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", networks),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RequestApproval", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("o", approval), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Audit", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("h", rows),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VerifyAudit", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("b", intact, "t", rows, "s", detail), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VerifyAuditHeads", SD_BUS_ARGS("a(ts)", heads),
                                SD_BUS_RESULT("b", intact, "t", rows, "s", detail), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("HostName", "s", get_host_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Capacity", "a{sv}", get_capacity, 0, 0),
        SD_BUS_PROPERTY("NetworkFault", "s", get_network_fault, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Features", "as", get_features, 0, PROPERTY_CONSTANT),
        SD_BUS_SIGNAL_WITH_ARGS("ApprovalAdded", SD_BUS_ARGS("o", approval, "s", state), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ApprovalChanged", SD_BUS_ARGS("o", approval, "s", state), 0),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, G_GNUC_UNUSED const Caller *caller, G_GNUC_UNUSED const char *id)
{
        return m;
}

static const char *id_of(G_GNUC_UNUSED const void *object)
{
        return "";
}

static bool is_visible(G_GNUC_UNUSED const void *object, G_GNUC_UNUSED const Caller *caller)
{
        return true;
}

const Interface manager_interface = {
        .kind = _OBJECT_KIND_MAX,
        .name = INTERFACE_MANAGER,
        .path = PATH_ROOT,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

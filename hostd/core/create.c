/* SPDX-License-Identifier: MIT */

/* How a sandbox comes to be. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define AGENT_NAME_MAX   128
#define LABELS_MAX       32
#define LABEL_MAX        256
#define MEMORY_MIN_BYTES (UINT64_C(32) << 20)
#define MEMORY_UNIT      (UINT64_C(1) << 20)

/* -- in a worker ---------------------------------------------------------------------------- */

typedef struct Creation {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        GPtrArray *disks;
        char *directory, *commands, *runtime_directory;
        char *nvram_template;
        DomainSpec spec; /* its strings are owned */
        bool is_undone;  /* only removes */
} Creation;

static void creation_free(gpointer data)
{
        Creation *q = data;

        g_clear_pointer(&q->disks, g_ptr_array_unref);
        g_free(q->directory);
        g_free(q->commands);
        g_free(q->runtime_directory);
        g_free(q->nvram_template);
        g_free((char *) q->spec.id);
        g_free((char *) q->spec.title);
        g_free((char *) q->spec.blueprint);
        g_free((DomainDisk *) q->spec.disks);
        g_free((char *) q->spec.kernel);
        g_free((char *) q->spec.initrd);
        g_free((char *) q->spec.cmdline);
        g_free((char *) q->spec.agent_socket);
        g_free((char *) q->spec.console_log);
        g_free((char *) q->spec.nvram);
        g_free(q);
}

static int undo(const Creation *q, Fault *f)
{
        int r = hypervisor_remove_domain(q->hypervisor, q->spec.id, f);

        if (r == 0)
                r = remove_tree(q->runtime_directory, f);
        return r < 0 ? r : remove_tree(q->directory, f);
}

static int copy_nvram(const Creation *q, Fault *f)
{
        char sha256[SHA256_HEX_SIZE];
        autofd fd = -1;

        if (!q->nvram_template)
                return 0;
        fd = open(q->nvram_template, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", q->nvram_template);
        return file_import(fd, q->spec.nvram, UINT64_C(64) << 20, 0600, q->spec.qemu_uid,
                           q->spec.qemu_gid, sha256, f);
}

static int make(const Creation *q, Fault *f)
{
        int r = make_directory(q->directory, 0710, 0, q->spec.qemu_gid, f);

        if (r == 0)
                r = make_directory(q->commands, 0700, 0, 0, f);
        if (r == 0)
                r = make_directory(q->runtime_directory, 0700, q->spec.qemu_uid, q->spec.qemu_gid,
                                   f);
        if (r == 0)
                r = layer_create(q->disks, q->spec.qemu_uid, q->spec.qemu_gid, f);
        if (r == 0)
                r = copy_nvram(q, f);
        return r < 0 ? r : hypervisor_create_domain(q->hypervisor, &q->spec, f);
}

static int creation_run(void *request, Fault *f)
{
        Creation *q = request;
        Fault why = {0};

        if (q->is_undone)
                return undo(q, f);
        int r = make(q, f);
        if (r < 0 && undo(q, &why) < 0)
                log_warning("what creating sandbox %s left behind could not be removed: %s",
                            q->spec.id, why.message);
        return r;
}

static Creation *creation_new(Sandbox *s)
{
        const Manager *m = s->manager;
        const TemplateRow *t = s->template->row;
        const char *id = s->row->id.text;
        Creation *q = g_new0(Creation, 1);

        *q = (Creation){.sandbox = s,
                        .hypervisor = m->hypervisor,
                        .disks = layer_plan(s, s->row->layer, NULL),
                        .directory = sandbox_directory(m, id),
                        .commands = sandbox_file(m, id, "commands"),
                        .runtime_directory = sandbox_runtime_directory(m, id),
                        .nvram_template = g_strdup(t->nvram)};
        q->spec = (DomainSpec){.id = g_strdup(id),
                               .title = g_strdup(s->row->name),
                               .blueprint = g_strdup(t->blueprint),
                               .vcpus = s->row->vcpus,
                               .memory_bytes = s->row->memory_bytes,
                               .disks = layer_domain_disks(q->disks),
                               .n_disks = q->disks->len,
                               .kernel = g_strdup(t->kernel),
                               .initrd = g_strdup(t->initrd),
                               .cmdline = g_strdup(t->cmdline),
                               .agent_socket =
                                       g_build_filename(q->runtime_directory, "agent.sock", NULL),
                               .console_log = sandbox_file(m, id, "console.log"),
                               .nvram = t->nvram ? sandbox_file(m, id, "nvram") : NULL,
                               .qemu_uid = m->qemu_uid,
                               .qemu_gid = m->qemu_gid};
        return q;
}

/* -- the loop's side ------------------------------------------------------------------------ */

static void abandoned(void *request, int r, const Fault *f, void *userdata)
{
        Creation *q = request;
        Sandbox *s = q->sandbox;
        Manager *m = s->manager;
        g_autoptr(GPtrArray) destroyers = g_steal_pointer(&s->destroyers);
        Fault *why = userdata, store_fault = {0};

        if (r >= 0)
                r = store_delete_sandbox(m->store, s->row->id.text, &store_fault);
        if (r < 0) {
                /* It stays "creating", and is removed when libvirtd is back or at the next start.
                 */
                f = fault_is_set(&store_fault) ? &store_fault : f;
                log_warning("what sandbox '%s' left behind could not be removed yet: %s",
                            s->row->name, f->message);
                s->operation = NULL;
                wait_fail(&s->waiters, why);
                sandbox_answer_destroyers(destroyers, r, f);
        } else {
                log_warning("sandbox '%s' was not created: %s", s->row->name, why->message);
                sandbox_forget(s, why);
                sandbox_answer_destroyers(destroyers, 0, NULL);
        }
        g_free(why);
        manager_end_operation(m);
}

void sandbox_abandon_creation(Sandbox *s, const Fault *why)
{
        Creation *q = creation_new(s);

        /* begin_operation() would refuse while one is under way, which is ours. */
        if (!s->operation) {
                s->operation = "created";
                manager_begin_operation(s->manager);
        }
        q->is_undone = true;
        s->create_entry = audit_end(s->create_entry, fault_to_errno(why->code), why);
        (void) workers_submit(s->manager->workers, creation_run, abandoned, q, creation_free,
                              g_memdup2(why, sizeof *why));
}

static void creation_done(void *request, int r, const Fault *f, void *userdata)
{
        Creation *q = request;
        Sandbox *s = q->sandbox;

        (void) userdata;
        if (r < 0 && s->state != SANDBOX_DESTROYING) {
                sandbox_abandon_creation(s, f);
                return;
        }
        if (s->state != SANDBOX_DESTROYING)
                sandbox_domain_is_on(s);
        sandbox_end_operation(s);
}

/* -- what may be asked for ------------------------------------------------------------------ */

static int check_size(const Manager *m, const SandboxRow *row, Fault *f)
{
        if (row->vcpus > m->config->vcpus_max)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%u vcpus are more than vcpus_max, %u",
                                 row->vcpus, (unsigned) m->config->vcpus_max);
        if (row->memory_bytes < MEMORY_MIN_BYTES ||
            row->memory_bytes > m->config->memory_max_bytes) {
                g_autofree char *most = size_format(m->config->memory_max_bytes);
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "memory has to be between 32M and memory_max, %s", most);
        }
        if (row->memory_bytes % MEMORY_UNIT)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "memory has to be whole MiB");
        return 0;
}

static int check_labels(const char *text, Fault *f)
{
        g_autoptr(Json) labels = NULL;
        int r = text ? json_parse(text, strlen(text), 2, &labels, f) : 0;

        if (r < 0 || !text)
                return r;
        if (json_object_object_length(labels) > LABELS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "there are more than %d labels",
                                 LABELS_MAX);
        json_object_object_foreach(labels, key, value)
        {
                r = name_check("label", key, f);
                if (r < 0)
                        return r;
                if (json_object_get_string_len(value) > LABEL_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "label '%s' is longer than %d bytes", key, LABEL_MAX);
        }
        return 0;
}

static int check_quota(const Manager *m, const Caller *caller, const char *name, Fault *f)
{
        unsigned own = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Sandbox *s = object;
                if (s->row->owner_uid != caller->uid)
                        continue;
                own++;
                if (name && g_str_equal(s->row->name, name))
                        return fault_set(f, FAULT_EXISTS,
                                         "sandbox '%s' exists already; destroy it first, or choose "
                                         "another name",
                                         name);
        }
        if (own >= m->config->sandboxes_per_owner_max)
                return fault_set(
                        f, FAULT_LIMITS_EXCEEDED,
                        "you have %u sandboxes already (sandboxes_per_owner_max); destroy some",
                        own);
        if (g_hash_table_size(m->objects[OBJECT_SANDBOX]) >= m->config->sandboxes_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "this host has %u sandboxes already (sandboxes_max)",
                                 (unsigned) m->config->sandboxes_max);
        return 0;
}

static int check_spec(Manager *m, const Caller *caller, const SandboxSpec *spec, Fault *f)
{
        int r = manager_admits_work(m, f);

        if (r == 0 && spec->name)
                r = name_check("sandbox", spec->name, f);
        if (r == 0 && spec->agent && strlen(spec->agent) > AGENT_NAME_MAX)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the agent's name is longer than %d bytes",
                              AGENT_NAME_MAX);
        if (r == 0 && spec->network && !g_str_equal(spec->network, "none"))
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "there is no network profile '%.60s'; there is: none", spec->network);
        if (r == 0 && spec->ttl_usec > m->config->ttl_max_usec)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the time is longer than ttl_max");
        if (r == 0)
                r = check_labels(spec->labels, f);
        if (r == 0)
                r = check_quota(m, caller, spec->name, f);
        return r;
}

static int check_template(const Template *t, Fault *f)
{
        if (t->is_busy)
                return fault_set(f, FAULT_BUSY,
                                 "template '%s' is not complete yet, or is being removed",
                                 t->row->name);
        return template_check_unchanged(t, f);
}

static SandboxRow *new_row(const Caller *caller, const SandboxSpec *spec, const Template *t)
{
        const Config *c = t->manager->config;
        uint64_t ttl = spec->ttl_usec ? spec->ttl_usec : c->ttl_default_usec;
        uint64_t now = now_realtime_usec();
        SandboxRow *row = g_new0(SandboxRow, 1);
        Id id = id_new();

        *row = (SandboxRow){.id = id,
                            .name = g_strdup(spec->name ? spec->name : id.text),
                            .agent = g_strdup(spec->agent ? spec->agent : ""),
                            .owner_uid = caller->uid,
                            .state = g_strdup(sandbox_state_to_string(SANDBOX_CREATING)),
                            .reason = g_strdup(""),
                            .template_id = t->row->id,
                            .layer = 1,
                            .next_layer = 2,
                            .vcpus = spec->vcpus ? spec->vcpus : t->row->vcpus,
                            .memory_bytes =
                                    spec->memory_bytes ? spec->memory_bytes : t->row->memory_bytes,
                            .boot_timeout_usec = spec->boot_timeout_usec ? spec->boot_timeout_usec
                                                                         : c->boot_timeout_usec,
                            .created_usec = now,
                            .expires_usec = ttl >= USEC_INFINITY - now ? 0 : now + ttl,
                            .network = g_strdup("none"),
                            .labels = g_strdup(spec->labels ? spec->labels : "{}")};
        return row;
}

static Json *describe(const SandboxRow *row, const Template *t)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "name", json_object_new_string(row->name));
        (void) json_object_object_add(detail, "template", json_object_new_string(t->row->name));
        (void) json_object_object_add(detail, "template_sha256",
                                      json_object_new_string(t->row->sha256));
        (void) json_object_object_add(detail, "agent", json_object_new_string(row->agent));
        (void) json_object_object_add(detail, "network", json_object_new_string(row->network));
        (void) json_object_object_add(detail, "vcpus", json_object_new_int64(row->vcpus));
        (void) json_object_object_add(detail, "memory_bytes",
                                      json_object_new_uint64(row->memory_bytes));
        return detail;
}

int sandbox_create(Manager *m, Caller *caller, const SandboxSpec *spec, Sandbox **ret, Fault *f)
{
        g_autoptr(SandboxRow) row = NULL;
        AuditEntry *entry = NULL;
        Template *t = NULL;
        int r = check_spec(m, caller, spec, f);

        if (r == 0)
                r = manager_get_template(m, spec->template, &t, f);
        if (r == 0)
                r = check_template(t, f);
        if (r < 0)
                return r;
        g_assert(t);
        row = new_row(caller, spec, t);
        r = check_size(m, row, f);
        if (r == 0)
                r = manager_has_room(m, f);
        if (r == 0 && !hypervisor_is_connected(m->hypervisor))
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE,
                              "libvirtd does not answer; is it running? systemctl status libvirtd");
        if (r < 0)
                return r;

        g_autofree char *path = sandbox_bus_path(row->id.text);
        r = audit_begin(m, caller, "sandbox.create", path, describe(row, t), &entry, f);
        if (r < 0)
                return r;
        r = store_put_sandbox(m->store, row, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                return r;
        }
        Sandbox *s = g_new0(Sandbox, 1);
        *s = (Sandbox){.manager = m,
                       .row = TAKE_PTR(row),
                       .state = SANDBOX_CREATING,
                       .template = t,
                       .create_entry = entry};
        manager_add(m, OBJECT_SANDBOX, s->row->id.text, s);
        sandbox_arm_ttl(s);
        g_assert(sandbox_begin_operation(s, "created", NULL) == 0);
        (void) workers_submit(m->workers, creation_run, creation_done, creation_new(s),
                              creation_free, NULL);
        *ret = s;
        return 0;
}

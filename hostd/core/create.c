/* SPDX-License-Identifier: MIT */

/* How a sandbox comes to be: on the images of a template, or on a point of another sandbox, whose
 * files it links. A warm template's copies and a pool's sandboxes are the second kind, too. */

#include "core/internal.h"
#include "core/isolation.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* -- in a worker ---------------------------------------------------------------------------- */

typedef struct Creation {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        GPtrArray *links; /* of char *from, char *to in turn */
        GPtrArray *disks;
        char *directory, *commands, *runtime_directory;
        char *nvram_template;
        DomainSpec spec;
        MemoryFiles *memory; /* that it goes on from, or NULL */
        DomainNic *nic;      /* that it boots with, or NULL */
        bool must_not_boot;  /* where the memory cannot be loaded */
        bool is_undone;      /* only removes */
        /* Set by the worker. */
        uint64_t overlay_usec;
        DomainTiming timing;
        Fault memory_fault; /* why it boots nevertheless */
} Creation;

void domain_spec_clear(DomainSpec *spec)
{
        g_free((char *) spec->id);
        g_free((char *) spec->title);
        g_free((char *) spec->blueprint);
        g_free((DomainDisk *) spec->disks);
        g_free((char *) spec->kernel);
        g_free((char *) spec->initrd);
        g_free((char *) spec->cmdline);
        g_free((char *) spec->agent_socket);
        g_free((char *) spec->console_log);
        g_free((char *) spec->nvram);
        *spec = (DomainSpec){0};
}

static void creation_free(gpointer data)
{
        Creation *q = data;

        g_clear_pointer(&q->links, g_ptr_array_unref);
        g_clear_pointer(&q->disks, g_ptr_array_unref);
        g_free(q->directory);
        g_free(q->commands);
        g_free(q->runtime_directory);
        (void) network_nic_free(q->nic);
        g_free(q->nvram_template);
        domain_spec_clear(&q->spec);
        (void) memory_files_free(q->memory);
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

static int link_files(const GPtrArray *links, Fault *f)
{
        for (guint i = 0; i + 1 < links->len; i += 2) {
                const char *from = links->pdata[i], *to = links->pdata[i + 1];
                if (link(from, to) < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot link '%s' to '%s'", from,
                                               to);
        }
        return 0;
}

/* With a NIC in the machine, it does not run before that is there. */
static int boot(Creation *q, Fault *f)
{
        q->spec.stays_paused = q->nic;
        int r = hypervisor_create_domain(q->hypervisor, &q->spec, &q->timing, f);

        return r < 0 || !q->nic ? r : network_start(q->hypervisor, q->spec.id, q->nic, f);
}

static int start(Creation *q, Fault *f)
{
        Fault why = {0};

        if (!q->memory)
                return boot(q, f);
        q->spec.memory = &q->memory->memory;
        int r = hypervisor_create_domain(q->hypervisor, &q->spec, &q->timing, &why);
        q->spec.memory = NULL;
        if (r >= 0)
                return r;
        if (q->must_not_boot || why.code == FAULT_HYPERVISOR_UNAVAILABLE)
                return fault_set(f, why.code, "%s", why.message);
        q->memory_fault = why;
        return boot(q, f);
}

static int make(Creation *q, Fault *f)
{
        uint64_t begun = now_monotonic_usec();
        int r = make_directory(q->directory, 0710, 0, q->spec.qemu_gid, f);

        if (r == 0)
                r = make_directory(q->commands, 0700, 0, 0, f);
        if (r == 0)
                r = make_directory(q->runtime_directory, 0700, q->spec.qemu_uid, q->spec.qemu_gid,
                                   f);
        if (r == 0)
                r = link_files(q->links, f);
        if (r == 0)
                r = layer_create(q->disks, q->spec.qemu_uid, q->spec.qemu_gid, f);
        if (r == 0)
                r = copy_nvram(q, f);
        q->overlay_usec = now_monotonic_usec() - begun;
        return r < 0 ? r : start(q, f);
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

void sandbox_fill_spec(const Sandbox *s, const GPtrArray *disks, DomainSpec *spec)
{
        const Manager *m = s->manager;
        const TemplateRow *t = s->template->row;
        const char *id = s->row->id.text;
        g_autofree char *runtime_directory = sandbox_runtime_directory(m, id);

        *spec = (DomainSpec){.id = g_strdup(id),
                             .title = g_strdup(s->row->name),
                             .blueprint = g_strdup(t->blueprint),
                             .vcpus = s->row->vcpus,
                             .memory_bytes = s->row->memory_bytes,
                             .disks = layer_domain_disks(disks),
                             .n_disks = disks->len,
                             .kernel = g_strdup(t->kernel),
                             .initrd = g_strdup(t->initrd),
                             .cmdline = g_strdup(t->cmdline),
                             .agent_socket =
                                     g_build_filename(runtime_directory, "agent.sock", NULL),
                             .console_log = sandbox_file(m, id, "console.log"),
                             .nvram = t->nvram ? sandbox_file(m, id, "nvram") : NULL,
                             .qemu_uid = m->qemu_uid,
                             .qemu_gid = m->qemu_gid};
}

static Creation *creation_new(Sandbox *s)
{
        const Manager *m = s->manager;
        const char *id = s->row->id.text;
        Creation *q = g_new0(Creation, 1);

        *q = (Creation){.sandbox = s,
                        .hypervisor = m->hypervisor,
                        .links = g_ptr_array_new_with_free_func(g_free),
                        .disks = layer_plan(s, s->row->layer, snapshot_head(s)),
                        .directory = sandbox_directory(m, id),
                        .commands = sandbox_file(m, id, "commands"),
                        .runtime_directory = sandbox_runtime_directory(m, id),
                        .nic = network_nic_new(s),
                        .nvram_template = g_strdup(s->template->row->nvram)};
        sandbox_fill_spec(s, q->disks, &q->spec);
        return q;
}

static void add_link(GPtrArray *links, char *from, char *to)
{
        g_ptr_array_add(links, from);
        g_ptr_array_add(links, to);
}

/* The files of a point of `from`'s, which `to` has under the same names. */
static void add_links(GPtrArray *links, const Snapshot *point, const Sandbox *to)
{
        const Manager *m = to->manager;
        const char *from_id = point->sandbox->row->id.text, *to_id = to->row->id.text;
        const GPtrArray *disks = to->template->row->disks;
        unsigned layer = point->row->layer;

        for (guint i = 0; i < disks->len; i++) {
                const TemplateDiskRow *disk = disks->pdata[i];
                add_link(links, sandbox_layer_path(m, from_id, layer, disk->target),
                         sandbox_layer_path(m, to_id, layer, disk->target));
        }
        if (!point->row->memory_abi)
                return;
        MemoryFiles *old = memory_files_new(m, from_id, layer);
        MemoryFiles *new = memory_files_new(m, to_id, layer);
        add_link(links, g_strdup(old->ram), g_strdup(new->ram));
        add_link(links, g_strdup(old->state), g_strdup(new->state));
        add_link(links, g_strdup(old->xml), g_strdup(new->xml));
        (void) memory_files_free(old);
        (void) memory_files_free(new);
}

/* -- the loop's side ------------------------------------------------------------------------ */

void sandbox_begin_timing(Sandbox *s, uint64_t begun_usec)
{
        static const char *const steps[_TIMING_STEP_MAX] = {
                [TIMING_OVERLAY] = "overlay", [TIMING_RULES] = "rules",
                [TIMING_DOMAIN] = "domain",   [TIMING_RESTORE] = "restore",
                [TIMING_AGENT] = "agent",     [TIMING_IDENTITY] = "identity",
                [TIMING_NETWORK] = "network",
        };

        for (TimingStep i = 0; i < _TIMING_STEP_MAX; i++)
                s->timing[i] = (SandboxTiming){steps[i], 0};
        s->step_usec = begun_usec;
}

void sandbox_time(Sandbox *s, TimingStep step)
{
        uint64_t now = now_monotonic_usec();

        if (s->step_usec)
                s->timing[step].usec = now - s->step_usec;
        s->step_usec = now;
}

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

static void set_started_from(Sandbox *s, const char *from)
{
        g_free(s->row->started_from);
        s->row->started_from = g_strdup(from);
}

static void creation_done(void *request, int r, const Fault *f, void *userdata)
{
        Creation *q = request;
        Sandbox *s = q->sandbox;
        Snapshot *point = snapshot_by_id(s->manager, userdata);

        g_free(userdata);
        if (point)
                point->readers--;
        if (r < 0 && s->state != SANDBOX_DESTROYING) {
                sandbox_abandon_creation(s, f);
                return;
        }
        if (s->state != SANDBOX_DESTROYING) {
                bool is_copy = q->memory && !fault_is_set(&q->memory_fault);
                if (q->memory && !is_copy)
                        log_warning("sandbox '%s' boots, as its memory image cannot be used: %s",
                                    s->row->name, q->memory_fault.message);
                set_started_from(s, is_copy ? "memory" : "boot");
                s->timing[TIMING_OVERLAY].usec = q->overlay_usec;
                s->timing[TIMING_DOMAIN].usec = q->timing.define_usec + q->timing.start_usec;
                s->timing[TIMING_RESTORE].usec = q->timing.restore_usec;
                s->has_timing = true;
                s->step_usec = now_monotonic_usec();
                if (q->nic && !is_copy)
                        network_is_started(s);
                sandbox_domain_is_on(s);
        }
        sandbox_end_operation(s);
}

/* The points from `point` down, as rows of `row`'s sandbox; the oldest first. */
static GPtrArray *copy_lineage(Manager *m, SandboxRow *row, Snapshot *point)
{
        GPtrArray *rows = g_ptr_array_new();

        for (Snapshot *p = point; p; p = snapshot_by_id(m, p->row->parent_id.text)) {
                SnapshotRow *copy = snapshot_copy_row(p);
                copy->sandbox_id = row->id;
                if (rows->len > 0)
                        ((SnapshotRow *) rows->pdata[0])->parent_id = copy->id;
                g_ptr_array_insert(rows, 0, copy);
                row->layer = MAX(row->layer, copy->layer + 1);
        }
        if (rows->len > 0)
                row->head_snapshot_id = ((SnapshotRow *) rows->pdata[rows->len - 1])->id;
        row->next_layer = row->layer + 1;
        return rows;
}

static int put_rows(Store *store, const SandboxRow *row, const GPtrArray *lineage, Fault *f)
{
        int r = store_begin(store, f);

        if (r == 0)
                r = store_put_sandbox(store, row, f);
        for (guint i = 0; r == 0 && i < lineage->len; i++)
                r = store_put_snapshot(store, lineage->pdata[i], f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0)
                store_rollback(store);
        return r;
}

static void free_snapshot_row(gpointer row, gpointer userdata)
{
        (void) userdata;
        (void) snapshot_row_free(row);
}

static void add_lineage(Sandbox *s, const GPtrArray *lineage)
{
        for (guint i = 0; i < lineage->len; i++) {
                Snapshot *copy = g_new0(Snapshot, 1);
                *copy = (Snapshot){.manager = s->manager, .row = lineage->pdata[i], .sandbox = s};
                snapshot_become_known(copy);
        }
}

int sandbox_make(Manager *m, SandboxRow *row, Template *t, Snapshot *point, bool boots,
                 AuditEntry *entry, Sandbox **ret, Fault *f)
{
        g_autoptr(SandboxRow) owned = row;
        g_autoptr(GPtrArray) lineage = copy_lineage(m, row, point);
        uint64_t begun = now_monotonic_usec();
        Fault why = {0};
        int r;

        /* What it has from another is older than itself: see the restore. */
        if (point)
                row->created_usec = now_realtime_usec();
        row->needs_identity = point;
        r = put_rows(m->store, row, lineage, f);
        if (r < 0) {
                g_ptr_array_foreach(lineage, free_snapshot_row, NULL);
                (void) audit_end(entry, r, f);
                return r;
        }
        Sandbox *s = g_new0(Sandbox, 1);
        *s = (Sandbox){.manager = m,
                       .row = TAKE_PTR(owned),
                       .state = SANDBOX_CREATING,
                       .template = t,
                       .renewal = point ? RENEW_IDENTITY : RENEW_NOTHING,
                       .create_entry = entry};
        sandbox_begin_timing(s, begun);
        (void) g_hash_table_insert(m->objects[OBJECT_SANDBOX], s->row->id.text, s);
        add_lineage(s, lineage);
        sandbox_announce(s);
        sandbox_arm_ttl(s);
        sandbox_touch(s);
        g_assert(sandbox_begin_operation(s, "created", NULL) == 0);
        *ret = s;
        /* Its rules are in the kernel before it is in libvirt. */
        if (s->row->address_number && isolation_set(s, &why) < 0) {
                sandbox_abandon_creation(s, &why);
                return 0;
        }
        s->timing[TIMING_RULES].usec = s->row->address_number ? now_monotonic_usec() - begun : 0;
        Creation *q = creation_new(s);
        for (Snapshot *p = point; p; p = snapshot_by_id(m, p->row->parent_id.text))
                add_links(q->links, p, s);
        if (point && point->row->memory_abi && !boots) {
                q->memory = memory_files_new(m, s->row->id.text, point->row->layer);
                q->must_not_boot = !g_str_has_prefix(point->row->name, "@");
        }
        if (point)
                point->readers++;
        (void) workers_submit(m->workers, creation_run, creation_done, q, creation_free,
                              g_strdup(point ? point->row->id.text : ""));
        return 0;
}

/* SPDX-License-Identifier: MIT */

/* What the store says against what there is, whenever libvirtd is there (again).
 *
 * Every change writes its intent first, so only these can differ: a creation or destruction that
 * was under way, a snapshot that was or was not cut, a restore that has not got to its end, and the
 * hidden layer of a diff. Each is told from which layer the domain writes to. */

#include "core/internal.h"

#include "base/file.h"
#include "base/log.h"

typedef struct Comparison {
        Sandbox *sandbox; /* kept alive by its operation; not looked at by the worker */
        Hypervisor *hypervisor;
        Id id;
        bool is_paused; /* on purpose */
        DomainState state;
        unsigned layer; /* 0: not one of ours */
} Comparison;

static int comparison_run(void *request, Fault *f)
{
        Comparison *q = request;
        DomainDisk *disks = NULL;
        size_t n = 0;
        int r = hypervisor_domain_state(q->hypervisor, q->id.text, &q->state, f);

        if (r < 0 || q->state == DOMAIN_ABSENT)
                return r;
        /* Whoever had stopped its CPUs for a moment is gone. */
        if (q->state == DOMAIN_PAUSED && !q->is_paused &&
            !network_has_foreign(q->hypervisor, q->id.text))
                (void) hypervisor_resume_domain(q->hypervisor, q->id.text, NULL);
        /* A resume from disk that had not got to its end: the memory is on disk still. */
        if (q->state == DOMAIN_LOADING && q->is_paused) {
                r = hypervisor_stop_domain(q->hypervisor, q->id.text, f);
                q->state = DOMAIN_SHUT_OFF;
        }
        if (r < 0)
                return r;
        r = hypervisor_domain_disks(q->hypervisor, q->id.text, &disks, &n, f);
        if (r == 0 && n > 0)
                q->layer = layer_number(disks[0].path);
        (void) domain_disks_free(disks, n);
        return r;
}

static void ended(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        if (r < 0)
                log_warning("sandbox '%s' could not be put right yet: %s", s->row->name,
                            f->message);
        s->needs_probe = true;
        sandbox_end_operation(s);
}

static void restore_ended(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);

        if (r >= 0)
                (void) audit_end(audit_resume(s->manager, "snapshot.restore", path), r, f);
        ended(r, f, userdata);
}

/* Nothing of these is under way: what an earlier process began and never did has ended. */
static void abandon_rows(const Sandbox *s)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);

        audit_abandon(s->manager, "snapshot.create", path);
        audit_abandon(s->manager, "snapshot.restore", path);
}

static bool is_on(DomainState state)
{
        return state == DOMAIN_RUNNING || domain_stands_still(state) || state == DOMAIN_LOADING;
}

/* Which layer the domain writes to tells how far a cut or a merge had got. */
static int settle(Sandbox *s, unsigned layer, Fault *f)
{
        Snapshot *unsettled = snapshot_find_unsettled(s);
        int r = unsettled ? snapshot_settle(unsettled, layer, f) : 0;
        Snapshot *head = snapshot_head(s);

        if (r == 0 && head && !head->row->name && layer == head->row->layer)
                r = snapshot_settle_merge(head, f);
        return r;
}

/* A restore always goes to a layer with a higher number. One that has got to that, and no further,
 * is begun again, too: nothing has run on it yet. */
static bool is_restore_unfinished(const Sandbox *s, const Comparison *q)
{
        if (q->layer && q->layer < s->row->layer)
                return true;
        if (q->state == DOMAIN_LOADING)
                return !s->row->paused_usec;
        return q->state == DOMAIN_SHUT_OFF && g_str_equal(s->row->state, "starting") &&
               g_str_equal(s->row->reason, REASON_RESTORING);
}

/* Returns true if something goes on that will end the operation. */
static bool put_right(Sandbox *s, const Comparison *q)
{
        Snapshot *head;
        Fault f = {0};

        if (settle(s, q->layer, &f) < 0) {
                log_error("sandbox '%s' cannot be put right: %s", s->row->name, f.message);
                sandbox_follow(s, q->state);
                return false;
        }
        if (is_restore_unfinished(s, q)) {
                log_info("a restore of sandbox '%s' is finished", s->row->name);
                restore_finish(s, q->layer,
                               is_on(q->state) || g_str_equal(s->row->state, "starting"),
                               restore_ended, s);
                return true;
        }
        abandon_rows(s);
        if (q->layer != s->row->layer) {
                log_error(
                        "sandbox '%s' writes to layer %u where layer %u was expected; it is left as "
                        "it is",
                        s->row->name, q->layer, s->row->layer);
                sandbox_follow(s, q->state);
                return false;
        }
        restore_drop_unused(s);
        layer_remove_unused(s);
        command_remove_unused(s);
        /* What is plugged in is not told while libvirtd is away. */
        if (is_on(q->state) && (s->agent || s->row->paused_usec))
                network_check_devices(s);
        sandbox_follow(s, q->state);
        head = snapshot_head(s);
        if (!head || head->row->name)
                return false;
        snapshot_merge_hidden(head, ended, s);
        return true;
}

static void comparison_done(void *request, int r, const Fault *f, void *userdata)
{
        Comparison *q = request;
        Sandbox *s = q->sandbox;

        (void) userdata;
        if (r < 0)
                log_warning("sandbox '%s' could not be compared with libvirt: %s", s->row->name,
                            f->message);
        else if (s->state == SANDBOX_DESTROYING)
                log_debug("sandbox '%s' was destroyed meanwhile", s->row->name);
        else if (q->state == DOMAIN_ABSENT) {
                abandon_rows(s);
                sandbox_follow(s, q->state);
        } else if (put_right(s, q))
                return;
        sandbox_end_operation(s);
}

void reconcile_sandbox(Sandbox *s)
{
        Fault interrupted = {0};

        s->needs_reconcile = s->operation;
        if (s->operation)
                return;
        if (s->state == SANDBOX_CREATING) {
                (void) fault_set(&interrupted, FAULT_CANCELLED,
                                 "fluid-hostd was restarted while the sandbox was made");
                sandbox_abandon_creation(s, &interrupted);
                return;
        }
        if (s->state == SANDBOX_DESTROYING) {
                sandbox_destroy_unfinished(s);
                return;
        }
        if (sandbox_begin_operation(s, "compared with libvirt", NULL) < 0)
                return;
        Comparison *q = g_new0(Comparison, 1);
        *q = (Comparison){.sandbox = s,
                          .hypervisor = s->manager->hypervisor,
                          .id = s->row->id,
                          .is_paused = s->row->paused_usec};
        (void) workers_submit(s->manager->workers, comparison_run, comparison_done, q, g_free,
                              NULL);
}

/* -- what no sandbox has ---------------------------------------------------------------------- */

/* First it is listed what there is, then looked up whose it is, on the loop, and what is nobody's
 * is removed: what is made meanwhile is not on the list. */
typedef struct Orphans {
        Manager *manager;
        Hypervisor *hypervisor;
        char *directory, *runtime_directory;
        GHashTable *ids; /* that there is something of */
        bool is_listed;
} Orphans;

static void orphans_free(gpointer data)
{
        Orphans *q = data;

        g_free(q->directory);
        g_free(q->runtime_directory);
        g_hash_table_unref(q->ids);
        g_free(q);
}

static void list_directory(const Orphans *q, const char *path)
{
        g_autoptr(GDir) list = g_dir_open(path, 0, NULL);

        for (const char *name; list && (name = g_dir_read_name(list));)
                if (id_is_valid(name))
                        (void) g_hash_table_add(q->ids, g_strdup(name));
}

static int list_all(const Orphans *q, Fault *f)
{
        g_autoptr(GArray) domains = NULL;
        int r = hypervisor_list_own_domains(q->hypervisor, &domains, f);

        if (r < 0)
                return r;
        for (guint i = 0; i < domains->len; i++)
                (void) g_hash_table_add(q->ids,
                                        g_strdup(g_array_index(domains, DomainEntry, i).id));
        list_directory(q, q->directory);
        list_directory(q, q->runtime_directory);
        return 0;
}

/* Only one whose disks are in this daemon's directory: another may use the same libvirt. */
static bool is_of_this_daemon(const Orphans *q, const char *id)
{
        g_autofree char *prefix = g_build_filename(q->directory, id, "", NULL);
        DomainDisk *disks = NULL;
        size_t n = 0;
        bool is_ours = hypervisor_domain_disks(q->hypervisor, id, &disks, &n, NULL) >= 0 && n > 0;

        for (size_t i = 0; i < n; i++)
                is_ours = is_ours && disks[i].path && g_str_has_prefix(disks[i].path, prefix);
        (void) domain_disks_free(disks, n);
        return is_ours;
}

static int remove_orphan(const Orphans *q, const char *id, Fault *f)
{
        g_autofree char *directory = g_build_filename(q->directory, id, NULL);
        g_autofree char *runtime_directory = g_build_filename(q->runtime_directory, id, NULL);
        DomainState state;
        int r = hypervisor_domain_state(q->hypervisor, id, &state, f);

        if (r < 0)
                return r;
        if (state != DOMAIN_ABSENT && !is_of_this_daemon(q, id)) {
                log_warning("domain %s%s is in fluid's name, but no sandbox; it is left as it is",
                            DOMAIN_PREFIX, id);
                return 0;
        }
        r = hypervisor_remove_domain(q->hypervisor, id, f);
        if (r >= 0)
                r = remove_tree(runtime_directory, f);
        if (r >= 0)
                r = remove_tree(directory, f);
        if (r >= 0)
                log_warning("what was left of %s, which is no sandbox, is removed", id);
        return r;
}

static int orphans_run(void *request, Fault *f)
{
        const Orphans *q = request;
        GHashTableIter iter;
        void *id;
        int r = 0;

        if (!q->is_listed)
                return list_all(q, f);
        g_hash_table_iter_init(&iter, q->ids);
        while (r >= 0 && g_hash_table_iter_next(&iter, &id, NULL))
                r = remove_orphan(q, id, f);
        return r;
}

static gboolean is_known(gpointer id, gpointer value, gpointer manager)
{
        const Manager *m = manager;

        (void) value;
        return g_hash_table_contains(m->objects[OBJECT_SANDBOX], id) ||
               g_hash_table_contains(m->objects[OBJECT_SNAPSHOT], id);
}

static void orphans_done(void *request, int r, const Fault *f, void *userdata)
{
        Orphans *q = request;

        (void) userdata;
        if (r < 0)
                log_warning("what no sandbox has was not looked for to the end: %s", f->message);
        if (r < 0 || q->is_listed)
                return;
        (void) g_hash_table_foreach_remove(q->ids, is_known, q->manager);
        if (g_hash_table_size(q->ids) == 0)
                return;
        Orphans *next = g_new0(Orphans, 1);
        *next = (Orphans){.manager = q->manager,
                          .hypervisor = q->hypervisor,
                          .directory = g_strdup(q->directory),
                          .runtime_directory = g_strdup(q->runtime_directory),
                          .ids = g_hash_table_ref(q->ids),
                          .is_listed = true};
        (void) workers_submit(q->manager->workers, orphans_run, orphans_done, next, orphans_free,
                              NULL);
}

void reconcile_orphans(Manager *m)
{
        Orphans *q = g_new0(Orphans, 1);

        *q = (Orphans){.manager = m,
                       .hypervisor = m->hypervisor,
                       .directory = g_build_filename(m->config->state_directory, "sandboxes", NULL),
                       .runtime_directory = g_strdup(m->config->runtime_directory),
                       .ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
        (void) workers_submit(m->workers, orphans_run, orphans_done, q, orphans_free, NULL);
}

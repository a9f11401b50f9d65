/* SPDX-License-Identifier: MIT */
#include "core/internal.h"
#include "core/isolation.h"

#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"
#include "loop/child.h"
#include "store/reserve.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

/* -- state ---------------------------------------------------------------------------------- */

const char *manager_state(const Manager *m)
{
        if (m->is_draining)
                return "draining";
        return hypervisor_is_connected(m->hypervisor) ? "running" : "degraded";
}

const Config *manager_config(const Manager *m)
{
        return m->config;
}

Capacity manager_capacity(const Manager *m)
{
        Capacity c = {.sandboxes_max = (unsigned) m->config->sandboxes_max,
                      .disk_floor_bytes = m->config->disk_floor_bytes};
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Sandbox *s = object;
                c.sandboxes += !sandbox_is_hidden(s);
                if (!sandbox_holds_memory(s))
                        continue;
                c.vcpus_used += s->row->vcpus;
                c.memory_used_bytes += s->row->memory_bytes;
        }
        (void) disk_free_bytes(m->config->state_directory, &c.disk_free_bytes, NULL);
        return c;
}

static uint64_t directory_bytes(const char *path)
{
        g_autoptr(GDir) files = g_dir_open(path, 0, NULL);
        uint64_t bytes = 0;

        for (const char *name; files && (name = g_dir_read_name(files));) {
                g_autofree char *file = g_build_filename(path, name, NULL);
                struct stat st;
                /* What others have a link to is not this one's alone. */
                if (stat(file, &st) == 0 && S_ISREG(st.st_mode))
                        bytes += (uint64_t) st.st_blocks * 512 / MAX(st.st_nlink, 1);
        }
        return bytes;
}

int manager_check_owner(const Manager *m, uint32_t uid, uint64_t more_bytes, Fault *f)
{
        uint64_t memory_bytes = more_bytes, disk_bytes = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Sandbox *s = object;
                g_autofree char *directory = sandbox_directory(m, s->row->id.text);
                if (s->row->owner_uid != uid || sandbox_is_hidden(s))
                        continue;
                memory_bytes += sandbox_holds_memory(s) ? s->row->memory_bytes : 0;
                disk_bytes += directory_bytes(directory);
        }
        g_hash_table_iter_init(&iter, m->objects[OBJECT_PLAYBOOK]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const PlaybookRow *row = playbook_row(object);
                if (row->owner_uid == uid)
                        disk_bytes += row->size_bytes + row->document_bytes;
        }
        g_autofree char *memory = size_format(m->config->memory_per_owner_max_bytes);
        if (more_bytes && memory_bytes > m->config->memory_per_owner_max_bytes)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "your running sandboxes would have more memory than "
                                 "memory_per_owner_max, %s: stop or destroy some",
                                 memory);
        g_autofree char *disk = size_format(m->config->disk_per_owner_max_bytes);
        if (disk_bytes > m->config->disk_per_owner_max_bytes)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "your sandboxes and playbooks use more disk than "
                                 "disk_per_owner_max, %s: delete snapshots or destroy some",
                                 disk);
        return 0;
}

int manager_has_room(const Manager *m, Fault *f)
{
        uint64_t free_bytes;
        int r = disk_free_bytes(m->config->state_directory, &free_bytes, f);

        if (r < 0)
                return r;
        if (free_bytes >= m->config->disk_floor_bytes) {
                reserve_refill(free_bytes - m->config->disk_floor_bytes);
                return 0;
        }
        g_autofree char *left = size_format(free_bytes);
        g_autofree char *floor = size_format(m->config->disk_floor_bytes);
        return fault_set(
                f, FAULT_NO_SPACE,
                "only %s are left in %s and disk_floor is %s: destroy sandboxes or snapshots, or "
                "make room on that disk",
                left, m->config->state_directory, floor);
}

int manager_admits_work(const Manager *m, Fault *f)
{
        if (m->is_draining)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "fluid-hostd is about to exit; try again when it is back");
        return 0;
}

static int on_drained(sd_event_source *source, void *userdata)
{
        Manager *m = userdata;

        (void) source;
        m->drain_timer = sd_event_source_disable_unref(m->drain_timer);
        m->drained(m->drained_userdata);
        return 0;
}

/* From the loop, so that whoever ended the last operation has returned. */
static void check_drained(Manager *m)
{
        if (m->is_draining && m->operations == 0 && m->drained && !m->drain_check)
                (void) sd_event_add_defer(m->event, &m->drain_check, on_drained, m);
}

static int on_drain_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;

        (void) usec;
        log_warning("%u operations did not end in time; they are taken up at the next start",
                    m->operations);
        return on_drained(source, userdata);
}

void manager_drain(Manager *m, uint64_t timeout_usec, void (*done)(void *userdata), void *userdata)
{
        if (m->is_draining)
                return;
        m->is_draining = true;
        m->drained = done;
        m->drained_userdata = userdata;
        if (m->observer)
                m->observer->state_changed(m->observer_userdata);
        (void) sd_event_add_time_relative(m->event, &m->drain_timer, CLOCK_MONOTONIC, timeout_usec,
                                          0, on_drain_timeout, m);
        check_drained(m);
}

void manager_begin_operation(Manager *m)
{
        m->operations++;
}

void manager_end_operation(Manager *m)
{
        g_assert(m->operations > 0);
        m->operations--;
        check_drained(m);
}

static void keep(char **new_value, const char *old_value)
{
        g_free(*new_value);
        *new_value = g_strdup(old_value);
}

void manager_reload(Manager *m, Config *config)
{
        keep(&config->state_directory, m->config->state_directory);
        keep(&config->runtime_directory, m->config->runtime_directory);
        keep(&config->network_range, m->config->network_range);
        keep(&config->network_name, m->config->network_name);
        keep(&config->network_bridge, m->config->network_bridge);
        config->network_leases = m->config->network_leases;
        /* Worker requests point into the old one. */
        g_ptr_array_add(m->old_configs, m->config);
        m->config = config;
        isolation_reload(m);
        log_info("the configuration was read again");
}

void manager_set_observer(Manager *m, const ManagerObserver *observer, void *userdata)
{
        m->observer = observer;
        m->observer_userdata = userdata;
}

/* -- beginning and end ---------------------------------------------------------------------- */

static int find_users(Manager *m, Fault *f)
{
        const struct passwd *user = getpwnam(m->config->qemu_user);
        const struct group *group = getgrnam(m->config->qemu_group);

        if (!user)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no user '%s' (qemu_user in fluid.conf); the libvirt "
                                 "packages make it",
                                 m->config->qemu_user);
        if (!group)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no group '%s' (qemu_group in fluid.conf)",
                                 m->config->qemu_group);
        m->qemu_uid = user->pw_uid;
        m->qemu_gid = group->gr_gid;
        return 0;
}

/* QEMU has to pass through them; nobody else has to see what is inside. */
static int make_directories(Manager *m, Fault *f)
{
        static const char *const below[] = {"templates", "sandboxes"};
        static const char *const own[] = {"playbooks", "approvals"};
        int r = make_directory(m->config->state_directory, 0711, 0, 0, f);

        for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(below); i++) {
                g_autofree char *path =
                        g_build_filename(m->config->state_directory, below[i], NULL);
                r = make_directory(path, 0710, 0, m->qemu_gid, f);
        }
        for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(own); i++) {
                g_autofree char *path = g_build_filename(m->config->state_directory, own[i], NULL);
                r = make_directory(path, 0700, 0, 0, f);
        }
        return r < 0 ? r : make_directory(m->config->runtime_directory, 0711, 0, 0, f);
}

/* It may lack room to begin with. */
static void open_reserve(const Manager *m)
{
        g_autofree char *path = g_build_filename(m->config->state_directory, "reserve", NULL);
        Fault f = {0};

        if (reserve_open(path, &f) < 0)
                log_warning("the trail has no room of its own: %s", f.message);
        else
                (void) manager_has_room(m, NULL);
}

static int open_store(Manager *m, Fault *f)
{
        g_autofree char *path = g_build_filename(m->config->state_directory, "fluid.db", NULL);
        int r;

        open_reserve(m);
        r = store_open(path, &m->store, f);
        if (r == 0)
                audit_watch_rows(m);
        if (r == 0)
                r = template_load_all(m, f);
        if (r == 0)
                r = sandbox_load_all(m, f);
        if (r == 0)
                r = snapshot_load_all(m, f);
        if (r == 0)
                r = command_load_all(m, f);
        /* Before what may be asked of it. */
        if (r == 0)
                r = playbook_load_all(m, f);
        if (r == 0)
                r = approval_load_all(m, f);
        if (r < 0)
                return r;
        audit_end_interrupted(m);
        /* What this one begins is not what an earlier one left. */
        approval_check_next(m);
        return 0;
}

int manager_new(sd_event *event, Config *config, Manager **ret, Fault *f)
{
        g_autoptr(Manager) m = g_new0(Manager, 1);
        int r;

        m->event = sd_event_ref(event);
        m->config = config;
        m->old_configs = g_ptr_array_new();
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++)
                m->objects[kind] = g_hash_table_new(g_str_hash, g_str_equal);
        child_set_directory(config->runtime_directory);
        r = find_users(m, f);
        if (r == 0)
                r = make_directories(m, f);
        if (r == 0)
                r = workers_new(event, (unsigned) config->worker_threads, &m->workers, f);
        if (r == 0)
                r = audit_keeper_new(m, f);
        if (r == 0)
                r = open_store(m, f);
        if (r == 0)
                r = isolation_new(m, f);
        if (r == 0)
                r = hypervisor_new(event, config->libvirt_uri, config->virt_type,
                                   &manager_hypervisor_observer, m, &m->hypervisor, f);
        if (r < 0)
                return r;
        audit_seal_begin(m);
        network_watch_drops(m);
        *ret = g_steal_pointer(&m);
        return 0;
}

static void free_all(Manager *m, ObjectKind kind, void (*free_object)(void *object))
{
        g_autoptr(GPtrArray) list = manager_list(m, kind);

        g_hash_table_remove_all(m->objects[kind]);
        for (guint i = 0; i < list->len; i++)
                free_object(list->pdata[i]);
}

static void free_approval(void *object)
{
        (void) approval_free(object);
}

static void free_playbook(void *object)
{
        (void) playbook_free(object);
}

static void free_command(void *object)
{
        (void) command_free(object);
}

static void free_snapshot(void *object)
{
        (void) snapshot_free(object);
}

static void free_sandbox(void *object)
{
        (void) sandbox_free(object);
}

static void free_template(void *object)
{
        (void) template_free(object);
}

Manager *manager_free(Manager *m)
{
        if (!m)
                return NULL;
        m->observer = NULL;
        m->is_closing = true;
        /* First of all the channels: to cancel a command would kill it. */
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);
        for (guint i = 0; i < sandboxes->len; i++) {
                Sandbox *s = sandboxes->pdata[i];
                s->agent = agent_free(s->agent);
        }
        m->workers = workers_free(m->workers);
        audit_keeper_free(m);
        free_all(m, OBJECT_APPROVAL, free_approval);
        free_all(m, OBJECT_PLAYBOOK, free_playbook);
        free_all(m, OBJECT_COMMAND, free_command);
        free_all(m, OBJECT_SNAPSHOT, free_snapshot);
        free_all(m, OBJECT_SANDBOX, free_sandbox);
        free_all(m, OBJECT_TEMPLATE, free_template);
        isolation_free(m);
        m->hypervisor = hypervisor_free(m->hypervisor);
        m->store = store_free(m->store);
        reserve_close();
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++)
                g_clear_pointer(&m->objects[kind], g_hash_table_unref);
        m->drain_timer = sd_event_source_disable_unref(m->drain_timer);
        m->drain_check = sd_event_source_disable_unref(m->drain_check);
        m->approval_timer = sd_event_source_disable_unref(m->approval_timer);
        m->drops_timer = sd_event_source_disable_unref(m->drops_timer);
        g_queue_clear_full(&m->notifications, g_free);
        g_free(m->memory_abi);
        (void) config_free(m->config);
        for (guint i = 0; i < m->old_configs->len; i++)
                (void) config_free(m->old_configs->pdata[i]);
        g_ptr_array_unref(m->old_configs);
        m->event = sd_event_unref(m->event);
        g_free(m);
        return NULL;
}

/* SPDX-License-Identifier: MIT */

/* Pools: copies of a warm template that are ready, have no owner yet, and are handed out whole.
 * Told from the rows, as the images are. */

#include "core/warm-private.h"

#include "base/log.h"
#include "base/quantity.h"

#define POOL_RETRY_USEC (30 * USEC_PER_SEC)

/* So long whoever took one has the machine to themselves: what it does first would share disk and
 * processors with the start of the next. One that is taken meanwhile does not put it off again. */
#define POOL_YIELD_USEC (500 * USEC_PER_MSEC)

typedef struct PoolCount {
        unsigned ready, coming;
        Sandbox *spare;   /* one that could go, or NULL */
        Sandbox *useless; /* one that has to, or NULL */
} PoolCount;

static bool is_of_image(const Sandbox *s, const Snapshot *image)
{
        const Snapshot *point = snapshot_find(s, POINT_BOOTED);

        return point && image && point->row->created_usec == image->row->created_usec;
}

static PoolCount count_pool(const Template *t, const Snapshot *image)
{
        g_autoptr(GPtrArray) list = manager_list(t->manager, OBJECT_SANDBOX);
        PoolCount count = {0};

        for (guint i = 0; i < list->len; i++) {
                Sandbox *s = list->pdata[i];
                if (!warm_has_purpose(s, t, PURPOSE_POOL) || s->state == SANDBOX_DESTROYING)
                        continue;
                if (s->state == SANDBOX_FAILED || s->state == SANDBOX_STOPPED ||
                    (image && !is_of_image(s, image))) {
                        count.useless = s;
                        continue;
                }
                count.ready += s->state == SANDBOX_READY;
                count.coming += s->state != SANDBOX_READY;
                count.spare = s;
        }
        return count;
}

/* Counted in full, though copies share most of it. */
static uint64_t pool_memory_bytes(const Manager *m)
{
        uint64_t bytes = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Sandbox *s = object;
                if (g_str_equal(s->row->purpose, PURPOSE_POOL))
                        bytes += s->row->memory_bytes;
        }
        return bytes;
}

/* What was asked for, while anything is taken from it. */
static unsigned pool_target(const Template *t)
{
        uint64_t idle = now_monotonic_usec() - t->pool_taken_usec;

        if (!t->row->is_warm || t->is_busy || t->is_cooling)
                return 0;
        if (template_check_unchanged(t, NULL) < 0)
                return 0;
        return idle > t->manager->config->pool_idle_usec ? MIN(t->row->pool, 1) : t->row->pool;
}

static void tend(Template *t);

static int on_pool_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Template *t = userdata;

        (void) source;
        (void) usec;
        t->pool_timer = sd_event_source_disable_unref(t->pool_timer);
        tend(t);
        return 0;
}

static void tend_in(Template *t, uint64_t usec)
{
        t->pool_timer = sd_event_source_disable_unref(t->pool_timer);
        (void) sd_event_add_time_relative(t->manager->event, &t->pool_timer, CLOCK_MONOTONIC, usec,
                                          1, on_pool_timer, t);
}

static void retry_later(Template *t)
{
        t->pool_retry_usec = now_monotonic_usec() + POOL_RETRY_USEC;
}

static void add_member(Template *t, Snapshot *image)
{
        Manager *m = t->manager;
        uint64_t memory_bytes = t->row->memory_bytes;
        Sandbox *s;
        Fault f = {0};
        int r = manager_has_room(m, &f);

        if (r == 0 && pool_memory_bytes(m) + memory_bytes > m->config->pool_memory_max_bytes)
                return;
        if (r == 0)
                r = sandbox_make(m, warm_own_row(t, PURPOSE_POOL, t->row->vcpus, memory_bytes), t,
                                 image, false, NULL, &s, &f);
        if (r == 0)
                return;
        log_warning("the pool of template '%s' is not filled now: %s", t->row->name, f.message);
        retry_later(t);
}

/* One step; what it does leads to the next. */
static void tend(Template *t)
{
        const Manager *m = t->manager;
        unsigned target = pool_target(t);
        uint64_t now = now_monotonic_usec();
        PoolCount count;

        if (m->is_draining || !hypervisor_is_connected(m->hypervisor))
                return;
        Snapshot *image =
                target > 0 ? warm_find_image(t, t->row->vcpus, t->row->memory_bytes) : NULL;
        count = count_pool(t, image);
        manager_changed(t->manager, OBJECT_TEMPLATE, t);
        if (count.useless) {
                /* One that failed would fail again at once. */
                if (count.useless->state == SANDBOX_FAILED)
                        retry_later(t);
                warm_destroy_own(count.useless);
        } else if (count.ready + count.coming > target && count.spare) {
                warm_destroy_own(count.spare);
        } else if (image && count.coming == 0 && count.ready < target) {
                /* One after the other: whoever creates a sandbox meanwhile must not wait for all.
                 */
                if (now >= t->pool_retry_usec && now >= t->pool_refill_usec)
                        add_member(t, image);
                uint64_t next = MAX(t->pool_retry_usec, t->pool_refill_usec);
                if (next > now)
                        tend_in(t, next - now);
        } else if (target > 1 && m->config->pool_idle_usec != USEC_INFINITY) {
                tend_in(t, t->pool_taken_usec + m->config->pool_idle_usec + USEC_PER_SEC - now);
        }
}

/* From the loop: whoever calls this may be in the midst of a change. */
void pool_tend(Template *t)
{
        if (!t->manager->is_closing)
                tend_in(t, 0);
}

void pool_tend_all(Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_TEMPLATE);

        for (guint i = 0; i < list->len; i++)
                pool_tend(list->pdata[i]);
}

void pool_taken(Template *t)
{
        uint64_t now = now_monotonic_usec();

        t->pool_taken_usec = now;
        if (t->pool_refill_usec < now)
                t->pool_refill_usec = now + POOL_YIELD_USEC;
        pool_tend(t);
}

Sandbox *pool_find(Template *t, unsigned vcpus, uint64_t memory_bytes)
{
        g_autoptr(GPtrArray) list = NULL;

        if (vcpus != t->row->vcpus || memory_bytes != t->row->memory_bytes || t->is_cooling)
                return NULL;
        list = manager_list(t->manager, OBJECT_SANDBOX);
        for (guint i = 0; i < list->len; i++) {
                Sandbox *s = list->pdata[i];
                if (warm_has_purpose(s, t, PURPOSE_POOL) && s->state == SANDBOX_READY &&
                    !s->operation && s->agent && agent_is_reachable(s->agent))
                        return s;
        }
        return NULL;
}

int template_set_pool(Template *t, Caller *caller, unsigned size, Fault *f)
{
        const Config *c = t->manager->config;
        g_autofree char *path = warm_bus_path(t);
        AuditEntry *entry = NULL;
        int r = warm_check_can_change(t, f);

        if (r == 0 && size > 0 &&
            (size > c->sandboxes_max || t->row->memory_bytes * size > c->pool_memory_max_bytes)) {
                g_autofree char *most = size_format(c->pool_memory_max_bytes);
                r = fault_set(f, FAULT_LIMITS_EXCEEDED,
                              "a pool of %u would need more memory than pool_memory_max, %s", size,
                              most);
        }
        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "name", json_object_new_string(t->row->name));
        (void) json_object_object_add(detail, "pool", json_object_new_int64(size));
        r = audit_begin(t->manager, caller, "template.pool", path, detail, &entry, f);
        if (r == 0)
                r = warm_keep(t, t->row->is_warm || size > 0, size, f);
        (void) audit_end(entry, r, f);
        if (r < 0)
                return r;
        t->pool_taken_usec = now_monotonic_usec();
        t->pool_retry_usec = 0;
        pool_tend(t);
        return 0;
}

/* SPDX-License-Identifier: MIT */

/* Approvals do not wait for ever, nor are they kept for ever. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

/* What could not be written is tried again. */
#define RETRY_USEC (10 * USEC_PER_SEC)

int approval_check_time(const Approval *a, Fault *f)
{
        if (now_realtime_usec() < a->row->expires_usec)
                return 0;
        return fault_set(f, FAULT_APPROVAL_EXPIRED, "approval %s has expired", a->row->id.text);
}

static bool can_expire(const Approval *a)
{
        return approval_is(a, "pending") || approval_is_usable(a);
}

static bool expire(Approval *a)
{
        Caller own = manager_own_caller();
        g_autoptr(ApprovalRow) next = approval_row_copy(a->row);
        Fault f = {0};

        approval_end_row(next, "expired",
                         approval_is(a, "pending") ? "nobody answered in time"
                                                   : "it was not applied in time");
        if (approval_record(a, &next, &own, "approval.expire", NULL, NULL, &f) >= 0)
                return true;
        log_error("the end of approval %s cannot be saved: %s", a->row->id.text, f.message);
        return false;
}

static bool forget(Approval *a)
{
        Manager *m = a->manager;
        Fault f = {0};

        if (store_delete_approval(m->store, a->row->id.text, &f) < 0) {
                log_error("approval %s cannot be removed: %s", a->row->id.text, f.message);
                return false;
        }
        approval_remove_logs(a);
        (void) fault_set(&f, FAULT_NOT_FOUND, "approval %s was forgotten", a->row->id.text);
        manager_remove(m, OBJECT_APPROVAL, a->row->id.text, a);
        wait_fail(&a->waiters, &f);
        (void) approval_free(a);
        return true;
}

/* When something is to be done about it; UINT64_MAX: never. */
static uint64_t due_usec(const Approval *a)
{
        uint64_t keep = a->manager->config->approval_keep_usec;

        if (can_expire(a))
                return a->row->expires_usec;
        if (!a->row->ended_usec || keep >= UINT64_MAX - a->row->ended_usec)
                return UINT64_MAX;
        return a->row->ended_usec + keep;
}

static bool is_excess(const Approval *a, GHashTable *kept)
{
        gpointer uid = GUINT_TO_POINTER(a->row->requester_uid);
        guint n = GPOINTER_TO_UINT(g_hash_table_lookup(kept, uid));

        if (!a->row->ended_usec)
                return false;
        (void) g_hash_table_insert(kept, uid, GUINT_TO_POINTER(n + 1));
        return n >= a->manager->config->approvals_kept_max;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source;
        (void) usec;
        approval_tend(userdata);
        return 0;
}

static void set_timer(Manager *m, uint64_t usec)
{
        m->approval_timer = sd_event_source_disable_unref(m->approval_timer);
        if (usec != UINT64_MAX)
                (void) sd_event_add_time(m->event, &m->approval_timer, CLOCK_REALTIME, usec,
                                         USEC_PER_MSEC, on_timer, m);
}

void approval_tend(Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_APPROVAL);
        g_autoptr(GHashTable) kept = g_hash_table_new(NULL, NULL);
        uint64_t now = now_realtime_usec(), next = UINT64_MAX;

        /* The newest are kept. */
        for (guint i = list->len; i-- > 0;) {
                Approval *a = list->pdata[i];
                bool is_good = true;
                if (can_expire(a) && due_usec(a) <= now)
                        is_good = expire(a);
                bool is_over = is_excess(a, kept) || (!can_expire(a) && due_usec(a) <= now);
                if (is_over && forget(a))
                        continue;
                next = MIN(next, is_good && !is_over ? due_usec(a) : now + RETRY_USEC);
        }
        set_timer(m, next);
}

/* SPDX-License-Identifier: MIT */

/* Tells a person that something waits: one program at a time, in a unit of its own, whose failure
 * harms nothing. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/quantity.h"
#include "loop/child.h"

#include <string.h>

#define DEADLINE_USEC (30 * USEC_PER_SEC)

typedef struct Notification {
        Manager *manager;
        Id id;
        char **argv;
} Notification;

static void notification_free(gpointer data)
{
        Notification *q = data;

        g_strfreev(q->argv);
        g_free(q);
}

static int notification_run(void *request, Fault *f)
{
        const Notification *q = request;

        return child_run(&CHILD_SPEC(.unit = "fluid-notify", .argv = (const char *const *) q->argv,
                                     .deadline_usec = DEADLINE_USEC),
                         f);
}

static void next(Manager *m);

static void notification_done(void *request, int r, const Fault *f, void *userdata)
{
        const Notification *q = request;
        Manager *m = q->manager;
        Approval *a = g_hash_table_lookup(m->objects[OBJECT_APPROVAL], q->id.text);
        Fault why = {0};

        (void) userdata;
        m->is_notifying = false;
        if (r < 0)
                log_warning("nobody was told of approval %s: %s", q->id.text, f->message);
        if (r >= 0 && a) {
                a->row->is_notified = true;
                if (store_put_approval(m->store, a->row, &why) < 0)
                        log_warning("that somebody was told of approval %s cannot be saved: %s",
                                    q->id.text, why.message);
        }
        next(m);
}

static char **make_argv(const Approval *a)
{
        const ApprovalContent *c = &a->content;
        g_autofree char *summary = escape_print(c->summary, strlen(c->summary));
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        g_ptr_array_add(argv, g_strdup("approval-notify"));
        g_ptr_array_add(argv, g_strdup_printf("--approval=%s", a->row->id.text));
        g_ptr_array_add(argv, g_strdup_printf("--action=%s", a->row->action));
        g_ptr_array_add(argv, g_strdup_printf("--urgency=%s", a->row->urgency));
        g_ptr_array_add(argv, g_strdup_printf("--summary=%s", summary));
        g_ptr_array_add(argv, NULL);
        return (char **) g_ptr_array_free(TAKE_PTR(argv), FALSE);
}

static void begin(Approval *a)
{
        Manager *m = a->manager;
        Notification *q = g_new0(Notification, 1);

        *q = (Notification){.manager = m, .id = a->row->id, .argv = make_argv(a)};
        m->is_notifying = true;
        (void) workers_submit(m->workers, notification_run, notification_done, q, notification_free,
                              NULL);
}

static bool is_wanted(const Manager *m)
{
        return g_str_equal(m->config->approval_notify, "yes");
}

static void next(Manager *m)
{
        while (!m->is_notifying && is_wanted(m) && !g_queue_is_empty(&m->notifications)) {
                g_autofree char *id = g_queue_pop_head(&m->notifications);
                Approval *a = g_hash_table_lookup(m->objects[OBJECT_APPROVAL], id);
                if (a && approval_is(a, "pending"))
                        begin(a);
        }
}

void approval_notify(Approval *a)
{
        Manager *m = a->manager;

        if (!is_wanted(m) || a->row->is_notified || !approval_is(a, "pending"))
                return;
        g_queue_push_tail(&m->notifications, g_strdup(a->row->id.text));
        next(m);
}

void approval_notify_all(Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_APPROVAL);

        for (guint i = 0; i < list->len; i++)
                approval_notify(list->pdata[i]);
}

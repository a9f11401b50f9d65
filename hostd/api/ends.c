/* SPDX-License-Identifier: MIT */
#include "api/ends.h"

#include "core/sandbox.h"
#include "core/template.h"

typedef struct End {
        Ends *ends; /* NULL once they are gone */
        ObjectKind kind;
        Id id;
        uid_t owner_uid; /* of a sandbox */
        Fault why;
} End;

struct Ends {
        GQueue watched, known; /* of End; the newest last */
};

static void on_end(int r, const Fault *f, void *userdata)
{
        End *end = userdata;
        Ends *e = end->ends;

        if (e)
                (void) g_queue_remove(&e->watched, end);
        if (!e || r >= 0) {
                g_free(end);
                return;
        }
        end->why = *f;
        g_queue_push_tail(&e->known, end);
        if (e->known.length > ENDS_MAX)
                g_free(g_queue_pop_head(&e->known));
}

static End *end_new(Ends *e, ObjectKind kind, Id id)
{
        End *end = g_new0(End, 1);

        end->ends = e;
        end->kind = kind;
        end->id = id;
        g_queue_push_tail(&e->watched, end);
        return end;
}

static void give_up(End *end)
{
        (void) g_queue_remove(&end->ends->watched, end);
        g_free(end);
}

void ends_watch_template(Ends *e, Template *t)
{
        End *end = end_new(e, OBJECT_TEMPLATE, template_row(t)->id);

        if (template_wait(t, UINT64_MAX, on_end, end, NULL) < 0)
                give_up(end);
}

void ends_watch_sandbox(Ends *e, Sandbox *s)
{
        End *end = end_new(e, OBJECT_SANDBOX, sandbox_row(s)->id);

        end->owner_uid = sandbox_row(s)->owner_uid;
        if (sandbox_wait(s, "ready", UINT64_MAX, on_end, end, NULL) < 0)
                give_up(end);
}

const Fault *ends_find(const Ends *e, const Caller *caller, ObjectKind kind, const char *id)
{
        for (const GList *link = e->known.head; link; link = link->next) {
                const End *end = link->data;

                if (end->kind != kind || !g_str_equal(end->id.text, id))
                        continue;
                if (kind == OBJECT_TEMPLATE || caller_is_admin(caller) ||
                    end->owner_uid == caller->uid)
                        return &end->why;
        }
        return NULL;
}

Ends *ends_new(void)
{
        Ends *e = g_new0(Ends, 1);

        g_queue_init(&e->watched);
        g_queue_init(&e->known);
        return e;
}

Ends *ends_free(Ends *e)
{
        if (!e)
                return NULL;
        for (GList *link = e->watched.head; link; link = link->next)
                ((End *) link->data)->ends = NULL;
        g_queue_clear(&e->watched);
        g_queue_clear_full(&e->known, g_free);
        g_free(e);
        return NULL;
}

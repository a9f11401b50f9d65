/* SPDX-License-Identifier: MIT */

/* All objects by their ids, and who sees which. */

#include "core/internal.h"

#include <string.h>

void manager_add(Manager *m, ObjectKind kind, const char *id, void *object)
{
        (void) g_hash_table_insert(m->objects[kind], (char *) id, object);
        if (m->observer)
                m->observer->added(kind, object, m->observer_userdata);
}

void manager_remove(Manager *m, ObjectKind kind, const char *id, void *object)
{
        if (!g_hash_table_remove(m->objects[kind], id))
                return;
        if (m->observer)
                m->observer->removed(kind, object, m->observer_userdata);
}

void manager_changed(Manager *m, ObjectKind kind, void *object)
{
        if (m->observer)
                m->observer->changed(kind, object, m->observer_userdata);
}

static uint64_t created_usec(ObjectKind kind, const void *object)
{
        switch (kind) {
        case OBJECT_TEMPLATE:
                return ((const Template *) object)->row->created_usec;
        case OBJECT_SANDBOX:
                return ((const Sandbox *) object)->row->created_usec;
        case OBJECT_SNAPSHOT:
                return ((const Snapshot *) object)->row->created_usec;
        case OBJECT_COMMAND:
                return command_row(object)->started_usec;
        case OBJECT_APPROVAL:
                return approval_row(object)->created_usec;
        case OBJECT_PLAYBOOK:
                return playbook_row(object)->created_usec;
        case _OBJECT_KIND_MAX:
                break;
        }
        g_assert_not_reached();
}

static int compare_age(gconstpointer a, gconstpointer b, gpointer userdata)
{
        ObjectKind kind = *(ObjectKind *) userdata;
        uint64_t left = created_usec(kind, *(void *const *) a);
        uint64_t right = created_usec(kind, *(void *const *) b);

        return left < right ? -1 : left > right;
}

GPtrArray *manager_list(const Manager *m, ObjectKind kind)
{
        GPtrArray *list = g_ptr_array_sized_new(g_hash_table_size(m->objects[kind]));
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[kind]);
        while (g_hash_table_iter_next(&iter, NULL, &object))
                g_ptr_array_add(list, object);
        g_ptr_array_sort_with_data(list, compare_age, &kind);
        return list;
}

static bool is_visible(const Caller *caller, ObjectKind kind, const void *object)
{
        switch (kind) {
        case OBJECT_TEMPLATE:
                return true;
        case OBJECT_SANDBOX:
                return sandbox_is_visible(object, caller);
        case OBJECT_SNAPSHOT:
                return ((const Snapshot *) object)->is_visible &&
                       sandbox_is_visible(((const Snapshot *) object)->sandbox, caller);
        case OBJECT_COMMAND:
                return sandbox_is_visible(command_sandbox(object), caller);
        case OBJECT_APPROVAL:
                return approval_is_visible(object, caller);
        case OBJECT_PLAYBOOK:
                return playbook_is_visible(object, caller);
        case _OBJECT_KIND_MAX:
                break;
        }
        g_assert_not_reached();
}

static void *find(Manager *m, const Caller *caller, ObjectKind kind, const char *id)
{
        void *object = g_hash_table_lookup(m->objects[kind], id);

        return object && is_visible(caller, kind, object) ? object : NULL;
}

Template *manager_find_template(Manager *m, const char *id)
{
        return g_hash_table_lookup(m->objects[OBJECT_TEMPLATE], id);
}

Sandbox *manager_find_sandbox(Manager *m, const Caller *caller, const char *id)
{
        return find(m, caller, OBJECT_SANDBOX, id);
}

Snapshot *manager_find_snapshot(Manager *m, const Caller *caller, const char *id)
{
        return find(m, caller, OBJECT_SNAPSHOT, id);
}

Command *manager_find_command(Manager *m, const Caller *caller, const char *id)
{
        return find(m, caller, OBJECT_COMMAND, id);
}

Approval *manager_find_approval(Manager *m, const Caller *caller, const char *id)
{
        return find(m, caller, OBJECT_APPROVAL, id);
}

Playbook *manager_find_playbook(Manager *m, const Caller *caller, const char *id)
{
        return find(m, caller, OBJECT_PLAYBOOK, id);
}

int manager_get_template(Manager *m, const char *name, Template **ret, Fault *f)
{
        Template *t = manager_find_template(m, name);
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_TEMPLATE]);
        while (!t && g_hash_table_iter_next(&iter, NULL, &object))
                if (g_str_equal(((Template *) object)->row->name, name))
                        t = object;
        if (!t)
                return fault_set(
                        f, FAULT_NOT_FOUND,
                        "there is no template '%.80s'; 'fluidctl template list' shows them", name);
        *ret = t;
        return 0;
}

int manager_get_sandbox(Manager *m, const Caller *caller, const char *name, Sandbox **ret, Fault *f)
{
        Sandbox *by_id = manager_find_sandbox(m, caller, name), *other = NULL;
        unsigned others = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                Sandbox *s = object;
                if (!g_str_equal(s->row->name, name) || !sandbox_is_visible(s, caller))
                        continue;
                if (s->row->owner_uid == caller->uid) {
                        *ret = s;
                        return 0;
                }
                other = s;
                others++;
        }
        if (others > 1 && !by_id)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%u users have a sandbox '%.80s'; use its id", others, name);
        if (!by_id && !other)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no sandbox '%.80s'; 'fluidctl list' shows them", name);
        *ret = by_id ? by_id : other;
        return 0;
}

void manager_foreach(Manager *m, const Caller *caller, ObjectKind kind,
                     void (*each)(void *object, void *userdata), void *userdata)
{
        g_autoptr(GPtrArray) list = manager_list(m, kind);

        for (guint i = 0; i < list->len; i++)
                if (is_visible(caller, kind, list->pdata[i]))
                        each(list->pdata[i], userdata);
}

Caller manager_own_caller(void)
{
        return (Caller){.uid = 0, .text = "fluid-hostd"};
}

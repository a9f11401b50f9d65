/* SPDX-License-Identifier: MIT */
#include "api/object.h"

#include "api/call.h"

#include <string.h>

static const Interface *const children[_OBJECT_KIND_MAX] = {
        [OBJECT_TEMPLATE] = &template_interface, [OBJECT_SANDBOX] = &sandbox_interface,
        [OBJECT_SNAPSHOT] = &snapshot_interface, [OBJECT_COMMAND] = &command_interface,
        [OBJECT_APPROVAL] = &approval_interface, [OBJECT_PLAYBOOK] = &playbook_interface,
};

const Interface *interface_of(ObjectKind kind)
{
        return children[kind];
}

const Interface *interface_at(const char *path, const char **ret_id)
{
        if (g_str_equal(path, PATH_ROOT)) {
                *ret_id = "";
                return &manager_interface;
        }
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++) {
                size_t length = strlen(children[kind]->path);

                if (strncmp(path, children[kind]->path, length) != 0 || path[length] != '/' ||
                    !id_is_valid(path + length + 1))
                        continue;
                *ret_id = path + length + 1;
                return children[kind];
        }
        return NULL;
}

bool path_is_node(const char *path)
{
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++)
                if (g_str_equal(path, children[kind]->path))
                        return true;
        return g_str_equal(path, PATH_ROOT);
}

void *interface_find(const Interface *interface, Api *api, const Caller *caller, const char *id)
{
        void *object = interface->find(api->manager, caller, id);

        return object && interface->is_visible(object, caller) ? object : NULL;
}

const Method *interface_method(const Interface *interface, const char *member)
{
        for (size_t i = 0; i < interface->n_methods; i++)
                if (g_str_equal(interface->methods[i].member, member))
                        return &interface->methods[i];
        return NULL;
}

ObjectPath object_path(ObjectKind kind, const char *id)
{
        ObjectPath path;

        (void) g_snprintf(path.text, sizeof path.text, "%s/%s", children[kind]->path, id);
        return path;
}

/* -- properties ------------------------------------------------------------------------------- */

static int append_property(sd_bus_message *m, Api *api, const Interface *interface,
                           const sd_bus_vtable *entry, void *object)
{
        const char *name = entry->x.property.member;
        const char *signature = entry->x.property.signature;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if ((r = sd_bus_message_open_container(m, 'e', "sv")) < 0 ||
            (r = sd_bus_message_append(m, "s", name)) < 0 ||
            (r = sd_bus_message_open_container(m, 'v', signature)) < 0 ||
            (r = entry->x.property.get(api->bus, "", interface->name, name, m, object, &error)) <
                    0 ||
            (r = sd_bus_message_close_container(m)) < 0)
                return r;
        return sd_bus_message_close_container(m);
}

int properties_append(sd_bus_message *m, Api *api, const Interface *interface, void *object,
                      uint64_t flags)
{
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (const sd_bus_vtable *v = interface->vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END;
             v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY && (v->flags & PROPERTY_BY_NAME) == 0 &&
                    (flags == 0 || (v->flags & flags) != 0))
                        r = append_property(m, api, interface, v, object);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* -- who sees what ---------------------------------------------------------------------------- */

/* The caller whose message is being answered. What is not an answer sees nothing. */
static int current_caller(Api *api, Caller *ret)
{
        sd_bus_message *m = sd_bus_get_current_message(api->bus);

        return m ? callers_get(api->callers, m, ret, NULL) : -ENOENT;
}

static int find_object(G_GNUC_UNUSED sd_bus *bus, const char *path, const char *interface_name,
                       void *userdata, void **ret_found, G_GNUC_UNUSED sd_bus_error *error)
{
        Api *api = userdata;
        const char *id;
        const Interface *interface = interface_at(path, &id);
        Caller caller;
        void *object;

        if (!interface || !g_str_equal(interface->name, interface_name) ||
            current_caller(api, &caller) < 0)
                return 0;
        object = interface_find(interface, api, &caller, id);
        if (!object)
                return 0;
        *ret_found = object;
        return 1;
}

typedef struct Enumeration {
        ObjectKind kind;
        const Caller *caller;
        GPtrArray *paths;
} Enumeration;

static void add_path(void *object, void *userdata)
{
        Enumeration *e = userdata;
        const Interface *interface = children[e->kind];

        if (interface->is_visible(object, e->caller))
                g_ptr_array_add(e->paths,
                                g_strdup(object_path(e->kind, interface->id(object)).text));
}

/* `prefix` is what was asked for, maybe the root; sd-bus itself leaves out what is not below it. */
static int enumerate(G_GNUC_UNUSED sd_bus *bus, G_GNUC_UNUSED const char *prefix, void *userdata,
                     char ***ret_nodes, G_GNUC_UNUSED sd_bus_error *error)
{
        const Enumerator *enumerator = userdata;
        Caller caller;
        Enumeration e = {enumerator->kind, &caller, NULL};

        if (current_caller(enumerator->api, &caller) < 0)
                return 0;
        e.paths = g_ptr_array_new();
        manager_foreach(enumerator->api->manager, &caller, e.kind, add_path, &e);
        g_ptr_array_add(e.paths, NULL);
        *ret_nodes = (char **) g_ptr_array_free(e.paths, FALSE);
        return 1;
}

/* -- registration ----------------------------------------------------------------------------- */

/* Every method of a vtable has its record. */
static void check_methods(const Interface *interface)
{
        for (const sd_bus_vtable *v = interface->vtable; v->type != _SD_BUS_VTABLE_END; v++)
                g_assert(v->type != _SD_BUS_VTABLE_METHOD ||
                         interface_method(interface, v->x.method.member));
}

static void keep(Api *api, sd_bus_slot *slot)
{
        g_ptr_array_add(api->slots, slot);
}

static int register_children(Api *api, ObjectKind kind)
{
        const Interface *interface = children[kind];
        Enumerator *enumerator = &api->enumerators[kind];
        sd_bus_slot *slot;
        int r;

        check_methods(interface);
        r = sd_bus_add_fallback_vtable(api->bus, &slot, interface->path, interface->name,
                                       interface->vtable, find_object, api);

        if (r < 0)
                return r;
        keep(api, slot);
        *enumerator = (Enumerator){api, kind};
        r = sd_bus_add_node_enumerator(api->bus, &slot, interface->path, enumerate, enumerator);
        if (r >= 0)
                keep(api, slot);
        return r;
}

static int register_root(Api *api)
{
        sd_bus_slot *slot;
        int r;

        check_methods(&manager_interface);
        r = sd_bus_add_object_vtable(api->bus, &slot, PATH_ROOT, INTERFACE_MANAGER,
                                     manager_interface.vtable, api);

        if (r < 0)
                return r;
        keep(api, slot);
        r = sd_bus_add_object_manager(api->bus, &slot, PATH_ROOT);
        if (r < 0)
                return r;
        keep(api, slot);
        r = sd_bus_add_fallback(api->bus, &slot, PATH_ROOT, call_enter_missing, api);
        if (r >= 0)
                keep(api, slot);
        return r;
}

int objects_register(Api *api, Fault *f)
{
        int r = register_root(api);

        for (ObjectKind kind = 0; r >= 0 && kind < _OBJECT_KIND_MAX; kind++)
                r = register_children(api, kind);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r,
                                       "the bus objects cannot be registered");
        return 0;
}

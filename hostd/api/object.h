/* SPDX-License-Identifier: MIT */
#pragma once

/* What the interfaces have in common: each is one const record, found by path or kind. */

#include "api/api.h"
#include "api/caller.h"
#include "api/ends.h"
#include "base/cleanup.h"
#include "base/name.h"
#include "dbus/names.h"

/* What an enumerator of one kind of objects is called with. */
typedef struct Enumerator {
        Api *api;
        ObjectKind kind;
} Enumerator;

struct Api {
        sd_event *event;
        sd_bus *bus;
        Manager *manager;
        Callers *callers;
        Ends *ends;
        struct SandboxList *sandbox_list;
        char *version;
        GPtrArray *slots;
        Enumerator enumerators[_OBJECT_KIND_MAX];
        GHashTable *pending_by_uid; /* unsigned uid → unsigned number of calls under way */
        unsigned pending;
        GQueue calls;
        ApiLost lost;
        void *lost_userdata;
};

typedef struct Method Method;

typedef struct Interface {
        ObjectKind kind; /* _OBJECT_KIND_MAX: the Manager */
        const char *name;
        const char *path; /* of its object, or of the parent of its objects */
        const sd_bus_vtable *vtable;
        const Method *methods;
        size_t n_methods;
        /* NULL where there is none or the caller may not see it. */
        void *(*find)(Manager *m, const Caller *caller, const char *id);
        const char *(*id)(const void *object);
        bool (*is_visible)(const void *object, const Caller *caller);
} Interface;

extern const Interface manager_interface, template_interface, sandbox_interface, snapshot_interface,
        command_interface, approval_interface, playbook_interface;

const Interface *interface_of(ObjectKind kind);

/* The interface that lives at `path`, and the object's id ("" for the Manager); NULL if there can
 * be none. Whether the object exists is interface_find()'s to say. */
const Interface *interface_at(const char *path, const char **ret_id);
void *interface_find(const Interface *interface, Api *api, const Caller *caller, const char *id);

/* The root, or the parent of objects: these exist for everybody. */
bool path_is_node(const char *path);

/* NULL if it has none of that name. */
const Method *interface_method(const Interface *interface, const char *member);

typedef struct ObjectPath {
        char text[64];
} ObjectPath;
ObjectPath object_path(ObjectKind kind, const char *id);

/* Registers all vtables, enumerators and the ObjectManager. */
int objects_register(Api *api, Fault *f);

/* Appends the a{sv} of the object's properties whose vtable entry has one of `flags`; 0: of all but
 * those that have to be asked for by name. A negative errno of sd-bus. */
int properties_append(sd_bus_message *m, Api *api, const Interface *interface, void *object,
                      uint64_t flags);

/* One property of a vtable as a function: PROPERTY(name, Type, variable, "s", expression). */
#define PROPERTY(function, Type, variable, ...) \
        static int function(G_GNUC_UNUSED sd_bus *bus, G_GNUC_UNUSED const char *path, \
                            G_GNUC_UNUSED const char *interface, \
                            G_GNUC_UNUSED const char *property, sd_bus_message *reply, \
                            void *userdata, G_GNUC_UNUSED sd_bus_error *error) \
        { \
                Type *variable = userdata; \
                return sd_bus_message_append(reply, __VA_ARGS__); \
        }

/* The same where it takes more than one append: `append(reply, object)`. */
#define PROPERTY_BY(function, append) \
        static int function(G_GNUC_UNUSED sd_bus *bus, G_GNUC_UNUSED const char *path, \
                            G_GNUC_UNUSED const char *interface, \
                            G_GNUC_UNUSED const char *property, sd_bus_message *reply, \
                            void *userdata, G_GNUC_UNUSED sd_bus_error *error) \
        { \
                return append(reply, userdata); \
        }

#define PROPERTY_CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define PROPERTY_CHANGES  SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
/* What takes a question to the kernel: only where it is asked for by name. */
#define PROPERTY_BY_NAME SD_BUS_VTABLE_PROPERTY_EXPLICIT

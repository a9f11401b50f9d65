/* SPDX-License-Identifier: MIT */
#include "api/signals.h"

#include "api/call.h"
#include "api/sandbox-list.h"
#include "base/log.h"
#include "core/approval.h"

typedef int (*SignalWriter)(Api *api, const char *path, const Interface *interface, void *object,
                            sd_bus_message **ret);

typedef struct Signal {
        Api *api;
        const Interface *interface;
        void *object;
        ObjectPath path;
        SignalWriter write;
} Signal;

static int write_added(Api *api, const char *path, const Interface *interface, void *object,
                       sd_bus_message **ret)
{
        int r = sd_bus_message_new_signal(api->bus, ret, PATH_ROOT,
                                          "org.freedesktop.DBus.ObjectManager", "InterfacesAdded");

        if (r < 0 || (r = sd_bus_message_append(*ret, "o", path)) < 0 ||
            (r = sd_bus_message_open_container(*ret, 'a', "{sa{sv}}")) < 0 ||
            (r = sd_bus_message_open_container(*ret, 'e', "sa{sv}")) < 0 ||
            (r = sd_bus_message_append(*ret, "s", interface->name)) < 0 ||
            (r = properties_append(*ret, api, interface, object, 0)) < 0 ||
            (r = sd_bus_message_close_container(*ret)) < 0)
                return r;
        return sd_bus_message_close_container(*ret);
}

static int write_removed(Api *api, const char *path, const Interface *interface,
                         G_GNUC_UNUSED void *object, sd_bus_message **ret)
{
        int r = sd_bus_message_new_signal(api->bus, ret, PATH_ROOT,
                                          "org.freedesktop.DBus.ObjectManager",
                                          "InterfacesRemoved");

        return r < 0 ? r : sd_bus_message_append(*ret, "oas", path, 1, interface->name);
}

static int write_changed(Api *api, const char *path, const Interface *interface, void *object,
                         sd_bus_message **ret)
{
        int r = sd_bus_message_new_signal(api->bus, ret, path, "org.freedesktop.DBus.Properties",
                                          "PropertiesChanged");

        if (r < 0 || (r = sd_bus_message_append(*ret, "s", interface->name)) < 0 ||
            (r = properties_append(*ret, api, interface, object, PROPERTY_CHANGES)) < 0)
                return r;
        return sd_bus_message_append(*ret, "as", 0);
}

/* A path and a state: for those who wait for something to answer, and watch the Manager alone. */
static int write_approval(Api *api, const char *path, void *object, const char *member,
                          sd_bus_message **ret)
{
        int r = sd_bus_message_new_signal(api->bus, ret, PATH_ROOT, INTERFACE_MANAGER, member);

        return r < 0 ? r : sd_bus_message_append(*ret, "os", path, approval_row(object)->state);
}

static int write_approval_added(Api *api, const char *path,
                                G_GNUC_UNUSED const Interface *interface, void *object,
                                sd_bus_message **ret)
{
        return write_approval(api, path, object, "ApprovalAdded", ret);
}

static int write_approval_changed(Api *api, const char *path,
                                  G_GNUC_UNUSED const Interface *interface, void *object,
                                  sd_bus_message **ret)
{
        return write_approval(api, path, object, "ApprovalChanged", ret);
}

static void send_to(const char *name, const Caller *caller, void *userdata)
{
        const Signal *signal = userdata;
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        if (!signal->interface->is_visible(signal->object, caller))
                return;
        r = signal->write(signal->api, signal->path.text, signal->interface, signal->object, &m);
        if (r >= 0)
                r = sd_bus_send_to(signal->api->bus, m, name, NULL);
        if (r < 0)
                log_warning("api: cannot send a signal of %s: %s", signal->path.text,
                            g_strerror(-r));
}

static void emit(ObjectKind kind, void *object, SignalWriter write, void *userdata)
{
        const Interface *interface = interface_of(kind);
        Signal signal = {
                .api = userdata,
                .interface = interface,
                .object = object,
                .path = object_path(kind, interface->id(object)),
                .write = write,
        };

        if (kind == OBJECT_SANDBOX)
                sandbox_list_forget(signal.api->sandbox_list, object);
        callers_foreach(signal.api->callers, send_to, &signal);
}

static void on_added(ObjectKind kind, void *object, void *userdata)
{
        emit(kind, object, write_added, userdata);
        if (kind == OBJECT_APPROVAL)
                emit(kind, object, write_approval_added, userdata);
}

static void on_changed(ObjectKind kind, void *object, void *userdata)
{
        emit(kind, object, write_changed, userdata);
        if (kind == OBJECT_APPROVAL)
                emit(kind, object, write_approval_changed, userdata);
}

static void on_removed(ObjectKind kind, void *object, void *userdata)
{
        emit(kind, object, write_removed, userdata);
}

static void on_state_changed(void *userdata)
{
        Api *api = userdata;
        int r = sd_bus_emit_properties_changed(api->bus, PATH_ROOT, INTERFACE_MANAGER, "State",
                                               "NetworkFault", NULL);

        if (r < 0)
                log_warning("api: cannot send the host's state: %s", g_strerror(-r));
}

const ManagerObserver signals_observer = {
        .added = on_added,
        .changed = on_changed,
        .removed = on_removed,
        .state_changed = on_state_changed,
};

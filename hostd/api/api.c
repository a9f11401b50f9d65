/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include "api/call.h"
#include "api/sandbox-list.h"
#include "api/signals.h"

#include <errno.h>

static int on_disconnected(G_GNUC_UNUSED sd_bus_message *m, void *userdata,
                           G_GNUC_UNUSED sd_bus_error *error)
{
        Api *api = userdata;

        if (api->lost)
                api->lost(api->lost_userdata);
        return 0;
}

static void free_slot(void *slot)
{
        (void) sd_bus_slot_unref(slot);
}

static int watch_disconnect(Api *api, Fault *f)
{
        sd_bus_slot *slot;
        int r = sd_bus_match_signal_async(
                api->bus, &slot, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, api);

        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "the bus cannot be watched");
        g_ptr_array_add(api->slots, slot);
        return 0;
}

static void on_caller_gone(const char *name, void *userdata)
{
        calls_orphan(userdata, name);
}

static int attach(Api *api, Fault *f)
{
        int r;

        (void) sd_bus_set_exit_on_disconnect(api->bus, 0);
        r = sd_bus_attach_event(api->bus, api->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "the bus cannot be put on the loop");
        r = callers_new(api->bus, api->manager, on_caller_gone, api, &api->callers, f);
        if (r >= 0)
                r = watch_disconnect(api, f);
        return r < 0 ? r : objects_register(api, f);
}

int api_new(sd_event *event, Manager *manager, sd_bus *bus, const char *version, ApiLost lost,
            void *userdata, Api **ret, Fault *f)
{
        sd_bus *opened = sd_bus_ref(bus);
        g_autoptr(Api) api = NULL;
        int r;

        if (!bus && (r = sd_bus_open_system(&opened)) < 0)
                return fault_set_errno(f, FAULT_IO, r, "the system bus cannot be reached");
        api = g_new0(Api, 1);
        api->event = sd_event_ref(event);
        api->bus = opened;
        api->manager = manager;
        api->version = g_strdup(version);
        api->slots = g_ptr_array_new_with_free_func(free_slot);
        api->ends = ends_new();
        api->sandbox_list = sandbox_list_new();
        api->pending_by_uid = g_hash_table_new(NULL, NULL);
        api->lost = lost;
        api->lost_userdata = userdata;
        g_queue_init(&api->calls);
        r = attach(api, f);
        if (r < 0)
                return r;
        manager_set_observer(manager, &signals_observer, api);
        *ret = TAKE_PTR(api);
        return 0;
}

int api_claim_name(Api *api, Fault *f)
{
        int r = sd_bus_request_name(api->bus, BUS_NAME, 0);

        if (r == -EEXIST)
                return fault_set(f, FAULT_EXISTS,
                                 "another process has the bus name %s: is fluid-hostd running "
                                 "already?",
                                 BUS_NAME);
        if (r == -EACCES || r == -EPERM)
                return fault_set(f, FAULT_DENIED,
                                 "the bus policy does not let this user have the name %s: run as "
                                 "root, with sh.fluid.Host1.conf installed",
                                 BUS_NAME);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "the bus name %s cannot be taken", BUS_NAME);
        return 0;
}

Api *api_free(Api *api)
{
        if (!api)
                return NULL;
        manager_set_observer(api->manager, NULL, NULL);
        calls_orphan(api, NULL);
        g_ptr_array_unref(api->slots);
        (void) callers_free(api->callers);
        (void) ends_free(api->ends);
        (void) sandbox_list_free(api->sandbox_list);
        g_hash_table_unref(api->pending_by_uid);
        (void) sd_bus_flush(api->bus);
        (void) sd_bus_detach_event(api->bus);
        (void) sd_bus_close_unref(api->bus);
        (void) sd_event_unref(api->event);
        g_free(api->version);
        g_free(api);
        return NULL;
}

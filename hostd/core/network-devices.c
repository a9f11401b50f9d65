/* SPDX-License-Identifier: MIT */

/* What is plugged into a sandbox's domain: its own NIC is there or lost, and what is not its own is
 * taken away. libvirt tells that something changed; what, is asked. */

#include "core/isolation.h"

#include "base/log.h"
#include "base/quantity.h"

/* A guest that is asked to let a NIC go. */
#define RELEASE_USEC (10 * USEC_PER_SEC)

/* A request that libvirt did not take is made again after that. */
#define RETRY_USEC (2 * USEC_PER_SEC)

typedef struct Devices {
        Manager *manager;
        Hypervisor *hypervisor;
        Id id;
        unsigned generation;
        GPtrArray *nics;      /* that there are */
        GPtrArray *foreign;   /* of DomainNic*, that are to go; of `nics` */
        GPtrArray *leftovers; /* with its tap, of a profile before; the same */
        bool only_cables;
} Devices;

static void devices_free(gpointer data)
{
        Devices *q = data;

        g_clear_pointer(&q->foreign, g_ptr_array_unref);
        g_clear_pointer(&q->leftovers, g_ptr_array_unref);
        g_clear_pointer(&q->nics, g_ptr_array_unref);
        g_free(q);
}

static Devices *devices_new(const Sandbox *s)
{
        Devices *q = g_new0(Devices, 1);

        *q = (Devices){.manager = s->manager,
                       .hypervisor = s->manager->hypervisor,
                       .id = s->row->id,
                       .generation = s->nic_generation};
        return q;
}

/* A guest whose cable is out sends nothing; where that cannot be, it does not run with it. */
static int take_away(const Devices *q, const DomainNic *nic, bool is_foreign, Fault *f)
{
        const char *id = q->id.text;
        Fault why = {0};
        int pulled = hypervisor_set_nic_link(q->hypervisor, id, nic->mac, false, &why), r = pulled;

        if (!q->only_cables) {
                fault_clear(&why);
                r = hypervisor_detach_nic(q->hypervisor, id, nic->mac, RELEASE_USEC, &why);
        }
        if (r < 0 && pulled < 0 && is_foreign)
                (void) hypervisor_pause_domain(q->hypervisor, id, NULL);
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}

static int removal_run(void *request, Fault *f)
{
        const Devices *q = request;
        int result = 0;

        for (guint i = 0; i < q->leftovers->len; i++) {
                int r = take_away(q, q->leftovers->pdata[i], false, f);
                result = r < 0 ? r : result;
        }
        for (guint i = 0; i < q->foreign->len; i++) {
                int r = take_away(q, q->foreign->pdata[i], true, f);
                result = r < 0 ? r : result;
        }
        return result;
}

static void tell_foreign(Sandbox *s, int r, const Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        Caller caller = manager_own_caller();
        Json *detail = json_object_new_object();
        AuditEntry *entry = NULL;
        Fault why = {0};

        log_warning("sandbox '%s' was given a network interface that is not fluid's: %s",
                    s->row->name, r < 0 ? f->message : "it was taken away");
        (void) json_object_object_add(
                detail, "what",
                json_object_new_string("it had a network interface that is not fluid's"));
        if (audit_begin(s->manager, &caller, "network.repair", path, detail, &entry, &why) < 0)
                log_error("a repair cannot be audited: %s", why.message);
        else
                (void) audit_end(entry, r, f);
}

/* What the guest does not let go, or cannot while it is paused, stays; all else is tried again. */
void network_is_stuck(Sandbox *s, int r, const Fault *f)
{
        s->has_stuck_nic = r < 0 && (f->code == FAULT_TIMED_OUT || f->code == FAULT_WRONG_STATE);
        if (r >= 0 || s->has_stuck_nic)
                return;
        s->needs_devices = true;
        isolation_plug_later(s->manager, RETRY_USEC);
}

static void removal_done(void *request, int r, const Fault *f, void *userdata)
{
        const Devices *q = request;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);

        (void) userdata;
        if (!s || q->manager->is_closing)
                return;
        bool is_news = s->needs_devices;
        s->is_removing_nics = false;
        if (!q->only_cables && q->foreign->len > 0) {
                if (r >= 0 || !s->is_foreign_told)
                        tell_foreign(s, r, f);
                s->is_foreign_told = r < 0;
                network_set_fault(s, r < 0 ? f : NULL);
        }
        if (!q->only_cables)
                network_is_stuck(s, r, f);
        if (is_news && (r >= 0 || s->has_stuck_nic))
                network_check_devices(s);
}

static void look_at_own(Sandbox *s, const DomainNic *own)
{
        if (s->has_nic && (!own || !isolation_look(s, true)))
                network_is_lost(s);
        else if (s->state == SANDBOX_PAUSED && own)
                network_set_has_nic(s, true);
}

static void sort_nics(const Sandbox *s, Devices *q, const DomainNic **ret_own)
{
        g_autofree DomainNic *wanted = network_nic_new(s);
        char interface[FIREWALL_INTERFACE_SIZE];

        isolation_interface(s, interface);
        q->foreign = g_ptr_array_new();
        q->leftovers = g_ptr_array_new();
        for (guint i = 0; i < q->nics->len; i++) {
                DomainNic *nic = q->nics->pdata[i];
                if (!g_str_equal(nic->interface, interface))
                        g_ptr_array_add(q->foreign, nic);
                else if (!wanted || !g_str_equal(nic->mac, wanted->mac))
                        g_ptr_array_add(q->leftovers, nic);
                else
                        *ret_own = nic;
        }
        if (wanted) {
                g_free(wanted->network);
                g_free(wanted->interface);
        }
}

static void remove_nics(Sandbox *s, Devices *q)
{
        Devices *next;

        if (q->foreign->len + q->leftovers->len == 0)
                return;
        s->needs_devices |= s->is_removing_nics;
        if (s->is_removing_nics)
                return;
        next = devices_new(s);
        next->nics = g_steal_pointer(&q->nics);
        next->foreign = g_steal_pointer(&q->foreign);
        next->leftovers = g_steal_pointer(&q->leftovers);
        next->only_cables = s->has_stuck_nic;
        s->is_removing_nics = true;
        (void) workers_submit(s->manager->workers, removal_run, removal_done, next, devices_free,
                              NULL);
}

static int listing_run(void *request, Fault *f)
{
        Devices *q = request;

        return hypervisor_domain_nics(q->hypervisor, q->id.text, &q->nics, f);
}

/* What is its own is not known while somebody gives it another one. */
static void listing_done(void *request, int r, const Fault *f, void *userdata)
{
        Devices *q = request;
        Sandbox *s = g_hash_table_lookup(q->manager->objects[OBJECT_SANDBOX], q->id.text);
        const DomainNic *own = NULL;

        (void) f;
        (void) userdata;
        if (!s || q->manager->is_closing)
                return;
        s->is_listing_nics = false;
        if (r < 0)
                return;
        sort_nics(s, q, &own);
        s->needs_devices |= s->operation || q->generation != s->nic_generation;
        if (s->needs_devices) {
                (void) g_ptr_array_set_size(q->leftovers, 0);
        } else {
                s->has_stuck_nic &= q->foreign->len + q->leftovers->len > 0;
                s->is_foreign_told &= q->foreign->len > 0;
                look_at_own(s, own);
        }
        bool is_news = s->needs_devices && !s->operation;
        remove_nics(s, q);
        if (is_news)
                network_check_devices(s);
}

void network_check_devices(Sandbox *s)
{
        s->needs_devices = s->is_listing_nics;
        if (s->is_listing_nics)
                return;
        s->is_listing_nics = true;
        (void) workers_submit(s->manager->workers, listing_run, listing_done, devices_new(s),
                              devices_free, NULL);
}

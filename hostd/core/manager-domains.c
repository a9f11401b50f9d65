/* SPDX-License-Identifier: MIT */

/* What libvirt tells unasked, and which domains it has that are not ours. */

#include "core/internal.h"
#include "core/isolation.h"

#include "base/log.h"

/* -- the hypervisor's news ------------------------------------------------------------------ */

typedef struct AbiRequest {
        Manager *manager;
        char *abi;
} AbiRequest;

static void abi_request_free(gpointer data)
{
        AbiRequest *q = data;

        g_free(q->abi);
        g_free(q);
}

static int abi_run(void *request, Fault *f)
{
        AbiRequest *q = request;

        return hypervisor_memory_abi(q->manager->hypervisor, &q->abi, f);
}

static void abi_done(void *request, int r, const Fault *f, void *userdata)
{
        AbiRequest *q = request;
        Manager *m = q->manager;

        (void) userdata;
        if (r < 0) {
                log_warning("it is not known which memory images this host can load: %s",
                            f->message);
                return;
        }
        g_free(m->memory_abi);
        m->memory_abi = g_steal_pointer(&q->abi);
        log_debug("memory images are made with %s", m->memory_abi);
        warm_reconcile(m);
}

/* QEMU and libvirt may be other ones than before. */
static void look_at_host(Manager *m)
{
        AbiRequest *q = g_new0(AbiRequest, 1);

        q->manager = m;
        (void) workers_submit(m->workers, abi_run, abi_done, q, abi_request_free, NULL);
        reconcile_orphans(m);
        playbook_destroy_unused(m);
        isolation_connected(m);
}

static void on_connected(bool is_connected, void *userdata)
{
        Manager *m = userdata;
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);

        log_info(is_connected ? "connected to libvirtd" : "libvirtd is away");
        for (guint i = 0; i < sandboxes->len; i++) {
                Sandbox *s = sandboxes->pdata[i];
                if (is_connected)
                        reconcile_sandbox(s);
                else if (s->state != SANDBOX_DESTROYING && s->state != SANDBOX_CREATING &&
                         s->state != SANDBOX_FAILED)
                        sandbox_set_state(s, SANDBOX_UNKNOWN, "libvirtd does not answer");
        }
        if (is_connected)
                look_at_host(m);
        if (m->observer)
                m->observer->state_changed(m->observer_userdata);
}

static void on_domain(const char *sandbox_id, DomainState state, void *userdata)
{
        Manager *m = userdata;
        Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], sandbox_id);

        (void) state;
        if (s)
                sandbox_probe(s);
}

static void on_devices(const char *sandbox_id, void *userdata)
{
        Manager *m = userdata;
        Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], sandbox_id);

        if (s)
                network_check_devices(s);
}

static void on_reset(const char *sandbox_id, void *userdata)
{
        Manager *m = userdata;
        Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], sandbox_id);

        if (s)
                sandbox_rebooted(s);
}

const HypervisorObserver manager_hypervisor_observer = {
        .connected = on_connected, .domain = on_domain, .devices = on_devices, .reset = on_reset};

/* -- foreign domains ------------------------------------------------------------------------ */

typedef struct DomainsRequest {
        Manager *manager;
        GPtrArray *domains;
        ManagerDomainsDone done;
        void *userdata;
} DomainsRequest;

static int domains_run(void *request, Fault *f)
{
        DomainsRequest *q = request;

        return hypervisor_list_foreign_domains(q->manager->hypervisor, &q->domains, f);
}

static const char *domain_state_to_string(DomainState state)
{
        static const char *const names[_DOMAIN_STATE_MAX] = {
                [DOMAIN_ABSENT] = "absent",   [DOMAIN_SHUT_OFF] = "shut-off",
                [DOMAIN_LOADING] = "paused",  [DOMAIN_PAUSED] = "paused",
                [DOMAIN_HALTED] = "paused",   [DOMAIN_RUNNING] = "running",
                [DOMAIN_CRASHED] = "crashed",
        };

        return names[state];
}

static void domains_done(void *request, int r, const Fault *f, void *userdata)
{
        DomainsRequest *q = request;
        g_autoptr(GArray) listing = g_array_new(FALSE, FALSE, sizeof(DomainListing));

        (void) userdata;
        for (guint i = 0; r >= 0 && i < q->domains->len; i++) {
                const ForeignDomain *d = q->domains->pdata[i];
                DomainListing entry = {d->name, d->uuid, domain_state_to_string(d->state)};
                (void) g_array_append_val(listing, entry);
        }
        q->done((DomainListing *) (void *) listing->data, listing->len, r, f, q->userdata);
}

static void domains_free(gpointer data)
{
        DomainsRequest *q = data;

        if (q->domains)
                g_ptr_array_unref(q->domains);
        g_free(q);
}

int manager_list_domains(Manager *m, ManagerDomainsDone done, void *userdata, Fault *f)
{
        DomainsRequest *q;
        int r = manager_admits_work(m, f);

        if (r < 0)
                return r;
        q = g_new0(DomainsRequest, 1);
        *q = (DomainsRequest){.manager = m, .done = done, .userdata = userdata};
        (void) workers_submit(m->workers, domains_run, domains_done, q, domains_free, NULL);
        return 0;
}

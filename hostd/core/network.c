/* SPDX-License-Identifier: MIT */

/* A sandbox's network: which profile it may have, and what becomes of it with another one. */

#include "core/network.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "core/isolation.h"

/* -- what it has --------------------------------------------------------------------------------
 */

static bool has_network(const SandboxRow *row)
{
        return row->address_number > 0;
}

void network_set_fault(Sandbox *s, const Fault *f)
{
        s->network_fault = f ? *f : (Fault){0};
        if (s->is_announced)
                manager_changed(s->manager, OBJECT_SANDBOX, s);
}

void sandbox_network(const Sandbox *s, SandboxNetwork *ret)
{
        uint8_t mac[MAC_SIZE];

        *ret = (SandboxNetwork){.reason = s->network_fault.message};
        ret->state = s->is_cut_off          ? "cut-off"
                     : !has_network(s->row) ? "none"
                     : s->has_nic           ? "up"
                                            : "down";
        if (!has_network(s->row))
                return;
        network_mac(isolation_address(s), mac);
        mac_format(mac, ret->mac);
        address_format(isolation_address(s), ret->address);
        isolation_interface(s, ret->interface);
}

int network_admit(Manager *m, const Caller *caller, const SandboxSpec *spec, SandboxRow *row,
                  Fault *f)
{
        const char *profile = spec->network ? spec->network : NETWORK_NONE;
        bool is_none = g_str_equal(profile, NETWORK_NONE);
        int r = is_none ? 0 : network_check_profile(m, caller, profile, f);

        if (r == 0 && is_none && spec->ports && spec->ports[0])
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "a sandbox without a network has no ports to publish");
        if (r == 0 && !is_none)
                r = isolation_check(m, f);
        g_autofree char *ports = NULL;
        if (r == 0)
                r = network_format_ports(m, row->id.text, spec->ports, &ports, f);
        if (r == 0 && !is_none && row->address_number == 0)
                r = isolation_new_address(m, &row->address_number, f);
        if (r < 0)
                return r;
        g_free(row->network);
        row->network = g_strdup(profile);
        g_free(row->ports);
        row->ports = g_steal_pointer(&ports);
        return 0;
}

int network_check_profile(const Manager *m, const Caller *caller, const char *profile, Fault *f)
{
        const Profile *p = profiles_find(manager_profiles(m), profile);

        if (!p)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no network profile '%.60s'; 'fluidctl network' shows "
                                 "them, networks.conf(5) tells how to make one",
                                 profile);
        if (p->admins_only && !caller_is_admin(caller))
                return fault_set(f, FAULT_DENIED,
                                 "network profile '%s' may only be given by root; to ask a person "
                                 "for it: fluidctl ask --sandbox NAME --network %s WHY",
                                 profile, profile);
        return 0;
}

/* -- another profile ----------------------------------------------------------------------------
 */

typedef struct NetworkChange {
        SandboxRow *before; /* only what is of its network */
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
} NetworkChange;

static int check_can_change(const Sandbox *s, bool goes, Fault *f)
{
        switch (s->state) {
        case SANDBOX_PAUSED:
                if (goes && s->has_nic)
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "sandbox '%s' is paused: resume it first", s->row->name);
                return 0;
        case SANDBOX_READY:
        case SANDBOX_STOPPED:
        case SANDBOX_FAILED:
                return 0;
        case SANDBOX_CREATING:
        case SANDBOX_STARTING:
        case SANDBOX_UNKNOWN:
        case SANDBOX_DESTROYING:
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' is %s; wait until it is ready",
                                 s->row->name, sandbox_state_to_string(s->state));
        case _SANDBOX_STATE_MAX:
                break;
        }
        g_assert_not_reached();
}

static void swap_networks(SandboxRow *a, SandboxRow *b)
{
        SandboxRow old = *a;

        a->network = b->network;
        a->ports = b->ports;
        a->address_number = b->address_number;
        b->network = old.network;
        b->ports = old.ports;
        b->address_number = old.address_number;
}

/* `before` has what it had before. */
static void revert(Sandbox *s, SandboxRow *before)
{
        Fault f = {0};

        if (has_network(s->row) && !has_network(before))
                isolation_remove(s);
        swap_networks(s->row, before);
        if (sandbox_save(s, &f) < 0)
                log_error("the network of sandbox '%s' cannot be saved: %s", s->row->name,
                          f.message);
        fault_clear(&f);
        if (has_network(s->row) && isolation_set(s, &f) < 0)
                isolation_cut_off(s, &f);
}

/* The row first, then the kernel; but what loses its network has no rules any more before. */
static int apply(Sandbox *s, SandboxRow *wanted, Fault *f)
{
        int r;

        if (has_network(s->row) && !has_network(wanted))
                isolation_remove(s);
        swap_networks(s->row, wanted);
        r = sandbox_save(s, f);
        if (r >= 0 && has_network(s->row))
                r = isolation_set(s, f);
        if (r < 0)
                revert(s, wanted);
        else
                network_forget_names(s);
        return r;
}

struct NetworkChange *network_change_free(struct NetworkChange *q)
{
        if (q)
                (void) sandbox_row_free(q->before);
        g_free(q);
        return NULL;
}

static void end(Sandbox *s, int r, const Fault *f)
{
        NetworkChange *q = TAKE_PTR(s->network_change);

        if (s->is_announced)
                manager_changed(s->manager, OBJECT_SANDBOX, s);
        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        (void) network_change_free(q);
        sandbox_end_operation(s);
}

static void changed(Sandbox *s, int r, const Fault *f)
{
        if (r < 0)
                revert(s, s->network_change->before);
        end(s, r, f);
}

/* What it sends is dropped since its rules are gone; that its guest keeps the interface harms
 * nobody. */
static void taken_away(Sandbox *s, int r, const Fault *f)
{
        network_is_stuck(s, r, f);
        network_set_fault(s, r < 0 ? f : NULL);
        end(s, 0, NULL);
}

static int plan_change(Sandbox *s, const Caller *caller, const char *profile,
                       const char *const *ports, SandboxRow *wanted, Fault *f)
{
        g_auto(GStrv) present = sandbox_network_ports(s);
        bool goes = g_str_equal(profile, NETWORK_NONE);
        SandboxSpec spec = {.network = profile,
                            .ports = ports  ? ports
                                     : goes ? NULL
                                            : (const char *const *) present};
        int r = check_can_change(s, goes, f);

        wanted->id = s->row->id;
        wanted->address_number = goes ? 0 : s->row->address_number;
        return r < 0 ? r : network_admit(s->manager, caller, &spec, wanted, f);
}

static void plug_changed(Sandbox *s, DomainNic *old)
{
        g_autoptr(DomainNic) nic = old;

        if (has_network(s->row) && !s->has_nic && s->state == SANDBOX_READY)
                network_plug(s, PLUG_IN, network_nic_new(s), changed);
        else if (!has_network(s->row) && s->has_nic)
                network_plug(s, PLUG_OUT, TAKE_PTR(nic), taken_away);
        else
                network_plug(s, PLUG_NOTHING, NULL, changed);
}

/* Whether `allower` may give that profile is looked at; it is `caller` who does. */
static int set_network(Sandbox *s, Caller *caller, const Caller *allower, const char *approval_id,
                       const char *profile, const char *const *ports, OperationDone done,
                       void *userdata, Fault *f)
{
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        g_autoptr(SandboxRow) wanted = g_new0(SandboxRow, 1);
        g_autoptr(DomainNic) nic = network_nic_new(s);
        AuditEntry *entry = NULL;
        Json *detail;
        int r = manager_admits_work(s->manager, f);

        if (r >= 0)
                r = plan_change(s, allower, profile, ports, wanted, f);
        if (r >= 0)
                r = sandbox_begin_operation(s, "given another network", f);
        if (r < 0)
                return r;
        detail = json_object_new_object();
        (void) json_object_object_add(detail, "profile", json_object_new_string(profile));
        (void) json_object_object_add(detail, "ports", json_tokener_parse(wanted->ports));
        if (approval_id)
                (void) json_object_object_add(detail, "approval",
                                              json_object_new_string(approval_id));
        r = audit_begin(s->manager, caller, "sandbox.network", path, detail, &entry, f);
        if (r >= 0)
                r = apply(s, wanted, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                sandbox_end_operation(s);
                return r;
        }
        sandbox_touch(s);
        s->network_change = g_new0(NetworkChange, 1);
        *s->network_change = (NetworkChange){TAKE_PTR(wanted), entry, done, userdata};
        plug_changed(s, TAKE_PTR(nic));
        return 0;
}

int sandbox_set_network(Sandbox *s, Caller *caller, const char *profile, const char *const *ports,
                        OperationDone done, void *userdata, Fault *f)
{
        return set_network(s, caller, caller, NULL, profile, ports, done, userdata, f);
}

int network_set_approved(Sandbox *s, Caller *caller, const char *profile, const char *approval_id,
                         OperationDone done, void *userdata, Fault *f)
{
        Caller allower = manager_own_caller();

        return set_network(s, caller, &allower, approval_id, profile, NULL, done, userdata, f);
}

void network_forget(Sandbox *s)
{
        if (has_network(s->row))
                isolation_remove(s);
        network_forget_names(s);
}

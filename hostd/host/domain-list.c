/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "host/hypervisor-private.h"

#include <stdlib.h>
#include <string.h>

typedef struct Domains {
        virDomainPtr *list;
        int n;
} Domains;

static void domains_clear(Domains *domains)
{
        for (int i = 0; i < domains->n; i++)
                (void) virDomainFree(domains->list[i]);
        free(domains->list);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Domains, domains_clear)

static int list_all(Hypervisor *h, VirConnect *connection, Domains *ret, Fault *f)
{
        int n = virConnectListAllDomains(connection, &ret->list, 0);

        if (n < 0)
                return hypervisor_fault(h, connection, f, "cannot list the domains");
        ret->n = n;
        return 0;
}

/* 1 for a domain of fluid's, whose id goes to `ret_id`, 0 for another's and for one that went away.
 */
static int is_own(Hypervisor *h, VirConnect *connection, virDomainPtr domain, const char **ret_id,
                  Fault *f)
{
        const char *id = domain_name_to_id(virDomainGetName(domain));
        int r = id ? domain_has_own_metadata(domain, id) : 0;

        if (r < 0 && !last_error_is(VIR_ERR_NO_DOMAIN))
                return hypervisor_fault(h, connection, f, "cannot read the metadata of domain '%s'",
                                        virDomainGetName(domain));
        *ret_id = id;
        return MAX(r, 0);
}

/* 1 with the state, 0 where the domain went away meanwhile. */
static int load_state(Hypervisor *h, VirConnect *connection, virDomainPtr domain, DomainState *ret,
                      Fault *f)
{
        int state, reason;

        if (virDomainGetState(domain, &state, &reason, 0) == 0) {
                *ret = domain_state_from_virt(state, reason);
                return 1;
        }
        if (last_error_is(VIR_ERR_NO_DOMAIN))
                return 0;
        return hypervisor_fault(h, connection, f, "cannot ask for the state of domain '%s'",
                                virDomainGetName(domain));
}

int hypervisor_list_own_domains(Hypervisor *h, GArray **ret_entries, Fault *f)
{
        g_autoptr(VirConnect) connection = NULL;
        g_autoptr(GArray) entries = g_array_new(FALSE, TRUE, sizeof(DomainEntry));
        g_auto(Domains) domains = {0};
        int r = hypervisor_take_connection(h, &connection, f);

        if (r >= 0)
                r = list_all(h, connection, &domains, f);
        for (int i = 0; r >= 0 && i < domains.n; i++) {
                DomainEntry entry = {0};
                const char *id = NULL;
                r = is_own(h, connection, domains.list[i], &id, f);
                if (r > 0)
                        r = load_state(h, connection, domains.list[i], &entry.state, f);
                if (r <= 0)
                        continue;
                g_strlcpy(entry.id, id, sizeof entry.id);
                g_array_append_val(entries, entry);
        }
        if (r < 0)
                return r;
        *ret_entries = TAKE_PTR(entries);
        return 0;
}

static void foreign_domain_free(void *pointer)
{
        ForeignDomain *domain = pointer;

        g_free(domain->name);
        g_free(domain->uuid);
        g_free(domain);
}

static void add_foreign(GPtrArray *list, virDomainPtr domain, DomainState state)
{
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        ForeignDomain *foreign = g_new0(ForeignDomain, 1);

        (void) virDomainGetUUIDString(domain, uuid);
        foreign->name = g_strdup(virDomainGetName(domain));
        foreign->uuid = g_strdup(uuid);
        foreign->state = state;
        g_ptr_array_add(list, foreign);
}

int hypervisor_list_foreign_domains(Hypervisor *h, GPtrArray **ret, Fault *f)
{
        g_autoptr(VirConnect) connection = NULL;
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(foreign_domain_free);
        g_auto(Domains) domains = {0};
        int r = hypervisor_take_connection(h, &connection, f);

        if (r >= 0)
                r = list_all(h, connection, &domains, f);
        for (int i = 0; r >= 0 && i < domains.n; i++) {
                DomainState state = DOMAIN_ABSENT;
                const char *id = NULL;
                r = is_own(h, connection, domains.list[i], &id, f);
                if (r != 0)
                        continue;
                r = load_state(h, connection, domains.list[i], &state, f);
                if (r > 0)
                        add_foreign(list, domains.list[i], state);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}

static int load_blueprint(Hypervisor *h, VirConnect *connection, VirDomain *domain, Blueprint **ret,
                          Fault *f)
{
        const char *name = virDomainGetName(domain);
        int active = virDomainIsActive(domain);

        if (active > 0)
                return fault_set(f, FAULT_WRONG_STATE, "domain '%s' runs; shut it down first",
                                 name);
        if (active == 0 && virDomainHasManagedSaveImage(domain, 0) == 1)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "domain '%s' is saved, not shut off; start it and shut it down",
                                 name);
        char *xml = active < 0 ? NULL : virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
        if (!xml)
                return hypervisor_fault(h, connection, f, "cannot read domain '%s'", name);
        int r = domain_blueprint(xml, ret, f);
        free(xml);
        return r;
}

int hypervisor_domain_blueprint(Hypervisor *h, const char *name, Blueprint **ret, Fault *f)
{
        g_autoptr(VirConnect) connection = NULL;
        int r = hypervisor_take_connection(h, &connection, f);

        if (r < 0)
                return r;
        g_autoptr(VirDomain) domain = virDomainLookupByName(connection, name);
        if (!domain && last_error_is(VIR_ERR_NO_DOMAIN))
                return fault_set(f, FAULT_NOT_FOUND, "libvirt has no domain '%s'", name);
        if (!domain)
                return hypervisor_fault(h, connection, f, "cannot find domain '%s'", name);
        return load_blueprint(h, connection, domain, ret, f);
}

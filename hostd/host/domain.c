/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "host/hypervisor-private.h"
#include "host/xml.h"

#include <stdlib.h>
#include <string.h>

void domain_call_done(DomainCall *call)
{
        if (call->domain)
                virt_domain_free(call->domain);
        if (call->connection)
                virt_connect_close(call->connection);
        *call = (DomainCall){0};
}

bool last_error_is(int code)
{
        virErrorPtr error = virGetLastError();

        return error && error->code == code;
}

DomainState domain_state_from_virt(int state, int reason)
{
        switch ((virDomainState) state) {
        case VIR_DOMAIN_NOSTATE:
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
        case VIR_DOMAIN_SHUTDOWN:
                return DOMAIN_RUNNING;
        case VIR_DOMAIN_PAUSED:
        case VIR_DOMAIN_PMSUSPENDED:
                return DOMAIN_PAUSED;
        case VIR_DOMAIN_SHUTOFF:
                return reason == VIR_DOMAIN_SHUTOFF_CRASHED ? DOMAIN_CRASHED : DOMAIN_SHUT_OFF;
        case VIR_DOMAIN_CRASHED:
                return DOMAIN_CRASHED;
#ifdef VIR_ENUM_SENTINELS
        case VIR_DOMAIN_LAST:
                break;
#endif
        }
        return DOMAIN_RUNNING;
}

const char *domain_name_to_id(const char *name)
{
        const char *id = name + strlen(DOMAIN_PREFIX);

        return g_str_has_prefix(name, DOMAIN_PREFIX) && id_is_valid(id) ? id : NULL;
}

int domain_has_own_metadata(virDomainPtr domain, const char *id)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_NAMESPACE, 0);

        if (!text)
                return last_error_is(VIR_ERR_NO_DOMAIN_METADATA) ? 0 : -1;
        /* libvirt hands the element out without its namespace. */
        int r = xml_parse("metadata", text, "sandbox", &doc, NULL);
        free(text);
        return r >= 0 && xml_has(xmlDocGetRootElement(doc), "id", id);
}

int domain_call_begin(DomainCall *call, Hypervisor *h, const char *id, Fault *f)
{
        g_autofree char *name = g_strconcat(DOMAIN_PREFIX, id, NULL);

        *call = (DomainCall){.h = h, .id = id};
        if (!id_is_valid(id))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not a sandbox id", id);
        int r = hypervisor_take_connection(h, &call->connection, f);
        if (r < 0)
                return r;
        call->domain = virDomainLookupByName(call->connection, name);
        if (!call->domain)
                return last_error_is(VIR_ERR_NO_DOMAIN) ? 0 : call_fault(call, f, "find");
        r = domain_has_own_metadata(call->domain, id);
        if (r < 0 && last_error_is(VIR_ERR_NO_DOMAIN)) {
                virt_domain_free(TAKE_PTR(call->domain));
                return 0;
        }
        if (r < 0)
                return call_fault(call, f, "read the metadata of");
        if (r == 0)
                return fault_set(
                        f, FAULT_EXISTS,
                        "domain '%s' has a name of fluid's, but was not made by it; rename it",
                        name);
        return 0;
}

int domain_call_begin_present(DomainCall *call, Hypervisor *h, const char *id, Fault *f)
{
        int r = domain_call_begin(call, h, id, f);

        if (r >= 0 && !call->domain)
                r = fault_set(f, FAULT_NOT_FOUND, "libvirt has no domain " DOMAIN_PREFIX "%s", id);
        return r;
}

/* -- life ----------------------------------------------------------------------------------- */

static int undefine(DomainCall *call, Fault *f)
{
        unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                         VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;

        if (virDomainUndefineFlags(call->domain, flags) == 0 || last_error_is(VIR_ERR_NO_DOMAIN))
                return 0;
        return call_fault(call, f, "undefine");
}

int hypervisor_create_domain(Hypervisor *h, const DomainSpec *spec, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_autofree char *xml = NULL;
        int r = domain_call_begin(&call, h, spec->id, f);

        if (r >= 0 && call.domain)
                r = fault_set(f, FAULT_EXISTS, "domain " DOMAIN_PREFIX "%s exists already",
                              spec->id);
        if (r >= 0)
                r = domain_format_xml(spec, hypervisor_virt_type(h), &xml, f);
        if (r < 0)
                return r;
        call.domain = virDomainDefineXMLFlags(call.connection, xml, 0);
        if (!call.domain)
                return call_fault(&call, f, "define");
        if (virDomainCreate(call.domain) < 0) {
                r = call_fault(&call, f, "start");
                (void) undefine(&call, NULL);
                return r;
        }
        return 0;
}

int hypervisor_start_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0)
                return r;
        if (virDomainCreate(call.domain) == 0)
                return 0;
        if (virDomainIsActive(call.domain) == 1)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "domain " DOMAIN_PREFIX "%s is running already", id);
        return call_fault(&call, f, "start");
}

int hypervisor_shut_down_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0)
                return r;
        if (virDomainShutdownFlags(call.domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0)
                return 0;
        if (virDomainIsActive(call.domain) == 0)
                return fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s is not running",
                                 id);
        return call_fault(&call, f, "shut down");
}

/* A domain that libvirtd is still taking up after its restart ends without an event, so it is told
 * here; twice is no harm. */
static int stop(DomainCall *call, Fault *f)
{
        if (virDomainDestroy(call->domain) < 0 && !last_error_is(VIR_ERR_OPERATION_INVALID) &&
            !last_error_is(VIR_ERR_NO_DOMAIN))
                return call_fault(call, f, "stop");
        hypervisor_tell(call->h, call->id, DOMAIN_SHUT_OFF);
        return 0;
}

int hypervisor_stop_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin(&call, h, id, f);

        return r < 0 || !call.domain ? r : stop(&call, f);
}

int hypervisor_remove_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin(&call, h, id, f);

        if (r < 0 || !call.domain)
                return r;
        r = stop(&call, f);
        return r < 0 ? r : undefine(&call, f);
}

int hypervisor_domain_state(Hypervisor *h, const char *id, DomainState *ret, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int state, reason, r = domain_call_begin(&call, h, id, f);

        if (r < 0)
                return r;
        if (!call.domain)
                *ret = DOMAIN_ABSENT;
        else if (virDomainGetState(call.domain, &state, &reason, 0) == 0)
                *ret = domain_state_from_virt(state, reason);
        else if (last_error_is(VIR_ERR_NO_DOMAIN))
                *ret = DOMAIN_ABSENT;
        else
                return call_fault(&call, f, "ask for the state of");
        return 0;
}

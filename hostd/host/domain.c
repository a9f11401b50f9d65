/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "base/quantity.h"
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
                return reason == VIR_DOMAIN_PAUSED_IOERROR ? DOMAIN_HALTED : DOMAIN_PAUSED;
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

/* A domain without a definition is gone when it stops. */
static int undefine(DomainCall *call, virDomainUndefineFlagsValues nvram, Fault *f)
{
        unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                         VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | nvram;

        if (virDomainUndefineFlags(call->domain, flags) == 0 || last_error_is(VIR_ERR_NO_DOMAIN))
                return 0;
        return call_fault(call, f, "undefine");
}

static int define(DomainCall *call, const DomainSpec *spec, Fault *f)
{
        g_autofree char *xml = NULL;
        int r = domain_format_xml(spec, hypervisor_virt_type(call->h), &xml, f);

        if (r < 0)
                return r;
        call->domain = virDomainDefineXMLFlags(call->connection, xml, 0);
        return call->domain ? 0 : call_fault(call, f, "define");
}

static int boot(DomainCall *call, const DomainSpec *spec, DomainTiming *timing, Fault *f)
{
        unsigned flags = spec->stays_paused ? VIR_DOMAIN_START_PAUSED : 0;
        uint64_t begun = now_monotonic_usec();

        if (virDomainCreateWithFlags(call->domain, flags) < 0)
                return call_fault(call, f, "start");
        timing->start_usec = now_monotonic_usec() - begun;
        return 0;
}

int hypervisor_create_domain(Hypervisor *h, const DomainSpec *spec, DomainTiming *ret_timing,
                             Fault *f)
{
        g_auto(DomainCall) call = {0};
        DomainTiming timing = {0};
        uint64_t begun = now_monotonic_usec();
        int r = domain_call_begin(&call, h, spec->id, f);

        if (r >= 0 && call.domain)
                r = fault_set(f, FAULT_EXISTS, "domain " DOMAIN_PREFIX "%s exists already",
                              spec->id);
        if (r >= 0)
                r = define(&call, spec, f);
        if (r < 0)
                return r;
        timing.define_usec = now_monotonic_usec() - begun;
        r = spec->memory ? domain_start_from_memory(&call, spec, &timing, f)
                         : boot(&call, spec, &timing, f);
        if (r < 0) {
                /* The files are the caller's, who may try again. */
                (void) undefine(&call, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM, NULL);
                return r;
        }
        if (ret_timing)
                *ret_timing = timing;
        return 0;
}

static int fault_runs(const char *id, Fault *f)
{
        return fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s is running already", id);
}

int hypervisor_start_domain_from(Hypervisor *h, const DomainSpec *spec, DomainTiming *ret_timing,
                                 Fault *f)
{
        g_auto(DomainCall) call = {0};
        DomainTiming timing = {0};
        int r = domain_call_begin_present(&call, h, spec->id, f);

        g_assert(spec->memory);
        if (r >= 0 && virDomainIsActive(call.domain) == 1)
                r = fault_runs(spec->id, f);
        if (r >= 0)
                r = domain_start_from_memory(&call, spec, &timing, f);
        if (r >= 0 && ret_timing)
                *ret_timing = timing;
        return r;
}

static int start(Hypervisor *h, const char *id, unsigned flags, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0)
                return r;
        if (virDomainCreateWithFlags(call.domain, flags) == 0)
                return 0;
        Fault why = {0};
        (void) call_fault(&call, &why, "start");
        if (virDomainIsActive(call.domain) == 1)
                return fault_runs(id, f);
        return fault_set(f, why.code, "%s", why.message);
}

int hypervisor_start_domain(Hypervisor *h, const char *id, Fault *f)
{
        return start(h, id, 0, f);
}

int hypervisor_start_domain_paused(Hypervisor *h, const char *id, Fault *f)
{
        return start(h, id, VIR_DOMAIN_START_PAUSED, f);
}

static int fault_off(const char *id, Fault *f)
{
        return fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s is not running", id);
}

int hypervisor_pause_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0 || virDomainSuspend(call.domain) == 0)
                return r;
        Fault why = {0};
        (void) call_fault(&call, &why, "pause");
        return virDomainIsActive(call.domain) == 0 ? fault_off(id, f)
                                                   : fault_set(f, why.code, "%s", why.message);
}

static bool is_running(DomainCall *call)
{
        int state, reason;

        return virDomainGetState(call->domain, &state, &reason, 0) == 0 &&
               domain_state_from_virt(state, reason) == DOMAIN_RUNNING;
}

int hypervisor_resume_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0 || virDomainResume(call.domain) == 0)
                return r;
        Fault why = {0};
        (void) call_fault(&call, &why, "resume");
        if (virDomainIsActive(call.domain) == 0)
                return fault_off(id, f);
        return is_running(&call) ? 0 : fault_set(f, why.code, "%s", why.message);
}

int hypervisor_shut_down_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0)
                return r;
        if (virDomainShutdownFlags(call.domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0)
                return 0;
        Fault why = {0};
        (void) call_fault(&call, &why, "shut down");
        if (virDomainIsActive(call.domain) == 0)
                return fault_off(id, f);
        return fault_set(f, why.code, "%s", why.message);
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

/* 1 or 0; -1 where libvirt does not say. */
static int has_kernel(DomainCall *call, unsigned flags)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *text = virDomainGetXMLDesc(call->domain, flags);
        int r = text ? xml_parse("the domain's definition", text, "domain", &doc, NULL) : -1;

        free(text);
        return r < 0 ? -1 : xml_find(xml_find(xmlDocGetRootElement(doc), "os"), "kernel") != NULL;
}

int hypervisor_stop_unbootable(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r < 0)
                return r;
        if (has_kernel(&call, 0) != 0 || has_kernel(&call, VIR_DOMAIN_XML_INACTIVE) != 1)
                return 0;
        r = stop(&call, f);
        return r < 0 ? r : 1;
}

int hypervisor_remove_domain(Hypervisor *h, const char *id, Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin(&call, h, id, f);

        if (r < 0 || !call.domain)
                return r;
        r = stop(&call, f);
        return r < 0 ? r : undefine(&call, VIR_DOMAIN_UNDEFINE_NVRAM, f);
}

/* A domain that ends while it is asked is off. */
static int look_into_pause(DomainCall *call, DomainState *ret, Fault *f)
{
        Fault why = {0};
        int r = monitor_is_loading(call, &why);

        if (r >= 0)
                *ret = r > 0 ? DOMAIN_LOADING : DOMAIN_PAUSED;
        else if (virDomainIsActive(call->domain) == 0)
                *ret = DOMAIN_SHUT_OFF;
        else
                return fault_set(f, why.code, "%s", why.message);
        return 0;
}

int hypervisor_domain_state(Hypervisor *h, const char *id, DomainState *ret, Fault *f)
{
        g_auto(DomainCall) call = {0};
        DomainState found = DOMAIN_ABSENT;
        int state, reason, r = domain_call_begin(&call, h, id, f);

        if (r < 0)
                return r;
        if (call.domain && virDomainGetState(call.domain, &state, &reason, 0) == 0)
                found = domain_state_from_virt(state, reason);
        else if (call.domain && !last_error_is(VIR_ERR_NO_DOMAIN))
                return call_fault(&call, f, "ask for the state of");
        if (found == DOMAIN_PAUSED)
                r = look_into_pause(&call, &found, f);
        if (r < 0)
                return r;
        *ret = found;
        return 0;
}

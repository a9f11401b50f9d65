/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "host/domain-xml-private.h"
#include "host/hypervisor-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU_HASH_LENGTH 16

#define GIVE_UP_MAX_USEC  (1 * USEC_PER_SEC)
#define GIVE_UP_POLL_USEC (5 * USEC_PER_MSEC)

/* -- what has to be the same ------------------------------------------------------------------ */

static void append_version(GString *to, const char *what, unsigned long version)
{
        g_string_append_printf(to, "%s %lu.%lu.%lu, ", what, version / 1000000,
                               version / 1000 % 1000, version % 1000);
}

/* The host's CPU as libvirt knows it: model, features, microcode. */
static int append_cpu(Hypervisor *h, VirConnect *connection, GString *to, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *text = virConnectGetCapabilities(connection);

        if (!text)
                return hypervisor_fault(h, connection, f, "cannot ask for the host's capabilities");
        int r = xml_parse("the host's capabilities", text, "capabilities", &doc, f);
        free(text);
        xmlNode *cpu = r < 0 ? NULL : xml_find(xml_find(xmlDocGetRootElement(doc), "host"), "cpu");
        if (!cpu)
                return r < 0 ? r
                             : fault_set(f, FAULT_HYPERVISOR_FAILED,
                                         "libvirt's capabilities do not tell the host's CPU");
        g_autofree char *xml = xml_format_node(cpu);
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, xml, -1);
        g_string_append_printf(to, ", cpu %.*s", CPU_HASH_LENGTH, sum);
        return 0;
}

int hypervisor_memory_abi(Hypervisor *h, char **ret, Fault *f)
{
        g_autoptr(VirConnect) connection = NULL;
        g_autoptr(GString) abi = g_string_new(NULL);
        unsigned long qemu, libvirt;
        int r = hypervisor_take_connection(h, &connection, f);

        if (r < 0)
                return r;
        bool is_kvm = g_str_equal(hypervisor_virt_type(h), "kvm");
        if (virConnectGetVersion(connection, &qemu) < 0 ||
            virConnectGetLibVersion(connection, &libvirt) < 0)
                return hypervisor_fault(h, connection, f, "cannot ask for QEMU's version");
        append_version(abi, "qemu", qemu);
        append_version(abi, "libvirt", libvirt);
        g_string_append(abi, is_kvm ? "kvm" : "tcg");
        if (is_kvm)
                r = append_cpu(h, connection, abi, f);
        if (r < 0)
                return r;
        *ret = g_string_free(g_steal_pointer(&abi), FALSE);
        return 0;
}

/* -- files ---------------------------------------------------------------------------------- */

static int create_file(const char *path, Fault *f)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return fault_set_errno(f, errno == EEXIST ? FAULT_EXISTS : FAULT_IO, errno,
                                       "cannot make '%s'", path);
        return fd;
}

static int create_text_file(const char *path, const char *text, Fault *f)
{
        autofd fd = create_file(path, f);

        if (fd < 0)
                return fd;
        int r = write_all(fd, text, strlen(text));
        if (r >= 0)
                return 0;
        (void) unlink(path);
        return fault_set_errno(f, FAULT_IO, r, "cannot write '%s'", path);
}

static int create_ram_file(const char *path, const DomainSpec *spec, Fault *f)
{
        autofd fd = create_file(path, f);

        if (fd < 0)
                return fd;
        if (ftruncate(fd, (off_t) spec->memory_bytes) == 0 &&
            fchown(fd, spec->qemu_uid, spec->qemu_gid) == 0)
                return 0;
        int error = errno;
        (void) unlink(path);
        return fault_set_errno(f, FAULT_IO, error, "cannot make '%s'", path);
}

/* -- starting from a memory ---------------------------------------------------------------------
 */

/* A QEMU that gives up ends by itself, and libvirt then says that it crashed: also where it has not
 * seen that yet. */
static void end_failed(VirDomain *domain)
{
        uint64_t deadline = now_monotonic_usec() + GIVE_UP_MAX_USEC;

        while (virDomainIsActive(domain) == 1 && now_monotonic_usec() < deadline)
                g_usleep(GIVE_UP_POLL_USEC);
        (void) virDomainDestroy(domain);
}

/* Starts a domain that waits for its memory, and loads it; on failure it is stopped. The call's
 * domain becomes the one that runs. */
static int load(DomainCall *call, const DomainSpec *spec, const char *xml, unsigned flags,
                DomainTiming *timing, Fault *f)
{
        autofd fd = open(spec->memory->state, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        uint64_t begun = now_monotonic_usec();

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", spec->memory->state);
        VirDomain *domain =
                virDomainCreateXML(call->connection, xml, flags | VIR_DOMAIN_START_PAUSED);
        if (!domain)
                return call_fault(call, f, "start");
        if (call->domain)
                virt_domain_free(call->domain);
        call->domain = domain;
        uint64_t started = now_monotonic_usec();
        int r = monitor_load(call, fd, spec->memory->ram != NULL, f);
        if (r >= 0 && !spec->stays_paused && virDomainResume(call->domain) < 0)
                r = call_fault(call, f, "resume");
        if (r < 0) {
                end_failed(call->domain);
                return r;
        }
        timing->start_usec = started - begun;
        timing->restore_usec = now_monotonic_usec() - started;
        return 0;
}

static int format_xml(DomainCall *call, const DomainSpec *spec, const char *uuid,
                      const DomainRam *ram, char **ret, Fault *f)
{
        g_autofree char *saved = NULL;
        int r = file_read(spec->memory->xml, XML_SIZE_MAX, &saved, NULL, f);

        return r < 0 ? r
                     : domain_format_memory_xml(spec, hypervisor_virt_type(call->h), saved, uuid,
                                                ram, ret, f);
}

int domain_start_from_memory(DomainCall *call, const DomainSpec *spec, DomainTiming *timing,
                             Fault *f)
{
        DomainRam ram = {.path = spec->memory->ram, .is_loaded = true};
        char uuid[VIR_UUID_STRING_BUFLEN];
        g_autofree char *xml = NULL;

        if (virDomainGetUUIDString(call->domain, uuid) < 0)
                return call_fault(call, f, "read the UUID of");
        int r = format_xml(call, spec, uuid, &ram, &xml, f);
        return r < 0 ? r : load(call, spec, xml, 0, timing, f);
}

/* -- saving --------------------------------------------------------------------------------- */

static int check_active(DomainCall *call, bool *ret_runs, Fault *f)
{
        int state, reason;

        if (virDomainGetState(call->domain, &state, &reason, 0) < 0)
                return call_fault(call, f, "ask for the state of");
        switch (domain_state_from_virt(state, reason)) {
        case DOMAIN_RUNNING:
                *ret_runs = true;
                return 0;
        case DOMAIN_PAUSED:
        case DOMAIN_HALTED:
                *ret_runs = false;
                return 0;
        case DOMAIN_ABSENT:
        case DOMAIN_SHUT_OFF:
        case DOMAIN_LOADING:
        case DOMAIN_CRASHED:
        case _DOMAIN_STATE_MAX:
                break;
        }
        return fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s does not run", call->id);
}

/* The definition to load the memory with. */
static int load_definition(DomainCall *call, char **ret, bool *ret_is_kvm, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *text = virDomainGetXMLDesc(call->domain,
                                         VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE);

        if (!text)
                return call_fault(call, f, "read the definition of");
        int r = xml_parse("the domain's definition", text, "domain", &doc, f);
        if (r >= 0)
                r = domain_check_saveable(doc, f);
        if (r >= 0) {
                *ret_is_kvm = xml_has(xmlDocGetRootElement(doc), "type", "kvm");
                *ret = g_strdup(text);
        }
        free(text);
        return r;
}

/* QEMU cannot leave a disk to be while something is copied into it. */
static int end_flattens(DomainCall *call, const char *xml, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = xml_parse("the domain's definition", xml, "domain", &doc, f);
        xmlNode *devices = r < 0 ? NULL : xml_find(xmlDocGetRootElement(doc), "devices");

        for (xmlNode *node = xml_first(devices); r >= 0 && node; node = xml_next(node)) {
                g_autofree char *target = xml_get(xml_find(node, "target"), "dev");
                if (xml_is(node, "disk") && target)
                        r = domain_end_flatten(call, target, f);
        }
        return r;
}

/* The CPUs are stopped in the end, also of a guest that QEMU stopped itself, which libvirt may not
 * have noticed yet. */
static int save(DomainCall *call, int fd, bool runs, bool is_live, Fault *f)
{
        int r;

        if (runs && !is_live)
                monitor_touch_ram(call);
        r = monitor_prepare_save(call, fd, false, is_live, f);
        if (r >= 0 && runs && !is_live && virDomainSuspend(call->domain) < 0)
                r = call_fault(call, f, "stop");
        if (r >= 0)
                r = monitor_save(call, is_live, f);
        if (r >= 0 && is_live && virDomainSuspend(call->domain) < 0)
                r = call_fault(call, f, "stop");
        if (r >= 0)
                return 0;
        monitor_abandon_save(call);
        if (runs)
                (void) virDomainResume(call->domain);
        return r;
}

static int save_to_file(DomainCall *call, const char *path, bool runs, bool is_live, Fault *f)
{
        autofd fd = create_file(path, f);

        if (fd < 0)
                return fd;
        int r = save(call, fd, runs, is_live, f);
        if (r < 0)
                (void) unlink(path);
        return r;
}

int hypervisor_save_memory(Hypervisor *h, const char *id, const DomainMemory *memory, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_autofree char *xml = NULL;
        bool runs = false, is_kvm = false;
        int r = domain_call_begin_present(&call, h, id, f);

        g_assert(!memory->ram);
        if (r >= 0)
                r = check_active(&call, &runs, f);
        if (r >= 0)
                r = load_definition(&call, &xml, &is_kvm, f);
        if (r >= 0)
                r = end_flattens(&call, xml, f);
        if (r < 0)
                return r;
        g_assert(xml);
        r = create_text_file(memory->xml, xml, f);
        if (r < 0)
                return r;
        r = save_to_file(&call, memory->state, runs, runs && is_kvm, f);
        if (r < 0)
                (void) unlink(memory->xml);
        return r;
}

/* -- baking --------------------------------------------------------------------------------- */

/* The stream is loaded into the file, which every start from it maps, and the devices' state, which
 * is all that is left, is saved again. */
static int bake(DomainCall *call, const DomainSpec *spec, const DomainMemory *image,
                const char *xml, Fault *f)
{
        DomainSpec paused = *spec;
        autofd fd = create_file(image->state, f);

        if (fd < 0)
                return fd;
        paused.stays_paused = true;
        int r = load(call, &paused, xml, VIR_DOMAIN_START_AUTODESTROY, &(DomainTiming){0}, f);
        if (r >= 0) {
                r = monitor_prepare_save(call, fd, true, false, f);
                if (r >= 0)
                        r = monitor_save(call, false, f);
                if (virDomainDestroy(call->domain) < 0 && r >= 0)
                        r = call_fault(call, f, "end");
        }
        if (r < 0)
                (void) unlink(image->state);
        return r;
}

static int sync_image(const DomainMemory *image, Fault *f)
{
        g_autofree char *directory = g_path_get_dirname(image->xml);
        const char *const paths[] = {image->ram, image->state, image->xml, directory};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(paths); i++)
                r = sync_path(paths[i], f);
        return r;
}

static int copy_definition(const char *from, const char *to, Fault *f)
{
        g_autofree char *text = NULL;
        int r = file_read(from, XML_SIZE_MAX, &text, NULL, f);

        return r < 0 ? r : create_text_file(to, text, f);
}

static int make_image(DomainCall *call, const DomainSpec *spec, const DomainMemory *image, Fault *f)
{
        DomainRam ram = {.path = image->ram, .is_shared = true, .is_loaded = true};
        g_autofree char *xml = NULL;
        int r = format_xml(call, spec, NULL, &ram, &xml, f);

        if (r >= 0)
                r = create_ram_file(image->ram, spec, f);
        if (r < 0)
                return r;
        r = bake(call, spec, image, xml, f);
        if (r < 0) {
                (void) unlink(image->ram);
                return r;
        }
        r = copy_definition(spec->memory->xml, image->xml, f);
        bool is_made = r >= 0;
        if (r >= 0)
                r = sync_image(image, f);
        if (r < 0) {
                (void) unlink(image->ram);
                (void) unlink(image->state);
                if (is_made)
                        (void) unlink(image->xml);
        }
        return r;
}

int hypervisor_bake_memory(Hypervisor *h, const DomainSpec *spec, const DomainMemory *image,
                           Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin(&call, h, spec->id, f);

        g_assert(image->ram && !spec->memory->ram);
        if (r >= 0 && call.domain)
                r = fault_set(f, FAULT_EXISTS, "domain " DOMAIN_PREFIX "%s exists already",
                              spec->id);
        return r < 0 ? r : make_image(&call, spec, image, f);
}

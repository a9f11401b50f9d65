/* SPDX-License-Identifier: MIT */
#include "host/domain-xml-private.h"

#include <inttypes.h>

#define BIOS_RETRY_MS "5000"

/* libvirt makes most of these itself. All else was plugged in by somebody, and has no file or
 * address of a copy's own. */
static const char *const known_devices[] = {
        "emulator", "disk",       "controller", "channel", "serial",   "console",
        "rng",      "memballoon", "input",      "audio",   "watchdog", NULL,
};

/* -- checking ------------------------------------------------------------------------------- */

static int check_devices(xmlNode *domain, Fault *f)
{
        for (xmlNode *node = xml_first(xml_find(domain, "devices")); node; node = xml_next(node)) {
                if (xml_is(node, "interface"))
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "a network interface cannot be in a memory; unplug it "
                                         "first");
                if (!g_strv_contains(known_devices, (const char *) node->name))
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "a <%.40s> cannot be in a memory; unplug it first",
                                         (const char *) node->name);
                if (xml_is(node, "channel") && !xml_has(node, "type", "unix"))
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "only channels that are sockets can be in a memory");
        }
        return 0;
}

static bool is_qemu(const xmlNode *node, const char *name)
{
        return node->ns && g_str_equal((const char *) node->ns->href, QEMU_NAMESPACE) &&
               g_str_equal((const char *) node->name, name);
}

static bool has_argument(xmlNode *domain, const char *value)
{
        for (xmlNode *node = xml_first(domain); node; node = xml_next(node))
                for (xmlNode *argument = is_qemu(node, "commandline") ? xml_first(node) : NULL;
                     argument; argument = xml_next(argument))
                        if (is_qemu(argument, "arg") && xml_has(argument, "value", value))
                                return true;
        return false;
}

int domain_check_saveable(XmlDoc *live, Fault *f)
{
        xmlNode *domain = xmlDocGetRootElement(live);

        if (domain_has_numa(domain))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the memory of a domain with NUMA nodes cannot be kept");
        if (!has_argument(domain, RAM_MACHINE_OPTION))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the domain was defined by a fluid before 0.2, which could not "
                                 "keep memory; make a new sandbox");
        return check_devices(domain, f);
}

static bool has_number(xmlNode *node, uint64_t expected)
{
        g_autofree char *text = xml_text(node);
        guint64 number;

        return text &&
               g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT64, &number, NULL) &&
               number == expected;
}

static int check_size(xmlNode *domain, const DomainSpec *spec, Fault *f)
{
        xmlNode *memory = xml_find(domain, "memory"), *vcpu = xml_find(domain, "vcpu");
        g_autofree char *memory_text = xml_text(memory);
        g_autofree char *vcpu_text = xml_text(vcpu);

        if (!xml_has(memory, "unit", "KiB") || !has_number(memory, spec->memory_bytes / 1024))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the saved guest has %.20s KiB of memory, not %" PRIu64
                                 "; one with another size has to boot",
                                 memory_text ? memory_text : "?", spec->memory_bytes / 1024);
        if (!has_number(vcpu, spec->vcpus) || xmlHasProp(vcpu, (const xmlChar *) "current"))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the saved guest has %.20s CPUs, not %u; one with another number "
                                 "has to boot",
                                 vcpu_text ? vcpu_text : "?", spec->vcpus);
        return 0;
}

static int check_fit(xmlNode *domain, const DomainSpec *spec, const char *virt_type, Fault *f)
{
        g_autofree char *nvram = xml_text(xml_find(xml_find(domain, "os"), "nvram"));
        int r = check_size(domain, spec, f);

        if (r >= 0)
                r = check_devices(domain, f);
        if (r < 0)
                return r;
        if (!xml_has(domain, "type", virt_type))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the memory was not saved under '%s', as this host runs guests",
                                 virt_type);
        if ((nvram && nvram[0]) != (spec->nvram != NULL))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "only one of the saved and the new guest has UEFI variables");
        return 0;
}

/* -- what is a domain's own ---------------------------------------------------------------------
 */

static void remove_all(xmlNode *parent, const char *name)
{
        xmlNode *node;

        while ((node = xml_find(parent, name)))
                xml_remove(node);
}

static void remove_arguments(xmlNode *domain)
{
        xmlNode *next;

        for (xmlNode *node = xml_first(domain); node; node = next) {
                next = xml_next(node);
                if (node->ns)
                        xml_remove(node);
        }
}

static void set_identity(xmlNode *domain, const DomainSpec *spec, const char *uuid)
{
        static const char *const own[] = {"name", "uuid", "title", "description", "metadata"};

        xmlUnsetProp(domain, (const xmlChar *) "id");
        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                remove_all(domain, own[i]);
        domain_add_identity(domain, spec);
        if (uuid)
                xml_add(domain, "uuid", uuid);
        if (xml_find(domain, "genid")) {
                remove_all(domain, "genid");
                xml_add(domain, "genid", NULL);
        }
}

/* libvirt reads the chain from the headers. */
static int set_disk(xmlNode *node, const DomainSpec *spec, Fault *f)
{
        static const char *const own[] = {"source", "backingStore", "mirror"};
        g_autofree char *target = xml_get(xml_find(node, "target"), "dev");
        const DomainDisk *disk = domain_spec_disk(spec, target);

        if (!disk || !xml_has(node, "type", "file") || !xml_has(node, "device", "disk"))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the saved guest has a disk '%.20s', the new one has not",
                                 target ? target : "?");
        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                remove_all(node, own[i]);
        xml_set(xml_add(node, "source", NULL), "file", disk->path);
        return 0;
}

static void set_console(xmlNode *node, const DomainSpec *spec)
{
        remove_all(node, "source");
        xmlUnsetProp(node, (const xmlChar *) "tty");
        xml_set(node, "type", spec->console_log ? "file" : "null");
        if (!spec->console_log)
                return;
        xmlNode *source = xml_add(node, "source", NULL);
        xml_set(source, "path", spec->console_log);
        xml_set(source, "append", "on");
}

static int set_devices(xmlNode *devices, const DomainSpec *spec, Fault *f)
{
        size_t n_disks = 0;

        for (xmlNode *node = xml_first(devices); node; node = xml_next(node)) {
                int r = 0;
                if (xml_is(node, "disk")) {
                        r = set_disk(node, spec, f);
                        n_disks++;
                } else if (xml_is(node, "serial") || xml_is(node, "console"))
                        set_console(node, spec);
                else if (xml_is(node, "channel") && xml_find(node, "source"))
                        xmlUnsetProp(xml_find(node, "source"), (const xmlChar *) "path");
                if (r < 0)
                        return r;
        }
        if (n_disks != spec->n_disks)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the saved guest has %zu disks, the new one has %zu", n_disks,
                                 spec->n_disks);
        return 0;
}

/* QEMU would keep a copy of a kernel that this guest has booted long ago: 13 MiB of each copy of a
 * guest. When it reboots, its BIOS finds nothing, and begins anew after a while, until
 * hypervisor_stop_unbootable() is called; UEFI would wait in its shell. */
static void drop_kernel(xmlNode *domain)
{
        static const char *const machines[] = {"x86_64", "i686", NULL};
        static const char *const names[] = {"kernel", "initrd", "cmdline"};
        xmlNode *os = xml_find(domain, "os"), *bios = xml_find(os, "bios");
        g_autofree char *arch = xml_get(xml_find(os, "type"), "arch");

        if (!xml_find(os, "kernel") || xml_find(os, "loader") ||
            xmlHasProp(os, (const xmlChar *) "firmware") || !arch ||
            !g_strv_contains(machines, arch))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                remove_all(os, names[i]);
        xml_set(bios ? bios : xml_add(os, "bios", NULL), "rebootTimeout", BIOS_RETRY_MS);
}

int domain_format_memory_xml(const DomainSpec *spec, const char *virt_type, const char *saved,
                             const char *uuid, const DomainRam *ram, char **ret_xml, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = domain_check_spec(spec, f);

        if (r >= 0)
                r = xml_parse("the saved definition", saved, "domain", &doc, f);
        if (r < 0)
                return r;
        xmlNode *domain = xmlDocGetRootElement(doc);
        r = domain_check_saveable(doc, f);
        if (r >= 0)
                r = check_fit(domain, spec, virt_type, f);
        if (r >= 0)
                r = set_devices(xml_find(domain, "devices"), spec, f);
        if (r < 0)
                return r;
        set_identity(domain, spec, uuid);
        if (!xml_find(domain, "os"))
                xml_add(domain, "os", NULL);
        domain_set_boot(domain, spec);
        drop_kernel(domain);
        remove_all(domain, "seclabel");
        domain_add_security_label(domain, spec);
        remove_arguments(domain);
        domain_add_arguments(domain, spec, ram);
        *ret_xml = xml_format(doc);
        return 0;
}

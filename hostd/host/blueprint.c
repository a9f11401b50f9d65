/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "host/blueprint-private.h"

#include <string.h>

/* What becomes of an element that is not looked into. An element in none of the tables is refused.
 */
typedef struct Part {
        const char *name;
        enum { PART_KEPT, PART_LEFT_OUT, PART_REFUSED } verdict;
        const char *reason; /* of a refusal: why, and what to do */
} Part;

#define KEPT(name) \
        { \
                name, PART_KEPT, NULL \
        }
#define LEFT_OUT(name) \
        { \
                name, PART_LEFT_OUT, NULL \
        }
#define REFUSED(name, reason) \
        { \
                name, PART_REFUSED, reason \
        }

static const Part domain_parts[] = {
        LEFT_OUT("name"),
        LEFT_OUT("uuid"),
        LEFT_OUT("title"),
        LEFT_OUT("description"),
        LEFT_OUT("metadata"),
        LEFT_OUT("currentMemory"),
        LEFT_OUT("maxMemory"),
        LEFT_OUT("memoryBacking"),
        LEFT_OUT("memtune"),
        LEFT_OUT("numatune"),
        LEFT_OUT("cputune"),
        LEFT_OUT("blkiotune"),
        LEFT_OUT("throttlegroups"),
        LEFT_OUT("iothreads"),
        LEFT_OUT("iothreadids"),
        LEFT_OUT("defaultiothread"),
        LEFT_OUT("resource"),
        LEFT_OUT("vcpus"),
        LEFT_OUT("perf"),
        LEFT_OUT("seclabel"),
        LEFT_OUT("on_poweroff"),
        LEFT_OUT("on_reboot"),
        LEFT_OUT("on_crash"),
        LEFT_OUT("on_lockfailure"),
        LEFT_OUT("pm"),
        REFUSED("launchSecurity", "launch security: its keys belong to one machine"),
        REFUSED("bootloader", "bootloader: boot from the disk or a kernel instead"),
};

static const Part os_parts[] = {
        KEPT("bootmenu"),
        KEPT("smbios"),
        KEPT("bios"),
        KEPT("firmware"),
        REFUSED("dtb", "os/dtb: a device tree file is not copied"),
        REFUSED("shim", "os/shim: a shim file is not copied"),
        REFUSED("acpi", "os/acpi: ACPI table files are not copied"),
        REFUSED("varstore", "os/varstore: use NVRAM"),
};

static const Part cpu_parts[] = {
        KEPT("model"), KEPT("vendor"),      KEPT("topology"), KEPT("feature"),
        KEPT("cache"), KEPT("maxphysaddr"), LEFT_OUT("numa"),
};

static const Part feature_parts[] = {
        KEPT("acpi"),     KEPT("apic"),       KEPT("pae"),     KEPT("hap"),
        KEPT("viridian"), KEPT("hyperv"),     KEPT("kvm"),     KEPT("pvspinlock"),
        KEPT("vmport"),   KEPT("gic"),        KEPT("smm"),     KEPT("ioapic"),
        KEPT("ps2"),      KEPT("vmcoreinfo"), LEFT_OUT("pmu"), LEFT_OUT("tcg"),
};

static const Part clock_parts[] = {KEPT("timer")};

static const Part sysinfo_parts[] = {
        KEPT("bios"), KEPT("system"), KEPT("baseBoard"), KEPT("chassis"), KEPT("oemStrings"),
};

#define NOT_COPIED "is not copied; detach it"

static const Part device_parts[] = {
        LEFT_OUT("emulator"),
        LEFT_OUT("interface"),
        LEFT_OUT("graphics"),
        LEFT_OUT("video"),
        LEFT_OUT("sound"),
        LEFT_OUT("audio"),
        LEFT_OUT("input"),
        LEFT_OUT("hub"),
        LEFT_OUT("redirdev"),
        LEFT_OUT("redirfilter"),
        LEFT_OUT("smartcard"),
        LEFT_OUT("channel"),
        LEFT_OUT("serial"),
        LEFT_OUT("parallel"),
        LEFT_OUT("console"),
        LEFT_OUT("memballoon"),
        LEFT_OUT("rng"),
        LEFT_OUT("watchdog"),
        LEFT_OUT("panic"),
        LEFT_OUT("iommu"),
        LEFT_OUT("vsock"),
        LEFT_OUT("crypto"),
        LEFT_OUT("lease"),
        REFUSED("hostdev", "hostdev: a device of the host cannot be in two domains; detach it"),
        REFUSED("filesystem", "filesystem: a shared folder leads into the host; detach it"),
        REFUSED("shmem", "shmem: memory shared with the host or other guests; detach it"),
        REFUSED("tpm", "tpm: its state cannot be cloned; remove it from a copy of the domain"),
        REFUSED("memory", "memory device: use plain <memory> instead"),
        REFUSED("nvram", "nvram device: its file " NOT_COPIED),
        REFUSED("pstore", "pstore: its file " NOT_COPIED),
};

void blueprint_refuse(BlueprintReader *in, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        g_autofree char *reason = g_strdup_vprintf(format, args);
        va_end(args);
        if (!g_ptr_array_find_with_equal_func(in->refusals, reason, g_str_equal, NULL))
                g_ptr_array_add(in->refusals, TAKE_PTR(reason));
}

static const Part *find_part(const Part *parts, size_t n, const xmlNode *node)
{
        for (size_t i = 0; i < n; i++)
                if (xml_is(node, parts[i].name))
                        return &parts[i];
        return NULL;
}

/* Whether the table keeps the element; refuses it on the way where it has to be. */
static bool is_kept(BlueprintReader *in, const char *where, const Part *parts, size_t n,
                    xmlNode *node)
{
        const Part *part = find_part(parts, n, node);

        if (!part)
                blueprint_refuse(in,
                                 "%s%s: not known to fluid; remove it from a copy of the domain",
                                 where, (const char *) node->name);
        else if (part->verdict == PART_REFUSED)
                blueprint_refuse(in, "%s", part->reason);
        return part && part->verdict == PART_KEPT;
}

static bool has_foreign_namespace(xmlNode *node)
{
        if (node->ns)
                return true;
        for (xmlNode *child = xml_first(node); child; child = xml_next(child))
                if (has_foreign_namespace(child))
                        return true;
        return false;
}

void blueprint_copy_node(BlueprintReader *in, xmlNode *parent, xmlNode *node)
{
        if (has_foreign_namespace(node))
                blueprint_refuse(in, "%s: has elements of another namespace",
                                 (const char *) node->name);
        else
                xmlAddChild(parent, xmlDocCopyNode(node, parent->doc, 1));
}

bool blueprint_is_one_of(const char *text, const char *const *list)
{
        return text && g_strv_contains(list, text);
}

/* A new element with the attributes of `node`. */
static xmlNode *copy_attributes(xmlNode *parent, xmlNode *node)
{
        return xmlAddChild(parent, xmlDocCopyNode(node, parent->doc, 2));
}

/* Copies an element with those of its children that the table keeps. */
static void copy_filtered(BlueprintReader *in, const char *where, const Part *parts, size_t n,
                          xmlNode *node)
{
        xmlNode *copy = copy_attributes(in->out, node);

        for (xmlNode *child = xml_first(node); child; child = xml_next(child))
                if (is_kept(in, where, parts, n, child))
                        blueprint_copy_node(in, copy, child);
}

static bool is_firmware_path(const char *path)
{
        return g_str_has_prefix(path, "/usr/share/") && !strstr(path, "/../");
}

static void read_loader(BlueprintReader *in, xmlNode *os, xmlNode *node)
{
        g_autofree char *path = xml_text(node);

        if (path[0] && !is_firmware_path(path))
                blueprint_refuse(in, "os/loader: '%.80s' is not below /usr/share", path);
        else
                blueprint_copy_node(in, os, node);
}

static void read_nvram(BlueprintReader *in, xmlNode *os, xmlNode *node)
{
        g_autofree char *template = xml_get(node, "template");
        g_autofree char *type = xml_get(node, "type");
        g_autofree char *path = xml_text(node);

        if (template && !is_firmware_path(template))
                blueprint_refuse(in, "os/nvram: the template '%.80s' is not below /usr/share",
                                 template);
        if ((type && !g_str_equal(type, "file")) || xml_first(node)) {
                blueprint_refuse(in, "os/nvram: only a file can be copied");
                return;
        }
        copy_attributes(os, node);
        if (path[0] && !in->blueprint->nvram)
                in->blueprint->nvram = TAKE_PTR(path);
}

/* Takes the text out of the XML into the Blueprint, where it is not empty. */
static void split_out(xmlNode *node, char **ret)
{
        g_autofree char *text = xml_text(node);

        if (text[0] && !*ret)
                *ret = TAKE_PTR(text);
}

static void read_os_part(BlueprintReader *in, xmlNode *os, xmlNode *node)
{
        Blueprint *b = in->blueprint;

        if (xml_is(node, "kernel"))
                split_out(node, &b->kernel);
        else if (xml_is(node, "initrd"))
                split_out(node, &b->initrd);
        else if (xml_is(node, "cmdline"))
                split_out(node, &b->cmdline);
        else if (xml_is(node, "loader"))
                read_loader(in, os, node);
        else if (xml_is(node, "nvram"))
                read_nvram(in, os, node);
        else if (xml_is(node, "boot")) {
                if (xml_has(node, "dev", "hd"))
                        blueprint_copy_node(in, os, node);
        } else if (xml_is(node, "type")) {
                g_autofree char *type = xml_text(node);
                if (g_str_equal(type, "hvm"))
                        blueprint_copy_node(in, os, node);
                else
                        blueprint_refuse(in,
                                         "os/type '%.40s': only full virtualisation (hvm) is known",
                                         type);
        } else if (is_kept(in, "os/", os_parts, G_N_ELEMENTS(os_parts), node))
                blueprint_copy_node(in, os, node);
}

static void read_os(BlueprintReader *in, xmlNode *node)
{
        xmlNode *os = copy_attributes(in->out, node);

        for (xmlNode *child = xml_first(node); child; child = xml_next(child))
                read_os_part(in, os, child);
        if (!xml_find(os, "type"))
                blueprint_refuse(in, "os: it does not say what type of machine it is");
}

/* The machine's number stays the domain's own: libvirt demands that it equals the domain's UUID. */
static void read_sysinfo(BlueprintReader *in, xmlNode *node)
{
        if (!xml_has(node, "type", "smbios")) {
                blueprint_refuse(in, "sysinfo: only type 'smbios' is copied");
                return;
        }
        copy_filtered(in, "sysinfo/", sysinfo_parts, G_N_ELEMENTS(sysinfo_parts), node);
        xmlNode *next;
        xmlNode *system = xml_find(xmlGetLastChild(in->out), "system");
        for (xmlNode *entry = xml_first(system); entry; entry = next) {
                next = xml_next(entry);
                if (xml_has(entry, "name", "uuid"))
                        xml_remove(entry);
        }
}

static const struct {
        const char *name;
        guint64 bytes;
} units[] = {
        {"b", 1},
        {"bytes", 1},
        {"KB", 1000},
        {"k", 1 << 10},
        {"KiB", 1 << 10},
        {"MB", 1000000},
        {"M", 1 << 20},
        {"MiB", 1 << 20},
        {"GB", 1000000000},
        {"G", 1 << 30},
        {"GiB", 1 << 30},
        {"TB", G_GUINT64_CONSTANT(1000000000000)},
        {"T", G_GUINT64_CONSTANT(1) << 40},
        {"TiB", G_GUINT64_CONSTANT(1) << 40},
};

#define MEMORY_MAX (G_GUINT64_CONSTANT(64) << 40)

static void read_memory(BlueprintReader *in, xmlNode *node)
{
        g_autofree char *unit = xml_get(node, "unit");
        g_autofree char *text = xml_text(node);
        guint64 mib = 1 << 20, amount, bytes = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (g_str_equal(unit ? unit : "KiB", units[i].name) &&
                    g_ascii_string_to_unsigned(g_strstrip(text), 10, 1, MEMORY_MAX / units[i].bytes,
                                               &amount, NULL))
                        bytes = amount * units[i].bytes;
        if (bytes == 0)
                blueprint_refuse(in, "memory: '%.40s' is not a size", text);
        in->blueprint->memory_bytes = (bytes + mib - 1) / mib * mib;
}

static void read_vcpu(BlueprintReader *in, xmlNode *node)
{
        g_autofree char *current = xml_get(node, "current");
        g_autofree char *text = xml_text(node);
        guint64 vcpus = 0;

        if (!g_ascii_string_to_unsigned(g_strstrip(current ? current : text), 10, 1, 4096, &vcpus,
                                        NULL))
                blueprint_refuse(in, "vcpu: '%.40s' is not a number of CPUs",
                                 current ? current : text);
        in->blueprint->vcpus = (unsigned) vcpus;
}

/* -- devices -------------------------------------------------------------------------------- */

/* Only what disks hang on; libvirt makes the buses anew. */
static void read_controller(BlueprintReader *in, xmlNode *devices, xmlNode *node)
{
        static const char *const kept[] = {"scsi", "sata", "ide", NULL};
        static const char *const left_out[] = {"pci", "usb", "virtio-serial", "ccid", "fdc", NULL};
        g_autofree char *type = xml_get(node, "type");

        if (blueprint_is_one_of(type, kept)) {
                xmlNode *copy = copy_attributes(devices, node);
                xmlUnsetProp(copy, (const xmlChar *) "ports");
        } else if (!blueprint_is_one_of(type, left_out))
                blueprint_refuse(in, "controller '%.20s': not known to fluid", type ? type : "?");
}

static void read_devices(BlueprintReader *in, xmlNode *node)
{
        xmlNode *devices = xml_add(in->out, "devices", NULL);

        for (xmlNode *child = xml_first(node); child; child = xml_next(child)) {
                if (xml_is(child, "disk"))
                        blueprint_read_disk(in, devices, child);
                else if (xml_is(child, "controller"))
                        read_controller(in, devices, child);
                else
                        (void) is_kept(in, "", device_parts, G_N_ELEMENTS(device_parts), child);
        }
        if (in->blueprint->disks->len == 0 && in->refusals->len == 0)
                blueprint_refuse(in, "devices: there is no writable disk file");
}

static void read_part(BlueprintReader *in, xmlNode *node)
{
        if (node->ns && g_str_has_prefix((const char *) node->ns->href, "http://libvirt.org/"))
                blueprint_refuse(in, "%s:%s: arguments for QEMU can reach any file of the host",
                                 node->ns->prefix ? (const char *) node->ns->prefix : "",
                                 (const char *) node->name);
        else if (xml_is(node, "os"))
                read_os(in, node);
        else if (xml_is(node, "cpu"))
                copy_filtered(in, "cpu/", cpu_parts, G_N_ELEMENTS(cpu_parts), node);
        else if (xml_is(node, "features"))
                copy_filtered(in, "features/", feature_parts, G_N_ELEMENTS(feature_parts), node);
        else if (xml_is(node, "clock"))
                copy_filtered(in, "clock/", clock_parts, G_N_ELEMENTS(clock_parts), node);
        else if (xml_is(node, "sysinfo"))
                read_sysinfo(in, node);
        else if (xml_is(node, "memory"))
                read_memory(in, node);
        else if (xml_is(node, "vcpu"))
                read_vcpu(in, node);
        else if (xml_is(node, "genid"))
                xml_add(in->out, "genid", NULL); /* a clone is another generation */
        else if (xml_is(node, "devices"))
                read_devices(in, node);
        else
                (void) is_kept(in, "", domain_parts, G_N_ELEMENTS(domain_parts), node);
}

static void check_whole(BlueprintReader *in, xmlNode *domain)
{
        static const char *const needed[] = {"os", "memory", "vcpu", "devices"};

        if (!xml_has(domain, "type", "kvm") && !xml_has(domain, "type", "qemu"))
                blueprint_refuse(in, "domain type: only kvm and qemu are known");
        for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
                if (!xml_find(domain, needed[i]))
                        blueprint_refuse(in, "%s: is missing", needed[i]);
}

int domain_blueprint(const char *xml, Blueprint **ret, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = xml_parse("the domain's definition", xml, "domain", &doc, f);

        if (r < 0)
                return r;
        xmlNode *domain = xmlDocGetRootElement(doc);
        g_autoptr(XmlDoc) out = xmlNewDoc((const xmlChar *) "1.0");
        g_autoptr(GPtrArray) refusals = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) boot_orders = g_array_new(FALSE, FALSE, sizeof(guint64));
        g_autoptr(Blueprint) b = g_new0(Blueprint, 1);
        b->disks = g_ptr_array_new_with_free_func(source_disk_free);
        BlueprintReader in = {
                .blueprint = b,
                .out = xmlNewDocNode(out, NULL, (const xmlChar *) "domain", NULL),
                .refusals = refusals,
                .boot_orders = boot_orders,
        };
        xmlDocSetRootElement(out, in.out);

        check_whole(&in, domain);
        for (xmlNode *child = xml_first(domain); child; child = xml_next(child))
                read_part(&in, child);
        if (refusals->len > 0) {
                g_ptr_array_add(refusals, NULL);
                g_autofree char *all = g_strjoinv("; ", (char **) refusals->pdata);
                return fault_set(f, FAULT_NOT_CLONEABLE, "the domain cannot be cloned: %s", all);
        }
        b->xml = xml_format(out);
        *ret = TAKE_PTR(b);
        return 0;
}

Blueprint *blueprint_free(Blueprint *b)
{
        if (!b)
                return NULL;
        g_free(b->xml);
        g_free(b->kernel);
        g_free(b->initrd);
        g_free(b->cmdline);
        g_free(b->nvram);
        if (b->disks)
                g_ptr_array_unref(b->disks);
        g_free(b);
        return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/name.h"
#include "host/domain-xml-private.h"

#include <inttypes.h>
#include <json-c/json.h>

/* virtio-serial's last port by default; libvirt numbers its own channels from 1 upward. */
#define AGENT_PORT_NUMBER 30

#define N_SPARE_PORTS 2

/* What a sandbox is without a blueprint. No <model> beside the CPU's mode, no addresses: libvirt
 * fills them in once, at definition. */
static const char default_blueprint[] = "<domain>"
                                        "<os><type machine='q35'>hvm</type></os>"
                                        "<features><acpi/><apic/></features>"
                                        "<cpu mode='host-model'/>"
                                        "<clock offset='utc'/>"
                                        "<devices><disk device='disk'>"
                                        "<target dev='vda' bus='virtio'/>"
                                        "</disk></devices>"
                                        "</domain>";

static int check_text(const char *what, const char *text, Fault *f)
{
        if (!text || xml_text_is_valid(text))
                return 0;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "the %s has control characters in it", what);
}

static int check_path(const char *what, const char *path, Fault *f)
{
        int r = check_text(what, path, f);

        if (r < 0 || !path || path[0] == '/')
                return r;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "the %s '%s' is not an absolute path", what,
                         path);
}

static int check_numbers(const DomainSpec *spec, Fault *f)
{
        if (spec->vcpus == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a sandbox needs at least one CPU");
        if (spec->memory_bytes == 0 || spec->memory_bytes % (1 << 20) != 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "memory of %" PRIu64 " bytes is not a multiple of 1 MiB",
                                 spec->memory_bytes);
        if (spec->n_disks == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a sandbox needs at least one disk");
        return 0;
}

int domain_check_spec(const DomainSpec *spec, Fault *f)
{
        int r = check_numbers(spec, f);

        if (r >= 0 && !id_is_valid(spec->id))
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not a sandbox id", spec->id);
        if (r >= 0)
                r = check_text("title", spec->title, f);
        if (r >= 0)
                r = check_text("kernel command line", spec->cmdline, f);
        if (r >= 0)
                r = check_path("kernel", spec->kernel, f);
        if (r >= 0)
                r = check_path("initrd", spec->initrd, f);
        if (r >= 0)
                r = check_path("agent socket", spec->agent_socket, f);
        if (r >= 0)
                r = check_path("console log", spec->console_log, f);
        if (r >= 0)
                r = check_path("NVRAM file", spec->nvram, f);
        for (size_t i = 0; r >= 0 && i < spec->n_disks; i++)
                r = check_path("disk", spec->disks[i].path, f);
        return r;
}

void domain_add_identity(xmlNode *domain, const DomainSpec *spec)
{
        g_autofree char *name = g_strconcat(DOMAIN_PREFIX, spec->id, NULL);

        xml_add(domain, "name", name);
        if (spec->title)
                xml_add(domain, "title", spec->title);

        xmlNode *sandbox = xml_add(xml_add(domain, "metadata", NULL), "sandbox", NULL);
        xmlSetNs(sandbox,
                 xmlNewNs(sandbox, (const xmlChar *) DOMAIN_NAMESPACE, (const xmlChar *) "fluid"));
        xml_set(sandbox, "id", spec->id);
}

static void add_size(xmlNode *domain, const DomainSpec *spec)
{
        g_autofree char *memory = g_strdup_printf("%" PRIu64, spec->memory_bytes / 1024);
        g_autofree char *vcpus = g_strdup_printf("%u", spec->vcpus);

        xml_set(xml_add(domain, "memory", memory), "unit", "KiB");
        xml_set(xml_add(domain, "currentMemory", memory), "unit", "KiB");
        xml_add(domain, "vcpu", vcpus);
}

static void set_child_text(xmlNode *parent, const char *name, const char *text)
{
        xml_remove(xml_find(parent, name));
        if (text)
                xml_add(parent, name, text);
}

/* The blueprint's <nvram> keeps its attributes (template, format); its text is this sandbox's file.
 */
static void set_nvram(xmlNode *os, const char *path)
{
        xmlNode *nvram = xml_find(os, "nvram");

        if (!path)
                return;
        if (!nvram)
                nvram = xml_add(os, "nvram", NULL);
        xmlNodeSetContent(nvram, NULL);
        xmlNodeAddContent(nvram, (const xmlChar *) path);
}

void domain_set_boot(xmlNode *domain, const DomainSpec *spec)
{
        xmlNode *os = xml_find(domain, "os");

        if (!os)
                os = xml_add(domain, "os", NULL);
        set_child_text(os, "kernel", spec->kernel);
        set_child_text(os, "initrd", spec->kernel ? spec->initrd : NULL);
        set_child_text(os, "cmdline", spec->kernel ? spec->cmdline : NULL);
        set_nvram(os, spec->nvram);
}

static bool topology_fits(xmlNode *topology, unsigned vcpus)
{
        static const char *const factors[] = {"sockets", "dies", "clusters", "cores", "threads"};
        guint64 product = 1;

        for (size_t i = 0; i < G_N_ELEMENTS(factors); i++) {
                g_autofree char *text = xml_get(topology, factors[i]);
                guint64 factor = 1;
                if (text && !g_ascii_string_to_unsigned(text, 10, 1, 4096, &factor, NULL))
                        return false;
                product *= factor;
        }
        return product == vcpus;
}

/* An emulated CPU has no host to take after, and no hypervisor that could enlighten the guest. */
static void set_emulated_cpu(xmlNode *domain)
{
        static const char *const timers[] = {"kvmclock", "hypervclock", "tsc"};
        static const char *const features[] = {"hyperv", "kvm", "pvspinlock"};
        xmlNode *cpu = xml_add(domain, "cpu", NULL);

        xml_set(cpu, "mode", "maximum");
        for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
                xml_remove(xml_find(xml_find(domain, "features"), features[i]));
        xmlNode *next;
        for (xmlNode *timer = xml_first(xml_find(domain, "clock")); timer; timer = next) {
                g_autofree char *name = xml_get(timer, "name");
                next = xml_next(timer);
                for (size_t i = 0; name && i < G_N_ELEMENTS(timers); i++)
                        if (g_str_equal(name, timers[i])) {
                                xml_remove(timer);
                                break;
                        }
        }
}

static void set_cpu(xmlNode *domain, const DomainSpec *spec, bool emulated)
{
        xmlNode *cpu = xml_find(domain, "cpu");

        if (emulated) {
                xml_remove(cpu);
                set_emulated_cpu(domain);
                return;
        }
        xmlNode *topology = xml_find(cpu, "topology");
        if (topology && !topology_fits(topology, spec->vcpus))
                xml_remove(topology);
}

static void add_lifecycle(xmlNode *domain)
{
        xml_add(domain, "on_poweroff", "destroy");
        xml_add(domain, "on_reboot", "restart");
        xml_add(domain, "on_crash", "destroy");

        /* A guest that sleeps is one that nobody wakes. */
        xmlNode *pm = xml_add(domain, "pm", NULL);
        xml_set(xml_add(pm, "suspend-to-mem", NULL), "enabled", "no");
        xml_set(xml_add(pm, "suspend-to-disk", NULL), "enabled", "no");
}

const DomainDisk *domain_spec_disk(const DomainSpec *spec, const char *target)
{
        for (size_t i = 0; target && i < spec->n_disks; i++)
                if (g_str_equal(spec->disks[i].target, target))
                        return &spec->disks[i];
        return NULL;
}

/* Without <backingStore> libvirt reads the chain from the overlays' headers, which fluid wrote and
 * which name every format. */
static void fill_disk(xmlNode *node, const DomainDisk *disk)
{
        xml_set(node, "type", "file");
        xml_set(node, "device", "disk");
        xmlNode *driver = xml_add(node, "driver", NULL);
        xml_set(driver, "name", "qemu");
        xml_set(driver, "type", "qcow2");
        xml_set(driver, "discard", "unmap");
        xml_set(xml_add(node, "source", NULL), "file", disk->path);
}

static int add_disk(xmlNode *devices, const DomainDisk *disk, Fault *f)
{
        const char *bus = g_str_has_prefix(disk->target, "vd")   ? "virtio"
                          : g_str_has_prefix(disk->target, "sd") ? "sata"
                                                                 : NULL;

        if (!bus || check_text("disk", disk->target, NULL) < 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "disk target '%s' is not known here; name it vda, vdb, …",
                                 disk->target);
        xmlNode *node = xml_add(devices, "disk", NULL);
        xmlNode *target = xml_add(node, "target", NULL);
        xml_set(target, "dev", disk->target);
        xml_set(target, "bus", bus);
        fill_disk(node, disk);
        return 0;
}

/* Fills the blueprint's disks that the sandbox has, drops the others, adds what is missing. */
static int set_disks(xmlNode *devices, const DomainSpec *spec, Fault *f)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        xmlNode *next;

        for (xmlNode *node = xml_first(devices); node; node = next) {
                next = xml_next(node);
                if (!xml_is(node, "disk"))
                        continue;
                g_autofree char *target = xml_get(xml_find(node, "target"), "dev");
                const DomainDisk *disk = domain_spec_disk(spec, target);
                if (disk && g_hash_table_add(seen, (gpointer) disk))
                        fill_disk(node, disk);
                else
                        xml_remove(node);
        }
        for (size_t i = 0; i < spec->n_disks; i++) {
                int r = 0;
                if (!g_hash_table_contains(seen, &spec->disks[i]))
                        r = add_disk(devices, &spec->disks[i], f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void add_console(xmlNode *devices, const char *path)
{
        if (!path)
                return;
        xmlNode *serial = xml_add(devices, "serial", NULL);
        xml_set(serial, "type", "file");
        xmlNode *source = xml_add(serial, "source", NULL);
        xml_set(source, "path", path);
        xml_set(source, "append", "on");
        xml_set(xml_add(serial, "target", NULL), "port", "0");
}

/* An ordinary channel, so that libvirt makes the controller that the agent's port goes into. */
static void add_channel(xmlNode *devices)
{
        xmlNode *controller = xml_add(devices, "controller", NULL);
        xml_set(controller, "type", "virtio-serial");
        xml_set(controller, "index", "0");

        xmlNode *channel = xml_add(devices, "channel", NULL);
        xml_set(channel, "type", "unix");
        xml_set(xml_add(channel, "source", NULL), "mode", "bind");
        xmlNode *target = xml_add(channel, "target", NULL);
        xml_set(target, "type", "virtio");
        xml_set(target, "name", "sh.fluid.control.0");
}

static bool has_pcie_root(xmlNode *domain)
{
        static const char *const machines[] = {"q35", "pc-q35-", "virt", "virt-"};
        g_autofree char *machine = xml_get(xml_find(xml_find(domain, "os"), "type"), "machine");

        for (size_t i = 0; machine && i < G_N_ELEMENTS(machines); i++)
                if (g_str_has_suffix(machines[i], "-") ? g_str_has_prefix(machine, machines[i])
                                                       : g_str_equal(machine, machines[i]))
                        return true;
        return false;
}

/* Devices that take a root port each where there are such; not all do, but one port too many is no
 * harm. */
static size_t count_pcie_devices(xmlNode *devices)
{
        size_t n = 0;

        for (xmlNode *node = xml_first(devices); node; node = xml_next(node))
                if (xml_is(node, "disk"))
                        n += xml_has(xml_find(node, "target"), "bus", "virtio");
                else if (xml_is(node, "controller"))
                        n += xml_has(node, "type", "virtio-serial") ||
                             xml_has(node, "type", "scsi");
                else
                        n += xml_is(node, "rng");
        return n;
}

/* Of root ports, the only places on a PCIe machine into which devices can be plugged while it runs,
 * libvirt leaves one free. There is to be another, so that what somebody plugs in does not take the
 * place of the NIC. */
static void add_root_ports(xmlNode *domain, xmlNode *devices)
{
        size_t n = count_pcie_devices(devices) + N_SPARE_PORTS;

        if (!has_pcie_root(domain))
                return;
        xmlNode *root = xml_add(devices, "controller", NULL);
        xml_set(root, "type", "pci");
        xml_set(root, "index", "0");
        xml_set(root, "model", "pcie-root");
        for (size_t i = 0; i < n; i++) {
                xmlNode *port = xml_add(devices, "controller", NULL);
                xml_set(port, "type", "pci");
                xml_set(port, "model", "pcie-root-port");
        }
}

static void add_fixed_devices(xmlNode *devices, const DomainSpec *spec)
{
        xmlNode *usb = xml_add(devices, "controller", NULL);
        xml_set(usb, "type", "usb");
        xml_set(usb, "model", "none");

        add_channel(devices);
        add_console(devices, spec->console_log);

        xmlNode *rng = xml_add(devices, "rng", NULL);
        xml_set(rng, "model", "virtio");
        xml_set(xml_add(rng, "backend", "/dev/urandom"), "model", "random");
        xml_set(xml_add(devices, "memballoon", NULL), "model", "none");
}

/* libvirt must not change owners: backing files are shared by sandboxes. */
void domain_add_security_label(xmlNode *domain, const DomainSpec *spec)
{
        g_autofree char *label =
                g_strdup_printf("+%u:+%u", (unsigned) spec->qemu_uid, (unsigned) spec->qemu_gid);
        xmlNode *seclabel = xml_add(domain, "seclabel", NULL);

        xml_set(seclabel, "type", "static");
        xml_set(seclabel, "model", "dac");
        xml_set(seclabel, "relabel", "no");
        xml_add(seclabel, "label", label);
}

static void add_qemu_argument(xmlNode *commandline, xmlNs *ns, const char *value)
{
        xmlNode *argument = xmlNewChild(commandline, ns, (const xmlChar *) "arg", NULL);

        xml_set(argument, "value", value);
}

/* A comma ends a value in QEMU's option syntax; two are one. */
static char *escape_option(const char *value)
{
        g_auto(GStrv) parts = g_strsplit(value, ",", -1);

        return g_strjoinv(",,", parts);
}

static void add_ram(xmlNode *commandline, xmlNs *ns, const DomainSpec *spec, const DomainRam *ram)
{
        g_autofree char *escaped = ram->path ? escape_option(ram->path) : NULL;
        g_autofree char *object =
                escaped ? g_strdup_printf("memory-backend-file,id=fluid.ram,size=%" PRIu64
                                          ",mem-path=%s,share=%s",
                                          spec->memory_bytes, escaped,
                                          ram->is_shared ? "on" : "off")
                        : g_strdup_printf("memory-backend-ram,id=fluid.ram,size=%" PRIu64,
                                          spec->memory_bytes);

        add_qemu_argument(commandline, ns, "-object");
        add_qemu_argument(commandline, ns, object);
        add_qemu_argument(commandline, ns, "-machine");
        add_qemu_argument(commandline, ns, RAM_MACHINE_OPTION);
}

/* Hidden from libvirt, which would parse what the guest says. -device has to be JSON: QEMU makes
 * devices of the other form before libvirt's, when the bus does not exist yet. */
static void add_agent_port(xmlNode *commandline, xmlNs *ns, const char *socket_path)
{
        g_autofree char *escaped = escape_option(socket_path);
        g_autofree char *chardev =
                g_strdup_printf("socket,id=fluid.agent,path=%s,server=on,wait=off", escaped);
        json_object *device = json_object_new_object();

        json_object_object_add(device, "driver", json_object_new_string("virtserialport"));
        json_object_object_add(device, "bus", json_object_new_string("virtio-serial0.0"));
        json_object_object_add(device, "nr", json_object_new_int(AGENT_PORT_NUMBER));
        json_object_object_add(device, "chardev", json_object_new_string("fluid.agent"));
        json_object_object_add(device, "name", json_object_new_string("org.qemu.guest_agent.0"));

        add_qemu_argument(commandline, ns, "-chardev");
        add_qemu_argument(commandline, ns, chardev);
        add_qemu_argument(commandline, ns, "-device");
        add_qemu_argument(commandline, ns,
                          json_object_to_json_string_ext(device, JSON_C_TO_STRING_PLAIN));
        json_object_put(device);
}

bool domain_has_numa(xmlNode *domain)
{
        return xml_find(xml_find(domain, "cpu"), "numa");
}

/* Without that capability libvirt asks for some features of the CPU at once. With it, it asks for
 * each of some 400 by itself, which takes longer than QEMU's own start, only to find that an
 * emulated CPU is what QEMU makes it. */
static void drop_slow_capability(xmlNode *domain, xmlNs *ns)
{
        xmlNode *capabilities = xmlNewChild(domain, ns, (const xmlChar *) "capabilities", NULL);
        xmlNode *dropped = xmlNewChild(capabilities, ns, (const xmlChar *) "del", NULL);

        xml_set(dropped, "capability", "cpu-unavailable-features");
}

void domain_add_arguments(xmlNode *domain, const DomainSpec *spec, const DomainRam *ram)
{
        xmlNs *ns = xmlSearchNsByHref(domain->doc, domain, (const xmlChar *) QEMU_NAMESPACE);

        if (!ns)
                ns = xmlNewNs(domain, (const xmlChar *) QEMU_NAMESPACE, (const xmlChar *) "qemu");
        xmlNode *commandline = xmlNewChild(domain, ns, (const xmlChar *) "commandline", NULL);
        if (!domain_has_numa(domain))
                add_ram(commandline, ns, spec, ram);
        if (ram->is_loaded) {
                add_qemu_argument(commandline, ns, "-incoming");
                add_qemu_argument(commandline, ns, "defer");
        }
        add_agent_port(commandline, ns, spec->agent_socket);
        if (xml_has(domain, "type", "qemu"))
                drop_slow_capability(domain, ns);
}

/* When it changes while the guest stands still, the guest's kernel knows that it is a copy, and
 * reseeds its random numbers. libvirt fills it in anew at each definition and at each start from a
 * memory. */
static void add_generation_id(xmlNode *domain)
{
        static const char *const machines[] = {"x86_64", "i686", NULL};
        g_autofree char *arch = xml_get(xml_find(xml_find(domain, "os"), "type"), "arch");

        if (arch && !g_strv_contains(machines, arch))
                return;
        if (xml_find(xml_find(domain, "features"), "acpi") && !xml_find(domain, "genid"))
                xml_add(domain, "genid", NULL);
}

int domain_format_xml(const DomainSpec *spec, const char *virt_type, char **ret_xml, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = domain_check_spec(spec, f);

        if (r < 0)
                return r;
        r = xml_parse("the blueprint", spec->blueprint ? spec->blueprint : default_blueprint,
                      "domain", &doc, f);
        if (r < 0)
                return r;

        xmlNode *domain = xmlDocGetRootElement(doc);
        xmlNode *devices = xml_find(domain, "devices");
        if (!devices)
                devices = xml_add(domain, "devices", NULL);
        xml_set(domain, "type", virt_type);
        domain_add_identity(domain, spec);
        add_size(domain, spec);
        domain_set_boot(domain, spec);
        set_cpu(domain, spec, g_str_equal(virt_type, "qemu"));
        add_lifecycle(domain);
        add_generation_id(domain);
        r = set_disks(devices, spec, f);
        if (r < 0)
                return r;
        add_fixed_devices(devices, spec);
        add_root_ports(domain, devices);
        domain_add_security_label(domain, spec);
        domain_add_arguments(domain, spec, &(DomainRam){0});
        *ret_xml = xml_format(doc);
        return 0;
}

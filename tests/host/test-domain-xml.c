/* SPDX-License-Identifier: MIT */

/* domain_format_xml() and domain_format_memory_xml(), which goes out from saved.xml, against the
 * files of tests/host/golden/. With FLUID_UPDATE_GOLDEN=1 they are written anew: read the
 * difference before it is committed. */

#include "base/cleanup.h"
#include "base/file.h"
#include "host/domain-xml-private.h"
#include "tests/tap.h"

#define GOLDEN "tests/host/golden/"

static const DomainDisk one_disk[] = {{(char *) "vda", (char *) "/srv/fluid/a/vda.qcow2"}};
static const DomainDisk two_disks[] = {
        {(char *) "sdb", (char *) "/srv/fluid/a/sdb.qcow2"},
        {(char *) "sda", (char *) "/srv/fluid/a/sda.qcow2"},
};

static const DomainSpec plain = {
        .id = "0123456789ab",
        .title = "web <1> & \"co\"",
        .vcpus = 2,
        .memory_bytes = UINT64_C(512) << 20,
        .disks = one_disk,
        .n_disks = 1,
        .agent_socket = "/run/fluid/a,b/agent.sock",
        .console_log = "/var/log/fluid/a/console.log",
        .qemu_uid = 64055,
        .qemu_gid = 107,
};

static const char uefi_blueprint[] =
        "<domain>"
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
        "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
        "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/></os>"
        "<cpu mode='host-model'><topology sockets='1' dies='1' cores='2' threads='2'/></cpu>"
        "<features><acpi/><hyperv mode='custom'><relaxed state='on'/></hyperv></features>"
        "<clock offset='localtime'><timer name='hypervclock' present='yes'/>"
        "<timer name='rtc' tickpolicy='catchup'/></clock>"
        "<devices><controller type='scsi' index='0' model='virtio-scsi'/>"
        "<disk device='disk'><target dev='sda' bus='scsi'/><boot order='1'/></disk>"
        "<disk device='disk'><target dev='sdc' bus='scsi'/></disk></devices>"
        "</domain>";

static void compare_golden(const char *xml, const char *file, const char *what)
{
        g_autofree char *path = g_strconcat(GOLDEN, file, NULL);
        g_autofree char *expected = NULL;
        Fault f = {0};

        if (xml && g_getenv("FLUID_UPDATE_GOLDEN"))
                (void) g_file_set_contents(path, xml, -1, NULL);
        if (file_read(path, 1 << 20, &expected, NULL, &f) < 0)
                tap_note("%s", f.message);
        tap_is_str(xml, expected, "%s", what);
}

static void expect_golden(const DomainSpec *spec, const char *virt_type, const char *file,
                          const char *what)
{
        g_autofree char *xml = NULL;
        Fault f = {0};

        if (domain_format_xml(spec, virt_type, &xml, &f) < 0)
                tap_note("%s", f.message);
        compare_golden(xml, file, what);
}

static void test_golden(void)
{
        DomainSpec spec = plain;

        expect_golden(&spec, "qemu", "plain-qemu.xml", "an emulated sandbox boots from its disk");
        spec.kernel = "/srv/fluid/t/vmlinuz";
        spec.initrd = "/srv/fluid/t/initrd";
        spec.cmdline = "root=/dev/vda quiet opt='a b'";
        expect_golden(&spec, "kvm", "kernel-kvm.xml", "a KVM sandbox boots a kernel of its own");

        spec = plain;
        spec.blueprint = uefi_blueprint;
        spec.nvram = "/srv/fluid/a/nvram.fd";
        spec.vcpus = 4;
        spec.disks = two_disks;
        spec.n_disks = 2;
        expect_golden(
                &spec, "kvm", "uefi-kvm.xml",
                "a blueprint's firmware, buses and topology are kept, its other disks are not");
        spec.vcpus = 2;
        expect_golden(&spec, "qemu", "uefi-qemu.xml",
                      "an emulated CPU loses the host's model, Hyper-V and KVM features");
}

static unsigned count_root_ports(const char *machine, const DomainDisk *disks, size_t n_disks)
{
        DomainSpec spec = plain;
        g_autofree char *blueprint =
                g_strdup_printf("<domain><os><type machine='%s'>hvm</type></os></domain>", machine);
        g_autofree char *xml = NULL;

        spec.blueprint = blueprint;
        spec.disks = disks;
        spec.n_disks = n_disks;
        if (domain_format_xml(&spec, "qemu", &xml, NULL) < 0)
                return 99;
        g_auto(GStrv) parts = g_strsplit(xml, "model=\"pcie-root-port\"", -1);
        return g_strv_length(parts) - 1;
}

/* Beside the disks, virtio-serial and the random number generator take one each. */
static void test_root_ports(void)
{
        static const DomainDisk virtio[] = {{(char *) "vda", (char *) "/a.qcow2"},
                                            {(char *) "vdb", (char *) "/b.qcow2"}};

        tap_is_int(count_root_ports("pc-q35-7.2", virtio, 2), 4 + 2,
                   "a PCIe machine has two free ports beside those that its devices take");
        tap_is_int(count_root_ports("q35", two_disks, 2), 2 + 2, "SATA disks take none");
        tap_is_int(count_root_ports("virt-7.2", virtio, 1), 3 + 2, "ARM's machine is one too");
        tap_is_int(count_root_ports("pc-i440fx-7.2", virtio, 1), 0, "an older machine needs none");
        tap_is_int(count_root_ports("pc", virtio, 1), 0, "by no name");
}

static void expect_refused(const DomainSpec *spec, const char *what)
{
        char *xml = NULL;
        Fault f = {0};
        int r = domain_format_xml(spec, "kvm", &xml, &f);

        tap_ok(r < 0 && f.code == FAULT_INVALID_ARGUMENT && !xml, "%s", what);
        g_free(xml);
}

static void test_refusals(void)
{
        static const DomainDisk odd_target[] = {{(char *) "xvda", (char *) "/a.qcow2"}};
        static const DomainDisk relative[] = {{(char *) "vda", (char *) "a.qcow2"}};
        DomainSpec spec = plain;

        spec.title = "two\nlines";
        expect_refused(&spec, "a title with a line break is refused");
        spec = plain;
        spec.id = "../etc";
        expect_refused(&spec, "an id that is none is refused");
        spec = plain;
        spec.kernel = "/vmlinuz";
        spec.cmdline = "quiet \x01";
        expect_refused(&spec, "a kernel command line with a control character is refused");
        spec = plain;
        spec.cmdline = "\xff";
        expect_refused(&spec, "a kernel command line that is not UTF-8 is refused");
        spec = plain;
        spec.memory_bytes += 1;
        expect_refused(&spec, "memory that is not a multiple of 1 MiB is refused");
        spec = plain;
        spec.vcpus = 0;
        expect_refused(&spec, "no CPU is refused");
        spec = plain;
        spec.disks = odd_target;
        expect_refused(&spec, "a disk target without a bus is refused");
        spec = plain;
        spec.disks = relative;
        expect_refused(&spec, "a relative path is refused");
        spec = plain;
        spec.n_disks = 0;
        expect_refused(&spec, "no disk is refused");
        spec = plain;
        spec.blueprint = "<domain><os>";
        expect_refused(&spec, "a blueprint that is not XML is refused");
}

/* -- from a memory --------------------------------------------------------------------------- */

static const char uuid[] = "11111111-2222-4333-8444-555555555555";

static char *saved_with(const char *old, const char *new)
{
        g_autofree char *text = NULL;
        Fault f = {0};

        if (file_read(GOLDEN "saved.xml", 1 << 20, &text, NULL, &f) < 0)
                tap_bail_out(f.message);
        if (!strstr(text, old))
                tap_bail_out("saved.xml has not what a test replaces");
        g_auto(GStrv) parts = g_strsplit(text, old, -1);
        return g_strjoinv(new, parts);
}

static void test_memory(void)
{
        g_autofree char *saved = saved_with("</domain>", "</domain>");
        g_autofree char *mapped = NULL, *baked = NULL, *streamed = NULL;
        DomainRam ram = {.path = "/srv/fluid/t,1/ram", .is_loaded = true};
        DomainSpec spec = plain;
        Fault f = {0};

        spec.kernel = "/srv/fluid/t/vmlinuz";
        if (domain_format_memory_xml(&spec, "qemu", saved, uuid, &ram, &mapped, &f) < 0)
                tap_note("%s", f.message);
        compare_golden(mapped, "memory-image.xml",
                       "a sandbox that goes on from an image has its own name, files and sockets");
        ram.is_shared = true;
        spec.console_log = NULL;
        if (domain_format_memory_xml(&spec, "qemu", saved, NULL, &ram, &baked, &f) < 0)
                tap_note("%s", f.message);
        compare_golden(baked, "memory-bake.xml",
                       "a domain that an image is made in writes to it, and logs nothing");
        ram = (DomainRam){.is_loaded = true};
        if (domain_format_memory_xml(&spec, "qemu", saved, uuid, &ram, &streamed, &f) < 0)
                tap_note("%s", f.message);
        tap_ok(streamed && strstr(streamed, "memory-backend-ram,id=fluid.ram,size=536870912") &&
                       strstr(streamed, "-incoming"),
               "one that goes on from a stream has RAM of its own, and waits");
        tap_ok(mapped && !strstr(mapped, "/srv/fluid/source") && !strstr(mapped, "aaaaaaaaaaaa"),
               "nothing of the saved sandbox's own is left");
}

static void expect_unfit(const DomainSpec *spec, const char *virt_type, char *saved,
                         const char *what)
{
        DomainRam ram = {.is_loaded = true};
        char *xml = NULL;
        Fault f = {0};
        int r = domain_format_memory_xml(spec, virt_type, saved, uuid, &ram, &xml, &f);

        tap_ok(r < 0 && f.code == FAULT_WRONG_STATE && !xml, "%s", what);
        tap_note("%s", f.message);
        g_free(saved);
        g_free(xml);
}

static void test_unfit_memory(void)
{
        DomainSpec spec = plain;

        spec.memory_bytes *= 2;
        expect_unfit(&spec, "qemu", saved_with("</domain>", "</domain>"),
                     "another size of memory does not fit");
        spec = plain;
        spec.vcpus = 1;
        expect_unfit(&spec, "qemu", saved_with("</domain>", "</domain>"),
                     "another number of CPUs does not fit");
        spec = plain;
        expect_unfit(&spec, "kvm", saved_with("</domain>", "</domain>"),
                     "another kind of virtualisation does not");
        spec.nvram = "/srv/fluid/a/nvram";
        expect_unfit(&spec, "qemu", saved_with("</domain>", "</domain>"),
                     "UEFI does not fit a BIOS guest");
        spec = plain;
        expect_unfit(&spec, "qemu", saved_with("<boot dev='hd'/>", "<nvram>/n</nvram>"),
                     "a BIOS does not fit an UEFI guest, whose variables are another's");
        expect_unfit(&spec, "qemu", saved_with("dev='vda'", "dev='vdb'"),
                     "a disk of another name does not fit");
        expect_unfit(&spec, "qemu", saved_with("device='disk'", "device='cdrom'"),
                     "nor does a CD-ROM");
        spec.disks = two_disks;
        spec.n_disks = 2;
        expect_unfit(&spec, "qemu", saved_with("dev='vda'", "dev='sda'"),
                     "nor another number of disks");
        spec = plain;
        expect_unfit(&spec, "qemu",
                     saved_with("<memballoon model='none'/>", "<interface type='user'/>"),
                     "a network interface in a memory is refused");
        expect_unfit(&spec, "qemu",
                     saved_with("<memballoon model='none'/>",
                                "<filesystem><source dir='/etc'/></filesystem>"),
                     "so is a device that fluid does not know");
        expect_unfit(&spec, "qemu", saved_with("channel type='unix'", "channel type='spicevmc'"),
                     "so is a channel that is no socket");
        expect_unfit(&spec, "qemu", saved_with("memory-backend=fluid.ram", "accel=tcg"),
                     "the memory of a domain of fluid 0.1 cannot be used");
        expect_unfit(&spec, "qemu",
                     saved_with("<cpu mode='maximum' check='none'/>",
                                "<cpu mode='maximum'><numa><cell/></numa></cpu>"),
                     "nor one with NUMA nodes");
}

static void test_damaged_memory(void)
{
        DomainRam ram = {.is_loaded = true};
        char *xml = NULL;
        Fault f = {0};
        int r = domain_format_memory_xml(&plain, "qemu", "<domain><devices>", uuid, &ram, &xml, &f);

        tap_ok(r < 0 && f.code == FAULT_INVALID_ARGUMENT && !xml,
               "a saved definition that is not XML is refused");
        f = (Fault){0};
        r = domain_format_memory_xml(&plain, "qemu", "<domain/>", uuid, &ram, &xml, &f);
        tap_ok(r < 0 && f.code == FAULT_WRONG_STATE && !xml, "so is an empty one");
}

static void test_numa(void)
{
        DomainSpec spec = plain;
        g_autofree char *xml = NULL;

        spec.blueprint =
                "<domain><os><type>hvm</type></os><cpu mode='host-model'><numa>"
                "<cell id='0' cpus='0-1' memory='524288' unit='KiB'/></numa></cpu></domain>";
        tap_ok(domain_format_xml(&spec, "kvm", &xml, NULL) == 0 && !strstr(xml, "fluid.ram") &&
                       strstr(xml, "fluid.agent"),
               "libvirt alone divides the RAM of a domain with NUMA nodes");
}

int main(void)
{
        test_golden();
        test_root_ports();
        test_refusals();
        test_memory();
        test_unfit_memory();
        test_damaged_memory();
        test_numa();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */

/* domain_format_xml() against the files of tests/host/golden/. With FLUID_UPDATE_GOLDEN=1 they are
 * written anew: read the difference before it is committed. */

#include "base/cleanup.h"
#include "base/file.h"
#include "host/hypervisor.h"
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

static void expect_golden(const DomainSpec *spec, const char *virt_type, const char *file,
                          const char *what)
{
        g_autofree char *path = g_strconcat(GOLDEN, file, NULL);
        g_autofree char *xml = NULL, *expected = NULL;
        Fault f = {0};

        if (domain_format_xml(spec, virt_type, &xml, &f) < 0)
                tap_note("%s", f.message);
        else if (g_getenv("FLUID_UPDATE_GOLDEN"))
                (void) g_file_set_contents(path, xml, -1, NULL);
        if (file_read(path, 1 << 20, &expected, NULL, &f) < 0)
                tap_note("%s", f.message);
        tap_is_str(xml, expected, "%s", what);
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

int main(void)
{
        test_golden();
        test_refusals();
        return tap_done();
}

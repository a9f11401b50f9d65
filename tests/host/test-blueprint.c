/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "host/hypervisor.h"
#include "tests/tap.h"

#define OS   "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>"
#define SIZE "<memory unit='KiB'>1048576</memory><vcpu placement='static'>2</vcpu>"
#define DISK \
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>" \
        "<source file='/srv/a.qcow2' index='1'/><target dev='vda' bus='virtio'/>" \
        "<address type='pci' domain='0' bus='4' slot='0' function='0'/></disk>"
#define DEVICES(more) \
        "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>" DISK more "</devices>"
#define DOMAIN(more) "<domain type='kvm'><name>a</name>" SIZE more "</domain>"
#define WITH(device) DOMAIN(OS DEVICES(device))

/* A disk of one's own in place of DISK. */
#define ONLY(disk) DOMAIN(OS "<devices>" disk "</devices>")

static void expect_refusal(const char *xml, const char *word, const char *what)
{
        g_autoptr(Blueprint) b = NULL;
        Fault f = {0};
        int r = domain_blueprint(xml, &b, &f);
        bool good = r < 0 && f.code == FAULT_NOT_CLONEABLE && strstr(f.message, word);

        tap_ok(good && !b, "%s", what);
        if (!good)
                tap_note("%s", r < 0 ? f.message : "accepted");
}

static const struct {
        const char *xml;
        const char *word;
        const char *what;
} refusals[] = {
        {WITH("<hostdev mode='subsystem' type='pci'/>"), "hostdev", "a host device is refused"},
        {WITH("<filesystem type='mount'/>"), "filesystem", "a shared folder is refused"},
        {WITH("<shmem name='x'/>"), "shmem", "ivshmem is refused"},
        {WITH("<tpm model='tpm-crb'><backend type='emulator'/></tpm>"), "tpm", "a TPM is refused"},
        {WITH("<memory model='nvdimm'/>"), "memory device", "an NVDIMM is refused"},
        {WITH("<pstore backend='acpi-erst'/>"), "pstore", "a pstore is refused"},
        {WITH("<tablet/>"), "tablet", "an unknown device is refused"},
        {WITH("<controller type='nvme'/>"), "nvme", "an unknown controller is refused"},
        {WITH("<disk type='block' device='disk'><source dev='/dev/sdb'/>"
              "<target dev='vdb' bus='virtio'/></disk>"),
         "'vdb' is not a file", "a block disk is refused"},
        {WITH("<disk type='network' device='disk'><source protocol='rbd' name='x'/>"
              "<target dev='vdb' bus='virtio'/></disk>"),
         "'vdb' is not a file", "a network disk is refused"},
        {WITH("<disk type='volume' device='disk'><source pool='a' volume='b'/>"
              "<target dev='vdb' bus='virtio'/></disk>"),
         "'vdb' is not a file", "a volume is refused"},
        {WITH("<disk type='vhostuser' device='disk'><target dev='vdb' bus='virtio'/></disk>"),
         "'vdb' is not a file", "a vhost-user disk is refused"},
        {WITH("<disk type='block' device='lun'><target dev='sdb' bus='scsi'/></disk>"),
         "device of the host", "a LUN is refused"},
        {WITH("<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
              "<source file='/srv/seed.iso'/><target dev='sda' bus='sata'/></disk>"),
         "eject", "a CD-ROM with a medium is refused"},
        {WITH("<disk type='file' device='disk'><driver type='vmdk'/><source file='/b'/>"
              "<target dev='vdb' bus='virtio'/></disk>"),
         "convert", "a disk of another format is refused"},
        {WITH("<disk type='file' device='disk'><driver type='raw'/><source file='/b'/>"
              "<target dev='vdb' bus='virtio'/><readonly/></disk>"),
         "read-only", "a read-only disk is refused"},
        {WITH("<disk type='file' device='disk'><driver type='raw'/><source file='/b'>"
              "<encryption format='luks'/></source><target dev='vdb' bus='virtio'/></disk>"),
         "encrypted", "an encrypted disk is refused"},
        {WITH("<disk type='file' device='disk'><driver type='raw'/><source file='/b'>"
              "<slices><slice type='storage' offset='0' size='1'/></slices></source>"
              "<target dev='vdb' bus='virtio'/></disk>"),
         "slice", "a slice of a file is refused"},
        {WITH("<disk type='file' device='disk'><driver type='raw'/><source file='/b'/>"
              "<target dev='sdb' bus='usb'/></disk>"),
         "bus", "a disk on USB is refused"},
        {WITH("<disk type='file' device='disk'><driver type='raw'/><source file='/b'/>"
              "<target dev='../x' bus='virtio'/></disk>"),
         "target", "a target that is no name is refused"},
        {WITH(DISK), "twice", "a target that is there twice is refused"},
        {ONLY(""), "no writable disk", "a domain without a disk is refused"},
        {"<domain type='xen'>" SIZE OS DEVICES("") "</domain>", "type", "Xen is refused"},
        {DOMAIN("<os><type>exe</type></os>" DEVICES("")), "hvm", "a container is refused"},
        {DOMAIN("<os><type>hvm</type><loader>/home/x/fw.bin</loader></os>" DEVICES("")), "loader",
         "firmware outside /usr/share is refused"},
        {DOMAIN("<os><type>hvm</type><loader>/usr/share/../../home/fw</loader></os>" DEVICES("")),
         "loader", "firmware that climbs out of /usr/share is refused"},
        {DOMAIN("<os><type>hvm</type><nvram template='/etc/shadow'>/n</nvram></os>" DEVICES("")),
         "template", "an NVRAM template outside /usr/share is refused"},
        {DOMAIN("<os><type>hvm</type><nvram type='network'><source/></nvram></os>" DEVICES("")),
         "nvram", "NVRAM that is not a file is refused"},
        {DOMAIN("<os><type>hvm</type><acpi><table type='slic'>/t</table></acpi></os>" DEVICES("")),
         "acpi", "an ACPI table is refused"},
        {DOMAIN("<os><type>hvm</type><dtb>/t</dtb></os>" DEVICES("")), "dtb",
         "a device tree is refused"},
        {DOMAIN(OS DEVICES("") "<launchSecurity type='sev'/>"), "launch security",
         "launch security is refused"},
        {DOMAIN(OS DEVICES("") "<sysinfo type='fwcfg'><entry name='x' file='/y'/></sysinfo>"),
         "sysinfo", "files for the firmware are refused"},
        {DOMAIN(OS DEVICES("") "<features><warp/></features>"), "features/warp",
         "an unknown feature is refused"},
        {DOMAIN(OS DEVICES("") "<surprise/>"), "surprise", "an unknown element is refused"},
        {DOMAIN(OS DEVICES("") "<q:commandline "
                               "xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
                               "<q:arg value='-S'/></q:commandline>"),
         "arguments for QEMU", "arguments for QEMU are refused under any prefix"},
        {DOMAIN(OS DEVICES("") "<clock offset='utc'><timer name='rtc'>"
                               "<x:y xmlns:x='urn:x'/></timer></clock>"),
         "namespace", "a hidden element of another namespace is refused"},
        {"<domain type='kvm'><memory>0</memory><vcpu>1</vcpu>" OS DEVICES("") "</domain>", "memory",
         "no memory is refused"},
        {"<domain type='kvm'><memory unit='EiB'>9</memory><vcpu>1</vcpu>" OS DEVICES(
                 "") "</domain>",
         "memory", "an unknown unit is refused"},
        {"<domain type='kvm'><memory>9</memory><vcpu>many</vcpu>" OS DEVICES("") "</domain>",
         "vcpu", "a number of CPUs that is none is refused"},
        {"<domain type='kvm'><memory>9</memory><vcpu>1</vcpu>" DEVICES("") "</domain>", "os",
         "a domain without <os> is refused"},
};

static void test_all_reasons(void)
{
        Fault f = {0};
        Blueprint *b = NULL;

        domain_blueprint(WITH("<hostdev/><hostdev/><tpm/><filesystem/>"), &b, &f);
        tap_ok(strstr(f.message, "hostdev") && strstr(f.message, "tpm") &&
                       strstr(f.message, "filesystem"),
               "every part that cannot be cloned is named");
        const char *first = strstr(f.message, "hostdev:");
        tap_ok(first && !strstr(first + 1, "hostdev:"), "a part is named once");
}

static void test_not_xml(void)
{
        static const char *const texts[] = {
                "",
                "<domain",
                "<network/>",
                ("<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                 "<domain type='kvm'><name>&x;</name></domain>"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                Fault f = {0};
                Blueprint *b = NULL;
                tap_ok(domain_blueprint(texts[i], &b, &f) < 0 && f.code == FAULT_INVALID_ARGUMENT,
                       "what is not a definition is refused (%zu)", i);
        }
}

static Blueprint *accept(const char *xml, const char *what)
{
        Blueprint *b = NULL;
        Fault f = {0};

        tap_ok(domain_blueprint(xml, &b, &f) == 0, "%s", what);
        if (!b)
                tap_bail_out(f.message);
        return b;
}

static void test_left_out(void)
{
        g_autoptr(Blueprint) b = accept(
                "<domain type='kvm' id='3'><name>prod</name><uuid>u</uuid><title>t</title>"
                "<metadata><x:y xmlns:x='urn:x'/></metadata>" SIZE
                "<resource><partition>/machine</partition></resource>"
                "<seclabel type='dynamic' model='dac'/><on_crash>restart</on_crash>" OS DEVICES(
                        "<disk type='file' device='cdrom'><target dev='sdc' bus='sata'/></disk>"
                        "<interface type='network'><mac address='52:54:00:00:00:01'/></interface>"
                        "<graphics type='vnc'/><video/><sound model='ich9'/><audio/>"
                        "<redirdev bus='usb'/><channel type='unix'/><serial type='pty'/>"
                        "<console type='pty'/><input type='tablet'/><memballoon model='virtio'/>"
                        "<controller type='usb'/><controller type='pci' model='pcie-root'/>"
                        "<rng model='virtio'/><watchdog model='itco'/>") "</domain>",
                "NICs, graphics, sound, channels, an empty CD-ROM do not hinder");
        static const char *const gone[] = {"prod",  "uuid",     "52:54",    "graphics", "cdrom",
                                           "sound", "metadata", "seclabel", "address",  "/srv/a",
                                           "rng",   "usb",      "pci'",     "emulator"};

        for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
                tap_ok(!strstr(b->xml, gone[i]), "'%s' is left out", gone[i]);
        tap_is_int(b->vcpus, 2, "the number of CPUs is told");
        tap_is_int((int64_t) b->memory_bytes, 1 << 30, "the memory is told in bytes");
        tap_is_int(b->disks->len, 1, "the disk is told");
        const SourceDisk *disk = b->disks->pdata[0];
        tap_is_str(disk->target, "vda", "with its target");
        tap_is_str(disk->path, "/srv/a.qcow2", "with its file");
        tap_is_str(disk->format, "qcow2", "with its format");
}

static void test_kept(void)
{
        g_autoptr(Blueprint) b = accept(
                DOMAIN("<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
                       "<kernel>/k</kernel><initrd>/i</initrd><cmdline>c d</cmdline>"
                       "<loader secure='no'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
                       "<nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/var/n.fd</nvram>"
                       "<boot dev='network'/><boot dev='hd'/><bootmenu enable='yes'/>"
                       "<smbios mode='sysinfo'/></os>"
                       "<sysinfo type='smbios'><system><entry name='uuid'>u-u</entry>"
                       "<entry name='product'>Box</entry></system></sysinfo><genid>g-g</genid>"
                       "<cpu mode='custom' match='exact'><model>Skylake</model>"
                       "<feature policy='require' name='vmx'/><numa><cell id='0'/></numa></cpu>"
                       "<features><acpi/><smm state='on'><tseg unit='MiB'>48</tseg></smm></features>"
                       "<clock offset='localtime'><timer name='rtc'/></clock>"
                       "<devices><controller type='scsi' index='0' model='virtio-scsi'/>"
                       "<disk type='file' device='disk'><driver type='raw'/><source file='/b'/>"
                       "<target dev='sda' bus='scsi'/><serial>S1</serial><boot order='2'/></disk>"
                       "<disk type='file' device='disk'><driver type='raw'/><source file='/d'/>"
                       "<target dev='sdc' bus='scsi'/></disk>"
                       "<disk type='file' device='disk'><driver type='raw'/><source file='/c'/>"
                       "<target dev='sdb' bus='scsi'/><boot order='1'/></disk></devices>"),
                "a UEFI machine with SCSI disks can be cloned");
        static const char *const kept[] = {
                "firmware=\"efi\"",
                "machine=\"pc-q35-7.2\"",
                "OVMF_CODE.fd",
                "template=",
                "<boot dev=\"hd\"",
                "bootmenu",
                "smbios",
                "Box",
                "<genid/>",
                "Skylake",
                "vmx",
                "tseg",
                "localtime",
                "virtio-scsi",
                "<serial>S1",
                "bus=\"scsi\"",
        };
        static const char *const gone[] = {"/var/n.fd", "<kernel", "<initrd", "<cmdline", "network",
                                           "u-u",       "g-g",     "numa",    "/b<"};

        for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
                tap_ok(strstr(b->xml, kept[i]), "'%s' is kept", kept[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(gone); i++)
                tap_ok(!strstr(b->xml, gone[i]), "'%s' is taken out", gone[i]);
        tap_is_str(b->kernel, "/k", "the kernel is told");
        tap_is_str(b->initrd, "/i", "the initrd is told");
        tap_is_str(b->cmdline, "c d", "the command line is told");
        tap_is_str(b->nvram, "/var/n.fd", "the NVRAM file is told");
        tap_is_int(b->disks->len, 3, "all disks are told");
        tap_is_str(((SourceDisk *) b->disks->pdata[0])->path, "/c", "in boot order");
        tap_is_str(((SourceDisk *) b->disks->pdata[2])->path, "/d", "those without one last");
}

static void test_sizes(void)
{
        g_autoptr(Blueprint) b = accept("<domain type='qemu'><memory unit='GiB'>3</memory>"
                                        "<vcpu current='3'>8</vcpu>" OS DEVICES("") "</domain>",
                                        "an emulated machine can be cloned");
        tap_is_int((int64_t) b->memory_bytes, INT64_C(3) << 30, "units of memory are known");
        tap_is_int(b->vcpus, 3, "the CPUs that are plugged in count");

        g_autoptr(Blueprint) odd = accept("<domain type='qemu'><memory unit='b'>1048577</memory>"
                                          "<vcpu>1</vcpu>" OS DEVICES("") "</domain>",
                                          "odd memory can be cloned");
        tap_is_int((int64_t) odd->memory_bytes, 2 << 20, "memory is rounded up to 1 MiB");
}

static void test_round_trip(void)
{
        g_autoptr(Blueprint) b = accept(WITH(""), "a plain machine can be cloned");
        g_autofree char *xml = NULL;
        DomainDisk disk = {(char *) "vda", (char *) "/o.qcow2"};
        DomainSpec spec = {
                .id = "0123456789ab",
                .blueprint = b->xml,
                .vcpus = b->vcpus,
                .memory_bytes = b->memory_bytes,
                .disks = &disk,
                .n_disks = 1,
                .agent_socket = "/a.sock",
        };
        Fault f = {0};

        tap_ok(domain_format_xml(&spec, "kvm", &xml, &f) == 0 && strstr(xml, "/o.qcow2") &&
                       strstr(xml, "pc-q35-7.2"),
               "a blueprint makes a sandbox");
        g_autoptr(Blueprint) again = NULL;
        tap_ok(domain_blueprint(xml, &again, &f) < 0, "a sandbox is not cloned as a domain");
}

int main(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
                expect_refusal(refusals[i].xml, refusals[i].word, refusals[i].what);
        test_all_reasons();
        test_not_xml();
        test_left_out();
        test_kept();
        test_sizes();
        test_round_trip();
        tap_ok(blueprint_free(NULL) == NULL, "freeing nothing is allowed");
        return tap_done();
}

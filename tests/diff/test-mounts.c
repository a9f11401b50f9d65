/* SPDX-License-Identifier: MIT */
#include "diff/mounts.h"
#include "tests/tap.h"

static void test_lines(void)
{
        static const struct {
                const char *line, *source, *target; /* NULL: nothing is mounted */
        } cases[] = {
                {"/dev/vda1 / ext4 defaults 0 1", "/dev/vda1", "/"},
                {"  UUID=1234\t/home\text4", "UUID=1234", "/home"},
                {"LABEL=a\\040b /with\\040space/ ext4 x", "LABEL=a b", "/with space"},
                {"/dev/vda1 //double///slashes// ext4", "/dev/vda1", "/double/slashes"},
                {"/dev/vda1 /odd\\04x\\8 ext4", "/dev/vda1", "/odd\\04x\\8"},
                {"/dev/vda1 /nul\\000x ext4", "/dev/vda1", "/nul\\000x"},
                {"/dev/vda1 /windows ext4\r", "/dev/vda1", "/windows"},
                {"/dev/vda1 /no-options ext4", "/dev/vda1", "/no-options"},
                {"/dev/vda1 /a ext4 rw,noautomatic", "/dev/vda1", "/a"},
                {"# /dev/vda1 / ext4", NULL, NULL},
                {"", NULL, NULL},
                {"/dev/vda1", NULL, NULL},
                {"/dev/vda1 /x", NULL, NULL},
                {"/dev/vda1 none swap sw", NULL, NULL},
                {"/dev/vda1 /x swap sw", NULL, NULL},
                {"/dev/vda1 relative ext4", NULL, NULL},
                {"/dev/vda1 /a/../b ext4", NULL, NULL},
                {"/dev/vda1 /.. ext4", NULL, NULL},
                {"/dev/vda1 /./b ext4", NULL, NULL},
                {"/dev/vda1 /x ext4 rw,noauto", NULL, NULL},
                {"/a /b none bind", NULL, NULL},
                {"/a /b none rbind,ro", NULL, NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GPtrArray) mounts = mounts_parse(cases[i].line, strlen(cases[i].line));
                const Mount *mount = mounts->len > 0 ? mounts->pdata[0] : NULL;

                tap_is_str(mount ? mount->source : NULL, cases[i].source, "the source of '%s'",
                           cases[i].line);
                tap_is_str(mount ? mount->target : NULL, cases[i].target, "its target");
        }
}

static void test_subvolumes(void)
{
        static const struct {
                const char *line, *subvolume;
        } cases[] = {
                {"/dev/vda1 / btrfs defaults,subvol=@ 0 0", "@"},
                {"/dev/vda1 / btrfs subvol=/a/b//", "a/b"},
                {"/dev/vda1 / btrfs subvol=with\\040space", "with space"},
                {"/dev/vda1 / btrfs subvol=/", ""},
                {"/dev/vda1 / btrfs subvolid=256", NULL},
                {"/dev/vda1 / btrfs", NULL},
                {"/dev/vda1 / ext4 subvol=@", NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GPtrArray) mounts = mounts_parse(cases[i].line, strlen(cases[i].line));
                const Mount *mount = mounts->pdata[0];

                tap_is_str(mount->subvolume, cases[i].subvolume, "the subvolume of '%s'",
                           cases[i].line);
        }
}

static void test_names(void)
{
        static const MountNames partition = {.uuid = "0123-abcd",
                                             .label = "my data",
                                             .partition_uuid = "12345678-02",
                                             .partition_name = "home",
                                             .disk = "vda",
                                             .partition = 2};
        static const MountNames whole = {.uuid = "0123-abcd", .disk = "vdb", .partition_uuid = ""};
        static const MountNames nvme = {.disk = "nvme0n1", .partition = 2};
        static const MountNames volume = {.disk = "vda", .volume = "my-vg/lv-1"};
        static const struct {
                const MountNames *names;
                const char *source;
                bool expected;
        } cases[] = {
                {&partition, "UUID=0123-abcd", true},
                {&partition, "UUID=\"0123-ABCD\"", true},
                {&partition, "UUID=0123-abc", false},
                {&partition, "UUID=", false},
                {&partition, "UUID", false},
                {&partition, "LABEL=my data", true},
                {&partition, "PARTUUID=12345678-02", true},
                {&partition, "PARTLABEL=home", true},
                {&partition, "PARTLABEL=0123-abcd", false},
                {&partition, "/dev/disk/by-uuid/0123-abcd", true},
                {&partition, "/dev/disk/by-partuuid/12345678-02", true},
                {&partition, "/dev/disk/by-label/home", false},
                {&partition, "/dev/disk/by-uuid", false},
                {&partition, "/dev/vda2", true},
                {&partition, "/dev/vda", false},
                {&partition, "/dev/vda22", false},
                {&partition, "/dev/vda02", false},
                {&partition, "/dev/vdb2", false},
                {&partition, "vda2", false},
                {&whole, "/dev/vdb", true},
                {&whole, "/dev/vdb1", false},
                {&whole, "PARTUUID=", false},
                {&nvme, "/dev/nvme0n1p2", true},
                {&nvme, "/dev/nvme0n12", false},
                {&volume, "/dev/mapper/my--vg-lv--1", true},
                {&volume, "/dev/mapper/my-vg-lv-1", false},
                {&volume, "/dev/my-vg/lv-1", true},
                {&volume, "/dev/my-vg/lv", false},
                {&volume, "/dev/vda", false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const Mount mount = {.source = (char *) cases[i].source};

                tap_ok(mount_is_of(&mount, cases[i].names) == cases[i].expected, "'%s' is %s",
                       cases[i].source, cases[i].expected ? "that" : "something else");
        }
}

static void test_bounds(void)
{
        static const char nul[] = "/dev/vda1 /a ext4\n\0/dev/vda2 /b ext4\n";
        g_autoptr(GString) many = g_string_new(NULL);

        for (unsigned i = 0; i < MOUNTS_MAX + 10; i++)
                g_string_append(many, "/dev/vda1 /a ext4\n");
        g_autoptr(GPtrArray) mounts = mounts_parse(many->str, many->len);
        tap_is_int(mounts->len, MOUNTS_MAX, "so many lines are read and no more");
        g_autoptr(GPtrArray) before = mounts_parse(nul, sizeof(nul) - 1);
        tap_is_int(before->len, 1, "a NUL ends the file");
        g_autoptr(GPtrArray) none = mounts_parse("", 0);
        tap_is_int(none->len, 0, "an empty file mounts nothing");
}

int main(void)
{
        test_lines();
        test_subvolumes();
        test_names();
        test_bounds();
        return tap_done();
}

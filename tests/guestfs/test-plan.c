/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "diff/mounts.h"
#include "guestfs/image.h"
#include "guestfs/plan.h"
#include "guestfs/subvolume.h"
#include "tests/tap.h"

#include <string.h>

static void test_plan(void)
{
        const PlanPlace places[] = {{1000, 2, false, true}, {INT64_MAX / 8, 0, true, false}};
        g_autofree char *text = plan_to_string(places, 2);
        g_autoptr(GArray) parsed = NULL, none = NULL;
        char name[PLAN_NAME_SIZE];

        tap_is_str(text, "old 2 btrfs 1000\nnew 0 xfs 1152921504606846975\nend\n",
                   "a plan is a list of places");
        tap_ok(plan_parse(text, &parsed, NULL) == 0 && parsed->len == 2, "it is read again");
        const PlanPlace *first = &g_array_index(parsed, PlanPlace, 0);
        const PlanPlace *second = &g_array_index(parsed, PlanPlace, 1);
        tap_ok(!first->of_new && first->place == 2 && first->is_btrfs && first->size == 1000 &&
                       second->of_new && second->place == 0 && !second->is_btrfs &&
                       second->size == places[1].size,
               "as it was");
        plan_name(second, name);
        tap_is_str(name, "new-0", "a place has a name");
        tap_ok(plan_parse("end\n", &none, NULL) == 0 && none->len == 0, "it may be empty");
}

static void test_bad_plans(void)
{
        static const char *const texts[] = {
                "",
                "end",
                "old 1 xfs 10\n",
                "old 1 xfs 10\nen",
                "old 1 xfs\nend\n",
                "old 1 xfs 10 x\nend\n",
                "off 1 xfs 10\nend\n",
                "old -1 xfs 10\nend\n",
                "old 65536 xfs 10\nend\n",
                "old 1 ext4 10\nend\n",
                "old 1 xfs 18446744073709551615\nend\n",
                "old 1 xfs +1\nend\n",
                "old 1 xfs 10\n\nend\n",
                "end\nend\n",
        };
        g_autoptr(GString) many = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                GArray *places = NULL;

                tap_ok(plan_parse(texts[i], &places, NULL) < 0 && !places, "bad plan %zu is none",
                       i);
        }
        for (unsigned i = 0; i <= PLAN_MAX; i++)
                g_string_append(many, "old 1 xfs 10\n");
        g_string_append(many, "end\n");
        GArray *places = NULL;
        tap_ok(plan_parse(many->str, &places, NULL) < 0, "nor is one of too many places");
}

static char *list(const char *text)
{
        g_autoptr(GPtrArray) subvolumes = subvolumes_parse(text, strlen(text));
        GString *out = g_string_new(NULL);

        for (unsigned i = 0; i < subvolumes->len; i++) {
                const Mount *mount = subvolumes->pdata[i];

                g_string_append_printf(out, "%s%s=%s", i > 0 ? " " : "", mount->target,
                                       mount->subvolume);
        }
        return g_string_free(out, FALSE);
}

static void test_subvolumes(void)
{
        static const struct {
                const char *fstab, *found, *sentence;
        } cases[] = {
                {"", "", "nothing mounts nothing"},
                {"UUID=1 / btrfs subvol=@ 0 0\nUUID=1 /home btrfs defaults,subvol=/@home/ 0 0\n",
                 "/home=@home", "a subvolume beside that of the root"},
                {"UUID=1 /var/log btrfs subvol=log\nUUID=1 / btrfs subvol=@\n"
                 "UUID=1 /var btrfs noatime,subvol=var,ro\n",
                 "/var=var /var/log=log", "each is mounted on what is there"},
                {"UUID=1 / btrfs subvol=@\nUUID=2 /srv btrfs subvol=srv\n/dev/x /a btrfs subvol=a\n",
                 "", "another file system's are not of this one"},
                {"UUID=1 / btrfs subvol=@\n#UUID=1 /a btrfs subvol=a\n /b\n/c btrfs\n", "",
                 "comments and half lines are not looked at"},
                {"UUID=1 / btrfs subvol=@\nUUID=1 //a//b/ btrfs subvol=@b\n", "/a/b=@b",
                 "slashes do not matter"},
                {"UUID=1 / btrfs subvol=@\nUUID=1 /a\\040b btrfs subvol=x\\040y\n", "/a b=x y",
                 "spaces are written as numbers"},
                {"UUID=1 / btrfs subvol=@\nUUID=1 /a/../../copy btrfs subvol=x\n"
                 "UUID=1 copy btrfs subvol=x\nUUID=1 /./a btrfs subvol=x\n",
                 "", "nothing is mounted elsewhere"},
                {"UUID=1 /home btrfs subvol=@home\n", "", "without a root there is none beside it"},
                {"UUID=9 / ext4 defaults\nUUID=1 /home btrfs subvol=@home\n", "",
                 "nor beside a root of another kind"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *found = list(cases[i].fstab);

                tap_is_str(found, cases[i].found, "%s", cases[i].sentence);
        }
}

static void test_sizes(void)
{
        uint64_t one = 0, many = 0, small = 0;

        tap_ok(image_choose_size("/", UINT64_C(1) << 60, 1, &one, NULL) == 0 && one > 0 &&
                       one < UINT64_C(1) << 60,
               "a copy is no larger than what is free");
        tap_ok(image_choose_size("/", UINT64_C(1) << 60, 4, &many, NULL) == 0 && many <= one / 3,
               "several share it");
        tap_ok(image_choose_size("/", 1, 1, &small, NULL) == 0 && small == UINT64_C(64) << 20,
               "a small one has room for its tables");
        tap_ok(image_choose_size("/nowhere", 1, 1, &small, NULL) < 0,
               "where nothing is known there is no room");
}

int main(void)
{
        test_plan();
        test_bad_plans();
        test_subvolumes();
        test_sizes();
        return tap_done();
}

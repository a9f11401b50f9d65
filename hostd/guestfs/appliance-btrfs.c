/* SPDX-License-Identifier: MIT */
#include "guestfs/appliance-private.h"

#include "base/cleanup.h"
#include "diff/mounts.h"
#include "guestfs/subvolume.h"

#include <stdlib.h>
#include <string.h>

#define FSTAB_MAX  (256 << 10)
#define MASKED_MAX 256

/* Where it is among the subvolumes, and among the guest's directories. */
typedef struct Mounted {
        const char *path;   /* "@home"; "" for the top level */
        const char *target; /* "/home" */
} Mounted;

static bool has_root(guestfs_h *g, const char *path)
{
        g_autofree char *etc = g_strdup_printf(MOUNT_SOURCE "/%s/etc", path);

        return guestfs_is_dir(g, etc) == 1;
}

static const char *path_of(const struct guestfs_btrfssubvolume_list *list, int64_t id)
{
        for (uint32_t i = 0; i < list->len; i++)
                if (list->val[i].btrfssubvolume_id == (uint64_t) id)
                        return list->val[i].btrfssubvolume_path;
        return "";
}

/* What the guest's kernel would mount without being told, if that is a root; else what
 * distributions name it; else the first that is one. The top level is mounted. */
static const char *find_root(guestfs_h *g, const struct guestfs_btrfssubvolume_list *list)
{
        static const char *const names[] = {"@", "@rootfs", "root", "@root"};
        const char *by_default =
                path_of(list, guestfs_btrfs_subvolume_get_default(g, MOUNT_SOURCE));

        if (has_root(g, by_default))
                return by_default;
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                for (uint32_t j = 0; j < list->len; j++)
                        if (strcmp(list->val[j].btrfssubvolume_path, names[i]) == 0 &&
                            has_root(g, names[i]))
                                return list->val[j].btrfssubvolume_path;
        for (uint32_t j = 0; j < list->len; j++)
                if (has_root(g, list->val[j].btrfssubvolume_path))
                        return list->val[j].btrfssubvolume_path;
        return by_default;
}

/* The top level, which has all others, has no path. */
static int mount_at(guestfs_h *g, const char *device, const char *path, const char *target)
{
        g_autofree char *options =
                *path ? g_strdup_printf("ro,subvol=/%s", path) : g_strdup("ro,subvolid=5");
        g_autofree char *where = g_strconcat(MOUNT_SOURCE, target, NULL);

        /* A comma would begin an option of its own. */
        return strchr(path, ',') ? -1 : guestfs_mount_options(g, options, device, where);
}

/* A directory, on the way to which there is no link. */
static bool is_plain_directory(guestfs_h *g, const char *path)
{
        char *real = guestfs_is_dir(g, path) == 1 ? guestfs_realpath(g, path) : NULL;
        bool same = real && strcmp(real, path) == 0;

        free(real);
        return same;
}

/* What the root's /etc/fstab has of it besides; what cannot be mounted so is not there then. */
static void mount_rest(guestfs_h *g, const char *device, const GPtrArray *subvolumes,
                       GArray *mounted)
{
        for (unsigned i = 0; i < subvolumes->len; i++) {
                const Mount *mount = subvolumes->pdata[i];
                const Mounted entry = {mount->subvolume, mount->target};
                g_autofree char *where = g_strconcat(MOUNT_SOURCE, entry.target, NULL);

                if (is_plain_directory(g, where) &&
                    mount_at(g, device, entry.path, entry.target) == 0)
                        g_array_append_val(mounted, entry);
        }
}

static GPtrArray *read_fstab(guestfs_h *g)
{
        size_t size = 0;
        char *text = guestfs_is_file(g, MOUNT_SOURCE "/etc/fstab") == 1 &&
                                     guestfs_filesize(g, MOUNT_SOURCE "/etc/fstab") <= FSTAB_MAX
                             ? guestfs_read_file(g, MOUNT_SOURCE "/etc/fstab", &size)
                             : NULL;
        GPtrArray *subvolumes = subvolumes_parse(text ? text : "", text ? size : 0);

        free(text);
        return subvolumes;
}

/* Its path below MOUNT_SOURCE where it is within something that is mounted, but is not that itself;
 * else NULL. */
static char *find_within(const GArray *mounted, const char *path)
{
        const Mounted *best = NULL;

        for (unsigned i = 0; i < mounted->len; i++) {
                const Mounted *entry = &g_array_index(mounted, Mounted, i);
                size_t n = strlen(entry->path);

                if (strcmp(entry->path, path) == 0)
                        return NULL;
                if ((n == 0 || (strncmp(path, entry->path, n) == 0 && path[n] == '/')) &&
                    (!best || n > strlen(best->path)))
                        best = entry;
        }
        if (!best)
                return NULL;
        size_t n = strlen(best->path);
        return g_strdup_printf(MOUNT_SOURCE "%s/%s",
                               strcmp(best->target, "/") == 0 ? "" : best->target,
                               path + n + (n > 0));
}

static bool is_read_only(guestfs_h *g, const char *where)
{
        char **facts = guestfs_btrfs_subvolume_show(g, where);
        bool found = false;

        for (char **fact = facts; fact && fact[0] && fact[1]; fact += 2)
                found = found || (strcmp(fact[0], "Flags") == 0 && strstr(fact[1], "readonly"));
        for (char **fact = facts; fact && *fact; fact++)
                free(*fact);
        free(facts);
        return found;
}

/* So that it looks the same at both points. */
static int empty_mask(guestfs_h *g, const char *mask)
{
        int r = guestfs_mount(g, mask, MOUNT_COPY);

        if (r == 0)
                r = guestfs_rm_rf(g, MOUNT_COPY "/lost+found");
        if (r == 0)
                r = guestfs_utimens(g, MOUNT_COPY, 0, 0, 0, 0);
        return r < 0 ? r : guestfs_umount(g, MOUNT_COPY);
}

static int mask_snapshots(guestfs_h *g, const struct guestfs_btrfssubvolume_list *list,
                          const GArray *mounted, const char *mask)
{
        unsigned n = 0;

        for (uint32_t i = 0; i < list->len && n < MASKED_MAX; i++) {
                g_autofree char *where = find_within(mounted, list->val[i].btrfssubvolume_path);

                if (!where || !is_plain_directory(g, where) || !is_read_only(g, where))
                        continue;
                if (n++ == 0 && empty_mask(g, mask) < 0)
                        return -1;
                if (guestfs_mount_options(g, "ro", mask, where) < 0)
                        return -1;
        }
        return 0;
}

int appliance_mount_btrfs(guestfs_h *g, const char *device, const char *mask)
{
        char *forget[] = {(char *) "btrfs device scan --forget >/dev/null 2>&1", NULL};
        g_autoptr(GArray) mounted = g_array_new(FALSE, FALSE, sizeof(Mounted));

        /* The other point has the same UUID: its drive must not be taken for this one. */
        free(guestfs_debug(g, "sh", forget));
        if (mount_at(g, device, "", "/") < 0)
                return -1;
        struct guestfs_btrfssubvolume_list *list = guestfs_btrfs_subvolume_list(g, MOUNT_SOURCE);
        if (!list)
                return -1;
        const Mounted root = {find_root(g, list), "/"};
        int r = 0;
        if (*root.path) {
                r = guestfs_umount(g, MOUNT_SOURCE);
                if (r == 0)
                        r = mount_at(g, device, root.path, "/");
        }
        g_autoptr(GPtrArray) subvolumes = r == 0 ? read_fstab(g) : NULL;
        if (r == 0) {
                g_array_append_val(mounted, root);
                mount_rest(g, device, subvolumes, mounted);
                r = mask_snapshots(g, list, mounted, mask);
        }
        guestfs_free_btrfssubvolume_list(list);
        return r;
}

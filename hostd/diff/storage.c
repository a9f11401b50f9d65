/* SPDX-License-Identifier: MIT */
#include "diff/storage.h"

#include "base/cleanup.h"
#include "diff/foreign.h"
#include "diff/lookup.h"
#include "diff/mounts.h"

#include <string.h>

#define SUPERBLOCK_OFFSET 1024

static void place_free(gpointer data)
{
        Place *place = data;

        place_close(place);
        (void) volume_free(place->volume);
        (void) volume_free(place->stand_in);
        g_free(place->logical);
        g_free(place->reason);
        g_free(place->label);
        g_free(place->mounted_at);
        g_free(place);
}

Storage *storage_free(Storage *storage)
{
        if (!storage)
                return NULL;
        g_ptr_array_unref(storage->places);
        g_ptr_array_unref(storage->members);
        for (unsigned i = 0; i < storage->n_disks; i++)
                (void) volume_free(storage->disks[i].volume);
        g_free(storage->disks);
        g_free(storage);
        return NULL;
}

Place *storage_place(const Storage *storage, unsigned i)
{
        return i < storage->places->len ? storage->places->pdata[i] : NULL;
}

bool place_is_readable(const Place *place)
{
        return place->stand_in || (place->volume && signature_is_ext(&place->signature));
}

char *place_to_string(const Storage *storage, const Place *place)
{
        const char *disk = storage->disks[place->disk].name;

        if (place->logical)
                return g_strdup_printf("volume %s", place->logical);
        if (place->partition->number == 0)
                return g_strdup(disk);
        return g_strdup_printf("partition %u of %s", place->partition->number, disk);
}

void place_set_uuid(Place *place, const uint8_t *id)
{
        (void) g_snprintf(place->uuid, sizeof(place->uuid),
                          "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                          id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9],
                          id[10], id[11], id[12], id[13], id[14], id[15]);
}

/* What is told of a file system without opening it. */
static int read_superblock(Place *place, Fault *f)
{
        struct ext2_super_block super;

        int r = volume_read(place->volume, SUPERBLOCK_OFFSET, &super, sizeof(super), f);
        if (r < 0)
                return r;
        place_set_uuid(place, super.s_uuid);
        if (super.s_volume_name[0])
                place->label =
                        g_strndup((const char *) super.s_volume_name, sizeof(super.s_volume_name));
        return 0;
}

/* The words of a message, for what a disk may hold besides. */
static char *explain_type(const char *type)
{
        if (strcmp(type, "unknown") == 0)
                return g_strdup("what it holds is not known");
        if (strcmp(type, "swap") == 0)
                return g_strdup("swap space holds no files");
        if (strcmp(type, "crypto_LUKS") == 0)
                return g_strdup("it is encrypted, and its key is not at hand");
        if (strcmp(type, "linux_raid_member") == 0)
                return g_strdup("members of a RAID are not put together");
        if (strcmp(type, "xfs") == 0 || strcmp(type, "btrfs") == 0)
                return g_strdup_printf(
                        "files on %s are read by fluid-diff-guestfs, where libguestfs "
                        "is installed",
                        type);
        return g_strdup_printf("files on %s are not read, only those on ext2, ext3, ext4, xfs and "
                               "btrfs",
                               type);
}

/* Takes the volume. */
static int add_place(Storage *storage, unsigned disk, const Partition *partition, Volume *volume,
                     Place **ret, Fault *f)
{
        Place *place = g_new0(Place, 1);

        place->disk = disk;
        place->partition = partition;
        place->volume = volume;
        place->signature.type = "unknown";
        g_ptr_array_add(storage->places, place);
        *ret = place;
        if (!volume)
                return 0;
        int r = signature_read(volume, &place->signature, f);
        if (r == 0 && signature_is_ext(&place->signature))
                return read_superblock(place, f);
        if (r == 0)
                place->reason = explain_type(place->signature.type);
        return r == 0 && place_is_foreign(place) ? foreign_read_superblock(place, f) : r;
}

/* A physical volume that cannot be understood stays a place of which that is said. */
static int add_member(Storage *storage, Place *place, Fault *f)
{
        g_autoptr(Volume) volume = volume_new_part(place->volume, 0, volume_size(place->volume));
        LvmMember *member;
        Fault why = {0};

        int r = lvm_member_read(volume, &member, &why);
        if (r == 0) {
                TAKE_PTR(volume);
                g_ptr_array_add(storage->members, member);
                place->is_member = true;
                return 0;
        }
        if (why.code != FAULT_DIFF_FAILED)
                return fault_set(f, why.code, "%s", why.message);
        g_free(place->reason);
        place->reason = g_strdup(why.message);
        return 0;
}

static int scan_disk(Storage *storage, unsigned number, Fault *f)
{
        StorageDisk *disk = &storage->disks[number];

        disk->volume = volume_new_disk(number, disk->chain);
        int r = partitions_read(disk->volume, disk->partitions, &disk->n_partitions, f);
        for (unsigned i = 0; r == 0 && i < disk->n_partitions; i++) {
                const Partition *partition = &disk->partitions[i];
                Place *place = NULL;

                r = add_place(storage, number, partition,
                              volume_new_part(disk->volume, partition->start, partition->length),
                              &place, f);
                if (r == 0 && strcmp(place->signature.type, "LVM2_member") == 0)
                        r = add_member(storage, place, f);
        }
        return r;
}

static int add_logical(Storage *storage, LvmVolume *logical, Fault *f)
{
        const VolumePiece *piece = logical->volume ? volume_piece(logical->volume, 0) : NULL;
        Place *place = NULL;

        int r = add_place(storage, piece ? piece->disk : 0, NULL, TAKE_PTR(logical->volume), &place,
                          f);
        place->logical = g_strdup(logical->name);
        if (logical->reason) {
                g_free(place->reason);
                place->reason = TAKE_PTR(logical->reason);
        }
        return r;
}

static int scan_volumes(Storage *storage, Fault *f)
{
        g_autoptr(GPtrArray) volumes = lvm_assemble(storage->members);
        int r = 0;

        for (unsigned i = 0; r == 0 && i < volumes->len; i++)
                r = add_logical(storage, volumes->pdata[i], f);
        return r;
}

static void free_member(gpointer member)
{
        (void) lvm_member_free(member);
}

int storage_new(const char *name, Chain *const *chains, const char *const *disk_names,
                unsigned n_disks, Storage **ret, Fault *f)
{
        g_autoptr(Storage) storage = g_new0(Storage, 1);
        int r = 0;

        storage->name = name;
        storage->places = g_ptr_array_new_with_free_func(place_free);
        storage->members = g_ptr_array_new_with_free_func(free_member);
        storage->disks = g_new0(StorageDisk, n_disks);
        storage->n_disks = n_disks;
        for (unsigned i = 0; r == 0 && i < n_disks; i++) {
                storage->disks[i].chain = chains[i];
                (void) g_strlcpy(storage->disks[i].name, disk_names[i],
                                 sizeof(storage->disks[i].name));
                r = scan_disk(storage, i, f);
        }
        if (r == 0)
                r = scan_volumes(storage, f);
        if (r == 0)
                *ret = TAKE_PTR(storage);
        return r;
}

int storage_open_place(const Storage *storage, Place *place, Fault *f)
{
        if (place->fs)
                return 0;
        place->view = view_new(place->stand_in ? place->stand_in : place->volume);
        int r = filesystem_open(place->view, storage->name, &place->fs, f);
        if (r < 0)
                place->view = view_free(place->view);
        return r;
}

void place_close(Place *place)
{
        place->fs = filesystem_free(place->fs);
        place->view = view_free(place->view);
}

static bool has_directory(Filesystem *fs, const char *path)
{
        LookupFile file;

        return lookup_find(fs, path, strlen(path), true, &file, NULL) == 0 &&
               file.attributes.kind == KIND_DIRECTORY;
}

unsigned storage_rate_root(const Storage *storage, Place *place)
{
        if (!place_is_readable(place) || storage_open_place(storage, place, NULL) < 0)
                return 0;
        if (!has_directory(place->fs, "/etc"))
                return 0;
        return has_directory(place->fs, "/usr") || has_directory(place->fs, "/bin") ? ROOT_RATE_MAX
                                                                                    : 1;
}

Place *storage_find_root(const Storage *storage)
{
        Place *best = NULL, *place;
        unsigned best_rate = 0;

        for (unsigned i = 0;
             best_rate < ROOT_RATE_MAX && (place = storage_place(storage, i)) != NULL; i++) {
                unsigned rate = storage_rate_root(storage, place);

                if (place_is_readable(place) && (!best || rate > best_rate)) {
                        if (best)
                                place_close(best);
                        best = place;
                        best_rate = rate;
                } else {
                        place_close(place);
                }
        }
        return best;
}

static MountNames names_of(const Storage *storage, const Place *place)
{
        return (MountNames){
                .uuid = place->uuid,
                .label = place->label,
                .partition_uuid = place->partition ? place->partition->uuid : NULL,
                .partition_name = place->partition ? place->partition->name : NULL,
                .disk = storage->disks[place->disk].name,
                .partition = place->partition ? place->partition->number : 0,
                .volume = place->logical,
        };
}

static void find_mount(const Storage *storage, Place *place, const GPtrArray *mounts)
{
        MountNames names = names_of(storage, place);

        for (unsigned i = 0; i < mounts->len && !place->mounted_at; i++) {
                const Mount *mount = mounts->pdata[i];

                /* A subvolume is not the whole. */
                if (strcmp(mount->target, "/") != 0 && !mount->subvolume &&
                    mount_is_of(mount, &names))
                        place->mounted_at = g_strdup(mount->target);
        }
}

int storage_set_root(Storage *storage, Place *root, Fault *f)
{
        g_autofree char *text = NULL;
        size_t size = 0;
        Place *place;

        int r = storage_open_place(storage, root, f);
        if (r < 0)
                return r;
        storage->root = root;
        if (!has_directory(root->fs, "/etc"))
                return 0;
        root->mounted_at = g_strdup("/");
        if (lookup_read(root->fs, "/etc/fstab", MOUNTS_SIZE_MAX, &text, &size, NULL) < 0)
                return 0;
        g_autoptr(GPtrArray) mounts = mounts_parse(text, size);
        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++)
                if (place != root && (place_is_readable(place) || place_is_foreign(place)))
                        find_mount(storage, place, mounts);
        return 0;
}

int storage_no_filesystem(const Storage *storage, Fault *f)
{
        g_autoptr(GString) found = g_string_new(NULL);
        const Place *place;

        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++) {
                g_autofree char *where = place_to_string(storage, place);

                if (place->is_member)
                        continue;
                bool has_reason = place_is_foreign(place) && place->reason;
                g_string_append_printf(found, "%s%s (%s%s%s)", found->len > 0 ? ", " : "",
                                       place->signature.type, where, has_reason ? ": " : "",
                                       has_reason ? place->reason : "");
        }
        return fault_set(f, FAULT_DIFF_FAILED,
                         "the disks of %s have no ext4 file system, only: %s; use an image with "
                         "its root on ext4, xfs or btrfs",
                         storage->name, found->str);
}

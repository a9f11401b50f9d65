/* SPDX-License-Identifier: MIT */
#include "guestfs/appliance-private.h"

#include "base/cleanup.h"
#include "guestfs/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MIB 768
#define MASK_BYTES (UINT64_C(8) << 20)

/* Kept by the unit from one run to the next; else libguestfs has a place of its own. */
#define CACHE_DIRECTORY "/var/cache/fluid-guestfs"

typedef struct Appliance {
        const ApplianceSpec *spec;
        guestfs_h *g;
        char **devices; /* two of each place, in order: what is read, its copy; then the mask */
        char *reasons[PLAN_MAX];
} Appliance;

char *appliance_image(const char *directory, const PlanPlace *place)
{
        char name[PLAN_NAME_SIZE];

        plan_name(place, name);
        return g_strdup_printf("%s/%s.ext4", directory, name);
}

static const char *last_error(guestfs_h *g)
{
        const char *said = guestfs_last_error(g);

        return said ? said : "it does not say why";
}

static bool has_btrfs(const ApplianceSpec *spec)
{
        for (unsigned i = 0; i < spec->n_places; i++)
                if (spec->places[i].is_btrfs)
                        return true;
        return false;
}

/* ---- drives ---- */

static int add_image(const Appliance *a, const char *path, uint64_t size, bool is_copy, Fault *f)
{
        int r = image_make(path, size, f);

        if (r < 0)
                return r;
        /* Nobody needs it after a power cut. */
        r = is_copy ? guestfs_add_drive_opts(a->g, path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw",
                                             GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "unsafe", -1)
                    : guestfs_add_drive_opts(a->g, path, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw",
                                             GUESTFS_ADD_DRIVE_OPTS_READONLY, 1, -1);
        return r < 0 ? fault_set(f, FAULT_IO, "libguestfs: %s", last_error(a->g)) : 0;
}

static int add_place(const Appliance *a, const PlanPlace *place, Fault *f)
{
        g_autofree char *server = g_strconcat("unix:", a->spec->socket, NULL);
        char *servers[] = {server, NULL};
        char name[PLAN_NAME_SIZE];
        uint64_t size = 0;

        plan_name(place, name);
        if (guestfs_add_drive_opts(a->g, name, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw",
                                   GUESTFS_ADD_DRIVE_OPTS_READONLY, 1,
                                   GUESTFS_ADD_DRIVE_OPTS_PROTOCOL, "nbd",
                                   GUESTFS_ADD_DRIVE_OPTS_SERVER, servers, -1) < 0)
                return fault_set(f, FAULT_IO, "libguestfs: %s", last_error(a->g));
        int r = image_choose_size(a->spec->directory, place->size, a->spec->n_places, &size, f);
        if (r < 0)
                return r;
        g_autofree char *path = appliance_image(a->spec->directory, place);
        return add_image(a, path, size, true, f);
}

static int add_drives(const Appliance *a, Fault *f)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < a->spec->n_places; i++)
                r = add_place(a, &a->spec->places[i], f);
        if (r == 0 && has_btrfs(a->spec)) {
                g_autofree char *path = g_strconcat(a->spec->directory, "/mask.ext4", NULL);
                r = add_image(a, path, MASK_BYTES, false, f);
        }
        return r;
}

/* ---- starting ---- */

static void set_directories(const ApplianceSpec *spec, guestfs_h *g)
{
        struct stat st;

        (void) guestfs_set_tmpdir(g, spec->directory);
        if (stat(CACHE_DIRECTORY, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
                (void) guestfs_set_cachedir(g, CACHE_DIRECTORY);
}

static int start(Appliance *a, Fault *f)
{
        /* Of what it leaves behind when it is killed, nothing is to be anywhere else. */
        (void) setenv("XDG_RUNTIME_DIR", a->spec->directory, 1);
        a->g = guestfs_create();
        if (!a->g)
                return fault_set_errno(f, FAULT_IO, errno, "cannot set up libguestfs");
        guestfs_set_error_handler(a->g, NULL, NULL);
        set_directories(a->spec, a->g);
        if (guestfs_set_backend(a->g, "direct") < 0 || guestfs_set_memsize(a->g, MEMORY_MIB) < 0 ||
            (a->spec->emulate && guestfs_set_backend_setting(a->g, "force_tcg", "1") < 0))
                return fault_set(f, FAULT_IO, "libguestfs: %s", last_error(a->g));
        int r = add_drives(a, f);
        if (r < 0)
                return r;
        if (guestfs_launch(a->g) < 0)
                return fault_set(f, FAULT_IO,
                                 "libguestfs could not start its virtual machine: %s "
                                 "('libguestfs-test-tool' says more)",
                                 last_error(a->g));
        a->devices = guestfs_list_devices(a->g);
        unsigned n = a->devices ? g_strv_length(a->devices) : 0;
        if (n != 2 * a->spec->n_places + has_btrfs(a->spec) ||
            guestfs_mkmountpoint(a->g, MOUNT_SOURCE) < 0 ||
            guestfs_mkmountpoint(a->g, MOUNT_COPY) < 0)
                return fault_set(f, FAULT_IO, "libguestfs did not find its drives");
        return 0;
}

/* ---- copying ---- */

static int mount_source(const Appliance *a, unsigned i)
{
        const char *device = a->devices[2 * i];

        if (a->spec->places[i].is_btrfs)
                return appliance_mount_btrfs(a->g, device, a->devices[2 * a->spec->n_places]);
        /* The other point has the same UUID; an unclean log is replayed into the overlay. */
        return guestfs_mount_options(a->g, "ro,nouuid", device, MOUNT_SOURCE);
}

static int mount_copy(const Appliance *a, unsigned i)
{
        int r = guestfs_mount_options(a->g, "noatime,noinit_itable", a->devices[2 * i + 1],
                                      MOUNT_COPY);

        return r < 0 ? r : guestfs_rm_rf(a->g, MOUNT_COPY "/lost+found");
}

static char *explain(const Appliance *a, const char *what)
{
        return g_strdup_printf("libguestfs could not %s: %s", what, last_error(a->g));
}

/* The reason why it could not be copied, or NULL. */
static char *copy_place(const Appliance *a, unsigned i)
{
        char *reason = NULL;

        if (mount_source(a, i) < 0)
                reason = explain(a, "mount it");
        else if (mount_copy(a, i) < 0)
                reason = explain(a, "mount its copy");
        else if (guestfs_cp_a(a->g, MOUNT_SOURCE "/.", MOUNT_COPY "/") < 0)
                reason = explain(a, "copy its files");
        if (guestfs_umount_all(a->g) < 0 && !reason)
                reason = explain(a, "write its copy");
        return reason;
}

static int copy_all(Appliance *a, Fault *f)
{
        unsigned n = a->spec->n_places, failed = 0;

        for (unsigned i = 0; i < n; i++) {
                a->reasons[i] = copy_place(a, i);
                failed += a->reasons[i] != NULL;
        }
        if (guestfs_shutdown(a->g) < 0 && failed < n)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "libguestfs's virtual machine did not end in order: %s",
                                 last_error(a->g));
        return 0;
}

int appliance_copy(const ApplianceSpec *spec, ApplianceDone done, void *userdata, Fault *f)
{
        Appliance a = {.spec = spec};

        int r = start(&a, f);
        if (r == 0)
                r = copy_all(&a, f);
        if (a.g)
                guestfs_close(a.g);
        for (unsigned i = 0; i < spec->n_places; i++) {
                if (r == 0)
                        done(i, a.reasons[i], userdata);
                g_free(a.reasons[i]);
        }
        for (char **device = a.devices; device && *device; device++)
                free(*device);
        free(a.devices);
        return r;
}

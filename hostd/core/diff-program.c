/* SPDX-License-Identifier: MIT */

/* How fluid-diff is run: with the layers of both points as open files. Where it finds xfs or btrfs,
 * and fluid-diff-guestfs is installed, that is asked the same again. */

#include "core/diff-private.h"

#include "base/cleanup.h"
#include "base/run-message.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#define GUESTFS_UNIT "fluid-diff-guestfs"
/* A virtual machine each, and a worker for minutes. */
#define GUESTFS_AT_ONCE 2

/* What fluid-diff ends with where --defer says to. */
#define STATUS_DEFERRED 6

/* What the program is given: each layer once, however many points and disks are on it. */
typedef struct Files {
        GArray *fds;         /* of int */
        GHashTable *numbers; /* path → as what the program gets it */
} Files;

static int open_layer(Files *files, const char *path, unsigned *ret, Fault *f)
{
        gpointer known = g_hash_table_lookup(files->numbers, path);

        if (known) {
                *ret = GPOINTER_TO_UINT(known);
                return 0;
        }
        if (files->fds->len >= RUN_FDS_MAX - _RUN_FD_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "the disks have more than %d layers at these points, too many to "
                                 "be read at once; use points with fewer snapshots below them, or "
                                 "make chain_depth_max smaller",
                                 RUN_FDS_MAX - _RUN_FD_MAX);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fault_set_errno(f, FAULT_DIFF_FAILED, errno, "cannot open layer '%s'", path);
        *ret = 3 + files->fds->len;
        (void) g_array_append_val(files->fds, fd);
        (void) g_hash_table_insert(files->numbers, (char *) path, GUINT_TO_POINTER(*ret));
        return 0;
}

static int open_disk(const SideDisk *disk, Files *files, GString *argument, Fault *f)
{
        g_string_append_printf(argument, "%s=", disk->target);
        for (guint i = 0; i < disk->paths->len; i++) {
                unsigned number;

                int r = open_layer(files, disk->paths->pdata[i], &number, f);
                if (r < 0)
                        return r;
                g_string_append_printf(
                        argument, "%s%u:%s", i ? "," : "", number,
                        image_format_to_string(g_array_index(disk->formats, ImageFormat, i)));
        }
        return 0;
}

static void add_argument(GPtrArray *argv, const char *text)
{
        g_ptr_array_add(argv, g_strdup(text));
}

/* `option` once for each disk, with the descriptors of its layers. */
static int open_side(const Side *side, const char *option, Files *files, GPtrArray *argv, Fault *f)
{
        for (guint i = 0; side->disks && i < side->disks->len; i++) {
                g_autoptr(GString) argument = g_string_new(NULL);

                int r = open_disk(side->disks->pdata[i], files, argument, f);
                if (r < 0)
                        return r;
                add_argument(argv, option);
                add_argument(argv, argument->str);
        }
        return 0;
}

static void add_kind(GPtrArray *argv, const Diff *q)
{
        switch (q->kind) {
        case DIFF_COMPARE:
                add_argument(argv, "--json");
                if (q->contents)
                        add_argument(argv, "--contents");
                add_argument(argv, "--from-name");
                add_argument(argv, q->from.name);
                break;
        case DIFF_CONTENT:
                add_argument(argv, "--cat");
                add_argument(argv, q->path);
                break;
        case DIFF_ARCHIVE:
                add_argument(argv, "--extract");
                add_argument(argv, q->path);
                break;
        case DIFF_JOB:
                for (unsigned i = 0; q->options[i]; i++)
                        add_argument(argv, q->options[i]);
                /* A hostile kernel can hide changes from the quick way. */
                add_argument(argv, "--walk");
                add_argument(argv, "--from-name");
                add_argument(argv, q->from.name);
                break;
        }
        add_argument(argv, "--to-name");
        add_argument(argv, q->to.name);
}

/* What fluid-diff says of the path or the playbook, by its exit status; else the diff failed. */
static FaultCode code_of(const Diff *q, int status, FaultCode code)
{
        switch (status) {
        case 2:
                return q->kind == DIFF_JOB ? FAULT_DIFF_FAILED : FAULT_INVALID_ARGUMENT;
        case 3:
                return FAULT_DENIED;
        case 4:
                return FAULT_NOT_FOUND;
        case 5:
                return FAULT_LIMITS_EXCEEDED;
        default:
                return code == FAULT_IO ? FAULT_DIFF_FAILED : code;
        }
}

static void close_one(gpointer data)
{
        (void) close_fd(*(int *) data);
}

static int run_unit(const DiffRequest *q, const char *unit, uint64_t deadline_usec, GPtrArray *argv,
                    const GArray *fds, int *ret_status, Fault *f)
{
        const ChildSpec spec = {.unit = unit,
                                .argv = (const char *const *) argv->pdata,
                                .deadline_usec = deadline_usec,
                                .stdout_fd = q->diff->document_fd,
                                .fds = (const int *) (const void *) fds->data,
                                .n_fds = fds->len,
                                .ret_status = ret_status};

        return child_run(&spec, f);
}

static int run_guestfs(const DiffRequest *q, GPtrArray *argv, const GArray *fds, int *ret_status,
                       Fault *f)
{
        static atomic_uint running;
        int r;

        *ret_status = 0;
        if (q->emulates)
                add_argument(argv, "--emulate");
        g_ptr_array_add(argv, NULL);
        if (atomic_fetch_add(&running, 1) >= GUESTFS_AT_ONCE)
                r = fault_set(
                        f, FAULT_BUSY,
                        "disks with xfs or btrfs are read in virtual machines, and %d of these "
                        "are at it; try again when one is done",
                        GUESTFS_AT_ONCE);
        else
                r = run_unit(q, GUESTFS_UNIT, q->guestfs_deadline_usec, argv, fds, ret_status, f);
        (void) atomic_fetch_sub(&running, 1);
        return r;
}

/* `argv` is without its NULL. */
static int run(const DiffRequest *q, GPtrArray *argv, const GArray *fds, int *ret_status, Fault *f)
{
        bool has_guestfs = child_unit_exists(GUESTFS_UNIT);

        if (has_guestfs)
                add_argument(argv, "--defer");
        g_ptr_array_add(argv, NULL);
        int r = run_unit(q, "fluid-diff", q->deadline_usec, argv, fds, ret_status, f);
        if (r == 0 || !has_guestfs || *ret_status != STATUS_DEFERRED)
                return r;
        *f = (Fault){0};
        /* Without --defer and the NULL. */
        g_ptr_array_set_size(argv, (int) argv->len - 2);
        return run_guestfs(q, argv, fds, ret_status, f);
}

int diff_run(void *request, Fault *f)
{
        DiffRequest *q = request;
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(GHashTable) numbers = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        Files files = {fds, numbers};
        g_autofree char *size_max = g_strdup_printf("%" G_GUINT64_FORMAT, q->diff->size_max);
        int status = 0;
        Fault why = {0};

        g_array_set_clear_func(fds, close_one);
        for (size_t i = 0; i < q->diff->job.n_fds; i++) {
                /* The list closes what is in it. */
                int fd = fcntl(q->diff->job.fds[i], F_DUPFD_CLOEXEC, 3);
                if (fd < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "no descriptor is left");
                (void) g_array_append_val(fds, fd);
        }
        add_argument(argv, "fluid-diff");
        add_kind(argv, q->diff);
        add_argument(argv, "--max-output");
        add_argument(argv, size_max);
        int r = open_side(&q->diff->from, "--old", &files, argv, f);
        if (r == 0)
                r = open_side(&q->diff->to, "--new", &files, argv, f);
        if (r < 0)
                return r;
        r = run(q, argv, fds, &status, &why);
        if (r < 0)
                return fault_set(f, code_of(q->diff, status, why.code), "%s", why.message);
        return q->diff->job.finish ? q->diff->job.finish(q->diff->document_fd, q->diff->userdata, f)
                                   : 0;
}

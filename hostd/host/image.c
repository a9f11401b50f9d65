/* SPDX-License-Identifier: MIT */
#include "host/image.h"

#include "base/cleanup.h"
#include "base/qcow2.h"
#include "base/quantity.h"
#include "host/overlay.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define QEMU_IMG       "qemu-img"
#define CHILD_MAX_USEC (3600 * USEC_PER_SEC)
#define COPY_CHUNK     (1 << 20)
#define ZERO_BLOCK     (64 << 10)
#define SECTOR         512
#define OPEN_NEW(path) open((path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)

static const char zeros[ZERO_BLOCK];

const char *image_format_to_string(ImageFormat format)
{
        switch (format) {
        case IMAGE_RAW:
                return "raw";
        case IMAGE_QCOW2:
                return "qcow2";
        case _IMAGE_FORMAT_MAX:
                break;
        }
        g_assert_not_reached();
}

int image_format_from_string(const char *name, ImageFormat *ret, Fault *f)
{
        for (ImageFormat format = 0; format < _IMAGE_FORMAT_MAX; format++)
                if (g_str_equal(name, image_format_to_string(format))) {
                        *ret = format;
                        return 0;
                }
        return fault_set(f, FAULT_IMAGE_REFUSED,
                         "image format '%.40s' is not known here; convert the image to qcow2",
                         name);
}

/* -- what an image says of itself ------------------------------------------------------------- */

typedef struct Head {
        ImageFormat format;
        uint64_t file_size;
        uint64_t virtual_size;
        Qcow2Header qcow2; /* of IMAGE_QCOW2 */
} Head;

static int parse_head(const void *bytes, size_t size, ImageFormat wanted, Head *head, Fault *f)
{
        DiskFormat probed = DISK_RAW;
        int r = disk_format_probe(bytes, size, &probed, f);

        if (r < 0)
                return r;
        head->format = probed == DISK_QCOW2 ? IMAGE_QCOW2 : IMAGE_RAW;
        if (wanted != _IMAGE_FORMAT_MAX && wanted != head->format)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "the image is said to be %s, but its first bytes are those of %s",
                                 image_format_to_string(wanted),
                                 image_format_to_string(head->format));
        head->virtual_size = (head->file_size + SECTOR - 1) / SECTOR * SECTOR;
        if (head->format != IMAGE_QCOW2)
                return 0;
        r = qcow2_header_parse(bytes, size, head->file_size, &head->qcow2, f);
        head->virtual_size = head->qcow2.virtual_size;
        return r;
}

static int load_head(int fd, ImageFormat wanted, Head *ret, Fault *f)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot look at the image");
        if (!S_ISREG(st.st_mode))
                return fault_set(f, FAULT_IMAGE_REFUSED, "the image is not a regular file");
        if (st.st_size == 0)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the image is empty");

        size_t size = MIN((size_t) st.st_size, QCOW2_HEADER_MAX);
        g_autofree char *bytes = g_malloc(size);
        int r = pread_all(fd, bytes, size, 0);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot read the image");
        *ret = (Head){.file_size = (uint64_t) st.st_size};
        return parse_head(bytes, size, wanted, ret, f);
}

static int load_standalone_head(int fd, ImageFormat wanted, Head *ret, Fault *f)
{
        int r = load_head(fd, wanted, ret, f);

        return r < 0 || ret->format != IMAGE_QCOW2 ? r
                                                   : qcow2_header_check_standalone(&ret->qcow2, f);
}

static uint64_t allocated_bytes(int fd)
{
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : (uint64_t) st.st_blocks * SECTOR;
}

/* -- copying -------------------------------------------------------------------------------- */

typedef struct Copy {
        int from;
        int to; /* -1: only hashed */
        uint64_t size;
        struct sha256_ctx *sum; /* NULL: only copied */
        char *buffer;           /* of COPY_CHUNK bytes */
} Copy;

static void hash_zeros(Copy *copy, uint64_t size)
{
        for (; copy->sum && size > 0; size -= MIN(size, ZERO_BLOCK))
                sha256_update(copy->sum, (size_t) MIN(size, ZERO_BLOCK), (const uint8_t *) zeros);
}

static int pwrite_all(int fd, const char *bytes, size_t size, uint64_t offset)
{
        while (size > 0) {
                ssize_t n = pwrite(fd, bytes, size, (off_t) offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

/* Leaves out what is zero: the new file has it as holes. */
static int write_sparse(Copy *copy, size_t size, uint64_t offset)
{
        for (size_t done = 0; done < size;) {
                size_t n = MIN(size - done, ZERO_BLOCK);
                const char *block = copy->buffer + done;
                int r = 0;
                if (memcmp(block, zeros, n) != 0)
                        r = pwrite_all(copy->to, block, n, offset + done);
                if (r < 0)
                        return r;
                done += n;
        }
        return 0;
}

static int copy_data(Copy *copy, uint64_t offset, uint64_t end)
{
        while (offset < end) {
                size_t n = (size_t) MIN(end - offset, COPY_CHUNK);
                int r = pread_all(copy->from, copy->buffer, n, offset);
                if (r >= 0 && copy->to >= 0)
                        r = write_sparse(copy, n, offset);
                if (r < 0)
                        return r;
                if (copy->sum)
                        sha256_update(copy->sum, (size_t) n, (const uint8_t *) copy->buffer);
                offset += n;
        }
        return 0;
}

/* Where data begins at or after `offset`, and where it ends; a file system that knows no holes says
 * that all is data. */
static void find_data(const Copy *copy, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
        off_t begin = lseek(copy->from, (off_t) offset, SEEK_DATA);
        off_t end = begin < 0 ? -1 : lseek(copy->from, begin, SEEK_HOLE);

        if (begin < 0 && errno == ENXIO)
                begin = end = (off_t) copy->size;
        *ret_begin = begin < 0 ? offset : MIN((uint64_t) begin, copy->size);
        *ret_end = end < 0 ? copy->size : MIN((uint64_t) end, copy->size);
}

static int copy_all(Copy *copy)
{
        uint64_t offset = 0, begin, end;

        copy->buffer = g_malloc(COPY_CHUNK);
        int r = copy->to >= 0 && ftruncate(copy->to, (off_t) copy->size) < 0 ? -errno : 0;
        while (r >= 0 && offset < copy->size) {
                find_data(copy, offset, &begin, &end);
                hash_zeros(copy, begin - offset);
                r = copy_data(copy, begin, end);
                offset = end;
        }
        g_clear_pointer(&copy->buffer, g_free);
        return r;
}

static int hash_fd(int fd, uint64_t size, char ret_hex[static SHA256_HEX_SIZE], Fault *f)
{
        struct sha256_ctx sum;
        Copy copy = {.from = fd, .to = -1, .size = size, .sum = &sum};

        sha256_init(&sum);
        int r = copy_all(&copy);

        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot read the image");
        sha256_end(&sum, ret_hex);
        return 0;
}

/* Gives a written file its owner and mode and makes it, and its name, last. */
static int finish_file(int fd, const char *path, mode_t mode, uid_t uid, gid_t gid, Fault *f)
{
        g_autofree char *directory = g_path_get_dirname(path);

        if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot finish '%s'", path);
        return sync_path(directory, f);
}

/* -- taking in ------------------------------------------------------------------------------ */

/* Whether the file system let the new file have the old one's blocks. */
static bool share_blocks(int from, int to, uint64_t size)
{
        struct stat st;

        if (ioctl(to, FICLONE, from) < 0)
                return false;
        if (fstat(to, &st) == 0 && (uint64_t) st.st_size == size)
                return true;
        (void) !ftruncate(to, 0);
        return false;
}

/* The copy's header is what counts: the source may have changed in between. */
static int import_into(int from, int to, const char *path, const Head *head, ImageInfo *ret,
                       Fault *f)
{
        struct sha256_ctx sum;
        bool is_shared = share_blocks(from, to, head->file_size);
        Copy copy = {
                .from = is_shared ? to : from,
                .to = is_shared ? -1 : to,
                .size = head->file_size,
                .sum = &sum,
        };
        Head copied = {0};

        sha256_init(&sum);
        int r = copy_all(&copy);

        if (r == -ENODATA)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the image became shorter meanwhile");
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot copy the image to '%s'", path);
        autofd again = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (again < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", path);
        r = load_standalone_head(again, head->format, &copied, f);
        if (r >= 0)
                r = finish_file(to, path, 0444, (uid_t) -1, (gid_t) -1, f);
        if (r < 0)
                return r;
        *ret = (ImageInfo){
                .format = copied.format,
                .virtual_size_bytes = copied.virtual_size,
                .file_size_bytes = allocated_bytes(to),
        };
        sha256_end(&sum, ret->sha256);
        return 0;
}

int image_import(int fd, const char *path, ImageFormat format, ImageInfo *ret, Fault *f)
{
        Head head = {0};
        int r = load_standalone_head(fd, format, &head, f);

        if (r < 0)
                return r;
        autofd to = OPEN_NEW(path);
        if (to < 0)
                return fault_set_errno(f, errno == EEXIST ? FAULT_EXISTS : FAULT_IO, errno,
                                       "cannot make '%s'", path);
        r = import_into(fd, to, path, &head, ret, f);
        if (r < 0)
                (void) unlink(path);
        return r;
}

int image_inspect(int fd, ImageFormat format, bool hash, ImageInfo *ret, Fault *f)
{
        ImageInfo info = {0};
        Head head = {0};
        int r = load_standalone_head(fd, format, &head, f);

        if (r >= 0 && hash)
                r = hash_fd(fd, head.file_size, info.sha256, f);
        if (r < 0)
                return r;
        info.format = head.format;
        info.virtual_size_bytes = head.virtual_size;
        info.file_size_bytes = allocated_bytes(fd);
        *ret = info;
        return 0;
}

static int copy_small(int from, int to, const char *path, uint64_t max,
                      char ret_sha256[static SHA256_HEX_SIZE], Fault *f)
{
        struct sha256_ctx sum;
        struct stat st;

        if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the file for '%s' is not a regular file", path);
        if ((uint64_t) st.st_size > max)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the file for '%s' is larger than %" PRIu64 " bytes", path, max);
        Copy copy = {.from = from, .to = to, .size = (uint64_t) st.st_size, .sum = &sum};

        sha256_init(&sum);
        int r = copy_all(&copy);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot copy to '%s'", path);
        sha256_end(&sum, ret_sha256);
        return 0;
}

int file_import(int fd, const char *path, uint64_t max, mode_t mode, uid_t uid, gid_t gid,
                char ret_sha256[static SHA256_HEX_SIZE], Fault *f)
{
        char sha256[SHA256_HEX_SIZE];
        autofd to = OPEN_NEW(path);

        if (to < 0)
                return fault_set_errno(f, errno == EEXIST ? FAULT_EXISTS : FAULT_IO, errno,
                                       "cannot make '%s'", path);
        int r = copy_small(fd, to, path, max, sha256, f);
        if (r >= 0)
                r = finish_file(to, path, mode, uid, gid, f);
        if (r < 0) {
                (void) unlink(path);
                return r;
        }
        g_strlcpy(ret_sha256, sha256, SHA256_HEX_SIZE);
        return 0;
}

/* -- overlays ------------------------------------------------------------------------------- */

static int load_virtual_size(const char *path, ImageFormat format, uint64_t *ret, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        Head head = {0};

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        int r = load_head(fd, format, &head, f);
        if (r < 0)
                return r;
        *ret = head.virtual_size;
        return 0;
}

/* How the header of the image `path` names a file below it. */
static char *backing_name(const char *path, const char *backing_path)
{
        g_autofree char *directory = g_path_get_dirname(path);
        g_autofree char *backing_directory = g_path_get_dirname(backing_path);

        return g_str_equal(directory, backing_directory) ? g_path_get_basename(backing_path)
                                                         : g_strdup(backing_path);
}

/* Whether the header of the image `path` names that file. */
static bool stands_on(const char *path, const Head *head, const char *backing_path)
{
        g_autofree char *directory = g_path_get_dirname(path);
        g_autofree char *actual = g_canonicalize_filename(head->qcow2.backing_file, directory);
        g_autofree char *wanted = g_canonicalize_filename(backing_path, NULL);

        return head->qcow2.backing_file[0] && g_str_equal(actual, wanted);
}

int image_create_overlay(const char *path, const char *backing_path, ImageFormat backing_format,
                         uint64_t virtual_size_bytes, uid_t uid, gid_t gid, Fault *f)
{
        g_autofree char *name = backing_name(path, backing_path);
        int r = 0;

        if (virtual_size_bytes == 0)
                r = load_virtual_size(backing_path, backing_format, &virtual_size_bytes, f);
        if (r < 0)
                return r;
        autofd fd = OPEN_NEW(path);
        if (fd < 0)
                return fault_set_errno(f, errno == EEXIST ? FAULT_EXISTS : FAULT_IO, errno,
                                       "cannot make '%s'", path);
        r = overlay_write(fd, name, image_format_to_string(backing_format), virtual_size_bytes, f);
        if (r >= 0)
                r = finish_file(fd, path, 0600, uid, gid, f);
        if (r < 0)
                (void) unlink(path);
        return r;
}

/* -- qemu-img ------------------------------------------------------------------------------- */

/* QEMU could write to the overlay's header, so qemu-img gets no more rights than QEMU has: it runs
 * as that's user. */
static int run_qemu_img(const char *const *argv, const int *fds, size_t n_fds, Fault *f)
{
        return child_run(&CHILD_SPEC(.unit = "fluid-image", .argv = argv,
                                     .deadline_usec = CHILD_MAX_USEC, .fds = fds, .n_fds = n_fds),
                         f);
}

static int load_overlay(const char *path, Head *ret, Fault *f)
{
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        return load_head(fd, IMAGE_QCOW2, ret, f);
}

int image_commit(const char *path, const char *backing_path, Fault *f)
{
        Head head = {0};
        int r = load_overlay(path, &head, f);

        if (r < 0)
                return r;
        if (!stands_on(path, &head, backing_path))
                return fault_set(f, FAULT_WRONG_STATE, "'%s' does not stand on '%s'", path,
                                 backing_path);
        const char *argv[] = {QEMU_IMG, "commit", "-q",         "-d", "-f",
                              "qcow2",  "-b",     backing_path, path, NULL};
        return run_qemu_img(argv, NULL, 0, f);
}

int image_flatten(const char *path, const char *base_path, ImageFormat base_format, Fault *f)
{
        g_autofree char *name = backing_name(path, base_path);
        Head head = {0};
        int r = load_overlay(path, &head, f);

        if (r < 0 || stands_on(path, &head, base_path))
                return r;
        const char *argv[] = {
                QEMU_IMG, "rebase", "-q", "-f", "qcow2", "-F", image_format_to_string(base_format),
                "-b",     name,     path, NULL};
        return run_qemu_img(argv, NULL, 0, f);
}

/* The new file belongs to the writer until it is whole. */
static int convert(const char *path, int to, const char *copy_path, ImageInfo *ret, Fault *f)
{
        const char *argv[] = {QEMU_IMG, "convert",         "-q", "-f", "qcow2", "-O", "qcow2",
                              path,     "/proc/self/fd/3", NULL};
        struct stat owner;
        ImageInfo info;

        if (stat(path, &owner) < 0 || fchown(to, owner.st_uid, owner.st_gid) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot give '%s' away", copy_path);
        int r = run_qemu_img(argv, &to, 1, f);
        if (r >= 0)
                r = finish_file(to, copy_path, 0440, geteuid(), owner.st_gid, f);
        if (r < 0)
                return r;
        autofd again = open(copy_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (again < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", copy_path);
        r = image_inspect(again, IMAGE_QCOW2, true, &info, f);
        if (r >= 0)
                *ret = info;
        return r;
}

int image_copy(const char *path, const char *copy_path, ImageInfo *ret, Fault *f)
{
        Head head = {0};
        int r = load_overlay(path, &head, f);

        if (r < 0)
                return r;
        autofd to = OPEN_NEW(copy_path);
        if (to < 0)
                return fault_set_errno(f, errno == EEXIST ? FAULT_EXISTS : FAULT_IO, errno,
                                       "cannot make '%s'", copy_path);
        r = convert(path, to, copy_path, ret, f);
        if (r < 0)
                (void) unlink(copy_path);
        return r;
}

int disk_free_bytes(const char *path, uint64_t *ret, Fault *f)
{
        struct statvfs st;

        if (statvfs(path, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot look at the disk of '%s'", path);
        *ret = (uint64_t) st.f_bavail * st.f_frsize;
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "host/image.h"

#include "base/cleanup.h"
#include "tests/fake/host/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const formats[_IMAGE_FORMAT_MAX] = {
        [IMAGE_RAW] = "raw",
        [IMAGE_QCOW2] = "qcow2",
};

const char *image_format_to_string(ImageFormat format)
{
        return formats[format];
}

int image_format_from_string(const char *name, ImageFormat *ret, Fault *f)
{
        for (ImageFormat format = 0; format < _IMAGE_FORMAT_MAX; format++) {
                if (!g_str_equal(formats[format], name))
                        continue;
                *ret = format;
                return 0;
        }
        return fault_set(f, FAULT_IMAGE_REFUSED, "format '%.20s' is neither raw nor qcow2", name);
}

static int copy(int fd, const char *path, uint64_t max, mode_t mode, Fault *f)
{
        autofd target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        char buffer[4096];
        uint64_t copied = 0;
        ssize_t n;

        if (target < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create %s", path);
        while ((n = pread(fd, buffer, sizeof buffer, (off_t) copied)) > 0 && copied <= max) {
                (void) write_all(target, buffer, (size_t) n);
                copied += (uint64_t) n;
        }
        if (n >= 0 && copied <= max)
                return 0;
        (void) unlink(path);
        return n < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot read the source of %s", path)
                     : fault_set(f, FAULT_IMAGE_REFUSED, "%s would be too large", path);
}

int image_inspect(int fd, ImageFormat format, bool hash, ImageInfo *ret, Fault *f)
{
        char magic[6] = "";
        ImageInfo info = {0};
        struct stat st;
        int r = fake_call("image_inspect", f);

        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0 || pread(fd, magic, sizeof magic, 0) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read the image");
        if (memcmp(magic, "refuse", 6) == 0)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the image has a backing file");
        info.format = memcmp(magic, "QFI\xfb", 4) == 0 ? IMAGE_QCOW2 : IMAGE_RAW;
        if (format != _IMAGE_FORMAT_MAX && format != info.format)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the image is not %s", formats[format]);
        info.virtual_size_bytes = (uint64_t) st.st_size;
        info.file_size_bytes = (uint64_t) st.st_blocks * 512;
        r = hash ? file_sha256(fd, info.sha256, f) : 0;
        if (r == 0)
                *ret = info;
        return r;
}

int image_import(int fd, const char *path, ImageFormat format, ImageInfo *ret, Fault *f)
{
        ImageInfo info;
        int r = image_inspect(fd, format, true, &info, f);

        if (r == 0)
                r = copy(fd, path, UINT64_MAX - sizeof(char[4096]), 0444, f);
        if (r == 0)
                *ret = info;
        return r;
}

int image_create_overlay(const char *path, const char *backing_path, ImageFormat backing_format,
                         G_GNUC_UNUSED uint64_t virtual_size_bytes, G_GNUC_UNUSED uid_t uid,
                         G_GNUC_UNUSED gid_t gid, Fault *f)
{
        g_autofree char *text =
                g_strdup_printf("overlay of %s (%s)\n", backing_path, formats[backing_format]);
        autofd fd = -1;
        int r = fake_call("image_create_overlay", f);

        if (r < 0)
                return r;
        if (access(backing_path, F_OK) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open %s", backing_path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create %s", path);
        return write_all(fd, text, strlen(text));
}

void fake_append(const char *from, const char *to)
{
        autofd fd = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
        g_autofree char *text = NULL;
        size_t size;

        if (fd >= 0 && file_read(from, 1 << 20, &text, &size, NULL) == 0)
                (void) write_all(fd, text, size);
}

int image_commit(const char *path, const char *backing_path, Fault *f)
{
        int r = fake_call("image_commit", f);

        if (r == 0 && (access(path, F_OK) < 0 || access(backing_path, F_OK) < 0))
                r = fault_set_errno(f, FAULT_IO, errno, "cannot commit %s", path);
        if (r == 0)
                fake_append(path, backing_path);
        return r;
}

int file_import(int fd, const char *path, uint64_t max, mode_t mode, G_GNUC_UNUSED uid_t uid,
                G_GNUC_UNUSED gid_t gid, char ret_sha256[static SHA256_HEX_SIZE], Fault *f)
{
        int r = fake_call("file_import", f);

        if (r == 0)
                r = file_sha256(fd, ret_sha256, f);
        return r < 0 ? r : copy(fd, path, max, mode, f);
}

int disk_free_bytes(G_GNUC_UNUSED const char *path, uint64_t *ret, Fault *f)
{
        int r = fake_call("disk_free_bytes", f);

        if (r < 0)
                return r;
        g_mutex_lock(&fake.lock);
        *ret = fake.disk_free;
        g_mutex_unlock(&fake.lock);
        return 0;
}

void fake_host_set_disk_free(uint64_t bytes)
{
        g_mutex_lock(&fake.lock);
        fake.disk_free = bytes;
        g_mutex_unlock(&fake.lock);
}

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

/* -- layers ----------------------------------------------------------------------------------- */

#define HEADER "overlay of "

/* A backing file in the same directory is named by its file name alone. */
char *fake_header(const char *path, const char *backing, const char *format)
{
        g_autofree char *directory = g_path_get_dirname(path), *file = NULL;
        g_autofree char *backing_directory = g_path_get_dirname(backing);

        file = g_str_equal(directory, backing_directory) ? g_path_get_basename(backing)
                                                         : g_strdup(backing);
        return g_strdup_printf(HEADER "%s (%s)\n", file, format);
}

/* What was written to it, after its header, if it has one. */
static char *read_body(const char *path)
{
        g_autofree char *text = NULL;
        const char *end;

        if (file_read(path, 64 << 20, &text, NULL, NULL) < 0)
                return NULL;
        end = g_str_has_prefix(text, HEADER) ? strchr(text, '\n') : NULL;
        return g_strdup(end ? end + 1 : text);
}

char *fake_host_backing(const char *path)
{
        g_autofree char *text = NULL, *directory = g_path_get_dirname(path);
        char *end;

        if (file_read(path, 64 << 20, &text, NULL, NULL) < 0 || !g_str_has_prefix(text, HEADER))
                return NULL;
        end = strstr(text, " (");
        g_assert(end);
        *end = '\0';
        return g_path_is_absolute(text + strlen(HEADER))
                       ? g_strdup(text + strlen(HEADER))
                       : g_build_filename(directory, text + strlen(HEADER), NULL);
}

int image_create_overlay(const char *path, const char *backing_path, ImageFormat backing_format,
                         G_GNUC_UNUSED uint64_t virtual_size_bytes, G_GNUC_UNUSED uid_t uid,
                         G_GNUC_UNUSED gid_t gid, Fault *f)
{
        g_autofree char *text = fake_header(path, backing_path, formats[backing_format]);
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
        g_autofree char *body = read_body(from);

        if (fd >= 0 && body)
                (void) write_all(fd, body, strlen(body));
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

/* What was written to it and all below it, down to `base` (NULL: all), the oldest first. */
static int read_chain(const char *path, const char *base, GString *text, Fault *f)
{
        g_autofree char *at = g_strdup(path);

        while (at && g_strcmp0(at, base) != 0) {
                g_autofree char *body = read_body(at);
                char *below = fake_host_backing(at);

                if (!body) {
                        g_free(below);
                        return fault_set(f, FAULT_IO, "cannot read %s", at);
                }
                (void) g_string_prepend(text, body);
                g_free(at);
                at = below;
        }
        return at || !base ? 0
                           : fault_set(f, FAULT_INTERNAL, "%s does not stand on %s", path, base);
}

int fake_flatten(const char *path, const char *base, Fault *f)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *backing = fake_host_backing(path), *header = NULL;
        int r;

        if (g_strcmp0(backing, base) == 0)
                return 0;
        r = read_chain(path, base, text, f);
        if (r < 0)
                return r;
        header = fake_header(path, base, "qcow2");
        (void) g_string_prepend(text, header);
        return g_file_set_contents_full(path, text->str, (gssize) text->len,
                                        G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL)
                       ? 0
                       : fault_set(f, FAULT_IO, "cannot write %s", path);
}

int image_flatten(const char *path, const char *base_path, G_GNUC_UNUSED ImageFormat base_format,
                  Fault *f)
{
        int r = fake_call("image_flatten", f);

        if (r == 0)
                r = fake_flatten(path, base_path, f);
        return r < 0 ? r : fake_call("the end of a flatten", f);
}

int image_copy(const char *path, const char *copy_path, ImageInfo *ret, Fault *f)
{
        g_autoptr(GString) text = g_string_new("QFI\xfb");
        g_autoptr(GString) content = g_string_new(NULL);
        autofd fd = -1;
        int r = fake_call("image_copy", f);

        if (r == 0)
                r = read_chain(path, NULL, content, f);
        if (r < 0)
                return r;
        (void) g_string_append_len(text, content->str, (gssize) content->len);
        fd = open(copy_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0440);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create %s", copy_path);
        r = write_all(fd, text->str, text->len);
        if (r == 0)
                r = image_inspect(fd, IMAGE_QCOW2, true, ret, f);
        if (r < 0)
                (void) unlink(copy_path);
        return r;
}

/* -- other files ------------------------------------------------------------------------------ */

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

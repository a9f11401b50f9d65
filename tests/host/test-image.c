/* SPDX-License-Identifier: MIT */

/* host/image.h on images that qemu-img makes, and qemu-img's opinion of what it makes itself. */

#include "base/cleanup.h"
#include "base/file.h"
#include "host/image.h"
#include "loop/child.h"
#include "tests/socket-unit.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static char *directory;
static pid_t unit; /* that runs qemu-img */

static char *in_directory(const char *name)
{
        return g_build_filename(directory, name, NULL);
}

/* Runs a program of the test's own in the directory; bails out where it fails. */
static void run(const char *const *argv)
{
        g_autofree char *output = NULL;
        g_autoptr(GError) error = NULL;
        int status = -1;

        if (!g_spawn_sync(directory, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output,
                          NULL, &status, &error) ||
            status != 0) {
                tap_note("%s: %s", argv[0], error ? error->message : output);
                tap_bail_out("a program that the test needs failed");
        }
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

/* Standard output of a program that may fail. */
static char *output_of(const char *const *argv)
{
        char *output = NULL;

        (void) g_spawn_sync(directory, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                            &output, NULL, NULL, NULL);
        return output;
}

#define OUTPUT(...) output_of((const char *const[]){__VA_ARGS__, NULL})

static void make_raw(const char *name)
{
        g_autofree char *path = in_directory(name);
        autofd fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        char block[4096];

        memset(block, 0x5a, sizeof block);
        if (fd < 0 || ftruncate(fd, 64 * MIB) < 0 ||
            pwrite(fd, block, sizeof block, 0) != (ssize_t) sizeof block ||
            pwrite(fd, block, sizeof block, 40 * MIB + 4096) != (ssize_t) sizeof block)
                tap_bail_out("cannot make a raw image");
}

static int import(const char *from, const char *to, ImageFormat format, ImageInfo *ret, Fault *f)
{
        g_autofree char *from_path = in_directory(from), *to_path = in_directory(to);
        autofd fd = open(from_path, O_RDONLY | O_CLOEXEC);

        return image_import(fd, to_path, format, ret, f);
}

static bool exists(const char *name)
{
        g_autofree char *path = in_directory(name);

        return access(path, F_OK) == 0;
}

static void same_content(const char *a, const char *b, const char *what)
{
        g_autofree char *out = OUTPUT("qemu-img", "compare", a, b);

        tap_ok(out && strstr(out, "identical"), "%s", what);
}

static void test_import_raw(void)
{
        g_autofree char *path = in_directory("raw.copy");
        g_autofree char *sum = NULL;
        ImageInfo info;
        struct stat st;
        Fault f = {0};

        make_raw("raw");
        tap_ok(import("raw", "raw.copy", _IMAGE_FORMAT_MAX, &info, &f) == 0,
               "a raw image is taken");
        tap_is_int(info.format, IMAGE_RAW, "its format is recognised");
        tap_is_int((int64_t) info.virtual_size_bytes, 64 * MIB, "its size is told");
        tap_ok(info.file_size_bytes < MIB, "holes stay holes");
        sum = OUTPUT("sha256sum", "raw");
        tap_ok(sum && g_str_has_prefix(sum, info.sha256), "its hash is that of the whole file");
        RUN("cmp", "raw", "raw.copy");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0444,
               "nobody may write to the copy");
        tap_ok(import("raw", "raw.copy", IMAGE_RAW, &info, &f) < 0 && f.code == FAULT_EXISTS,
               "an existing file is not overwritten");
}

static void test_import_qcow2(void)
{
        ImageInfo info;
        Fault f = {0};

        RUN("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "raw", "q.qcow2");
        tap_ok(import("q.qcow2", "q.copy", IMAGE_QCOW2, &info, &f) == 0, "a qcow2 image is taken");
        tap_is_int(info.format, IMAGE_QCOW2, "its format is recognised");
        tap_is_int((int64_t) info.virtual_size_bytes, 64 * MIB, "its virtual size is told");
        RUN("cmp", "q.qcow2", "q.copy");
        RUN("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "raw", "c.qcow2");
        tap_ok(import("c.qcow2", "c.copy", _IMAGE_FORMAT_MAX, &info, &f) == 0,
               "a compressed qcow2 image is taken");
}

static void expect_refused(const char *from, ImageFormat format, const char *what)
{
        ImageInfo info;
        Fault f = {0};
        int r = import(from, "refused.copy", format, &info, &f);

        tap_ok(r < 0 && f.code == FAULT_IMAGE_REFUSED && !exists("refused.copy"), "%s", what);
        if (r >= 0 || f.code != FAULT_IMAGE_REFUSED)
                tap_note("%s", f.message);
}

static void test_refusals(void)
{
        RUN("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "b.qcow2");
        expect_refused("b.qcow2", IMAGE_QCOW2, "an image with a backing file is refused");
        RUN("qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=d.raw", "d.qcow2", "1M");
        expect_refused("d.qcow2", IMAGE_QCOW2, "an image with a data file is refused");
        RUN("qemu-img", "create", "-q", "-f", "vmdk", "v.vmdk", "1M");
        expect_refused("v.vmdk", _IMAGE_FORMAT_MAX, "another format is refused");
        RUN("truncate", "-s", "0", "empty");
        expect_refused("empty", _IMAGE_FORMAT_MAX, "an empty file is refused");
        expect_refused("q.qcow2", IMAGE_RAW, "a qcow2 image that is said to be raw is refused");
        expect_refused("raw", IMAGE_QCOW2, "a raw image that is said to be qcow2 is refused");
        expect_refused(".", IMAGE_RAW, "a directory is refused");
        RUN("cp", "q.qcow2", "short.qcow2");
        RUN("truncate", "-s", "100", "short.qcow2");
        expect_refused("short.qcow2", IMAGE_QCOW2, "an image cut short is refused");
}

static void test_inspect(void)
{
        g_autofree char *path = in_directory("q.qcow2");
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        g_autofree char *sum = OUTPUT("sha256sum", "q.qcow2");
        ImageInfo info;
        Fault f = {0};

        tap_ok(image_inspect(fd, IMAGE_QCOW2, true, &info, &f) == 0, "an image is inspected");
        tap_ok(g_str_has_prefix(sum, info.sha256), "its hash is told");
        tap_ok(image_inspect(fd, IMAGE_QCOW2, false, &info, &f) == 0 && info.sha256[0] == '\0',
               "without a hash where none is wanted");
}

static int overlay(const char *name, const char *backing, ImageFormat format, uint64_t size,
                   Fault *f)
{
        g_autofree char *path = in_directory(name), *backing_path = in_directory(backing);

        return image_create_overlay(path, backing_path, format, size, getuid(), getgid(), f);
}

static void check_clean(const char *name, const char *what)
{
        g_autofree char *out = OUTPUT("qemu-img", "check", "-f", "qcow2", name);

        tap_ok(out && strstr(out, "No errors were found"), "%s", what);
}

static void test_overlay(void)
{
        g_autofree char *info = NULL, *path = in_directory("o1.qcow2");
        struct stat st;
        Fault f = {0};

        tap_ok(overlay("o1.qcow2", "q.copy", IMAGE_QCOW2, 0, &f) == 0, "an overlay is made");
        check_clean("o1.qcow2", "qemu-img finds no error in it");
        same_content("o1.qcow2", "q.copy", "it shows what is below");
        info = OUTPUT("qemu-img", "info", "-f", "qcow2", "o1.qcow2");
        tap_ok(info && strstr(info, "q.copy") && strstr(info, "backing file format: qcow2"),
               "it names the file below and its format");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "only its owner may read it");
        tap_ok(overlay("o1.qcow2", "q.copy", IMAGE_QCOW2, 0, &f) < 0 && f.code == FAULT_EXISTS,
               "an existing file is not overwritten");

        f = (Fault){0};
        tap_ok(overlay("o2.qcow2", "o1.qcow2", IMAGE_QCOW2, 0, &f) == 0, "overlays are stacked");
        RUN("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 3M", "o2.qcow2");
        check_clean("o2.qcow2", "it is still clean after writes");
        tap_ok(overlay("r.qcow2", "raw.copy", IMAGE_RAW, 0, &f) == 0, "raw images get overlays");
        same_content("r.qcow2", "raw.copy", "which show what is below");
}

static void is_backed_by(const char *name, const char *expected, const char *what)
{
        g_autofree char *info = OUTPUT("qemu-img", "info", "-f", "qcow2", "--output=json", name);
        g_autofree char *wanted = g_strdup_printf("\"backing-filename\": \"%s\"", expected);

        if (!tap_ok(info && strstr(info, wanted), "%s", what))
                tap_note("%s", info);
}

static void test_relative_names(void)
{
        g_autofree char *base = in_directory("q.copy");
        Fault f = {0};

        is_backed_by("o1.qcow2", "q.copy", "a neighbour is named without its directory");
        RUN("mkdir", "elsewhere");
        tap_ok(overlay("elsewhere/e1.qcow2", "q.copy", IMAGE_QCOW2, 0, &f) == 0,
               "an overlay is made in another directory");
        is_backed_by("elsewhere/e1.qcow2", base, "an image elsewhere is named with its directory");
        RUN("mkdir", "linked");
        RUN("ln", "q.copy", "o1.qcow2", "o2.qcow2", "linked");
        same_content("linked/o2.qcow2", "o2.qcow2", "a chain that is linked elsewhere is whole");
        RUN("mv", "q.copy", "away");
        same_content("linked/o2.qcow2", "linked/o2.qcow2", "also without the first directory");
        RUN("mv", "away", "q.copy");
}

static void test_overlay_sizes(void)
{
        static const uint64_t sizes[] = {
                512, MIB, 512 * MIB, 512 * MIB + 512, 4096 * MIB, 4096 * 1024 * MIB + 512};

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *name = g_strdup_printf("size%zu.qcow2", i);
                g_autofree char *last =
                        g_strdup_printf("write -P 9 %" PRIu64 " 512", sizes[i] - 512);
                Fault f = {0};

                tap_ok(overlay(name, "q.copy", IMAGE_QCOW2, sizes[i], &f) == 0,
                       "an overlay of %" PRIu64 " bytes is made", sizes[i]);
                RUN("qemu-io", "-f", "qcow2", "-c", last, name);
                check_clean(name, "its last sector can be written");
        }
        Fault f = {0};
        g_autofree char *lengthy = g_strnfill(1100, 'x');
        tap_ok(overlay("x.qcow2", lengthy, IMAGE_QCOW2, MIB, &f) < 0 &&
                       f.code == FAULT_INVALID_ARGUMENT && !exists("x.qcow2"),
               "a path that does not fit is refused");
        f = (Fault){0};
        tap_ok(overlay("x.qcow2", "q.copy", IMAGE_QCOW2, UINT64_C(1) << 60, &f) < 0 &&
                       !exists("x.qcow2"),
               "an absurd size is refused");
        f = (Fault){0};
        tap_ok(overlay("x.qcow2", "missing", IMAGE_QCOW2, 0, &f) < 0 && !exists("x.qcow2"),
               "an overlay on nothing is refused");
}

static void test_commit(void)
{
        g_autofree char *top = in_directory("o2.qcow2"), *base = in_directory("o1.qcow2");
        g_autofree char *other = in_directory("q.copy");
        Fault f = {0};

        tap_ok(image_commit(top, other, &f) < 0 && f.code == FAULT_WRONG_STATE,
               "nothing is committed past the file right below");
        f = (Fault){0};
        RUN("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "o2.qcow2", "before.raw");
        if (!tap_ok(image_commit(top, base, &f) == 0, "an overlay is committed"))
                tap_note("%s", f.message);
        same_content("o1.qcow2", "before.raw", "the file below shows what the overlay showed");
        check_clean("o1.qcow2", "it is clean");
}

static int flatten(const char *name, const char *base, Fault *f)
{
        g_autofree char *path = in_directory(name), *base_path = in_directory(base);

        return image_flatten(path, base_path, IMAGE_QCOW2, f);
}

static char *make_chain(const char *prefix)
{
        g_autofree char *one = g_strconcat(prefix, "1", NULL),
                        *two = g_strconcat(prefix, "2", NULL);
        char *top = g_strconcat(prefix, "3", NULL);
        Fault f = {0};

        if (overlay(one, "q.copy", IMAGE_QCOW2, 0, &f) < 0 ||
            overlay(two, one, IMAGE_QCOW2, 0, &f) < 0 || overlay(top, two, IMAGE_QCOW2, 0, &f) < 0)
                tap_bail_out(f.message);
        RUN("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", "-c", "write -P 2 5M 64k", one);
        RUN("qemu-io", "-f", "qcow2", "-c", "write -P 3 512k 1M", "-c", "write -z 40M 1M", two);
        RUN("qemu-io", "-f", "qcow2", "-c", "write -P 4 768k 64k", top);
        return top;
}

static void test_flatten(void)
{
        g_autofree char *top = make_chain("f"), *base = in_directory("q.copy");
        Fault f = {0};

        RUN("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, "flat.raw");
        if (!tap_ok(flatten(top, "q.copy", &f) == 0, "an overlay is flattened"))
                tap_note("%s", f.message);
        RUN("rm", "f1", "f2");
        is_backed_by(top, "q.copy", "it stands on the base alone");
        same_content(top, "flat.raw", "its content is the same");
        check_clean(top, "it is clean");
        tap_ok(flatten(top, "q.copy", &f) == 0, "flattening it twice is nothing");
        same_content(top, "flat.raw", "its content is still the same");

        g_autofree char *other = make_chain("elsewhere/f");
        tap_ok(flatten(other, "q.copy", &f) == 0, "an overlay on a base elsewhere is flattened");
        is_backed_by(other, base, "which it names with its directory");
        same_content(other, "flat.raw", "its content is the same");
        tap_ok(flatten("missing", "q.copy", &f) < 0 && f.code == FAULT_IO,
               "what is not there is not flattened");
        f = (Fault){0};
        tap_ok(flatten(other, "missing", &f) < 0, "nor onto what is not there");
        is_backed_by(other, base, "it stands where it stood");
}

static void test_copy(void)
{
        g_autofree char *top = make_chain("c"), *path = in_directory(top);
        g_autofree char *copy = in_directory("copy.qcow2"), *missing = in_directory("missing");
        ImageInfo info;
        struct stat st;
        Fault f = {0};

        if (!tap_ok(image_copy(path, copy, &info, &f) == 0, "a chain is copied"))
                tap_note("%s", f.message);
        same_content("copy.qcow2", top, "the copy shows what the chain shows");
        check_clean("copy.qcow2", "it is clean");
        tap_ok(stat(copy, &st) == 0 && (st.st_mode & 07777) == 0440 && st.st_uid == geteuid(),
               "nobody may write to it");
        g_autofree char *sum = OUTPUT("sha256sum", "copy.qcow2");
        tap_ok(sum && g_str_has_prefix(sum, info.sha256), "its hash is told");
        tap_ok(info.format == IMAGE_QCOW2 && info.virtual_size_bytes == 64 * MIB &&
                       info.file_size_bytes > 0 && info.file_size_bytes < 8 * MIB,
               "and its sizes, which are those of what is in it");
        RUN("rm", "c1", "c2");
        same_content("copy.qcow2", "copy.qcow2", "it needs no other file");

        tap_ok(image_copy(path, copy, &info, &f) < 0 && f.code == FAULT_EXISTS,
               "an existing file is not overwritten");
        f = (Fault){0};
        g_autofree char *broken = in_directory("broken.qcow2");
        tap_ok(image_copy(path, broken, &info, &f) < 0 && !exists("broken.qcow2"),
               "a chain with a hole in it is not copied");
        tap_note("%s", f.message);
        f = (Fault){0};
        tap_ok(image_copy(missing, broken, &info, &f) < 0 && f.code == FAULT_IO &&
                       !exists("broken.qcow2"),
               "nor what is not there");
}

/* Files of another user are worked on as that user, who may not enter the copy's directory. */
static void write_script(const char *name, const char *text)
{
        g_autofree char *path = in_directory(name);

        if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL))
                tap_bail_out("cannot write a script");
}

/* As whom its unit says. */
static void test_other_user(void)
{
        g_autofree char *top = NULL, *path = NULL, *copy = NULL;
        ImageInfo info;
        struct stat st;
        Fault f = {0};

        if (geteuid() != 0) {
                tap_ok(true, "files of another user # SKIP not root");
                return;
        }
        write_script("qemu-img-of-another",
                     "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups "
                     "/usr/bin/qemu-img \"$@\"\n");
        g_autofree char *program = in_directory("qemu-img-of-another");
        socket_unit_stop(unit, directory, "fluid-image");
        unit = socket_unit_start(directory, "fluid-image", program);
        RUN("chmod", "755", ".");
        RUN("mkdir", "-m", "700", "closed");
        top = make_chain("u");
        path = in_directory(top);
        copy = in_directory("closed/copy.qcow2");
        RUN("chown", "65534:65534", "u1", "u2", "u3");
        if (!tap_ok(image_copy(path, copy, &info, &f) == 0, "another user's chain is copied"))
                tap_note("%s", f.message);
        tap_ok(stat(copy, &st) == 0 && st.st_uid == 0 && st.st_gid == 65534,
               "the copy is root's, and for that user's group to read");
        same_content("closed/copy.qcow2", top, "it shows what the chain shows");
        if (!tap_ok(flatten(top, "q.copy", &f) == 0, "another user's overlay is flattened"))
                tap_note("%s", f.message);
        same_content("closed/copy.qcow2", top, "its content is the same");
}

static void test_file_import(void)
{
        g_autofree char *path = in_directory("kernel"), *raw = in_directory("raw");
        char sha256[SHA256_HEX_SIZE];
        g_autofree char *sum = OUTPUT("sha256sum", "raw");
        autofd fd = open(raw, O_RDONLY | O_CLOEXEC);
        struct stat st;
        Fault f = {0};

        tap_ok(file_import(fd, path, MIB, 0440, getuid(), getgid(), sha256, &f) < 0 &&
                       f.code == FAULT_INVALID_ARGUMENT && !exists("kernel"),
               "a file that is too large is refused");
        f = (Fault){0};
        tap_ok(file_import(fd, path, 64 * MIB, 0440, getuid(), getgid(), sha256, &f) == 0,
               "a small file is copied");
        tap_ok(g_str_has_prefix(sum, sha256), "its hash is told");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0440, "with its mode");
}

/* A limit on the size of files stands in for a full disk: the kernel then answers EFBIG. */
static void test_failed_write(void)
{
        struct rlimit old, small = {.rlim_cur = MIB};
        ImageInfo info;
        Fault f = {0};

        (void) getrlimit(RLIMIT_FSIZE, &old);
        small.rlim_max = old.rlim_max;
        (void) signal(SIGXFSZ, SIG_IGN);
        (void) setrlimit(RLIMIT_FSIZE, &small);
        int r = import("raw", "full.copy", IMAGE_RAW, &info, &f);
        (void) setrlimit(RLIMIT_FSIZE, &old);
        tap_ok(r < 0 && f.code == FAULT_IO && !exists("full.copy"),
               "an import that cannot be written leaves no file");
}

static void test_formats(void)
{
        ImageFormat format;
        Fault f = {0};

        tap_ok(image_format_from_string("raw", &format, &f) == 0 && format == IMAGE_RAW,
               "raw is a format");
        tap_ok(image_format_from_string("qcow2", &format, &f) == 0 && format == IMAGE_QCOW2,
               "qcow2 is a format");
        tap_ok(image_format_from_string("vmdk", &format, &f) < 0 && f.code == FAULT_IMAGE_REFUSED,
               "vmdk is none");
}

static void test_disk_free(void)
{
        uint64_t bytes = 0;
        Fault f = {0};

        tap_ok(disk_free_bytes(directory, &bytes, &f) == 0 && bytes > 0, "free room is told");
        tap_ok(disk_free_bytes("/nonexistent", &bytes, &f) < 0 && f.code == FAULT_IO,
               "of a path that exists");
}

int main(void)
{
        directory = g_dir_make_tmp("fluid-image-XXXXXX", NULL);
        if (!directory)
                tap_bail_out("cannot make a directory");
        child_set_directory(directory);
        unit = socket_unit_start(directory, "fluid-image", "/usr/bin/qemu-img");
        test_formats();
        test_import_raw();
        test_import_qcow2();
        test_refusals();
        test_inspect();
        test_overlay();
        test_relative_names();
        test_overlay_sizes();
        test_commit();
        test_flatten();
        test_copy();
        test_other_user();
        test_file_import();
        test_failed_write();
        test_disk_free();
        socket_unit_stop(unit, directory, "fluid-image");
        (void) remove_tree(directory, NULL);
        g_free(directory);
        return tap_done();
}

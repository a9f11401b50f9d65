/* SPDX-License-Identifier: MIT */
#include "diff/lookup.h"
#include "tests/diff/image.h"

#include <errno.h>

static TestImage image;

static void make_tree(void)
{
        char name[300];

        test_image_init(&image);
        test_image_write(&image, "etc/hosts", "127.0.0.1 localhost\n");
        test_image_write(&image, "usr/lib/os-release", "NAME=test\n");
        test_image_write(&image, "empty", "");
        test_image_link(&image, "../usr/lib/os-release", "etc/os-release");
        test_image_link(&image, "/usr/lib", "lib");
        test_image_link(&image, "lib/../../../../etc/hosts", "far");
        test_image_link(&image, "circle", "circle");
        test_image_link(&image, "nowhere", "dangling");
        test_image_link(&image, "etc/hosts", "long0");
        for (unsigned i = 0; i < 40; i++) {
                g_autofree char *target = g_strdup_printf("long%u", i);

                g_snprintf(name, sizeof(name), "long%u", i + 1);
                test_image_link(&image, target, name);
        }
        memset(name, 'a', 255);
        name[255] = '\0';
        test_image_write(&image, name, "long name\n");
        test_image_open(&image);
}

static void test_read(void)
{
        static const struct {
                const char *path, *text; /* NULL: not found */
        } cases[] = {
                {"/etc/hosts", "127.0.0.1 localhost\n"},
                {"etc/hosts", "127.0.0.1 localhost\n"},
                {"//etc/.//hosts", "127.0.0.1 localhost\n"},
                {"/etc/../etc/hosts", "127.0.0.1 localhost\n"},
                {"/../../etc/hosts", "127.0.0.1 localhost\n"},
                {"/etc/os-release", "NAME=test\n"},
                {"/lib/os-release", "NAME=test\n"},
                {"/far", "127.0.0.1 localhost\n"},
                {"/long39", "127.0.0.1 localhost\n"},
                {"/empty", ""},
                {"/long40", NULL},
                {"/circle", NULL},
                {"/dangling", NULL},
                {"/etc/nothing", NULL},
                {"/etc/hosts/deeper", NULL},
                {"/nothing/deeper", NULL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *bytes = NULL;
                size_t size = 0;
                Fault f = {0};

                int r = lookup_read(image.fs, cases[i].path, 4096, &bytes, &size, &f);
                if (!cases[i].text) {
                        tap_ok(r == -ENOENT && f.code == FAULT_NOT_FOUND && !bytes,
                               "'%s' is not found", cases[i].path);
                        continue;
                }
                tap_is_str(bytes, cases[i].text, "'%s' is read", cases[i].path);
                tap_is_int((int64_t) size, (int64_t) strlen(cases[i].text), "with its size");
        }
}

static void test_bounds(void)
{
        g_autofree char *bytes = NULL, *path = g_strnfill(LOOKUP_PATH_MAX + 1, '/');
        g_autofree char *name = g_strnfill(256, 'a');
        LookupFile file;
        size_t size;
        Fault f = {0};

        tap_is_int(lookup_read(image.fs, "/etc/hosts", 20, &bytes, &size, NULL), 0,
                   "a file of just the limit is read");
        tap_ok(lookup_read(image.fs, "/etc/hosts", 19, &bytes, &size, &f) < 0 &&
                       f.code == FAULT_DIFF_FAILED && strstr(f.message, "20 bytes"),
               "a larger one is refused, with its size");
        fault_clear(&f);
        tap_ok(lookup_read(image.fs, "/etc", 4096, &bytes, &size, &f) < 0 &&
                       f.code == FAULT_DIFF_FAILED,
               "a directory is no file");
        tap_is_int(lookup_find(image.fs, path, LOOKUP_PATH_MAX, true, &file, NULL), 0,
                   "a path of just the limit is looked up");
        tap_ok(file.ino == EXT2_ROOT_INO, "and slashes are the root");
        tap_is_int(lookup_find(image.fs, path, LOOKUP_PATH_MAX + 1, true, &file, NULL), -ENOENT,
                   "a longer one is not");
        tap_is_int(lookup_find(image.fs, "/etc\0", 5, true, &file, NULL), -ENOENT,
                   "a path with a NUL is none");
        tap_is_int(lookup_find(image.fs, name, 255, true, &file, NULL), 0,
                   "a name of 255 bytes is found");
        tap_is_int(lookup_find(image.fs, name, 256, true, &file, NULL), -ENOENT,
                   "one of 256 is not");
}

static void test_links(void)
{
        LookupFile file;

        tap_ok(lookup_find(image.fs, "/lib", 4, false, &file, NULL) == 0 &&
                       file.attributes.kind == KIND_SYMLINK,
               "the last link is not followed if that is not asked for");
        tap_ok(lookup_find(image.fs, "/lib/os-release", 15, false, &file, NULL) == 0 &&
                       file.attributes.kind == KIND_FILE,
               "one on the way is");
        tap_ok(lookup_find(image.fs, "", 0, true, &file, NULL) == 0 && file.ino == EXT2_ROOT_INO,
               "an empty path is the root");
}

int main(void)
{
        make_tree();
        test_read();
        test_bounds();
        test_links();
        test_image_done(&image);
        return tap_done();
}

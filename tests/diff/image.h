/* SPDX-License-Identifier: MIT */
#pragma once

/* A file system of a test's own: a directory that mke2fs makes into an image, opened for reading.
 */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/filesystem.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct TestImage {
        char *directory; /* fill it, then test_image_open() */
        char *path;
        Chain *chain;
        Volume *volume;
        View *view;
        Filesystem *fs;
} TestImage;

static inline void test_image_init(TestImage *image)
{
        *image = (TestImage){.directory = g_dir_make_tmp("fluid-diff.XXXXXX", NULL)};
        if (!image->directory)
                tap_bail_out("cannot make a directory");
        image->path = g_strconcat(image->directory, ".raw", NULL);
}

static inline void test_image_run(const char *const *argv)
{
        g_autofree char *errors = NULL;
        int status = 0;

        if (!g_spawn_sync(NULL, (char **) argv, NULL,
                          G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                          &errors, &status, NULL) ||
            status != 0) {
                tap_note("%s: %s", argv[0], errors ? errors : "not started");
                tap_bail_out("cannot make an image");
        }
}

/* `path` is relative to the root of the file system; directories on the way are made. */
static inline void test_image_write(const TestImage *image, const char *path, const char *text)
{
        g_autofree char *name = g_build_filename(image->directory, path, NULL);
        g_autofree char *directory = g_path_get_dirname(name);

        if (g_mkdir_with_parents(directory, 0755) < 0)
                tap_bail_out("cannot make a directory");
        autofd fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
                tap_bail_out("cannot write a file");
}

static inline void test_image_link(const TestImage *image, const char *target, const char *path)
{
        g_autofree char *name = g_build_filename(image->directory, path, NULL);
        g_autofree char *directory = g_path_get_dirname(name);

        if (g_mkdir_with_parents(directory, 0755) < 0 || symlink(target, name) < 0)
                tap_bail_out("cannot make a link");
}

static inline void test_image_open(TestImage *image)
{
        const char *argv[] = {"/usr/sbin/mke2fs", "-q",        "-F",  "-t", "ext4", "-d",
                              image->directory,   image->path, "16M", NULL};
        DiskFormat format = DISK_RAW;
        Fault f = {0};

        test_image_run(argv);
        autofd fd = open(image->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || chain_open_fds(&fd, &format, 1, NULL, &image->chain, &f) < 0)
                tap_bail_out("cannot open the image");
        image->volume = volume_new_disk(0, image->chain);
        image->view = view_new(image->volume);
        if (filesystem_open(image->view, "new", &image->fs, &f) < 0)
                tap_bail_out(f.message);
}

static inline void test_image_done(TestImage *image)
{
        const char *argv[] = {"rm", "-rf", image->directory, image->path, NULL};

        (void) filesystem_free(image->fs);
        (void) view_free(image->view);
        (void) volume_free(image->volume);
        (void) chain_free(image->chain);
        test_image_run(argv);
        g_free(image->directory);
        g_free(image->path);
}

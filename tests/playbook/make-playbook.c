/* SPDX-License-Identifier: MIT */

/* A playbook from a document and two trees of files, as a directory:
 *
 *   make-playbook [--allow-secrets] [--allow-setuid] DOCUMENT OLD-TREE NEW-TREE RESULT */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/playbook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Trees {
        const char *old, *new, *result;
        int fd;
        uint64_t left;
} Trees;

static int read_tree(void *data, bool of_new, const char *path, size_t max, char **ret,
                     size_t *ret_size, Fault *f)
{
        Trees *trees = data;
        g_autofree char *full = g_strconcat(of_new ? trees->new : trees->old, path, NULL);

        return file_read(full, max, ret, ret_size, f);
}

static int copy_tree(void *data, const char *path, PlaybookTake take, void *take_data, Fault *f)
{
        Trees *trees = data;
        g_autofree char *full = g_strconcat(trees->new, path, NULL);
        autofd fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char buffer[4096];
        ssize_t n;
        int r = 0;

        if (fd < 0)
                return fault_set_errno(f, FAULT_NOT_FOUND, errno, "cannot open '%s'", full);
        while (r == 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
                r = take(take_data, buffer, (size_t) n, f);
        return r;
}

static int read_tree_link(void *data, const char *path, char **ret, Fault *f)
{
        Trees *trees = data;
        g_autofree char *full = g_strconcat(trees->new, path, NULL);

        *ret = g_file_read_link(full, NULL);
        return *ret ? 0 : fault_set(f, FAULT_NOT_FOUND, "there is no link '%s'", full);
}

static int begin(void *data, const char *name, uint64_t size, Fault *f)
{
        Trees *trees = data;
        g_autofree char *full = g_strconcat(trees->result, "/", name, NULL);
        g_autofree char *directory = g_path_get_dirname(full);

        (void) g_mkdir_with_parents(directory, 0755);
        trees->left = size;
        trees->fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        return trees->fd < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot make '%s'", full) : 0;
}

static int put(void *data, const void *bytes, size_t size, Fault *f)
{
        Trees *trees = data;

        g_assert_cmpuint(size, <=, trees->left);
        trees->left -= size;
        int r = write_all(trees->fd, bytes, size);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot write") : 0;
}

static int end(void *data, Fault *f)
{
        Trees *trees = data;

        (void) f;
        g_assert_cmpuint(trees->left, ==, 0);
        trees->fd = close_fd(trees->fd);
        return 0;
}

int main(int argc, char **argv)
{
        PlaybookOptions options = {0};
        g_autofree char *document = NULL;
        size_t size;
        Fault fault = {0};
        int i = 1;

        for (; i < argc && argv[i][0] == '-'; i++) {
                options.allow_secrets |= strcmp(argv[i], "--allow-secrets") == 0;
                options.allow_setuid |= strcmp(argv[i], "--allow-setuid") == 0;
        }
        if (argc - i != 4) {
                fprintf(stderr, "wrong usage\n");
                return 2;
        }
        Trees trees = {.old = argv[i + 1], .new = argv[i + 2], .result = argv[i + 3], .fd = -1};
        PlaybookSource source = {&trees, read_tree, copy_tree, read_tree_link};
        PlaybookSink sink = {&trees, begin, put, end};
        int r = file_read(argv[i], 1u << 30, &document, &size, &fault);
        if (r == 0)
                r = playbook_write(document, size, &source, &options, &sink, &fault);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", fault_to_string(fault.code), fault.message);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

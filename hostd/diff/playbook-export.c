/* SPDX-License-Identifier: MIT */
#include "diff/playbook-export.h"

#include "base/cleanup.h"
#include "diff/pax.h"
#include "diff/playbook-document.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 131072

static int open_file(const Trees *trees, bool of_new, const char *path, bool follow, Content **ret,
                     Fault *f)
{
        Filesystem *fs = NULL;
        LookupFile file;

        int r = tree_find(trees->trees[of_new], path, follow, &fs, &file, f);
        if (r < 0)
                return r;
        if (file.attributes.kind != KIND_FILE)
                return fault_set(f, FAULT_DIFF_FAILED, "'%s' is not a regular file", path);
        return lookup_open(fs, &file, ret, f);
}

static int read_file(void *data, bool of_new, const char *path, size_t max, char **ret,
                     size_t *ret_size, Fault *f)
{
        g_autoptr(Content) content = NULL;

        int r = open_file(data, of_new, path, true, &content, f);
        if (r < 0)
                return r;
        if (content_size(content) > max)
                return fault_set(f, FAULT_DIFF_FAILED, "'%s' is too large to be read", path);
        return content_load(content, ret, ret_size, f);
}

static int copy_file(void *data, const char *path, PlaybookTake take, void *take_data, Fault *f)
{
        g_autoptr(Content) content = NULL;
        g_autofree uint8_t *buffer = g_malloc(CHUNK);

        int r = open_file(data, true, path, false, &content, f);
        if (r < 0)
                return r;
        uint64_t size = content_size(content);
        for (uint64_t at = 0; r == 0 && at < size;) {
                size_t n = (size_t) MIN(size - at, CHUNK);

                r = content_read(content, at, buffer, n, f);
                if (r == 0)
                        r = take(take_data, buffer, n, f);
                at += n;
        }
        return r;
}

static int read_link(void *data, const char *path, char **ret, Fault *f)
{
        const Trees *trees = data;
        g_autoptr(Content) content = NULL;
        Filesystem *fs = NULL;
        LookupFile file;
        size_t size;

        int r = tree_find(trees->trees[true], path, false, &fs, &file, f);
        if (r < 0)
                return r;
        if (file.attributes.kind != KIND_SYMLINK)
                return fault_set(f, FAULT_NOT_FOUND, "'%s' is not a symbolic link", path);
        r = lookup_open(fs, &file, &content, f);
        if (r < 0)
                return r;
        if (content_size(content) > LOOKUP_PATH_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "'%s' is too long a link", path);
        return content_load(content, ret, &size, f);
}

static int begin(void *data, const char *name, uint64_t size, Fault *f)
{
        Output *output = data;
        const Attributes attributes = {.kind = KIND_FILE, .mode = 0644, .size = size};
        const PaxMember member = {
                .name = name,
                .name_size = strlen(name),
                .attributes = &attributes,
        };

        int r = output_reserve(output, size, f);
        return r < 0 ? r : pax_write_header(output, &member, f);
}

static int put(void *data, const void *bytes, size_t size, Fault *f)
{
        Output *output = data;

        return output_write(output, bytes, size, f);
}

static int end(void *data, Fault *f)
{
        Output *output = data;

        return pax_write_padding(output, f);
}

PlaybookSource playbook_source(Trees *trees)
{
        return (PlaybookSource){trees, read_file, copy_file, read_link};
}

/* What was done meanwhile, for people: nothing of the playbook is made of it. */
static int put_history(const PlaybookSink *sink, int fd, Fault *f)
{
        g_autofree char *text = g_malloc(PLAYBOOK_HISTORY_MAX);
        size_t size = 0;
        ssize_t n = 0;

        while (size < PLAYBOOK_HISTORY_MAX &&
               (n = pread(fd, text + size, PLAYBOOK_HISTORY_MAX - size, (off_t) size)) > 0)
                size += (size_t) n;
        if (n < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read the history");
        if (size == PLAYBOOK_HISTORY_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the history is larger than %u bytes",
                                 PLAYBOOK_HISTORY_MAX);
        int r = sink->begin(sink->data, "COMMANDS.txt", size, f);
        if (r == 0)
                r = sink->write(sink->data, text, size, f);
        return r < 0 ? r : sink->end(sink->data, f);
}

int playbook_export(const Tree *old, const Tree *new, int document_fd, int history_fd,
                    const PlaybookOptions *options, Output *output, Fault *f)
{
        Trees trees = {{old, new}};
        const PlaybookSource source = playbook_source(&trees);
        const PlaybookSink sink = {output, begin, put, end};
        g_autofree char *document = NULL;
        size_t size;

        int r = playbook_document_read(document_fd, &document, &size, f);
        if (r == 0)
                r = playbook_write(document, size, &source, options, &sink, f);
        if (r == 0 && history_fd >= 0)
                r = put_history(&sink, history_fd, f);
        if (r == 0)
                r = pax_write_end(output, f);
        return r < 0 ? r : output_end(output, f);
}

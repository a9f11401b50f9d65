/* SPDX-License-Identifier: MIT */
#include "diff/chain.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct Chain {
        Layer *layers[CHAIN_DEPTH_MAX];
        unsigned depth;
};

static Layer *find_layer(const Chain *chain, dev_t device, ino_t inode, DiskFormat format)
{
        for (unsigned i = 0; chain && i < chain->depth; i++)
                if (layer_is_file(chain->layers[i], device, inode, format))
                        return chain->layers[i];
        return NULL;
}

/* Takes the descriptor. */
static int add_layer(Chain *chain, int fd, DiskFormat format, const char *name, const Chain *known,
                     Fault *f)
{
        autofd owned = fd;
        struct stat st;
        Layer *layer;

        if (chain->depth == CHAIN_DEPTH_MAX)
                return fault_set(f, FAULT_IMAGE_REFUSED, "the chain is longer than %d images",
                                 CHAIN_DEPTH_MAX);
        if (fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read image '%s'", name);
        if (find_layer(chain, st.st_dev, st.st_ino, DISK_QCOW2) ||
            find_layer(chain, st.st_dev, st.st_ino, DISK_RAW))
                return fault_set(f, FAULT_IMAGE_REFUSED, "image '%s' is its own backing file",
                                 name);
        layer = find_layer(known, st.st_dev, st.st_ino, format);
        if (layer) {
                chain->layers[chain->depth++] = layer_ref(layer);
                return 0;
        }
        int r = layer_open(TAKE_FD(owned), format, name, &layer, f);
        if (r == 0)
                chain->layers[chain->depth++] = layer;
        return r;
}

/* The path of a backing file, or NULL where its name is no plain path. */
static char *backing_path(const char *image_path, const char *name)
{
        const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

        if (colon && (!slash || colon < slash))
                return NULL;
        if (name[0] == '/')
                return g_strdup(name);
        g_autofree char *directory = g_path_get_dirname(image_path);
        return g_build_filename(directory, name, NULL);
}

static int next_in_chain(const Qcow2Header *header, const char *path, char **ret_path,
                         DiskFormat *ret_format, Fault *f)
{
        DiskFormat format = DISK_QCOW2;

        if (header->backing_format[0] && !disk_format_from_string(header->backing_format, &format))
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "'%s' has a backing file of the format '%s'; raw and qcow2 are "
                                 "supported",
                                 path, header->backing_format);
        *ret_path = backing_path(path, header->backing_file);
        if (!*ret_path)
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "'%s' has the backing file '%.200s', which is not a plain path",
                                 path, header->backing_file);
        *ret_format = format;
        return 0;
}

int chain_open_path(const char *path, DiskFormat format, const Chain *known, Chain **ret, Fault *f)
{
        g_autoptr(Chain) chain = g_new0(Chain, 1);
        g_autofree char *at = g_strdup(path);

        for (;;) {
                /* Not to wait for a writer, should it be a FIFO. */
                int fd = open(at, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (fd < 0)
                        return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO,
                                               errno, "cannot open image '%s'", at);
                int r = add_layer(chain, fd, format, at, known, f);
                if (r < 0)
                        return r;
                const Qcow2Header *header = layer_header(chain->layers[chain->depth - 1]);
                if (!header || !header->backing_file[0])
                        break;
                char *next = NULL;
                r = next_in_chain(header, at, &next, &format, f);
                if (r < 0)
                        return r;
                g_free(at);
                at = next;
        }
        *ret = TAKE_PTR(chain);
        return 0;
}

static int check_complete(const Chain *chain, Fault *f)
{
        for (unsigned i = 0; i < chain->depth; i++) {
                const Qcow2Header *header = layer_header(chain->layers[i]);
                bool backed = header && header->backing_file[0];

                if (backed && i + 1 == chain->depth)
                        return fault_set(f, FAULT_IMAGE_REFUSED,
                                         "the chain is not complete: %s has a backing file",
                                         layer_name(chain->layers[i]));
                if (!backed && i + 1 < chain->depth)
                        return fault_set(f, FAULT_IMAGE_REFUSED,
                                         "the chain goes on below %s, which has no backing file",
                                         layer_name(chain->layers[i]));
        }
        return 0;
}

int chain_open_fds(const int *fds, const DiskFormat *formats, unsigned n_fds, const Chain *known,
                   Chain **ret, Fault *f)
{
        g_autoptr(Chain) chain = g_new0(Chain, 1);
        int r = 0;

        for (unsigned i = 0; i < n_fds && r == 0; i++) {
                char name[32];

                (void) g_snprintf(name, sizeof(name), "descriptor %d", fds[i]);
                int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
                if (fd < 0)
                        return fault_set_errno(f, FAULT_INVALID_ARGUMENT, errno, "%s", name);
                r = add_layer(chain, fd, formats[i], name, known, f);
        }
        if (r == 0 && n_fds == 0)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "a chain of no images");
        if (r == 0)
                r = check_complete(chain, f);
        if (r == 0)
                *ret = TAKE_PTR(chain);
        return r;
}

Chain *chain_free(Chain *chain)
{
        if (!chain)
                return NULL;
        for (unsigned i = 0; i < chain->depth; i++)
                (void) layer_unref(chain->layers[i]);
        g_free(chain);
        return NULL;
}

uint64_t chain_size(const Chain *chain)
{
        return layer_size(chain->layers[0]);
}

unsigned chain_depth(const Chain *chain)
{
        return chain->depth;
}

Layer *chain_layer(const Chain *chain, unsigned i)
{
        g_assert(i < chain->depth);
        return chain->layers[i];
}

unsigned chain_common_depth(const Chain *a, const Chain *b)
{
        unsigned n = 0;

        while (n < a->depth && n < b->depth &&
               a->layers[a->depth - 1 - n] == b->layers[b->depth - 1 - n])
                n++;
        return n;
}

int chain_map(Chain *chain, uint64_t offset, uint64_t length, ChainExtent *ret, Fault *f)
{
        for (unsigned i = 0; i < chain->depth; i++) {
                LayerExtent where;

                int r = layer_map(chain->layers[i], offset, length, &where, f);
                if (r < 0)
                        return r;
                length = where.length;
                if (where.kind == EXTENT_ZERO)
                        break;
                if (where.kind != EXTENT_ABSENT) {
                        *ret = (ChainExtent){chain->layers[i], length, where};
                        return 0;
                }
        }
        *ret = (ChainExtent){NULL, length, {.kind = EXTENT_ZERO, .length = length}};
        return 0;
}

int chain_read(Chain *chain, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        char *p = buffer;

        while (size > 0) {
                ChainExtent extent;

                int r = chain_map(chain, offset, size, &extent, f);
                if (r < 0)
                        return r;
                size_t n = (size_t) extent.length;
                if (!extent.layer)
                        memset(p, 0, n);
                else
                        r = layer_read(extent.layer, &extent.where, p, n, f);
                if (r < 0)
                        return r;
                p += n;
                offset += n;
                size -= n;
        }
        return 0;
}

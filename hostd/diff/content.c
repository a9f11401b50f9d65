/* SPDX-License-Identifier: MIT */
#include "diff/content.h"

#include "base/cleanup.h"

#include <string.h>

#define CHUNK            131072
#define EXTENTS_MAX      (UINT64_C(4) << 20)
#define SIZE_MAX_OF_FILE (UINT64_C(1) << 60)

/* In blocks. */
typedef struct Extent {
        uint64_t logical, physical, length;
} Extent;

struct Content {
        Filesystem *fs;
        uint64_t size;
        bool has_index;        /* blocks of extents or of block numbers lie between */
        uint8_t *inline_bytes; /* NULL: extents */
        GArray *extents;       /* of Extent, by logical, not overlapping */
};

/* Up to the next boundary: where the bytes are in the view, or a hole. In bytes. */
typedef struct Run {
        bool is_hole;
        uint64_t offset, length;
} Run;

typedef struct Gathering {
        Content *content;
        uint32_t ino;
        Fault *fault;
        int result;
} Gathering;

static int add_extent(Content *content, uint32_t ino, Extent extent, Fault *f)
{
        Filesystem *fs = content->fs;
        uint64_t n_blocks = ext2fs_blocks_count(fs->ext2->super);
        GArray *extents = content->extents;

        if (extent.physical >= n_blocks || extent.length > n_blocks - extent.physical)
                return filesystem_fault(fs, EXT2_ET_BAD_BLOCK_NUM, "a data block", ino, f);
        if (extents->len > 0) {
                Extent *last = &g_array_index(extents, Extent, extents->len - 1);

                if (extent.logical < last->logical + last->length)
                        return filesystem_fault(fs, EXT2_ET_EXTENT_INVALID_LENGTH, "the extents",
                                                ino, f);
                if (extent.logical == last->logical + last->length &&
                    extent.physical == last->physical + last->length) {
                        last->length += extent.length;
                        return 0;
                }
        }
        if (extents->len >= EXTENTS_MAX)
                return fault_set(f, FAULT_NO_MEMORY, "inode %u of %s has too many extents", ino,
                                 fs->name);
        g_array_append_val(extents, extent);
        return 0;
}

static uint64_t size_in_blocks(const Content *content)
{
        return (content->size + content->fs->block_size - 1) / content->fs->block_size;
}

static int gather_extents(Content *content, uint32_t ino, Inode *inode, Fault *f)
{
        Filesystem *fs = content->fs;
        ext2_extent_handle_t handle;
        struct ext2fs_extent extent;
        int r = 0;

        errcode_t error = ext2fs_extent_open2(fs->ext2, ino, &inode->base, &handle);
        if (error)
                return filesystem_fault(fs, error, "the extents", ino, f);
        content->has_index =
                ext2fs_le16_to_cpu(
                        ((const struct ext3_extent_header *) inode->base.i_block)->eh_depth) > 0;
        error = ext2fs_extent_get(handle, EXT2_EXTENT_ROOT, &extent);
        while (!error && r == 0) {
                bool leaf = extent.e_flags & EXT2_EXTENT_FLAGS_LEAF;
                bool unwritten = extent.e_flags & EXT2_EXTENT_FLAGS_UNINIT;

                if (leaf && extent.e_lblk >= size_in_blocks(content))
                        break;
                if (leaf && !unwritten && extent.e_len > 0)
                        r = add_extent(content, ino,
                                       (Extent){extent.e_lblk, extent.e_pblk, extent.e_len}, f);
                error = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT_LEAF, &extent);
        }
        ext2fs_extent_free(handle);
        if (r == 0 && error && error != EXT2_ET_EXTENT_NO_NEXT && error != EXT2_ET_NO_CURRENT_NODE)
                return filesystem_fault(fs, error, "the extents", ino, f);
        return r;
}

static int gather_block(ext2_filsys ext2, blk64_t *block, e2_blkcnt_t logical, blk64_t ref_block,
                        int ref_offset, void *data)
{
        Gathering *gathering = data;

        (void) ext2, (void) ref_block, (void) ref_offset;
        if (logical < 0 || *block == 0)
                return 0;
        if ((uint64_t) logical >= size_in_blocks(gathering->content))
                return BLOCK_ABORT;
        gathering->result = add_extent(gathering->content, gathering->ino,
                                       (Extent){(uint64_t) logical, *block, 1}, gathering->fault);
        return gathering->result < 0 ? BLOCK_ABORT : 0;
}

static int gather_blocks(Content *content, uint32_t ino, const Inode *inode, Fault *f)
{
        Gathering gathering = {content, ino, f, 0};

        for (unsigned i = EXT2_IND_BLOCK; i < EXT2_N_BLOCKS; i++)
                content->has_index |= inode->base.i_block[i] != 0;
        errcode_t error = ext2fs_block_iterate3(content->fs->ext2, ino,
                                                BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, NULL,
                                                gather_block, &gathering);
        if (gathering.result < 0)
                return gathering.result;
        return error ? filesystem_fault(content->fs, error, "the blocks", ino, f) : 0;
}

/* What inline data does not reach of the size is a hole. */
static int gather_inline(Content *content, uint32_t ino, Inode *inode, Fault *f)
{
        size_t size = 0;

        if (content->size > INODE_SIZE_MAX)
                return filesystem_fault(content->fs, EXT2_ET_INLINE_DATA_NO_SPACE, "the size", ino,
                                        f);
        content->inline_bytes = g_malloc0(INODE_SIZE_MAX + EXT4_MIN_INLINE_DATA_SIZE);
        errcode_t error = ext2fs_inline_data_size(content->fs->ext2, ino, &size);
        if (!error && size > INODE_SIZE_MAX)
                error = EXT2_ET_INLINE_DATA_NO_SPACE;
        if (!error)
                error = ext2fs_inline_data_get(content->fs->ext2, ino, &inode->base,
                                               content->inline_bytes, &size);
        return error ? filesystem_fault(content->fs, error, "the inline data", ino, f) : 0;
}

static int gather_target(Content *content, uint32_t ino, const Inode *inode, Fault *f)
{
        if (content->size > sizeof(inode->base.i_block))
                return filesystem_fault(content->fs, EXT2_ET_INODE_CORRUPTED, "the size", ino, f);
        content->inline_bytes = g_memdup2(inode->base.i_block, sizeof(inode->base.i_block));
        return 0;
}

int content_open(Filesystem *fs, uint32_t ino, const Inode *inode, Content **ret, Fault *f)
{
        g_autoptr(Content) content = g_new0(Content, 1);
        Inode copy;
        int r;

        memcpy(&copy, inode, MAX(fs->inode_size, sizeof(copy.large)));
        content->fs = fs;
        content->size = EXT2_I_SIZE(&copy.base);
        content->extents = g_array_new(FALSE, FALSE, sizeof(Extent));
        if (content->size > SIZE_MAX_OF_FILE)
                return filesystem_fault(fs, EXT2_ET_FILE_TOO_BIG, "the size", ino, f);
        if (copy.base.i_flags & EXT4_INLINE_DATA_FL)
                r = gather_inline(content, ino, &copy, f);
        else if (LINUX_S_ISLNK(copy.base.i_mode) && ext2fs_is_fast_symlink(&copy.base))
                r = gather_target(content, ino, &copy, f);
        else if (copy.base.i_flags & EXT4_EXTENTS_FL)
                r = gather_extents(content, ino, &copy, f);
        else
                r = gather_blocks(content, ino, &copy, f);
        if (r == 0)
                *ret = TAKE_PTR(content);
        return r;
}

Content *content_free(Content *content)
{
        if (!content)
                return NULL;
        if (content->extents)
                g_array_unref(content->extents);
        g_free(content->inline_bytes);
        g_free(content);
        return NULL;
}

uint64_t content_size(const Content *content)
{
        return content->size;
}

/* The first extent that ends after block `logical`, or NULL. */
static const Extent *find_extent(const Content *content, uint64_t logical)
{
        unsigned low = 0, high = content->extents->len;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;
                const Extent *extent = &g_array_index(content->extents, Extent, middle);

                if (extent->logical + extent->length <= logical)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < content->extents->len ? &g_array_index(content->extents, Extent, low) : NULL;
}

static Run find_run(const Content *content, uint64_t offset)
{
        uint64_t block_size = content->fs->block_size;
        uint64_t left = content->size - offset;
        const Extent *extent = find_extent(content, offset / block_size);

        if (!extent)
                return (Run){true, 0, left};
        if (offset < extent->logical * block_size)
                return (Run){true, 0, MIN(left, extent->logical * block_size - offset)};
        uint64_t skip = offset - extent->logical * block_size;
        return (Run){false, extent->physical * block_size + skip,
                     MIN(left, extent->length * block_size - skip)};
}

uint64_t content_physical(const Content *content, uint64_t logical)
{
        const Extent *extent = find_extent(content, logical);

        return extent && extent->logical <= logical ? extent->physical + (logical - extent->logical)
                                                    : 0;
}

int content_read(Content *content, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        char *p = buffer;

        g_assert(offset <= content->size && size <= content->size - offset);
        if (content->inline_bytes) {
                memcpy(buffer, content->inline_bytes + offset, size);
                return 0;
        }
        while (size > 0) {
                Run run = find_run(content, offset);
                size_t n = (size_t) MIN(run.length, size);
                int r = 0;

                if (run.is_hole)
                        memset(p, 0, n);
                else
                        r = view_read(content->fs->view, run.offset, p, n, f);
                if (r < 0)
                        return r;
                p += n;
                offset += n;
                size -= n;
        }
        return 0;
}

int content_load(Content *content, char **ret, size_t *ret_size, Fault *f)
{
        size_t size = (size_t) content_size(content);
        g_autofree char *bytes = g_malloc(size + 1);
        int r = content_read(content, 0, bytes, size, f);

        if (r < 0)
                return r;
        bytes[size] = '\0';
        *ret = TAKE_PTR(bytes);
        *ret_size = size;
        return 0;
}

bool content_is_unchanged(const Content *content, const Delta *delta)
{
        uint64_t block_size = content->fs->block_size;

        if (content->inline_bytes)
                return true;
        if (content->has_index)
                return false;
        for (unsigned i = 0; i < content->extents->len; i++) {
                const Extent *extent = &g_array_index(content->extents, Extent, i);

                if (delta_may_differ(delta, extent->physical * block_size,
                                     extent->length * block_size))
                        return false;
        }
        return true;
}

/* How many bytes from `offset` on are equal without a look: both are holes, or both refer to the
 * same place, up to the next mark. */
static uint64_t skip_equal(const Content *old, const Content *new, const Delta *delta,
                           uint64_t offset)
{
        Run a = find_run(old, offset), b = find_run(new, offset);
        uint64_t n = MIN(a.length, b.length), at, length;

        if (a.is_hole && b.is_hole)
                return n;
        if (a.is_hole || b.is_hole || !delta || a.offset != b.offset)
                return 0;
        return delta_next(delta, a.offset, a.offset + n, &at, &length) ? at - a.offset : n;
}

int content_equal(Content *old, Content *new, const Delta *delta, bool *ret, Fault *f)
{
        g_autofree uint8_t *a = NULL, *b = NULL;
        uint64_t size = old->size;
        size_t chunk = (size_t) MIN(size, CHUNK);
        bool in_blocks = !old->inline_bytes && !new->inline_bytes;

        if (size != new->size) {
                *ret = false;
                return 0;
        }
        for (uint64_t offset = 0; offset < size;) {
                uint64_t skip = in_blocks ? skip_equal(old, new, delta, offset) : 0;

                if (skip > 0) {
                        offset += skip;
                        continue;
                }
                if (!a) {
                        a = g_malloc(chunk);
                        b = g_malloc(chunk);
                }
                size_t n = (size_t) MIN(size - offset, chunk);
                if (in_blocks)
                        n = (size_t) MIN(
                                n, MIN(find_run(old, offset).length, find_run(new, offset).length));
                int r = content_read(old, offset, a, n, f);
                if (r == 0)
                        r = content_read(new, offset, b, n, f);
                if (r < 0)
                        return r;
                if (memcmp(a, b, n) != 0) {
                        *ret = false;
                        return 0;
                }
                offset += n;
        }
        *ret = true;
        return 0;
}

int content_sha256(Content *content, char ret_hex[static SHA256_HEX_SIZE], Fault *f)
{
        size_t chunk = (size_t) MIN(content->size, CHUNK);
        g_autofree uint8_t *buffer = g_malloc(MAX(chunk, 1));
        struct sha256_ctx sum;

        g_assert(content->size <= CONTENT_HASHED_MAX);
        sha256_init(&sum);
        for (uint64_t offset = 0; offset < content->size;) {
                size_t n = (size_t) MIN(content->size - offset, chunk);

                int r = content_read(content, offset, buffer, n, f);
                if (r < 0)
                        return r;
                sha256_update(&sum, n, buffer);
                offset += n;
        }
        sha256_end(&sum, ret_hex);
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "diff/journal.h"

#include "base/cleanup.h"
#include "diff/bytes.h"
#include "diff/content.h"

#include <string.h>

#define JBD2_MAGIC UINT32_C(0xc03b3998)

enum {
        BLOCK_DESCRIPTOR = 1,
        BLOCK_COMMIT = 2,
        BLOCK_SUPER_V1 = 3,
        BLOCK_SUPER_V2 = 4,
        BLOCK_REVOKE = 5
};

#define FEATURE_REVOKE       UINT32_C(0x01)
#define FEATURE_64BIT        UINT32_C(0x02)
#define FEATURE_ASYNC_COMMIT UINT32_C(0x04)
#define FEATURE_CSUM_V2      UINT32_C(0x08)
#define FEATURE_CSUM_V3      UINT32_C(0x10)
#define FEATURE_FAST_COMMIT  UINT32_C(0x20)
#define FEATURES_KNOWN       UINT32_C(0x1f)

#define TAG_ESCAPED   1
#define TAG_SAME_UUID 2
#define TAG_LAST      8

#define HEADER_SIZE        12
#define COMMIT_CSUM_OFFSET 16
#define SUPER_CSUM_OFFSET  252
#define UUID_SIZE          16

typedef struct Journal {
        Filesystem *fs;
        Content *content;
        uint8_t *block; /* descriptor, revoke and commit blocks */
        uint8_t *data;  /* a data block, to check it */

        uint32_t features;
        uint32_t first, end; /* the ring of blocks: [first, end) */
        uint32_t start;      /* where the oldest transaction begins; 0: nothing to replay */
        uint32_t sequence;   /* its number */
        uint32_t csum_seed;
        uint32_t tag_size;

        GHashTable *revoked; /* block → the last sequence that revokes it, plus 1 */
} Journal;

typedef enum Pass { PASS_SCAN, PASS_REVOKE, PASS_REPLAY } Pass;

static int damaged(const Journal *j, const char *what, Fault *f)
{
        return fault_set(f, FAULT_DIFF_FAILED, "the journal of %s is damaged: %s", j->fs->name,
                         what);
}

/* Sequence numbers wrap around. */
static bool is_before(uint32_t a, uint32_t b)
{
        return (int32_t) (a - b) < 0;
}

static bool has_csum(const Journal *j)
{
        return j->features & (FEATURE_CSUM_V2 | FEATURE_CSUM_V3);
}

/* The CRC32C of a block with its own checksum, at `at`, taken as zero. */
static bool csum_matches(const Journal *j, uint8_t *block, size_t at, size_t size)
{
        uint32_t stored = get_be32(block + at);

        memset(block + at, 0, sizeof(stored));
        uint32_t sum = ext2fs_crc32c_le(j->csum_seed, block, size);
        stored = GUINT32_TO_BE(stored);
        memcpy(block + at, &stored, sizeof(stored));
        return sum == GUINT32_FROM_BE(stored);
}

static int read_block(Journal *j, uint32_t logical, uint8_t *buffer, Fault *f)
{
        return content_read(j->content, (uint64_t) logical * j->fs->block_size, buffer,
                            j->fs->block_size, f);
}

static uint32_t advance(const Journal *j, uint32_t at)
{
        return at + 1 >= j->end ? j->first : at + 1;
}

static int read_super(Journal *j, Fault *f)
{
        uint32_t n_blocks =
                (uint32_t) MIN(content_size(j->content) / j->fs->block_size, UINT32_MAX);
        uint8_t *b = j->block;

        if (n_blocks == 0)
                return damaged(j, "it is empty", f);
        int r = read_block(j, 0, b, f);
        if (r < 0)
                return r;
        uint32_t type = get_be32(b + 4);
        if (get_be32(b) != JBD2_MAGIC || (type != BLOCK_SUPER_V1 && type != BLOCK_SUPER_V2))
                return damaged(j, "it has no superblock", f);
        if (get_be32(b + 12) != j->fs->block_size)
                return damaged(j, "its block size is not that of the file system", f);
        j->end = get_be32(b + 16);
        j->first = get_be32(b + 20);
        j->sequence = get_be32(b + 24);
        j->start = get_be32(b + 28);
        j->features = type == BLOCK_SUPER_V2 ? get_be32(b + 40) : 0;
        if (j->features & FEATURE_FAST_COMMIT)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "%s was not closed cleanly and its journal uses fast commits, "
                                 "which are not supported; freeze or stop the guest first",
                                 j->fs->name);
        if (j->features & ~FEATURES_KNOWN)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "%s was not closed cleanly and its journal uses unknown features "
                                 "(0x%x); stop the guest first",
                                 j->fs->name, j->features & ~FEATURES_KNOWN);
        if (j->end > n_blocks || j->first == 0 || j->first >= j->end ||
            (j->start != 0 && (j->start < j->first || j->start >= j->end)))
                return damaged(j, "its superblock names blocks outside of it", f);
        j->csum_seed = ext2fs_crc32c_le(UINT32_MAX, b + 48, UUID_SIZE);
        if (has_csum(j)) {
                uint32_t seed = j->csum_seed;

                j->csum_seed = UINT32_MAX;
                bool good = csum_matches(j, b, SUPER_CSUM_OFFSET, 1024);
                j->csum_seed = seed;
                if (!good)
                        return damaged(j, "its superblock has a wrong checksum", f);
        }
        if (j->features & FEATURE_CSUM_V3)
                j->tag_size = 16;
        else
                j->tag_size = (j->features & FEATURE_64BIT ? 12 : 8) +
                              (j->features & FEATURE_CSUM_V2 ? 2 : 0);
        return 0;
}

typedef struct Tag {
        uint64_t block;
        uint32_t flags;
        uint32_t csum;
} Tag;

/* The next tag of the descriptor in j->block; `at` moves behind it. False at the end. */
static bool next_tag(const Journal *j, size_t *at, Tag *ret)
{
        size_t end = j->fs->block_size - (has_csum(j) ? 4 : 0);
        const uint8_t *tag = j->block + *at;

        if (*at + j->tag_size > end)
                return false;
        ret->block = get_be32(tag);
        if (j->features & FEATURE_CSUM_V3) {
                ret->flags = get_be32(tag + 4);
                ret->csum = get_be32(tag + 12);
        } else {
                uint32_t word = get_be32(tag + 4);

                ret->flags = word & 0xffff;
                ret->csum = word >> 16;
        }
        if (j->features & FEATURE_64BIT)
                ret->block |= (uint64_t) get_be32(tag + 8) << 32;
        *at += j->tag_size + (ret->flags & TAG_SAME_UUID ? 0 : UUID_SIZE);
        return true;
}

static int check_data(Journal *j, const Tag *tag, uint32_t sequence, uint32_t logical, Fault *f)
{
        uint32_t be_sequence = GUINT32_TO_BE(sequence);

        if (!has_csum(j))
                return 0;
        int r = read_block(j, logical, j->data, f);
        if (r < 0)
                return r;
        uint32_t sum =
                ext2fs_crc32c_le(j->csum_seed, (const uint8_t *) &be_sequence, sizeof(be_sequence));
        sum = ext2fs_crc32c_le(sum, j->data, j->fs->block_size);
        if (!(j->features & FEATURE_CSUM_V3))
                sum &= 0xffff;
        return sum == tag->csum ? 0 : damaged(j, "a block has a wrong checksum", f);
}

static bool is_revoked(const Journal *j, uint64_t block, uint32_t sequence)
{
        uint64_t *record = g_hash_table_lookup(j->revoked, &block);

        return record && !is_before((uint32_t) record[1], sequence);
}

static int replay_block(Journal *j, const Tag *tag, uint32_t sequence, uint32_t logical, Fault *f)
{
        if (is_revoked(j, tag->block, sequence))
                return 0;
        int r = check_data(j, tag, sequence, logical, f);
        if (r < 0)
                return r;
        uint64_t source = content_physical(j->content, logical);
        uint32_t word = tag->flags & TAG_ESCAPED ? GUINT32_TO_BE(JBD2_MAGIC) : 0;
        if (source == 0)
                return damaged(j, "it has holes", f);
        if (!view_redirect(j->fs->view, j->fs->block_size, tag->block, source, word))
                return damaged(j, "it would write beyond the end of the file system", f);
        return 0;
}

/* `at` is the descriptor's block and becomes that after its last data block. */
static int pass_descriptor(Journal *j, Pass pass, uint32_t sequence, uint32_t *at, Fault *f)
{
        size_t offset = HEADER_SIZE;
        Tag tag;

        while (next_tag(j, &offset, &tag)) {
                *at = advance(j, *at);
                if (pass == PASS_REPLAY) {
                        int r = replay_block(j, &tag, sequence, *at, f);
                        if (r < 0)
                                return r;
                }
                if (tag.flags & TAG_LAST)
                        break;
        }
        return 0;
}

static int pass_revoke(Journal *j, uint32_t sequence, Fault *f)
{
        size_t size = j->features & FEATURE_64BIT ? 8 : 4;
        size_t end = get_be32(j->block + HEADER_SIZE);

        if (end > j->fs->block_size - (has_csum(j) ? 4 : 0))
                return damaged(j, "a revoke record is too long", f);
        for (size_t at = HEADER_SIZE + 4; at + size <= end; at += size) {
                uint64_t block = get_be32(j->block + at);

                if (size == 8)
                        block = block << 32 | get_be32(j->block + at + 4);
                /* The passes go forward: the last sequence wins. */
                uint64_t *record = g_new(uint64_t, 2);
                record[0] = block;
                record[1] = sequence;
                (void) g_hash_table_replace(j->revoked, record, record);
        }
        return 0;
}

/* False where the log ends: a block of another time, or one that was being written. */
static bool is_of_log(Journal *j, uint32_t sequence, uint32_t *ret_type)
{
        uint32_t block_size = j->fs->block_size;
        uint32_t type = get_be32(j->block + 4);

        if (get_be32(j->block) != JBD2_MAGIC || get_be32(j->block + 8) != sequence)
                return false;
        if (type != BLOCK_DESCRIPTOR && type != BLOCK_COMMIT && type != BLOCK_REVOKE)
                return false;
        *ret_type = type;
        return !has_csum(j) ||
               csum_matches(j, j->block, type == BLOCK_COMMIT ? COMMIT_CSUM_OFFSET : block_size - 4,
                            block_size);
}

/* Goes through the log once. PASS_SCAN finds the first sequence without a commit; the others stop
 * before it. */
static int run_pass(Journal *j, Pass pass, uint32_t *end_sequence, Fault *f)
{
        uint32_t sequence = j->sequence, at = j->start, type = 0;
        uint32_t left = j->end - j->first;

        while (pass == PASS_SCAN || is_before(sequence, *end_sequence)) {
                uint32_t before = at;

                int r = read_block(j, at, j->block, f);
                if (r < 0)
                        return r;
                if (!is_of_log(j, sequence, &type))
                        break;
                if (type == BLOCK_DESCRIPTOR)
                        r = pass_descriptor(j, pass, sequence, &at, f);
                else if (type == BLOCK_REVOKE && pass == PASS_REVOKE)
                        r = pass_revoke(j, sequence, f);
                if (r < 0)
                        return r;
                if (type == BLOCK_COMMIT)
                        sequence++;
                at = advance(j, at);

                uint32_t used = at > before ? at - before : at - before + j->end - j->first;
                if (used > left)
                        break;
                left -= used;
                if (left == 0)
                        break;
        }
        if (pass == PASS_SCAN)
                *end_sequence = sequence;
        return 0;
}

static int replay_all(Journal *j, Fault *f)
{
        uint32_t end_sequence = j->sequence;

        for (Pass pass = PASS_SCAN; pass <= PASS_REPLAY; pass++) {
                int r = run_pass(j, pass, &end_sequence, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_journal(Journal *j, Fault *f)
{
        Filesystem *fs = j->fs;
        uint32_t ino = fs->ext2->super->s_journal_inum;
        g_autofree Inode *inode = g_new0(Inode, 1);

        if (ino == 0)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "%s was not closed cleanly and its journal is on another device; "
                                 "stop the guest first",
                                 fs->name);
        int r = filesystem_read_inode(fs, ino, inode, f);
        if (r < 0)
                return r;
        if (!LINUX_S_ISREG(inode->base.i_mode) || inode->base.i_flags & EXT4_INLINE_DATA_FL)
                return damaged(j, "it is not a file", f);
        return content_open(fs, ino, inode, &j->content, f);
}

int journal_replay(Filesystem *fs, Fault *f)
{
        Journal j = {.fs = fs};

        int r = open_journal(&j, f);
        if (r < 0)
                return r;
        j.block = g_malloc0(fs->block_size);
        j.data = g_malloc0(fs->block_size);
        j.revoked = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        r = read_super(&j, f);
        if (r == 0 && j.start != 0)
                r = replay_all(&j, f);
        g_hash_table_unref(j.revoked);
        g_free(j.data);
        g_free(j.block);
        (void) content_free(j.content);
        return r;
}

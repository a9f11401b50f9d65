/* SPDX-License-Identifier: MIT */

/* The engine that compares ext4, on two small file systems in memory whose structures are changed:
 * what is found from the delta, against what a walk finds.
 *
 * The first byte chooses the base: diff-change.qcow2 has extents, indexes, a deep and an indexed
 * directory, inline data and attributes; diff-journal.qcow2 a journal that is not replayed yet.
 * Neither has checksums, past which hardly any change would get; diff-checksums.qcow2 has. It also
 * chooses how large the chunks of the delta are: with small ones, which are to these file systems
 * what usual ones are to usual ones, little is marked besides what was changed. And it chooses
 * whether the walk knows of the delta, too. Then come records of 6 bytes: in which point and in
 * which kind of block, where there, what is done and with which value.
 *
 * A base with damage shows only that nothing crashes or hangs. With the base as it was made, the
 * new point can be anything: where the walk comes to an end, both reports have to be equal. */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/bytes.h"
#include "diff/compare.h"
#include "diff/references.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASES       3
#define RECORD      6
#define RECORDS_MAX 32
#define PIECE_MAX   1024
#define REPORT_MAX  (1 << 20)

/* Kinds of blocks; how often each is chosen is in `weights`. */
typedef enum Area { SUPER, DESCRIPTORS, INODES, ENTRIES, INDEXES, XATTRS, DATA, ANY, AREAS } Area;

static const uint8_t weights[16] = {SUPER,  DESCRIPTORS, INODES,  INODES,  INODES,  INODES,
                                    INODES, ENTRIES,     ENTRIES, ENTRIES, INDEXES, INDEXES,
                                    XATTRS, DATA,        DATA,    ANY};

static const uint8_t chunk_bits[] = {16, 12, 10, 13};

/* What the first byte chooses. */
typedef struct Choice {
        unsigned base, chunk_bits;
        bool walks_blindly; /* without the delta */
} Choice;

typedef struct Point {
        uint8_t *bytes; /* those of the file behind the volume */
        Chain *chain;
        Volume *volume;
} Point;

typedef struct Base {
        size_t size, block_size;
        uint8_t *bytes; /* as it was made */
        Point points[2];
        GArray *areas[AREAS]; /* of uint32_t: blocks */
} Base;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int r, const Fault *f)
{
        if (r < 0)
                g_error("%s; run this where tests/ is", f->message);
}

static Choice choose(uint8_t byte)
{
        unsigned rest = byte / BASES;

        return (Choice){byte % BASES, chunk_bits[rest % G_N_ELEMENTS(chunk_bits)],
                        rest / G_N_ELEMENTS(chunk_bits) % 2 != 0};
}

/* ---- the bases ---- */

static void open_point(Point *point, const Base *base)
{
        static const DiskFormat format = DISK_RAW;
        autofd fd = memfd_create("disk", MFD_CLOEXEC);
        Fault f = {0};

        g_assert(fd >= 0 && write_all(fd, base->bytes, base->size) == 0);
        point->bytes = mmap(NULL, base->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert(point->bytes != MAP_FAILED);
        must(chain_open_fds(&fd, &format, 1, NULL, &point->chain, &f), &f);
        point->volume = volume_new_disk(0, point->chain);
}

typedef struct Sorting {
        Base *base;
        Area data_area;
} Sorting;

static bool sort_blocks(void *data, ReferenceKind kind, uint64_t block, uint64_t count)
{
        const Sorting *sorting = data;
        Area area = kind == REFERENCE_DATA    ? sorting->data_area
                    : kind == REFERENCE_INDEX ? INDEXES
                                              : XATTRS;

        /* Of a journal only the begin is used. */
        for (uint32_t i = 0; i < MIN(count, 64); i++) {
                uint32_t at = (uint32_t) block + i;
                g_array_append_val(sorting->base->areas[area], at);
        }
        return true;
}

static void add_blocks(Base *base, Area area, uint64_t block, uint64_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                uint32_t at = (uint32_t) block + i;
                g_array_append_val(base->areas[area], at);
        }
}

static void find_areas(Base *base)
{
        g_autoptr(View) view = view_new(base->points[0].volume);
        g_autoptr(Filesystem) fs = NULL;
        uint8_t inode[INODE_SIZE_MAX];
        uint64_t offset;
        Fault f = {0};

        must(filesystem_open(view, "base", &fs, &f), &f);
        g_autoptr(References) references = references_new(fs);
        base->block_size = fs->block_size;
        for (unsigned i = 0; i < AREAS; i++)
                base->areas[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        add_blocks(base, SUPER, 1, 1);
        add_blocks(base, DESCRIPTORS, 2, 1);
        add_blocks(base, DESCRIPTORS, ext2fs_block_bitmap_loc(fs->ext2, 0), 1);
        add_blocks(base, ANY, 0, base->size / base->block_size);
        for (uint32_t ino = 1; ino <= fs->ext2->super->s_inodes_count; ino++) {
                g_assert(filesystem_find_inode(fs, ino, &offset));
                memcpy(inode, base->bytes + offset, fs->inode_size);
                if (raw_inode_links(inode) == 0)
                        continue;
                if (offset % base->block_size == 0)
                        add_blocks(base, INODES, offset / base->block_size, 1);
                Sorting sorting = {base, LINUX_S_ISDIR(raw_inode_mode(inode)) ? ENTRIES : DATA};
                (void) references_visit(references, inode, sort_blocks, &sorting);
        }
}

static Base *load_base(unsigned i)
{
        static const char *const paths[BASES] = {"tests/fuzz/diff-change.qcow2",
                                                 "tests/fuzz/diff-journal.qcow2",
                                                 "tests/fuzz/diff-checksums.qcow2"};
        static Base bases[BASES];
        Base *base = &bases[i];
        g_autoptr(Chain) chain = NULL;
        Fault f = {0};

        if (base->bytes)
                return base;
        must(chain_open_path(paths[i], DISK_QCOW2, NULL, &chain, &f), &f);
        base->size = (size_t) chain_size(chain);
        base->bytes = g_malloc(base->size);
        must(chain_read(chain, 0, base->bytes, base->size, &f), &f);
        for (unsigned j = 0; j < 2; j++)
                open_point(&base->points[j], base);
        find_areas(base);
        return base;
}

/* ---- changes ---- */

static size_t place_in(const Base *base, Area area, unsigned where)
{
        const GArray *blocks = base->areas[area]->len > 0 ? base->areas[area] : base->areas[ANY];
        size_t at = where % (blocks->len * base->block_size);

        return g_array_index(blocks, uint32_t, at / base->block_size) * base->block_size +
               at % base->block_size;
}

/* Little-endian, but for the journal's numbers: these have either order. */
static void change_bytes(uint8_t *at, unsigned how, uint64_t value)
{
        unsigned width = 1U << (how & 3);
        uint64_t old = 0;

        memcpy(&old, at, width);
        if ((how >> 2 & 3) == 1)
                value = GUINT64_FROM_LE(old) + value;
        else if ((how >> 2 & 3) == 2)
                value = GUINT64_FROM_LE(old) ^ value;
        value = (how >> 5 & 1) ? GUINT64_TO_BE(value << (64 - 8 * width)) : GUINT64_TO_LE(value);
        memcpy(at, &value, width);
}

/* Bytes, a name, an entry, an inode or a block from elsewhere. */
static void copy_bytes(const Base *base, uint8_t *bytes, size_t at, unsigned how, size_t from)
{
        static const size_t sizes[] = {4, 12, 64, 256, 1024};
        size_t n = sizes[(how & 0xff) % G_N_ELEMENTS(sizes)];

        if (n >= 256) {
                at -= at % n;
                from -= from % n;
        }
        n = MIN(n, base->size - MAX(at, from));
        memmove(bytes + at, base->bytes + from, n);
}

/* Where at most PIECE_MAX bytes of both points were changed: to be put right again. */
static size_t change(Base *base, const uint8_t *record, bool *is_base)
{
        Area area = weights[record[0] & 15];
        unsigned how = record[3];
        size_t at = place_in(base, area, get_le16(record + 1));
        bool both = record[0] >> 4 == 15;

        *is_base = both;
        for (unsigned i = both ? 0 : 1; i < 2; i++) {
                uint8_t *bytes = base->points[i].bytes;
                uint64_t value = (uint64_t) (int64_t) (int16_t) get_le16(record + 4);

                if (how >> 6 == 3)
                        copy_bytes(base, bytes, at, how & 63,
                                   place_in(base, area, get_le16(record + 4)));
                else if (at + 8 <= base->size)
                        change_bytes(bytes + at, how, value);
        }
        return at;
}

/* What a change at `at` can have reached. */
static size_t start_of_piece(size_t at)
{
        return at - at % PIECE_MAX;
}

static size_t size_of_piece(const Base *base, size_t at)
{
        return MIN(2 * PIECE_MAX, base->size - start_of_piece(at));
}

static void put_right(Base *base, size_t at)
{
        size_t start = start_of_piece(at);

        for (unsigned i = 0; i < 2; i++)
                memcpy(base->points[i].bytes + start, base->bytes + start, size_of_piece(base, at));
}

/* ---- the comparison ---- */

typedef struct Run {
        View *view;
        Filesystem *fs;
} Run;

static bool open_run(Run *run, const Point *point, const char *name)
{
        run->view = view_new(point->volume);
        return filesystem_open(run->view, name, &run->fs, NULL) == 0;
}

static void close_run(Run *run)
{
        (void) filesystem_free(run->fs);
        (void) view_free(run->view);
}

static void mark(void *data, uint64_t offset, uint64_t length)
{
        delta_mark(data, offset, length);
}

/* Marks what was changed at `places`, and what a journal's replay changes. */
static Delta *find_delta(const Base *base, const Run *old, const Run *new, unsigned bits,
                         const size_t *places, size_t n)
{
        Delta *delta = NULL;
        Fault f = {0};

        must(delta_new_empty(base->size, bits, &delta, &f), &f);
        for (size_t i = 0; i < n; i++)
                delta_mark(delta, start_of_piece(places[i]), size_of_piece(base, places[i]));
        view_foreach_redirect(old->view, mark, delta);
        view_foreach_redirect(new->view, mark, delta);
        return delta;
}

/* The size of the report, or -1. */
static ssize_t compare(const Run *old, const Run *new, const Delta *delta, CompareMode mode,
                       char *text)
{
        static int out = -1;
        static const ReportFilesystem row = {.disk = "vda", .type = "ext4", .uuid = ""};
        Fault f = {0};

        if (out < 0)
                out = memfd_create("report", MFD_CLOEXEC);
        g_assert(out >= 0 && lseek(out, 0, SEEK_SET) == 0);
        g_autoptr(Report) report = report_new(out, REPORT_MAX, true, "old", "new");
        report_filesystem(report, &row);
        report_set_filesystem(report, 0);
        if (compare_filesystems(old->fs, new->fs, delta, mode, report, &f) < 0 ||
            report_end(report, &f) < 0) {
                g_assert(f.code == FAULT_DIFF_FAILED && f.message[0]);
                (void) snprintf(text, REPORT_MAX, "%s", f.message);
                return -1;
        }
        off_t size = lseek(out, 0, SEEK_CUR);
        g_assert(size >= 0 && size <= REPORT_MAX && pread_all(out, text, (size_t) size, 0) == 0);
        return (ssize_t) size;
}

static void try_both(const Run *old, const Run *new, const Delta *delta, bool walks,
                     bool walks_blindly)
{
        static char changed[REPORT_MAX], walked[REPORT_MAX];

        ssize_t n = compare(old, new, delta, COMPARE_CHANGED, changed);
        ssize_t m = -1;

        if (walks)
                m = compare(old, new, walks_blindly ? NULL : delta, COMPARE_WALK, walked);
        if (m >= 0 && (n != m || memcmp(changed, walked, (size_t) m) != 0)) {
                (void) fprintf(stderr, "changed:\n%.*s\nwalked:\n%.*s\n",
                               (int) (n < 0 ? FAULT_MESSAGE_MAX : n), changed, (int) m, walked);
                abort();
        }
}

static void try_points(const Base *base, const Choice *choice, bool base_is_whole,
                       const size_t *places, size_t n)
{
        Run old = {0}, new = {0};

        if (open_run(&old, &base->points[0], "old") && open_run(&new, &base->points[1], "new")) {
                g_autoptr(Delta) delta =
                        find_delta(base, &old, &new, choice->chunk_bits, places, n);

                try_both(&old, &new, delta, base_is_whole, choice->walks_blindly);
        }
        close_run(&new);
        close_run(&old);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t places[RECORDS_MAX], n = 0;
        bool base_is_whole = true;

        if (size == 0)
                return 0;
        Choice choice = choose(data[0]);
        Base *base = load_base(choice.base);
        for (size_t at = 1; at + RECORD <= size && n < RECORDS_MAX; at += RECORD) {
                bool is_base;

                places[n++] = change(base, data + at, &is_base);
                base_is_whole = base_is_whole && !is_base;
        }
        try_points(base, &choice, base_is_whole, places, n);
        while (n > 0)
                put_right(base, places[--n]);
        return 0;
}

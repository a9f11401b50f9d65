/* SPDX-License-Identifier: MIT */
#include "diff/sqlite-file.h"

#include "base/cleanup.h"
#include "diff/bytes.h"

#include <string.h>

#define HEADER_SIZE     100
#define LOG_HEADER_SIZE 32
#define FRAME_SIZE      24
#define DEPTH_MAX       20
#define COLUMNS_MAX     64
#define SCHEMA_SIZE_MAX 65536
#define FRAMES_MAX      (1U << 20)

enum { PAGE_INTERIOR = 0x05, PAGE_LEAF = 0x0d };

struct SqliteFile {
        SqliteSource database, log;
        uint32_t page_size, usable;
        uint32_t n_pages;
        GHashTable *frames; /* page → number of its last committed frame, plus 1; or NULL */
};

/* 1 to 9 bytes; 0 where they are not there. */
static size_t get_varint(const uint8_t *p, size_t size, uint64_t *ret)
{
        uint64_t value = 0;

        for (size_t i = 0; i < MIN(size, 9); i++) {
                if (i == 8) {
                        *ret = value << 8 | p[i];
                        return 9;
                }
                value = value << 7 | (p[i] & 0x7f);
                if (!(p[i] & 0x80)) {
                        *ret = value;
                        return i + 1;
                }
        }
        return 0;
}

static int damaged(const char *what, Fault *f)
{
        return fault_set(f, FAULT_DIFF_FAILED, "the SQLite database is damaged: %s", what);
}

static int read_source(const SqliteSource *source, uint64_t offset, void *buffer, size_t size,
                       Fault *f)
{
        if (offset > source->size || size > source->size - offset)
                return damaged("it ends too early", f);
        return source->read(source->data, offset, buffer, size) < 0
                       ? fault_set(f, FAULT_DIFF_FAILED, "the SQLite database cannot be read")
                       : 0;
}

static uint64_t frame_offset(const SqliteFile *file, uint32_t frame)
{
        return LOG_HEADER_SIZE + (uint64_t) frame * (FRAME_SIZE + file->page_size);
}

static int read_page(SqliteFile *file, uint32_t page, uint8_t *buffer, Fault *f)
{
        unsigned frame = file->frames ? GPOINTER_TO_UINT(g_hash_table_lookup(
                                                file->frames, GUINT_TO_POINTER(page)))
                                      : 0;

        if (page == 0 || page > file->n_pages)
                return damaged("a page number", f);
        if (frame > 0)
                return read_source(&file->log, frame_offset(file, frame - 1) + FRAME_SIZE, buffer,
                                   file->page_size, f);
        return read_source(&file->database, (uint64_t) (page - 1) * file->page_size, buffer,
                           file->page_size, f);
}

/* -- the write-ahead log ---------------------------------------------------------------------- */

typedef struct Sums {
        uint32_t a, b;
        bool big_endian;
} Sums;

static void add_sums(Sums *sums, const uint8_t *bytes, size_t size)
{
        for (size_t i = 0; i + 8 <= size; i += 8) {
                uint32_t x, y;

                memcpy(&x, bytes + i, sizeof(x));
                memcpy(&y, bytes + i + 4, sizeof(y));
                x = sums->big_endian ? GUINT32_FROM_BE(x) : GUINT32_FROM_LE(x);
                y = sums->big_endian ? GUINT32_FROM_BE(y) : GUINT32_FROM_LE(y);
                sums->a += x + sums->b;
                sums->b += y + sums->a;
        }
}

/* Frames count up to the last one that commits; the first whose salt or sums are wrong ends the
 * log.
 */
static int read_frames(SqliteFile *file, const uint8_t *header, Sums sums, Fault *f)
{
        g_autoptr(GHashTable) pending = g_hash_table_new(g_direct_hash, g_direct_equal);
        g_autofree uint8_t *frame = g_malloc(FRAME_SIZE + file->page_size);
        GHashTableIter iter;
        void *key, *value;

        for (uint32_t i = 0; i < FRAMES_MAX; i++) {
                uint64_t offset = frame_offset(file, i);

                if (offset + FRAME_SIZE + file->page_size > file->log.size)
                        break;
                int r = read_source(&file->log, offset, frame, FRAME_SIZE + file->page_size, f);
                if (r < 0)
                        return r;
                add_sums(&sums, frame, 8);
                add_sums(&sums, frame + FRAME_SIZE, file->page_size);
                if (memcmp(frame + 8, header + 16, 8) != 0 || get_be32(frame + 16) != sums.a ||
                    get_be32(frame + 20) != sums.b)
                        break;
                g_hash_table_insert(pending, GUINT_TO_POINTER(get_be32(frame)),
                                    GUINT_TO_POINTER(i + 1));
                if (get_be32(frame + 4) == 0)
                        continue;
                file->n_pages = get_be32(frame + 4);
                g_hash_table_iter_init(&iter, pending);
                while (g_hash_table_iter_next(&iter, &key, &value))
                        g_hash_table_insert(file->frames, key, value);
                g_hash_table_remove_all(pending);
        }
        return 0;
}

static int read_log(SqliteFile *file, Fault *f)
{
        uint8_t header[LOG_HEADER_SIZE];
        Sums sums = {0};

        if (file->log.size < LOG_HEADER_SIZE)
                return 0;
        int r = read_source(&file->log, 0, header, sizeof(header), f);
        if (r < 0)
                return r;
        sums.big_endian = get_be32(header) & 1;
        add_sums(&sums, header, 24);
        if ((get_be32(header) & ~1U) != 0x377f0682 || get_be32(header + 8) != file->page_size ||
            get_be32(header + 24) != sums.a || get_be32(header + 28) != sums.b)
                return 0;
        file->frames = g_hash_table_new(g_direct_hash, g_direct_equal);
        return read_frames(file, header, sums, f);
}

/* -- opening ---------------------------------------------------------------------------------- */

static int read_header(SqliteFile *file, Fault *f)
{
        uint8_t header[HEADER_SIZE];

        if (file->database.size < HEADER_SIZE)
                return damaged("it is too short", f);
        int r = read_source(&file->database, 0, header, sizeof(header), f);
        if (r < 0)
                return r;
        if (memcmp(header, "SQLite format 3", 16) != 0)
                return fault_set(f, FAULT_DIFF_FAILED, "it is not an SQLite database");
        file->page_size = get_be16(header + 16) == 1 ? 65536 : get_be16(header + 16);
        if (file->page_size < 512 || (file->page_size & (file->page_size - 1)) != 0 ||
            header[20] > file->page_size - 480)
                return damaged("its page size", f);
        file->usable = file->page_size - header[20];
        file->n_pages = (uint32_t) MIN(file->database.size / file->page_size, UINT32_MAX);
        return 0;
}

int sqlite_file_open(SqliteSource database, SqliteSource log, SqliteFile **ret, Fault *f)
{
        g_autoptr(SqliteFile) file = g_new0(SqliteFile, 1);

        file->database = database;
        file->log = log;
        int r = read_header(file, f);
        if (r == 0)
                r = read_log(file, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(file);
        return 0;
}

SqliteFile *sqlite_file_free(SqliteFile *file)
{
        if (!file)
                return NULL;
        if (file->frames)
                g_hash_table_unref(file->frames);
        g_free(file);
        return NULL;
}

/* -- records ---------------------------------------------------------------------------------- */

/* Bytes of a value by its serial type. */
static uint64_t serial_size(uint64_t type)
{
        static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};

        return type < G_N_ELEMENTS(sizes) ? sizes[type] : (type - 12) / 2;
}

static bool find_column(const uint8_t *record, size_t size, unsigned column, uint64_t *ret_type,
                        size_t *ret_offset)
{
        uint64_t header_size, type = 0, offset;
        size_t at = get_varint(record, size, &header_size);

        if (at == 0 || header_size > size || column >= COLUMNS_MAX)
                return false;
        offset = header_size;
        for (unsigned i = 0; i <= column; i++) {
                size_t n = at < header_size
                                   ? get_varint(record + at, (size_t) header_size - at, &type)
                                   : 0;

                if (n == 0 || serial_size(type) > size - offset)
                        return false;
                at += n;
                *ret_offset = (size_t) offset;
                offset += serial_size(type);
        }
        *ret_type = type;
        return true;
}

bool sqlite_record_bytes(const uint8_t *record, size_t size, unsigned column, const uint8_t **ret,
                         size_t *ret_size)
{
        uint64_t type;
        size_t offset;

        if (!find_column(record, size, column, &type, &offset) || type < 12)
                return false;
        *ret = record + offset;
        *ret_size = (size_t) serial_size(type);
        return true;
}

bool sqlite_record_integer(const uint8_t *record, size_t size, unsigned column, int64_t *ret)
{
        uint64_t type, value;
        size_t offset;

        if (!find_column(record, size, column, &type, &offset) || type == 0 || type == 7 ||
            type > 9)
                return false;
        if (type >= 8) {
                *ret = (int64_t) type - 8;
                return true;
        }
        size_t n = (size_t) serial_size(type);
        value = record[offset] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < n; i++)
                value = value << 8 | record[offset + i];
        *ret = (int64_t) value;
        return true;
}

int sqlite_file_read_row(SqliteFile *file, const SqliteRow *row, size_t max, uint8_t **ret,
                         Fault *f)
{
        g_autofree uint8_t *bytes = NULL, *page = NULL;
        size_t have = row->local_size;
        uint32_t next = row->overflow;

        if (row->size > max)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "a row has %" G_GUINT64_FORMAT " bytes; at most %zu are read",
                                 row->size, max);
        bytes = g_malloc((size_t) row->size + 1);
        page = g_malloc(file->page_size);
        memcpy(bytes, row->local, have);
        while (have < row->size) {
                size_t n = (size_t) MIN(row->size - have, file->usable - 4);

                int r = read_page(file, next, page, f);
                if (r < 0)
                        return r;
                memcpy(bytes + have, page + 4, n);
                have += n;
                next = get_be32(page);
        }
        *ret = TAKE_PTR(bytes);
        return 0;
}

/* -- tables ----------------------------------------------------------------------------------- */

typedef struct Level {
        uint8_t *bytes;
        uint32_t page;
        unsigned next; /* cell */
} Level;

typedef struct Walk {
        SqliteFile *file;
        Level levels[DEPTH_MAX];
        unsigned depth;
        uint32_t n_read;
} Walk;

static const uint8_t *page_header(const Level *level)
{
        return level->bytes + (level->page == 1 ? HEADER_SIZE : 0);
}

static int descend(Walk *walk, uint32_t page, Fault *f)
{
        Level *level = &walk->levels[walk->depth];

        if (walk->depth >= DEPTH_MAX)
                return damaged("its tree is too deep", f);
        if (walk->n_read++ > walk->file->n_pages)
                return damaged("its pages go in circles", f);
        level->bytes = g_malloc0(walk->file->page_size);
        level->page = page;
        level->next = 0;
        walk->depth++;
        int r = read_page(walk->file, page, level->bytes, f);
        if (r < 0)
                return r;
        uint8_t type = page_header(level)[0];
        if (type != PAGE_LEAF && type != PAGE_INTERIOR)
                return damaged("a page is not of a table", f);
        return 0;
}

static void ascend(Walk *walk)
{
        g_free(walk->levels[--walk->depth].bytes);
}

/* Where the cell's bytes begin; 0 where that is not in the page. */
static size_t cell_offset(const Walk *walk, const Level *level, unsigned i)
{
        size_t header = (size_t) (page_header(level) - level->bytes);
        size_t at = header + (page_header(level)[0] == PAGE_LEAF ? 8 : 12) + 2 * (size_t) i;

        if (at + 2 > walk->file->usable)
                return 0;
        size_t offset = get_be16(level->bytes + at);
        return offset >= header + 8 && offset < walk->file->usable ? offset : 0;
}

/* How much of a record is in the leaf. */
static size_t local_size(uint32_t usable, uint64_t size)
{
        uint64_t max = usable - 35, min = (uint64_t) (usable - 12) * 32 / 255 - 23, k;

        if (size <= max)
                return (size_t) size;
        k = min + (size - min) % (usable - 4);
        return (size_t) (k <= max ? k : min);
}

static int parse_leaf_cell(const Walk *walk, const Level *level, size_t offset, SqliteRow *ret,
                           Fault *f)
{
        size_t left = walk->file->usable - offset, n, m;
        const uint8_t *cell = level->bytes + offset;
        uint64_t id = 0;
        SqliteRow row = {0};

        n = get_varint(cell, left, &row.size);
        m = n > 0 ? get_varint(cell + n, left - n, &id) : 0;
        if (m == 0)
                return damaged("a row", f);
        row.id = (int64_t) id;
        row.local = cell + n + m;
        row.local_size = local_size(walk->file->usable, row.size);
        left -= n + m;
        if (row.local_size > left || (row.local_size < row.size && left - row.local_size < 4))
                return damaged("a row's size", f);
        if (row.local_size < row.size)
                row.overflow = get_be32(row.local + row.local_size);
        *ret = row;
        return 0;
}

/* One step in the page at the top: a row, a page below it, or the way up. */
static int step(Walk *walk, SqliteEach each, void *data, Fault *f)
{
        Level *level = &walk->levels[walk->depth - 1];
        const uint8_t *header = page_header(level);
        unsigned n_cells = get_be16(header + 3), i = level->next++;
        SqliteRow row;

        if (header[0] == PAGE_INTERIOR && i == n_cells)
                return descend(walk, get_be32(header + 8), f);
        if (i >= n_cells) {
                ascend(walk);
                return 0;
        }
        size_t offset = cell_offset(walk, level, i);
        if (offset == 0 || walk->file->usable - offset < 4)
                return damaged("where a row is", f);
        if (header[0] == PAGE_INTERIOR)
                return descend(walk, get_be32(level->bytes + offset), f);
        int r = parse_leaf_cell(walk, level, offset, &row, f);
        return r < 0 ? r : each(walk->file, &row, data, f);
}

int sqlite_file_foreach(SqliteFile *file, uint32_t root, SqliteEach each, void *data, Fault *f)
{
        Walk walk = {.file = file};

        int r = descend(&walk, root, f);
        while (r == 0 && walk.depth > 0)
                r = step(&walk, each, data, f);
        while (walk.depth > 0)
                ascend(&walk);
        return r;
}

typedef struct Search {
        const char *name;
        uint32_t root;
} Search;

static bool is_text(const uint8_t *bytes, size_t size, const char *text)
{
        return size == strlen(text) && memcmp(bytes, text, size) == 0;
}

/* type, name, tbl_name, rootpage, sql */
static int match_schema(SqliteFile *file, const SqliteRow *row, void *data, Fault *f)
{
        g_autofree uint8_t *record = NULL;
        Search *search = data;
        const uint8_t *type, *name;
        size_t type_size, name_size;
        int64_t root;

        if (row->size > SCHEMA_SIZE_MAX)
                return 0;
        int r = sqlite_file_read_row(file, row, SCHEMA_SIZE_MAX, &record, f);
        if (r < 0)
                return r;
        size_t size = (size_t) row->size;
        if (!sqlite_record_bytes(record, size, 0, &type, &type_size) ||
            !sqlite_record_bytes(record, size, 1, &name, &name_size) ||
            !sqlite_record_integer(record, size, 3, &root) || !is_text(type, type_size, "table") ||
            !is_text(name, name_size, search->name) || root <= 0 || root > UINT32_MAX)
                return 0;
        search->root = (uint32_t) root;
        return 1;
}

int sqlite_file_find_table(SqliteFile *file, const char *name, uint32_t *ret_root, Fault *f)
{
        Search search = {.name = name};

        int r = sqlite_file_foreach(file, 1, match_schema, &search, f);
        if (r < 0)
                return r;
        if (r == 0)
                return fault_set(f, FAULT_NOT_FOUND, "the SQLite database has no table '%s'", name);
        *ret_root = search.root;
        return 0;
}

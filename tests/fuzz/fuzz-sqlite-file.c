/* SPDX-License-Identifier: MIT */

/* Any bytes as an SQLite database, and what follows the last of its whole pages as its log: found,
 * walked and read, without a crash, a leak or a circle. */

#include "base/cleanup.h"
#include "diff/sqlite-file.h"

#include <string.h>

#define RECORD_SIZE_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

static int read_bytes(void *data, uint64_t offset, void *buffer, size_t size)
{
        const Bytes *bytes = data;

        g_assert(offset <= bytes->size && size <= bytes->size - offset);
        memcpy(buffer, bytes->data + offset, size);
        return 0;
}

static int each_row(SqliteFile *file, const SqliteRow *row, void *data, Fault *f)
{
        g_autofree uint8_t *record = NULL;
        unsigned *n = data;
        const uint8_t *bytes;
        size_t size;
        int64_t number;

        if (++*n > 1000)
                return 1;
        if (sqlite_file_read_row(file, row, RECORD_SIZE_MAX, &record, f) < 0)
                return 0;
        for (unsigned i = 0; i < 6; i++) {
                if (sqlite_record_bytes(record, (size_t) row->size, i, &bytes, &size))
                        g_assert(bytes >= record && bytes + size <= record + row->size);
                (void) sqlite_record_integer(record, (size_t) row->size, i, &number);
        }
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autoptr(SqliteFile) file = NULL;
        size_t page = size > 18 ? (size_t) data[16] << 8 | data[17] : 0,
               n_pages = size > 28 ? data[28] : 0;
        size_t split = page > 0 && n_pages > 0 && page * n_pages < size ? page * n_pages : size;
        Bytes database = {data, split}, log = {data + split, size - split};
        unsigned n = 0;
        uint32_t root;

        if (sqlite_file_open((SqliteSource){read_bytes, &database, database.size},
                             (SqliteSource){read_bytes, &log, log.size}, &file, NULL) < 0)
                return 0;
        if (sqlite_file_find_table(file, "Packages", &root, NULL) == 0)
                (void) sqlite_file_foreach(file, root, each_row, &n, NULL);
        n = 0;
        (void) sqlite_file_foreach(file, 1, each_row, &n, NULL);
        return 0;
}

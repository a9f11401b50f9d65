/* SPDX-License-Identifier: MIT */
#include "diff/partition.h"

#include "diff/bytes.h"
#include "diff/signature.h"

#include <stdlib.h>

#define SECTOR            512
#define LOGICAL_FIRST     5
#define GPT_ENTRY_MIN     128
#define GPT_ENTRY_MAX     4096
#define GPT_HEADER_LENGTH 92

typedef struct Table {
        const Volume *disk;
        Partition *partitions;
        unsigned n;
        uint32_t mbr_id;
} Table;

/* The new partition, or NULL where none of it is on the disk. */
static Partition *add_partition(Table *table, unsigned number, uint64_t first_sector,
                                uint64_t n_sectors, uint32_t sector_size)
{
        uint64_t disk_sectors = volume_size(table->disk) / sector_size;

        if (n_sectors == 0 || table->n == PARTITIONS_MAX - 1 || first_sector >= disk_sectors)
                return NULL;
        Partition *partition = &table->partitions[table->n++];
        *partition = (Partition){
                .number = number,
                .start = first_sector * sector_size,
                .length = MIN(n_sectors, disk_sectors - first_sector) * sector_size,
        };
        return partition;
}

static void add_mbr_partition(Table *table, unsigned number, uint64_t first, uint64_t n)
{
        Partition *partition = add_partition(table, number, first, n, SECTOR);

        if (partition)
                (void) g_snprintf(partition->uuid, sizeof(partition->uuid), "%08x-%02x",
                                  table->mbr_id, number);
}

/* The first three fields are numbers, the others bytes; the name is UTF-16. */
static void add_gpt_partition(Table *table, unsigned number, const uint8_t *entry,
                              uint32_t sector_size)
{
        uint64_t first = get_le64(entry + 32), last = get_le64(entry + 40);
        const uint8_t *id = entry + 16;
        uint16_t name[36];

        if (last < first || last == UINT64_MAX)
                return;
        Partition *partition = add_partition(table, number, first, last - first + 1, sector_size);
        if (!partition)
                return;
        (void) g_snprintf(partition->uuid, sizeof(partition->uuid),
                          "%08x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", get_le32(id),
                          id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11], id[12], id[13],
                          id[14], id[15]);
        memcpy(name, entry + 56, sizeof(name));
        for (size_t i = 0; i < G_N_ELEMENTS(name); i++)
                name[i] = GUINT16_FROM_LE(name[i]);
        g_autofree char *text = g_utf16_to_utf8(name, G_N_ELEMENTS(name), NULL, NULL, NULL);
        if (text)
                (void) g_strlcpy(partition->name, text, sizeof(partition->name));
}

static bool is_extended(uint8_t type)
{
        return type == 0x05 || type == 0x0f || type == 0x85;
}

/* The chain of extended boot records: each names one partition and the next record. The number of
 * partitions bounds it, should it be a circle. */
static int read_logical(Table *table, uint64_t extended, Fault *f)
{
        uint64_t record = extended;

        for (unsigned number = LOGICAL_FIRST; number < PARTITIONS_MAX; number++) {
                uint8_t sector[SECTOR];

                int r = volume_read(table->disk, record * SECTOR, sector, sizeof(sector), f);
                if (r < 0)
                        return r;
                if (sector[510] != 0x55 || sector[511] != 0xaa)
                        return 0;
                const uint8_t *entry = sector + 446, *next = entry + 16;
                add_mbr_partition(table, number, record + get_le32(entry + 8),
                                  get_le32(entry + 12));
                if (!is_extended(next[4]) || get_le32(next + 8) == 0)
                        return 0;
                record = extended + get_le32(next + 8);
        }
        return 0;
}

static int read_mbr(Table *table, const uint8_t *sector, Fault *f)
{
        table->mbr_id = get_le32(sector + 440);
        for (unsigned i = 0; i < 4; i++) {
                const uint8_t *entry = sector + 446 + 16 * (size_t) i;
                uint32_t start = get_le32(entry + 8), length = get_le32(entry + 12);

                if (entry[4] == 0 || length == 0)
                        continue;
                if (!is_extended(entry[4])) {
                        add_mbr_partition(table, i + 1, start, length);
                        continue;
                }
                int r = read_logical(table, start, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Returns 1 if there is a GPT at that sector size, and 0 if not. */
static int read_gpt(Table *table, uint32_t sector_size, Fault *f)
{
        static const uint8_t unused[16];
        uint8_t header[GPT_HEADER_LENGTH], entry[GPT_ENTRY_MIN];

        int r = volume_read(table->disk, sector_size, header, sizeof(header), f);
        if (r < 0)
                return r;
        uint64_t lba = get_le64(header + 72);
        uint32_t n = get_le32(header + 80), size = get_le32(header + 84);
        if (memcmp(header, "EFI PART", 8) != 0 || size < GPT_ENTRY_MIN || size > GPT_ENTRY_MAX ||
            lba >= volume_size(table->disk) / sector_size)
                return 0;
        for (uint32_t i = 0; i < MIN(n, PARTITIONS_MAX); i++) {
                r = volume_read(table->disk, lba * sector_size + (uint64_t) i * size, entry,
                                sizeof(entry), f);
                if (r < 0)
                        return r;
                if (memcmp(entry, unused, sizeof(unused)) != 0)
                        add_gpt_partition(table, i + 1, entry, sector_size);
        }
        return 1;
}

static bool has_mbr(const uint8_t *sector)
{
        if (sector[510] != 0x55 || sector[511] != 0xaa)
                return false;
        for (unsigned i = 0; i < 4; i++) {
                const uint8_t *entry = sector + 446 + 16 * (size_t) i;

                if ((entry[0] & 0x7f) != 0)
                        return false;
                if (entry[4] != 0 && get_le32(entry + 8) != 0 && get_le32(entry + 12) != 0)
                        return true;
        }
        return false;
}

static int compare_numbers(const void *a, const void *b)
{
        const Partition *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

int partitions_read(const Volume *disk, Partition ret[static PARTITIONS_MAX], unsigned *ret_n,
                    Fault *f)
{
        Table table = {.disk = disk, .partitions = ret};
        Signature signature = {.type = "unknown"};
        uint8_t sector[SECTOR];

        int r = volume_read(disk, 0, sector, sizeof(sector), f);
        if (r == 0)
                r = signature_read(disk, &signature, f);
        if (r < 0)
                return r;
        /* A boot sector's mark is also at the start of some file systems; the table wins only where
         * no file system is there. But ext4's superblock is behind the boot sector, and may be made
         * of a GPT's entries: which of the two the guest uses cannot be known. */
        bool is_ext = signature_is_ext(&signature);
        bool has_table = is_ext || strcmp(signature.type, "unknown") == 0 ||
                         strcmp(signature.type, "iso9660") == 0;
        if (has_table && has_mbr(sector)) {
                r = read_gpt(&table, SECTOR, f);
                if (r == 0)
                        r = read_gpt(&table, 4096, f);
                if (r == 0)
                        r = read_mbr(&table, sector, f);
                if (r < 0)
                        return r;
        }
        if (table.n == 0 || is_ext)
                ret[table.n++] = (Partition){.length = volume_size(disk)};
        qsort(ret, table.n, sizeof(*ret), compare_numbers);
        *ret_n = table.n;
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "diff/partition.h"

#include <string.h>

#define SECTOR            512
#define LOGICAL_FIRST     5
#define GPT_ENTRY_MIN     128
#define GPT_ENTRY_MAX     4096
#define GPT_HEADER_LENGTH 92

/* A file system's mark, and where it is. */
typedef struct Signature {
        const char *type;
        uint32_t offset, length;
        const char *bytes;
} Signature;

static const Signature signatures[] = {
        {"ext4", 1024 + 56, 2, "\x53\xef"},
        {"xfs", 0, 4, "XFSB"},
        {"btrfs", 65536 + 64, 8, "_BHRfS_M"},
        {"LVM", 512 + 24, 8, "LVM2 001"},
        {"LVM", 24, 8, "LVM2 001"},
        {"LUKS", 0, 6, "LUKS\xba\xbe"},
        {"swap", 4096 - 10, 10, "SWAPSPACE2"},
        {"ntfs", 3, 8, "NTFS    "},
        {"exfat", 3, 8, "EXFAT   "},
        {"vfat", 54, 3, "FAT"},
        {"vfat", 82, 5, "FAT32"},
        {"f2fs", 1024, 4, "\x10\x20\xf5\xf2"},
        {"squashfs", 0, 4, "hsqs"},
        {"erofs", 1024, 4, "\xe2\xe1\xf5\xe0"},
        {"RAID", 4096, 4, "\xfc\x4e\x2b\xa9"},
        {"bcachefs", 4096 + 24, 4, "\xc6\x85\x73\xf6"},
        {"ISO 9660", 32769, 5, "CD001"},
};

typedef struct Table {
        Chain *chain;
        Partition *partitions;
        unsigned n;
} Table;

static uint32_t get_le32(const uint8_t *bytes)
{
        uint32_t value;

        memcpy(&value, bytes, sizeof(value));
        return GUINT32_FROM_LE(value);
}

static uint64_t get_le64(const uint8_t *bytes)
{
        return get_le32(bytes) | (uint64_t) get_le32(bytes + 4) << 32;
}

/* Reads zeros beyond the end of the disk. */
static int read_disk(Chain *chain, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        uint64_t end = chain_size(chain);
        size_t n = offset < end ? (size_t) MIN(size, end - offset) : 0;

        memset((char *) buffer + n, 0, size - n);
        return n > 0 ? chain_read(chain, offset, buffer, n, f) : 0;
}

static int identify(Chain *chain, uint64_t start, uint64_t length, const char **ret, Fault *f)
{
        *ret = "unknown";
        for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++) {
                const Signature *s = &signatures[i];
                uint8_t bytes[16];

                if (length < s->offset + s->length)
                        continue;
                int r = read_disk(chain, start + s->offset, bytes, s->length, f);
                if (r < 0)
                        return r;
                if (memcmp(bytes, s->bytes, s->length) == 0) {
                        *ret = s->type;
                        return 0;
                }
        }
        return 0;
}

static int add_partition(Table *table, unsigned number, uint64_t first_sector, uint64_t n_sectors,
                         uint32_t sector_size, Fault *f)
{
        uint64_t size = chain_size(table->chain);
        const char *type = NULL;

        if (n_sectors == 0 || table->n == PARTITIONS_MAX || first_sector >= size / sector_size)
                return 0;
        n_sectors = MIN(n_sectors, size / sector_size - first_sector);
        uint64_t start = first_sector * sector_size, length = n_sectors * sector_size;
        int r = identify(table->chain, start, length, &type, f);
        if (r == 0)
                table->partitions[table->n++] = (Partition){number, start, length, type};
        return r;
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

                int r = read_disk(table->chain, record * SECTOR, sector, sizeof(sector), f);
                if (r < 0)
                        return r;
                if (sector[510] != 0x55 || sector[511] != 0xaa)
                        return 0;
                const uint8_t *entry = sector + 446, *next = entry + 16;
                r = add_partition(table, number, record + get_le32(entry + 8), get_le32(entry + 12),
                                  SECTOR, f);
                if (r < 0 || !is_extended(next[4]) || get_le32(next + 8) == 0)
                        return r;
                record = extended + get_le32(next + 8);
        }
        return 0;
}

static int read_mbr(Table *table, const uint8_t *sector, Fault *f)
{
        for (unsigned i = 0; i < 4; i++) {
                const uint8_t *entry = sector + 446 + 16 * (size_t) i;
                uint32_t start = get_le32(entry + 8), length = get_le32(entry + 12);
                int r = 0;

                if (entry[4] == 0 || length == 0)
                        continue;
                if (is_extended(entry[4]))
                        r = read_logical(table, start, f);
                else
                        r = add_partition(table, i + 1, start, length, SECTOR, f);
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

        int r = read_disk(table->chain, sector_size, header, sizeof(header), f);
        if (r < 0)
                return r;
        uint64_t lba = get_le64(header + 72);
        uint32_t n = get_le32(header + 80), size = get_le32(header + 84);
        if (memcmp(header, "EFI PART", 8) != 0 || size < GPT_ENTRY_MIN || size > GPT_ENTRY_MAX ||
            lba >= chain_size(table->chain) / sector_size)
                return 0;
        for (uint32_t i = 0; i < MIN(n, PARTITIONS_MAX); i++) {
                r = read_disk(table->chain, lba * sector_size + (uint64_t) i * size, entry,
                              sizeof(entry), f);
                if (r < 0)
                        return r;
                uint64_t first = get_le64(entry + 32), last = get_le64(entry + 40);
                if (memcmp(entry, unused, sizeof(unused)) == 0 || last < first ||
                    last == UINT64_MAX)
                        continue;
                r = add_partition(table, i + 1, first, last - first + 1, sector_size, f);
                if (r < 0)
                        return r;
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

int partitions_read(Chain *chain, Partition *ret, unsigned *ret_n, Fault *f)
{
        Table table = {chain, ret, 0};
        uint64_t size = chain_size(chain);
        const char *type = "unknown";
        uint8_t sector[SECTOR];

        int r = read_disk(chain, 0, sector, sizeof(sector), f);
        if (r == 0)
                r = identify(chain, 0, size, &type, f);
        if (r < 0)
                return r;
        /* A boot sector's mark is also at the start of some file systems; the table wins only where
         * no file system is there. */
        bool has_table = strcmp(type, "unknown") == 0 || strcmp(type, "ISO 9660") == 0;
        if (has_table && has_mbr(sector)) {
                r = read_gpt(&table, SECTOR, f);
                if (r == 0)
                        r = read_gpt(&table, 4096, f);
                if (r == 0)
                        r = read_mbr(&table, sector, f);
                if (r < 0)
                        return r;
        }
        if (table.n == 0)
                ret[table.n++] = (Partition){0, 0, size, type};
        *ret_n = table.n;
        return 0;
}

bool partition_is_ext(const Partition *partition)
{
        return strcmp(partition->type, "ext4") == 0;
}

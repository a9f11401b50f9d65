/* SPDX-License-Identifier: MIT */
#include "diff/lvm.h"

#include "base/cleanup.h"
#include "diff/bytes.h"

#define SECTOR         512
#define LABEL_SECTORS  4
#define LABEL_CHECKED  20 /* the checksum is of what follows it in the sector */
#define AREA_HEADER    512
#define AREA_RECORDS   40
#define RECORD_SIZE    24
#define RECORD_IGNORED 1
#define AREAS_MAX      8
#define CHECKSUM_START UINT32_C(0xf597a6cf)
#define CHECKSUM_POLY  UINT32_C(0xedb88320)

static const char area_magic[] = "\040\114\126\115\062\040\170\133\065\101\045\162\060\116\052\076";

typedef struct Area {
        uint64_t offset, size;
} Area;

/* The CRC-32 of Ethernet without its complements. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
        uint32_t crc = CHECKSUM_START;

        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? CHECKSUM_POLY : 0);
        }
        return crc;
}

/* A fuzzer would hardly ever get past the checksums. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
static const bool is_fuzzed = true;
#else
static const bool is_fuzzed = false;
#endif

static bool is_intact(const uint8_t *bytes, size_t size, uint32_t wanted)
{
        return is_fuzzed || checksum(bytes, size) == wanted;
}

static int damaged(const char *what, Fault *f)
{
        return fault_set(f, FAULT_DIFF_FAILED, "LVM's %s is damaged", what);
}

LvmMember *lvm_member_free(LvmMember *member)
{
        if (!member)
                return NULL;
        (void) volume_free(member->volume);
        (void) lvm_group_free(member->group);
        g_free(member);
        return NULL;
}

static int find_label(const Volume *volume, uint8_t ret[static SECTOR], uint32_t *ret_header,
                      Fault *f)
{
        for (unsigned i = 0; i < LABEL_SECTORS; i++) {
                int r = volume_read(volume, (uint64_t) i * SECTOR, ret, SECTOR, f);
                if (r < 0)
                        return r;
                if (memcmp(ret, "LABELONE", 8) != 0 || memcmp(ret + 24, "LVM2 001", 8) != 0)
                        continue;
                *ret_header = get_le32(ret + LABEL_CHECKED);
                if (get_le64(ret + 8) != i ||
                    !is_intact(ret + LABEL_CHECKED, SECTOR - LABEL_CHECKED, get_le32(ret + 16)))
                        continue;
                return 0;
        }
        return damaged("label", f);
}

/* Behind the id and size: the areas of data, an empty one, the areas of metadata, an empty one. */
static unsigned list_areas(const uint8_t sector[static SECTOR], size_t at, Area ret[AREAS_MAX])
{
        unsigned n = 0, list = 0;

        for (; at + 16 <= SECTOR && list < 2; at += 16) {
                Area area = {get_le64(sector + at), get_le64(sector + at + 8)};

                if (area.offset == 0)
                        list++;
                else if (list == 1 && n < AREAS_MAX)
                        ret[n++] = area;
        }
        return n;
}

/* The text is a ring behind the area's header. */
static int read_text(const Volume *volume, const Area *area, const uint8_t *record, char **ret,
                     size_t *ret_size, Fault *f)
{
        uint64_t offset = get_le64(record), size = get_le64(record + 8);

        if (offset < AREA_HEADER || offset >= area->size || size == 0 || size > LVM_TEXT_MAX ||
            size > area->size - AREA_HEADER)
                return damaged("metadata area", f);
        g_autofree char *text = g_malloc((size_t) size);
        size_t first = (size_t) MIN(size, area->size - offset);
        int r = volume_read(volume, area->offset + offset, text, first, f);
        if (r == 0)
                r = volume_read(volume, area->offset + AREA_HEADER, text + first,
                                (size_t) size - first, f);
        if (r < 0)
                return r;
        if (!is_intact((const uint8_t *) text, (size_t) size, get_le32(record + 16)))
                return damaged("metadata", f);
        *ret = TAKE_PTR(text);
        *ret_size = (size_t) size;
        return 0;
}

/* An area without text leaves `*ret` NULL. */
static int read_area(const Volume *volume, const Area *area, LvmGroup **ret, Fault *f)
{
        uint8_t header[AREA_HEADER];
        const uint8_t *record = header + AREA_RECORDS;
        g_autofree char *text = NULL;
        size_t size = 0;

        if (area->offset > volume_size(volume) || area->size > volume_size(volume) - area->offset ||
            area->size <= AREA_HEADER)
                return damaged("metadata area", f);
        int r = volume_read(volume, area->offset, header, sizeof(header), f);
        if (r < 0)
                return r;
        if (memcmp(header + 4, area_magic, 16) != 0 || get_le32(header + 20) != 1 ||
            !is_intact(header + 4, sizeof(header) - 4, get_le32(header)))
                return damaged("metadata area", f);
        if (get_le64(record) == 0 || (get_le32(record + 20) & RECORD_IGNORED))
                return 0;
        r = read_text(volume, area, record, &text, &size, f);
        return r < 0 ? r : lvm_group_parse(text, size, ret, f);
}

/* The newest of the areas that can be read; a fault only where none can. */
static int read_areas(LvmMember *member, const Volume *volume, const Area *areas, unsigned n,
                      Fault *f)
{
        Fault first = {0};
        bool any = n == 0;
        int result = 0;

        for (unsigned i = 0; i < n; i++) {
                LvmGroup *group = NULL;
                Fault why = {0};

                int r = read_area(volume, &areas[i], &group, &why);
                if (r < 0) {
                        result = result < 0 ? result : r;
                        first = fault_is_set(&first) ? first : why;
                        continue;
                }
                any = true;
                if (!group || (member->group && member->group->seqno >= group->seqno)) {
                        (void) lvm_group_free(group);
                        continue;
                }
                (void) lvm_group_free(member->group);
                member->group = group;
        }
        return any ? 0 : fault_set(f, first.code, "%s", first.message);
}

int lvm_member_read(Volume *volume, LvmMember **ret, Fault *f)
{
        g_autoptr(LvmMember) member = g_new0(LvmMember, 1);
        uint8_t sector[SECTOR];
        Area areas[AREAS_MAX];
        uint32_t header = 0;

        int r = find_label(volume, sector, &header, f);
        if (r < 0)
                return r;
        if (header > SECTOR - 40 || !lvm_id_parse((const char *) sector + header, 32, member->id))
                return damaged("label", f);
        unsigned n = list_areas(sector, header + 40, areas);
        r = read_areas(member, volume, areas, n, f);
        if (r < 0)
                return r;
        member->volume = volume;
        *ret = TAKE_PTR(member);
        return 0;
}

void lvm_volume_free(LvmVolume *volume)
{
        (void) volume_free(volume->volume);
        g_free(volume->name);
        g_free(volume->reason);
        g_free(volume);
}

static void free_volume(gpointer data)
{
        lvm_volume_free(data);
}

/* Whether no member has a newer text of its group, nor an earlier one an equal one. */
static bool is_newest(const GPtrArray *members, unsigned which)
{
        const LvmGroup *group = ((const LvmMember *) members->pdata[which])->group;

        for (unsigned i = 0; i < members->len; i++) {
                const LvmGroup *other = ((const LvmMember *) members->pdata[i])->group;

                if (i == which || !other || strcmp(other->id, group->id) != 0)
                        continue;
                if (other->seqno > group->seqno || (other->seqno == group->seqno && i < which))
                        return false;
        }
        return true;
}

static const LvmMember *find_member(const GPtrArray *members, const char *id)
{
        for (unsigned i = 0; i < members->len; i++) {
                const LvmMember *member = members->pdata[i];

                if (strcmp(member->id, id) == 0)
                        return member;
        }
        return NULL;
}

static Volume *assemble_volume(const GPtrArray *members, const LvmGroup *group,
                               const LvmLogical *logical, char **ret_reason)
{
        g_autoptr(Volume) volume = volume_new();

        for (unsigned i = 0; i < logical->segments->len; i++) {
                const LvmSegment *segment = &g_array_index(logical->segments, LvmSegment, i);
                const LvmPhysical *physical = group->physicals->pdata[segment->physical];
                const LvmMember *member = find_member(members, physical->id);

                if (!member) {
                        *ret_reason = g_strdup_printf("its physical volume '%.32s' is not among "
                                                      "the disks",
                                                      physical->id);
                        return NULL;
                }
                /* The numbers are bounded: this is less than 2^64 where it is on a disk at all. */
                if (segment->first > UINT64_MAX / 4 / group->extent_size ||
                    segment->count > UINT64_MAX / 4 / group->extent_size ||
                    !volume_append(volume, member->volume,
                                   physical->start + segment->first * group->extent_size,
                                   segment->count * group->extent_size)) {
                        *ret_reason = g_strdup("it goes on beyond the end of its physical volume");
                        return NULL;
                }
        }
        return TAKE_PTR(volume);
}

static void assemble_group(const GPtrArray *members, const LvmGroup *group, GPtrArray *volumes)
{
        for (unsigned i = 0; i < group->logicals->len; i++) {
                const LvmLogical *logical = group->logicals->pdata[i];
                LvmVolume *volume;

                if (!logical->is_visible)
                        continue;
                volume = g_new0(LvmVolume, 1);
                volume->name = g_strdup_printf("%s/%s", group->name, logical->name);
                if (logical->reason)
                        volume->reason = g_strdup(logical->reason);
                else
                        volume->volume = assemble_volume(members, group, logical, &volume->reason);
                g_ptr_array_add(volumes, volume);
        }
}

GPtrArray *lvm_assemble(const GPtrArray *members)
{
        GPtrArray *volumes = g_ptr_array_new_with_free_func(free_volume);

        for (unsigned i = 0; i < members->len; i++) {
                const LvmMember *member = members->pdata[i];

                if (member->group && is_newest(members, i))
                        assemble_group(members, member->group, volumes);
        }
        return volumes;
}

static const LvmPhysical *find_physical(const LvmGroup *group, const char *id)
{
        for (unsigned i = 0; i < group->physicals->len; i++) {
                const LvmPhysical *physical = group->physicals->pdata[i];

                if (strcmp(physical->id, id) == 0)
                        return physical;
        }
        return NULL;
}

/* By the text, not by the member's own: it may have none. */
const LvmGroup *lvm_newest(const GPtrArray *members, const LvmMember *member)
{
        const LvmGroup *newest = NULL;

        for (unsigned i = 0; i < members->len; i++) {
                const LvmGroup *group = ((const LvmMember *) members->pdata[i])->group;

                if (group && is_newest(members, i) && find_physical(group, member->id))
                        newest = newest && newest->seqno >= group->seqno ? newest : group;
        }
        return newest;
}

bool lvm_member_extents(const GPtrArray *members, const LvmMember *member, uint64_t *ret_start,
                        uint64_t *ret_length)
{
        const LvmGroup *group = lvm_newest(members, member);
        const LvmPhysical *physical = group ? find_physical(group, member->id) : NULL;
        uint64_t size = volume_size(member->volume);

        if (!physical || physical->start > size)
                return false;
        *ret_start = physical->start;
        *ret_length =
                MIN(size - physical->start, physical->n_extents > UINT64_MAX / group->extent_size
                                                    ? UINT64_MAX
                                                    : physical->n_extents * group->extent_size);
        return true;
}

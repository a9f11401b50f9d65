/* SPDX-License-Identifier: MIT */
#include "diff/pax.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE   100
#define SMALL_MAX   07777777               /* of numbers with 8 bytes */
#define LARGE_MAX   UINT64_C(077777777777) /* of numbers with 12 bytes */
#define RECORD_TAIL "\n"

typedef struct Header {
        char name[NAME_SIZE];
        char mode[8], uid[8], gid[8];
        char size[12], mtime[12];
        char checksum[8];
        char type;
        char target[NAME_SIZE];
        char magic[6], version[2];
        char owner[32], group[32];
        char major[8], minor[8];
        char prefix[155];
        char unused[12];
} Header;

G_STATIC_ASSERT(sizeof(Header) == PAX_BLOCK);

/* Too large ones are in the extended header, and 0 here. */
static void put_octal(char *field, size_t size, uint64_t value, uint64_t max)
{
        (void) snprintf(field, size, "%0*" G_GINT64_MODIFIER "o", (int) size - 1,
                        value > max ? 0 : value);
}

static void put_text(char *field, size_t size, const char *text, size_t length)
{
        memcpy(field, text, MIN(size, length));
}

static int write_block(Output *output, Header *header, Fault *f)
{
        const uint8_t *bytes = (const uint8_t *) header;
        unsigned sum = 0;

        memcpy(header->magic, "ustar", 6);
        memcpy(header->version, "00", 2);
        memset(header->checksum, ' ', sizeof(header->checksum));
        for (size_t i = 0; i < sizeof(*header); i++)
                sum += bytes[i];
        (void) snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
        return output_write(output, header, sizeof(*header), f);
}

/* "LENGTH KEY=VALUE\n", in which the length counts its own digits. */
static void add_record(GByteArray *records, const char *key, const void *value, size_t size)
{
        size_t rest = 1 + strlen(key) + 1 + size + strlen(RECORD_TAIL), length = rest;
        char digits[24];

        for (size_t last = 0; last != length;) {
                last = length;
                length = rest + (size_t) g_snprintf(digits, sizeof(digits), "%zu", last);
        }
        (void) g_snprintf(digits, sizeof(digits), "%zu ", length);
        g_byte_array_append(records, (const guint8 *) digits, (guint) strlen(digits));
        g_byte_array_append(records, (const guint8 *) key, (guint) strlen(key));
        g_byte_array_append(records, (const guint8 *) "=", 1);
        g_byte_array_append(records, value, (guint) size);
        g_byte_array_append(records, (const guint8 *) RECORD_TAIL, (guint) strlen(RECORD_TAIL));
}

static void add_number(GByteArray *records, const char *key, uint64_t value, uint64_t max)
{
        char text[24];

        if (value <= max)
                return;
        (void) g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, value);
        add_record(records, key, text, strlen(text));
}

/* A fraction counts upwards from the second before, also of times before 1970. */
static void add_mtime(GByteArray *records, const Attributes *a)
{
        int64_t sec = a->mtime_sec;
        uint32_t nsec = a->mtime_nsec;
        bool is_negative = sec < 0;
        char text[48];

        if (sec >= 0 && nsec == 0 && (uint64_t) sec <= LARGE_MAX)
                return;
        if (is_negative) {
                sec = -sec - (nsec > 0);
                nsec = nsec > 0 ? 1000000000 - nsec : 0;
        }
        (void) g_snprintf(text, sizeof(text), "%s%" G_GINT64_FORMAT ".%09u", is_negative ? "-" : "",
                          sec, nsec);
        add_record(records, "mtime", text, strlen(text));
}

/* A name with '=' cannot be in a record; the kernel gives none. */
static void add_xattrs(GByteArray *records, const GPtrArray *xattrs)
{
        for (unsigned i = 0; xattrs && i < xattrs->len; i++) {
                const Xattr *xattr = xattrs->pdata[i];
                g_autofree char *key = g_strconcat("SCHILY.xattr.", xattr->name, NULL);

                if (!strchr(xattr->name, '='))
                        add_record(records, key, xattr->value, xattr->size);
        }
}

static char type_of(const PaxMember *member)
{
        if (member->is_hard_link)
                return '1';
        switch (member->attributes->kind) {
        case KIND_FILE:
                return '0';
        case KIND_SYMLINK:
                return '2';
        case KIND_CHAR:
                return '3';
        case KIND_BLOCK:
                return '4';
        case KIND_DIRECTORY:
                return '5';
        case KIND_FIFO:
                return '6';
        case KIND_SOCKET:
                break;
        }
        g_assert_not_reached();
}

static uint64_t content_of(const PaxMember *member)
{
        return type_of(member) == '0' ? member->attributes->size : 0;
}

static int write_extended(Output *output, const GByteArray *records, Fault *f)
{
        Header header = {.name = "././@PaxHeader", .type = 'x'};

        put_octal(header.mode, sizeof(header.mode), 0644, SMALL_MAX);
        put_octal(header.uid, sizeof(header.uid), 0, SMALL_MAX);
        put_octal(header.gid, sizeof(header.gid), 0, SMALL_MAX);
        put_octal(header.size, sizeof(header.size), records->len, LARGE_MAX);
        put_octal(header.mtime, sizeof(header.mtime), 0, LARGE_MAX);
        int r = write_block(output, &header, f);
        if (r == 0)
                r = output_write(output, records->data, records->len, f);
        return r < 0 ? r : pax_write_padding(output, f);
}

int pax_write_padding(Output *output, Fault *f)
{
        static const uint8_t zeros[PAX_BLOCK];
        size_t used = (size_t) (output_size(output) % PAX_BLOCK);

        return used > 0 ? output_write(output, zeros, PAX_BLOCK - used, f) : 0;
}

static int write_records(Output *output, const PaxMember *member, Fault *f)
{
        const Attributes *a = member->attributes;
        g_autoptr(GByteArray) records = g_byte_array_new();

        if (member->name_size > NAME_SIZE)
                add_record(records, "path", member->name, member->name_size);
        if (member->target_size > NAME_SIZE)
                add_record(records, "linkpath", member->target, member->target_size);
        add_number(records, "uid", a->uid, SMALL_MAX);
        add_number(records, "gid", a->gid, SMALL_MAX);
        add_number(records, "size", content_of(member), LARGE_MAX);
        add_mtime(records, a);
        if (!member->is_hard_link)
                add_xattrs(records, member->xattrs);
        return records->len > 0 ? write_extended(output, records, f) : 0;
}

int pax_write_header(Output *output, const PaxMember *member, Fault *f)
{
        const Attributes *a = member->attributes;
        Header header = {.type = type_of(member)};

        int r = write_records(output, member, f);
        if (r < 0)
                return r;
        put_text(header.name, sizeof(header.name), member->name, member->name_size);
        if (member->target)
                put_text(header.target, sizeof(header.target), member->target, member->target_size);
        put_octal(header.mode, sizeof(header.mode), a->mode, SMALL_MAX);
        put_octal(header.uid, sizeof(header.uid), a->uid, SMALL_MAX);
        put_octal(header.gid, sizeof(header.gid), a->gid, SMALL_MAX);
        put_octal(header.size, sizeof(header.size), content_of(member), LARGE_MAX);
        put_octal(header.mtime, sizeof(header.mtime),
                  a->mtime_sec < 0 ? 0 : (uint64_t) a->mtime_sec, LARGE_MAX);
        put_octal(header.major, sizeof(header.major), a->major, SMALL_MAX);
        put_octal(header.minor, sizeof(header.minor), a->minor, SMALL_MAX);
        return write_block(output, &header, f);
}

int pax_write_end(Output *output, Fault *f)
{
        static const uint8_t zeros[2 * PAX_BLOCK];

        return output_write(output, zeros, sizeof(zeros), f);
}

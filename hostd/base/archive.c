/* SPDX-License-Identifier: MIT */
#include "base/archive.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define BLOCK           512
#define PAX_MAX         (1 << 20)  /* bytes of one extended header */
#define NAME_LENGTH_MAX (64 << 10) /* a guest may nest deeper than PATH_MAX */

/* POSIX.1-2001, pax, "ustar Interchange Format". */
typedef struct Header {
        char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
        char target[100], magic[6], version[2], owner[32], group[32], major[8], minor[8];
        char prefix[155], padding[12];
} Header;
G_STATIC_ASSERT(sizeof(Header) == BLOCK);

struct Archive {
        int fd;
        uint64_t left, padding; /* of the entry's content, and up to the next block after it */
        ArchiveEntry entry;
        /* What a pax header said of the next entry. */
        char *pax_name, *pax_target;
        bool has_size, has_uid, has_gid, has_mtime;
        uint64_t size, uid, gid;
        int64_t mtime_sec;
        uint32_t mtime_nsec;
};

static int damaged(Fault *f, const char *how)
{
        return fault_set(f, FAULT_IO, "the archive is damaged: %s", how);
}

/* Exactly so many bytes, or 0 at the very end. */
static ssize_t read_exactly(int fd, void *bytes, size_t size, Fault *f)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, (char *) bytes + done, size - done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read the archive");
                if (n == 0)
                        return done == 0 ? 0 : damaged(f, "it ends within an entry");
                done += (size_t) n;
        }
        return (ssize_t) size;
}

static int skip(Archive *a, uint64_t size, Fault *f)
{
        char bytes[16384];

        while (size > 0) {
                size_t piece = (size_t) MIN(size, sizeof bytes);
                ssize_t n = read_exactly(a->fd, bytes, piece, f);
                if (n <= 0)
                        return n < 0 ? (int) n : damaged(f, "it ends within an entry");
                size -= piece;
        }
        return 0;
}

/* Octal digits with blanks before, and a blank or NUL after; nothing is 0. */
static bool parse_octal(const char *text, size_t size, uint64_t *ret)
{
        uint64_t value = 0;
        size_t i = 0;

        while (i < size && text[i] == ' ')
                i++;
        for (; i < size && text[i] >= '0' && text[i] <= '7'; i++) {
                if (value > UINT64_MAX >> 3)
                        return false;
                value = value << 3 | (uint64_t) (text[i] - '0');
        }
        for (; i < size; i++)
                if (text[i] != ' ' && text[i] != '\0')
                        return false;
        *ret = value;
        return true;
}

static bool parse_decimal(const char *text, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = g_ascii_strtoull(text, &end, 10);
        return g_ascii_isdigit(*text) && *end == '\0' && errno == 0;
}

/* "-12.5" is 13 seconds before 1970, and half a one after that; what is below a nanosecond is
 * dropped. */
static bool parse_time(const char *text, int64_t *ret_sec, uint32_t *ret_nsec)
{
        uint32_t nsec = 0, unit = 100000000;
        char *end;

        errno = 0;
        int64_t sec = g_ascii_strtoll(text, &end, 10);
        if (end == text || errno != 0)
                return false;
        if (*end == '.')
                for (end++; g_ascii_isdigit(*end); end++, unit /= 10)
                        nsec += unit * (uint32_t) (*end - '0');
        if (*end != '\0')
                return false;
        bool is_before = *text == '-' && nsec > 0;
        if (is_before && sec == INT64_MIN)
                return false;
        *ret_sec = is_before ? sec - 1 : sec;
        *ret_nsec = is_before ? 1000000000 - nsec : nsec;
        return true;
}

static int take_name(char **target, const char *value, size_t size, Fault *f)
{
        if (memchr(value, '\0', size) || size > NAME_LENGTH_MAX)
                return damaged(f, "a name in it cannot be one");
        g_free(*target);
        *target = g_strndup(value, size);
        return 0;
}

static int take_record(Archive *a, const char *key, const char *value, size_t size, Fault *f)
{
        g_autofree char *text = g_strndup(value, size);

        if (g_str_equal(key, "path"))
                return take_name(&a->pax_name, value, size, f);
        if (g_str_equal(key, "linkpath"))
                return take_name(&a->pax_target, value, size, f);
        bool good = true;
        if (g_str_equal(key, "size"))
                good = a->has_size = parse_decimal(text, &a->size);
        else if (g_str_equal(key, "uid"))
                good = a->has_uid = parse_decimal(text, &a->uid);
        else if (g_str_equal(key, "gid"))
                good = a->has_gid = parse_decimal(text, &a->gid);
        else if (g_str_equal(key, "mtime"))
                good = a->has_mtime = parse_time(text, &a->mtime_sec, &a->mtime_nsec);
        else if (g_str_has_prefix(key, "GNU.sparse."))
                good = false;
        return good ? 0 : damaged(f, "a number in a header of it is none");
}

/* "LENGTH KEY=VALUE\n", the length of all of it. */
static int take_records(Archive *a, const char *text, size_t size, Fault *f)
{
        for (size_t at = 0; at < size;) {
                char *end;
                errno = 0;
                uint64_t length = g_ascii_strtoull(text + at, &end, 10);
                size_t begin = (size_t) (end - text) + 1; /* of the key */
                if (!g_ascii_isdigit(text[at]) || errno != 0 || *end != ' ' || length > size - at ||
                    at + length <= begin || text[at + length - 1] != '\n')
                        return damaged(f, "an extended header of it cannot be read");
                const char *record = text + begin, *stop = text + at + length - 1;
                const char *equals = memchr(record, '=', (size_t) (stop - record));
                if (!equals)
                        return damaged(f, "an extended header of it cannot be read");
                g_autofree char *key = g_strndup(record, (size_t) (equals - record));
                int r = take_record(a, key, equals + 1, (size_t) (stop - equals - 1), f);
                if (r < 0)
                        return r;
                at += length;
        }
        return 0;
}

static uint64_t padding_of(uint64_t size)
{
        return (BLOCK - size % BLOCK) % BLOCK;
}

static int read_pax(Archive *a, uint64_t size, bool is_global, Fault *f)
{
        if (size > PAX_MAX)
                return damaged(f, "an extended header of it is too large");
        g_autofree char *text = g_malloc0(size + 1);
        ssize_t n = size > 0 ? read_exactly(a->fd, text, (size_t) size, f) : 0;
        if (n < 0 || (uint64_t) n < size)
                return n < 0 ? (int) n : damaged(f, "it ends within an entry");
        int r = skip(a, padding_of(size), f);
        return r < 0 || is_global ? r : take_records(a, text, (size_t) size, f);
}

static bool checksum_is_right(const Header *h)
{
        const unsigned char *bytes = (const unsigned char *) h;
        uint64_t sum = 0, wanted;

        for (size_t i = 0; i < BLOCK; i++) {
                bool is_its_own = i >= offsetof(Header, checksum) && i < offsetof(Header, type);
                sum += is_its_own ? ' ' : bytes[i];
        }
        return parse_octal(h->checksum, sizeof h->checksum, &wanted) && wanted == sum;
}

static bool is_zero(const Header *h)
{
        const char *bytes = (const char *) h;

        return bytes[0] == '\0' && memcmp(bytes, bytes + 1, BLOCK - 1) == 0;
}

/* The next header that is none of pax; 0 at the end. */
static int next_header(Archive *a, Header *h, Fault *f)
{
        for (;;) {
                uint64_t size;
                ssize_t n = read_exactly(a->fd, h, sizeof *h, f);
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return damaged(f, "it has no end");
                if (is_zero(h))
                        return 0;
                if (memcmp(h->magic,
                           "ustar\0"
                           "00",
                           8) != 0 ||
                    !checksum_is_right(h) || !parse_octal(h->size, sizeof h->size, &size))
                        return damaged(f, "a header of it is none");
                if (h->type != 'x' && h->type != 'g')
                        return 1;
                int r = read_pax(a, size, h->type == 'g', f);
                if (r < 0)
                        return r;
        }
}

static int find_kind(char type, EntryKind *ret, Fault *f)
{
        switch (type) {
        case '0':
        case '\0':
                *ret = ENTRY_FILE;
                return 0;
        case '1':
                *ret = ENTRY_HARD_LINK;
                return 0;
        case '2':
                *ret = ENTRY_SYMLINK;
                return 0;
        case '3':
        case '4':
        case '6':
                *ret = ENTRY_SPECIAL;
                return 0;
        case '5':
                *ret = ENTRY_DIRECTORY;
                return 0;
        default:
                return damaged(f, "an entry in it is of an unknown kind");
        }
}

static char *header_name(const Header *h)
{
        g_autofree char *name = g_strndup(h->name, sizeof h->name);

        if (h->prefix[0] == '\0')
                return TAKE_PTR(name);
        g_autofree char *prefix = g_strndup(h->prefix, sizeof h->prefix);
        return g_strconcat(prefix, "/", name, NULL);
}

static int fill_numbers(const Archive *a, const Header *h, ArchiveEntry *e, Fault *f)
{
        uint64_t mode, mtime;

        if (!parse_octal(h->size, sizeof h->size, &e->size) ||
            !parse_octal(h->mode, sizeof h->mode, &mode) ||
            !parse_octal(h->uid, sizeof h->uid, &e->uid) ||
            !parse_octal(h->gid, sizeof h->gid, &e->gid) ||
            !parse_octal(h->mtime, sizeof h->mtime, &mtime))
                return damaged(f, "a number in a header of it is none");
        e->mode = (mode_t) (mode & 07777);
        e->mtime_sec = a->has_mtime ? a->mtime_sec : (int64_t) mtime;
        e->mtime_nsec = a->has_mtime ? a->mtime_nsec : 0;
        e->size = a->has_size ? a->size : e->size;
        e->uid = a->has_uid ? a->uid : e->uid;
        e->gid = a->has_gid ? a->gid : e->gid;
        if (e->size > INT64_MAX)
                return damaged(f, "a file in it is too large");
        if (e->uid >= UINT32_MAX || e->gid >= UINT32_MAX)
                return damaged(f, "an owner in it cannot be one");
        return 0;
}

static void forget(Archive *a)
{
        const Archive fresh = {.fd = a->fd};

        g_free(a->pax_name);
        g_free(a->pax_target);
        g_free(a->entry.name);
        g_free(a->entry.target);
        *a = fresh;
}

int archive_next(Archive *a, const ArchiveEntry **ret, Fault *f)
{
        uint64_t rest = a->left + a->padding;
        ArchiveEntry *e = &a->entry;
        Header h = {0};

        forget(a);
        int r = skip(a, rest, f);
        if (r == 0)
                r = next_header(a, &h, f);
        if (r <= 0)
                return r;
        r = find_kind(h.type, &e->kind, f);
        if (r == 0)
                r = fill_numbers(a, &h, e, f);
        if (r < 0)
                return r;
        e->name = a->pax_name ? TAKE_PTR(a->pax_name) : header_name(&h);
        e->target = a->pax_target ? TAKE_PTR(a->pax_target) : g_strndup(h.target, sizeof h.target);
        if (e->kind != ENTRY_FILE && e->size > 0)
                return damaged(f, "an entry in it has content and is no file");
        a->left = e->size;
        a->padding = padding_of(e->size);
        *ret = e;
        return 1;
}

ssize_t archive_read(Archive *a, void *bytes, size_t size, Fault *f)
{
        size_t piece = (size_t) MIN(size, a->left);

        if (piece == 0)
                return 0;
        ssize_t n = read_exactly(a->fd, bytes, piece, f);
        if (n == 0)
                return damaged(f, "it ends within an entry");
        if (n > 0)
                a->left -= piece;
        return n;
}

static int refuse_name(const char *name, const char *why, Fault *f)
{
        g_autofree char *text = escape_print(name, strlen(name));

        return fault_set(f, FAULT_IO, "the archive has the name '%.200s', which %s", text, why);
}

int archive_name_check(const char *name, Fault *f)
{
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);

        if (*name == '\0')
                return refuse_name(name, "is empty", f);
        if (*name == '/')
                return refuse_name(name, "is absolute", f);
        for (char **part = parts; *part; part++) {
                if (g_str_equal(*part, ".."))
                        return refuse_name(name, "leads out of where it is written to", f);
                if (strlen(*part) > NAME_MAX)
                        return refuse_name(name, "is too long", f);
                if (**part == '\0' && part[1])
                        return refuse_name(name, "has a part that is empty", f);
        }
        return 0;
}

Archive *archive_new(int fd)
{
        Archive *a = g_new0(Archive, 1);

        a->fd = fd;
        return a;
}

Archive *archive_free(Archive *a)
{
        if (!a)
                return NULL;
        forget(a);
        g_free(a);
        return NULL;
}

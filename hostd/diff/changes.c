/* SPDX-License-Identifier: MIT */
#include "diff/changes.h"

#include "base/cleanup.h"

#include <string.h>

/* Every so many records one has its whole path: searches begin there. */
#define RESTART_INTERVAL 16

/* A bit a path and then some tell most paths that did not change without a search. */
#define FILTER_BITS_MIN (UINT32_C(1) << 16)
#define FILTER_FACTOR   8

/* Records of one file system. */
typedef struct Segment {
        unsigned first;
        unsigned filesystem;
} Segment;

struct ChangeList {
        GByteArray *bytes;
        GArray *restarts; /* of size_t, where record 0, 16, … begins */
        GArray *segments;
        GString *last; /* path */
        unsigned length;
        uint8_t *filter;
        size_t filter_bits; /* a power of two */
};

ChangeList *change_list_new(void)
{
        ChangeList *list = g_new0(ChangeList, 1);

        list->bytes = g_byte_array_new();
        list->restarts = g_array_new(FALSE, FALSE, sizeof(size_t));
        list->segments = g_array_new(FALSE, FALSE, sizeof(Segment));
        list->last = g_string_new(NULL);
        return list;
}

ChangeList *change_list_free(ChangeList *list)
{
        if (!list)
                return NULL;
        g_byte_array_unref(list->bytes);
        g_array_unref(list->restarts);
        g_array_unref(list->segments);
        (void) g_string_free(list->last, TRUE);
        g_free(list->filter);
        g_free(list);
        return NULL;
}

unsigned change_list_length(const ChangeList *list)
{
        return list->length;
}

static void put(GByteArray *out, uint64_t value)
{
        uint8_t bytes[10];
        guint n = 0;

        do {
                bytes[n] = (uint8_t) (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
                value >>= 7;
                n++;
        } while (value > 0);
        g_byte_array_append(out, bytes, n);
}

static uint64_t take(const uint8_t **at)
{
        uint64_t value = 0;
        unsigned shift = 0;

        while (**at & 0x80) {
                value |= (uint64_t) (**at & 0x7f) << shift;
                shift += 7;
                (*at)++;
        }
        value |= (uint64_t) * *at << shift;
        (*at)++;
        return value;
}

static uint64_t hash_path(Span path)
{
        uint64_t hash = UINT64_C(14695981039346656037);

        for (size_t i = 0; i < path.size; i++)
                hash = (hash ^ (uint8_t) path.bytes[i]) * UINT64_C(1099511628211);
        return hash ^ hash >> 29;
}

static void filter_add(ChangeList *list, Span path)
{
        size_t bit = hash_path(path) & (list->filter_bits - 1);

        list->filter[bit / 8] |= (uint8_t) (1U << (bit % 8));
}

static bool filter_has(const ChangeList *list, Span path)
{
        size_t bit = hash_path(path) & (list->filter_bits - 1);

        return list->filter[bit / 8] & (1U << (bit % 8));
}

/* It doubles with the list; what is in it is then put in anew. */
static void grow_filter(ChangeList *list)
{
        list->filter_bits = MAX(FILTER_BITS_MIN, list->filter_bits * 2);
        g_free(list->filter);
        list->filter = g_malloc0(list->filter_bits / 8);
        g_auto(ChangeCursor) cursor = change_cursor(list, 0);
        while (change_cursor_next(&cursor))
                filter_add(list, change_cursor_path(&cursor));
}

static bool has_capability(const FileState *state)
{
        for (unsigned i = 0; state && state->show_xattrs && state->xattrs && i < state->xattrs->len;
             i++) {
                const Xattr *xattr = state->xattrs->pdata[i];

                if (strcmp(xattr->name, "security.capability") == 0)
                        return true;
        }
        return false;
}

static bool is_only_time(ChangeKind change, const FileState *old, const FileState *new)
{
        return change == CHANGE_METADATA && old && new &&
               old->attributes.mode == new->attributes.mode &&
               old->attributes.uid == new->attributes.uid &&
               old->attributes.gid == new->attributes.gid && !new->show_xattrs;
}

static void put_state(ChangeList *list, unsigned filesystem, ChangeKind change,
                      const FileState *old, const FileState *new)
{
        g_assert(old || new);
        const Attributes *was = &(old ? old : new)->attributes;
        const Attributes *is = &(new ? new : old)->attributes;
        uint64_t flags = (uint64_t) change | (uint64_t) is->kind << 3 | (uint64_t) was->kind << 6 |
                         (uint64_t) is_only_time(change, old, new) << 9 |
                         (uint64_t) has_capability(old) << 10 |
                         (uint64_t) has_capability(new) << 11;

        put(list->bytes, flags);
        put(list->bytes, filesystem);
        put(list->bytes, old ? old->ino : 0);
        put(list->bytes, new ? new->ino : 0);
        put(list->bytes, old ? was->mode : 0);
        put(list->bytes, new ? is->mode : 0);
        put(list->bytes, old ? was->uid : 0);
        put(list->bytes, new ? is->uid : 0);
        put(list->bytes, new ? is->gid : 0);
        put(list->bytes, is->size);
}

static bool begins_segment(const ChangeList *list, unsigned filesystem)
{
        if (list->segments->len == 0)
                return true;
        return g_array_index(list->segments, Segment, list->segments->len - 1).filesystem !=
               filesystem;
}

void change_list_add(ChangeList *list, unsigned filesystem, const char *path, size_t path_size,
                     ChangeKind change, const FileState *old, const FileState *new)
{
        size_t shared = 0, offset = list->bytes->len;

        if (begins_segment(list, filesystem)) {
                Segment segment = {list->length, filesystem};
                g_array_append_val(list->segments, segment);
        }
        if (list->length % RESTART_INTERVAL == 0)
                g_array_append_val(list->restarts, offset);
        else
                while (shared < MIN(path_size, list->last->len) &&
                       path[shared] == list->last->str[shared])
                        shared++;
        put(list->bytes, shared);
        put(list->bytes, path_size - shared);
        g_byte_array_append(list->bytes, (const guint8 *) path + shared,
                            (guint) (path_size - shared));
        put_state(list, filesystem, change, old, new);
        g_string_truncate(list->last, 0);
        g_string_append_len(list->last, path, (gssize) path_size);
        list->length++;
        if ((size_t) list->length * FILTER_FACTOR > list->filter_bits)
                grow_filter(list);
        else
                filter_add(list, (Span){path, path_size});
}

ChangeCursor change_cursor(const ChangeList *list, unsigned first)
{
        ChangeCursor cursor = {.list = list, .path = g_string_new(NULL)};

        if (first >= list->length) {
                cursor.next = list->length;
                return cursor;
        }
        cursor.next = first - first % RESTART_INTERVAL;
        cursor.offset = g_array_index(list->restarts, size_t, first / RESTART_INTERVAL);
        while (cursor.next < first)
                (void) change_cursor_next(&cursor);
        return cursor;
}

void change_cursor_done(ChangeCursor *cursor)
{
        if (cursor->path)
                (void) g_string_free(cursor->path, TRUE);
        cursor->path = NULL;
}

bool change_cursor_next(ChangeCursor *cursor)
{
        Change *change = &cursor->change;
        const uint8_t *at;

        if (cursor->next >= cursor->list->length)
                return false;
        at = cursor->list->bytes->data + cursor->offset;
        size_t shared = (size_t) take(&at), rest = (size_t) take(&at);
        g_string_truncate(cursor->path, shared);
        g_string_append_len(cursor->path, (const char *) at, (gssize) rest);
        at += rest;
        uint64_t flags = take(&at);
        change->change = (ChangeKind) (flags & 7);
        change->kind = (FileKind) (flags >> 3 & 7);
        change->old_kind = (FileKind) (flags >> 6 & 7);
        change->only_time = flags >> 9 & 1;
        change->old_capability = flags >> 10 & 1;
        change->new_capability = flags >> 11 & 1;
        change->filesystem = (unsigned) take(&at);
        change->old_ino = (uint32_t) take(&at);
        change->new_ino = (uint32_t) take(&at);
        change->old_mode = (uint32_t) take(&at);
        change->new_mode = (uint32_t) take(&at);
        change->old_uid = (uint32_t) take(&at);
        change->new_uid = (uint32_t) take(&at);
        change->new_gid = (uint32_t) take(&at);
        change->size = take(&at);
        cursor->offset = (size_t) (at - cursor->list->bytes->data);
        cursor->index = cursor->next++;
        return true;
}

void change_list_get(const ChangeList *list, unsigned i, GString *path, Change *ret)
{
        g_auto(ChangeCursor) cursor = change_cursor(list, i);

        g_assert(change_cursor_next(&cursor));
        g_string_truncate(path, 0);
        g_string_append_len(path, cursor.path->str, (gssize) cursor.path->len);
        *ret = cursor.change;
}

/* The order of the report: as if '/' were smaller than any other byte. */
static int compare_paths(Span a, Span b)
{
        size_t n = MIN(a.size, b.size), i = 0;

        while (i < n && a.bytes[i] == b.bytes[i])
                i++;
        if (i == n)
                return (a.size > b.size) - (a.size < b.size);
        if (a.bytes[i] == '/')
                return -1;
        if (b.bytes[i] == '/')
                return 1;
        return (uint8_t) a.bytes[i] < (uint8_t) b.bytes[i] ? -1 : 1;
}

/* A record at a restart has all of its path. */
static Span restart_path(const ChangeList *list, unsigned restart)
{
        const uint8_t *at = list->bytes->data + g_array_index(list->restarts, size_t, restart);

        (void) take(&at);
        size_t size = (size_t) take(&at);
        return (Span){(const char *) at, size};
}

/* The first record of [first, end) whose path is not before `path`. */
static unsigned seek(const ChangeList *list, unsigned first, unsigned end, Span path)
{
        unsigned low = first / RESTART_INTERVAL + (first % RESTART_INTERVAL != 0);
        unsigned high = (end + RESTART_INTERVAL - 1) / RESTART_INTERVAL;
        unsigned start = first;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (compare_paths(restart_path(list, middle), path) < 0) {
                        start = middle * RESTART_INTERVAL;
                        low = middle + 1;
                } else {
                        high = middle;
                }
        }
        g_auto(ChangeCursor) cursor = change_cursor(list, start);
        while (cursor.next < end && change_cursor_next(&cursor))
                if (compare_paths(change_cursor_path(&cursor), path) >= 0)
                        return cursor.index;
        return end;
}

unsigned change_list_segments(const ChangeList *list)
{
        return list->segments->len;
}

unsigned change_list_segment_end(const ChangeList *list, unsigned i)
{
        return i + 1 < list->segments->len ? g_array_index(list->segments, Segment, i + 1).first
                                           : list->length;
}

bool change_list_find(const ChangeList *list, Span path, unsigned *ret)
{
        if (list->length == 0 || !filter_has(list, path))
                return false;
        for (unsigned i = 0; i < list->segments->len; i++) {
                unsigned first = g_array_index(list->segments, Segment, i).first;
                unsigned end = change_list_segment_end(list, i), at = seek(list, first, end, path);

                if (at == end)
                        continue;
                g_auto(ChangeCursor) cursor = change_cursor(list, at);
                if (change_cursor_next(&cursor) && span_equal(change_cursor_path(&cursor), path)) {
                        *ret = at;
                        return true;
                }
        }
        return false;
}

unsigned change_list_seek(const ChangeList *list, unsigned segment, Span path)
{
        return seek(list, g_array_index(list->segments, Segment, segment).first,
                    change_list_segment_end(list, segment), path);
}

bool path_is_within(Span path, Span directory)
{
        if (directory.size == 1 && directory.bytes[0] == '/')
                return true;
        return path.size >= directory.size &&
               memcmp(path.bytes, directory.bytes, directory.size) == 0 &&
               (path.size == directory.size || path.bytes[directory.size] == '/');
}

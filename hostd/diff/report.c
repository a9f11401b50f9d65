/* SPDX-License-Identifier: MIT */
#include "diff/report.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "diff/changes.h"
#include "diff/json-text.h"

#include <errno.h>
#include <string.h>

#define FLUSH_BYTES  65536
#define CONTENT_MAX  (256 << 10)
#define CONTENTS_MAX (16 << 20)

struct Report {
        int fd;
        bool json;
        int result; /* of the first write that failed */
        uint64_t room;
        GString *out;
        GString *disks;
        GString *not_read;
        GPtrArray *prefixes;  /* of each file system: what goes before its paths */
        GPtrArray *unmounted; /* its name and a ':' where it is mounted nowhere; else NULL */
        unsigned filesystem;
        bool in_changes; /* the rows before them are complete */
        bool with_contents, contents_truncated;
        uint64_t contents; /* bytes so far */
        GString *sections; /* JSON members, each with a comma before it */
        GString *summary;  /* lines for people, or elements of an array */
        ChangeList *list;
        uint64_t counts[_CHANGE_MAX];
};

static const struct {
        const char *name;
        const char *plural;
        char letter;
} changes[_CHANGE_MAX] = {
        [CHANGE_ADDED] = {"added", "added", 'A'},
        [CHANGE_REMOVED] = {"removed", "removed", 'D'},
        [CHANGE_MODIFIED] = {"modified", "modified", 'M'},
        [CHANGE_METADATA] = {"metadata", "with other metadata", 'm'},
        [CHANGE_TYPE] = {"type", "of another type", 'T'},
};

static void flush(Report *report)
{
        if (report->result == 0 && report->out->len > report->room)
                report->result = -EFBIG;
        if (report->result == 0)
                report->result = write_all(report->fd, report->out->str, report->out->len);
        report->room -= MIN(report->room, report->out->len);
        g_string_truncate(report->out, 0);
}

/* RFC 3339, in UTC. The calendar is computed here, with years that begin in March (so that a leap
 * day is a year's last): libc and GLib would open the time zone's file. ext4's times end in 2446.
 */
static void append_mtime(GString *out, const Attributes *a)
{
        enum { DAY = 86400, DAYS_OF_400_YEARS = 146097, DAYS_BEFORE_1970 = 719468 };
        int64_t second = ((a->mtime_sec % DAY) + DAY) % DAY;
        int64_t day = (a->mtime_sec - second) / DAY + DAYS_BEFORE_1970;
        int64_t era = day / DAYS_OF_400_YEARS, of_era = day % DAYS_OF_400_YEARS;
        int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
        int64_t month = (5 * of_year + 2) / 153;

        day = of_year - (153 * month + 2) / 5 + 1;
        month = month < 10 ? month + 3 : month - 9;
        year += era * 400 + (month <= 2);
        g_string_append_printf(out, ",\"mtime\":\"%04d-%02d-%02dT%02d:%02d:%02d.%09uZ\"",
                               (int) year, (int) month, (int) day, (int) (second / 3600),
                               (int) (second / 60 % 60), (int) (second % 60), a->mtime_nsec);
}

static void append_xattrs(GString *out, const GPtrArray *xattrs)
{
        g_string_append(out, ",\"xattrs\":{");
        for (unsigned i = 0; xattrs && i < xattrs->len; i++) {
                const Xattr *xattr = xattrs->pdata[i];

                if (i > 0)
                        g_string_append_c(out, ',');
                json_text_printable(out, xattr->name, strlen(xattr->name));
                g_string_append_c(out, ':');
                json_text_base64(out, xattr->value, xattr->size);
        }
        g_string_append_c(out, '}');
}

static void append_state(GString *out, const char *side, const FileState *state, bool with_kind)
{
        const Attributes *a = &state->attributes;

        g_string_append_printf(out, ",\"%s\":{", side);
        if (with_kind)
                g_string_append_printf(out, "\"kind\":\"%s\",", file_kind_to_string(a->kind));
        g_string_append_printf(
                out, "\"size\":%" G_GUINT64_FORMAT ",\"mode\":\"%04o\",\"uid\":%u,\"gid\":%u",
                a->size, a->mode, a->uid, a->gid);
        append_mtime(out, a);
        if (state->sha256)
                g_string_append_printf(out, ",\"sha256\":\"%s\"", state->sha256);
        if (state->target) {
                g_string_append(out, ",\"target\":");
                json_text_printable(out, state->target, state->target_size);
                g_string_append(out, ",\"target_b64\":");
                json_text_base64(out, state->target, state->target_size);
        }
        if (a->kind == KIND_CHAR || a->kind == KIND_BLOCK)
                g_string_append_printf(out, ",\"device\":\"%u:%u\"", a->major, a->minor);
        if (state->show_xattrs)
                append_xattrs(out, state->xattrs);
        if (state->content) {
                g_string_append(out, ",\"content_b64\":");
                json_text_base64(out, state->content, state->content_size);
        }
        g_string_append_c(out, '}');
}

Report *report_new(int fd, uint64_t size_max, bool json, const char *from, const char *to)
{
        Report *report = g_new0(Report, 1);

        report->fd = fd;
        report->room = size_max;
        report->json = json;
        report->out = g_string_sized_new(FLUSH_BYTES + 4096);
        report->disks = g_string_new(NULL);
        report->not_read = g_string_new(NULL);
        report->prefixes = g_ptr_array_new_with_free_func(g_free);
        report->unmounted = g_ptr_array_new_with_free_func(g_free);
        report->sections = g_string_new(NULL);
        report->summary = g_string_new(NULL);
        report->list = change_list_new();
        if (json) {
                g_string_append(report->out, "{\"from\":");
                json_text_printable(report->out, from, strlen(from));
                g_string_append(report->out, ",\"to\":");
                json_text_printable(report->out, to, strlen(to));
                g_string_append(report->out, ",\"filesystems\":[");
        }
        return report;
}

Report *report_free(Report *report)
{
        if (!report)
                return NULL;
        (void) g_string_free(report->out, TRUE);
        (void) g_string_free(report->disks, TRUE);
        (void) g_string_free(report->not_read, TRUE);
        g_ptr_array_unref(report->prefixes);
        g_ptr_array_unref(report->unmounted);
        (void) g_string_free(report->sections, TRUE);
        (void) g_string_free(report->summary, TRUE);
        (void) change_list_free(report->list);
        g_free(report);
        return NULL;
}

void report_set_contents(Report *report)
{
        report->with_contents = report->json;
}

bool report_wants_content(const Report *report, uint64_t size)
{
        return report->with_contents && size <= CONTENT_MAX;
}

/* "vda", "vda2" or "vg/lv": for people, to whom a path in what is mounted nowhere means nothing. */
static char *row_to_string(const ReportFilesystem *row)
{
        size_t n = strlen(row->disk);

        if (row->volume)
                return g_strdup(row->volume);
        if (row->partition == 0)
                return g_strdup(row->disk);
        return g_strdup_printf("%s%s%u", row->disk,
                               n > 0 && g_ascii_isdigit(row->disk[n - 1]) ? "p" : "",
                               row->partition);
}

static void append_member(GString *out, const char *key, const char *text)
{
        if (!text)
                return;
        g_string_append_printf(out, ",\"%s\":", key);
        json_text_printable(out, text, strlen(text));
}

static void append_place(GString *out, const char *disk, unsigned partition, const char *volume)
{
        g_string_append(out, "\"disk\":");
        json_text_printable(out, disk, strlen(disk));
        if (partition > 0)
                g_string_append_printf(out, ",\"partition\":%u", partition);
        append_member(out, "volume", volume);
}

static void append_row(GString *out, unsigned index, const ReportFilesystem *row)
{
        g_string_append_printf(out, "%s\n{\"index\":%u,", index > 0 ? "," : "", index);
        append_place(out, row->disk, row->partition, row->volume);
        append_member(out, "type", row->type);
        append_member(out, "uuid", row->uuid);
        append_member(out, "label", row->label);
        append_member(out, "mounted_at", row->mounted_at);
        if (row->mounted_at) {
                g_string_append(out, ",\"mounted_at_b64\":");
                json_text_base64(out, row->mounted_at, strlen(row->mounted_at));
        }
        append_member(out, "change", row->change);
        append_member(out, "old_uuid", row->old_uuid);
        g_string_append_c(out, '}');
}

void report_filesystem(Report *report, const ReportFilesystem *row)
{
        unsigned index = report->prefixes->len;
        g_autofree char *name = row_to_string(row);
        bool is_unmounted = index > 0 && !row->mounted_at;
        bool is_named = !report->json && is_unmounted;

        if (report->json)
                append_row(report->out, index, row);
        else if (row->change)
                g_string_append_printf(report->disks, "%s: the file system was %s\n", name,
                                       row->change);
        g_ptr_array_add(report->unmounted, is_unmounted ? g_strconcat(name, ":", NULL) : NULL);
        if (is_named)
                g_ptr_array_add(report->prefixes, g_strconcat(name, ":", NULL));
        else if (row->mounted_at && strcmp(row->mounted_at, "/") != 0)
                g_ptr_array_add(report->prefixes, g_strdup(row->mounted_at));
        else
                g_ptr_array_add(report->prefixes, g_strdup(""));
}

void report_set_filesystem(Report *report, unsigned index)
{
        g_assert(index < report->prefixes->len);
        report->filesystem = index;
}

/* The path that the guest sees, where it is not the one that was given: else NULL. */
static char *whole_path(const Report *report, const char **path, size_t *path_size)
{
        const char *prefix = report->filesystem < report->prefixes->len
                                     ? report->prefixes->pdata[report->filesystem]
                                     : "";
        size_t n = strlen(prefix);

        if (n == 0)
                return NULL;
        bool is_root = *path_size == 1 && prefix[0] == '/';
        char *whole = g_malloc(n + *path_size);
        memcpy(mempcpy(whole, prefix, n), *path, *path_size);
        *path = whole;
        *path_size = is_root ? n : n + *path_size;
        return whole;
}

/* Whether it is text, and there is still room for it. */
static bool admit_content(Report *report, const FileState *state)
{
        if (!state || !state->content || memchr(state->content, '\0', state->content_size) ||
            !g_utf8_validate(state->content, (gssize) state->content_size, NULL))
                return false;
        if (state->content_size > CONTENTS_MAX - report->contents) {
                report->contents_truncated = true;
                return false;
        }
        report->contents += state->content_size;
        return true;
}

static void begin_changes(Report *report)
{
        if (report->json && !report->in_changes)
                g_string_append(report->out, "],\n\"changes\":[");
        report->in_changes = true;
}

static void append_path(const Report *report, GString *out, const char *path, size_t path_size)
{
        g_string_append(out, "\n{\"path\":");
        json_text_printable(out, path, path_size);
        g_string_append(out, ",\"path_b64\":");
        json_text_base64(out, path, path_size);
        if (report->filesystem > 0)
                g_string_append_printf(out, ",\"filesystem\":%u", report->filesystem);
}

static void append_change(Report *report, const char *path, size_t path_size, ChangeKind change,
                          const FileState *old, const FileState *new)
{
        const FileState *now = new ? new : old;
        FileState was = old ? *old : (FileState){0}, is = new ? *new : (FileState){0};
        GString *out = report->out;

        g_assert(now);
        if (!admit_content(report, old))
                was.content = NULL;
        if (!admit_content(report, new))
                is.content = NULL;
        append_path(report, out, path, path_size);
        g_string_append_printf(out, ",\"change\":\"%s\",\"kind\":\"%s\"", changes[change].name,
                               file_kind_to_string(now->attributes.kind));
        if (old)
                append_state(out, "old", &was, change == CHANGE_TYPE);
        if (new)
                append_state(out, "new", &is, false);
        g_string_append_c(out, '}');
}

/* A file system that is mounted nowhere has no path of the guest's: /etc on it is not the guest's
 * /etc, and is kept under another name. */
static bool keep_unmounted(Report *report, const char *path, size_t path_size, ChangeKind change,
                           const FileState *old, const FileState *new)
{
        const char *name = report->filesystem < report->unmounted->len
                                   ? report->unmounted->pdata[report->filesystem]
                                   : NULL;
        g_autoptr(GString) whole = NULL;

        if (!name)
                return false;
        whole = g_string_new(name);
        g_string_append_len(whole, path, (gssize) path_size);
        change_list_add(report->list, report->filesystem, whole->str, whole->len, change, old, new);
        return true;
}

void report_change(Report *report, const char *path, size_t path_size, ChangeKind change,
                   const FileState *old, const FileState *new)
{
        const char *own_path = path;
        size_t own_size = path_size;
        g_autofree char *whole = whole_path(report, &path, &path_size);
        bool first = true;

        if (!keep_unmounted(report, own_path, own_size, change, old, new))
                change_list_add(report->list, report->filesystem, path, path_size, change, old,
                                new);
        begin_changes(report);
        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                first = first && report->counts[i] == 0;
        report->counts[change]++;
        if (report->json) {
                if (!first)
                        g_string_append_c(report->out, ',');
                append_change(report, path, path_size, change, old, new);
        } else {
                g_autofree char *text = escape_print(path, path_size);

                g_string_append_printf(report->out, "%c %s\n", changes[change].letter, text);
        }
        if (report->out->len >= FLUSH_BYTES)
                flush(report);
}

void report_disk(Report *report, const char *disk, const char *change, const char *reason)
{
        GString *out = report->disks;

        if (!report->json) {
                g_string_append_printf(out, "%s: %s\n", disk, reason);
                return;
        }
        g_string_append_printf(out, "%s\n{", out->len > 0 ? "," : "");
        append_place(out, disk, 0, NULL);
        append_member(out, "change", change);
        append_member(out, "reason", reason);
        g_string_append_c(out, '}');
}

void report_place_not_read(Report *report, const char *disk, unsigned partition, const char *volume,
                           const char *type, const char *reason)
{
        const ReportFilesystem row = {.disk = disk, .partition = partition, .volume = volume};
        GString *out = report->not_read;

        if (!report->json) {
                g_autofree char *name = row_to_string(&row);

                g_string_append_printf(out, "not read: %s (%s): %s\n", name, type, reason);
                return;
        }
        g_string_append_printf(out, "%s\n{", out->len > 0 ? "," : "");
        append_place(out, disk, partition, volume);
        append_member(out, "type", type);
        append_member(out, "reason", reason);
        g_string_append_c(out, '}');
}

void report_path_not_read(Report *report, const char *path, size_t path_size, const char *reason)
{
        g_autofree char *whole = whole_path(report, &path, &path_size);
        GString *out = report->not_read;

        if (!report->json) {
                g_autofree char *text = escape_print(path, path_size);

                g_string_append_printf(out, "not read: %s: %s\n", text, reason);
                return;
        }
        if (out->len > 0)
                g_string_append_c(out, ',');
        append_path(report, out, path, path_size);
        append_member(out, "reason", reason);
        g_string_append_c(out, '}');
}

const ChangeList *report_changes(const Report *report)
{
        return report->list;
}

void report_section(Report *report, const char *key, const char *json)
{
        if (report->json)
                g_string_append_printf(report->sections, ",\n\"%s\":%s", key, json);
}

void report_summary(Report *report, const char *line)
{
        GString *out = report->summary;

        if (!report->json) {
                g_string_append_printf(out, "%s\n", line);
                return;
        }
        json_text_comma(out);
        json_text_string(out, line);
}

int report_end(Report *report, Fault *f)
{
        GString *out = report->out;

        if (report->json) {
                begin_changes(report);
                g_string_append_c(out, ']');
                if (report->with_contents)
                        g_string_append_printf(out, ",\n\"contents_truncated\":%s",
                                               report->contents_truncated ? "true" : "false");
                g_string_append_printf(
                        out, ",\n\"disks\":[%s],\n\"summary\":[%s]%s,\n\"not_read\":[%s]}\n",
                        report->disks->str, report->summary->str, report->sections->str,
                        report->not_read->str);
        } else {
                g_string_append(out, report->disks->str);
                g_string_append(out, report->not_read->str);
                for (unsigned i = 0; i < _CHANGE_MAX; i++)
                        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT " %s", i > 0 ? ", " : "",
                                               report->counts[i], changes[i].plural);
                g_string_append_printf(out, "\n%s", report->summary->str);
        }
        flush(report);
        if (report->result == -EFBIG)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the result is larger than allowed");
        return report->result < 0
                       ? fault_set_errno(f, FAULT_IO, report->result, "cannot write the result")
                       : 0;
}

int report_write_summary(const Report *report, int fd, Fault *f)
{
        g_autofree char *text = g_strdup_printf("[%s]\n", report->summary->str);
        int r = write_all(fd, text, strlen(text));

        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot write the summary") : 0;
}

/* SPDX-License-Identifier: MIT */
#include "diff/report.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <string.h>

#define FLUSH_BYTES 65536

struct Report {
        int fd;
        bool json;
        int result; /* of the first write that failed */
        GString *out;
        GString *not_read;
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
        if (report->result == 0)
                report->result = write_all(report->fd, report->out->str, report->out->len);
        g_string_truncate(report->out, 0);
}

/* Escaped text has no control characters and is UTF-8: only these two are left for JSON. */
static void append_string(GString *out, const char *text)
{
        g_string_append_c(out, '"');
        for (const char *p = text; *p; p++) {
                if (*p == '"' || *p == '\\')
                        g_string_append_c(out, '\\');
                g_string_append_c(out, *p);
        }
        g_string_append_c(out, '"');
}

static void append_printable(GString *out, const void *bytes, size_t size)
{
        g_autofree char *text = escape_print(bytes, size);

        append_string(out, text);
}

static void append_base64(GString *out, const void *bytes, size_t size)
{
        g_autofree char *text = g_base64_encode(size > 0 ? bytes : (const void *) "", size);

        g_string_append_printf(out, "\"%s\"", text);
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
                append_printable(out, xattr->name, strlen(xattr->name));
                g_string_append_c(out, ':');
                append_base64(out, xattr->value, xattr->size);
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
                append_printable(out, state->target, state->target_size);
                g_string_append(out, ",\"target_b64\":");
                append_base64(out, state->target, state->target_size);
        }
        if (a->kind == KIND_CHAR || a->kind == KIND_BLOCK)
                g_string_append_printf(out, ",\"device\":\"%u:%u\"", a->major, a->minor);
        if (state->show_xattrs)
                append_xattrs(out, state->xattrs);
        g_string_append_c(out, '}');
}

Report *report_new(int fd, bool json, const char *from, const char *to)
{
        Report *report = g_new0(Report, 1);

        report->fd = fd;
        report->json = json;
        report->out = g_string_sized_new(FLUSH_BYTES + 4096);
        report->not_read = g_string_new(NULL);
        if (json) {
                g_string_append(report->out, "{\"from\":");
                append_printable(report->out, from, strlen(from));
                g_string_append(report->out, ",\"to\":");
                append_printable(report->out, to, strlen(to));
                g_string_append(report->out, ",\"changes\":[");
        }
        return report;
}

Report *report_free(Report *report)
{
        if (!report)
                return NULL;
        (void) g_string_free(report->out, TRUE);
        (void) g_string_free(report->not_read, TRUE);
        g_free(report);
        return NULL;
}

static void append_change(GString *out, const char *path, size_t path_size, ChangeKind change,
                          const FileState *old, const FileState *new)
{
        const FileState *now = new ? new : old;

        g_string_append(out, "\n{\"path\":");
        append_printable(out, path, path_size);
        g_string_append(out, ",\"path_b64\":");
        append_base64(out, path, path_size);
        g_string_append_printf(out, ",\"change\":\"%s\",\"kind\":\"%s\"", changes[change].name,
                               file_kind_to_string(now->attributes.kind));
        if (old)
                append_state(out, "old", old, change == CHANGE_TYPE);
        if (new)
                append_state(out, "new", new, false);
        g_string_append_c(out, '}');
}

void report_change(Report *report, const char *path, size_t path_size, ChangeKind change,
                   const FileState *old, const FileState *new)
{
        bool first = true;

        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                first = first && report->counts[i] == 0;
        report->counts[change]++;
        if (report->json) {
                if (!first)
                        g_string_append_c(report->out, ',');
                append_change(report->out, path, path_size, change, old, new);
        } else {
                g_autofree char *text = escape_print(path, path_size);

                g_string_append_printf(report->out, "%c %s\n", changes[change].letter, text);
        }
        if (report->out->len >= FLUSH_BYTES)
                flush(report);
}

void report_partition_not_read(Report *report, unsigned partition, const char *type,
                               const char *reason)
{
        GString *out = report->not_read;

        if (!report->json) {
                g_string_append_printf(out, "not read: partition %u (%s): %s\n", partition, type,
                                       reason);
                return;
        }
        g_string_append_printf(out, "%s\n{\"partition\":%u,\"type\":", out->len > 0 ? "," : "",
                               partition);
        append_string(out, type);
        g_string_append(out, ",\"reason\":");
        append_string(out, reason);
        g_string_append_c(out, '}');
}

void report_path_not_read(Report *report, const char *path, size_t path_size, const char *reason)
{
        GString *out = report->not_read;

        if (!report->json) {
                g_autofree char *text = escape_print(path, path_size);

                g_string_append_printf(out, "not read: %s: %s\n", text, reason);
                return;
        }
        g_string_append_printf(out, "%s\n{\"path\":", out->len > 0 ? "," : "");
        append_printable(out, path, path_size);
        g_string_append(out, ",\"path_b64\":");
        append_base64(out, path, path_size);
        g_string_append(out, ",\"reason\":");
        append_string(out, reason);
        g_string_append_c(out, '}');
}

int report_end(Report *report, Fault *f)
{
        GString *out = report->out;

        if (report->json) {
                g_string_append_printf(out, "],\"not_read\":[%s]}\n", report->not_read->str);
        } else {
                g_string_append(out, report->not_read->str);
                for (unsigned i = 0; i < _CHANGE_MAX; i++)
                        g_string_append_printf(out, "%s%" G_GUINT64_FORMAT " %s", i > 0 ? ", " : "",
                                               report->counts[i], changes[i].plural);
                g_string_append_c(out, '\n');
        }
        flush(report);
        return report->result < 0
                       ? fault_set_errno(f, FAULT_IO, report->result, "cannot write the result")
                       : 0;
}

/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/diff-sections.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATHS_MAX 20 /* of one line */

void diff_print_title(const char *title, const char *remark)
{
        putchar('\n');
        colour_print(COLOUR_TITLE, "%s", title);
        if (*remark)
                colour_print(COLOUR_DIM, "  %s", remark);
        putchar('\n');
}

/* "name (was old)" where there is an old one. */
static void add_change(GString *out, const char *what, const char *old, const char *new)
{
        if (g_str_equal(old, new))
                return;
        if (!*old)
                append_item(out, "%s %s", what, new);
        else
                append_item(out, "%s %s → %s", what, old, *new ? new : "none");
}

static Colour colour_of(const char *change)
{
        if (g_str_equal(change, "added"))
                return COLOUR_ADDED;
        return g_str_equal(change, "removed") ? COLOUR_REMOVED : COLOUR_CHANGED;
}

/* "  + main  note" */
static void print_row(const char *change, const char *main_text, const char *note)
{
        Colour colour = colour_of(change);

        fputs("  ", stdout);
        colour_print(colour, "%s",
                     colour == COLOUR_ADDED     ? "+"
                     : colour == COLOUR_REMOVED ? "-"
                                                : "~");
        putchar(' ');
        colour_print(colour, "%s", main_text);
        if (*note)
                colour_print(COLOUR_DIM, "  %s", note);
        putchar('\n');
}

static void print_package(const Digest *d, Json *p)
{
        const char *old = json_text(p, "old_version"), *new = json_text(p, "new_version");
        const char *change = json_text(p, "change");
        g_autoptr(GString) note = g_string_new(NULL);
        g_autofree char *versions = *old && *new && !g_str_equal(old, new)
                                            ? g_strdup_printf("%s → %s", old, new)
                                            : g_strdup(*new ? new : old);
        g_autofree char *text = g_strdup_printf("%s %s", json_text(p, "name"), versions);
        uint64_t files = json_number(p, "files");

        (void) d;
        if (g_str_equal(change, "state"))
                add_change(note, "state", json_text(p, "old_state"), json_text(p, "new_state"));
        else if (!g_str_equal(change, "added"))
                append_item(note, "%s", change);
        if (g_str_equal(change, "added") && *json_text(p, "new_state") &&
            !g_str_equal(json_text(p, "new_state"), "installed"))
                append_item(note, "%s", json_text(p, "new_state"));
        if (json_truth(p, "automatic"))
                append_item(note, "as a dependency");
        append_item(note, "%" PRIu64 " file%s", files, files == 1 ? "" : "s");
        print_row(change, text, note->str);
}

static void add_strings(GString *out, const char *what, Json *object, const char *key)
{
        Json *array;

        if (!json_find_array(object, key, &array))
                return;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                Json *text = json_object_array_get_idx(array, i);
                if (json_object_is_type(text, json_type_string))
                        append_item(out, "%s %s", what, json_object_get_string(text));
        }
}

static void print_service(const Digest *d, Json *s)
{
        const char *old = json_text(s, "state_old"), *new = json_text(s, "state_new");
        const char *change = json_text(s, "change");
        g_autoptr(GString) note = g_string_new(NULL);
        g_autofree char *text = g_strdup_printf("%s %s", json_text(s, "name"), change);

        (void) d;
        if (*new && !g_str_equal(new, change) && !g_str_equal(new, old))
                append_item(note, "%s%s", g_str_equal(change, "added") ? "" : "now ", new);
        if (*old && !g_str_equal(old, new))
                append_item(note, "was %s", old);
        if (g_str_equal(json_text(s, "scope"), "user"))
                append_item(note, "of users");
        if (*json_text(s, "package"))
                append_item(note, "from %s", json_text(s, "package"));
        add_strings(note, "drop-in", s, "drop_ins");
        print_row(change, text, note->str);
}

static void add_user_number(GString *out, const char *key, Json *old, Json *new)
{
        uint64_t before, after;

        if (!json_find_uint(new ? new : old, key, &after))
                return;
        if (!new || !old || !json_find_uint(old, key, &before))
                append_item(out, "%s %" PRIu64, key, after);
        else if (before != after)
                append_item(out, "%s %" PRIu64 " → %" PRIu64, key, before, after);
}

/* What was said of none is that there is none. */
static void add_days(GString *out, Json *old, Json *new)
{
        static const struct {
                const char *key, *text;
        } all[] = {{"password_days_min", "password kept for days"},
                   {"password_days_max", "password good for days"},
                   {"password_days_warn", "warned for days"},
                   {"password_days_inactive", "locked after days"}};

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                uint64_t before, after;
                bool had = json_find_uint(old, all[i].key, &before);
                bool has = json_find_uint(new, all[i].key, &after);
                if (has && (!had || before != after))
                        append_item(out, "%s: %" PRIu64, all[i].text, after);
                else if (had && !has)
                        append_item(out, "%s: no limit", all[i].text);
        }
}

static void add_expiry(GString *out, Json *old, Json *new)
{
        uint64_t before, after;
        bool had = old && json_find_uint(old, "expires_day", &before);

        if (!json_find_uint(new, "expires_day", &after)) {
                if (had)
                        append_item(out, "no longer expires");
                return;
        }
        g_autofree char *text = day_format(after);
        if (!had || before != after)
                append_item(out, "expires %s", text);
}

static void print_user(const Digest *d, Json *u)
{
        static const char *const keys[] = {"comment", "home", "shell", "password"};
        g_autoptr(GString) note = g_string_new(NULL);
        Json *old = NULL, *new = NULL;

        (void) d;
        (void) json_find_object(u, "old", &old);
        (void) json_find_object(u, "new", &new);
        if (old || new) {
                add_user_number(note, "uid", old, new);
                add_user_number(note, "gid", old, new);
        }
        for (size_t i = 0; new &&i < G_N_ELEMENTS(keys); i++)
                add_change(note, keys[i], old ? json_text(old, keys[i]) : "",
                           json_text(new, keys[i]));
        if (json_truth(u, "password_changed"))
                append_item(note, "another password");
        if (old && new)
                add_days(note, old, new);
        if (new &&json_truth(new, "password_must_change") &&
            !(old && json_truth(old, "password_must_change")))
                append_item(note, "has to change the password");
        if (new)
                add_expiry(note, old, new);
        add_strings(note, "joined", u, "groups_added");
        add_strings(note, "left", u, "groups_removed");
        print_row(json_text(u, "change"), json_text(u, "name"), note->str);
}

static void print_group(const Digest *d, Json *g)
{
        g_autoptr(GString) note = g_string_new(NULL);
        uint64_t old, new;
        bool had = json_find_uint(g, "old_gid", &old), has = json_find_uint(g, "new_gid", &new);

        (void) d;
        if (had && has && old != new)
                append_item(note, "gid %" PRIu64 " → %" PRIu64, old, new);
        else if (has && !had)
                append_item(note, "gid %" PRIu64, new);
        add_strings(note, "with", g, "members_added");
        add_strings(note, "without", g, "members_removed");
        print_row(json_text(g, "change"), json_text(g, "name"), note->str);
}

/* "/etc/x:3", or without a line. */
static char *format_place(Json *o)
{
        uint64_t line = json_number(o, "line");

        if (line > 0)
                return g_strdup_printf("%s:%" PRIu64, json_text(o, "path"), line);
        return g_strdup(json_text(o, "path"));
}

static void print_sudoers(const Digest *d, Json *s)
{
        g_autofree char *place = format_place(s);

        (void) d;
        print_row(json_text(s, "change"), json_text(s, "text"), place);
}

static void print_cron(const Digest *d, Json *c)
{
        g_autofree char *place = format_place(c);
        const char *schedule = json_text(c, "schedule"), *user = json_text(c, "user");
        g_autofree char *text = g_strdup_printf("%s%s%s%s%s", schedule, *schedule ? "  " : "", user,
                                                *user ? ": " : "", json_text(c, "text"));
        g_autofree char *note = g_strdup_printf("%s, %s", json_text(c, "kind"), place);

        (void) d;
        print_row(json_text(c, "change"), *text ? text : json_text(c, "path"), note);
}

/* "added", "removed" or "changed" by which of two strings there are. */
static const char *change_of(Json *o, const char *old, const char *new)
{
        const char *ignored;
        bool had = json_find_string(o, old, &ignored), has = json_find_string(o, new, &ignored);

        return had && has ? "changed" : has ? "added" : "removed";
}

static void print_setting(const Digest *d, Json *s)
{
        const char *old = json_text(s, "old"), *key = json_text(s, "key");
        const char *change = change_of(s, "old", "new");
        const char *is_or_was = json_text(s, g_str_equal(change, "removed") ? "old" : "new");
        g_autofree char *text = g_strdup_printf("%s%s%s", key, *key ? " = " : "", is_or_was);
        g_autoptr(GString) note = g_string_new(NULL);

        (void) d;
        if (g_str_equal(change, "changed"))
                append_item(note, "was %s", old);
        append_item(note, "%s", json_text(s, "path"));
        print_row(change, text, note->str);
}

static void print_source(const Digest *d, Json *s)
{
        g_autoptr(GString) note = g_string_new(NULL);
        bool enabled;

        (void) d;
        if (g_str_equal(json_text(s, "kind"), "key"))
                append_item(note, "key");
        if (json_find_bool(s, "enabled", &enabled) && !enabled)
                append_item(note, "disabled");
        append_item(note, "%s %s", json_text(s, "manager"), json_text(s, "path"));
        print_row(json_text(s, "change"),
                  *json_text(s, "text") ? json_text(s, "text") : json_text(s, "path"), note->str);
}

static void print_configuration(const Digest *d, Json *c)
{
        g_autoptr(GString) text = g_string_new(NULL), note = g_string_new(NULL);
        Json *changes;

        if (json_find_array(c, "changes", &changes)) {
                size_t n = json_object_array_length(changes);
                for (size_t i = 0; i < MIN(n, PATHS_MAX); i++) {
                        Json *number = json_object_array_get_idx(changes, i);
                        const char *path = digest_path(d, json_object_get_uint64(number));
                        append_item(text, "%s", path ? path : "a file");
                }
                if (n > PATHS_MAX)
                        append_item(text, "and %zu more", n - PATHS_MAX);
        }
        add_strings(note, "of", c, "services");
        if (*json_text(c, "package"))
                append_item(note, "package %s", json_text(c, "package"));
        print_row("changed", text->str, note->str);
}

static void print_finding(const Digest *d, Json *finding)
{
        const char *severity = json_text(finding, "severity"), *package;
        g_autofree char *place = format_place(finding);
        bool warns = g_str_equal(severity, "warning");

        (void) d;
        fputs("  ", stdout);
        colour_print(warns                             ? COLOUR_WARNING
                     : g_str_equal(severity, "notice") ? COLOUR_NOTICE
                                                       : COLOUR_DIM,
                     "! %s", severity);
        colour_print(COLOUR_TITLE, "  %s", place);
        printf("  ");
        colour_print(COLOUR_CHANGED, "%s: ", json_text(finding, "kind"));
        package = json_text(finding, "package");
        print_line("%s%s%s%s", json_text(finding, "text"), *package ? " (package " : "", package,
                   *package ? ")" : "");
}

static void print_filesystem(const Digest *d, Json *fs)
{
        const char *change = json_text(fs, "change");
        g_autofree char *name = filesystem_format(fs);

        (void) d;
        if (*change)
                print_row(change, name, change);
}

static void print_disk(const Digest *d, Json *disk)
{
        g_autofree char *text =
                g_strdup_printf("%s: %s", json_text(disk, "disk"), json_text(disk, "change"));

        (void) d;
        print_row("changed", text, json_text(disk, "reason"));
}

static void print_noise(const Digest *d, Json *n)
{
        (void) d;
        printf("  %8" PRIu64 "  ", json_number(n, "count"));
        print_line("%s: %s", json_text(n, "rule"), json_text(n, "reason"));
}

static void print_not_read(const Digest *d, Json *n)
{
        g_autofree char *part = filesystem_format(n);
        const char *path = json_text(n, "path");

        (void) d;
        fputs("  ", stdout);
        colour_print(COLOUR_WARNING, "? %s", *path ? path : part);
        print_line("  %s", json_text(n, "reason"));
}

static const struct {
        SectionId id;
        const char *title;
        void (*print)(const Digest *d, Json *element);
} sections[] = {
        {SECTION_FINDINGS, "Findings", print_finding},
        {SECTION_PACKAGES, "Packages", print_package},
        {SECTION_SERVICES, "Services", print_service},
        {SECTION_USERS, "Users", print_user},
        {SECTION_GROUPS, "Groups", print_group},
        {SECTION_SUDOERS, "Sudoers", print_sudoers},
        {SECTION_CRON, "Cron and timers", print_cron},
        {SECTION_SYSCTL, "Kernel settings", print_setting},
        {SECTION_SOURCES, "Package sources", print_source},
        {SECTION_KERNEL_COMMAND_LINE, "Kernel command line", print_setting},
        {SECTION_SERVICE_CONFIGURATION, "Service configuration", print_configuration},
        {SECTION_DISKS, "Disks", print_disk},
};

static void print_section(const Digest *d, SectionId id, const char *title,
                          void (*print)(const Digest *d, Json *element))
{
        const Section *section = d->sections + id;
        size_t n = json_object_array_length(section->elements);
        g_autofree char *count = g_strdup_printf("%" PRIu64, section->total);

        if (section->total == 0)
                return;
        diff_print_title(title, count);
        for (size_t i = 0; i < n && !pager_is_gone(); i++)
                print(d, json_object_array_get_idx(section->elements, i));
        if (section->total > n)
                print_line("  and %" PRIu64 " more, which --json has", section->total - n);
}

/* Only those that came, went or moved. */
static void print_filesystems(const Digest *d)
{
        Json *elements = d->sections[SECTION_FILESYSTEMS].elements;
        bool changed = false;

        for (size_t i = 0; i < json_object_array_length(elements) && !changed; i++)
                changed = *json_text(json_object_array_get_idx(elements, i), "change") != '\0';
        if (changed)
                print_section(d, SECTION_FILESYSTEMS, "File systems", print_filesystem);
}

void diff_print_sections(const Digest *d)
{
        for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
                print_section(d, sections[i].id, sections[i].title, sections[i].print);
        print_filesystems(d);
}

void diff_print_rest(const Digest *d)
{
        g_autofree char *noise =
                g_strdup_printf("%" PRIu64 "; --all shows it", d->n_folded[FOLD_NOISE]);
        Json *elements = d->sections[SECTION_NOISE].elements;

        if (d->sections[SECTION_NOISE].total > 0) {
                diff_print_title("Noise", noise);
                for (size_t i = 0; i < json_object_array_length(elements); i++)
                        print_noise(d, json_object_array_get_idx(elements, i));
        }
        print_section(d, SECTION_NOT_READ, "Not read", print_not_read);
}

static void print_findings_line(const Digest *d)
{
        static const char *const severities[] = {"warning", "notice", "info"};
        Json *findings = d->sections[SECTION_FINDINGS].elements;
        g_autoptr(GString) text = g_string_new(NULL);
        unsigned n_warnings = 0;

        for (size_t s = 0; s < G_N_ELEMENTS(severities); s++) {
                unsigned n = 0;
                for (size_t i = 0; i < json_object_array_length(findings); i++)
                        n += g_str_equal(
                                json_text(json_object_array_get_idx(findings, i), "severity"),
                                severities[s]);
                if (n > 0)
                        append_item(text, "%u %s%s", n, severities[s], n > 1 && s < 2 ? "s" : "");
                n_warnings += s == 0 ? n : 0;
        }
        if (text->len == 0)
                return;
        colour_print(n_warnings > 0 ? COLOUR_WARNING : COLOUR_NOTICE, "  ! findings: %s",
                     text->str);
        putchar('\n');
}

void diff_print_summary(const Digest *d, const char *sandbox)
{
        uint64_t n_unread = d->sections[SECTION_NOT_READ].total;
        Json *lines = d->sections[SECTION_SUMMARY].elements;
        g_autofree char *counts = counts_format(&d->counts);

        colour_print(COLOUR_TITLE, "%s: %s → %s", sandbox, d->from, d->to);
        putchar('\n');
        for (size_t i = 0; i < json_object_array_length(lines); i++) {
                Json *line = json_object_array_get_idx(lines, i);
                if (json_object_is_type(line, json_type_string))
                        print_line("  %s", json_object_get_string(line));
        }
        print_findings_line(d);
        if (n_unread > 0) {
                colour_print(COLOUR_WARNING,
                             "  ? not everything was read: %" PRIu64
                             " part%s, see the end and --json",
                             n_unread, n_unread == 1 ? "" : "s");
                putchar('\n');
        }
        colour_print(COLOUR_DIM, "  %s",
                     *counts                     ? counts
                     : digest_has_differences(d) ? "no file that was read differs"
                                                 : "no differences");
        putchar('\n');
}

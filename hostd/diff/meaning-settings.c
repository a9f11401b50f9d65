/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "diff/line-changes.h"
#include "diff/settings.h"

#include <string.h>

#define TEXT_SIZE_MAX 300 /* of a guest's line that is shown */

/* -- sudoers ---------------------------------------------------------------------------------- */

static void find_nopasswd(Meaning *m, const char *path, const LineChange *line)
{
        g_autofree char *shown = span_dup((Span){line->text.bytes, MIN(line->text.size, 200)});
        g_autofree char *text = g_strdup_printf("sudo without a password: %s", shown);

        meaning_find(m, &(Finding){.kind = "sudo-nopasswd",
                                   .severity = SEVERITY_WARNING,
                                   .path = span_of(path),
                                   .line = line->number,
                                   .change = -1,
                                   .text = text});
}

static void compare_sudoers(Meaning *m, const char *path)
{
        unsigned n_added = 0, n_removed = 0;
        g_auto(Pair) pair = {0};

        if (!meaning_read_both(m, path, &pair))
                return;
        g_autoptr(GArray) lines = line_changes(pair.old, pair.new, sudoers_line_counts);
        for (unsigned i = 0; i < lines->len; i++) {
                const LineChange *line = &g_array_index(lines, LineChange, i);
                GString *out = section_open(m, SECTION_SUDOERS);

                n_added += line->added;
                n_removed += !line->added;
                if (line->added && sudoers_is_without_password(line->text))
                        find_nopasswd(m, path, line);
                if (!out)
                        continue;
                json_text_member(out, "path", path);
                json_text_member_uint(out, "line", line->number);
                json_text_member(out, "change", line->added ? "added" : "removed");
                json_text_key(out, "text");
                json_text_printable(out, line->text.bytes, MIN(line->text.size, TEXT_SIZE_MAX));
                section_close(m, SECTION_SUDOERS);
        }
        if (lines->len == 0)
                return;
        meaning_tell_path(m, path);
        const LineChange *first = &g_array_index(lines, LineChange, 0);
        g_autofree char *text = span_dup((Span){first->text.bytes, MIN(first->text.size, 120)});
        if (lines->len == 1)
                meaning_say(m, "sudo rule %s: %s (%s)", first->added ? "added" : "removed", text,
                            path);
        else
                meaning_say(m, "%u sudo rules added, %u removed (%s)", n_added, n_removed, path);
}

static void each_sudoers(Meaning *m, const ChangeCursor *cursor, void *data)
{
        (void) data;
        if (cursor->change.kind == KIND_DIRECTORY || cursor->change.only_time ||
            (!sudoers_is_read(span_basename(change_cursor_path(cursor)))))
                return;
        g_autofree char *path = span_dup(change_cursor_path(cursor));
        compare_sudoers(m, path);
}

/* -- sysctl ----------------------------------------------------------------------------------- */

/* Directories of equally named files: the first wins. */
static const char *const sysctl_directories[] = {"/etc/sysctl.d", "/usr/local/lib/sysctl.d",
                                                 "/usr/lib/sysctl.d", "/lib/sysctl.d"};

typedef struct Setting {
        char *value, *path;
} Setting;

static void free_setting(void *data)
{
        Setting *setting = data;

        g_free(setting->value);
        g_free(setting->path);
        g_free(setting);
}

static void apply_sysctl(Meaning *m, int side, const char *path, GHashTable *settings)
{
        enum { SETTINGS_MAX = 20000 };
        g_autofree char *bytes = NULL;
        Span text, line, value;
        char *key;

        (void) meaning_read(m, side, path, CONFIGURATION_SIZE_MAX, &bytes, &text);
        while (g_hash_table_size(settings) < SETTINGS_MAX && span_next_line(&text, &line)) {
                if (!sysctl_parse_line(line, &key, &value))
                        continue;
                Setting *setting = g_new0(Setting, 1);
                setting->value = span_dup((Span){value.bytes, MIN(value.size, TEXT_SIZE_MAX)});
                setting->path = g_strdup(path);
                g_hash_table_replace(settings, key, setting);
        }
}

/* Key → Setting as the last file that has it says. */
static GHashTable *load_sysctl(Meaning *m, int side)
{
        enum { FILES_MAX = 2000 };
        GHashTable *settings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_setting);
        g_autoptr(GHashTable) files =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        const Entry *entry;

        for (size_t i = 0; i < G_N_ELEMENTS(sysctl_directories); i++) {
                g_autoptr(Directory) listing = meaning_list(m, side, sysctl_directories[i], NULL);

                for (unsigned j = 0; listing && (entry = directory_entry(listing, j)); j++) {
                        Span name = {directory_name(listing, entry), entry->name_length};
                        g_autofree char *base = span_dup(name);

                        if (!span_ends_with(name, ".conf") || names->len >= FILES_MAX ||
                            g_hash_table_contains(files, base))
                                continue;
                        g_ptr_array_add(names, base);
                        char *path = g_strconcat(sysctl_directories[i], "/", base, NULL);
                        g_hash_table_insert(files, TAKE_PTR(base), path);
                }
        }
        g_ptr_array_sort(names, compare_strings);
        for (unsigned i = 0; i < names->len; i++)
                apply_sysctl(m, side, g_hash_table_lookup(files, names->pdata[i]), settings);
        apply_sysctl(m, side, "/etc/sysctl.conf", settings);
        return settings;
}

static void write_sysctl(Meaning *m, const char *key, const Setting *old, const Setting *new)
{
        const Setting *now = new ? new : old;
        GString *out;

        g_assert(now);
        if (new &&old && strcmp(old->value, new->value) == 0)
                return;
        if (old && new)
                meaning_say(m, "sysctl %s is %s instead of %s", key, new->value, old->value);
        else
                meaning_say(m, new ? "sysctl %s is set to %s" : "sysctl %s is no longer set to %s",
                            key, now->value);
        out = section_open(m, SECTION_SYSCTL);
        if (!out)
                return;
        json_text_member(out, "key", key);
        json_text_member(out, "old", old ? old->value : NULL);
        json_text_member(out, "new", new ? new->value : NULL);
        json_text_member(out, "path", now->path);
        section_close(m, SECTION_SYSCTL);
        meaning_tell_path(m, now->path);
}

static void compare_sysctl(Meaning *m)
{
        bool changed = meaning_changed(m, "/etc/sysctl.conf");
        unsigned n_unreadable = m->n_unreadable;
        GHashTableIter iter;
        void *key;

        for (size_t i = 0; i < G_N_ELEMENTS(sysctl_directories); i++)
                changed |= meaning_changed_within(m, sysctl_directories[i]);
        if (!changed)
                return;
        g_autoptr(GHashTable) old = load_sysctl(m, SIDE_OLD), new = load_sysctl(m, SIDE_NEW);
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        if (m->n_unreadable > n_unreadable)
                return;
        g_hash_table_iter_init(&iter, old);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                g_ptr_array_add(keys, key);
        g_hash_table_iter_init(&iter, new);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                if (!g_hash_table_contains(old, key))
                        g_ptr_array_add(keys, key);
        g_ptr_array_sort(keys, compare_strings);
        for (unsigned i = 0; i < keys->len; i++)
                write_sysctl(m, keys->pdata[i], g_hash_table_lookup(old, keys->pdata[i]),
                             g_hash_table_lookup(new, keys->pdata[i]));
}

/* -- kernel command line ---------------------------------------------------------------------- */

static void write_command_line(Meaning *m, const char *path, const char *key, const char *old,
                               const char *new)
{
        GString *out;

        if (g_strcmp0(old, new) == 0)
                return;
        meaning_tell_path(m, path);
        meaning_say(m, "the kernel's command line in %s is '%s' instead of '%s'", path,
                    new ? new : "", old ? old : "");
        out = section_open(m, SECTION_KERNEL_COMMAND_LINE);
        if (!out)
                return;
        json_text_member(out, "path", path);
        json_text_member(out, "key", key);
        json_text_member(out, "old", old);
        json_text_member(out, "new", new);
        section_close(m, SECTION_KERNEL_COMMAND_LINE);
}

/* The last assignment; NULL if there is none. */
static char *find_assignment(Span text, const char *wanted)
{
        Span line, name, value;
        char *found = NULL;

        while (span_next_line(&text, &line)) {
                if (!assignment_parse_line(line, &name, &value) || !span_is(name, wanted))
                        continue;
                g_free(found);
                found = span_dup((Span){value.bytes, MIN(value.size, 2048)});
        }
        return found;
}

static void compare_grub(Meaning *m, const char *path)
{
        static const char *const keys[] = {"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT",
                                           "GRUB_CMDLINE_LINUX_RECOVERY"};
        g_auto(Pair) pair = {0};

        if (!meaning_read_both(m, path, &pair))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autofree char *was = find_assignment(pair.old, keys[i]);
                g_autofree char *is = find_assignment(pair.new, keys[i]);

                write_command_line(m, path, keys[i], was, is);
        }
}

static void each_grub(Meaning *m, const ChangeCursor *cursor, void *data)
{
        (void) data;
        if (cursor->change.kind == KIND_DIRECTORY ||
            !span_ends_with(change_cursor_path(cursor), ".cfg"))
                return;
        g_autofree char *path = span_dup(change_cursor_path(cursor));
        compare_grub(m, path);
}

/* NULL where there is no such file. */
static char *one_line(const char *bytes, Span text)
{
        char *line = bytes ? span_dup((Span){text.bytes, MIN(text.size, 2048)}) : NULL;

        return line ? g_strstrip(g_strdelimit(line, "\r\n", ' ')) : NULL;
}

static void compare_command_lines(Meaning *m)
{
        static const char *const path = "/etc/kernel/cmdline";
        g_auto(Pair) pair = {0};

        if (meaning_changed(m, "/etc/default/grub"))
                compare_grub(m, "/etc/default/grub");
        meaning_foreach_within(m, "/etc/default/grub.d", each_grub, NULL);
        if (!meaning_changed(m, path) || !meaning_read_both(m, path, &pair))
                return;
        g_autofree char *old = one_line(pair.bytes[SIDE_OLD], pair.old);
        g_autofree char *new = one_line(pair.bytes[SIDE_NEW], pair.new);
        write_command_line(m, path, NULL, old, new);
}

void meaning_settings(Meaning *m)
{
        if (meaning_changed(m, "/etc/sudoers"))
                compare_sudoers(m, "/etc/sudoers");
        meaning_foreach_within(m, "/etc/sudoers.d", each_sudoers, NULL);
        compare_sysctl(m);
        compare_command_lines(m);
}

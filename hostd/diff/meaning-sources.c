/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "diff/package-source.h"

#include <string.h>

typedef GPtrArray *(*Parser)(Span text);

static void write_source(Meaning *m, const char *manager, const char *kind, const char *change,
                         const char *path, const char *text, bool enabled)
{
        GString *out = section_open(m, SECTION_SOURCES);

        if (!out)
                return;
        json_text_member(out, "manager", manager);
        json_text_member(out, "kind", kind);
        json_text_member(out, "change", change);
        json_text_member(out, "path", path);
        json_text_member(out, "text", text);
        json_text_member_bool(out, "enabled", enabled);
        section_close(m, SECTION_SOURCES);
}

/* Those of `a` whose text `b` does not have are gone or new; those that it has may be switched. */
static bool compare_half(Meaning *m, const char *manager, const char *path, const GPtrArray *a,
                         GHashTable *b, const char *change)
{
        bool found = false;

        for (unsigned i = 0; i < a->len; i++) {
                const PackageSource *source = a->pdata[i];
                const PackageSource *other = g_hash_table_lookup(b, source->text);

                if (!other) {
                        write_source(m, manager, "source", change, path, source->text,
                                     source->enabled);
                        meaning_say(m, "package source %s: %s", change, source->text);
                } else if (other->enabled != source->enabled && strcmp(change, "added") == 0) {
                        write_source(m, manager, "source", "changed", path, source->text,
                                     source->enabled);
                        meaning_say(m, "package source %s: %s",
                                    source->enabled ? "enabled" : "disabled", source->text);
                } else {
                        continue;
                }
                found = true;
        }
        return found;
}

static GHashTable *by_text(const GPtrArray *list)
{
        GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < list->len; i++) {
                PackageSource *source = list->pdata[i];

                g_hash_table_replace(table, source->text, source);
        }
        return table;
}

static void compare_file(Meaning *m, const char *manager, const char *path, Parser parse)
{
        g_auto(Pair) pair = {0};

        if (!meaning_read_both(m, path, &pair))
                return;
        g_autoptr(GPtrArray) old = parse(pair.old), new = parse(pair.new);
        g_autoptr(GHashTable) old_texts = by_text(old), new_texts = by_text(new);

        bool found = compare_half(m, manager, path, old, new_texts, "removed");
        found |= compare_half(m, manager, path, new, old_texts, "added");
        if (found)
                meaning_tell_path(m, path);
}

static void each_source(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Span path = change_cursor_path(cursor);

        (void) data;
        if (cursor->change.kind == KIND_DIRECTORY || cursor->change.only_time)
                return;
        g_autofree char *name = span_dup(path);
        if (span_ends_with(path, ".list"))
                compare_file(m, "apt", name, sources_parse_list);
        else if (span_ends_with(path, ".sources"))
                compare_file(m, "apt", name, sources_parse_deb822);
        else if (span_ends_with(path, ".repo"))
                compare_file(m, "dnf", name, sources_parse_repo);
}

static void each_key(Meaning *m, const ChangeCursor *cursor, void *data)
{
        const Change *change = &cursor->change;
        const char *word = change->change == CHANGE_ADDED     ? "added"
                           : change->change == CHANGE_REMOVED ? "removed"
                                                              : "changed";

        if (change->kind == KIND_DIRECTORY || change->only_time ||
            span_ends_with(change_cursor_path(cursor), "~"))
                return;
        g_autofree char *path = span_dup(change_cursor_path(cursor));
        write_source(m, data, "key", word, path, path, true);
        if (meaning_owner(m, cursor->index))
                return;
        g_autofree char *text = g_strdup_printf("a key that packages are trusted by was %s", word);
        meaning_find(m, &(Finding){.kind = "package-key",
                                   .severity = SEVERITY_NOTICE,
                                   .path = change_cursor_path(cursor),
                                   .change = cursor->index,
                                   .text = text});
        meaning_tell(m, cursor->index);
        meaning_say(m, "key of a package source %s: %s", word, path);
}

void meaning_write_key(Meaning *m, const char *change, const char *path, const char *text)
{
        write_source(m, "dnf", "key", change, path, text, true);
        meaning_say(m, "key of a package source %s: %s", change, text);
}

void meaning_sources(Meaning *m)
{
        static const char *const keys[][2] = {
                {"/etc/apt/trusted.gpg.d", "apt"}, {"/etc/apt/trusted.gpg", "apt"},
                {"/etc/apt/keyrings", "apt"},      {"/usr/share/keyrings", "apt"},
                {"/etc/pki/rpm-gpg", "dnf"},
        };

        if (meaning_changed(m, "/etc/apt/sources.list"))
                compare_file(m, "apt", "/etc/apt/sources.list", sources_parse_list);
        meaning_foreach_within(m, "/etc/apt/sources.list.d", each_source, NULL);
        meaning_foreach_within(m, "/etc/yum.repos.d", each_source, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                meaning_foreach_within(m, keys[i][0], each_key, (void *) keys[i][1]);
}

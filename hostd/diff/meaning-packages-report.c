/* SPDX-License-Identifier: MIT */

/* What is said of the packages that changed, of their services' configuration, and of files that
 * differ from what a package brought. */

#include "diff/meaning-packages.h"

#include "base/cleanup.h"
#include "diff/deb822.h"

#include <string.h>

#define STATES_SIZE_MAX (16 << 20)

/* -- packages --------------------------------------------------------------------------------- */

/* "automatic" of apt: name → GINT_TO_POINTER(1 + automatic). */
static GHashTable *read_automatic(Meaning *m)
{
        GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autofree char *bytes = NULL;
        Span text, stanza, name, value;

        (void) meaning_read(m, SIDE_NEW, "/var/lib/apt/extended_states", STATES_SIZE_MAX, &bytes,
                            &text);
        while (g_hash_table_size(table) < PACKAGES_MAX && deb822_next_stanza(&text, &stanza))
                if (deb822_find(stanza, "Package", &name) &&
                    deb822_find(stanza, "Auto-Installed", &value))
                        g_hash_table_replace(table, span_dup(name),
                                             GINT_TO_POINTER(span_is(value, "1") ? 2 : 1));
        return table;
}

static void mark_automatic(Meaning *m)
{
        GHashTable *table = NULL;

        for (unsigned i = 0; i < m->owners->len; i++) {
                Owner *owner = m->owners->pdata[i];

                if (owner->manager != MANAGER_DPKG || g_strcmp0(owner->change, "added") != 0)
                        continue;
                table = table ? table : read_automatic(m);
                int known = GPOINTER_TO_INT(g_hash_table_lookup(table, owner_name(owner)));
                owner->automatic_known = true;
                owner->automatic = known == 2;
        }
        if (table)
                g_hash_table_unref(table);
}

/* For each owner the changes that are folded under it: one pass, in the order of the owners. */
static GArray **gather_changes(Meaning *m)
{
        GArray **lists = g_new0(GArray *, m->owners->len + 1);

        for (unsigned i = 0; i < m->n; i++) {
                if (m->owner[i] == NO_OWNER)
                        continue;
                GArray **list = &lists[m->owner[i]];
                if (!*list)
                        *list = g_array_new(FALSE, FALSE, sizeof(unsigned));
                g_array_append_val(*list, i);
        }
        return lists;
}

static void write_indices(GString *out, const GArray *list)
{
        json_text_key(out, "changes");
        g_string_append_c(out, '[');
        for (unsigned i = 0; list && i < list->len; i++)
                g_string_append_printf(out, "%s%u", i > 0 ? "," : "",
                                       g_array_index(list, unsigned, i));
        g_string_append_c(out, ']');
}

static const char *version_of(const Package *package)
{
        return package && package_is_present(package) ? package->version : NULL;
}

static void write_package(Meaning *m, const Owner *owner, const GArray *list)
{
        GString *out = section_open(m, SECTION_PACKAGES);
        const Package *old = owner->old, *new = owner->new;

        if (!out)
                return;
        json_text_member(out, "manager", package_manager_to_string(owner->manager));
        json_text_member(out, "name", owner_name(owner));
        json_text_member(out, "architecture", owner_package(owner)->architecture);
        json_text_member(out, "change", owner->change);
        json_text_member(out, "old_version", version_of(old));
        json_text_member(out, "new_version", version_of(new));
        json_text_member(out, "old_state", old ? package_state_to_string(old->state) : NULL);
        json_text_member(out, "new_state", new ? package_state_to_string(new->state) : NULL);
        if (owner->automatic_known)
                json_text_member_bool(out, "automatic", owner->automatic);
        json_text_member_uint(out, "files", list ? list->len : 0);
        write_indices(out, list);
        section_close(m, SECTION_PACKAGES);
}

static void write_packages(Meaning *m)
{
        GArray **lists = gather_changes(m);

        for (unsigned i = 0; i < m->owners->len; i++) {
                const Owner *owner = m->owners->pdata[i];

                if (owner->change)
                        write_package(m, owner, lists[i]);
                if (lists[i])
                        g_array_unref(lists[i]);
        }
        g_free(lists);
}

/* -- what services are configured with -------------------------------------------------------- */

/* The package whose service a changed file in /etc is for: its owner, or that of the nearest
 * directory. */
static Owner *configured_package(Meaning *m, unsigned change, Span path)
{
        Owner *owner = m->owner[change] == NO_OWNER ? NULL : m->owners->pdata[m->owner[change]];

        if (owner && owner->units)
                return owner;
        for (path = span_dirname(path); path.size > strlen("/etc"); path = span_dirname(path)) {
                g_autofree char *key = span_dup(path);

                owner = g_hash_table_lookup(m->etc_directories, key);
                if (owner && owner->units)
                        return owner;
        }
        return NULL;
}

static bool is_generic(Span path)
{
        static const char *const generic[] = {"/etc/systemd/", "/etc/init.d/",   "/etc/rc",
                                              "/etc/cron",     "/etc/udev/",     "/etc/dbus-1/",
                                              "/etc/pam.d/",   "/etc/sysctl.d/", "/etc/default/"};

        for (size_t i = 0; i < G_N_ELEMENTS(generic); i++)
                if (span_starts_with(path, generic[i]))
                        return true;
        return false;
}

typedef struct Configured {
        GHashTable *lists; /* Owner → GArray of unsigned */
} Configured;

static void collect_configured(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Configured *configured = data;
        Span path = change_cursor_path(cursor);
        Owner *owner;

        if (m->noise[cursor->index] != NOT_NOISE || cursor->change.kind == KIND_DIRECTORY ||
            (is_generic(path) && !span_starts_with(path, "/etc/default/")))
                return;
        owner = configured_package(m, cursor->index, path);
        /* What a package brought is its own; what it found changed is not. */
        if (!owner || (owner->change && m->owner[cursor->index] == owner->index))
                return;
        GArray *list = g_hash_table_lookup(configured->lists, owner);
        if (!list) {
                list = g_array_new(FALSE, FALSE, sizeof(unsigned));
                g_hash_table_insert(configured->lists, owner, list);
        }
        g_array_append_val(list, cursor->index);
}

static void write_service_configuration(Meaning *m)
{
        Configured configured = {g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                                       (GDestroyNotify) g_array_unref)};

        meaning_foreach_within(m, "/etc", collect_configured, &configured);
        for (unsigned i = 0; i < m->owners->len; i++) {
                const Owner *owner = m->owners->pdata[i];
                const GArray *list = g_hash_table_lookup(configured.lists, owner);
                GString *out = list ? section_open(m, SECTION_SERVICE_CONFIGURATION) : NULL;

                if (!out)
                        continue;
                json_text_member(out, "package", owner_name(owner));
                json_text_key(out, "services");
                g_string_append_c(out, '[');
                for (unsigned j = 0; j < owner->units->len; j++) {
                        const char *unit = owner->units->pdata[j];

                        json_text_comma(out);
                        json_text_printable(out, unit, strlen(unit));
                }
                g_string_append_c(out, ']');
                write_indices(out, list);
                section_close(m, SECTION_SERVICE_CONFIGURATION);
        }
        g_hash_table_unref(configured.lists);
}

/* -- findings --------------------------------------------------------------------------------- */

static void find_package_file(Meaning *m, const ChangeCursor *cursor, const Owner *owner)
{
        static const char *const words[_CHANGE_MAX] = {
                [CHANGE_ADDED] = "appeared",
                [CHANGE_REMOVED] = "was removed",
                [CHANGE_MODIFIED] = "was changed",
                [CHANGE_METADATA] = "has another mode, owner or attributes",
                [CHANGE_TYPE] = "became something else",
        };
        bool conffile = m->conffile[cursor->index];
        g_autofree char *text =
                g_strdup_printf("%s of package %s %s", conffile ? "a configuration file" : "a file",
                                owner_name(owner), words[cursor->change.change]);

        if (cursor->change.only_time)
                return;
        meaning_find(m, &(Finding){
                                .kind = conffile ? "conffile" : "package-file",
                                .severity = conffile ? SEVERITY_INFO : SEVERITY_NOTICE,
                                .path = change_cursor_path(cursor),
                                .package = owner_name(owner),
                                .change = cursor->index,
                                .text = text,
                        });
}

static void find_package_files(Meaning *m)
{
        g_auto(ChangeCursor) cursor = change_cursor(m->changes, 0);

        while (change_cursor_next(&cursor)) {
                const Owner *owner = meaning_owner(m, cursor.index);

                if (owner && !owner->change)
                        find_package_file(m, &cursor, owner);
        }
}

void packages_report(Meaning *m)
{
        mark_automatic(m);
        write_packages(m);
        write_service_configuration(m);
        find_package_files(m);
}

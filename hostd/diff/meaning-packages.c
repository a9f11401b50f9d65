/* SPDX-License-Identifier: MIT */
#include "diff/meaning-packages.h"

#include "base/cleanup.h"
#include "diff/owned-files.h"
#include "diff/version.h"

#include <string.h>

#define STATUS          "/var/lib/dpkg/status"
#define STATUS_D        "/var/lib/dpkg/status.d"
#define INFO            "/var/lib/dpkg/info"
#define STATUS_SIZE_MAX (16 << 20)
#define LIST_SIZE_MAX   (16 << 20)
#define STATUS_D_MAX    10000
#define UNITS_MAX       8
#define DIRECTORIES_MAX 20000

static void free_owner(void *data)
{
        Owner *owner = data;

        if (owner->units)
                g_ptr_array_unref(owner->units);
        g_free(owner);
}

static Owner *add_owner(Meaning *m, PackageManager manager, const Package *old, const Package *new)
{
        Owner *owner = g_new0(Owner, 1);

        owner->manager = manager;
        owner->old = old;
        owner->new = new;
        owner->index = m->owners->len;
        g_ptr_array_add(m->owners, owner);
        return owner;
}

/* -- reading ---------------------------------------------------------------------------------- */

/* Distroless images have a file a package. All texts are kept, one after the other. */
static void load_status_d(Meaning *m, int side, GPtrArray *packages)
{
        g_autoptr(Directory) directory = meaning_list(m, side, STATUS_D, NULL);
        GString *text = g_string_new(m->status_text[side]);

        for (unsigned i = 0; directory && i < STATUS_D_MAX && directory_entry(directory, i); i++) {
                const Entry *entry = directory_entry(directory, i);
                Span name = {directory_name(directory, entry), entry->name_length}, one;
                g_autofree char *bytes = NULL, *base = span_dup(name);
                g_autofree char *path = g_strconcat(STATUS_D "/", base, NULL);

                if (span_ends_with(name, ".md5sums") || text->len > STATUS_SIZE_MAX ||
                    !meaning_read(m, side, path, CONFIGURATION_SIZE_MAX, &bytes, &one))
                        continue;
                g_string_append_len(text, one.bytes, (gssize) one.size);
                g_string_append(text, "\n\n");
        }
        g_free(m->status_text[side]);
        size_t size = text->len;
        m->status_text[side] = g_string_free(text, FALSE);
        (void) package_parse_status((Span){m->status_text[side], size}, true, packages);
}

static void load_dpkg(Meaning *m, int side)
{
        g_autoptr(Directory) status_d = meaning_list(m, side, STATUS_D, NULL);
        GPtrArray *packages = package_list_new();
        bool complete = true;
        Span text;

        if (meaning_read(m, side, STATUS, STATUS_SIZE_MAX, &m->status_text[side], &text))
                complete = package_parse_status(text, false, packages);
        else if (status_d)
                load_status_d(m, side, packages);
        if (!complete)
                report_path_not_read(m->report, STATUS, strlen(STATUS),
                                     "it has more packages than can be true");
        package_list_sort(packages);
        m->packages[side] = packages;
}

/* -- comparing -------------------------------------------------------------------------------- */

static const char *change_of(PackageManager manager, const Package *old, const Package *new)
{
        bool was = package_is_present(old), is = package_is_present(new);

        if (!was && !is) {
                bool had = old && old->state == STATE_CONFIG_FILES;
                bool has = new &&new->state == STATE_CONFIG_FILES;

                return had == has ? NULL : "state";
        }
        if (!old || !new || was != is)
                return is ? "added" : "removed";
        int order = manager == MANAGER_DPKG
                            ? version_compare_dpkg(span_of(old->version), span_of(new->version))
                            : version_compare_rpm(span_of(old->version), span_of(new->version));
        if (order == 0 && strcmp(old->version, new->version) != 0)
                order = -1;
        if (order != 0)
                return order < 0 ? "upgraded" : "downgraded";
        if (old->install_time != new->install_time)
                return "reinstalled";
        return old->state == new->state ? NULL : "state";
}

void packages_compare(Meaning *m, PackageManager manager, const GPtrArray *old,
                      const GPtrArray *new)
{
        unsigned i = 0, j = 0;

        while (i < old->len || j < new->len) {
                const Package *a = i < old->len ? old->pdata[i] : NULL;
                const Package *b = j < new->len ? new->pdata[j] : NULL;
                int order = !a ? 1 : !b ? -1 : package_compare(a, b);
                const char *change;

                a = order <= 0 ? a : NULL;
                b = order >= 0 ? b : NULL;
                change = change_of(manager, a, b);
                if (change)
                        add_owner(m, manager, a, b)->change = change;
                i += order <= 0;
                j += order >= 0;
        }
}

/* -- which package a changed file belongs to -------------------------------------------------- */

typedef struct Attribution {
        Meaning *m;
        PathRules rules;
        Filesystem *info_fs;
        Directory *info; /* of the side that is read; NULL if there is none */
        int side;
} Attribution;

static bool is_unit_path(Span path)
{
        Span name = span_basename(path);

        return (span_starts_with(path, "/usr/lib/systemd/system/") ||
                span_starts_with(path, "/lib/systemd/system/")) &&
               (span_ends_with(name, ".service") || span_ends_with(name, ".socket"));
}

/* Lists have a unit twice where /lib is a link. */
static void add_unit(GPtrArray **units, Span path)
{
        Span name = span_basename(path);

        if (!*units)
                *units = g_ptr_array_new_with_free_func(g_free);
        for (unsigned i = 0; i < (*units)->len; i++)
                if (span_is(name, (*units)->pdata[i]))
                        return;
        if ((*units)->len < UNITS_MAX)
                g_ptr_array_add(*units, span_dup(name));
}

static Owner *claim_owner(Claim *claim)
{
        if (!claim->owner)
                claim->owner = add_owner(claim->m, claim->manager, claim->old, claim->new);
        return claim->owner;
}

bool claim_path(Claim *claim, Span path, unsigned *ret_change)
{
        Meaning *m = claim->m;
        bool claimed = false;
        unsigned i;

        if (is_unit_path(path))
                add_unit(&claim->units, path);
        if (change_list_find(m->changes, path, &i) && m->owner[i] == NO_OWNER &&
            m->noise[i] == NOT_NOISE) {
                m->owner[i] = claim_owner(claim)->index;
                m->n_unowned--;
                *ret_change = i;
                claimed = true;
        }
        if (span_starts_with(path, "/etc/") && g_hash_table_size(m->etc_directories) > 0) {
                g_autofree char *key = span_dup(path);

                if (g_hash_table_contains(m->etc_directories, key))
                        g_ptr_array_add(claim->directories, TAKE_PTR(key));
        }
        return claimed;
}

/* A directory below /etc belongs to the first package that ships both it and a unit. */
void claim_end(Claim *claim)
{
        Meaning *m = claim->m;

        for (unsigned i = 0; claim->units && i < claim->directories->len; i++)
                if (!g_hash_table_lookup(m->etc_directories, claim->directories->pdata[i]))
                        g_hash_table_replace(m->etc_directories,
                                             g_strdup(claim->directories->pdata[i]),
                                             claim_owner(claim));
        if (claim->owner && claim->units && !claim->owner->units)
                claim->owner->units = TAKE_PTR(claim->units);
        if (claim->units)
                g_ptr_array_unref(claim->units);
        g_ptr_array_unref(claim->directories);
}

Claim claim_begin(Meaning *m, PackageManager manager, const Package *old, const Package *new,
                  Owner *owner)
{
        return (Claim){m, manager, old, new, owner, NULL, g_ptr_array_new_with_free_func(g_free)};
}

static bool read_inode(Attribution *a, uint32_t ino, char **ret, Span *ret_text)
{
        g_autoptr(Content) content = NULL;
        Filesystem *fs = a->info_fs;
        LookupFile file;

        if (lookup_inode(fs, ino, &file, NULL) < 0 || file.attributes.kind != KIND_FILE ||
            lookup_open(fs, &file, &content, NULL) < 0 || content_size(content) > LIST_SIZE_MAX)
                return false;
        size_t size;
        if (content_load(content, ret, &size, NULL) < 0)
                return false;
        *ret_text = (Span){*ret, size};
        return true;
}

/* NAME.list, or NAME:ARCHITECTURE.list of packages that several architectures may have. */
static bool read_list(Attribution *a, const Package *package, char **ret, Span *ret_text)
{
        g_autofree char *plain = g_strconcat(package->name, ".list", NULL);
        g_autofree char *long_name =
                g_strconcat(package->name, ":", package->architecture, ".list", NULL);
        const Entry *entry = NULL;

        if (a->info)
                entry = directory_find(a->info, long_name, strlen(long_name));
        if (a->info && !entry)
                entry = directory_find(a->info, plain, strlen(plain));
        return entry && read_inode(a, entry->inode, ret, ret_text);
}

/* dpkg's Conffiles: lines of " PATH HASH". */
static bool is_conffile(const Package *package, Span path)
{
        Span lines = package->conffiles, line, word;

        while (span_next_line(&lines, &line))
                if (span_next_word(&line, &word) && span_equal(word, path))
                        return true;
        return false;
}

/* "HASH  usr/bin/x" */
static void claim_md5sums(Attribution *a, Claim *claim, const Package *package)
{
        g_autofree char *path = g_strconcat(STATUS_D "/", package->name, ".md5sums", NULL);
        g_autofree char *bytes = NULL;
        unsigned change;
        Span text, line, hash;

        if (!meaning_read(a->m, a->side, path, LIST_SIZE_MAX, &bytes, &text))
                return;
        while (span_next_line(&text, &line)) {
                if (!span_next_word(&line, &hash))
                        continue;
                g_autofree char *rest = span_dup(span_trim(line));
                g_autofree char *full = g_strconcat("/", rest, NULL);
                (void) claim_path(claim, path_rules_apply(&a->rules, span_of(full), package->name),
                                  &change);
        }
}

static void attribute(Attribution *a, const Package *package, const Package *old,
                      const Package *new, Owner *owner)
{
        Claim claim = claim_begin(a->m, MANAGER_DPKG, old, new, owner);
        g_autofree char *bytes = NULL;
        unsigned change;
        Span text, line;

        if (package->from_status_d)
                claim_md5sums(a, &claim, package);
        else if (read_list(a, package, &bytes, &text))
                while (span_next_line(&text, &line))
                        if (claim_path(&claim, path_rules_apply(&a->rules, line, package->name),
                                       &change))
                                a->m->conffile[change] = is_conffile(package, line);
        claim_end(&claim);
}

static Attribution attribution_of(Meaning *m, int side)
{
        Attribution a = {.m = m, .side = side};
        g_autofree char *bytes = NULL;
        Span text;

        (void) meaning_read(m, side, "/var/lib/dpkg/diversions", CONFIGURATION_SIZE_MAX, &bytes,
                            &text);
        a.rules = path_rules(m->trees[side], text);
        a.info = meaning_list(m, side, INFO, &a.info_fs);
        return a;
}

static void attribution_done(Attribution *a)
{
        path_rules_done(&a->rules);
        (void) directory_free(a->info);
}

/* Packages that changed come first: a directory belongs to many. */
static void attribute_changed(Attribution *a)
{
        for (unsigned i = 0; i < a->m->owners->len; i++) {
                Owner *owner = a->m->owners->pdata[i];
                const Package *package = a->side == SIDE_NEW ? owner->new : owner->old;

                if (owner->manager == MANAGER_DPKG && owner->change && package)
                        attribute(a, package, owner->old, owner->new, owner);
        }
}

GHashTable *packages_changed(const Meaning *m, PackageManager manager, int side)
{
        GHashTable *set = g_hash_table_new(g_direct_hash, g_direct_equal);

        for (unsigned i = 0; i < m->owners->len; i++) {
                const Owner *owner = m->owners->pdata[i];
                const Package *package = side == SIDE_NEW ? owner->new : owner->old;

                if (owner->manager == manager && owner->change && package)
                        g_hash_table_add(set, (void *) package);
        }
        return set;
}

static void attribute_unchanged(Attribution *a)
{
        GHashTable *changed = packages_changed(a->m, MANAGER_DPKG, a->side);
        const GPtrArray *packages = a->m->packages[a->side];

        for (unsigned i = 0; i < packages->len && a->m->n_unowned > 0; i++) {
                const Package *package = packages->pdata[i];

                if (package->state >= STATE_CONFIG_FILES &&
                    !g_hash_table_contains(changed, package))
                        attribute(a, package, package, package, NULL);
        }
        g_hash_table_unref(changed);
}

static void attribute_dpkg(Meaning *m)
{
        if (m->packages[SIDE_NEW]->len == 0 && m->packages[SIDE_OLD]->len == 0)
                return;
        Attribution new = attribution_of(m, SIDE_NEW), old = attribution_of(m, SIDE_OLD);
        attribute_changed(&new);
        attribute_changed(&old);
        attribute_unchanged(&new);
        attribution_done(&new);
        attribution_done(&old);
}

/* The directories, two or more below /, that changed files in /etc are in. */
static void collect_directory(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Span path = change_cursor_path(cursor);

        (void) data;
        if (m->noise[cursor->index] != NOT_NOISE)
                return;
        for (path = span_dirname(path); path.size > strlen("/etc"); path = span_dirname(path)) {
                g_autofree char *key = span_dup(path);

                if (g_hash_table_size(m->etc_directories) >= DIRECTORIES_MAX ||
                    g_hash_table_contains(m->etc_directories, key))
                        break;
                g_hash_table_insert(m->etc_directories, TAKE_PTR(key), NULL);
        }
}

/* Of what changed as a package is folded only what belongs to one that changed. */
static void unfold_unchanged(Meaning *m)
{
        for (unsigned i = 0; i < m->n; i++) {
                const Owner *owner = meaning_owner(m, i);

                if (owner && !owner->change)
                        m->owner[i] = NO_OWNER;
        }
}

void meaning_packages(Meaning *m)
{
        m->owners = g_ptr_array_new_with_free_func(free_owner);
        m->etc_directories = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        unsigned n_unreadable = m->n_unreadable;
        load_dpkg(m, SIDE_NEW);
        if (meaning_changed(m, STATUS) || meaning_changed_within(m, STATUS_D))
                load_dpkg(m, SIDE_OLD);
        else
                m->packages[SIDE_OLD] = g_ptr_array_ref(m->packages[SIDE_NEW]);
        if (m->n_unreadable == n_unreadable)
                packages_compare(m, MANAGER_DPKG, m->packages[SIDE_OLD], m->packages[SIDE_NEW]);
        meaning_foreach_within(m, "/etc", collect_directory, NULL);
        attribute_dpkg(m);
        meaning_rpm(m);
        packages_report(m);
        unfold_unchanged(m);
}

void meaning_packages_done(Meaning *m)
{
        for (unsigned i = 0; i < 2; i++) {
                if (m->packages[i])
                        g_ptr_array_unref(m->packages[i]);
                if (m->rpms[i])
                        g_ptr_array_unref(m->rpms[i]);
                g_free(m->status_text[i]);
        }
        if (m->owners)
                g_ptr_array_unref(m->owners);
        if (m->etc_directories)
                g_hash_table_unref(m->etc_directories);
}

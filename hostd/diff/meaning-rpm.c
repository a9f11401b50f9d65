/* SPDX-License-Identifier: MIT */
#include "diff/meaning-packages.h"

#include "base/cleanup.h"
#include "diff/owned-files.h"
#include "diff/rpm-header.h"
#include "diff/sqlite-file.h"

#include <string.h>

#define HEADER_SIZE_MAX (16 << 20)
#define KEYS_MAX        1000

static const char *const directories[] = {"/usr/lib/sysimage/rpm", "/var/lib/rpm"};

/* What is in a file of the database is known by this: a row is never written in place. */
typedef struct Row {
        int64_t id;
        uint64_t size;
        uint64_t hash; /* of its first bytes */
} Row;

/* One side's database; `file` is NULL where there is none. */
typedef struct Database {
        Meaning *m;
        int side;
        char *path;
        Content *content, *log;
        SqliteFile *file;
        uint32_t root;
        GArray *rows;          /* of Row, by id */
        GHashTable *different; /* ids of rows that the other side does not have so */
        GHashTable *packages;  /* id → Package of those */
        GPtrArray *keys;       /* versions of the keys among those */
        bool failed;           /* it is there, and cannot be read */
        PathRules rules;
} Database;

static int read_content(void *data, uint64_t offset, void *buffer, size_t size)
{
        return content_read(data, offset, buffer, size, NULL);
}

static Content *open_file(Meaning *m, int side, const char *path)
{
        Content *content = NULL;
        MeaningFile found = {0};

        if (meaning_lookup(m, side, path, true, &found, NULL) < 0 ||
            lookup_open(found.fs, &found.file, &content, NULL) < 0)
                return NULL;
        return content;
}

static void not_read(Database *d, const Fault *f)
{
        d->failed = true;
        report_path_not_read(d->m->report, d->path, strlen(d->path), f->message);
}

static SqliteSource source_of(Content *content)
{
        return (SqliteSource){read_content, content, content ? content_size(content) : 0};
}

static void open_database(Database *d)
{
        Fault fault = {0};

        for (size_t i = 0; !d->content && i < G_N_ELEMENTS(directories); i++) {
                g_free(d->path);
                d->path = g_strconcat(directories[i], "/rpmdb.sqlite", NULL);
                d->content = open_file(d->m, d->side, d->path);
        }
        if (!d->content)
                return;
        g_autofree char *log = g_strconcat(d->path, "-wal", NULL);
        d->log = open_file(d->m, d->side, log);
        int r = sqlite_file_open(source_of(d->content), source_of(d->log), &d->file, &fault);
        if (r == 0)
                r = sqlite_file_find_table(d->file, "Packages", &d->root, &fault);
        if (r < 0) {
                not_read(d, &fault);
                d->file = sqlite_file_free(d->file);
                return;
        }
        d->rules = path_rules(d->m->trees[d->side], (Span){"", 0});
}

static void database_done(Database *d)
{
        (void) sqlite_file_free(d->file);
        (void) content_free(d->content);
        (void) content_free(d->log);
        g_array_unref(d->rows);
        g_hash_table_unref(d->different);
        g_hash_table_unref(d->packages);
        g_ptr_array_unref(d->keys);
        path_rules_done(&d->rules);
        g_free(d->path);
}

static uint64_t hash_bytes(const uint8_t *bytes, size_t size)
{
        uint64_t hash = UINT64_C(14695981039346656037);

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
        return hash;
}

static int collect_row(SqliteFile *file, const SqliteRow *sqlite_row, void *data, Fault *f)
{
        Database *d = data;
        Row row = {sqlite_row->id, sqlite_row->size,
                   hash_bytes(sqlite_row->local, sqlite_row->local_size)};

        (void) file;
        if (d->rows->len >= PACKAGES_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "it has more packages than can be true");
        g_array_append_val(d->rows, row);
        return 0;
}

static void collect_rows(Database *d)
{
        Fault fault = {0};

        if (d->file && sqlite_file_foreach(d->file, d->root, collect_row, d, &fault) < 0)
                not_read(d, &fault);
}

static void *id_key(int64_t id)
{
        return GSIZE_TO_POINTER((gsize) id);
}

/* Ids are given once and never again, unless the database was rebuilt: then sizes and first bytes
 * tell that a row is another. */
static void compare_rows(Database *old, Database *new)
{
        unsigned i = 0, j = 0;

        while (i < old->rows->len || j < new->rows->len) {
                const Row *a = i < old->rows->len ? &g_array_index(old->rows, Row, i) : NULL;
                const Row *b = j < new->rows->len ? &g_array_index(new->rows, Row, j) : NULL;
                bool take_a = a && (!b || a->id <= b->id), take_b = b && (!a || b->id <= a->id);

                if (take_a && take_b && a->size == b->size && a->hash == b->hash) {
                        i++;
                        j++;
                        continue;
                }
                if (take_a)
                        g_hash_table_add(old->different, id_key(a->id));
                if (take_b)
                        g_hash_table_add(new->different, id_key(b->id));
                i += take_a;
                j += take_b;
        }
}

/* The header of a row: its blob is the second column. */
static bool read_header(SqliteFile *file, const SqliteRow *row, uint8_t **ret_bytes, RpmHeader *ret)
{
        const uint8_t *blob;
        size_t size;

        return sqlite_file_read_row(file, row, HEADER_SIZE_MAX, ret_bytes, NULL) == 0 &&
               sqlite_record_bytes(*ret_bytes, (size_t) row->size, 1, &blob, &size) &&
               rpm_header_parse(blob, size, ret);
}

/* Keys are kept as packages without a file; they are no packages to people. */
static bool is_key(const Package *package)
{
        return strcmp(package->name, "gpg-pubkey") == 0;
}

static int load_package(SqliteFile *file, const SqliteRow *row, void *data, Fault *f)
{
        g_autofree uint8_t *bytes = NULL;
        Database *d = data;
        RpmHeader header;

        (void) f;
        if (!g_hash_table_contains(d->different, id_key(row->id)) ||
            !read_header(file, row, &bytes, &header))
                return 0;
        Package *package = rpm_header_to_package(&header);
        if (!package)
                return 0;
        if (is_key(package)) {
                if (d->keys->len < KEYS_MAX)
                        g_ptr_array_add(d->keys, g_strdup(package->version));
                (void) package_free(package);
                return 0;
        }
        package->number = (uint64_t) row->id;
        g_ptr_array_add(d->m->rpms[d->side], package);
        g_hash_table_insert(d->packages, id_key(row->id), package);
        return 0;
}

static void load_packages(Database *d)
{
        Fault fault = {0};

        if (d->file && g_hash_table_size(d->different) > 0 &&
            sqlite_file_foreach(d->file, d->root, load_package, d, &fault) < 0)
                not_read(d, &fault);
        package_list_sort(d->m->rpms[d->side]);
}

/* -- whose files ------------------------------------------------------------------------------ */

typedef struct Pass {
        Database *d;
        GHashTable *owners; /* Package → Owner of those that changed */
        bool changed;       /* only packages that changed; else only the others */
} Pass;

typedef struct Claiming {
        Claim *claim;
        PathRules *rules;
        const char *name;
} Claiming;

static void claim_file(Span path, bool is_configuration, void *data)
{
        Claiming *claiming = data;
        unsigned change;

        path = path_rules_apply(claiming->rules, path, claiming->name);
        if (claim_path(claiming->claim, path, &change))
                claiming->claim->m->conffile[change] = is_configuration;
}

static void claim_header(Pass *pass, const RpmHeader *header, const Package *old,
                         const Package *new, Owner *owner)
{
        Database *d = pass->d;
        Claim claim = claim_begin(d->m, MANAGER_RPM, old, new, owner);

        rpm_header_foreach_file(header, claim_file,
                                &(Claiming){&claim, &d->rules, (new ? new : old)->name});
        claim_end(&claim);
}

static int claim_row(SqliteFile *file, const SqliteRow *row, void *data, Fault *f)
{
        Pass *pass = data;
        Database *d = pass->d;
        g_autofree uint8_t *bytes = NULL;
        const Package *known = g_hash_table_lookup(d->packages, id_key(row->id));
        Owner *owner = known ? g_hash_table_lookup(pass->owners, known) : NULL;
        RpmHeader header;

        (void) f;
        if ((owner != NULL) != pass->changed)
                return 0;
        if (d->m->n_unowned == 0)
                return 1;
        if (!read_header(file, row, &bytes, &header))
                return 0;
        if (owner) {
                claim_header(pass, &header, owner->old, owner->new, owner);
                return 0;
        }
        /* It is kept where it turns out to own something. */
        Package *package = rpm_header_to_package(&header);
        if (!package || is_key(package)) {
                (void) package_free(package);
                return 0;
        }
        unsigned before = d->m->owners->len;
        claim_header(pass, &header, package, package, NULL);
        if (d->m->owners->len > before)
                g_ptr_array_add(d->m->rpms[d->side], package);
        else
                (void) package_free(package);
        return 0;
}

static GHashTable *owners_by_package(const Meaning *m, int side)
{
        GHashTable *table = g_hash_table_new(g_direct_hash, g_direct_equal);

        for (unsigned i = 0; i < m->owners->len; i++) {
                Owner *owner = m->owners->pdata[i];
                const Package *package = side == SIDE_NEW ? owner->new : owner->old;

                if (owner->manager == MANAGER_RPM && owner->change && package)
                        g_hash_table_insert(table, (void *) package, owner);
        }
        return table;
}

static void attribute(Database *d, bool changed)
{
        g_autoptr(GHashTable) owners = owners_by_package(d->m, d->side);
        Pass pass = {d, owners, changed};
        Fault fault = {0};

        if (d->file && d->m->n_unowned > 0 && (!changed || g_hash_table_size(owners) > 0) &&
            sqlite_file_foreach(d->file, d->root, claim_row, &pass, &fault) < 0)
                not_read(d, &fault);
}

/* -- formats that are not read ---------------------------------------------------------------- */

static void report_other_formats(Meaning *m)
{
        static const struct {
                const char *name, *reason;
        } others[] = {
                {"Packages",
                 "rpm's database is kept in Berkeley DB, which is not read: packages are "
                 "not compared"},
                {"Packages.db",
                 "rpm's database is kept in its ndb format, which is not read: packages "
                 "are not compared"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(others); j++) {
                        g_autofree char *path =
                                g_strconcat(directories[i], "/", others[j].name, NULL);

                        if (meaning_changed(m, path))
                                report_path_not_read(m->report, path, strlen(path),
                                                     others[j].reason);
                }
}

static bool database_changed(const Meaning *m)
{
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                if (meaning_changed_within(m, directories[i]))
                        return true;
        return false;
}

static bool has_key(const GPtrArray *keys, const char *version)
{
        for (unsigned i = 0; i < keys->len; i++)
                if (strcmp(keys->pdata[i], version) == 0)
                        return true;
        return false;
}

/* rpm keeps the keys that it trusts as packages that have no files. */
static void report_keys(const Database *a, const Database *b, const char *change)
{
        for (unsigned i = 0; i < a->keys->len; i++) {
                g_autofree char *text =
                        g_strconcat("gpg-pubkey-", (char *) a->keys->pdata[i], NULL);

                if (!has_key(b->keys, a->keys->pdata[i]))
                        meaning_write_key(a->m, change, a->path, text);
        }
}

static Database database_of(Meaning *m, int side)
{
        m->rpms[side] = package_list_new();
        return (Database){
                .m = m,
                .side = side,
                .rows = g_array_new(FALSE, FALSE, sizeof(Row)),
                .different = g_hash_table_new(g_direct_hash, g_direct_equal),
                .packages = g_hash_table_new(g_direct_hash, g_direct_equal),
                .keys = g_ptr_array_new_with_free_func(g_free),
        };
}

void meaning_rpm(Meaning *m)
{
        Database old = database_of(m, SIDE_OLD), new = database_of(m, SIDE_NEW);
        bool changed = database_changed(m);

        report_other_formats(m);
        open_database(&new);
        if (changed) {
                open_database(&old);
                collect_rows(&old);
                collect_rows(&new);
        }
        if (changed && !old.failed && !new.failed) {
                compare_rows(&old, &new);
                load_packages(&old);
                load_packages(&new);
                report_keys(&old, &new, "removed");
                report_keys(&new, &old, "added");
                packages_compare(m, MANAGER_RPM, m->rpms[SIDE_OLD], m->rpms[SIDE_NEW]);
        }
        attribute(&new, true);
        attribute(&old, true);
        attribute(&new, false);
        database_done(&old);
        database_done(&new);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* All that a manager has made, as text: what nothing may be left of, and what may not change. */

#include "tests/core/fixture.h"

static inline int compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static inline void describe_tree(GString *world, const char *path, const char *below)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory)))
                if (!g_str_has_prefix(name, "fluid.db"))
                        g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, compare_names);
        for (guint i = 0; i < names->len; i++) {
                g_autofree char *deeper = g_build_filename(path, names->pdata[i], NULL);
                g_autofree char *shown = g_build_filename(below, names->pdata[i], NULL);

                g_string_append_printf(world, "file %s\n", shown);
                if (g_file_test(deeper, G_FILE_TEST_IS_DIR))
                        describe_tree(world, deeper, shown);
        }
}

static inline void describe_sandboxes(GString *world)
{
        static const char *const states[] = {"absent", "shut off", "paused", "running", "crashed"};
        g_autoptr(GPtrArray) rows = NULL;

        need(store_load_sandboxes(fixture.manager->store, &rows, &fixture.fault), "load");
        for (guint i = 0; i < rows->len; i++) {
                const SandboxRow *row = rows->pdata[i];
                const Sandbox *s =
                        g_hash_table_lookup(fixture.manager->objects[OBJECT_SANDBOX], row->id.text);
                g_autofree char *disk = fake_host_disk(row->id.text, 0);

                g_string_append_printf(
                        world, "sandbox %s: %s, is %s, layer %u on '%s', expires %" PRIu64 "\n",
                        row->name, row->state,
                        s ? sandbox_state_to_string(s->state) : "unknown to us", row->layer,
                        row->head_snapshot_id.text, row->expires_usec);
                g_string_append_printf(world, "its domain: %s, writes to %s%s\n",
                                       states[fake_host_domain(row->id.text)],
                                       disk ? disk : "nothing",
                                       fake_host_is_frozen(row->id.text) ? ", frozen" : "");
        }
}

static inline void describe_rows(GString *world)
{
        Store *store = fixture.manager->store;
        g_autoptr(GPtrArray) templates = NULL, snapshots = NULL, commands = NULL;

        need(store_load_templates(store, &templates, &fixture.fault), "load");
        need(store_load_snapshots(store, &snapshots, &fixture.fault), "load");
        need(store_load_commands(store, &commands, &fixture.fault), "load");
        for (guint i = 0; i < templates->len; i++) {
                const TemplateRow *row = templates->pdata[i];

                g_string_append_printf(world, "template %s: %s\n", row->name, row->state);
        }
        for (guint i = 0; i < snapshots->len; i++) {
                const SnapshotRow *row = snapshots->pdata[i];

                g_string_append_printf(world, "snapshot %s: %s, layer %u on '%s'\n",
                                       row->name ? row->name : "(hidden)", row->state, row->layer,
                                       row->parent_id.text);
        }
        for (guint i = 0; i < commands->len; i++) {
                const CommandRow *row = commands->pdata[i];

                g_string_append_printf(world, "command %s: %s\n", row->argv, row->state);
        }
}

/* Freed by the caller. Without the trail, and without layer numbers that were never used. */
static inline char *describe_world(void)
{
        GString *world = g_string_new(NULL);

        describe_tree(world, fixture.directory, "");
        describe_sandboxes(world);
        describe_rows(world);
        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++)
                g_string_append_printf(world, "objects of kind %u: %u\n", kind,
                                       g_hash_table_size(fixture.manager->objects[kind]));
        g_string_append_printf(world, "domains: %u\nprograms in guests: %u\n", fake_host_domains(),
                               fake_host_processes());
        return g_string_free(world, FALSE);
}

static inline void show_difference(const char *before, const char *after)
{
        g_auto(GStrv) old = g_strsplit(before, "\n", -1), new = g_strsplit(after, "\n", -1);

        for (size_t i = 0; old[i]; i++)
                if (!g_strv_contains((const char *const *) new, old[i]))
                        tap_note("- %s", old[i]);
        for (size_t i = 0; new[i]; i++)
                if (!g_strv_contains((const char *const *) old, new[i]))
                        tap_note("+ %s", new[i]);
}

/* One case; what differs is shown. */
static inline bool is_same_world(const char *before, const char *what)
{
        g_autofree char *after = describe_world();
        bool is_same = tap_ok(g_str_equal(before, after), "%s", what);

        if (!is_same)
                show_difference(before, after);
        return is_same;
}

/* -- the trail -------------------------------------------------------------------------------- */

typedef struct Trail {
        const char *kind, *phase, *error; /* NULL: any */
        unsigned n;
        char *last; /* "phase error" of the last that matched */
        GHashTable *open;
        bool is_paired;
} Trail;

static inline int count_row(const AuditRow *row, void *userdata)
{
        Trail *t = userdata;

        if ((t->kind && !g_str_equal(row->kind, t->kind)) ||
            (t->phase && !g_str_equal(row->phase, t->phase)) ||
            (t->error && !g_str_equal(row->error, t->error)))
                return 0;
        t->n++;
        g_free(t->last);
        t->last = g_strdup_printf("%s%s%s", row->phase, *row->error ? " " : "", row->error);
        return 0;
}

static inline void read_trail(Trail *t)
{
        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, count_row, t,
                               &fixture.fault),
             "audit");
}

static inline unsigned count_audit(const char *kind, const char *phase, const char *error)
{
        Trail t = {.kind = kind, .phase = phase, .error = error};

        read_trail(&t);
        g_free(t.last);
        return t.n;
}

/* How the last row of that kind reads: "failed Busy". */
static inline char *last_audit(const char *kind)
{
        Trail t = {.kind = kind};

        read_trail(&t);
        return t.last ? t.last : g_strdup("none");
}

static inline int pair_row(const AuditRow *row, void *userdata)
{
        g_autofree char *key = g_strdup_printf("%s %s", row->kind, row->object);
        Trail *t = userdata;
        int begun = GPOINTER_TO_INT(g_hash_table_lookup(t->open, key));

        if (g_str_equal(row->phase, "begin"))
                begun++;
        else if (!g_str_equal(row->phase, "refused"))
                begun--;
        if (begun < 0) {
                tap_note("%s has ended before it began", key);
                t->is_paired = false;
        }
        (void) g_hash_table_replace(t->open, TAKE_PTR(key), GINT_TO_POINTER(begun));
        return 0;
}

/* Whether every call in the trail that began has ended, and once. */
static inline bool is_trail_paired(void)
{
        g_autoptr(GHashTable) open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Trail t = {.open = open, .is_paired = true};
        GHashTableIter i;
        gpointer key, begun;

        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, pair_row, &t,
                               &fixture.fault),
             "audit");
        g_hash_table_iter_init(&i, open);
        while (g_hash_table_iter_next(&i, &key, &begun)) {
                if (GPOINTER_TO_INT(begun) <= 0)
                        continue;
                tap_note("%s has not ended", (char *) key);
                t.is_paired = false;
        }
        return t.is_paired;
}

/* -- whether it fits together ----------------------------------------------------------------- */

/* For a manager that has settled, on a libvirt that answers. Notes what does not fit. */
typedef struct Check {
        bool fits;
} Check;

__attribute__((format(printf, 3, 4))) static inline void expect(Check *c, bool good,
                                                                const char *format, ...)
{
        va_list args;

        if (good)
                return;
        c->fits = false;
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        tap_note("%s", text);
}

/* The names in a directory are those of the objects in the table. */
static inline void check_names(Check *c, const char *path, ObjectKind kind)
{
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;
        guint n = 0;

        while (directory && (name = g_dir_read_name(directory))) {
                expect(c, g_hash_table_contains(fixture.manager->objects[kind], name),
                       "%s/%s is orphaned", path, name);
                n++;
        }
        expect(c, n == g_hash_table_size(fixture.manager->objects[kind]), "%s has %u entries", path,
               n);
}

static inline void check_command_files(Check *c, const Sandbox *s)
{
        g_autofree char *path = sandbox_file(s->manager, s->row->id.text, "commands");
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        expect(c, directory != NULL, "%s is missing", path);
        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *id = g_strndup(name, ID_LENGTH);

                expect(c, g_hash_table_contains(s->manager->objects[OBJECT_COMMAND], id),
                       "%s/%s is orphaned", path, name);
        }
}

static inline bool is_layer_of(const Sandbox *s, unsigned layer)
{
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        bool is_known = layer == s->row->layer;

        for (guint i = 0; i < snapshots->len; i++)
                is_known |= ((Snapshot *) snapshots->pdata[i])->row->layer == layer;
        return is_known;
}

static inline void check_layers(Check *c, const Sandbox *s)
{
        g_autofree char *path = sandbox_directory(s->manager, s->row->id.text);
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;
        guint n = 0;

        while (directory && (name = g_dir_read_name(directory))) {
                unsigned layer;

                if (sscanf(name, "%9u-vda.qcow2", &layer) != 1)
                        continue;
                expect(c, is_layer_of(s, layer), "layer %s is nobody's", name);
                n++;
        }
        expect(c, n == snapshots->len + 1, "%u layers for %u snapshots", n, snapshots->len);
        for (guint i = 0; i < snapshots->len; i++) {
                const SnapshotRow *row = ((Snapshot *) snapshots->pdata[i])->row;

                expect(c, row->name != NULL, "a hidden snapshot is left");
                expect(c, g_str_equal(row->state, "ready"), "snapshot %s is %s", row->name,
                       row->state);
        }
}

static inline void check_sandbox(Check *c, const Sandbox *s)
{
        const char *id = s->row->id.text;
        g_autofree char *disk = fake_host_disk(id, 0);
        g_autofree char *layer = sandbox_layer_path(s->manager, id, s->row->layer, "vda");
        DomainState domain = fake_host_domain(id);

        expect(c,
               s->state == SANDBOX_READY || s->state == SANDBOX_STOPPED ||
                       s->state == SANDBOX_FAILED,
               "sandbox %s is %s", s->row->name, sandbox_state_to_string(s->state));
        expect(c, (s->state == SANDBOX_READY) == (domain == DOMAIN_RUNNING),
               "sandbox %s is %s, and its domain is not", s->row->name,
               sandbox_state_to_string(s->state));
        expect(c, !s->operation, "sandbox %s is still being %s", s->row->name, s->operation);
        expect(c, !fake_host_is_frozen(id), "sandbox %s is frozen", s->row->name);
        expect(c, !s->stop_entry && !s->create_entry, "a call for sandbox %s has not ended",
               s->row->name);
        if (domain == DOMAIN_ABSENT)
                return;
        expect(c, g_strcmp0(disk, layer) == 0, "sandbox %s writes to %s, not %s", s->row->name,
               disk, layer);
        check_layers(c, s);
        check_command_files(c, s);
}

static inline void check_commands(Check *c)
{
        g_autoptr(GPtrArray) commands = manager_list(fixture.manager, OBJECT_COMMAND);
        unsigned n = 0;

        for (guint i = 0; i < commands->len; i++)
                n += !command_has_ended(commands->pdata[i]);
        expect(c, n == fake_host_processes(), "%u commands run, but %u programs", n,
               fake_host_processes());
}

static inline bool is_world_consistent(void)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);
        g_autoptr(GPtrArray) templates = manager_list(fixture.manager, OBJECT_TEMPLATE);
        g_autofree char *directories = g_build_filename(fixture.directory, "s/sandboxes", NULL);
        g_autofree char *images = g_build_filename(fixture.directory, "s/templates", NULL);
        g_autofree char *sockets = g_build_filename(fixture.directory, "r", NULL);
        unsigned domains = 0;
        Check c = {true};

        for (guint i = 0; i < templates->len; i++) {
                const TemplateRow *row = ((Template *) templates->pdata[i])->row;

                expect(&c, g_str_equal(row->state, "ready"), "template %s is %s", row->name,
                       row->state);
                for (guint j = 0; j < row->disks->len; j++) {
                        const TemplateDiskRow *disk = row->disks->pdata[j];

                        expect(&c, g_file_test(disk->path, G_FILE_TEST_EXISTS), "%s is missing",
                               disk->path);
                }
        }
        for (guint i = 0; i < sandboxes->len; i++) {
                check_sandbox(&c, sandboxes->pdata[i]);
                domains += fake_host_domain(((Sandbox *) sandboxes->pdata[i])->row->id.text) !=
                           DOMAIN_ABSENT;
        }
        expect(&c, fake_host_domains() == domains, "%u domains for %u sandboxes",
               fake_host_domains(), domains);
        check_names(&c, images, OBJECT_TEMPLATE);
        check_names(&c, directories, OBJECT_SANDBOX);
        check_names(&c, sockets, OBJECT_SANDBOX);
        check_commands(&c);
        return c.fits;
}

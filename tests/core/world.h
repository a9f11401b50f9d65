/* SPDX-License-Identifier: MIT */
#pragma once

/* All that a manager has made, as text: what nothing may be left of, and what may not change. */

#include "core/isolation-private.h"
#include "core/playbook-private.h"
#include "tests/core/calls.h"

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

/* What it ought to have, and has. */
static inline void describe_network(GString *world, const SandboxRow *row)
{
        g_autofree char *rules = fake_host_rules(row->id.text);
        const Sandbox *s =
                g_hash_table_lookup(fixture.manager->objects[OBJECT_SANDBOX], row->id.text);
        SandboxNetwork network = {.state = "unknown", .reason = ""};
        bool has_cable = false;

        if (s)
                sandbox_network(s, &network);
        g_string_append_printf(world, "its network: %s%s, is %s%s, rules '%s', %u interfaces%s\n",
                               row->network, row->ports, network.state, network.reason,
                               rules ? rules : "", fake_host_nics(row->id.text),
                               fake_host_nic(row->id.text, network.mac, &has_cable) && has_cable
                                       ? ", connected"
                                       : "");
}

static inline void describe_sandboxes(GString *world)
{
        static const char *const states[] = {"absent", "shut off", "loading", "paused",
                                             "halted", "running",  "crashed"};
        g_autoptr(GPtrArray) rows = NULL;

        need(store_load_sandboxes(fixture.manager->store, &rows, &fixture.fault), "load");
        for (guint i = 0; i < rows->len; i++) {
                const SandboxRow *row = rows->pdata[i];
                const Sandbox *s =
                        g_hash_table_lookup(fixture.manager->objects[OBJECT_SANDBOX], row->id.text);
                g_autofree char *disk = fake_host_disk(row->id.text, 0);

                g_string_append_printf(
                        world,
                        "sandbox %s%s: %s, is %s%s, layer %u%s on '%s', expires %" PRIu64 "\n",
                        row->purpose, row->name, row->state,
                        s ? sandbox_state_to_string(s->state) : "unknown to us",
                        row->needs_identity ? " another" : "", row->layer,
                        row->is_flat ? " flat" : "", row->head_snapshot_id.text, row->expires_usec);
                g_autofree char *memory = fake_host_memory(row->id.text);
                DomainState domain = fake_host_domain(row->id.text);
                g_string_append_printf(
                        world, "its domain: %s, writes to %s, has '%s' in its memory%s\n",
                        states[domain], disk ? disk : "nothing",
                        domain == DOMAIN_RUNNING || domain_stands_still(domain) ? memory : "",
                        fake_host_is_frozen(row->id.text) ? ", frozen" : "");
                describe_network(world, row);
        }
}

static inline void describe_rows(GString *world)
{
        Store *store = fixture.manager->store;
        g_autoptr(GPtrArray) templates = NULL, snapshots = NULL, commands = NULL, approvals = NULL,
                             playbooks = NULL;

        need(store_load_templates(store, &templates, &fixture.fault), "load");
        need(store_load_snapshots(store, &snapshots, &fixture.fault), "load");
        need(store_load_commands(store, &commands, &fixture.fault), "load");
        need(store_load_approvals(store, &approvals, &fixture.fault), "load");
        need(store_load_playbooks(store, &playbooks, &fixture.fault), "load");
        for (guint i = 0; i < playbooks->len; i++) {
                const PlaybookRow *row = playbooks->pdata[i];

                g_string_append_printf(world, "playbook %s: from %s to %s, %s, %s %s\n", row->name,
                                       row->from_name, row->to_name, row->sha256, row->verified,
                                       row->residual);
        }
        for (guint i = 0; i < templates->len; i++) {
                const TemplateRow *row = templates->pdata[i];

                g_string_append_printf(world, "template %s: %s%s, pool %u\n", row->name, row->state,
                                       row->is_warm ? " and warm" : "", row->pool);
        }
        for (guint i = 0; i < snapshots->len; i++) {
                const SnapshotRow *row = snapshots->pdata[i];

                g_string_append_printf(world, "snapshot %s: %s%s, layer %u%s on '%s'\n",
                                       row->name ? row->name : "(hidden)", row->state,
                                       row->memory_abi ? " with memory" : "", row->layer,
                                       row->is_flat ? " flat" : "", row->parent_id.text);
        }
        for (guint i = 0; i < commands->len; i++) {
                const CommandRow *row = commands->pdata[i];

                g_string_append_printf(world, "command %s: %s\n", row->argv, row->state);
        }
        for (guint i = 0; i < approvals->len; i++) {
                const ApprovalRow *row = approvals->pdata[i];

                g_string_append_printf(world, "approval of %s: %s, of %s, by %u, '%s' '%s'\n",
                                       row->action, row->state, row->sha256, row->decided_by_uid,
                                       row->alternative, row->comment);
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
        Trail *t = userdata;
        gpointer seq = GSIZE_TO_POINTER(row->begin_seq);

        if (g_str_equal(row->phase, "begin")) {
                char *what = g_strdup_printf("%s %s", row->kind, row->object);
                (void) g_hash_table_insert(t->open, GSIZE_TO_POINTER(row->seq), what);
        } else if (row->begin_seq > 0 && !g_hash_table_remove(t->open, seq)) {
                tap_note("row %" PRIu64 ", %s, ends what did not begin", row->seq, row->kind);
                t->is_paired = false;
        } else if (row->begin_seq == 0 && g_str_equal(row->phase, "failed")) {
                tap_note("row %" PRIu64 ", %s, has no beginning", row->seq, row->kind);
                t->is_paired = false;
        }
        return 0;
}

/* Whether every call in the trail that began has ended, and once. */
static inline bool is_trail_paired(void)
{
        g_autoptr(GHashTable) open = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        Trail t = {.open = open, .is_paired = true};
        GHashTableIter i;
        gpointer seq, what;

        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, pair_row, &t,
                               &fixture.fault),
             "audit");
        g_hash_table_iter_init(&i, open);
        while (g_hash_table_iter_next(&i, &seq, &what)) {
                tap_note("row %zu, %s, has not ended", GPOINTER_TO_SIZE(seq), (char *) what);
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

/* The names in a directory are those of the objects in the table, but for sockets of units. */
static inline void check_names(Check *c, const char *path, ObjectKind kind)
{
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;
        guint n = 0;

        while (directory && (name = g_dir_read_name(directory))) {
                if (g_str_has_suffix(name, ".socket"))
                        continue;
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

/* The point of the sandbox in that layer, or NULL. */
static inline const Snapshot *point_in(const Sandbox *s, unsigned layer)
{
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);

        for (guint i = 0; i < snapshots->len; i++)
                if (((Snapshot *) snapshots->pdata[i])->row->layer == layer)
                        return snapshots->pdata[i];
        return NULL;
}

static inline bool is_on_disk(const Sandbox *s)
{
        return s->state == SANDBOX_PAUSED && fake_host_domain(s->row->id.text) == DOMAIN_SHUT_OFF;
}

static inline bool has_suffix_of_memory(const char *name)
{
        return g_str_has_suffix(name, ".ram") || g_str_has_suffix(name, ".state") ||
               g_str_has_suffix(name, ".xml");
}

/* Nothing is in its directory that no row speaks of. */
static inline void check_files(Check *c, const Sandbox *s)
{
        g_autofree char *path = sandbox_directory(s->manager, s->row->id.text);
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        unsigned layers = 0, images = 0, memories = 0, paused = 0, layer;
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                if (sscanf(name, "%9u-vda.qcow2", &layer) == 1 &&
                    g_str_has_suffix(name, "-vda.qcow2")) {
                        expect(c, layer == s->row->layer || point_in(s, layer),
                               "layer %s is nobody's", name);
                        layers++;
                } else if (has_suffix_of_memory(name) && sscanf(name, "%9u.", &layer) == 1) {
                        expect(c, point_in(s, layer) && point_in(s, layer)->row->memory_abi,
                               "memory %s is nobody's", name);
                        images++;
                } else if (g_str_has_prefix(name, "paused.") && has_suffix_of_memory(name)) {
                        paused++;
                } else {
                        expect(c, g_str_equal(name, "commands") || g_str_equal(name, "nvram"),
                               "file %s is nobody's", name);
                }
        }
        for (guint i = 0; i < snapshots->len; i++)
                memories += ((Snapshot *) snapshots->pdata[i])->row->memory_abi != NULL;
        expect(c, layers == snapshots->len + 1, "%u layers for %u snapshots", layers,
               snapshots->len);
        expect(c, images == 3 * memories, "%u files of memory for %u snapshots", images, memories);
        expect(c, paused == (is_on_disk(s) ? 2 : 0), "%u files of a memory on disk", paused);
}

/* The layer stands on the layer of that point, or on the template; as a way to there it is no
 * longer than the rows say. */
static inline void check_chain(Check *c, const Sandbox *s, unsigned layer, const Snapshot *below,
                               bool is_flat, unsigned depth)
{
        const TemplateDiskRow *base = s->template->row->disks->pdata[0];
        g_autofree char *at = sandbox_layer_path(s->manager, s->row->id.text, layer, "vda");
        g_autofree char *wanted =
                below ? sandbox_layer_path(s->manager, s->row->id.text, below->row->layer, "vda")
                      : NULL;
        g_autofree char *first = fake_host_backing(at);
        unsigned n = 0;

        expect(c, g_strcmp0(first, base->path) == 0 || (!is_flat && g_strcmp0(first, wanted) == 0),
               "layer %u of sandbox %s stands on %s", layer, s->row->name, first);
        while (at && !g_str_equal(at, base->path)) {
                char *next = fake_host_backing(at);

                expect(c, g_file_test(at, G_FILE_TEST_EXISTS), "%s is missing", at);
                g_free(at);
                at = next;
                n++;
        }
        expect(c, at != NULL, "layer %u of sandbox %s does not stand on its template", layer,
               s->row->name);
        expect(c, n <= depth, "layer %u of sandbox %s is %u deep, not %u", layer, s->row->name, n,
               depth);
}

static inline void check_layers(Check *c, const Sandbox *s)
{
        g_autoptr(GPtrArray) snapshots = snapshot_list(s);
        unsigned most = (unsigned) s->manager->config->chain_depth_max;

        check_files(c, s);
        check_chain(c, s, s->row->layer, snapshot_head(s), s->row->is_flat, sandbox_depth(s));
        expect(c, sandbox_depth(s) <= most, "sandbox %s is %u deep", s->row->name,
               sandbox_depth(s));
        for (guint i = 0; i < snapshots->len; i++) {
                const Snapshot *p = snapshots->pdata[i];

                expect(c, p->row->name != NULL, "a hidden snapshot is left");
                expect(c, g_str_equal(p->row->state, "ready"), "snapshot %s is %s", p->row->name,
                       p->row->state);
                expect(c, p->readers == 0, "snapshot %s is still read", p->row->name);
                check_chain(c, s, p->row->layer, snapshot_by_id(s->manager, p->row->parent_id.text),
                            p->row->is_flat, snapshot_depth(p));
        }
}

static inline bool is_state_of(const Sandbox *s, DomainState domain)
{
        switch (s->state) {
        case SANDBOX_READY:
                return domain == DOMAIN_RUNNING;
        case SANDBOX_PAUSED:
                return domain_stands_still(domain) || domain == DOMAIN_SHUT_OFF;
        case SANDBOX_STOPPED:
                return domain == DOMAIN_SHUT_OFF || domain == DOMAIN_CRASHED;
        case SANDBOX_FAILED:
                return domain == DOMAIN_SHUT_OFF || domain == DOMAIN_CRASHED ||
                       domain == DOMAIN_ABSENT;
        case SANDBOX_CREATING:
        case SANDBOX_STARTING:
        case SANDBOX_UNKNOWN:
        case SANDBOX_DESTROYING:
        case _SANDBOX_STATE_MAX:
                break;
        }
        return false;
}

static inline bool is_tap_right(const SandboxNetwork *network)
{
        uint8_t mac[MAC_SIZE];
        Link link;

        need(mac_parse(network->mac, mac, &fixture.fault), network->mac);
        mac[0] = 0xfe;
        return fake_host_link(network->interface, &link) && link.is_up && link.is_isolated &&
               g_str_equal(link.master, "fluidbr0") && memcmp(link.mac, mac, MAC_SIZE) == 0;
}

/* Whoever has a network has its rules, and, where it can be used, its NIC with the cable in. */
static inline void check_network(Check *c, const Sandbox *s)
{
        const char *id = s->row->id.text, *name = s->row->name;
        g_autofree char *rules = fake_host_rules(id), *wanted = NULL;
        bool has_nic, has_cable = false;
        SandboxNetwork network;

        sandbox_network(s, &network);
        expect(c, !s->is_cut_off, "sandbox %s is cut off: %s", name, network.reason);
        if (!s->row->address_number) {
                expect(c, !rules, "sandbox %s has no network, and rules: %s", name, rules);
                expect(c, fake_host_nics(id) == 0, "sandbox %s has no network, and an interface",
                       name);
                return;
        }
        wanted = g_strdup_printf("%s %s %s", network.address, network.mac, s->row->network);
        expect(c, rules && g_str_has_prefix(rules, wanted), "the rules of %s are '%s', not '%s'",
               name, rules ? rules : "", wanted);
        has_nic = fake_host_nic(id, network.mac, &has_cable);
        expect(c, fake_host_nics(id) == has_nic, "sandbox %s has %u interfaces", name,
               fake_host_nics(id));
        expect(c, s->has_nic == (has_nic && has_cable), "sandbox %s is %s, and its NIC is not",
               name, network.state);
        expect(c, s->state != SANDBOX_READY || s->has_nic, "sandbox %s has no NIC: %s", name,
               network.reason);
        expect(c, !has_nic || is_tap_right(&network), "the tap of sandbox %s is not right", name);
}

/* No rules but of sandboxes, and no address twice. */
static inline void check_networks(Check *c)
{
        g_autoptr(GPtrArray) sandboxes = isolation_sandboxes(fixture.manager);
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        g_autofree char *leak = fake_host_leak(), *leaked = fake_host_leaked();

        expect(c, !leak, "%s", leak);
        expect(c, !leaked, "at some time %s", leaked);
        expect(c, fake_host_count_rules() == sandboxes->len, "%u rules for %u sandboxes",
               fake_host_count_rules(), sandboxes->len);
        for (guint i = 0; i < sandboxes->len; i++) {
                const Sandbox *s = sandboxes->pdata[i];

                expect(c, g_hash_table_add(seen, GUINT_TO_POINTER(s->row->address_number)),
                       "sandbox %s has another one's address", s->row->name);
        }
}

static inline bool is_network_right(void *userdata)
{
        (void) userdata;
        return !fixture.manager->isolation->retry;
}

/* Those that wait for libvirtd go on when it is back. */
static inline bool is_nothing_verified(void *userdata)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_PLAYBOOK);

        (void) userdata;
        for (guint i = 0; i < list->len; i++)
                if (((const Playbook *) list->pdata[i])->verification)
                        return false;
        return true;
}

/* What is tried again after a while was tried. */
static inline void settle_networks(void)
{
        if (hypervisor_is_connected(fixture.manager->hypervisor))
                network_plug_all(fixture.manager);
        settle();
        if (!until(is_network_right, NULL))
                tap_bail_out("rules are not put right");
        if (!until(is_nothing_verified, NULL))
                tap_bail_out("a verification does not end");
        settle();
}

static inline void check_sandbox(Check *c, const Sandbox *s)
{
        const char *id = s->row->id.text;
        g_autofree char *disk = fake_host_disk(id, 0);
        g_autofree char *layer = sandbox_layer_path(s->manager, id, s->row->layer, "vda");
        DomainState domain = fake_host_domain(id);

        expect(c, is_state_of(s, domain), "sandbox %s is %s, and its domain is %d", s->row->name,
               sandbox_state_to_string(s->state), domain);
        expect(c, (s->state == SANDBOX_PAUSED) == (s->row->paused_usec != 0),
               "sandbox %s is %s, paused since %" PRIu64, s->row->name,
               sandbox_state_to_string(s->state), s->row->paused_usec);
        expect(c, !s->operation, "sandbox %s is still being %s", s->row->name, s->operation);
        expect(c, !s->is_flattening || fake_host_jobs() > 0, "sandbox %s is still being flattened",
               s->row->name);
        expect(c, s->state != SANDBOX_READY || (!s->row->needs_identity && !s->renewal),
               "sandbox %s is ready, but not itself yet", s->row->name);
        expect(c, !fake_host_is_frozen(id), "sandbox %s is frozen", s->row->name);
        expect(c, !s->stop_entry && !s->create_entry, "a call for sandbox %s has not ended",
               s->row->name);
        expect(c, s->is_announced == !sandbox_is_hidden(s), "sandbox %s is known, or is not",
               s->row->name);
        check_network(c, s);
        if (domain == DOMAIN_ABSENT)
                return;
        expect(c, g_strcmp0(disk, layer) == 0, "sandbox %s writes to %s, not %s", s->row->name,
               disk, layer);
        check_layers(c, s);
        check_command_files(c, s);
}

/* What was written is what the objects say. */
static inline void check_rows(Check *c)
{
        g_autoptr(GPtrArray) rows = NULL;

        need(store_load_sandboxes(fixture.manager->store, &rows, &fixture.fault), "load");
        for (guint i = 0; i < rows->len; i++) {
                const SandboxRow *old = rows->pdata[i], *row;
                const Sandbox *s =
                        g_hash_table_lookup(fixture.manager->objects[OBJECT_SANDBOX], old->id.text);

                expect(c, s != NULL, "the row of sandbox %s is orphaned", old->name);
                if (!s)
                        continue;
                row = s->row;
                expect(c,
                       g_str_equal(row->name, old->name) && g_str_equal(row->state, old->state) &&
                               g_str_equal(row->purpose, old->purpose) &&
                               row->owner_uid == old->owner_uid && row->layer == old->layer &&
                               g_str_equal(row->head_snapshot_id.text,
                                           old->head_snapshot_id.text) &&
                               row->is_flat == old->is_flat &&
                               row->address_number == old->address_number &&
                               g_str_equal(row->network, old->network) &&
                               g_str_equal(row->ports, old->ports) &&
                               row->needs_identity == old->needs_identity &&
                               row->paused_usec == old->paused_usec &&
                               row->held_usec == old->held_usec &&
                               row->expires_usec == old->expires_usec,
                       "the row of sandbox %s is another one than was written", row->name);
        }
}

/* No two guests that can be used are one. */
static inline void check_identities(Check *c)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < sandboxes->len; i++) {
                const Sandbox *s = sandboxes->pdata[i];
                const FakeIdentity *identity = fake_host_identity(s->row->id.text);

                if (s->state != SANDBOX_READY || !identity->machine_id)
                        continue;
                expect(c,
                       g_hash_table_add(seen, identity->machine_id) &&
                               g_hash_table_add(seen, identity->ssh_host_key) &&
                               g_hash_table_add(seen, identity->seed),
                       "sandbox %s is another one's twin", s->row->name);
        }
}

/* The bus knows what may be seen, and nothing else. */
static inline void check_known(Check *c)
{
        g_autoptr(GHashTable) visible = NULL;
        GHashTableIter i;
        gpointer object;

        if (fixture.manager->observer != &object_watcher)
                return;
        visible = list_visible();
        expect(c, !fixture.was_told_twice, "the observer was told twice");
        expect(c, g_hash_table_size(visible) == g_hash_table_size(fixture.known),
               "the observer knows of %u objects, and %u can be seen",
               g_hash_table_size(fixture.known), g_hash_table_size(visible));
        g_hash_table_iter_init(&i, visible);
        while (g_hash_table_iter_next(&i, &object, NULL))
                expect(c, g_hash_table_contains(fixture.known, object),
                       "the observer was not told of an object");
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

/* What is known of approvals is what is written, nothing is half-done, and the time of sandboxes
 * stands still for those that wait. */
static inline void check_approvals(Check *c)
{
        g_autoptr(GPtrArray) rows = NULL, sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);
        g_autoptr(GHashTable) waiting = g_hash_table_new(g_str_hash, g_str_equal);

        need(store_load_approvals(fixture.manager->store, &rows, &fixture.fault), "load");
        expect(c, rows->len == g_hash_table_size(fixture.manager->objects[OBJECT_APPROVAL]),
               "%u approvals are written", rows->len);
        for (guint i = 0; i < rows->len; i++) {
                ApprovalRow *row = rows->pdata[i];
                const Approval *a = g_hash_table_lookup(fixture.manager->objects[OBJECT_APPROVAL],
                                                        row->id.text);
                g_autofree char *sha256 =
                        g_compute_checksum_for_string(G_CHECKSUM_SHA256, row->content, -1);

                expect(c, a && g_str_equal(approval_row(a)->state, row->state),
                       "approval %s is written as %s", row->id.text, row->state);
                expect(c, !g_str_equal(row->state, "applying"), "an approval is half applied");
                expect(c, g_str_equal(sha256, row->sha256), "the content has another hash");
                expect(c,
                       g_str_equal(row->state, "pending") || g_str_equal(row->state, "checking") ||
                               g_str_equal(row->state, "cancelled") ||
                               g_str_equal(row->state, "expired") ||
                               row->decided_by_uid != UID_NONE,
                       "an approval is %s by nobody", row->state);
                if (g_str_equal(row->state, "pending") || g_str_equal(row->state, "checking"))
                        (void) g_hash_table_add(waiting, row->sandbox_id.text);
        }
        for (guint i = 0; i < sandboxes->len; i++) {
                const SandboxRow *row = ((Sandbox *) sandboxes->pdata[i])->row;

                expect(c, (row->held_usec != 0) == g_hash_table_contains(waiting, row->id.text),
                       "the time of sandbox %s stands still: %d", row->name, row->held_usec != 0);
        }
}

/* Each has its files, no file is nobody's, and none is half verified. */
static inline void check_playbooks(Check *c)
{
        g_autofree char *path = g_build_filename(fixture.directory, "s/playbooks", NULL);
        g_autoptr(GDir) files = g_dir_open(path, 0, NULL);
        g_autoptr(GPtrArray) rows = NULL;
        const char *name;

        need(store_load_playbooks(fixture.manager->store, &rows, &fixture.fault), "load");
        expect(c, rows->len == g_hash_table_size(fixture.manager->objects[OBJECT_PLAYBOOK]),
               "%u playbooks are written", rows->len);
        for (guint i = 0; i < rows->len; i++) {
                const PlaybookRow *row = rows->pdata[i];
                const Playbook *p = playbook_by_id(fixture.manager, row->id.text);
                int fd = -1;

                expect(c, p && g_str_equal(playbook_row(p)->verified, row->verified),
                       "playbook %s is written as %s", row->id.text, row->verified);
                expect(c, !g_str_equal(row->verified, "verifying"), "a playbook is half verified");
                expect(c, p && playbook_open(p, &fd, NULL) >= 0, "playbook %s has no archive",
                       row->id.text);
                (void) close_fd(fd);
                expect(c,
                       p && (playbook_is_written(p) || playbook_open_document(p, &fd, NULL) >= 0),
                       "playbook %s has no diff", row->id.text);
                (void) close_fd(fd);
        }
        while (files && (name = g_dir_read_name(files))) {
                g_autofree char *id = g_strndup(name, ID_LENGTH);

                expect(c, playbook_by_id(fixture.manager, id), "%s is no playbook's", name);
        }
}

/* What was made for a verification is gone with it. */
static inline void check_verifiers(Check *c)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(fixture.manager, OBJECT_SANDBOX);

        for (guint i = 0; i < sandboxes->len; i++)
                expect(c,
                       !g_str_has_prefix(((Sandbox *) sandboxes->pdata[i])->row->name, "verify-"),
                       "the sandbox of a verification is left");
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

                const Template *t = templates->pdata[i];

                expect(&c, g_str_equal(row->state, "ready"), "template %s is %s", row->name,
                       row->state);
                expect(&c, !*t->builder_id.text && !*template_warmth(t).phase,
                       "template %s is still being made warm", row->name);
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
        check_networks(&c);
        check_rows(&c);
        check_identities(&c);
        check_approvals(&c);
        check_playbooks(&c);
        check_verifiers(&c);
        check_known(&c);
        return c.fits;
}

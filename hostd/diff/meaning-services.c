/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "diff/unit.h"

#include <string.h>

#define UNITS_MAX       5000
#define DIRECTORIES_MAX 1000
#define LINK_SIZE_MAX   4096

/* As systemctl is-enabled calls them. */
typedef enum UnitState {
        STATE_ABSENT,
        STATE_ENABLED,
        STATE_DISABLED,
        STATE_STATIC,
        STATE_MASKED,
        STATE_ALIAS,
        STATE_LINKED,
} UnitState;

/* A unit of which something changed. */
typedef struct Unit {
        UnitScope scope;
        char *name;
        bool is_changed; /* its file or a drop-in, not just where it is wanted */
        const char *package;
        UnitState old, new;
        GArray *changes;     /* of unsigned */
        GPtrArray *drop_ins; /* paths */
} Unit;

typedef struct Services {
        Meaning *m;
        GHashTable *units; /* "0x.service" → Unit: the scope's number before the name */
        GPtrArray *order;
        GHashTable *enabled[2][_SCOPE_MAX]; /* sets of names, read when first asked for */
        GString *said[3];                   /* names that are enabled, disabled, masked */
        unsigned n_said[3];
} Services;

static const char *state_to_string(UnitState state)
{
        switch (state) {
        case STATE_ABSENT:
                return NULL;
        case STATE_ENABLED:
                return "enabled";
        case STATE_DISABLED:
                return "disabled";
        case STATE_STATIC:
                return "static";
        case STATE_MASKED:
                return "masked";
        case STATE_ALIAS:
                return "alias";
        case STATE_LINKED:
                return "linked";
        }
        g_assert_not_reached();
}

static void free_unit(void *data)
{
        Unit *unit = data;

        g_free(unit->name);
        g_array_unref(unit->changes);
        g_ptr_array_unref(unit->drop_ins);
        g_free(unit);
}

static Unit *get_unit(Services *s, UnitScope scope, const char *name)
{
        g_autofree char *key = g_strdup_printf("%d%s", (int) scope, name);
        Unit *unit = g_hash_table_lookup(s->units, key);

        if (unit || s->order->len >= UNITS_MAX)
                return unit;
        unit = g_new0(Unit, 1);
        unit->scope = scope;
        unit->name = g_strdup(name);
        unit->changes = g_array_new(FALSE, FALSE, sizeof(unsigned));
        unit->drop_ins = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(s->units, TAKE_PTR(key), unit);
        g_ptr_array_add(s->order, unit);
        return unit;
}

/* -- one side --------------------------------------------------------------------------------- */

/* The target of a symbolic link; NULL where it is none. */
static char *read_link(const MeaningFile *found)
{
        g_autoptr(Content) content = NULL;

        if (found->file.attributes.kind != KIND_SYMLINK ||
            lookup_open(found->fs, &found->file, &content, NULL) < 0 ||
            content_size(content) > LINK_SIZE_MAX)
                return NULL;
        size_t size = (size_t) content_size(content);
        g_autofree char *target = g_malloc(size + 1);
        if (content_read(content, 0, target, size, NULL) < 0)
                return NULL;
        target[size] = '\0';
        return TAKE_PTR(target);
}

static char *link_at(const Services *s, int side, const char *path)
{
        MeaningFile link = {0};

        return meaning_lookup(s->m, side, path, false, &link, NULL) < 0 ? NULL : read_link(&link);
}

static void add_wanted(Services *s, int side, const char *directory, GHashTable *names)
{
        g_autoptr(Directory) listing = meaning_list(s->m, side, directory, NULL);
        const Entry *entry;

        for (unsigned i = 0; listing && (entry = directory_entry(listing, i)); i++) {
                Span name = {directory_name(listing, entry), entry->name_length};

                if (unit_name_is_valid(name) && g_hash_table_size(names) < 4 * UNITS_MAX)
                        g_hash_table_add(names, span_dup(name));
        }
}

/* A link with another name than its target's is an alias; its target is enabled by it. */
static void add_alias(Filesystem *fs, uint32_t ino, Span name, GHashTable *names)
{
        MeaningFile found = {.fs = fs};

        if (!unit_name_is_valid(name) || lookup_inode(fs, ino, &found.file, NULL) < 0)
                return;
        g_autofree char *target = read_link(&found);
        Span base = target ? span_basename(span_of(target)) : name;
        if (!span_equal(base, name) && unit_name_is_valid(base))
                g_hash_table_add(names, span_dup(base));
}

/* The units that links in /etc enable. */
static GHashTable *enabled_units(Services *s, int side, UnitScope scope)
{
        GHashTable *names = s->enabled[side][scope];
        const char *root = unit_directories[scope][0];
        Filesystem *fs = NULL;
        const Entry *entry;

        if (names)
                return names;
        names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        s->enabled[side][scope] = names;
        g_autoptr(Directory) listing = meaning_list(s->m, side, root, &fs);
        for (unsigned i = 0;
             listing && i < DIRECTORIES_MAX && (entry = directory_entry(listing, i)); i++) {
                Span name = {directory_name(listing, entry), entry->name_length};
                g_autofree char *base = span_dup(name);
                g_autofree char *path = g_strconcat(root, "/", base, NULL);

                if (unit_is_wants_directory(name))
                        add_wanted(s, side, path, names);
                else
                        add_alias(fs, entry->inode, name, names);
        }
        return names;
}

/* S links in one of the levels with which a system comes up. */
static bool sysv_is_enabled(Services *s, int side, const char *name)
{
        const Entry *entry;

        for (unsigned level = 2; level <= 5; level++) {
                g_autofree char *path = g_strdup_printf("/etc/rc%u.d", level);
                g_autoptr(Directory) listing = meaning_list(s->m, side, path, NULL);

                for (unsigned i = 0; listing && (entry = directory_entry(listing, i)); i++) {
                        Span link = {directory_name(listing, entry), entry->name_length};

                        if (span_starts_with(link, "S") && span_is(span_skip(link, 3), name))
                                return true;
                }
        }
        return false;
}

static UnitState sysv_state(Services *s, int side, const Unit *unit)
{
        MeaningFile found = {0};

        if (unit->scope != SCOPE_SYSTEM || !g_str_has_suffix(unit->name, ".service"))
                return STATE_ABSENT;
        g_autofree char *name = g_strndup(unit->name, strlen(unit->name) - strlen(".service"));
        g_autofree char *path = g_strconcat("/etc/init.d/", name, NULL);
        if (meaning_lookup(s->m, side, path, true, &found, NULL) < 0)
                return STATE_ABSENT;
        return sysv_is_enabled(s, side, name) ? STATE_ENABLED : STATE_DISABLED;
}

/* Whether the unit is in one directory, and what it is there. */
static bool state_in(Services *s, int side, const Unit *unit, const char *directory,
                     const char *name, UnitState *ret)
{
        g_autofree char *path = g_strconcat(directory, "/", name, NULL);
        g_autofree char *target = NULL, *bytes = NULL;
        MeaningFile found = {0};
        Span text;

        if (meaning_lookup(s->m, side, path, false, &found, NULL) < 0)
                return false;
        target = read_link(&found);
        if ((target && strcmp(target, "/dev/null") == 0) ||
            (found.file.attributes.kind == KIND_FILE && found.file.attributes.size == 0)) {
                *ret = STATE_MASKED;
                return true;
        }
        if (g_hash_table_contains(enabled_units(s, side, unit->scope), unit->name)) {
                *ret = STATE_ENABLED;
                return true;
        }
        if (target && !span_is(span_basename(span_of(target)), name)) {
                *ret = STATE_ALIAS;
                return true;
        }
        if (!meaning_read(s->m, side, path, CONFIGURATION_SIZE_MAX, &bytes, &text))
                return false;
        *ret = unit_has_install(text) ? STATE_DISABLED : STATE_STATIC;
        if (target && directory == unit_directories[unit->scope][0])
                *ret = STATE_LINKED;
        return true;
}

static UnitState state_of(Services *s, int side, const Unit *unit)
{
        g_autofree char *template = unit_name_template(unit->name);
        UnitState state = STATE_ABSENT;

        for (unsigned i = 0; unit_directories[unit->scope][i]; i++)
                if (state_in(s, side, unit, unit_directories[unit->scope][i], unit->name, &state))
                        return state;
        for (unsigned i = 0; template && unit_directories[unit->scope][i]; i++)
                if (state_in(s, side, unit, unit_directories[unit->scope][i], template, &state))
                        return state;
        return sysv_state(s, side, unit);
}

/* -- which units ------------------------------------------------------------------------------ */

/* Whose a link in /etc is: the unit that it masks or makes known, or that it is an alias of. */
static char *unit_of_link(Services *s, const ChangeCursor *cursor, const char *name)
{
        for (int side = SIDE_NEW; side >= SIDE_OLD; side--) {
                g_autofree char *target = link_at(s, side, cursor->path->str);
                Span base = target ? span_basename(span_of(target)) : (Span){"", 0};

                if (target && strcmp(target, "/dev/null") != 0 && unit_name_is_valid(base))
                        return span_dup(base);
        }
        return g_strdup(name);
}

static void collect(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Services *s = data;
        UnitPath path = {0};
        const Owner *owner;

        if (cursor->change.only_time || cursor->change.kind == KIND_DIRECTORY ||
            !unit_path_parse(change_cursor_path(cursor), &path))
                return;
        g_autofree char *name = TAKE_PTR(path.name);
        if (path.role == UNIT_FILE && path.in_etc && cursor->change.kind == KIND_SYMLINK) {
                char *other = unit_of_link(s, cursor, name);
                g_free(name);
                name = other;
        }
        Unit *unit = get_unit(s, path.scope, name);
        if (!unit)
                return;
        owner = meaning_owner(m, cursor->index);
        if (owner && path.role == UNIT_FILE)
                unit->package = owner_name(owner);
        unit->is_changed |=
                path.role == UNIT_FILE || path.role == UNIT_DROP_IN || path.role == UNIT_SYSV;
        if (path.role == UNIT_DROP_IN)
                g_ptr_array_add(unit->drop_ins, g_strndup(cursor->path->str, cursor->path->len));
        g_array_append_val(unit->changes, cursor->index);
}

static void collect_all(Services *s)
{
        static const char *const others[] = {"/etc/init.d", "/etc/rc0.d", "/etc/rc1.d",
                                             "/etc/rc2.d",  "/etc/rc3.d", "/etc/rc4.d",
                                             "/etc/rc5.d",  "/etc/rc6.d", "/etc/rcS.d"};

        for (unsigned scope = 0; scope < _SCOPE_MAX; scope++)
                for (unsigned i = 0; unit_directories[scope][i]; i++)
                        meaning_foreach_within(s->m, unit_directories[scope][i], collect, s);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                meaning_foreach_within(s->m, others[i], collect, s);
}

/* -- what is written -------------------------------------------------------------------------- */

static const char *change_of(const Unit *unit)
{
        if (unit->old == STATE_ABSENT || unit->new == STATE_ABSENT) {
                if (unit->old == unit->new)
                        return NULL;
                return unit->old == STATE_ABSENT ? "added" : "removed";
        }
        if ((unit->old == STATE_MASKED) != (unit->new == STATE_MASKED))
                return unit->new == STATE_MASKED ? "masked" : "unmasked";
        if ((unit->old == STATE_ENABLED) != (unit->new == STATE_ENABLED))
                return unit->new == STATE_ENABLED ? "enabled" : "disabled";
        return unit->is_changed ? "changed" : NULL;
}

static void write_enabled(GString *out, const char *key, UnitState state)
{
        if (state == STATE_ABSENT)
                json_text_member(out, key, NULL);
        else
                json_text_member_bool(out, key, state == STATE_ENABLED);
}

static void write_unit(Meaning *m, const Unit *unit, const char *change)
{
        GString *out = section_open(m, SECTION_SERVICES);

        if (!out)
                return;
        json_text_member(out, "name", unit->name);
        json_text_member(out, "scope", unit->scope == SCOPE_SYSTEM ? "system" : "user");
        json_text_member(out, "change", change);
        write_enabled(out, "enabled_old", unit->old);
        write_enabled(out, "enabled_new", unit->new);
        json_text_member(out, "state_old", state_to_string(unit->old));
        json_text_member(out, "state_new", state_to_string(unit->new));
        if (unit->package)
                json_text_member(out, "package", unit->package);
        json_text_key(out, "drop_ins");
        g_string_append_c(out, '[');
        for (unsigned i = 0; i < unit->drop_ins->len; i++) {
                const char *path = unit->drop_ins->pdata[i];

                json_text_comma(out);
                json_text_printable(out, path, strlen(path));
        }
        g_string_append(out, "],\"changes\":[");
        for (unsigned i = 0; i < unit->changes->len; i++)
                g_string_append_printf(out, "%s%u", i > 0 ? "," : "",
                                       g_array_index(unit->changes, unsigned, i));
        g_string_append_c(out, ']');
        section_close(m, SECTION_SERVICES);
}

/* Names of one kind are said in one sentence. */
static void say_later(Services *s, unsigned what, const Unit *unit)
{
        enum { NAMES_MAX = 6 };

        if (s->n_said[what]++ < NAMES_MAX)
                g_string_append_printf(s->said[what], "%s%s%s", s->said[what]->len > 0 ? ", " : "",
                                       unit->name, unit->scope == SCOPE_USER ? " (of users)" : "");
}

static void say_all(Services *s)
{
        static const char *const words[][2] = {{"is enabled", "are enabled"},
                                               {"is disabled", "are disabled"},
                                               {"is masked", "are masked"}};

        for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
                if (s->n_said[i] > 6)
                        meaning_say(s->m, "%s and %u more %s", s->said[i]->str, s->n_said[i] - 6,
                                    words[i][1]);
                else if (s->n_said[i] > 0)
                        meaning_say(s->m, "%s %s", s->said[i]->str, words[i][s->n_said[i] > 1]);
        }
}

/* What a package brings along need not be said, unless it is enabled by it. */
static void say(Services *s, const Unit *unit, const char *change)
{
        Meaning *m = s->m;
        bool by_package = unit->package != NULL;

        if (unit->new == STATE_MASKED && unit->old != STATE_MASKED)
                say_later(s, 2, unit);
        else if (unit->new == STATE_ENABLED && unit->old != STATE_ENABLED)
                say_later(s, 0, unit);
        else if (unit->old == STATE_ENABLED && unit->new != STATE_ABSENT &&
                 unit->new != STATE_ENABLED)
                say_later(s, 1, unit);
        else if (strcmp(change, "unmasked") == 0)
                meaning_say(m, "%s is no longer masked", unit->name);
        else if (!by_package && strcmp(change, "changed") != 0)
                meaning_say(m, "%s was %s", unit->name, change);
        if (!by_package && strcmp(change, "changed") == 0 && unit->drop_ins->len > 0)
                meaning_say(m, "%s was changed by %s", unit->name,
                            (const char *) unit->drop_ins->pdata[0]);
        else if (!by_package && strcmp(change, "changed") == 0)
                meaning_say(m, "%s was changed", unit->name);
}

static int by_name(gconstpointer a, gconstpointer b)
{
        const Unit *x = *(Unit *const *) a, *y = *(Unit *const *) b;
        int order = strcmp(x->name, y->name);

        return order ? order : (int) x->scope - (int) y->scope;
}

void meaning_services(Meaning *m)
{
        Services s = {
                .m = m,
                .units = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_unit),
                .order = g_ptr_array_new(),
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(s.said); i++)
                s.said[i] = g_string_new(NULL);
        collect_all(&s);
        g_ptr_array_sort(s.order, by_name);
        for (unsigned i = 0; i < s.order->len; i++) {
                Unit *unit = s.order->pdata[i];

                unit->old = state_of(&s, SIDE_OLD, unit);
                unit->new = state_of(&s, SIDE_NEW, unit);
                const char *change = change_of(unit);
                if (!change)
                        continue;
                write_unit(m, unit, change);
                say(&s, unit, change);
                for (unsigned j = 0; j < unit->changes->len; j++)
                        meaning_tell(m, g_array_index(unit->changes, unsigned, j));
        }
        say_all(&s);
        for (unsigned i = 0; i < G_N_ELEMENTS(s.said); i++)
                (void) g_string_free(s.said[i], TRUE);
        for (unsigned i = 0; i < 2; i++)
                for (unsigned scope = 0; scope < _SCOPE_MAX; scope++)
                        if (s.enabled[i][scope])
                                g_hash_table_unref(s.enabled[i][scope]);
        g_ptr_array_unref(s.order);
        g_hash_table_unref(s.units);
}

/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"

#include <string.h>

#define SENTENCES_MAX 12
#define NAMES_MAX     4

static void put_first(Meaning *m, unsigned at, unsigned n_before)
{
        /* What meaning_say() appended since then goes to `at`, in order. */
        for (unsigned i = n_before; i < m->sentences->len; i++) {
                char *text = m->sentences->pdata[i];

                memmove(&m->sentences->pdata[at + 1], &m->sentences->pdata[at],
                        (i - at) * sizeof(m->sentences->pdata[0]));
                m->sentences->pdata[at++] = text;
        }
}

/* -- packages --------------------------------------------------------------------------------- */

typedef struct Verb {
        const char *change;
        const char *word;
} Verb;

static bool is_main(const Owner *owner, bool any_main)
{
        return !any_main || !owner->automatic;
}

/* "installed nginx 1.22.1-9 and 12 packages that they need" */
static void say_packages_of(Meaning *m, const Verb *verb)
{
        g_autoptr(GString) names = g_string_new(NULL);
        unsigned n = 0, n_main = 0, n_named = 0;

        for (unsigned i = 0; i < m->owners->len; i++) {
                const Owner *owner = m->owners->pdata[i];

                if (g_strcmp0(owner->change, verb->change) == 0) {
                        n++;
                        n_main += !owner->automatic;
                }
        }
        for (unsigned i = 0; i < m->owners->len && n_named < NAMES_MAX; i++) {
                const Owner *owner = m->owners->pdata[i];

                if (g_strcmp0(owner->change, verb->change) != 0 || !is_main(owner, n_main > 0))
                        continue;
                g_string_append_printf(names, "%s%s", n_named++ > 0 ? ", " : "", owner_name(owner));
                if (owner->old && owner->new &&package_is_present(owner->old) &&
                    strcmp(owner->old->version, owner->new->version) != 0)
                        g_string_append_printf(names, " %s to %s", owner->old->version,
                                               owner->new->version);
                else
                        g_string_append_printf(names, " %s", owner_package(owner)->version);
        }
        unsigned rest = n - n_named, n_others = (n_main > 0 ? n_main : n) - n_named;
        if (n == 0)
                return;
        if (rest == 0)
                meaning_say(m, "%s %s", verb->word, names->str);
        else if (n_others == 0)
                meaning_say(m, "%s %s and %u package%s %s", verb->word, names->str, rest,
                            rest > 1 ? "s" : "", n_named > 1 ? "that they need" : "it needs");
        else
                meaning_say(m, "%s %s and %u more packages", verb->word, names->str, rest);
}

static void say_packages(Meaning *m)
{
        static const Verb verbs[] = {
                {"added", "installed"},         {"removed", "removed"},
                {"upgraded", "upgraded"},       {"downgraded", "downgraded"},
                {"reinstalled", "reinstalled"}, {"state", "changed the state of"},
        };
        unsigned before = m->sentences->len;

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                say_packages_of(m, &verbs[i]);
        put_first(m, 0, before);
}

/* -- all that no section tells ---------------------------------------------------------------- */

typedef struct Corner {
        const char *directory; /* "": anywhere else */
        GString *names;
        unsigned n;
} Corner;

static void add_name(Corner *corner, Span path)
{
        size_t skip = strlen(corner->directory) > 0 ? strlen(corner->directory) + 1 : 0;
        Span name = span_skip(path, skip);

        if (corner->n++ >= NAMES_MAX)
                return;
        if (corner->n > 1)
                g_string_append(corner->names, ", ");
        g_string_append_len(corner->names, name.bytes, (gssize) MIN(name.size, 100));
}

static void say_corner(Meaning *m, const Corner *corner)
{
        g_autofree char *more = corner->n > NAMES_MAX
                                        ? g_strdup_printf(" and %u more", corner->n - NAMES_MAX)
                                        : g_strdup("");
        bool named = strlen(corner->directory) > 0;

        if (corner->n == 0)
                return;
        meaning_say(m, "%u %sfile%s%s%s changed: %s%s", corner->n, named ? "" : "other ",
                    corner->n > 1 ? "s" : "", named ? " in " : "", corner->directory,
                    corner->names->str, more);
}

/* Directories that came with what is in them, and are not said twice. */
static bool is_said_by_content(const ChangeCursor *cursor)
{
        return cursor->change.kind == KIND_DIRECTORY &&
               (cursor->change.only_time || cursor->change.change == CHANGE_ADDED ||
                cursor->change.change == CHANGE_REMOVED);
}

static void say_files(Meaning *m)
{
        Corner corners[] = {{"/etc", NULL, 0}, {"/usr", NULL, 0}, {"/var", NULL, 0}, {"", NULL, 0}};
        g_auto(ChangeCursor) cursor = change_cursor(m->changes, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(corners); i++)
                corners[i].names = g_string_new(NULL);
        while (change_cursor_next(&cursor)) {
                Span path = change_cursor_path(&cursor);
                size_t i = 0;

                if (m->noise[cursor.index] != NOT_NOISE || m->told[cursor.index] ||
                    meaning_owner(m, cursor.index) || is_said_by_content(&cursor))
                        continue;
                while (corners[i].directory[0] &&
                       !path_is_within(path, span_of(corners[i].directory)))
                        i++;
                add_name(&corners[i], path);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(corners); i++) {
                say_corner(m, &corners[i]);
                (void) g_string_free(corners[i].names, TRUE);
        }
}

/* "look at 3 findings: secret (2), setuid" */
static void say_findings(Meaning *m)
{
        g_autoptr(GString) kinds = g_string_new(NULL);

        for (unsigned i = 0; i < m->warnings->len; i++) {
                const char *kind = m->warnings->pdata[i];
                unsigned n = 0, first = 0;

                while (strcmp(m->warnings->pdata[first], kind) != 0)
                        first++;
                if (first < i)
                        continue;
                for (unsigned j = i; j < m->warnings->len; j++)
                        n += strcmp(m->warnings->pdata[j], kind) == 0;
                g_string_append_printf(kinds, "%s%s", kinds->len > 0 ? ", " : "", kind);
                if (n > 1)
                        g_string_append_printf(kinds, " (%u)", n);
        }
        if (m->warnings->len > 0)
                meaning_say(m, "look at %u finding%s: %s", m->warnings->len,
                            m->warnings->len > 1 ? "s" : "", kinds->str);
}

static void say_noise(Meaning *m)
{
        g_autoptr(GString) rules = g_string_new(NULL);
        unsigned counts[NOISE_RULES_MAX] = {0}, n = 0, n_named = 0;

        for (unsigned i = 0; i < m->n; i++)
                if (m->noise[i] != NOT_NOISE) {
                        counts[m->noise[i]]++;
                        n++;
                }
        if (n == 0)
                return;
        while (n_named < NAMES_MAX) {
                unsigned most = 0;

                for (unsigned i = 1; i < NOISE_RULES_MAX; i++)
                        if (counts[i] > counts[most])
                                most = i;
                if (counts[most] == 0)
                        break;
                g_string_append_printf(rules, "%s%s (%u)", n_named++ > 0 ? ", " : "",
                                       noise_rule_name(m->rules, most), counts[most]);
                counts[most] = 0;
        }
        meaning_say(m, "%u of %u changes %s noise: %s", n, m->n, n > 1 ? "are" : "is", rules->str);
}

/* What say_files() and those after it say stays, whatever comes before. */
static void cut(Meaning *m, unsigned n_sections)
{
        unsigned n_last = m->sentences->len - n_sections; /* at most 6 */
        unsigned keep = SENTENCES_MAX - n_last - 1;

        if (m->sentences->len <= SENTENCES_MAX || n_sections <= keep)
                return;
        unsigned n_left_out = n_sections - keep;
        g_ptr_array_remove_range(m->sentences, keep, n_left_out);
        meaning_say(m, "%u more changes of services, users and settings: see the sections",
                    n_left_out);
        put_first(m, keep, m->sentences->len - 1);
}

void meaning_summary(Meaning *m)
{
        unsigned n_sections;

        say_packages(m);
        n_sections = m->sentences->len;
        say_files(m);
        say_findings(m);
        say_noise(m);
        cut(m, n_sections);
}

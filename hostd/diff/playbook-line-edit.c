/* SPDX-License-Identifier: MIT */
#include "diff/playbook-line-edit.h"

#include "base/cleanup.h"

#include <stdint.h>
#include <string.h>

/* Lines that differ at most, on each side; the table of common ones is as large squared. */
#define DIFFERENT_MAX 64

/* Line's end included in none of them; NULL where a line does not end as all others do, or holds
 * what lineinfile would not keep as it is. */
static GPtrArray *split(const char *text, size_t size)
{
        g_autoptr(GPtrArray) lines = NULL;
        const char *end = text + size;

        if (size == 0 || text[size - 1] != '\n' || memchr(text, '\0', size) ||
            memchr(text, '\r', size))
                return NULL;
        lines = g_ptr_array_new_with_free_func(g_free);
        while (text < end) {
                const char *newline = memchr(text, '\n', (size_t) (end - text));
                g_ptr_array_add(lines, g_strndup(text, (gsize) (newline - text)));
                text = newline + 1;
        }
        return TAKE_PTR(lines);
}

static bool is_line(const GPtrArray *lines, unsigned i, const char *line)
{
        return g_strcmp0(lines->pdata[i], line) == 0;
}

static unsigned count(const GPtrArray *lines, const char *line, unsigned *ret_last)
{
        unsigned n = 0;

        for (unsigned i = 0; i < lines->len; i++)
                if (is_line(lines, i, line)) {
                        n++;
                        *ret_last = i;
                }
        return n;
}

/* lineinfile: regexp and line; the last match is replaced. Without a match, a line that is there
 * already stands for it, or else it is added at the end. */
static void replace_line(GPtrArray *lines, const char *old, const char *line)
{
        unsigned at = 0;

        if (count(lines, old, &at) > 0) {
                g_free(lines->pdata[at]);
                lines->pdata[at] = g_strdup(line);
        } else if (count(lines, line, &at) == 0) {
                g_ptr_array_add(lines, g_strdup(line));
        }
}

/* lineinfile: insertafter, or insertbefore: BOF; nothing where the line is there already. */
static void add_line(GPtrArray *lines, const char *old, const char *line)
{
        unsigned at = 0;

        if (count(lines, line, &at) > 0)
                return;
        if (!old)
                g_ptr_array_insert(lines, 0, g_strdup(line));
        else if (count(lines, old, &at) > 0)
                g_ptr_array_insert(lines, (gint) at + 1, g_strdup(line));
        else
                g_ptr_array_add(lines, g_strdup(line));
}

/* lineinfile: regexp and state: absent; all that match go. */
static void remove_line(GPtrArray *lines, const char *old)
{
        for (unsigned i = lines->len; i > 0; i--)
                if (is_line(lines, i - 1, old))
                        g_ptr_array_remove_index(lines, i - 1);
}

static void apply_one(GPtrArray *lines, const LineEdit *edit)
{
        switch (edit->kind) {
        case LINE_REPLACED:
                replace_line(lines, edit->old, edit->line);
                break;
        case LINE_ADDED:
                add_line(lines, edit->old, edit->line);
                break;
        case LINE_REMOVED:
                remove_line(lines, edit->old);
                break;
        }
}

static bool equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (unsigned i = 0; i < a->len; i++)
                if (!is_line(a, i, b->pdata[i]))
                        return false;
        return true;
}

static void free_edit(gpointer data)
{
        LineEdit *edit = data;

        g_free(edit->old);
        g_free(edit->line);
        g_free(edit);
}

static void add_edit(GPtrArray *edits, LineEditKind kind, const char *old, const char *line)
{
        LineEdit *edit = g_new0(LineEdit, 1);

        edit->kind = kind;
        edit->old = g_strdup(old);
        edit->line = g_strdup(line);
        g_ptr_array_add(edits, edit);
}

/* A run of `n_old` lines at `i` that became `n_new` lines at `j`: lines are replaced in pairs, the
 * rest is added or removed. */
static void edit_run(GPtrArray *edits, const GPtrArray *old, const GPtrArray *new, unsigned i,
                     unsigned n_old, unsigned j, unsigned n_new)
{
        unsigned pairs = MIN(n_old, n_new);

        for (unsigned k = 0; k < pairs; k++)
                add_edit(edits, LINE_REPLACED, old->pdata[i + k], new->pdata[j + k]);
        for (unsigned k = pairs; k < n_new; k++)
                add_edit(edits, LINE_ADDED, j + k > 0 ? new->pdata[j + k - 1] : NULL,
                         new->pdata[j + k]);
        for (unsigned k = pairs; k < n_old; k++)
                add_edit(edits, LINE_REMOVED, old->pdata[i + k], NULL);
}

/* The middle that differs, by the longest common subsequence of its lines. */
static void edit_middle(GPtrArray *edits, const GPtrArray *old, const GPtrArray *new,
                        unsigned start, unsigned n_old, unsigned n_new)
{
        static const unsigned width = DIFFERENT_MAX + 1;
        g_autofree uint8_t *common = g_malloc0((size_t) width * width);
        unsigned i = 0, j = 0, run_i = 0, run_j = 0;

        for (unsigned a = n_old; a-- > 0;)
                for (unsigned b = n_new; b-- > 0;)
                        common[a * width + b] =
                                is_line(old, start + a, new->pdata[start + b])
                                        ? (uint8_t) (common[(a + 1) * width + b + 1] + 1)
                                        : MAX(common[(a + 1) * width + b],
                                              common[a * width + b + 1]);
        while (i < n_old || j < n_new) {
                bool same =
                        i < n_old && j < n_new && is_line(old, start + i, new->pdata[start + j]);

                if (same) {
                        edit_run(edits, old, new, start + run_i, i - run_i, start + run_j,
                                 j - run_j);
                        run_i = ++i;
                        run_j = ++j;
                } else if (j == n_new || (i < n_old && common[(i + 1) * width + j] >=
                                                               common[i * width + j + 1])) {
                        i++;
                } else {
                        j++;
                }
        }
        edit_run(edits, old, new, start + run_i, i - run_i, start + run_j, j - run_j);
}

/* What lineinfile and YAML can be told: an empty line, say, would be found everywhere. */
static bool can_say(const GPtrArray *edits)
{
        for (unsigned i = 0; i < edits->len; i++) {
                const LineEdit *edit = edits->pdata[i];
                const char *texts[] = {edit->old, edit->line};

                for (size_t k = 0; k < G_N_ELEMENTS(texts); k++)
                        if (texts[k] && (!*texts[k] || strlen(texts[k]) > 1000 ||
                                         !g_utf8_validate(texts[k], -1, NULL)))
                                return false;
        }
        return true;
}

/* Each edit has one place: what it looks for is there once when its turn comes. */
static bool has_one_place(GPtrArray *lines, const GPtrArray *edits)
{
        for (unsigned i = 0; i < edits->len; i++) {
                const LineEdit *edit = edits->pdata[i];
                unsigned last;

                if (edit->old && count(lines, edit->old, &last) != 1)
                        return false;
                apply_one(lines, edit);
        }
        return true;
}

/* Each on its own: one that undoes what another did again would be a change each time. */
static bool changes_nothing(GPtrArray *lines, const GPtrArray *edits)
{
        g_autoptr(GPtrArray) before = g_ptr_array_new_with_free_func(g_free);

        for (unsigned i = 0; i < lines->len; i++)
                g_ptr_array_add(before, g_strdup(lines->pdata[i]));
        for (unsigned i = 0; i < edits->len; i++) {
                apply_one(lines, edits->pdata[i]);
                if (!equal(lines, before))
                        return false;
        }
        return true;
}

static bool is_proven(const GPtrArray *old, const GPtrArray *new, const GPtrArray *edits)
{
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        for (unsigned i = 0; i < old->len; i++)
                g_ptr_array_add(lines, g_strdup(old->pdata[i]));
        if (!has_one_place(lines, edits) || !equal(lines, new))
                return false;
        return changes_nothing(lines, edits);
}

GPtrArray *line_edits_find(const char *old_text, size_t old_size, const char *new_text,
                           size_t new_size)
{
        g_autoptr(GPtrArray) old = split(old_text, old_size), new = split(new_text, new_size);
        g_autoptr(GPtrArray) edits = g_ptr_array_new_with_free_func(free_edit);
        unsigned start = 0, tail = 0;

        if (!old || !new)
                return NULL;
        while (start < MIN(old->len, new->len) && is_line(old, start, new->pdata[start]))
                start++;
        while (tail < MIN(old->len, new->len) - start &&
               is_line(old, old->len - 1 - tail, new->pdata[new->len - 1 - tail]))
                tail++;
        unsigned n_old = old->len - start - tail, n_new = new->len - start - tail;
        if (n_old > DIFFERENT_MAX || n_new > DIFFERENT_MAX)
                return NULL;
        edit_middle(edits, old, new, start, n_old, n_new);
        if (edits->len == 0 || edits->len > LINE_EDITS_MAX || !can_say(edits) ||
            !is_proven(old, new, edits))
                return NULL;
        return TAKE_PTR(edits);
}

char *line_edit_pattern(const char *line)
{
        GString *pattern = g_string_new("^");

        for (const char *p = line; *p; p++) {
                if (g_ascii_ispunct(*p) && *p != '_' && *p != '"' && *p != '\'' && *p != ',' &&
                    *p != ':' && *p != ';' && *p != '=' && *p != '@' && *p != '/' && *p != '<' &&
                    *p != '>' && *p != '%' && *p != '!' && *p != '`')
                        g_string_append_c(pattern, '\\');
                g_string_append_c(pattern, *p);
        }
        g_string_append_c(pattern, '$');
        return g_string_free(pattern, FALSE);
}

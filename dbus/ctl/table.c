/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16

struct Table {
        unsigned n_columns;
        glong widths[COLUMNS_MAX];
        GPtrArray *cells; /* the titles first, row by row */
};

static const struct {
        const char *word, *colour;
} colours[] = {
        {"ready", "32"},
        {"done", "32"},
        {"exited", "32"},
        {"starting", "33"},
        {"begin", "33"},
        {"creating", "33"},
        {"running", "33"},
        {"importing", "33"},
        {"failed", "31"},
        {"quarantined", "31"},
        {"refused", "31"},
        {"killed", "31"},
        {"unknown", "31"},
        {"timed-out", "31"},
        {"paused", "36"},
        {"pending", "33"},
        {"checking", "36"},
        {"approved", "32"},
        {"applied", "32"},
        {"denied", "31"},
        {"expired", "31"},
        {"exact", "32"},
        {"exact-but-left-out", "32"},
        {"residual", "31"},
        {"verifying", "33"},
};

static const char *find_colour(const char *cell)
{
        if (!colour_is_on())
                return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(colours); i++)
                if (g_str_equal(colours[i].word, cell))
                        return colours[i].colour;
        return NULL;
}

/* How many columns of a terminal it takes. */
static glong width(const char *text)
{
        glong n = 0;

        for (const char *p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);
                if (!g_unichar_iszerowidth(c))
                        n += g_unichar_iswide(c) ? 2 : 1;
        }
        return n;
}

static void add_cell(Table *t, unsigned column, const char *text)
{
        char *cell = escape_print(text, strlen(text));
        glong w = width(cell);

        g_ptr_array_add(t->cells, cell);
        if (w > t->widths[column])
                t->widths[column] = w;
}

Table *table_new(const char *first_title, ...)
{
        Table *t = g_new0(Table, 1);
        va_list ap;

        t->cells = g_ptr_array_new_with_free_func(g_free);
        va_start(ap, first_title);
        for (const char *title = first_title; title; title = va_arg(ap, const char *)) {
                g_assert(t->n_columns < COLUMNS_MAX);
                add_cell(t, t->n_columns++, title);
        }
        va_end(ap);
        return t;
}

void table_add(Table *t, const char *first_cell, ...)
{
        const char *cell = first_cell;
        va_list ap;

        va_start(ap, first_cell);
        for (unsigned i = 0; i < t->n_columns; i++) {
                g_assert(cell);
                add_cell(t, i, *cell ? cell : "-");
                cell = va_arg(ap, const char *);
        }
        va_end(ap);
}

static void print_cell(const char *cell, glong padding)
{
        const char *colour = find_colour(cell);

        if (colour)
                printf("\x1b[%sm%s\x1b[0m%*s", colour, cell, (int) padding, "");
        else
                printf("%s%*s", cell, (int) padding, "");
}

void table_print(const Table *t)
{
        for (guint i = 0; i < t->cells->len; i++) {
                const char *cell = g_ptr_array_index(t->cells, i);
                unsigned column = i % t->n_columns;
                if (column + 1 < t->n_columns)
                        print_cell(cell, t->widths[column] - width(cell) + 2);
                else
                        printf("%s\n", cell);
        }
}

Table *table_free(Table *t)
{
        if (!t)
                return NULL;
        g_ptr_array_free(t->cells, TRUE);
        g_free(t);
        return NULL;
}

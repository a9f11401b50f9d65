/* SPDX-License-Identifier: MIT */
#include "diff/line-changes.h"

#include <string.h>

bool line_is_text(Span line)
{
        return line.size > 0;
}

bool line_is_no_comment(Span line)
{
        return line.size > 0 && line.bytes[0] != '#';
}

static GArray *split(Span text, LineFilter counts, bool added)
{
        GArray *lines = g_array_new(FALSE, FALSE, sizeof(LineChange));
        unsigned number = 0;
        Span line;

        while (number < LINES_MAX && span_next_line(&text, &line)) {
                LineChange one = {added, ++number, span_trim(line)};

                if (counts(one.text))
                        g_array_append_val(lines, one);
        }
        return lines;
}

static int by_text(gconstpointer a, gconstpointer b)
{
        const LineChange *x = a, *y = b;
        int order = span_compare(x->text, y->text);

        return order ? order : (x->number > y->number) - (x->number < y->number);
}

static int by_number(gconstpointer a, gconstpointer b)
{
        const LineChange *x = a, *y = b;

        if (x->added != y->added)
                return x->added ? 1 : -1;
        return (x->number > y->number) - (x->number < y->number);
}

GArray *line_changes(Span old, Span new, LineFilter counts)
{
        GArray *was = split(old, counts, false), *is = split(new, counts, true);
        GArray *out = g_array_new(FALSE, FALSE, sizeof(LineChange));
        unsigned i = 0, j = 0;

        g_array_sort(was, by_text);
        g_array_sort(is, by_text);
        while (i < was->len || j < is->len) {
                const LineChange *a = i < was->len ? &g_array_index(was, LineChange, i) : NULL;
                const LineChange *b = j < is->len ? &g_array_index(is, LineChange, j) : NULL;
                int order = !a ? 1 : !b ? -1 : span_compare(a->text, b->text);

                if (order < 0)
                        g_array_append_vals(out, a, 1);
                else if (order > 0)
                        g_array_append_vals(out, b, 1);
                i += order <= 0;
                j += order >= 0;
        }
        g_array_sort(out, by_number);
        g_array_unref(was);
        g_array_unref(is);
        return out;
}

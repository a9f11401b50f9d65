/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/timing.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <inttypes.h>
#include <string.h>

/* Milliseconds, with as many places as make sense: they are compared with each other. */
static char *format_step(uint64_t usec)
{
        if (usec == 0)
                return g_strdup("-");
        return g_strdup_printf(usec < 10000 ? "%.2f ms" : "%.0f ms", (double) usec / 1000);
}

uint64_t timing_total(Json *timing)
{
        uint64_t total = 0;

        if (!timing)
                return 0;
        json_object_object_foreach(timing, step, value)
        {
                (void) step;
                total += json_object_get_uint64(value);
        }
        return total;
}

static void print_step(FILE *out, const char *step, const char *time, const char *note)
{
        g_autofree char *name = escape_print(step, strlen(step));

        fprintf(out, "%-10s %10s%s%s\n", name, time, *note ? "  from " : "", note);
}

void timing_print(FILE *out, Json *timing, const char *started_from)
{
        if (!timing || json_object_object_length(timing) == 0) {
                fputs("where its time went is not known any more\n", out);
                return;
        }
        json_object_object_foreach(timing, step, value)
        {
                g_autofree char *time = format_step(json_object_get_uint64(value));
                print_step(out, step, time, "");
        }
        g_autofree char *total = format_step(timing_total(timing));
        g_autofree char *from = escape_print(started_from, strlen(started_from));
        print_step(out, "total", total, from);
}

char *timing_format(Json *timing)
{
        GString *text = g_string_new(NULL);

        if (!timing)
                return g_string_free(text, FALSE);
        json_object_object_foreach(timing, step, value)
        {
                uint64_t usec = json_object_get_uint64(value);
                g_autofree char *time = format_step(usec);
                if (usec > 0)
                        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", step,
                                               time);
        }
        return g_string_free(text, FALSE);
}

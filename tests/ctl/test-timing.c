/* SPDX-License-Identifier: MIT */

/* The programs of dbus/ctl are no library: what is tested is taken in as source. */
#include "dbus/ctl/timing.c"

#include "tests/tap.h"

static Json *parse(const char *text)
{
        Json *timing = NULL;

        if (json_parse(text, strlen(text), 2, &timing, NULL) < 0)
                tap_bail_out(text);
        return timing;
}

static void prints(const char *text, const char *from, const char *expected, const char *sentence)
{
        g_autoptr(Json) timing = text ? parse(text) : NULL;
        char *printed = NULL;
        size_t size;
        FILE *out = open_memstream(&printed, &size);

        timing_print(out, timing, from);
        (void) fclose(out);
        tap_is_str(printed, expected, "%s", sentence);
        free(printed);
}

static void formats(const char *text, const char *expected, const char *sentence)
{
        g_autoptr(Json) timing = parse(text);
        g_autofree char *formatted = timing_format(timing);

        tap_is_str(formatted, expected, "%s", sentence);
}

static void test_total(void)
{
        g_autoptr(Json) timing = parse("{\"a\":1,\"b\":0,\"c\":5000000000}");

        tap_is_int((int64_t) timing_total(timing), 5000000001, "the total is the sum");
        tap_is_int((int64_t) timing_total(NULL), 0, "and 0 where nothing is known");
}

int main(void)
{
        prints("{\"overlay\":3120,\"rules\":0,\"domain\":210400,\"restore\":1,\"agent\":9999}",
               "memory",
               "overlay       3.12 ms\n"
               "rules               -\n"
               "domain         210 ms\n"
               "restore       0.00 ms\n"
               "agent        10.00 ms\n"
               "total          224 ms  from memory\n",
               "a line for each step, in order, and the sum");
        prints("{\"agent\":17000000}", "",
               "agent        17000 ms\n"
               "total        17000 ms\n",
               "what it runs on from may not be known");
        prints("{\"a\\u001b[2J\":1000}", "b\x1b",
               "a\\x1b[2J      1.00 ms\n"
               "total         1.00 ms  from b\\x1b\n",
               "nothing hostile gets through");
        prints("{}", "boot", "where its time went is not known any more\n", "nothing is known");
        prints(NULL, "boot", "where its time went is not known any more\n", "or not even that");
        formats("{\"overlay\":3120,\"rules\":0,\"agent\":17000000}",
                "overlay 3.12 ms, agent 17000 ms", "on one line only what happened is there");
        formats("{}", "", "and nothing is nothing");
        test_total();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */

/* What was done meanwhile stands beside a playbook: of the audit trail, and safe to be read. */

#include "tests/core/playbooks.h"

static const char settings[] =
        "stop_timeout = 0s\nttl_default = infinity\nsnapshots_max = 8\n" PLAYBOOK_SETTINGS;

static void run(const char *const *argv)
{
        Command *c;

        need(start_command("web", argv, &c), "start");
        need(end_command(c), "end");
}

/* The lines that are none of the head. */
static char *history_of(const char *from, const char *to)
{
        need(export_points(from, to, NULL), "export");
        g_autofree char *text = read_scratch("history");
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GString *rest = g_string_new(NULL);

        for (char **line = lines; *line; line++)
                if (**line && **line != '#')
                        g_string_append_printf(rest, "%s\n", *line);
        return g_string_free(rest, FALSE);
}

static unsigned count_lines(const char *text)
{
        unsigned n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

int main(void)
{
        start_fixture(settings);
        start_verify_unit();
        link_verify_unit();
        (void) ready_sandbox("web");
        write_good_programs();
        run(ARGV("true", "before"));
        need(take_snapshot("web", "clean"), "snapshot");
        run(ARGV("true", "a b", "\x1b[2J\n# forged", "it's"));
        run(ARGV("exit", "3"));
        need(take_snapshot("web", "done"), "snapshot");
        run(ARGV("true", "after"));

        g_autofree char *text = history_of("clean", "done");
        tap_note("%s", text);
        tap_ok(strstr(text, "command.exec [\"true\",\"a b\",") && strstr(text, "it's"),
               "what was run is there, with its arguments");
        tap_ok(strstr(text, "uid ") && strstr(text, fixture.caller.text), "and who ran it");
        tap_ok(strstr(text, "command.exec [\"exit\",\"3\"]  -> exit 3\n"), "and how it ended");
        tap_ok(!strchr(text, '\x1b') && strstr(text, "[2J") && !strstr(text, "\n# forged"),
               "of what a terminal would act on nothing");
        tap_ok(!strstr(text, "before") && !strstr(text, "after"),
               "and nothing of before or after it");
        tap_ok(!strstr(text, "stdout") && !strstr(text, "verify"), "nor of anything else");
        g_autofree char *whole = read_scratch("history");
        tap_ok(g_str_has_prefix(whole, "# What was done to sandbox 'web' ") &&
                       strstr(whole, " from 'clean' to 'done', "),
               "it says of what it is");
        tap_ok(g_utf8_validate(whole, -1, NULL), "in UTF-8");

        g_autofree char *all = history_of("template", "now");
        tap_ok(strstr(all, "\"before\"") && strstr(all, "\"after\"") &&
                       strstr(all, "snapshot.create"),
               "from the template to now it is all of it");
        g_autofree char *huge = g_strnfill(10000, 'x');
        run(ARGV("true", huge));
        g_autofree char *more = history_of("done", "now");
        tap_ok(strstr(more, "(more is not shown)  -> exit 0\n") && strlen(more) < 6000,
               "a line that is very long is cut");
        tap_is_int(count_lines(more), 3, "and is one line");
        if (count_lines(more) != 3)
                tap_note("%s", more);
        tap_ok(is_world_consistent(), "the world is well");
        stop_verify_unit();
        stop_fixture();
        return tap_done();
}

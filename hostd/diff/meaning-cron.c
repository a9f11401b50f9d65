/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "diff/line-changes.h"
#include "diff/secret.h"
#include "diff/settings.h"
#include "diff/unit.h"

#include <string.h>

#define TEXT_SIZE_MAX 300

typedef struct Job {
        const char *kind, *change, *path;
        unsigned line;    /* 0: none */
        Span schedule;    /* empty: none */
        const char *user; /* NULL: none */
        Span text;
} Job;

/* A command line may hold a password. */
static void write_job(Meaning *m, const Job *job)
{
        GString *out = section_open(m, SECTION_CRON);

        if (!out)
                return;
        g_autofree char *text =
                secret_redact((Span){job->text.bytes, MIN(job->text.size, TEXT_SIZE_MAX)});
        g_autofree char *schedule = job->schedule.size > 0 ? span_dup(job->schedule) : NULL;
        json_text_member(out, "path", job->path);
        if (job->line > 0)
                json_text_member_uint(out, "line", job->line);
        else
                json_text_member(out, "line", NULL);
        json_text_member(out, "kind", job->kind);
        json_text_member(out, "change", job->change);
        json_text_member(out, "schedule", schedule);
        json_text_member(out, "user", job->user);
        json_text_member(out, "text", text);
        section_close(m, SECTION_CRON);
}

static void say_job(Meaning *m, const Job *job)
{
        g_autofree char *text = secret_redact((Span){job->text.bytes, MIN(job->text.size, 120)});
        g_autofree char *schedule = span_dup(job->schedule);

        meaning_say(m, "cron job %s: %s runs '%s' at %s (%s)", job->change,
                    job->user ? job->user : "somebody", text, schedule, job->path);
}

/* `user`: whose table it is; NULL where the lines say so themselves. */
static void compare_table(Meaning *m, const char *path, const char *user)
{
        g_auto(Pair) pair = {0};
        bool found = false;

        if (!meaning_read_both(m, path, &pair))
                return;
        g_autoptr(GArray) lines = line_changes(pair.old, pair.new, line_is_no_comment);
        for (unsigned i = 0; i < lines->len; i++) {
                const LineChange *line = &g_array_index(lines, LineChange, i);
                CronEntry entry;

                if (!cron_parse_line(line->text, !user, &entry))
                        continue;
                g_autofree char *name = user ? g_strdup(user) : span_dup(entry.user);
                Job job = {"entry",        line->added ? "added" : "removed",
                           path,           line->number,
                           entry.schedule, name,
                           entry.command};
                write_job(m, &job);
                say_job(m, &job);
                found = true;
        }
        if (found)
                meaning_tell_path(m, path);
}

static bool is_whole_file(const ChangeCursor *cursor)
{
        return cursor->change.kind != KIND_DIRECTORY && !cursor->change.only_time;
}

static void each_table(Meaning *m, const ChangeCursor *cursor, void *data)
{
        (void) data;
        if (!is_whole_file(cursor))
                return;
        g_autofree char *path = span_dup(change_cursor_path(cursor));
        compare_table(m, path, NULL);
}

/* Debian has users' tables in crontabs/, others directly in the spool. */
static void each_user_table(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Span path = change_cursor_path(cursor);

        (void) data;
        if (!is_whole_file(cursor) || span_starts_with(path, "/var/spool/cron/atjobs") ||
            span_starts_with(path, "/var/spool/cron/atspool"))
                return;
        g_autofree char *name = span_dup(path), *user = span_dup(span_basename(path));
        compare_table(m, name, user);
}

static const char *change_word(const Change *change)
{
        if (change->change == CHANGE_ADDED)
                return "added";
        return change->change == CHANGE_REMOVED ? "removed" : "changed";
}

static void each_script(Meaning *m, const ChangeCursor *cursor, void *data)
{
        Span path = change_cursor_path(cursor);

        if (!is_whole_file(cursor) || span_starts_with(span_basename(path), "."))
                return;
        g_autofree char *name = span_dup(path);
        Job job = {"script", change_word(&cursor->change), name, 0, span_of(data), "root", path};
        write_job(m, &job);
        if (meaning_owner(m, cursor->index))
                return;
        meaning_tell(m, cursor->index);
        meaning_say(m, "script %s, run %s, was %s", name, (const char *) data, job.change);
}

static void write_timer(Meaning *m, const ChangeCursor *cursor, const char *name)
{
        static const char *const keys[] = {"OnCalendar",   "OnUnitActiveSec", "OnBootSec",
                                           "OnStartupSec", "OnActiveSec",     "OnUnitInactiveSec"};
        g_autofree char *bytes = NULL, *path = span_dup(change_cursor_path(cursor));
        int side = cursor->change.change == CHANGE_REMOVED ? SIDE_OLD : SIDE_NEW;
        g_autofree char *schedule = NULL;
        Span text, value;

        (void) meaning_read(m, side, path, CONFIGURATION_SIZE_MAX, &bytes, &text);
        for (size_t i = 0; !schedule && i < G_N_ELEMENTS(keys); i++)
                if (unit_find(text, "Timer", keys[i], &value)) {
                        g_autofree char *when = span_dup(value);
                        schedule = g_strconcat(keys[i], "=", when, NULL);
                }
        write_job(m, &(Job){"timer", change_word(&cursor->change), path, 0,
                            span_of(schedule ? schedule : ""), NULL, span_of(name)});
}

static void each_unit(Meaning *m, const ChangeCursor *cursor, void *data)
{
        UnitPath path = {0};

        (void) data;
        if (!is_whole_file(cursor) || cursor->change.kind != KIND_FILE ||
            !unit_path_parse(change_cursor_path(cursor), &path))
                return;
        if (path.role == UNIT_FILE && g_str_has_suffix(path.name, ".timer"))
                write_timer(m, cursor, path.name);
        g_free(path.name);
}

void meaning_cron(Meaning *m)
{
        static const char *const periods[][2] = {{"/etc/cron.hourly", "hourly"},
                                                 {"/etc/cron.daily", "daily"},
                                                 {"/etc/cron.weekly", "weekly"},
                                                 {"/etc/cron.monthly", "monthly"},
                                                 {"/etc/cron.yearly", "yearly"}};

        if (meaning_changed(m, "/etc/crontab"))
                compare_table(m, "/etc/crontab", NULL);
        meaning_foreach_within(m, "/etc/cron.d", each_table, NULL);
        meaning_foreach_within(m, "/var/spool/cron", each_user_table, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(periods); i++)
                meaning_foreach_within(m, periods[i][0], each_script, (void *) periods[i][1]);
        for (unsigned scope = 0; scope < _SCOPE_MAX; scope++)
                for (unsigned i = 0; unit_directories[scope][i]; i++)
                        meaning_foreach_within(m, unit_directories[scope][i], each_unit, NULL);
}

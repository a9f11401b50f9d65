/* SPDX-License-Identifier: MIT */
#include "diff/settings.h"

#include "base/cleanup.h"

#include <string.h>

#define KEY_SIZE_MAX 512

/* The first of '.' and '/' is what separates; where that is '/', both change places. */
bool sysctl_parse_line(Span line, char **ret_key, Span *ret_value)
{
        Span name, value = span_trim(line);

        if (value.size == 0 || strchr("#;", value.bytes[0]) || !span_has(value, '='))
                return false;
        (void) span_next_part(&value, '=', &name);
        if (span_starts_with(name, "-"))
                name = span_skip(name, 1);
        name = span_trim(name);
        if (name.size == 0 || name.size > KEY_SIZE_MAX || span_has(name, '\0'))
                return false;
        char *key = span_dup(name);
        char *separator = strpbrk(key, "./");
        if (separator && *separator == '/')
                for (char *p = key; *p; p++)
                        *p = (char) (*p == '/' ? '.' : *p == '.' ? '/' : *p);
        *ret_key = key;
        *ret_value = span_trim(value);
        return true;
}

static bool is_name(Span name)
{
        if (name.size == 0 || g_ascii_isdigit(name.bytes[0]))
                return false;
        for (size_t i = 0; i < name.size; i++)
                if (!g_ascii_isalnum(name.bytes[i]) && name.bytes[i] != '_')
                        return false;
        return true;
}

bool assignment_parse_line(Span line, Span *ret_name, Span *ret_value)
{
        Span name, value = span_trim(line);

        if (!span_has(value, '=') || !span_next_part(&value, '=', &name) || !is_name(name))
                return false;
        *ret_name = name;
        *ret_value = span_unquote(span_trim(value));
        return true;
}

static bool is_schedule_field(Span word)
{
        for (size_t i = 0; i < word.size; i++)
                if (!g_ascii_isalnum(word.bytes[i]) &&
                    (word.bytes[i] == '\0' || !strchr("*,-/?~LW#", word.bytes[i])))
                        return false;
        return word.size > 0;
}

bool cron_parse_line(Span line, bool with_user, CronEntry *ret)
{
        Span rest = span_trim(line), word, schedule = rest, user = {"", 0};
        unsigned n_fields = span_starts_with(rest, "@") ? 1 : 5;

        if (rest.size == 0 || rest.bytes[0] == '#')
                return false;
        for (unsigned i = 0; i < n_fields; i++)
                if (!span_next_word(&rest, &word) || (n_fields == 5 && !is_schedule_field(word)))
                        return false;
        schedule.size = (size_t) (word.bytes + word.size - schedule.bytes);
        if (with_user && !span_next_word(&rest, &user))
                return false;
        rest = span_trim(rest);
        if (rest.size == 0)
                return false;
        *ret = (CronEntry){schedule, user, rest};
        return true;
}

bool sudoers_line_counts(Span line)
{
        if (line.size == 0)
                return false;
        return line.bytes[0] != '#' || (line.size > 1 && g_ascii_isdigit(line.bytes[1])) ||
               span_starts_with(line, "#include");
}

static bool has_text(Span line, const char *text)
{
        return line.size > 0 && g_strstr_len(line.bytes, (gssize) line.size, text);
}

bool sudoers_is_without_password(Span line)
{
        return sudoers_line_counts(line) &&
               (has_text(line, "NOPASSWD") || has_text(line, "!authenticate"));
}

bool sudoers_is_read(Span name)
{
        return name.size > 0 && !span_has(name, '.') && !span_ends_with(name, "~");
}

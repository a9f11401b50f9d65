/* SPDX-License-Identifier: MIT */
#pragma once

/* Lines of configuration that are "key = value", and those of cron. Pure. */

#include "diff/span.h"

/* sysctl.d(5): "-net.ipv4.ip_forward = 1". The key comes with dots, as sysctl(8) shows it; g_free()
 * it. False for comments and what is no setting. */
bool sysctl_parse_line(Span line, char **ret_key, Span *ret_value);

/* A shell's NAME=value, with quotes taken off; false for anything else. */
bool assignment_parse_line(Span line, Span *ret_name, Span *ret_value);

typedef struct CronEntry {
        Span schedule; /* "0 3 * * *" or "@daily" */
        Span user;     /* empty where there is none */
        Span command;
} CronEntry;

/* crontab(5): false for comments, variables and what is no entry. `with_user`: of the system's
 * tables, which have a user in each line. */
bool cron_parse_line(Span line, bool with_user, CronEntry *ret);

/* sudoers(5): whether the line says something; "#1000" at its beginning is a user. */
bool sudoers_line_counts(Span line);

/* Whether a line of sudoers lets somebody in without a password. */
bool sudoers_is_without_password(Span line);

/* Whether sudo reads a file of that name in sudoers.d. */
bool sudoers_is_read(Span name);

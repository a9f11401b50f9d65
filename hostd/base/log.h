/* SPDX-License-Identifier: MIT */
#pragma once

/* One line for the person who reads the journal, where an error stops.
 *
 * Goes to the journal with structured fields where stderr is connected to it, else to stderr.
 * Never pass guest output or a secret. `fields` is a NULL-terminated list of "NAME=value" strings
 * (SANDBOX=, COMMAND=, CALLER=), or NULL. */

#include <syslog.h>

void log_fields(int priority, const char *const *fields, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* For what has to be in the journal whatever its level is there (LOG_INFO): records of the audit
 * trail. Elsewhere as log_fields(). */
void log_record(const char *const *fields, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_fields(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_fields(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...)    log_fields(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_fields(LOG_DEBUG, NULL, __VA_ARGS__)

/* What is less important than `priority` is dropped; LOG_INFO at first. */
void log_set_max_priority(int priority);

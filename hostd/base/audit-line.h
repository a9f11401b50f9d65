/* SPDX-License-Identifier: MIT */
#pragma once

/* A row of the audit trail as a line of JSON: what is exported, and what sealed files hold. */

#include "base/audit-row.h"
#include "base/json.h"

/* Appends the line with its newline. A detail that JSON would not give back byte for byte is the
 * text "detail_text" instead of the object "detail", so that the hash can be computed anew. */
void audit_line_append(GString *lines, const AuditRow *row);

/* `ret_owner` has the strings of `ret_row`. FAULT_INVALID_ARGUMENT: it is no such line. */
int audit_line_parse(const char *line, size_t size, AuditRow *ret_row, Json **ret_owner, Fault *f);

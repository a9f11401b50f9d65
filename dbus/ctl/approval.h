/* SPDX-License-Identifier: MIT */
#pragma once

/* What several verbs do with approvals. What others have written is escaped, and stands behind a
 * bar, so that no line of it passes for one of fluidctl's. */

#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"

/* A new string, the path; FAULT_INVALID_ARGUMENT unless it is an id. */
int approval_find(Ctl *ctl, const char *id, char **ret_path, Fault *f);

/* The properties, and where `ret_content` is not NULL the bytes of the content, which the caller
 * frees: they were held against Sha256. */
int approval_load(Ctl *ctl, const char *path, Json **ret_properties, char **ret_content, Fault *f);

/* Waits with progress until it is not pending any more, or FAULT_TIMED_OUT. */
int approval_wait(Ctl *ctl, const char *path, uint64_t timeout_usec, Fault *f);

/* Does what was approved, and shows what is printed meanwhile. */
int approval_apply(Ctl *ctl, const char *path, Fault *f);

/* What was said, as the result of a verb; returns the exit status: 0 for a yes, 3 for a no, 5 where
 * it has expired, else 1. */
int approval_print_answer(Ctl *ctl, const char *path, Fault *f);

/* approval-check.c: what was printed in check mode, which has to have that hash; who may not read
 * it is told so. */
int approval_print_check_log(Ctl *ctl, const char *path, const char *sha256, Fault *f);
/* What is to be seen first, and what came of a check: in red words where that failed. */
void approval_print_warning(const char *title, const char *text);
void approval_print_check(const char *check);

/* "| " and a line, for each line of text. */
void print_barred(const char *text);

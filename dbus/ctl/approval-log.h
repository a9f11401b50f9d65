/* SPDX-License-Identifier: MIT */
#pragma once

/* What is printed while something approved is applied: each whole line escaped, behind a bar. */

#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"

typedef struct ApprovalLog {
        Ctl *ctl;
        const char *path; /* of the approval */
        int fd;           /* -1: there was none yet */
        uint64_t offset;
        uint64_t asked_usec; /* when it was asked for last */
        GString *rest;       /* of a line that has no end yet */
} ApprovalLog;

#define APPROVAL_LOG(ctl_, path_) ((ApprovalLog){.ctl = (ctl_), .path = (path_), .fd = -1})

/* Prints what has come since; a BusTick. */
void approval_log_tick(void *log);
/* Prints the rest, and frees what it has. */
void approval_log_end(ApprovalLog *log);

/* The whole of it, as it grows. FAULT_NOT_FOUND where there is none. */
int approval_print_log(Ctl *ctl, const char *path, Fault *f);

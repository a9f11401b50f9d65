/* SPDX-License-Identifier: MIT */
#pragma once

/* What differs between two points of a sandbox's disks, and files at one point, as fluid-diff reads
 * them. */

#include "core/manager.h"

/* `fd` is a file that can be read from its start, borrowed, valid during the call. */
typedef void (*DiffDone)(int fd, int r, const Fault *f, void *userdata);

/* Points are "template", a snapshot's name, or "now". For "now" of a running sandbox a hidden layer
 * is cut, and merged again when the file is complete. */
typedef struct DiffSpec {
        const char *from, *to;
        bool contents; /* with the content of changed text files */
} DiffSpec;

int diff_start(Sandbox *s, Caller *caller, const DiffSpec *spec, DiffDone done, void *userdata,
               Fault *f);

typedef struct FileAtSpec {
        const char *path; /* absolute */
        bool is_escaped;  /* it is text of escape_print() */
        const char *point;
        bool is_archive;   /* a pax archive of the file or directory, else a file's content */
        uint64_t size_max; /* bytes; 0 for as many as the host allows */
} FileAtSpec;

/* FAULT_NOT_FOUND, INVALID_ARGUMENT and LIMITS_EXCEEDED are of the path. */
int file_at_start(Sandbox *s, Caller *caller, const FileAtSpec *spec, DiffDone done, void *userdata,
                  Fault *f);

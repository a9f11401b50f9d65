/* SPDX-License-Identifier: MIT */
#pragma once

/* A playbook for Ansible that makes of the older point what the newer one is.
 *
 * A function of the diff document alone, and of the files that it names: what commands led there is
 * neither known nor needed. The result is a directory as an administrator would write it:
 *
 *   playbook.yml
 *   README.md                        how to run it
 *   LEFT-OUT.md, left-out.json       what it does not reproduce, and why
 *   roles/change/tasks/main.yml      in order: stop.yml sources.yml system-accounts.yml
 *                                    packages.yml accounts.yml files.yml remove.yml services.yml,
 *                                    those that have tasks
 *   roles/change/handlers/main.yml
 *   roles/change/defaults/main.yml   what may be set otherwise
 *   roles/change/files/SHA256        contents
 *
 * Only modules of ansible-core are used, by their full names; it can run in check mode, and a
 * second run changes nothing. Order is by what needs what: sources and keys, packages with their
 * versions, groups, users, directories, files, links, removals, services. Handlers load again what
 * reads a changed file.
 *
 * What the guest wrote reaches Ansible only as values that it does not interpret
 * (diff/yaml-writer.h). Names of files in the role come from hashes. A path, owner or link that
 * cannot be said exactly in YAML or would be expanded by Ansible's modules is left out and listed,
 * never approximated; so is what belongs to one machine or changes by itself: see
 * diff/playbook-left-out.h for the list. */

#include "base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PlaybookOptions {
        bool allow_secrets; /* to hold files that look like secrets */
        bool allow_setuid;  /* to make set-uid and set-gid programs */
} PlaybookOptions;

/* Takes a piece of a file. */
typedef int (*PlaybookTake)(void *data, const void *bytes, size_t size, Fault *f);

/* The files of both points. */
typedef struct PlaybookSource {
        void *data;
        /* All of a small regular file, links followed, with a NUL behind it; g_free() it.
         * FAULT_NOT_FOUND; DIFF_FAILED where it is larger than `max`. */
        int (*read)(void *data, bool of_new, const char *path, size_t max, char **ret,
                    size_t *ret_size, Fault *f);
        /* A regular file of the newer point, piece by piece. */
        int (*copy)(void *data, const char *path, PlaybookTake take, void *take_data, Fault *f);
        /* What a symbolic link of the newer point says; g_free() it. */
        int (*read_link)(void *data, const char *path, char **ret, Fault *f);
} PlaybookSource;

/* Where the role goes: each file is begun with its size, then written. */
typedef struct PlaybookSink {
        void *data;
        int (*begin)(void *data, const char *name, uint64_t size, Fault *f);
        PlaybookTake write;
        int (*end)(void *data, Fault *f);
} PlaybookSink;

/* FAULT_INVALID_ARGUMENT where the document is none; LIMITS_EXCEEDED where it is too large; DENIED,
 * naming them, where secrets or set-uid programs are in it and not allowed; DIFF_FAILED where a
 * file is not what the document says. */
int playbook_write(const char *document, size_t size, const PlaybookSource *source,
                   const PlaybookOptions *options, const PlaybookSink *sink, Fault *f);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What sandboxes are made from. */

#include "core/manager.h"
#include "store/store.h"

typedef struct TemplateSpec {
        const char *name;
        /* Open descriptors, or -1; the template takes copies of them. */
        int image_fd, kernel_fd, initrd_fd;
        const char *format; /* NULL: by the magic bytes */
        const char *cmdline;
        /* Or a libvirt domain; then no descriptors, format or cmdline. */
        const char *domain;
        unsigned vcpus;        /* 0: the host's default, or the domain's */
        uint64_t memory_bytes; /* 0: likewise */
} TemplateSpec;

/* Begins to import; template_wait() tells how it ended. */
int template_import(Manager *m, Caller *caller, const TemplateSpec *spec, Template **ret, Fault *f);

/* Waits for state "ready". A failed import ends every wait with its reason and removes the
 * template. */
int template_wait(Template *t, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f);

/* FAULT_IN_USE while a sandbox stands on it. */
int template_remove(Template *t, Caller *caller, OperationDone done, void *userdata, Fault *f);

/* Its record; valid until the loop goes on. */
const TemplateRow *template_row(const Template *t);

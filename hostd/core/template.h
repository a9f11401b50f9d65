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
        const char *source;    /* what its Source says instead; NULL: as it is */
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

/* -- warm (core/warm.c) ------------------------------------------------------------------------ */

/* Begins to make a memory image of the booted template: a sandbox that nobody sees boots it, comes
 * to rest, and is kept as the snapshot POINT_BOOTED with its memory. Sandboxes of that size are
 * then copies of it. It is kept warm from then on: made again where QEMU or libvirt have changed.
 * Does nothing where there is such an image, or it is being made. 0 for a size: the template's. */
int template_warm(Template *t, Caller *caller, unsigned vcpus, uint64_t memory_bytes, Fault *f);

/* Waits until no image of it is being made any more: done with the reason where the last one
 * failed. */
int template_wait_warm(Template *t, uint64_t timeout_usec, OperationDone done, void *userdata,
                       Fault *f);

/* Removes its images, of all sizes, and its pool. Sandboxes that were made from them stay. */
int template_cool(Template *t, Caller *caller, OperationDone done, void *userdata, Fault *f);

/* Keeps that many sandboxes ready to be handed out; makes it warm first where it is not.
 * FAULT_LIMITS_EXCEEDED beyond pool_memory_max. 0 ends it. */
int template_set_pool(Template *t, Caller *caller, unsigned size, Fault *f);

typedef struct TemplateWarmth {
        bool is_warm; /* there is an image of the template's own size */
        const char *
                phase; /* of the image that is being made: "booting", "settling", "saving"; or "" */
        const char *reason;    /* why the last one failed, or "" */
        uint64_t memory_bytes; /* what the images use on disk */
        unsigned pool;         /* wanted; the row's */
        unsigned pool_ready;   /* that can be handed out now */
} TemplateWarmth;
/* Strings are valid until the loop goes on. */
TemplateWarmth template_warmth(const Template *t);

/* Its record; valid until the loop goes on. */
const TemplateRow *template_row(const Template *t);

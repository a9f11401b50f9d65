/* SPDX-License-Identifier: MIT */
#pragma once

/* Threads for what blocks: libvirt calls, child programs, long file work.
 *
 * A request is a struct of the caller's. run() is called once in some thread and sees only its own
 * request; done() is called once on the loop afterwards, never before workers_submit() returned.
 * The request is freed after done(), or after run() when the Work was cancelled. */

#include "base/fault.h"

#include <glib.h>
#include <systemd/sd-event.h>

typedef struct Workers Workers;
typedef struct Work Work;

typedef int (*WorkRun)(void *request, Fault *f);

/* `r` is what run() returned and `f` what it said; both are valid only during the call. */
typedef void (*WorkDone)(void *request, int r, const Fault *f, void *userdata);

/* Starts `threads` threads. FAULT_INTERNAL. */
int workers_new(sd_event *event, unsigned threads, Workers **ret, Fault *f);

/* Waits for what is running (cancelled or not), forgets what is queued, and frees. NULL is allowed.
 */
Workers *workers_free(Workers *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Workers, workers_free)

/* Queues `request`, of which ownership passes; `free_request` may be NULL. The returned Work is
 * owned by the Workers and valid until done() begins. */
Work *workers_submit(Workers *w, WorkRun run, WorkDone done, void *request,
                     GDestroyNotify free_request, void *userdata);

/* After this done() is not called. What is queued is not begun; what runs ends on its own. */
void work_cancel(Work *work);

/* Queued and running requests. */
unsigned workers_pending(const Workers *w);

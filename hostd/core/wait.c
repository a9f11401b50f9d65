/* SPDX-License-Identifier: MIT */
#include "core/wait.h"

#include "base/quantity.h"

#define WAITERS_MAX 1024

typedef struct Waiter {
        WaitList *list;
        char *wanted;
        WaitDone done;
        void *userdata;
        sd_event_source *timer;
        bool was_reached; /* before it began */
} Waiter;

static void waiter_free(gpointer data)
{
        Waiter *w = data;

        sd_event_source_disable_unref(w->timer);
        g_free(w->wanted);
        g_free(w);
}

/* Takes it off the list first: done() may add another wait, or free the object. */
static void end(Waiter *w, int r, const Fault *f)
{
        g_assert(g_ptr_array_remove(w->list->waiters, w));
        w->done(r, f, w->userdata);
        waiter_free(w);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        Fault f = {0};
        int r = 0;

        (void) source;
        (void) usec;
        if (!w->was_reached)
                r = fault_set(&f, FAULT_TIMED_OUT, "the wait took longer than its timeout");
        end(w, r, &f);
        return 0;
}

int wait_add(WaitList *list, sd_event *event, const char *wanted, uint64_t timeout_usec,
             WaitIsReached is_reached, void *object, WaitDone done, void *userdata, Fault *f)
{
        Waiter *w;
        int r;

        if (list->waiters && list->waiters->len >= WAITERS_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%d callers wait for this object already", WAITERS_MAX);
        if (!list->waiters)
                list->waiters = g_ptr_array_new();
        w = g_new0(Waiter, 1);
        *w = (Waiter){.list = list,
                      .wanted = g_strdup(wanted),
                      .done = done,
                      .userdata = userdata,
                      .was_reached = is_reached(wanted, object)};
        if (w->was_reached)
                timeout_usec = 0;
        if (timeout_usec < USEC_INFINITY / 4) {
                r = sd_event_add_time_relative(event, &w->timer, CLOCK_MONOTONIC, timeout_usec,
                                               USEC_PER_MSEC, on_timer, w);
                if (r < 0) {
                        waiter_free(w);
                        return fault_set_errno(f, FAULT_INTERNAL, r, "cannot set a timer");
                }
        }
        g_ptr_array_add(list->waiters, w);
        return 0;
}

void wait_notify(WaitList *list, WaitIsReached is_reached, void *object)
{
        g_autoptr(GPtrArray) reached = g_ptr_array_new();

        if (!list->waiters)
                return;
        for (guint i = 0; i < list->waiters->len; i++) {
                Waiter *w = list->waiters->pdata[i];
                if (is_reached(w->wanted, object))
                        g_ptr_array_add(reached, w);
        }
        for (guint i = 0; i < reached->len; i++)
                end(reached->pdata[i], 0, NULL);
}

void wait_fail(WaitList *list, const Fault *f)
{
        while (list->waiters && list->waiters->len > 0)
                end(list->waiters->pdata[0], fault_to_errno(f->code), f);
        g_clear_pointer(&list->waiters, g_ptr_array_unref);
}

void wait_clear(WaitList *list)
{
        if (!list->waiters)
                return;
        g_ptr_array_set_free_func(list->waiters, waiter_free);
        g_clear_pointer(&list->waiters, g_ptr_array_unref);
}

/* SPDX-License-Identifier: MIT */
#include "loop/worker.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Work {
        Workers *workers;
        WorkRun run;
        WorkDone done; /* NULL once cancelled; touched on the loop only */
        void *request;
        GDestroyNotify free_request;
        void *userdata;
        gint is_cancelled; /* atomic: read by the thread before it begins */
        int result;
        Fault fault;
};

struct Workers {
        GThreadPool *pool;
        GAsyncQueue *finished;
        int wakeup_fd;
        sd_event_source *wakeup;
        unsigned pending;
};

static void free_work(gpointer data)
{
        Work *work = data;

        if (work->free_request && work->request)
                work->free_request(work->request);
        g_free(work);
}

static void run_work(gpointer data, gpointer userdata)
{
        Work *work = data;
        Workers *w = userdata;
        uint64_t one = 1;

        if (!g_atomic_int_get(&work->is_cancelled))
                work->result = work->run(work->request, &work->fault);
        g_async_queue_push(w->finished, work);
        /* A full counter still wakes the loop. */
        if (write(w->wakeup_fd, &one, sizeof one) < 0)
                g_assert(errno == EAGAIN);
}

static int on_wakeup(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Workers *w = userdata;
        uint64_t count;
        Work *work;

        (void) source;
        (void) revents;
        if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
                return -errno;
        while ((work = g_async_queue_try_pop(w->finished))) {
                w->pending--;
                if (work->done)
                        work->done(work->request, work->result, &work->fault, work->userdata);
                free_work(work);
        }
        return 0;
}

int workers_new(sd_event *event, unsigned threads, Workers **ret, Fault *f)
{
        g_autoptr(Workers) w = g_new0(Workers, 1);
        g_autoptr(GError) error = NULL;
        int r;

        w->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->wakeup_fd < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot make an eventfd");
        r = sd_event_add_io(event, &w->wakeup, w->wakeup_fd, EPOLLIN, on_wakeup, w);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot watch the workers");
        w->finished = g_async_queue_new();
        w->pool = g_thread_pool_new_full(run_work, w, free_work, (int) threads, FALSE, &error);
        if (!w->pool)
                return fault_set(f, FAULT_INTERNAL, "cannot start worker threads: %s",
                                 error->message);
        *ret = g_steal_pointer(&w);
        return 0;
}

Workers *workers_free(Workers *w)
{
        Work *work;

        if (!w)
                return NULL;
        if (w->pool)
                g_thread_pool_free(w->pool, TRUE, TRUE);
        while (w->finished && (work = g_async_queue_try_pop(w->finished)))
                free_work(work);
        g_clear_pointer(&w->finished, g_async_queue_unref);
        w->wakeup = sd_event_source_disable_unref(w->wakeup);
        w->wakeup_fd = close_fd(w->wakeup_fd);
        g_free(w);
        return NULL;
}

Work *workers_submit(Workers *w, WorkRun run, WorkDone done, void *request,
                     GDestroyNotify free_request, void *userdata)
{
        Work *work = g_new0(Work, 1);

        *work = (Work){.workers = w,
                       .run = run,
                       .done = done,
                       .request = request,
                       .free_request = free_request,
                       .userdata = userdata,
                       .result = -ECANCELED};
        w->pending++;
        (void) g_thread_pool_push(w->pool, work, NULL);
        return work;
}

void work_cancel(Work *work)
{
        g_atomic_int_set(&work->is_cancelled, 1);
        work->done = NULL;
}

unsigned workers_pending(const Workers *w)
{
        return w->pending;
}

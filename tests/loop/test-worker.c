/* SPDX-License-Identifier: MIT */
#include "loop/worker.h"

#include "base/quantity.h"
#include "tests/tap.h"

#include <errno.h>
#include <unistd.h>

static sd_event *event;
static Workers *workers;
static GThread *loop_thread;

/* One request; it outlives its Work, so that what became of it can be seen. */
typedef struct Job {
        gint runs, frees, is_open; /* atomic */
        unsigned done, order;
        bool was_elsewhere, was_on_loop, had_returned;
        int result;
        Fault fault;
        const void *userdata;
} Job;

static bool submit_has_returned;
static unsigned last_order;
static GMutex gate_lock;
static GCond gate_moves;
static unsigned gate_waiting;
static bool gate_is_closed;

/* -- requests --------------------------------------------------------------------------------- */

static void pass_gate(void)
{
        g_mutex_lock(&gate_lock);
        gate_waiting++;
        g_cond_broadcast(&gate_moves);
        while (gate_is_closed)
                g_cond_wait(&gate_moves, &gate_lock);
        gate_waiting--;
        g_mutex_unlock(&gate_lock);
}

static void close_gate(void)
{
        g_mutex_lock(&gate_lock);
        gate_is_closed = true;
        g_mutex_unlock(&gate_lock);
}

static void open_gate(void)
{
        g_mutex_lock(&gate_lock);
        gate_is_closed = false;
        g_cond_broadcast(&gate_moves);
        g_mutex_unlock(&gate_lock);
}

static void await_at_gate(unsigned n)
{
        g_mutex_lock(&gate_lock);
        while (gate_waiting < n)
                g_cond_wait(&gate_moves, &gate_lock);
        g_mutex_unlock(&gate_lock);
}

static int run(void *request, G_GNUC_UNUSED Fault *f)
{
        Job *job = request;

        job->was_elsewhere = g_thread_self() != loop_thread;
        pass_gate();
        (void) g_atomic_int_add(&job->runs, 1);
        return 42;
}

static int run_badly(void *request, Fault *f)
{
        (void) g_atomic_int_add(&((Job *) request)->runs, 1);
        return fault_set(f, FAULT_EXISTS, "it is there already");
}

static void done(void *request, int r, const Fault *f, void *userdata)
{
        Job *job = request;

        job->done++;
        job->order = ++last_order;
        job->was_on_loop = g_thread_self() == loop_thread;
        job->had_returned = submit_has_returned && g_atomic_int_get(&job->frees) == 0;
        job->result = r;
        job->fault = *f;
        job->userdata = userdata;
}

static void free_job(gpointer data)
{
        (void) g_atomic_int_add(&((Job *) data)->frees, 1);
}

static Work *submit(Job *job)
{
        submit_has_returned = false;
        Work *work = workers_submit(workers, run, done, job, free_job, &last_order);
        submit_has_returned = true;
        return work;
}

static bool until_done(const Job *jobs, size_t n)
{
        uint64_t end = now_monotonic_usec() + 10 * USEC_PER_SEC;

        for (size_t i = 0; i < n; i++)
                while (jobs[i].done == 0) {
                        if (now_monotonic_usec() > end ||
                            sd_event_run(event, 100 * USEC_PER_MSEC) < 0)
                                return false;
                }
        return true;
}

static void start(unsigned threads)
{
        if (workers_new(event, threads, &workers, NULL) < 0)
                tap_bail_out("the workers cannot be started");
        last_order = 0;
}

static void stop(void)
{
        workers = workers_free(workers);
}

/* -- cases ------------------------------------------------------------------------------------ */

static void test_one(void)
{
        Job job = {0}, bad = {0};

        start(2);
        (void) submit(&job);
        tap_is_int(workers_pending(workers), 1, "a request is pending");
        tap_ok(until_done(&job, 1), "it is done");
        tap_is_int(workers_pending(workers), 0, "and not pending any more");
        tap_ok(job.was_elsewhere, "it ran in another thread");
        tap_ok(job.was_on_loop, "its end was told on the loop");
        tap_ok(job.had_returned, "after it was submitted, and before it was freed");
        tap_is_int(job.result, 42, "what run() returned is told");
        tap_ok(!fault_is_set(&job.fault), "without a reason where there is none");
        tap_ok(job.userdata == &last_order, "with the userdata");
        tap_is_int(g_atomic_int_get(&job.frees), 1, "then the request is freed once");

        (void) workers_submit(workers, run_badly, done, &bad, free_job, NULL);
        tap_ok(until_done(&bad, 1), "a request that fails is done, too");
        tap_is_int(bad.result, -EEXIST, "its error is told");
        tap_is_str(bad.fault.message, "it is there already", "and its reason");
        stop();
        tap_is_int(bad.done, 1, "once");
}

static void test_many(void)
{
        enum { N = 500 };
        static Job jobs[N];
        unsigned runs = 0, ends = 0, frees = 0;
        bool in_order = true;

        start(8);
        for (size_t i = 0; i < N; i++)
                (void) submit(jobs + i);
        tap_ok(until_done(jobs, N), "500 requests in 8 threads are done");
        stop();
        for (size_t i = 0; i < N; i++) {
                runs += (unsigned) jobs[i].runs;
                ends += jobs[i].done;
                frees += (unsigned) jobs[i].frees;
        }
        tap_ok(runs == N && ends == N && frees == N, "each ran, ended and was freed once");

        start(1);
        memset(jobs, 0, sizeof jobs);
        for (size_t i = 0; i < N; i++)
                (void) submit(jobs + i);
        tap_ok(until_done(jobs, N), "500 requests in one thread are done");
        for (size_t i = 0; i < N; i++)
                in_order &= jobs[i].order == i + 1;
        tap_ok(in_order, "in the order in which they were submitted");
        stop();
}

static void test_threads(void)
{
        Job jobs[3] = {0};

        start(2);
        close_gate();
        for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
                (void) submit(jobs + i);
        await_at_gate(2);
        tap_ok(gate_waiting == 2, "two threads run two requests at a time, and no third");
        tap_is_int(workers_pending(workers), 3, "the third is pending all the same");
        tap_is_int(sd_event_run(event, 0), 0, "the loop has nothing to do meanwhile");
        open_gate();
        tap_ok(until_done(jobs, 3), "all are done when they may go on");
        stop();
}

static void test_cancel(void)
{
        Job running = {0}, queued = {0}, last = {0};

        start(1);
        close_gate();
        Work *first = submit(&running), *second = submit(&queued);
        (void) submit(&last);
        await_at_gate(1);
        work_cancel(first);
        work_cancel(second);
        open_gate();
        tap_ok(until_done(&last, 1), "what comes after cancelled requests is done");
        tap_is_int(running.runs, 1, "one that ran when it was cancelled ended on its own");
        tap_is_int(running.done, 0, "but nobody is told");
        tap_is_int(running.frees, 1, "and it is freed");
        tap_is_int(queued.runs, 0, "one that was queued is not begun");
        tap_is_int(queued.done, 0, "nobody is told");
        tap_is_int(queued.frees, 1, "and it is freed");
        tap_is_int(workers_pending(workers), 0, "nothing is pending");
        stop();

        Job ended = {0};
        start(1);
        Work *work = submit(&ended);
        while (!g_atomic_int_get(&ended.runs))
                g_thread_yield();
        work_cancel(work);
        while (workers_pending(workers) > 0)
                (void) sd_event_run(event, 100 * USEC_PER_MSEC);
        tap_ok(ended.done == 0 && ended.frees == 1,
               "one that has ended can be cancelled until the loop knows of it");
        stop();
}

static gpointer open_gate_later(G_GNUC_UNUSED gpointer data)
{
        open_gate();
        return NULL;
}

static void test_free(void)
{
        Job running = {0}, cancelled = {0}, queued[20] = {0};
        unsigned told = 0, frees = 0;

        start(2);
        close_gate();
        (void) submit(&running);
        work_cancel(submit(&cancelled));
        for (size_t i = 0; i < G_N_ELEMENTS(queued); i++)
                (void) submit(queued + i);
        await_at_gate(1);
        GThread *helper = g_thread_new("helper", open_gate_later, NULL);
        stop();
        (void) g_thread_join(helper);
        for (size_t i = 0; i < G_N_ELEMENTS(queued); i++) {
                told += queued[i].done;
                frees += (unsigned) queued[i].frees;
        }
        tap_is_int(running.runs, 1, "freeing the workers waits for what runs");
        tap_ok(running.done == 0 && told == 0, "nobody is told of anything afterwards");
        tap_ok(running.frees == 1 && cancelled.frees == 1 && frees == G_N_ELEMENTS(queued),
               "and every request is freed once");
        tap_ok(!workers_free(NULL), "no workers can be freed");
}

static void submit_again(void *request, int r, const Fault *f, void *userdata)
{
        done(request, r, f, userdata);
        (void) submit(userdata);
}

static void test_chain(void)
{
        Job first = {0}, second = {0};

        start(1);
        (void) workers_submit(workers, run, submit_again, &first, NULL, &second);
        tap_ok(until_done(&second, 1), "done() may submit another request");
        tap_is_int(first.frees, 0, "a request without a destructor is left alone");
        stop();
}

int main(void)
{
        loop_thread = g_thread_self();
        if (sd_event_new(&event) < 0)
                tap_bail_out("no event loop");
        test_one();
        test_many();
        test_threads();
        test_cancel();
        test_free();
        test_chain();
        event = sd_event_unref(event);
        return tap_done();
}

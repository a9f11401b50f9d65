/* SPDX-License-Identifier: MIT */

/* Programs in guests. */

#include "base/quantity.h"
#include "tests/fake/host/state.h"
#include "tests/fake/host/task.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A program in a guest. `task` waits for it, or nobody. */
typedef struct Process {
        char *id;
        int64_t pid;
        char *domain; /* that it runs in, since that boot */
        uint64_t boot;
        GuestTask *task;
        bool is_lost;
        GuestExit exit;
        bool has_ended;
        GBytes *output[_GUEST_STREAM_MAX];
} Process;

static void process_free(gpointer data)
{
        Process *p = data;

        g_free(p->id);
        g_free(p->domain);
        for (GuestStream stream = 0; stream < _GUEST_STREAM_MAX; stream++)
                if (p->output[stream])
                        g_bytes_unref(p->output[stream]);
        g_free(p);
}

static int64_t last_pid = 1000;

static GPtrArray *processes(void)
{
        if (!fake.processes)
                fake.processes = g_ptr_array_new_with_free_func(process_free);
        return fake.processes;
}

/* Its guest runs, stands still, or has its memory in a file. */
static bool is_alive(const Process *p)
{
        const FakeDomain *d;
        bool alive;

        if (!p->domain)
                return false;
        fake_lock();
        d = fake_domain_find(p->domain);
        alive = d && d->guest.boot == p->boot &&
                (fake_is_on(d) || (d->saved && g_file_test(d->saved, G_FILE_TEST_EXISTS)));
        fake_unlock();
        return alive;
}

static Process *process_find(int64_t pid)
{
        for (guint i = 0; i < processes()->len; i++) {
                Process *p = processes()->pdata[i];

                if (p->pid == pid)
                        return is_alive(p) ? p : NULL;
        }
        return NULL;
}

static void process_end(Process *p, int exit_status, int signal)
{
        if (p->has_ended)
                return;
        p->exit.exit_status = signal ? -1 : exit_status;
        p->exit.signal = signal;
        p->has_ended = true;
        if (p->task)
                (void) sd_event_source_set_enabled(p->task->step, SD_EVENT_ONESHOT);
}

static void write_words(Process *p, GuestStream stream, const char *const *words, char separator)
{
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; words && words[i]; i++) {
                if (i > 0)
                        g_string_append_c(text, separator);
                g_string_append(text, words[i]);
        }
        g_string_append_c(text, '\n');
        p->output[stream] = g_bytes_new(text->str, text->len);
}

static void write_yes(Process *p, const char *size)
{
        size_t n = size ? (size_t) g_ascii_strtoull(size, NULL, 10) : 0;
        char *text = g_malloc(n + 1);

        for (size_t i = 0; i < n; i++)
                text[i] = i % 2 ? '\n' : 'y';
        p->output[GUEST_STDOUT] = g_bytes_new_take(text, n);
}

/* Returns false for a program that the guest does not have. */
static bool process_run(Process *p, const GuestExecSpec *spec)
{
        const char *slash = strrchr(spec->argv[0], '/');
        const char *name = slash ? slash + 1 : spec->argv[0];
        const char *const *words = spec->argv + 1;
        int exit_status = 0;

        if (g_str_equal(name, "sleep"))
                return true;
        if (g_str_equal(name, "false"))
                exit_status = 1;
        else if (g_str_equal(name, "exit"))
                exit_status = words[0] ? atoi(words[0]) : 0;
        else if (g_str_equal(name, "echo"))
                write_words(p, GUEST_STDOUT, words, ' ');
        else if (g_str_equal(name, "complain"))
                write_words(p, GUEST_STDERR, words, ' ');
        else if (g_str_equal(name, "env"))
                write_words(p, GUEST_STDOUT, spec->environment, '\n');
        else if (g_str_equal(name, "cat"))
                p->output[GUEST_STDOUT] = g_bytes_new(spec->input, spec->input_size);
        else if (g_str_equal(name, "yes"))
                write_yes(p, words[0]);
        else if (g_str_equal(name, "vanish"))
                p->is_lost = true;
        else if (!g_str_equal(name, "true"))
                return false;
        process_end(p, exit_status, 0);
        return true;
}

static void emit_output(GuestTask *task, Process *p)
{
        for (GuestStream stream = 0; stream < _GUEST_STREAM_MAX; stream++) {
                size_t size = p->output[stream] ? g_bytes_get_size(p->output[stream]) : 0;
                size_t kept = MIN(size, task->output_max);

                p->exit.truncated[stream] = kept < size;
                if (kept > 0)
                        task->exec.output(stream, g_bytes_get_data(p->output[stream], NULL), kept,
                                          task->userdata);
        }
}

static void exec_end(GuestTask *task, Process *p, int r, const Fault *f)
{
        GuestExecHandlers handlers = task->exec;
        void *userdata = task->userdata;
        GuestExit exit = p ? p->exit : (GuestExit){0};

        for (guint i = 0; i < processes()->len; i++)
                if (((Process *) processes()->pdata[i])->task == task)
                        ((Process *) processes()->pdata[i])->task = NULL;
        /* Whoever is not waited for any more runs on; what ended stays until somebody has asked. */
        if (p && !(f && f->code == FAULT_CANCELLED))
                (void) g_ptr_array_remove(processes(), p);
        fake_task_free(task);
        handlers.done(&exit, r, f, userdata);
}

static void exec_finish(GuestTask *task, int r, const Fault *f)
{
        Process *p = process_find(task->pid);
        Fault why = {0};

        if (r < 0) {
                exec_end(task, p, r, f);
        } else if (!p || p->is_lost) {
                r = fault_set(&why, FAULT_AGENT_REFUSED, "the agent knows no such process");
                exec_end(task, p, r, &why);
        } else if (p->has_ended) {
                emit_output(task, p);
                exec_end(task, p, 0, NULL);
        }
}

/* Its first step: the program is started, or could not be. */
static void exec_begin(GuestTask *task, int r, const Fault *f)
{
        Process *p = process_find(task->pid);
        Fault why = {0};

        if (r == 0 && !p)
                r = fault_set(&why, FAULT_COMMAND_NOT_RUN, "the guest has no such program");
        if (r < 0) {
                exec_end(task, p, r, fault_is_set(&why) ? &why : f);
                return;
        }
        task->finish = exec_finish;
        if (p->has_ended)
                (void) sd_event_source_set_enabled(task->step, SD_EVENT_ONESHOT);
        task->exec.started(task->pid, task->userdata);
}

static int on_timeout(G_GNUC_UNUSED sd_event_source *source, G_GNUC_UNUSED uint64_t usec,
                      void *userdata)
{
        const GuestTask *task = userdata;
        Process *p = process_find(task->pid);

        if (p && !p->has_ended) {
                p->exit.timed_out = true;
                process_end(p, -1, SIGKILL);
        }
        return 0;
}

static int exec_task(sd_event *event, Agent *agent, const GuestExecSpec *spec,
                     const GuestExecHandlers *handlers,
                     void (*finish)(GuestTask *, int, const Fault *), void *userdata,
                     GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, "guest_exec", finish, userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->id = g_strdup(spec->id);
        (*ret)->exec = *handlers;
        (*ret)->output_max = spec->output_max;
        if (spec->timeout_usec != USEC_INFINITY)
                g_assert(sd_event_add_time_relative(event, &(*ret)->timer, CLOCK_MONOTONIC,
                                                    spec->timeout_usec, 0, on_timeout, *ret) >= 0);
        return 0;
}

int guest_exec(sd_event *event, Agent *agent, const GuestExecSpec *spec,
               const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        const FakeDomain *d = fake_domain_of_agent(agent);
        Process *p;
        int r = exec_task(event, agent, spec, handlers, exec_begin, userdata, ret, f);

        if (r < 0)
                return r;
        p = g_new0(Process, 1);
        p->id = g_strdup(spec->id);
        p->pid = (*ret)->pid = ++last_pid;
        p->task = *ret;
        if (d) {
                p->domain = g_strdup(d->id);
                p->boot = d->guest.boot;
        }
        if (process_run(p, spec))
                g_ptr_array_add(processes(), p);
        else
                process_free(p);
        return 0;
}

int guest_exec_resume(sd_event *event, Agent *agent, int64_t pid, const GuestExecSpec *spec,
                      const GuestExecHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        Process *p = process_find(pid);
        int r = exec_task(event, agent, spec, handlers, exec_finish, userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->pid = pid;
        if (p)
                p->task = *ret;
        return 0;
}

static void kill_finish(GuestTask *task, int r, const Fault *f)
{
        GuestDone done = task->done;
        void *userdata = task->userdata;

        for (guint i = 0; r == 0 && i < processes()->len; i++) {
                Process *p = processes()->pdata[i];

                if (is_alive(p) && g_str_equal(p->id, task->id))
                        process_end(p, -1, task->signal);
        }
        fake_task_free(task);
        done(r, f, userdata);
}

int guest_kill(sd_event *event, Agent *agent, const char *id, int signal, GuestDone done,
               void *userdata, GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, "guest_kill", kill_finish, userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->id = g_strdup(id);
        (*ret)->signal = signal;
        (*ret)->done = done;
        return 0;
}

void guest_task_cancel(GuestTask *task)
{
        Process *p;

        if (!task)
                return;
        p = task->pid ? process_find(task->pid) : NULL;
        if (p)
                (void) g_ptr_array_remove(processes(), p);
        fake_task_free(task);
}

unsigned fake_host_processes(void)
{
        unsigned n = 0;

        for (guint i = 0; i < processes()->len; i++)
                n += is_alive(processes()->pdata[i]) &&
                     !((Process *) processes()->pdata[i])->has_ended;
        return n;
}

/* -- a daemon that is killed ------------------------------------------------------------------ */

#define PROCESS_TYPE "(sxstbbbiiayay)"

static GVariant *output_of(const Process *p, GuestStream stream)
{
        GBytes *output = p->output[stream];

        return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE,
                                         output ? g_bytes_get_data(output, NULL) : NULL,
                                         output ? g_bytes_get_size(output) : 0, 1);
}

GVariant *fake_processes_save(void)
{
        GVariantBuilder list;

        g_variant_builder_init(&list, G_VARIANT_TYPE("a" PROCESS_TYPE));
        for (guint i = 0; i < processes()->len; i++) {
                const Process *p = processes()->pdata[i];

                g_variant_builder_add(&list, "(sxstbbbii@ay@ay)", p->id ? p->id : "", p->pid,
                                      p->domain ? p->domain : "", p->boot, p->is_lost, p->has_ended,
                                      p->exit.timed_out, p->exit.exit_status, p->exit.signal,
                                      output_of(p, GUEST_STDOUT), output_of(p, GUEST_STDERR));
        }
        return g_variant_builder_end(&list);
}

void fake_processes_load(GVariant *saved)
{
        gboolean is_lost, has_ended, timed_out;
        GVariant *out, *err;
        GVariantIter iter;
        Process next = {0};

        g_variant_iter_init(&iter, saved);
        while (g_variant_iter_next(&iter, "(sxstbbbii@ay@ay)", &next.id, &next.pid, &next.domain,
                                   &next.boot, &is_lost, &has_ended, &timed_out,
                                   &next.exit.exit_status, &next.exit.signal, &out, &err)) {
                next.is_lost = is_lost;
                next.has_ended = has_ended;
                next.exit.timed_out = timed_out;
                next.output[GUEST_STDOUT] = g_variant_get_data_as_bytes(out);
                next.output[GUEST_STDERR] = g_variant_get_data_as_bytes(err);
                g_variant_unref(out);
                g_variant_unref(err);
                last_pid = MAX(last_pid, next.pid);
                g_ptr_array_add(processes(), g_memdup2(&next, sizeof next));
        }
}

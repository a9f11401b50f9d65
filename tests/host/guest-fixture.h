/* SPDX-License-Identifier: MIT */
#pragma once

/* A guest for the tests of host/guest.h: a fake agent, the channel to it, and what tasks came to.
 */

#include "host/guest.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/name.h"
#include "base/quantity.h"
#include "tests/fake/guest-agent.h"
#include "tests/tap.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define LONG_USEC (30 * USEC_PER_SEC)

static sd_event *event;
static char *folder, *socket_path;
static FakeAgent *fake;
static Agent *agent;

static inline void begin(FakeAnswer answer)
{
        fake = fake_agent_new(socket_path, answer, NULL);
        g_assert(agent_new(event, socket_path, NULL, NULL, &agent, NULL) == 0);
}

static inline void end(void)
{
        agent = agent_free(agent);
        fake = fake_agent_free(fake);
}

static inline void turn(void)
{
        g_assert(sd_event_run(event, UINT64_MAX) >= 0);
}

/* Makes the folder in which the tests work, and the loop. */
static inline void set_up(void)
{
        folder = g_dir_make_tmp("fluid-guest-XXXXXX", NULL);
        g_assert(folder && g_chmod(folder, 0755) == 0 && sd_event_new(&event) >= 0);
        socket_path = g_build_filename(folder, "socket", NULL);
}

static inline void tear_down(void)
{
        (void) remove_tree(folder, NULL);
        event = sd_event_unref(event);
        g_clear_pointer(&socket_path, g_free);
        g_clear_pointer(&folder, g_free);
}

/* Whether the scripts can be tried with busybox too; begins such a guest. */
static inline bool begin_with_busybox(void)
{
        g_autofree char *programs = g_build_filename(folder, "programs", NULL);

        if (access("/bin/busybox", X_OK) < 0) {
                tap_skip("the scripts run with busybox", "it is not installed");
                return false;
        }
        begin(NULL);
        g_assert(g_mkdir(programs, 0755) == 0);
        fake_agent_use_busybox(fake, programs);
        return true;
}

/* -- tasks ---------------------------------------------------------------------------------- */

typedef struct Simple {
        bool is_done;
        GuestTask *task;
        int r;
        Fault fault;
} Simple;

static inline void simple_done(int r, const Fault *f, void *userdata)
{
        Simple *s = userdata;

        g_assert(!s->is_done);
        s->is_done = true;
        s->r = r;
        s->fault = *f;
}

static inline void wait_simple(Simple *s)
{
        while (!s->is_done)
                turn();
}

/* -- programs ------------------------------------------------------------------------------- */

/* The id marks a command, and no other one: the end of whatever kills one may come after the next
 * was begun. */
typedef struct Run {
        Id id;
        bool is_done;
        GuestTask *task;
        int64_t pid;
        GString *output[_GUEST_STREAM_MAX];
        GuestExit exit;
        int r;
        Fault fault;
} Run;

static inline void started(int64_t pid, void *userdata)
{
        ((Run *) userdata)->pid = pid;
}

static inline void output(GuestStream stream, const void *bytes, size_t size, void *userdata)
{
        g_string_append_len(((Run *) userdata)->output[stream], bytes, (gssize) size);
}

static inline void exec_done(const GuestExit *exit, int r, const Fault *f, void *userdata)
{
        Run *run = userdata;

        g_assert(!run->is_done);
        run->is_done = true;
        run->exit = *exit;
        run->r = r;
        run->fault = *f;
}

static const GuestExecHandlers exec_handlers = {started, output, exec_done};

static inline void init_run(Run *run)
{
        *run = (Run){.id = id_new(), .output = {g_string_new(NULL), g_string_new(NULL)}};
}

static inline void done_run(Run *run)
{
        g_string_free(run->output[GUEST_STDOUT], TRUE);
        g_string_free(run->output[GUEST_STDERR], TRUE);
}

/* What a test does not care about has a default. */
static inline GuestExecSpec complete(const Run *run, const GuestExecSpec *spec)
{
        GuestExecSpec full = *spec;

        full.id = full.id ? full.id : run->id.text;
        full.timeout_usec = full.timeout_usec ? full.timeout_usec : LONG_USEC;
        full.output_max = full.output_max ? full.output_max : 1000;
        return full;
}

static inline int start(Run *run, const GuestExecSpec *spec)
{
        init_run(run);
        GuestExecSpec full = complete(run, spec);
        return guest_exec(event, agent, &full, &exec_handlers, run, &run->task, &run->fault);
}

static inline void wait_run(Run *run)
{
        while (!run->is_done)
                turn();
}

static inline void run_spec(Run *run, const GuestExecSpec *spec)
{
        if (start(run, spec) == 0)
                wait_run(run);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SPEC(...) (&(GuestExecSpec){__VA_ARGS__})

/* -- lies ------------------------------------------------------------------------------------ */

static const char *lie_about, *lie; /* the reply to that command */
static bool lie_refuses;            /* it is an error's text */
static uint64_t lie_pid;            /* of exits only that program's is lied about */

static inline bool answer_lies(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        uint64_t pid;

        (void) userdata;
        if (!g_str_equal(command, lie_about))
                return false;
        if (json_find_uint(arguments, "pid", &pid)) {
                lie_pid = lie_pid > 0 ? lie_pid : pid;
                if (pid != lie_pid)
                        return false;
        }
        if (lie_refuses)
                fake_agent_error(f, "CommandNotFound", lie);
        else
                fake_agent_return(f, lie);
        return true;
}

static inline void begin_lying(const char *command, const char *value, bool refuses)
{
        lie_about = command;
        lie = value;
        lie_refuses = refuses;
        lie_pid = 0;
        begin(answer_lies);
}

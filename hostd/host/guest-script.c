/* SPDX-License-Identifier: MIT */
#include "host/guest-task.h"

#include "base/name.h"
#include "base/quantity.h"

#include <stdio.h>

typedef struct ScriptTask {
        GuestTask task;
        GuestTask *exec;
        GString *output;
        GuestScriptDone done;
        void *userdata;
} ScriptTask;

typedef struct KillTask {
        GuestTask task;
        GuestTask *script;
        GuestDone done;
        void *userdata;
} KillTask;

/* -- scripts -------------------------------------------------------------------------------- */

static void script_free(ScriptTask *t)
{
        g_string_free(t->output, TRUE);
        g_free(t);
}

static void on_script_output(GuestStream stream, const void *bytes, size_t size, void *userdata)
{
        ScriptTask *t = userdata;

        (void) stream;
        g_string_append_len(t->output, bytes, (gssize) size);
}

static void on_script_exit(const GuestExit *end, int r, const Fault *f, void *userdata)
{
        ScriptTask *t = userdata;

        t->done(end->exit_status, t->output, r, f, t->userdata);
        script_free(t);
}

static void cancel_script(GuestTask *task)
{
        ScriptTask *t = (ScriptTask *) task;

        guest_task_cancel(t->exec);
        script_free(t);
}

int guest_program_run(sd_event *event, Agent *agent, const char *const *argv, const void *input,
                      size_t input_size, uint64_t timeout_usec, GuestScriptDone done,
                      void *userdata, GuestTask **ret, Fault *f)
{
        static const GuestExecHandlers handlers = {.output = on_script_output,
                                                   .done = on_script_exit};
        ScriptTask *t = g_new0(ScriptTask, 1);
        int err;

        t->task.cancel = cancel_script;
        t->output = g_string_new(NULL);
        t->done = done;
        t->userdata = userdata;
        err = guest_exec(event, agent,
                         &(GuestExecSpec){.argv = argv,
                                          .input = input,
                                          .input_size = input_size,
                                          .timeout_usec = timeout_usec,
                                          .output_max = GUEST_SCRIPT_OUTPUT_MAX / 2},
                         &handlers, t, &t->exec, f);
        if (err < 0) {
                script_free(t);
                return err;
        }
        *ret = &t->task;
        return 0;
}

int guest_script(sd_event *event, Agent *agent, const char *script, const char *const *parameters,
                 const void *input, size_t input_size, uint64_t timeout_usec, GuestScriptDone done,
                 void *userdata, GuestTask **ret, Fault *f)
{
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        g_ptr_array_add(argv, (char *) "/bin/sh");
        g_ptr_array_add(argv, (char *) "-c");
        g_ptr_array_add(argv, (char *) script);
        g_ptr_array_add(argv, (char *) "sh");
        for (; *parameters; parameters++)
                g_ptr_array_add(argv, (char *) *parameters);
        g_ptr_array_add(argv, NULL);
        return guest_program_run(event, agent, (const char *const *) argv->pdata, input, input_size,
                                 timeout_usec, done, userdata, ret, f);
}

/* -- killing -------------------------------------------------------------------------------- */

#define KILL_FOUND_NONE 3
#define KILL_USEC       (10 * USEC_PER_SEC)

/* Signals what bears the mark, the program itself (known by its number and by being the agent's
 * child), and all their descendants, whose environment may have been cleaned (su -, sudo). grep
 * finds the mark at once in all of /proc, if it is one that reads past a NUL (busybox' does not);
 * `read` skips NULs in dash, bash and busybox, and costs no process. Not the process group: qemu-ga
 * shares its own with all that it starts. SIGKILL goes on until nothing is left, for programs that
 * fork faster. */
static const char kill_script[] =
        "exec 2>/dev/null\n"
        "signal=$1 mark=FLUID_COMMAND=$2 pid=$3 agent=$PPID status=3 round=0\n"
        "marked() {\n"
        "        if printf 'a\\000%s\\000' \"$mark\" | grep -qsaF \"$mark\"; then\n"
        "                grep -lsaF \"$mark\" /proc/[0-9]*/environ\n"
        "                return\n"
        "        fi\n"
        "        for file in /proc/[0-9]*/environ; do\n"
        "                while read -r line || [ -n \"$line\" ]; do\n"
        "                        case $line in *\"$mark\"*) echo \"$file\" ;; esac\n"
        "                done <\"$file\"\n"
        "        done\n"
        "}\n"
        "add() {\n"
        "        case $1 in 1|$$|$agent) return ;; esac\n"
        "        case $targets in *\" $1 \"*) return ;; esac\n"
        "        targets=\"$targets$1 \" grown=1\n"
        "}\n"
        "while [ $round -lt 10 ]; do\n"
        "        round=$((round + 1)) targets=' ' pairs= grown=1\n"
        "        for file in $(marked); do\n"
        "                file=${file#/proc/}\n"
        "                add \"${file%/environ}\"\n"
        "        done\n"
        "        for file in /proc/[0-9]*/stat; do\n"
        "                line=\n"
        "                read -r line <\"$file\"\n"
        "                set -- ${line##*) }\n"
        "                case $1 in ''|Z|X) continue ;; esac\n"
        "                line=${line%% *}\n"
        "                [ \"$line $2\" != \"$pid $agent\" ] || add \"$line\"\n"
        "                pairs=\"$pairs $line:$2\"\n"
        "        done\n"
        "        while [ \"$grown\" ]; do\n"
        "                grown=\n"
        "                for pair in $pairs; do\n"
        "                        case $targets in *\" ${pair#*:} \"*) add \"${pair%:*}\" ;; esac\n"
        "                done\n"
        "        done\n"
        "        [ \"$targets\" != ' ' ] || break\n"
        "        status=0\n"
        "        kill \"-$signal\" $targets\n"
        "        [ \"$signal\" = 9 ] || break\n"
        "done\n"
        "exit $status\n";

static void kill_end(KillTask *t, int r, const Fault *f)
{
        g_autofree KillTask *owned = t;

        if (owned->done)
                owned->done(r, f, owned->userdata);
}

static void on_kill_exit(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        Fault why = {0};

        (void) output;
        if (r >= 0 && status == KILL_FOUND_NONE) {
                r = fault_set(&why, FAULT_NOT_FOUND, "the command has no process in the sandbox");
                f = &why;
        } else if (r >= 0 && status != 0) {
                r = fault_set(&why, FAULT_AGENT_REFUSED,
                              "the command's processes cannot be found in the sandbox");
                f = &why;
        }
        kill_end(userdata, r, f);
}

static void cancel_kill(GuestTask *task)
{
        KillTask *t = (KillTask *) task;

        guest_task_cancel(t->script);
        g_free(t);
}

int guest_kill_process(sd_event *event, Agent *agent, const char *id, int64_t pid, int signal,
                       GuestDone done, void *userdata, GuestTask **ret, Fault *f)
{
        char signal_text[16], pid_text[32];
        const char *const parameters[] = {signal_text, id, pid_text, NULL};
        KillTask *t;
        int err;

        if (!id_is_valid(id) || signal < 1 || signal > 64)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "no such command or signal");
        (void) snprintf(signal_text, sizeof signal_text, "%d", signal);
        (void) snprintf(pid_text, sizeof pid_text, "%" G_GINT64_FORMAT, pid);
        t = g_new0(KillTask, 1);
        t->task.cancel = cancel_kill;
        t->done = done;
        t->userdata = userdata;
        err = guest_script(event, agent, kill_script, parameters, NULL, 0, KILL_USEC, on_kill_exit,
                           t, &t->script, f);
        if (err < 0) {
                g_free(t);
                return err;
        }
        *ret = &t->task;
        return 0;
}

int guest_kill(sd_event *event, Agent *agent, const char *id, int signal, GuestDone done,
               void *userdata, GuestTask **ret, Fault *f)
{
        return guest_kill_process(event, agent, id, 0, signal, done, userdata, ret, f);
}

/* SPDX-License-Identifier: MIT */

/* What is done in a guest before its memory is saved. */

#include "host/guest-identity.h"
#include "host/guest-program.h"

#include "base/name.h"
#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>

#define SETTLE_MAX_USEC (24 * 3600 * USEC_PER_SEC)

/* A script, and what its failure means. */
typedef struct RestTask {
        GuestTask task;
        GuestTask *script;
        const char *failure;
        GuestDone done;
        void *userdata;
} RestTask;

static void cancel_rest(GuestTask *task)
{
        RestTask *t = (RestTask *) task;

        guest_task_cancel(t->script);
        g_free(t);
}

static void on_end(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        g_autofree RestTask *t = userdata;
        Fault why = {0};

        (void) output;
        if (r >= 0 && status != 0) {
                r = fault_set(&why, FAULT_AGENT_REFUSED, "%s", t->failure);
                f = &why;
        }
        t->done(r, f, t->userdata);
}

static RestTask *new_rest_task(const char *failure, GuestDone done, void *userdata)
{
        RestTask *t = g_new0(RestTask, 1);

        t->task.cancel = cancel_rest;
        t->failure = failure;
        t->done = done;
        t->userdata = userdata;
        return t;
}

/* Keeps the result of starting its script. */
static int begin_rest(RestTask *t, int r, GuestTask **ret)
{
        if (r < 0)
                g_free(t);
        else
                *ret = &t->task;
        return r;
}

/* -- the program ------------------------------------------------------------------------------ */

/* $1 below which directory, $2 a name that nobody knows yet. Standard input is the program. It is
 * put into memory alone, so that no disk ever has it, where programs may be run: often not in /run.
 * But the link to it is there, where nobody but root can have made it. */
static const char put_script[] =
        "root=$1 link=" GUEST_PROGRAM_LINK " run= place=\n"
        "umask 077\n"
        "while read -r source at type options rest; do\n"
        "        [ \"$type\" = tmpfs ] || continue\n"
        "        case $at in /run) run=1 ;; /dev/shm) ;; *) continue ;; esac\n"
        "        case ,$options, in *,noexec,*|*,ro,*) ;; *) [ \"$place\" ] || place=$at ;; esac\n"
        "done <\"$root/proc/mounts\"\n"
        "[ \"$run\" ] && [ \"$place\" ] || exit 1\n"
        "rm -f \"$root$link\"\n"
        "place=$root$place/.fluid-$2\n"
        "mkdir \"$place\" || exit 1\n"
        "if cat >\"$place/identity\" && chmod 500 \"$place/identity\" && \"$place/identity\" &&\n"
        "        ln -s \"$place/identity\" \"$root$link\"; then\n"
        "        exit 0\n"
        "fi\n"
        "rm -rf \"$place\"\n"
        "exit 1\n";

int guest_put_program_below(sd_event *event, Agent *agent, const char *root, GuestDone done,
                            void *userdata, GuestTask **ret, Fault *f)
{
        Id name = id_new();
        const char *const parameters[] = {root, name.text, NULL};
        RestTask *t = new_rest_task("the guest has no place in memory that programs of fluid's can "
                                    "be run from",
                                    done, userdata);

        return begin_rest(t,
                          guest_script(event, agent, put_script, parameters, guest_program,
                                       guest_program_size, GUEST_CALL_USEC, on_end, t, &t->script,
                                       f),
                          ret);
}

int guest_put_program(sd_event *event, Agent *agent, GuestDone done, void *userdata,
                      GuestTask **ret, Fault *f)
{
        return guest_put_program_below(event, agent, "", done, userdata, ret, f);
}

/* -- coming to rest --------------------------------------------------------------------------- */

/* $1 how many seconds to wait at most. Nothing is printed where --wait is not known (systemd before
 * 240), or where the time was up. */
static const char settle_script[] =
        "end= waits= state=\n"
        "look() {\n"
        "        if [ \"$waits\" ]; then\n"
        "                timeout \"$left\" systemctl is-system-running --wait\n"
        "        else\n"
        "                systemctl is-system-running\n"
        "        fi 2>/dev/null\n"
        "}\n"
        "now() { read -r now rest </proc/uptime; now=${now%.*}; }\n"
        "if command -v systemctl >/dev/null; then\n"
        "        ! command -v timeout >/dev/null || waits=1\n"
        "        now\n"
        "        end=$((now + $1))\n"
        "        while now; left=$((end - now)); [ $left -gt 0 ]; do\n"
        "                state=$(look)\n"
        "                case $state in\n"
        "                initializing|starting) ;;\n"
        "                '') waits= ;;\n"
        "                *) break ;;\n"
        "                esac\n"
        "                sleep 1\n"
        "        done\n"
        "fi\n"
        "sync\n";

int guest_settle(sd_event *event, Agent *agent, uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f)
{
        uint64_t seconds = MIN(timeout_usec, SETTLE_MAX_USEC) / USEC_PER_SEC;
        char limit[24];
        const char *const parameters[] = {limit, NULL};
        RestTask *t =
                new_rest_task("the sandbox could not write its caches to disk", done, userdata);

        (void) snprintf(limit, sizeof limit, "%" PRIu64, seconds);
        return begin_rest(t,
                          guest_script(event, agent, settle_script, parameters, NULL, 0,
                                       seconds * USEC_PER_SEC + GUEST_SILENCE_USEC, on_end, t,
                                       &t->script, f),
                          ret);
}

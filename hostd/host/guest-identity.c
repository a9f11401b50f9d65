/* SPDX-License-Identifier: MIT */
#include "host/guest-identity.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MACHINE_ID_LENGTH 32
/* Of one text; all are far smaller. */
#define KEY_TEXT_MAX (16 * 1024)

/* Of the program: it did what it could. */
#define STATUS_FAILED 1

/* The program, then the script where the guest has none that runs. */
typedef struct IdentityTask {
        GuestTask task;
        sd_event *event;
        Agent *agent;
        GuestTask *program; /* either of the two */
        char *root, *hostname, *machine_id;
        char *input;
        bool sets_clock;
        GuestDone done;
        void *userdata;
} IdentityTask;

static void identity_free(IdentityTask *t)
{
        if (t->input)
                explicit_bzero(t->input, strlen(t->input));
        g_free(t->input);
        g_free(t->root);
        g_free(t->hostname);
        g_free(t->machine_id);
        sd_event_unref(t->event);
        g_free(t);
}

static void cancel_identity(GuestTask *task)
{
        IdentityTask *t = (IdentityTask *) task;

        guest_task_cancel(t->program);
        identity_free(t);
}

/* -- checks --------------------------------------------------------------------------------- */

static int check_machine_id(const char *id, Fault *f)
{
        if (strlen(id) != MACHINE_ID_LENGTH ||
            strspn(id, G_CSET_DIGITS "abcdef") != MACHINE_ID_LENGTH)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not a machine id", id);
        return 0;
}

/* The script reads lines; an empty one ends the private key. Its text is in no message. */
static int check_keys(const GuestIdentity *identity, Fault *f)
{
        const char *key = identity->ssh_host_key, *public = identity->ssh_host_key_public;

        if (!key && !public)
                return 0;
        if (!key || !public || strlen(key) > KEY_TEXT_MAX || strlen(public) > KEY_TEXT_MAX ||
            !g_str_has_prefix(key, "-----BEGIN ") || !g_str_has_suffix(key, "-----\n") ||
            strstr(key, "\n\n") || strchr(public, '\n') != public + strlen(public) - 1)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the SSH host key is not a private and a public key in PEM and in "
                                 "one line");
        return 0;
}

static int check_identity(const GuestIdentity *identity, Fault *f)
{
        int err = 0;

        if (identity->hostname)
                err = guest_check_hostname(identity->hostname, f);
        if (err >= 0 && identity->machine_id)
                err = check_machine_id(identity->machine_id, f);
        if (err >= 0)
                err = check_keys(identity, f);
        if (err >= 0 && identity->seed_size > GUEST_SEED_MAX)
                err = fault_set(f, FAULT_INVALID_ARGUMENT, "the seed is larger than %d bytes",
                                GUEST_SEED_MAX);
        return err;
}

/* -- renewing ------------------------------------------------------------------------------- */

static int explain_renewal(int status, const GString *output, Fault *f)
{
        g_autofree char *words = g_strchomp(g_strdup(output->str));
        g_auto(GStrv) lines = g_strsplit(words, "\n", -1);
        g_autofree char *line = g_strjoinv("; ", lines);

        if (status == 0)
                return 0;
        return fault_set(f, FAULT_AGENT_REFUSED,
                         "the sandbox could not be given all of an identity of its own: %s", line);
}

static void on_renewed(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        IdentityTask *t = userdata;
        GuestDone done = t->done;
        void *done_userdata = t->userdata;
        Fault why = {0};

        if (r >= 0) {
                r = explain_renewal(status, output, &why);
                f = &why;
        }
        identity_free(t);
        done(r, f, done_userdata);
}

/* Allocated once, so that no copy of the key stays behind. */
static char *format_input(const GuestIdentity *identity)
{
        g_autofree char *seed = g_base64_encode(identity->seed, identity->seed_size);
        const char *key = identity->ssh_host_key, *public = identity->ssh_host_key_public;

        return g_strconcat(seed, "\n", key ? key : "", "\n", public ? public : "\n", NULL);
}

static void append_octal(GString *text, uint64_t number)
{
        for (unsigned i = 0; i < 8; i++, number >>= 8)
                g_string_append_printf(text, "\\%03o", (unsigned) (number & 0xff));
}

/* The time as the script wants it, in three forms; empty texts where no clock is to be set, but for
 * the first, a time that the kernel refuses with EINVAL. Whole seconds are set on average a tenth
 * of a second from now. */
typedef struct TimeTexts {
        char program[2 * 8 * 4 + 1], precise[40], whole[24];
} TimeTexts;

static void format_time(TimeTexts *texts, bool sets_clock)
{
        uint64_t now = now_realtime_usec(), seconds = now / USEC_PER_SEC;
        g_autoptr(GString) program = g_string_new(NULL);

        *texts = (TimeTexts){0};
        append_octal(program, seconds);
        append_octal(program, sets_clock ? now % USEC_PER_SEC * 1000 : UINT64_MAX);
        g_strlcpy(texts->program, program->str, sizeof texts->program);
        if (!sets_clock)
                return;
        (void) snprintf(texts->precise, sizeof texts->precise, "%" PRIu64 ".%06" PRIu64, seconds,
                        now % USEC_PER_SEC);
        (void) snprintf(texts->whole, sizeof texts->whole, "%" PRIu64,
                        (now + 600 * USEC_PER_MSEC) / USEC_PER_SEC);
}

static int begin_script(IdentityTask *t, Fault *f)
{
        TimeTexts time;
        const char *const parameters[] = {t->root,      t->hostname, t->machine_id, time.program,
                                          time.precise, time.whole,  NULL};

        format_time(&time, t->sets_clock);
        return guest_script(t->event, t->agent, guest_identity_script, parameters, t->input,
                            strlen(t->input), GUEST_CALL_USEC, on_renewed, t, &t->program, f);
}

/* The guest may have no such program, or one that it cannot run: it was booted, is another machine,
 * is older than this. */
static void on_program_end(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        IdentityTask *t = userdata;
        bool has_run = r >= 0 && (status == 0 || status == STATUS_FAILED);
        Fault why = {0};

        if (has_run || (r < 0 && f->code != FAULT_COMMAND_NOT_RUN)) {
                on_renewed(status, output, r, f, userdata);
                return;
        }
        r = begin_script(t, &why);
        if (r < 0)
                on_renewed(status, output, r, &why, userdata);
}

static int begin_program(IdentityTask *t, Fault *f)
{
        uint64_t now = now_realtime_usec();
        g_autofree char *program = g_strconcat(t->root, GUEST_PROGRAM_LINK, NULL);
        char seconds[24] = "", nanoseconds[24] = "";
        const char *const argv[] = {program, t->root,     t->hostname, t->machine_id,
                                    seconds, nanoseconds, NULL};

        if (t->sets_clock) {
                (void) snprintf(seconds, sizeof seconds, "%" PRIu64, now / USEC_PER_SEC);
                (void) snprintf(nanoseconds, sizeof nanoseconds, "%" PRIu64,
                                now % USEC_PER_SEC * 1000);
        }
        return guest_program_run(t->event, t->agent, argv, t->input, strlen(t->input),
                                 GUEST_CALL_USEC, on_program_end, t, &t->program, f);
}

int guest_renew_identity_below(sd_event *event, Agent *agent, const char *root,
                               const GuestIdentity *identity, GuestDone done, void *userdata,
                               GuestTask **ret, Fault *f)
{
        IdentityTask *t;
        int err = check_identity(identity, f);

        if (err < 0)
                return err;
        t = g_new0(IdentityTask, 1);
        *t = (IdentityTask){.task.cancel = cancel_identity,
                            .event = sd_event_ref(event),
                            .agent = agent,
                            .root = g_strdup(root),
                            .hostname = g_strdup(identity->hostname ? identity->hostname : ""),
                            .machine_id =
                                    g_strdup(identity->machine_id ? identity->machine_id : ""),
                            .input = format_input(identity),
                            .sets_clock = identity->sets_clock,
                            .done = done,
                            .userdata = userdata};
        err = begin_program(t, f);
        if (err < 0) {
                identity_free(t);
                return err;
        }
        *ret = &t->task;
        return 0;
}

int guest_renew_identity(sd_event *event, Agent *agent, const GuestIdentity *identity,
                         GuestDone done, void *userdata, GuestTask **ret, Fault *f)
{
        return guest_renew_identity_below(event, agent, "", identity, done, userdata, ret, f);
}

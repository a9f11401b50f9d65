/* SPDX-License-Identifier: MIT */

/* A playbook that was approved is applied, or one that is to be is run in check mode: its archive
 * is hashed in a thread, then fluid-ansible runs in the unit fluid-apply, of which the loop sees
 * the end. Who kills this process kills that, too. */

#include "core/approval-private.h"

#include "base/apply-config.h"
#include "base/cleanup.h"
#include "base/quantity.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNIT    "fluid-apply"
#define PROGRAM "fluid-ansible"
/* What the program has beside its own limit. */
#define GRACE_USEC (5 * 60 * USEC_PER_SEC)

/* How fluid-ansible ends (run/fluid-ansible.c). */
enum { END_GOOD = 0, END_USAGE = 2, END_REFUSED = 3, END_PLAY_FAILED = 4, END_NOT_INSTALLED = 5 };
/* As of fluid-runner: the program was not there. */
enum { END_NOT_SET_UP = 126, END_NOT_STARTED = 127 };
#define END_UNKNOWN -1

typedef struct Play {
        Approval *approval;
        bool is_check;
        OperationDone done;
        void *userdata;
        Work *taking; /* while its archive is hashed */
        ChildTask *task;
        int log, result; /* descriptors, or -1 */
        int status;      /* of its exit, or END_UNKNOWN */
} Play;

Play *play_free(Play *play)
{
        if (!play)
                return NULL;
        Manager *m = play->approval->manager;
        *(play->is_check ? &m->is_checking : &m->is_playing) = false;
        if (play->taking)
                work_cancel(play->taking);
        (void) child_task_free(play->task);
        (void) close_fd(play->log);
        (void) close_fd(play->result);
        g_free(play);
        return NULL;
}

/* On the loop, once. */
static void finish(Play *play, ApprovalEffect effect, char *outcome, int r, const Fault *f)
{
        Approval *a = play->approval;
        OperationDone done = play->done;
        void *userdata = play->userdata;
        Fault fault = fault_copy(f);

        a->effect = effect;
        g_free(a->outcome);
        a->outcome = outcome;
        a->play = play_free(play);
        done(r, &fault, userdata);
}

/* -- its end ------------------------------------------------------------------------------------
 */

static FaultCode code_of(int status, FaultCode code)
{
        switch (status) {
        case END_REFUSED:
                return FAULT_CONTENT_CHANGED;
        case END_PLAY_FAILED:
                return FAULT_PLAYBOOK_FAILED;
        case END_USAGE:
        case END_NOT_INSTALLED:
                return FAULT_WRONG_STATE;
        default:
                return code;
        }
}

static ApprovalEffect effect_of(int status, bool is_check)
{
        switch (status) {
        case END_GOOD:
                return EFFECT_DONE;
        case END_USAGE:
        case END_REFUSED:
        case END_NOT_INSTALLED:
        case END_NOT_SET_UP:
        case END_NOT_STARTED:
                return EFFECT_NONE;
        case END_PLAY_FAILED:
                return is_check ? EFFECT_NONE : EFFECT_UNKNOWN;
        default:
                return EFFECT_UNKNOWN;
        }
}

/* Its last words, without the names before them. */
static const char *words_of(const char *message)
{
        static const char name[] = PROGRAM ": ";

        while (g_str_has_prefix(message, name))
                message += strlen(name);
        return message;
}

static void on_ended(int r, const Fault *f, void *userdata)
{
        Play *play = userdata;
        g_auto(PlayResult) result = {0};
        int status = r == 0 ? END_GOOD : play->status;
        Fault fault = {0};

        play_result_read(play->result, &result);
        ApprovalEffect effect = effect_of(status, play->is_check || result.is_check);
        g_free(play->approval->changes);
        play->approval->changes = g_steal_pointer(&result.changes);
        if (r == 0) {
                finish(play, EFFECT_DONE, g_steal_pointer(&result.hosts), 0, NULL);
                return;
        }
        r = fault_set(&fault, code_of(status, f->code), "%s%s%s", words_of(f->message),
                      *result.hosts ? ": " : "", result.hosts);
        finish(play, effect, g_strdup(fault.message), r, &fault);
}

/* -- its beginning ------------------------------------------------------------------------------
 */

typedef struct Taking {
        int archive; /* the file, then a sealed copy of it that has the hash */
        char *sha256;
} Taking;

static void taking_free(gpointer data)
{
        Taking *q = data;

        (void) close_fd(q->archive);
        g_free(q->sha256);
        g_free(q);
}

static int copy(int from, int to)
{
        g_autofree char *bytes = g_malloc(1 << 20);
        uint64_t at = 0;
        ssize_t n;

        while ((n = pread(from, bytes, 1 << 20, (off_t) at)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                at += n > 0 ? (uint64_t) n : 0;
                int r = n < 0                       ? -errno
                        : at > PLAYBOOK_ARCHIVE_MAX ? -EFBIG
                                                    : write_all(to, bytes, (size_t) n);
                if (r < 0)
                        return r;
        }
        if (lseek(to, 0, SEEK_SET) < 0)
                return -errno;
        return fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0
                       ? -errno
                       : 0;
}

static int take(void *request, Fault *f)
{
        Taking *q = request;
        autofd sealed = memfd_create("playbook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        char sha256[SHA256_HEX_SIZE];
        int r = sealed < 0 ? -errno : copy(q->archive, sealed);

        if (r < 0)
                return fault_set_errno(f, r == -EFBIG ? FAULT_CONTENT_CHANGED : FAULT_IO, r,
                                       "the playbook's archive cannot be read");
        r = file_sha256(sealed, sha256, f);
        if (r < 0)
                return r;
        if (!g_str_equal(sha256, q->sha256))
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "the playbook's archive is not what was approved: its SHA-256 is "
                                 "%s",
                                 sha256);
        (void) close_fd(q->archive);
        q->archive = TAKE_FD(sealed);
        return 0;
}

static int find_deadline(const Manager *m, uint64_t *ret_usec, Fault *f)
{
        g_autoptr(ApplyConfig) config = NULL;
        int r = apply_config_load(m->config->apply_file, &config, f);

        if (r == 0)
                *ret_usec = config->timeout_usec + GRACE_USEC;
        return r;
}

static int start(Play *play, int archive, Fault *f)
{
        const Approval *a = play->approval;
        Manager *m = a->manager;
        g_autofree char *target =
                g_compute_checksum_for_string(G_CHECKSUM_SHA256, a->content.target, -1);
        const char *argv[] = {PROGRAM,
                              "--sha256",
                              a->content.archive,
                              "--config",
                              m->config->apply_file,
                              "--target",
                              target,
                              NULL,
                              NULL,
                              NULL,
                              NULL};
        size_t n = 7;
        uint64_t usec = 0;

        if (a->content.origin)
                argv[n++] = "--written";
        if (play->is_check) {
                argv[n++] = "--check";
                argv[n++] = "--diff";
        }
        g_assert(n < G_N_ELEMENTS(argv));
        play->result = memfd_create("result", MFD_CLOEXEC);
        if (play->result < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file");
        int r = approval_make_log(a, play->is_check ? APPROVAL_CHECK_LOG : APPROVAL_LOG, &play->log,
                                  f);
        if (r == 0)
                r = find_deadline(m, &usec, f);
        if (r < 0)
                return r;
        const int fds[] = {archive, play->result};
        return child_task_start(m->event,
                                &CHILD_SPEC(.unit = UNIT, .argv = argv, .deadline_usec = usec,
                                            .stdout_fd = play->log, .fds = fds,
                                            .n_fds = G_N_ELEMENTS(fds),
                                            .ret_status = &play->status),
                                on_ended, play, &play->task, f);
}

static void on_taken(void *request, int r, const Fault *f, void *userdata)
{
        const Taking *q = request;
        Play *play = userdata;
        Fault why = {0};

        play->taking = NULL;
        if (r >= 0) {
                r = start(play, q->archive, &why);
                f = &why;
        }
        if (r < 0)
                /* Where it was begun and cannot be awaited, nobody has seen its end. */
                finish(play, f->code == FAULT_INTERNAL ? EFFECT_UNKNOWN : EFFECT_NONE, NULL, r, f);
}

/* Of an approval that has no other one. */
static int play_start(Approval *a, bool is_check, OperationDone done, void *userdata, Fault *f)
{
        Manager *m = a->manager;
        const Playbook *p = playbook_by_id(m, a->content.playbook);
        Taking *q;
        int archive = -1;

        /* Until it is started nothing can have come of it. */
        a->effect = EFFECT_NONE;
        g_clear_pointer(&a->outcome, g_free);
        g_clear_pointer(&a->changes, g_free);
        if (!p)
                return fault_set(f, FAULT_CONTENT_CHANGED, "playbook %s was removed",
                                 a->content.playbook);
        int r = playbook_open_archive(p, &archive, f);
        if (r < 0)
                return r;
        q = g_new(Taking, 1);
        *q = (Taking){archive, g_strdup(a->content.archive)};
        Play *play = a->play = g_new(Play, 1);
        *play = (Play){.approval = a,
                       .is_check = is_check,
                       .done = done,
                       .userdata = userdata,
                       .log = -1,
                       .result = -1,
                       .status = END_UNKNOWN};
        *(is_check ? &m->is_checking : &m->is_playing) = true;
        play->taking = workers_submit(m->workers, take, on_taken, q, taking_free, play);
        return 0;
}

int playbook_action_apply(Manager *m, Approval *a, Caller *caller, OperationDone done,
                          void *userdata, Fault *f)
{
        (void) caller;
        if (m->is_playing) {
                a->effect = EFFECT_NONE;
                g_clear_pointer(&a->outcome, g_free);
                return fault_set(f, FAULT_BUSY,
                                 "another playbook is being applied: one is at a time");
        }
        return play_start(a, false, done, userdata, f);
}

int play_check(Approval *a, OperationDone done, void *userdata, Fault *f)
{
        return play_start(a, true, done, userdata, f);
}

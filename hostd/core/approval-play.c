/* SPDX-License-Identifier: MIT */

/* A playbook that was approved is applied: its archive is hashed in a thread, then fluid-ansible
 * runs in the unit fluid-apply, of which the loop sees the end. Who kills this process kills that,
 * too. */

#include "core/approval-private.h"

#include "base/apply-config.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/quantity.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT         "fluid-apply"
#define RESULT_MAX   (4 << 20)
#define RESULT_DEPTH 4
#define SAID_MAX     1024
#define OUTCOME_MAX  400
/* What the program has beside its own limit. */
#define GRACE_USEC (5 * 60 * USEC_PER_SEC)

/* How fluid-ansible ends (run/fluid-ansible.c). */
enum { END_GOOD = 0, END_USAGE = 2, END_REFUSED = 3, END_PLAY_FAILED = 4, END_NOT_INSTALLED = 5 };
/* As of fluid-runner: the program was not there. */
enum { END_NOT_SET_UP = 126, END_NOT_STARTED = 127 };

typedef struct Play {
        Approval *approval;
        OperationDone done;
        void *userdata;
        int child, log, said, result; /* descriptors, or -1 */
        sd_event_source *ended, *deadline;
        bool is_late;
} Play;

Play *play_free(Play *play)
{
        if (!play)
                return NULL;
        play->approval->manager->is_playing = false;
        play->ended = sd_event_source_disable_unref(play->ended);
        play->deadline = sd_event_source_disable_unref(play->deadline);
        (void) close_fd(play->child);
        (void) close_fd(play->log);
        (void) close_fd(play->said);
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

        a->effect = effect;
        g_free(a->outcome);
        a->outcome = outcome;
        a->play = play_free(play);
        done(r, f, userdata);
}

/* -- its end ------------------------------------------------------------------------------------
 */

/* The last line that the program wrote for people, without its name. */
static char *last_words(int fd)
{
        char bytes[SAID_MAX + 1];
        off_t size = lseek(fd, 0, SEEK_END), from = MAX(0, size - SAID_MAX);
        ssize_t n = pread(fd, bytes, SAID_MAX, from);

        bytes[MAX(n, 0)] = '\0';
        g_strchomp(bytes);
        const char *newline = strrchr(bytes, '\n'), *line = newline ? newline + 1 : bytes;
        if (g_str_has_prefix(line, "fluid-ansible: "))
                line += strlen("fluid-ansible: ");
        return escape_print(line, strlen(line));
}

typedef struct HostEnd {
        const char *name;
        Json *counts;
        uint64_t failures;
} HostEnd;

static int compare_hosts(const void *a, const void *b)
{
        const HostEnd *x = a, *y = b;

        if (!x->failures != !y->failures)
                return x->failures ? -1 : 1;
        return strcmp(x->name, y->name);
}

static void append_host(GString *text, const HostEnd *host)
{
        static const char *const words[] = {"failed", "unreachable", "changed", "ok"};
        g_autofree char *name = escape_print(host->name, strlen(host->name));

        g_string_append_printf(text, "%s%s:", text->len ? "; " : "", name);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                uint64_t n = 0;

                if (json_find_uint(host->counts, words[i], &n) && n > 0)
                        g_string_append_printf(text, " %s=%" PRIu64, words[i], n);
        }
}

/* "web1: failed=1 ok=3; web2: ok=4", those that failed first. */
static char *format_recap(Json *hosts)
{
        g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(HostEnd));
        g_autoptr(GString) text = g_string_new(NULL);

        json_object_object_foreach(hosts, name, counts)
        {
                uint64_t failed = 0, unreachable = 0;

                (void) json_find_uint(counts, "failed", &failed);
                (void) json_find_uint(counts, "unreachable", &unreachable);
                HostEnd host = {name, counts, failed | unreachable};
                g_array_append_val(list, host);
        }
        g_array_sort(list, compare_hosts);
        for (guint i = 0; i < list->len; i++) {
                size_t before = text->len;

                append_host(text, &g_array_index(list, HostEnd, i));
                if (text->len <= OUTCOME_MAX)
                        continue;
                g_string_truncate(text, before);
                g_string_append_printf(text, "; and %u more", list->len - i);
                break;
        }
        return g_string_free(TAKE_PTR(text), FALSE);
}

/* What it said of itself, which whoever took it over could have written: nothing but text for
 * people is made of it, and whether it had begun to change anything. Empty where it said nothing.
 */
static char *read_result(int fd, bool *ret_is_check)
{
        off_t size = lseek(fd, 0, SEEK_END);
        g_autofree char *text = g_malloc0(RESULT_MAX);
        g_autoptr(Json) json = NULL;
        Json *hosts = NULL;

        *ret_is_check = false;
        if (size <= 0 || size > RESULT_MAX || pread_all(fd, text, (size_t) size, 0) < 0 ||
            json_parse(text, (size_t) size, RESULT_DEPTH, &json, NULL) < 0 ||
            !json_find_object(json, "hosts", &hosts))
                return g_strdup("");
        (void) json_find_bool(json, "check", ret_is_check);
        return format_recap(hosts);
}

static int set_end(int status, const char *said, Fault *f)
{
        if (!WIFEXITED(status))
                return fault_set(f, FAULT_IO, "fluid-ansible was ended by signal %d",
                                 WTERMSIG(status));
        switch (WEXITSTATUS(status)) {
        case END_GOOD:
                return 0;
        case END_REFUSED:
                return fault_set(f, FAULT_CONTENT_CHANGED, "%s", said);
        case END_PLAY_FAILED:
                return fault_set(f, FAULT_PLAYBOOK_FAILED, "%s", said);
        case END_USAGE:
        case END_NOT_INSTALLED:
                return fault_set(f, FAULT_WRONG_STATE, "%s", said);
        case END_NOT_SET_UP:
        case END_NOT_STARTED:
                return fault_set(f, FAULT_IO, "fluid-ansible cannot be run: is it installed?");
        default:
                return fault_set(f, FAULT_IO, "%s", *said ? said : "fluid-ansible failed");
        }
}

static ApprovalEffect effect_of(int status, bool is_check)
{
        if (!WIFEXITED(status))
                return EFFECT_UNKNOWN;
        switch (WEXITSTATUS(status)) {
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

static void end(Play *play, int status)
{
        g_autofree char *said = last_words(play->said);
        bool is_check;
        g_autofree char *recap = read_result(play->result, &is_check);
        ApprovalEffect effect = effect_of(status, is_check);
        Fault f = {0};
        int r = set_end(status, said, &f);

        if (play->is_late)
                r = fault_set((fault_clear(&f), &f), FAULT_TIMED_OUT,
                              "fluid-ansible did not end in time and was killed");
        if (r < 0 && *recap) {
                g_autofree char *message = g_strdup(f.message);

                FaultCode code = f.code;
                fault_clear(&f);
                r = fault_set(&f, code, "%s: %s", message, recap);
        }
        finish(play, effect, effect == EFFECT_DONE ? TAKE_PTR(recap) : g_strdup(f.message), r, &f);
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Play *play = userdata;
        int status = 0;
        Fault f = {0};
        int r = child_ended(fd, UNIT, &status, &f);

        (void) source;
        (void) events;
        if (r > 0)
                end(play, status);
        else if (r < 0)
                finish(play, EFFECT_UNKNOWN, NULL, r, &f);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Play *play = userdata;

        (void) source;
        (void) usec;
        play->is_late = true;
        child_kill(play->child);
        return 0;
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

static int make_files(Play *play, Fault *f)
{
        play->said = memfd_create("said", MFD_CLOEXEC);
        play->result = memfd_create("result", MFD_CLOEXEC);
        if (play->said < 0 || play->result < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a file");
        return approval_make_log(play->approval, &play->log, f);
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
        const char *argv[] = {"fluid-ansible",
                              "--sha256",
                              a->content.archive,
                              "--config",
                              m->config->apply_file,
                              "--target",
                              target,
                              NULL};
        const int fds[] = {archive, play->result};
        uint64_t usec = 0;

        int r = make_files(play, f);
        if (r == 0)
                r = find_deadline(m, &usec, f);
        if (r == 0)
                r = child_start(&CHILD_SPEC(.unit = UNIT, .argv = argv, .stdout_fd = play->log,
                                            .fds = fds, .n_fds = G_N_ELEMENTS(fds)),
                                play->said, &play->child, f);
        if (r < 0)
                return r;
        if (sd_event_add_io(m->event, &play->ended, play->child, EPOLLIN, on_ended, play) < 0 ||
            sd_event_add_time_relative(m->event, &play->deadline, CLOCK_MONOTONIC, usec,
                                       USEC_PER_SEC, on_deadline, play) < 0)
                return fault_set(f, FAULT_INTERNAL, "cannot wait for fluid-ansible");
        return 0;
}

static void on_taken(void *request, int r, const Fault *f, void *userdata)
{
        const Taking *q = request;
        Play *play = userdata;
        Fault why = {0};

        if (r >= 0) {
                r = start(play, q->archive, &why);
                f = &why;
        }
        if (r < 0)
                /* Where it was started and cannot be awaited, nobody has seen its end. */
                finish(play, play->child < 0 ? EFFECT_NONE : EFFECT_UNKNOWN, NULL, r, f);
}

int playbook_action_apply(Manager *m, Approval *a, Caller *caller, OperationDone done,
                          void *userdata, Fault *f)
{
        const Playbook *p = playbook_by_id(m, a->content.playbook);
        Taking *q;
        int archive = -1;

        (void) caller;
        /* Until it is started nothing can have come of it. */
        a->effect = EFFECT_NONE;
        g_clear_pointer(&a->outcome, g_free);
        if (m->is_playing)
                return fault_set(f, FAULT_BUSY,
                                 "another playbook is being applied: one is at a time");
        int r = playbook_open_archive(p, &archive, f);
        if (r < 0)
                return r;
        q = g_new(Taking, 1);
        *q = (Taking){archive, g_strdup(a->content.archive)};
        a->play = g_new(Play, 1);
        *a->play = (Play){.approval = a,
                          .done = done,
                          .userdata = userdata,
                          .child = -1,
                          .log = -1,
                          .said = -1,
                          .result = -1};
        m->is_playing = true;
        (void) workers_submit(m->workers, take, on_taken, q, taking_free, a->play);
        return 0;
}

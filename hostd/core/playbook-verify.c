/* SPDX-License-Identifier: MIT */

/* The proof of a playbook: it is replayed in a fresh sandbox, twice, and what that holds then is
 * compared with what the playbook was made of.
 *
 * The sandbox stands where the playbook begins, has no network, and belongs to the user that the
 * replay runs as (verify_user), who has no other. It is destroyed whatever comes of it; where this
 * process is killed, at the next start: by its owner it is known. So nothing has to be written down
 * on the way but that it was begun. */

#include "core/playbook-private.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT "fluid-verify"
/* For what lies between the steps. */
#define SPARE_USEC (600 * USEC_PER_SEC)
/* Bytes of what a replay and a comparison say. */
#define RESULT_MAX   (64u << 10)
#define RESIDUAL_MAX (512u << 10)

/* -- the comparison ---------------------------------------------------------------------------- */

static const char *find_verdict(Json *document)
{
        static const char *const verdicts[] = {"exact", "exact-but-left-out", "residual"};
        const char *text;

        if (!json_find_string(document, "verdict", &text))
                return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(verdicts); i++)
                if (g_str_equal(verdicts[i], text))
                        return verdicts[i];
        return NULL;
}

/* All that is in a file in which a child wrote. */
static int read_result(int fd, size_t max, int depth, char **ret_text, Json **ret, Fault *f)
{
        g_autofree char *text = NULL;
        struct stat st;

        if (fstat(fd, &st) < 0 || st.st_size == 0 || (uint64_t) st.st_size > max)
                return fault_set(f, FAULT_DIFF_FAILED, "the result is missing, or too long");
        text = g_malloc0((size_t) st.st_size + 1);
        int r = pread_all(fd, text, (size_t) st.st_size, 0);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "the result cannot be read");
        r = json_parse(text, (size_t) st.st_size, depth, ret, f);
        if (r >= 0 && ret_text)
                *ret_text = TAKE_PTR(text);
        return r;
}

static void compared(int fd, int r, const Fault *f, void *userdata)
{
        Playbook *p = userdata;
        Verification *v = p->verification;
        g_autoptr(Json) document = NULL;
        Fault why = fault_copy(f);

        if (r >= 0)
                r = read_result(fd, RESIDUAL_MAX, 4, &v->residual, &document, &why);
        if (r >= 0) {
                v->verdict = find_verdict(document);
                if (!v->verdict)
                        r = fault_set(&why, FAULT_DIFF_FAILED, "the comparison has no verdict");
        }
        if (r < 0)
                verification_fail(p, r, &why);
        else
                verification_end(p);
}

static int compare(Playbook *p, Fault *f)
{
        bool is_written = playbook_is_written(p);
        /* What a written one says itself to leave out, whoever wrote it may have liked to. */
        const char *const options[] = {"--residual", is_written ? "none" : "3", NULL};
        Verification *v = p->verification;
        Sandbox *against = playbook_sandbox(p->manager, v->against_id),
                *fresh = verification_sandbox(p);
        Caller own = manager_own_caller();

        if (!against)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "the sandbox that it is compared with was destroyed meanwhile");
        if (!fresh)
                return fault_set(f, FAULT_NOT_FOUND, "the fresh sandbox was destroyed meanwhile");
        if (lseek(v->archive_fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "the archive cannot be read");
        verification_set_step(p,
                              "the fresh sandbox is compared with the one that the playbook is of");
        return diff_start_job(fresh, &own,
                              &(DiffJob){.from_sandbox = against,
                                         .from = v->point,
                                         .to = POINT_NOW,
                                         .options = options,
                                         .fds = is_written ? NULL : &v->archive_fd,
                                         .n_fds = is_written ? 0 : 1,
                                         .size_max = RESIDUAL_MAX},
                              NULL, NULL, compared, p, f);
}

/* -- the replay -------------------------------------------------------------------------------- */

static int count_changed(int fd, uint64_t *ret, Fault *f)
{
        g_autoptr(Json) result = NULL;
        Json *hosts;
        int r = read_result(fd, RESULT_MAX, 5, NULL, &result, f);

        *ret = 0;
        if (r < 0)
                return r;
        if (!json_find_object(result, "hosts", &hosts) || json_object_object_length(hosts) == 0)
                return fault_set(f, FAULT_IO, "Ansible did not say what it did to the sandbox");
        json_object_object_foreach(hosts, name, host)
        {
                uint64_t n = 0;
                if (!json_object_is_type(host, json_type_object) ||
                    !json_find_uint(host, "changed", &n))
                        return fault_set(f, FAULT_IO, "Ansible did not say what it did to %.80s",
                                         name);
                *ret += n;
        }
        return 0;
}

static int play(Playbook *p, Fault *f);

static int go_on(Playbook *p, Fault *f)
{
        Verification *v = p->verification;
        uint64_t changed;
        int r = count_changed(v->result_fd, &changed, f);

        if (r < 0)
                return r;
        if (!v->is_second) {
                v->is_second = true;
                return play(p, f);
        }
        if (changed > 0)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "the second run changed %" G_GUINT64_FORMAT
                                 " things: the playbook does not say what is to be, but what is to "
                                 "be done; its log shows which",
                                 changed);
        return compare(p, f);
}

static void played(int r, const Fault *f, void *userdata)
{
        Playbook *p = userdata;
        Verification *v = p->verification;
        Fault why = fault_copy(f);

        v->child = child_task_free(v->child);
        if (r >= 0)
                r = go_on(p, &why);
        if (r < 0)
                verification_fail(p, r, &why);
}

static int play(Playbook *p, Fault *f)
{
        Verification *v = p->verification;
        const char *const argv[] = {"fluid-ansible", "--sha256",         p->row->sha256,
                                    "--sandbox",     v->sandbox_id.text, NULL};
        const int fds[] = {v->archive_fd, v->result_fd};

        /* The offset is shared with whoever read or wrote it last. */
        if (lseek(v->archive_fd, 0, SEEK_SET) < 0 || ftruncate(v->result_fd, 0) < 0 ||
            lseek(v->result_fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "the files of a replay cannot be used");
        verification_set_step(p,
                              v->is_second ? "the playbook is run again" : "the playbook is run");
        return child_task_start(
                p->manager->event,
                &CHILD_SPEC(.unit = UNIT, .argv = argv,
                            .deadline_usec = p->manager->config->verify_timeout_usec,
                            .stdout_fd = v->log_fd, .fds = fds, .n_fds = G_N_ELEMENTS(fds)),
                played, p, &v->child, f);
}

/* -- the fresh sandbox ------------------------------------------------------------------------- */

static void on_ready(int r, const Fault *f, void *userdata)
{
        Playbook *p = userdata;
        const Sandbox *s = verification_sandbox(p);
        Fault why = fault_copy(f);

        if (r >= 0 && (!s || s->state != SANDBOX_READY))
                r = fault_set(&why, FAULT_WRONG_STATE, "the fresh sandbox is not ready, but %s",
                              s ? sandbox_state_to_string(s->state) : "gone");
        if (r >= 0)
                r = play(p, &why);
        if (r < 0)
                verification_fail(p, r, &why);
}

static int await(Playbook *p, Sandbox *s, Fault *f)
{
        p->verification->sandbox_id = s->row->id;
        return sandbox_wait(s, "ready", USEC_INFINITY, on_ready, p, f);
}

static void branched(Sandbox *branch, int r, const Fault *f, void *userdata)
{
        Playbook *p = userdata;
        Fault why = fault_copy(f);

        if (r >= 0)
                r = await(p, branch, &why);
        if (r < 0)
                verification_fail(p, r, &why);
}

static int make_sandbox(Playbook *p, Sandbox *source, Fault *f)
{
        g_autofree char *name = g_strdup_printf("verify-%s", p->row->id.text);
        const Config *c = p->manager->config;
        /* Whatever the default is: both runs, the boot and the comparison. */
        uint64_t ttl = 2 * c->verify_timeout_usec + c->boot_timeout_usec + c->diff_timeout_usec +
                       c->diff_guestfs_timeout_usec + SPARE_USEC;
        const SandboxSpec spec = {.name = name,
                                  .agent = "fluid-verify",
                                  .template = source->row->template_id.text,
                                  .network = "none",
                                  .vcpus = source->row->vcpus,
                                  .memory_bytes = source->row->memory_bytes,
                                  .ttl_usec = MIN(ttl, c->ttl_max_usec),
                                  .boots = !g_str_equal(p->row->from_name, POINT_TEMPLATE)};
        Caller verifier;
        Sandbox *s;

        int r = verification_find_user(p->manager, &verifier, f);
        if (r < 0)
                return r;
        if (spec.boots)
                return sandbox_branch(source, &verifier, p->row->from_name, &spec, branched, p, f);
        r = sandbox_create(p->manager, &verifier, &spec, &s, f);
        return r < 0 ? r : await(p, s, f);
}

/* -- its beginning ----------------------------------------------------------------------------- */

/* What it is compared with. */
static int find_against(const Playbook *p, const Caller *caller, const VerifySpec *spec,
                        Sandbox *source, Verification *v, Fault *f)
{
        Sandbox *s = source;
        const char *point = p->row->to_name;
        int r = 0;

        if (spec->against)
                r = manager_get_sandbox(p->manager, caller, spec->against, &s, f);
        if (r < 0)
                return r;
        if (s->template != source->template)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "sandbox '%s' is of another template than the playbook",
                                 s->row->name);
        if (spec->point || s != source)
                point = spec->point ? spec->point : sandbox_head_name(s);
        v->against_id = s->row->id;
        v->point = g_strdup(point);
        return playbook_check_point(s, point, f);
}

static int check(const Playbook *p, const Caller *caller, Sandbox **ret_source, Fault *f)
{
        Manager *m = p->manager;
        bool is_alone = playbook_is_written(p);
        unsigned under_way = 0;
        GHashTableIter iter;
        void *object;
        int r = manager_admits_work(m, f);

        if (r == 0 && !playbook_is_visible(p, caller))
                r = fault_set(f, FAULT_DENIED, "playbook %s is somebody else's", p->row->id.text);
        if (r < 0)
                return r;
        if (p->verification)
                return fault_set(f, FAULT_BUSY, "playbook %s is being verified", p->row->id.text);
        g_hash_table_iter_init(&iter, m->objects[OBJECT_PLAYBOOK]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Playbook *other = object;

                under_way += other->verification != NULL;
                is_alone |= other->verification && playbook_is_written(other);
        }
        /* It runs as the user whom the sandboxes of all verifications belong to. */
        if (is_alone && under_way > 0)
                return fault_set(
                        f, FAULT_BUSY,
                        "a playbook that was written by hand is verified alone, and another "
                        "is being verified; try again later");
        if (under_way >= m->config->verifications_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%u playbooks are being verified already (verifications_max); try "
                                 "again later",
                                 under_way);
        *ret_source = playbook_sandbox(m, p->row->sandbox_id);
        if (!*ret_source || (*ret_source)->state == SANDBOX_DESTROYING)
                return fault_set(f, FAULT_WRONG_STATE,
                                 "sandbox '%s', which playbook %s was made of, is gone: there is "
                                 "nothing left to compare with",
                                 p->row->sandbox_name, p->row->id.text);
        return playbook_check_point(*ret_source, p->row->from_name, f);
}

static int open_files(const Playbook *p, Verification *v, Fault *f)
{
        g_autofree char *log = playbook_file(p->manager, p->row->id.text, PLAYBOOK_LOG);
        int r = playbook_open(p, &v->archive_fd, f);

        if (r < 0)
                return r;
        v->log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        if (v->log_fd >= 0)
                v->result_fd = memfd_create("result", MFD_CLOEXEC);
        if (v->log_fd < 0 || v->result_fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make the files of a replay");
        return 0;
}

static int record_begin(Playbook *p, Caller *caller, Fault *f)
{
        g_autofree char *path = playbook_bus_path(p->row->id.text);
        PlaybookRow *next = playbook_row_copy(p->row);
        Json *detail = json_object_new_object();
        Store *store = p->manager->store;
        AuditEntry *entry = NULL;
        int r = store_begin(store, f);

        playbook_set(&next->verified, "verifying");
        playbook_set(&next->verified_reason, "a fresh sandbox is made");
        playbook_set(&next->residual, "");
        next->verified_usec = 0;
        (void) json_object_object_add(detail, "against",
                                      json_object_new_string(p->verification->against_id.text));
        (void) json_object_object_add(detail, "point",
                                      json_object_new_string(p->verification->point));
        if (r == 0)
                r = audit_begin(p->manager, caller, "playbook.verify", path,
                                g_steal_pointer(&detail), &entry, f);
        if (r == 0)
                r = store_put_playbook(store, next, f);
        if (r == 0)
                r = store_commit(store, f);
        (void) json_object_put(detail);
        if (r < 0) {
                store_rollback(store);
                (void) audit_discard(entry);
                caller->is_audited = false;
                (void) playbook_row_free(next);
                return r;
        }
        p->verification->entry = entry;
        playbook_take_row(p, next);
        return 0;
}

int playbook_verify(Playbook *p, Caller *caller, const VerifySpec *spec, Fault *f)
{
        Sandbox *source;
        Fault why = {0};
        int r = check(p, caller, &source, f);

        if (r < 0)
                return r;
        Verification *v = p->verification = g_new0(Verification, 1);
        *v = (Verification){.archive_fd = -1, .log_fd = -1, .result_fd = -1};
        r = find_against(p, caller, spec, source, v, f);
        if (r == 0)
                r = open_files(p, v, f);
        if (r == 0)
                r = record_begin(p, caller, f);
        if (r < 0) {
                p->verification = verification_free(v);
                return r;
        }
        manager_changed(p->manager, OBJECT_PLAYBOOK, p);
        playbook_destroy_unused(p->manager);
        r = make_sandbox(p, source, &why);
        if (r < 0)
                verification_fail(p, r, &why);
        return 0;
}

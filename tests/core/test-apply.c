/* SPDX-License-Identifier: MIT */

/* Playbooks are applied as they were approved, where it was approved, once. */

#include "tests/core/applies.h"

static const char settings[] = "stop_timeout = 0s\n";

static Caller stranger = {.uid = 3000, .text = "stranger[4]"};
static Playbook *playbook;

/* -- what is asked ------------------------------------------------------------------------------
 */

static bool has_line(const char *text, const char *line)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        return g_strv_contains((const char *const *) lines, line);
}

static void test_content(void)
{
        const Approval *a = ask_playbook(playbook);
        const ApprovalContent *c = &a->content;
        g_autofree char *inventory =
                g_compute_checksum_for_string(G_CHECKSUM_SHA256, INVENTORY, -1);
        g_autofree char *wanted = g_strdup_printf("inventory_sha256 = %s", inventory);

        tap_is_str(c->playbook, playbook_row(playbook)->id.text,
                   "what is asked names the playbook");
        tap_is_str(c->archive, playbook_row(playbook)->sha256, "and its archive's hash");
        tap_ok(strstr(c->changes, "sandbox 'web'") && has_line(c->changes, "nginx is installed"),
               "and what it changes");
        tap_ok(has_line(c->changes, "/etc/\\x1b[2J is new"), "escaped");
        tap_ok(g_str_has_prefix(c->replay, "not verified"), "and that nobody has verified it");
        tap_ok(has_line(c->target, wanted) && has_line(c->target, "check = always"),
               "and where it goes, with the hash of the inventory");
        need(cancel_as((Approval *) a, &fixture.caller), "cancel");
}

static int try_asking(Caller *caller, ApprovalSpec spec)
{
        Approval *a = NULL;

        spec.action = spec.action ? spec.action : "playbook";
        return request_as(caller, spec, &a);
}

static void test_asking(void)
{
        const char *id = playbook_row(playbook)->id.text;
        Approval *a = NULL;

        is_refused(try_asking(&fixture.caller, (ApprovalSpec){0}), FAULT_INVALID_ARGUMENT,
                   "a playbook has to be named");
        is_refused(try_asking(&fixture.caller, (ApprovalSpec){.playbook = "0123456789ab"}),
                   FAULT_NOT_FOUND, "and has to be there");
        is_refused(try_asking(&stranger, (ApprovalSpec){.playbook = id}), FAULT_NOT_FOUND,
                   "somebody else's is not");
        is_refused(try_asking(&fixture.caller, (ApprovalSpec){.playbook = id, .profile = "mirror"}),
                   FAULT_INVALID_ARGUMENT, "it has no profile");
        is_refused(
                try_asking(&fixture.caller, (ApprovalSpec){.action = "question", .playbook = id}),
                FAULT_INVALID_ARGUMENT, "a question has no playbook");
        remove_scratch("apply.conf");
        is_refused(try_asking(&fixture.caller, (ApprovalSpec){.playbook = id}), FAULT_WRONG_STATE,
                   "without apply.conf nothing can be asked");
        tap_ok(strstr(fixture.fault.message, "apply.conf(5)"), "and it is said what to do");
        write_target();
        a = ask_playbook(playbook);
        g_autofree char *edited = g_strdup(a->row->content);
        char *at = strstr(edited, "check = always");
        memcpy(at, "check = never ", strlen("check = always"));
        g_autofree char *sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, edited, -1);
        is_refused(approve_as(a, &approver,
                              (ApprovalAnswer){.sha256 = sha256,
                                               .content = edited,
                                               .content_size = strlen(edited)}),
                   FAULT_INVALID_ARGUMENT, "it is not approved with changes");
        need(cancel_as(a, &fixture.caller), "cancel");
}

/* -- it is applied, once ------------------------------------------------------------------------
 */

static void test_apply(void)
{
        Approval *a = ask_playbook(playbook);
        unsigned before = times_applied();
        int log = -1;

        is_refused(apply_approval(a), FAULT_NOT_APPROVED, "nothing is applied unapproved");
        is_refused(approve_as(a, &fixture.caller, (ApprovalAnswer){0}), FAULT_OWN_REQUEST,
                   "who asked does not approve");
        is_refused(approve_as(a, &approver,
                              (ApprovalAnswer){.sha256 = playbook_row(playbook)->sha256}),
                   FAULT_WRONG_HASH, "another hash is not approved");
        need(approve(a), "approve");
        is_refused(approve(a), FAULT_ALREADY_DECIDED, "nor is it twice");
        is_refused(approval_open_log(a, &log, fresh_fault()), FAULT_NOT_FOUND, "it has no log yet");
        tap_is_int(times_applied() - before, 0, "nothing happens when it is approved");
        is_refused(apply_as(a, &stranger), FAULT_DENIED, "somebody else does not apply it");
        is_done(apply_approval(a), "who asked applies it");
        is_now(a, "applied", "and that is said");
        tap_is_str(a->row->reason, "web1: changed=2 ok=3; web2: ok=2", "with what became of each");
        tap_is_int(times_applied() - before, 1, "it was run once");
        g_autofree char *taken = read_scratch("taken");
        tap_is_str(taken, ARCHIVE, "with the playbook");
        g_autofree char *arguments = read_scratch("s/applied");
        g_autofree char *target =
                g_compute_checksum_for_string(G_CHECKSUM_SHA256, a->content.target, -1);
        tap_ok(strstr(arguments, playbook_row(playbook)->sha256) && strstr(arguments, target) &&
                       strstr(arguments, "--config"),
               "and is told the hashes of that and of the target");
        need(approval_open_log(a, &log, fresh_fault()), "log");
        g_autofree char *text = text_of(log);
        tap_is_str(text, "PLAY\n", "what it printed is kept");
        (void) close_fd(log);
        is_refused(apply_approval(a), FAULT_ALREADY_APPLIED, "it is applied once");
        restart_manager();
        playbook = newest_playbook();
        is_refused(apply_approval(newest()), FAULT_ALREADY_APPLIED, "also after a restart");
        tap_is_int(times_applied() - before, 1, "it still was run once");
        tap_is_int(count_audit("approval.apply", "failed", "AlreadyApplied"), 0,
                   "what is refused has begun nothing");
}

/* -- it is not what was approved ----------------------------------------------------------------
 */

static void change_archive(const char *text)
{
        g_autofree char *path =
                playbook_file(fixture.manager, playbook_row(playbook)->id.text, PLAYBOOK_ARCHIVE);

        need(g_file_set_contents(path, text, -1, NULL) ? 0 : -EIO, path);
}

static void test_changed(void)
{
        Approval *a = ask_playbook(playbook), *b = ask_playbook(playbook);
        unsigned before = times_applied();
        g_autofree char *other = g_strdup(ARCHIVE);

        need(approve(a), "approve");
        other[0] ^= 1;
        change_archive(other);
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED,
                   "an archive of another byte is not applied");
        tap_is_int(count_audit("approval.apply", "failed", "ContentChanged"), 1,
                   "which is in the trail");
        is_now(a, "approved", "and nothing has come of it");
        change_archive(ARCHIVE ARCHIVE);
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor is a longer one");
        change_archive(ARCHIVE);
        write_scratch("inventory", INVENTORY "db1\n");
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor is it to another host");
        is_refused(approve(b), FAULT_CONTENT_CHANGED, "nor is that approved");
        write_target();
        write_scratch("apply.conf", "inventory = /etc/passwd\n");
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor with another inventory");
        remove_scratch("apply.conf");
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor without a target");
        write_target();
        a->row->expires_usec = now_realtime_usec() - 1;
        is_refused(apply_approval(a), FAULT_APPROVAL_EXPIRED, "nor too late");
        a->row->expires_usec = UINT64_MAX;
        tap_is_int(times_applied() - before, 0, "nothing was run");
        write_apply("echo 'fluid-ansible: the inventory is not what was approved' >&2\nexit 3\n");
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED,
                   "what only the program sees is refused, too");
        tap_is_str(fixture.fault.message, "the inventory is not what was approved", "in its words");
        is_now(a, "approved", "and nothing has come of it");
        write_apply(APPLY_GOOD);
        is_done(apply_approval(a), "as it was it is applied");
        need(cancel_as(b, &fixture.caller), "cancel");
        b = ask_playbook(playbook);
        need(approve(b), "approve");
        need(playbook_remove(playbook, &fixture.caller, fresh_fault()), "remove");
        is_refused(apply_approval(b), FAULT_CONTENT_CHANGED, "a playbook that is gone is not");
        need(cancel_as(b, &fixture.caller), "cancel");
        playbook = make_playbook("again");
}

/* -- how it ends --------------------------------------------------------------------------------
 */

static const struct {
        const char *script, *state, *reason, *sentence;
        FaultCode code;
} ends[] = {
        {"echo 'fluid-ansible: it failed on 1 of 2 hosts' >&2\n" APPLY_RESULT(
                 2, false, "\"failed\":1") "exit 4\n",
         "failed", "it failed on 1 of 2 hosts: web1: failed=1 ok=3; web2: ok=2",
         "a playbook that fails on its way has failed", FAULT_PLAYBOOK_FAILED},
        {"echo 'fluid-ansible: in check mode' >&2\n" APPLY_RESULT(2, true,
                                                                  "\"unreachable\":1") "exit 4\n",
         "approved", "in check mode: web1: unreachable=1 ok=3; web2: ok=2",
         "one that fails in check mode has changed nothing", FAULT_PLAYBOOK_FAILED},
        {"echo 'fluid-ansible: it took too long' >&2\nexit 4\n", "failed", "it took too long",
         "one that is killed has failed", FAULT_PLAYBOOK_FAILED},
        {"echo 'fluid-ansible: ansible-playbook is not installed' >&2\nexit 5\n", "approved",
         "ansible-playbook is not installed", "without Ansible nothing comes of it",
         FAULT_WRONG_STATE},
        {"echo 'fluid-ansible: x.conf:1: unknown key' >&2\nexit 2\n", "approved",
         "x.conf:1: unknown key", "nor with a bad apply.conf", FAULT_WRONG_STATE},
        {"exit 1\n", "failed", "it failed without a word",
         "nobody knows what came of a program's own "
         "failure",
         FAULT_IO},
        {"kill -9 $$\n", "failed", "fluid-ansible was ended by signal 9",
         "nor of one that was killed", FAULT_IO},
        {"head -c 9000 /dev/zero | tr '\\0' y >&2; echo '{[' >&4; printf '\\nx\\033[2J' >&2; exit 4\n",
         "failed", "x\\x1b[2J", "what it says is escaped", FAULT_PLAYBOOK_FAILED},
        {"echo '{\"hosts\":{\"a\":7,\"b\\u001b\":{\"ok\":1}}}' >&4; echo no >&2; exit 4\n",
         "failed", "no: a:; b\\x1b: ok=1", "and so is its result", FAULT_PLAYBOOK_FAILED},
        {"head -c 5000000 /dev/zero >&4; echo no >&2; exit 4\n", "failed", "no",
         "which is not read where it is too large", FAULT_PLAYBOOK_FAILED},
};

static void test_ends(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                Approval *a = ask_playbook(playbook);

                need(approve(a), "approve");
                write_apply(ends[i].script);
                is_refused(apply_approval(a), ends[i].code, "%s", ends[i].sentence);
                is_now(a, ends[i].state, "and is so");
                tap_is_str(a->row->reason, ends[i].reason, "and says why");
                if (approval_is(a, "failed"))
                        is_refused(apply_approval(a), FAULT_ALREADY_APPLIED,
                                   "then it is not applied again");
                else
                        need(cancel_as(a, &fixture.caller), "cancel");
        }
        write_apply(APPLY_GOOD);
}

/* -- one at a time, and not at all --------------------------------------------------------------
 */

static bool is_playing(void *n)
{
        return times_applied() > GPOINTER_TO_UINT(n);
}

static void test_one_at_a_time(void)
{
        Approval *a = ask_playbook(playbook), *b = ask_playbook(playbook);
        unsigned before = times_applied();
        Outcome o = {0};

        need(approve(a), "approve");
        need(approve(b), "approve");
        g_autofree char *gate = g_build_filename(fixture.directory, "gate", NULL);
        need(mkfifo(gate, 0600) < 0 ? -errno : 0, gate);
        write_apply("read x <gate\n" APPLY_GOOD);
        need(approval_apply(a, &fixture.caller, on_outcome, &o, fresh_fault()), "apply");
        is_refused(apply_approval(a), FAULT_BUSY, "what is being applied is not applied again");
        is_refused(apply_approval(b), FAULT_BUSY, "nor is another one meanwhile");
        is_now(b, "approved", "which can be tried again");
        is_refused(cancel_as(a, &fixture.caller), FAULT_ALREADY_DECIDED, "nor is it cancelled");
        tap_ok(until(is_playing, GUINT_TO_POINTER(before)), "it runs");
        need(write_to(gate, "go\n") ? 0 : -EIO, gate);
        tap_ok(finish(0, &o) == 0, "to its end");
        write_apply(APPLY_GOOD);
        is_done(apply_approval(b), "then another one can");
}

static void test_stopped(void)
{
        Approval *a = ask_playbook(playbook);
        unsigned before = times_applied();
        static Outcome o;
        Id id = a->row->id;

        need(approve(a), "approve");
        write_apply("read x <gate\ntouch outlived\n" APPLY_GOOD);
        need(approval_apply(a, &fixture.caller, on_outcome, &o, fresh_fault()), "apply");
        tap_ok(until(is_playing, GUINT_TO_POINTER(before)), "it runs");
        is_refused(apply_approval(a), FAULT_BUSY, "and is not applied twice");
        g_autofree char *path = approval_bus_path(a);
        audit_refuse(fixture.manager, &fixture.caller, "approval.apply", path, &fixture.fault);
        restart_manager();
        playbook = newest_playbook();
        a = manager_find_approval(fixture.manager, &(Caller){.uid = 0}, id.text);
        is_now(a, "failed", "one during which the daemon ended has failed");
        is_refused(apply_approval(a), FAULT_ALREADY_APPLIED, "and is not applied again");
        tap_is_int(times_applied() - before, 1, "it was run once");
        tap_is_int(count_audit("approval.apply", "failed", "Cancelled"), 1,
                   "which is in the trail");
        write_apply(APPLY_GOOD);
        a = ask_playbook(playbook);
        need(approve(a), "approve");
        g_autofree char *unit = g_build_filename(fixture.directory, "r/fluid-apply.socket", NULL);
        need(unlink(unit) < 0 ? -errno : 0, unit);
        is_refused(apply_approval(a), FAULT_IO, "without the unit nothing is applied");
        tap_ok(strstr(fixture.fault.message, "systemctl start fluid-apply.socket"),
               "and it is said what to do");
        is_now(a, "approved", "and it can be tried again");
        link_apply_unit();
        is_done(apply_approval(a), "when that is there");
}

int main(void)
{
        start_fixture(settings);
        start_apply_unit();
        playbook = make_playbook("site");
        test_content();
        test_asking();
        test_apply();
        test_changed();
        test_ends();
        test_one_at_a_time();
        test_stopped();
        tap_ok(is_world_consistent(), "the world is well");
        stop_apply_unit();
        stop_fixture();
        return tap_done();
}

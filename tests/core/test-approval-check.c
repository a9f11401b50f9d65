/* SPDX-License-Identifier: MIT */

/* A playbook is run in check mode before a person is asked, and what came of it is a part of what
 * is asked. */

#include "tests/core/applies.h"

static const char settings[] = "stop_timeout = 0s\n";
static Playbook *playbook;

#define CHECK_RESULT(counts) \
        "echo '{\"rc\":0,\"check\":true,\"hosts\":{\"web1\":{\"ok\":3," counts \
        "}},\"changes\":{\"change : a file\":1,\"\\u001b[2J\":2}}' >&4\n"
#define CHECK_GOOD "echo -was +is\n" CHECK_RESULT("\"changed\":2")

static int ask_checked(Approval **ret)
{
        return request_as(&fixture.caller,
                          (ApprovalSpec){.action = "playbook",
                                         .summary = "The new site",
                                         .checks = true,
                                         .playbook = playbook_row(playbook)->id.text},
                          ret);
}

static Approval *must_ask_checked(void)
{
        Approval *a = NULL;

        need(ask_checked(&a), "request");
        return a;
}

static bool is_asked(void *a)
{
        return approval_is(a, "pending");
}

static bool is_applied(void *a)
{
        return approval_is(a, "applied");
}

static bool has_run(void *n)
{
        return times_applied() > GPOINTER_TO_UINT(n);
}

/* The last line of what the program was called with. */
static char *last_call(void)
{
        g_autofree char *text = read_scratch("s/applied");
        g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);

        return g_strdup(lines[g_strv_length(lines) - 1]);
}

static void test_good(void)
{
        g_autofree char *gate = g_build_filename(fixture.directory, "gate", NULL);
        unsigned before = times_applied();
        int log = -1;

        need(mkfifo(gate, 0600) < 0 ? -errno : 0, gate);
        write_apply("read x <gate\n" CHECK_GOOD);
        Approval *a = must_ask_checked();
        g_autofree char *first = g_strdup(a->row->sha256);
        is_now(a, "checking", "it is checked first");
        tap_ok(until(has_run, GUINT_TO_POINTER(before)), "by the program that would apply it");
        is_refused(approve(a), FAULT_BUSY, "meanwhile it is not approved");
        is_refused(deny_as(a, &approver, "no"), FAULT_BUSY, "nor denied");
        is_refused(apply_approval(a), FAULT_NOT_APPROVED, "nor applied");
        need(write_to(gate, "go\n") ? 0 : -EIO, gate);
        tap_ok(until(is_asked, a), "then it is asked");
        g_autofree char *call = last_call(), *check = g_strdup(a->content.check);
        tap_ok(strstr(call, "--check --diff") && strstr(call, playbook_row(playbook)->sha256),
               "exactly that was run in check mode");
        tap_is_str(check,
                   "ended well, and nothing was changed: web1: changed=2 ok=3\n"
                   "would change: change : a file\n"
                   "would change: \\x1b[2J (on 2 hosts)\n",
                   "what is asked says what came of it, escaped");
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "-was +is\n", -1);
        tap_is_str(a->content.check_log, hash, "and has the hash of what was printed");
        is_refused(approval_open_check_log(a, &fixture.caller, &log, fresh_fault()), FAULT_DENIED,
                   "which who asked does not read");
        need(approval_open_check_log(a, &approver, &log, fresh_fault()), "check log");
        g_autofree char *text = text_of(log);
        (void) close_fd(log);
        tap_is_str(text, "-was +is\n", "and an approver does");
        tap_is_str(a->row->requested_sha256, a->row->sha256, "that is what is asked");
        is_refused(approve_as(a, &approver, (ApprovalAnswer){.sha256 = first}), FAULT_WRONG_HASH,
                   "who has not seen it does not approve it");
        need(approve(a), "approve");
        tap_is_int(count_audit("approval.check", "done", ""), 1, "the check is in the trail");
        write_apply(APPLY_GOOD);
        is_done(apply_approval(a), "it is applied");
        g_autofree char *applied = last_call();
        tap_ok(!strstr(applied, "--check"), "and not checked then");
}

static void test_bad(void)
{
        write_apply("echo 'fluid-ansible: in check mode the playbook failed' >&2\n" CHECK_RESULT(
                "\"failed\":1") "exit 4\n");
        Approval *a = must_ask_checked();
        tap_ok(until(is_asked, a), "one whose check fails is asked all the same");
        tap_ok(g_str_has_prefix(a->content.check,
                                "FAILED: in check mode the playbook failed: web1: failed=1 ok=3\n"),
               "and says so first");
        tap_is_int(count_audit("approval.check", "failed", "PlaybookFailed"), 1,
                   "which is in the trail");
        need(approve(a), "approve");
        need(cancel_as(a, &fixture.caller), "cancel");
        write_apply("kill -9 $$\n");
        a = must_ask_checked();
        tap_ok(until(is_asked, a) && g_str_has_prefix(a->content.check, "FAILED: "),
               "so does one that was killed");
        need(cancel_as(a, &fixture.caller), "cancel");
        write_apply("head -c 300000 /dev/zero | tr '\\0' '\\\\' >&2; exit 4\n");
        a = must_ask_checked();
        tap_ok(until(is_asked, a) && strlen(a->content.check) <= APPROVAL_CHECK_MAX,
               "what it says is bounded");
        need(cancel_as(a, &fixture.caller), "cancel");
        g_autofree char *unit = g_build_filename(fixture.directory, "r/fluid-apply.socket", NULL);
        need(unlink(unit) < 0 ? -errno : 0, unit);
        a = must_ask_checked();
        tap_ok(until(is_asked, a) && strstr(a->content.check, "systemctl start") &&
                       !a->content.check_log,
               "without the unit it says what to do");
        link_apply_unit();
        need(cancel_as(a, &fixture.caller), "cancel");
}

static void set_review_check(const char *when)
{
        g_autofree char *text =
                g_strdup_printf(APPLY_CONF "review_check = %s\n", fixture.directory, when);

        write_scratch("apply.conf", text);
}

static void test_settings(void)
{
        Approval *a = NULL;

        write_apply(CHECK_GOOD);
        set_review_check("always");
        a = ask_playbook(playbook);
        is_now(a, "checking", "where apply.conf demands it, it is checked unasked");
        tap_ok(until(is_asked, a) && a->content.check, "and then asked");
        set_review_check("never");
        is_refused(ask_checked(&a), FAULT_DENIED, "where apply.conf forbids it, it is not");
        tap_ok(strstr(fixture.fault.message, "review_check"), "and it is said why");
        need(cancel_as(newest(), &fixture.caller), "cancel");
        a = ask_playbook(playbook);
        is_now(a, "pending", "without a check it is asked");
        tap_ok(!a->content.check && !strstr(a->row->content, "\"check"), "and says nothing of one");
        need(cancel_as(a, &fixture.caller), "cancel");
        set_review_check("asked");
        is_refused(request_as(&fixture.caller, (ApprovalSpec){.checks = true}, &a),
                   FAULT_INVALID_ARGUMENT, "a question is not checked");
}

static void test_many(void)
{
        unsigned before = times_applied();
        Outcome o = {0};

        write_apply("case $* in *--check*) read x <gate;; esac\n" CHECK_GOOD);
        Approval *a = must_ask_checked(), *b = must_ask_checked();
        tap_ok(until(has_run, GUINT_TO_POINTER(before)), "one is checked");
        is_now(b, "checking", "the next one waits");
        need(cancel_as(a, &fixture.caller), "cancel");
        is_now(a, "cancelled", "the first can be taken back");
        tap_is_int(count_audit("approval.check", "failed", "Cancelled"), 1,
                   "which ends its check, in the trail");
        tap_ok(until(has_run, GUINT_TO_POINTER(before + 1)), "then the next one is checked");
        Approval *c = ask_playbook(playbook);
        need(approve(c), "approve");
        need(approval_apply(c, &fixture.caller, on_outcome, &o, fresh_fault()), "apply");
        tap_ok(until(is_applied, c), "what is approved is applied meanwhile");
        is_now(b, "checking", "and the check goes on");
        g_autofree char *id = g_strdup(b->row->id.text);
        Approval *d = must_ask_checked();
        g_autofree char *queued = g_strdup(d->row->id.text);
        write_apply(CHECK_GOOD);
        restart_manager();
        playbook = newest_playbook();
        b = g_hash_table_lookup(fixture.manager->objects[OBJECT_APPROVAL], id);
        d = g_hash_table_lookup(fixture.manager->objects[OBJECT_APPROVAL], queued);
        is_now(b, "pending", "one that was cut off with the daemon is asked");
        tap_ok(b->content.check && strstr(b->content.check, "fluid-hostd was restarted"),
               "and says so");
        tap_is_int(count_audit("approval.check", "failed", "Cancelled"), 2, "as the trail does");
        tap_ok(until(is_asked, d) && g_str_has_prefix(d->content.check, "ended well"),
               "one that had not begun is checked by the next daemon");
        need(cancel_as(b, &fixture.caller), "cancel");
        write_scratch("inventory", INVENTORY "db1\n");
        is_refused(approve(d), FAULT_CONTENT_CHANGED, "it is of the target that it was made of");
        write_target();
        need(cancel_as(d, &fixture.caller), "cancel");
}

int main(void)
{
        start_fixture(settings);
        start_apply_unit();
        playbook = make_playbook("site");
        test_good();
        test_bad();
        test_settings();
        test_many();
        tap_ok(is_world_consistent(), "the world is well");
        stop_apply_unit();
        stop_fixture();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */

/* Questions to people: who may answer what, once, and what comes of it. */

#include "tests/core/approvals.h"

#include "base/canonical.h"

#define SECOND USEC_PER_SEC
#define HOUR   (3600 * SECOND)

static const char settings[] = "stop_timeout = 0s\nttl_default = 10h\n"
                               "approvals_pending_per_owner_max = 3\napprovals_pending_max = 4\n"
                               "approvals_kept_max = 2\n";

static Caller root = {.uid = 0, .text = "root[3]"};

static const ApprovalSpec with_alternatives = {
        .summary = "Which one?",
        .alternatives = (const char *const[]){"the first", "the second", NULL}};

/* -- asking -------------------------------------------------------------------------------------
 */

static void test_asking(void)
{
        g_autofree char *long_line = g_strnfill(257, 'x'), *long_text = g_strnfill(16385, 'x');
        static const char *const twice[] = {"a", "a", NULL}, *const empty[] = {"", NULL};
        const struct {
                ApprovalSpec spec;
                const char *sentence;
        } bad[] = {
                {{.action = "party"}, "an unknown action"},
                {{.summary = ""}, "no summary"},
                {{.summary = "two\nlines"}, "a summary of two lines"},
                {{.summary = "red\x1b[31m"}, "a summary that a terminal acts on"},
                {{.summary = long_line}, "a long summary"},
                {{.text = long_text}, "a long text"},
                {{.urgency = "now"}, "an unknown urgency"},
                {{.timeout_usec = 8 * 24 * HOUR}, "a long timeout"},
                {{.alternatives = twice}, "the same alternative twice"},
                {{.alternatives = empty}, "an empty alternative"},
                {{.profile = "isolated"}, "a question with a profile"},
                {{.action = "network", .profile = "isolated"}, "a network of no sandbox"},
                {{.action = "network", .sandbox = "web"}, "no profile"},
                {{.action = "network", .sandbox = "web", .profile = "none"}, "no network"},
                {{.action = "network", .sandbox = "web", .profile = "other"}, "an unknown profile"},
                {{.action = "network",
                  .sandbox = "web",
                  .profile = "isolated",
                  .alternatives = twice},
                 "a network with alternatives"},
        };
        g_autofree char *before = describe_world();
        Approval *a;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                is_refused(request_as(&fixture.caller, bad[i].spec, &a), FAULT_INVALID_ARGUMENT,
                           "%s is refused", bad[i].sentence);
        is_refused(request_as(&approver, (ApprovalSpec){.sandbox = "web"}, &a), FAULT_NOT_FOUND,
                   "nobody asks about the sandbox of another");
        is_same_world(before, "nothing came of it");
}

static void test_content(void)
{
        Approval *a = ask_network("web", "mirror");
        g_autofree char *expected = g_strdup_printf(
                "{\"action\":\"network\",\"profile\":\"mirror\",\"rules\":\"allow = "
                "192.0.2.0/24:443/tcp\\nallow = 192.0.2.0/24:443/udp\\nprivate_names = "
                "no\\ninternet = no\\nadmins_only = no\\nconnections = "
                "1024\\nconnections_per_second = 100\\n\",\"sandbox\":\"%s\",\"summary\":\"The "
                "mirror, for packages\",\"text\":\"\"}",
                id_of("web"));
        g_autofree char *sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, expected, -1);
        g_autofree char *text = NULL;
        int fd = -1;

        need(approval_open_content(a, false, &fd, &fixture.fault), "content");
        text = text_of(fd);
        tap_is_str(text, expected, "the content of a network is its sandbox, profile and rules");
        tap_is_str(a->row->sha256, sha256, "the hash is of those bytes");
        tap_ok(write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0, "which nobody can change");
        (void) close(fd);
        need(cancel_as(a, &fixture.caller), "cancel");
}

/* -- who may answer -----------------------------------------------------------------------------
 */

static void test_own(void)
{
        const struct {
                Caller requester, answerer;
                bool is_own;
                const char *sentence;
        } table[] = {
                {{.uid = 1000}, {.uid = 1000}, true, "the same user"},
                {{.uid = 1000}, {.uid = 2000}, false, "another user"},
                {{.uid = 1000}, {.uid = 0}, false, "root"},
                {{.uid = 0}, {.uid = 0}, true, "root where root asked"},
                {{.uid = 1000, .session = "b/1"},
                 {.uid = 0, .session = "b/1"},
                 true,
                 "root in the same session"},
                {{.uid = 1000, .session = "b/1"},
                 {.uid = 0, .session = "b/2"},
                 false,
                 "root in another session"},
                {{.uid = 1000, .session = "b/1"},
                 {.uid = 0, .session = "c/1"},
                 false,
                 "root in a session of another boot"},
                {{.uid = 1000, .session = ""},
                 {.uid = 2000, .session = ""},
                 false,
                 "another user where neither has a session"},
                {{.uid = 1000},
                 {.uid = 0, .has_login = true, .login_uid = 1000},
                 true,
                 "who became root from the requester's login"},
                {{.uid = 3000, .has_login = true, .login_uid = 1000},
                 {.uid = 1000, .has_login = true, .login_uid = 1000},
                 true,
                 "who logged in and became the requester"},
                {{.uid = 3000, .has_login = true, .login_uid = 1000},
                 {.uid = 0, .has_login = true, .login_uid = 1000},
                 true,
                 "who came of the same login, as somebody else"},
                {{.uid = 1000, .has_login = true, .login_uid = 1000},
                 {.uid = 2000, .has_login = true, .login_uid = 2000},
                 false,
                 "another user's login"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Caller requester = table[i].requester, answerer = table[i].answerer;
                Approval *a = NULL;

                need(request_as(&requester, (ApprovalSpec){0}, &a), "request");
                if (table[i].is_own) {
                        is_refused(approve_as(a, &answerer, (ApprovalAnswer){0}), FAULT_OWN_REQUEST,
                                   "%s cannot approve", table[i].sentence);
                        is_refused(deny_as(a, &answerer, "no"), FAULT_OWN_REQUEST, "nor deny");
                } else {
                        is_done(approve_as(a, &answerer, (ApprovalAnswer){0}), "%s can approve",
                                table[i].sentence);
                }
                if (approval_is(a, "pending"))
                        need(cancel_as(a, &requester), "cancel");
        }
        tap_ok(is_world_consistent() && is_trail_paired(), "all is written down");
}

static void test_visibility(void)
{
        Approval *a = ask();
        Caller other = {.uid = 3000};

        tap_ok(approval_is_visible(a, &fixture.caller) && approval_is_visible(a, &approver) &&
                       approval_is_visible(a, &root) && !approval_is_visible(a, &other),
               "who asked, approvers and root see it, and nobody else");
        tap_ok(!manager_find_approval(fixture.manager, &other, a->row->id.text),
               "to others it does not exist");
        is_refused(cancel_as(a, &approver), FAULT_DENIED, "an approver cannot cancel");
        is_done(cancel_as(a, &fixture.caller), "who asked can");
        is_refused(cancel_as(a, &fixture.caller), FAULT_ALREADY_DECIDED, "once");
        is_refused(approve(a), FAULT_ALREADY_DECIDED, "what was cancelled cannot be approved");
}

/* -- answers ------------------------------------------------------------------------------------
 */

static void test_answers(void)
{
        Approval *a = ask_as(with_alternatives);
        Outcome before = {0}, after = {0};
        g_autofree char *world = describe_world(), *comment = g_strnfill(4097, 'x');

        need(approval_wait(a, USEC_INFINITY, on_outcome, &before, &fixture.fault), "wait");
        is_refused(approve_as(a, &approver, (ApprovalAnswer){0}), FAULT_UNKNOWN_ALTERNATIVE,
                   "an alternative has to be chosen");
        is_refused(approve_as(a, &approver, (ApprovalAnswer){.alternative = "the third"}),
                   FAULT_UNKNOWN_ALTERNATIVE, "one that there is");
        is_refused(approve_as(a, &approver,
                              (ApprovalAnswer){.sha256 = "00", .alternative = "the first"}),
                   FAULT_WRONG_HASH, "the hash has to be that of the content");
        is_refused(approve_as(a, &approver,
                              (ApprovalAnswer){.comment = comment, .alternative = "the first"}),
                   FAULT_INVALID_ARGUMENT, "a comment has its bounds");
        is_same_world(world, "what was refused has changed nothing");
        settle();
        tap_ok(!before.has_ended, "it still waits");
        is_done(approve_as(a, &approver,
                           (ApprovalAnswer){.comment = "why not", .alternative = "the second"}),
                "then it is approved");
        tap_ok(finish(0, &before) == 0, "which ends the wait");
        tap_is_str(a->row->alternative, "the second", "with the alternative");
        tap_is_str(a->row->comment, "why not", "and the comment");
        tap_is_int(a->row->decided_by_uid, 2000, "and who said so");
        is_refused(approve_as(a, &approver, (ApprovalAnswer){.alternative = "the first"}),
                   FAULT_ALREADY_DECIDED, "it is approved once");
        is_refused(deny_as(a, &approver, "no"), FAULT_ALREADY_DECIDED, "and not denied any more");
        is_refused(apply_approval(a), FAULT_WRONG_STATE, "a question has nothing to apply");
        need(approval_wait(a, 0, on_outcome, &after, &fixture.fault), "wait");
        tap_ok(finish(0, &after) == 0, "a wait that comes later has its answer at once");
        a = ask();
        is_refused(approve_as(a, &approver, (ApprovalAnswer){.alternative = "x"}),
                   FAULT_UNKNOWN_ALTERNATIVE, "where there are no alternatives none is chosen");
        is_done(deny_as(a, &approver, "not today"), "a question can be denied");
        tap_is_str(a->row->comment, "not today", "with a comment");
        is_refused(apply_approval(a), FAULT_NOT_APPROVED, "what was denied is not applied");
}

static Approval *find_again(const Id *id)
{
        return manager_find_approval(fixture.manager, &root, id->text);
}

static void test_restart(void)
{
        Approval *a = ask_as(with_alternatives);
        Id id = a->row->id;
        Outcome o = {0};

        restart_manager();
        a = find_again(&id);
        is_now(a, "pending", "what waits survives a restart");
        need(approval_wait(a, USEC_INFINITY, on_outcome, &o, &fixture.fault), "wait");
        is_done(approve_as(a, &approver, (ApprovalAnswer){.alternative = "the first"}),
                "and can be answered");
        tap_ok(finish(0, &o) == 0, "who waits anew is told");
        restart_manager();
        a = find_again(&id);
        tap_is_str(a->row->alternative, "the first", "the answer survives one, too");
        tap_ok(is_world_consistent(), "nothing else has changed");
}

/* -- with changes -------------------------------------------------------------------------------
 */

static int approve_content(Approval *a, const char *content, const char *alternative)
{
        g_autofree char *sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1);

        return approve_as(a, &approver,
                          (ApprovalAnswer){.sha256 = sha256,
                                           .alternative = alternative,
                                           .content = content,
                                           .content_size = strlen(content)});
}

static void test_edits(void)
{
        Approval *a = ask_as(with_alternatives);
        static const char edited[] = "{\"action\":\"question\",\"alternatives\":[\"neither\"],"
                                     "\"sandbox\":\"\",\"summary\":\"Which one?\",\"text\":\"\"}";
        g_autofree char *old = g_strdup(a->row->sha256);
        g_autofree char *spaced = g_strconcat(edited, "\n", NULL);

        is_refused(approve_content(a, spaced, "neither"), FAULT_INVALID_ARGUMENT,
                   "changed content has to be canonical");
        is_refused(approve_as(a, &approver,
                              (ApprovalAnswer){.content = edited, .content_size = strlen(edited)}),
                   FAULT_WRONG_HASH, "and the hash its own");
        is_refused(approve_content(a, edited, "the first"), FAULT_UNKNOWN_ALTERNATIVE,
                   "an alternative that was taken out cannot be chosen");
        is_done(approve_content(a, edited, "neither"), "a question can be approved with changes");
        tap_ok(g_str_equal(a->row->requested_sha256, old) && !g_str_equal(a->row->sha256, old) &&
                       g_str_equal(a->content.alternatives[0], "neither"),
               "which makes a new hash, and keeps the old one");
}

static char *network_content(const char *summary, const char *profile, const char *rules_of)
{
        const Profile *p = profiles_find(manager_profiles(fixture.manager), rules_of);
        g_autofree char *rules = profile_format(p);
        ApprovalContent c = {.action = "network",
                             .sandbox = id_of("web"),
                             .summary = summary,
                             .text = "",
                             .profile = profile,
                             .rules = rules};
        char *content = NULL;

        need(approval_content_format(&c, &content, &fixture.fault), "content");
        return content;
}

static void test_narrower(void)
{
        static const char summary[] = "The mirror, for packages";
        Approval *a = ask_network("web", "internet");
        g_autofree char *lie = network_content(summary, "mirror", "internet");
        g_autofree char *words = network_content("Other words", "mirror", "mirror");
        g_autofree char *good = network_content(summary, "mirror", "mirror");

        is_refused(approve_content(a, lie, NULL), FAULT_CONTENT_CHANGED,
                   "rules have to be those of the profile");
        is_refused(approve_content(a, words, NULL), FAULT_INVALID_ARGUMENT,
                   "what the requester said stays");
        is_done(approve_content(a, good, NULL), "a narrower network can be approved");
        is_done(apply_approval(a), "and applied");
        is_network("web", "up mirror", "it is that network");
        need(set_network("web", "none", NULL), "network");
}

/* -- applying -----------------------------------------------------------------------------------
 */

static void test_apply(void)
{
        Approval *a = ask_network("web", "secret");

        is_refused(set_network("web", "secret", NULL), FAULT_DENIED,
                   "the network is for root alone");
        tap_ok(strstr(fixture.fault.message, "fluidctl ask"), "and how to ask is said");
        is_refused(apply_approval(a), FAULT_NOT_APPROVED, "nothing is applied unapproved");
        is_network("web", "none none", "nor is there any network");
        need(approve(a), "approve");
        is_network("web", "none none", "nothing happens when it is approved");
        is_refused(apply_as(a, &approver), FAULT_DENIED, "an approver does not apply");
        is_done(apply_approval(a), "who asked applies it");
        is_network("web", "up secret", "then it has the network");
        is_now(a, "applied", "and that is said");
        is_refused(apply_approval(a), FAULT_ALREADY_APPLIED, "it is applied once");
        need(set_network("web", "none", NULL), "network");
        is_refused(apply_approval(a), FAULT_ALREADY_APPLIED, "also when the network is gone again");
        is_well("the world is well");
}

static void test_changed(void)
{
        Approval *a = ask_network("web", "mirror"), *b = ask_network("web", "mirror");

        need(approve(a), "approve");
        write_networks("[mirror]\nallow = 0.0.0.0/0\n");
        manager_reload(fixture.manager, new_config(fixture.settings));
        settle();
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED,
                   "a profile that is wider now is not applied");
        is_refused(approve(b), FAULT_CONTENT_CHANGED, "nor approved");
        is_network("web", "none none", "it has no network");
        write_networks("");
        manager_reload(fixture.manager, new_config(fixture.settings));
        settle();
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor is one that is gone");
        write_networks(NETWORKS);
        manager_reload(fixture.manager, new_config(fixture.settings));
        settle();
        is_done(apply_approval(a), "one that is as it was is");
        need(cancel_as(b, &fixture.caller), "cancel");
        need(set_network("web", "none", NULL), "network");
}

static void test_failing(void)
{
        Approval *a = ask_network("web", "mirror");

        need(approve(a), "approve");
        fake_host_fail_nth(1, FAULT_NETWORK_FAILED);
        is_refused(apply_approval(a), FAULT_NETWORK_FAILED, "what cannot be done fails");
        fake_host_fail_nth(0, FAULT_NONE);
        is_now(a, "approved", "and can be tried again");
        is_done(cancel_as(a, &fixture.caller), "a yes that is not used can be given back");
        is_refused(apply_approval(a), FAULT_NOT_APPROVED, "then it is not applied any more");
}

/* -- time ---------------------------------------------------------------------------------------
 */

static bool is_expired(void *approval)
{
        return approval_is(approval, "expired");
}

static void test_expiry(void)
{
        Approval *a = ask_as((ApprovalSpec){.timeout_usec = 1});
        Id id;

        is_refused(approve(a), FAULT_APPROVAL_EXPIRED, "what is late is not approved");
        tap_ok(until(is_expired, a), "it expires by itself");
        is_refused(approve(a), FAULT_APPROVAL_EXPIRED, "then it is not approved either");
        is_refused(deny_as(a, &approver, ""), FAULT_APPROVAL_EXPIRED, "nor denied");
        is_refused(apply_approval(a), FAULT_APPROVAL_EXPIRED, "nor applied");
        tap_is_int(count_audit("approval.expire", "done", NULL), 1, "which is in the trail");
        a = ask_network("web", "mirror");
        need(approve(a), "approve");
        id = a->row->id;
        a->row->expires_usec = now_realtime_usec() - 1;
        need(store_put_approval(fixture.manager->store, a->row, &fixture.fault), "put");
        is_refused(apply_approval(a), FAULT_APPROVAL_EXPIRED, "a yes that is old is not used");
        restart_manager();
        tap_ok(until(is_expired, find_again(&id)), "time passes while the daemon is not there");
        is_network("web", "none none", "nothing was applied");
}

static void test_standstill(void)
{
        Sandbox *s = get_sandbox("web");
        uint64_t expires = s->row->expires_usec;
        Approval *a = ask_as((ApprovalSpec){.sandbox = "web"});
        Approval *b = ask_as((ApprovalSpec){.sandbox = "web"});

        tap_ok(s->row->held_usec && !s->ttl_timer, "a sandbox's time stands still while one waits");
        /* As if these hours had passed. */
        s->row->held_usec -= 2 * HOUR;
        need(deny_as(a, &approver, ""), "deny");
        tap_ok(s->row->held_usec && !s->ttl_timer, "and while another does");
        need(deny_as(b, &approver, ""), "deny");
        tap_ok(!s->row->held_usec && s->ttl_timer && s->row->expires_usec - expires >= 2 * HOUR &&
                       s->row->expires_usec - expires < 3 * HOUR,
               "then it goes on with as much as was left");
}

/* Each hour counts once: paused from -4h, held from -3h; the pause ends first, or last. */
static void test_standstill_and_pause(void)
{
        for (unsigned i = 0; i < 2; i++) {
                Approval *a = ask_as((ApprovalSpec){.sandbox = "web"});
                Sandbox *s = get_sandbox("web");
                uint64_t expires = s->row->expires_usec, more;

                need(pause_sandbox("web", false), "pause");
                s->row->paused_usec -= 4 * HOUR;
                s->row->held_usec -= 3 * HOUR;
                if (i == 0)
                        need(resume_sandbox("web"), "resume");
                need(deny_as(a, &approver, ""), "deny");
                if (i == 1)
                        need(resume_sandbox("web"), "resume");
                more = s->row->expires_usec - expires;
                tap_ok(more >= 4 * HOUR && more < 4 * HOUR + HOUR / 2 && s->ttl_timer,
                       "an hour that it is paused and waited for counts once");
        }
}

/* -- bounds -------------------------------------------------------------------------------------
 */

static void test_quotas(void)
{
        Approval *own[3], *a;
        Caller other = {.uid = 3000};

        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                own[i] = ask();
        is_refused(request_as(&fixture.caller, (ApprovalSpec){0}, &a), FAULT_LIMITS_EXCEEDED,
                   "a user has so many questions, and no more");
        is_done(request_as(&other, (ApprovalSpec){0}, &a), "which is nothing to another");
        is_refused(request_as(&approver, (ApprovalSpec){0}, &a), FAULT_LIMITS_EXCEEDED,
                   "and so has the host");
        need(cancel_as(a, &other), "cancel");
        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                need(cancel_as(own[i], &fixture.caller), "cancel");
        g_autoptr(GPtrArray) left = manager_list(fixture.manager, OBJECT_APPROVAL);
        unsigned n = 0;
        for (guint i = 0; i < left->len; i++)
                n += ((Approval *) left->pdata[i])->row->requester_uid == 1000;
        tap_is_int(n, 2, "so many of a user's are kept");
        tap_ok(newest()->row->created_usec >= own[2]->row->created_usec, "the newest");
        tap_ok(is_world_consistent(), "the others are gone from the store, too");
}

static void test_destroyed(void)
{
        Approval *a = ask_network("web", "mirror");
        Outcome o = {0};

        need(approval_wait(a, USEC_INFINITY, on_outcome, &o, &fixture.fault), "wait");
        need(destroy_sandbox("web"), "destroy");
        is_now(a, "cancelled", "what was asked about a sandbox goes with it");
        tap_ok(finish(0, &o) == 0, "and who waits is told");
        is_well("nothing is left");
}

/* -- telling a person ---------------------------------------------------------------------------
 */

static bool was_told(void *approval)
{
        return ((Approval *) approval)->row->is_notified;
}

static void write_notifier(const char *text)
{
        g_autofree char *path = g_build_filename(fixture.directory, "notify", NULL);

        need(g_file_set_contents(path, text, -1, NULL) ? chmod(path, 0755) : -EIO, path);
}

static void test_notification(void)
{
        g_autofree char *told = g_build_filename(fixture.directory, "told", NULL), *text = NULL;
        g_autofree char *runtime = g_build_filename(fixture.directory, "r", NULL);
        g_autofree char *path = g_build_filename(fixture.directory, "notify", NULL);
        g_autofree char *program =
                g_strdup_printf("#!/bin/sh\nprintf '%%s\\n' \"$@\" > %s\n", told);
        g_autofree char *wanted = g_strconcat(settings, "approval_notify = yes\n", NULL);
        const ApprovalSpec spec = {.summary = "A \xe2\x80\xae $(reboot)", .urgency = "high"};
        g_autofree char *expected = NULL;
        Approval *a;
        Id id;

        write_notifier(program);
        pid_t unit = socket_unit_start(runtime, "fluid-notify", path);
        a = ask_as(spec);
        settle();
        tap_ok(!was_told(a) && !g_file_test(told, G_FILE_TEST_EXISTS),
               "nobody is told where that is not wanted");
        need(cancel_as(a, &fixture.caller), "cancel");
        manager_reload(fixture.manager, new_config(wanted));
        a = ask_as(spec);
        tap_ok(until(was_told, a), "a program is run for what is asked");
        need(g_file_get_contents(told, &text, NULL, NULL) ? 0 : -ENOENT, told);
        expected = g_strdup_printf("--approval=%s\n--action=question\n--urgency=high\n"
                                   "--summary=A \\xe2\\x80\\xae $(reboot)\n",
                                   a->row->id.text);
        tap_is_str(text, expected, "with what it is, escaped");
        write_notifier("#!/bin/sh\nexit 1\n");
        need(cancel_as(a, &fixture.caller), "cancel");
        a = ask();
        settle();
        tap_ok(!was_told(a) && approval_is(a, "pending"), "one that fails harms nothing");
        write_notifier("#!/bin/sh\n");
        id = a->row->id;
        g_free(fixture.settings);
        fixture.settings = g_strdup(wanted);
        restart_manager();
        tap_ok(until(was_told, find_again(&id)), "and is run again after a restart");
        socket_unit_stop(unit, runtime, "fluid-notify");
}

static void test_root(void)
{
        Approval *a = NULL;
        g_autofree char *text = g_strconcat(settings, "approve_own_as_root = yes\n", NULL);

        manager_reload(fixture.manager, new_config(text));
        need(request_as(&root, (ApprovalSpec){0}, &a), "request");
        is_done(approve_as(a, &root, (ApprovalAnswer){0}),
                "root answers itself where it is allowed to");
        a = ask();
        is_refused(approve_as(a, &fixture.caller, (ApprovalAnswer){0}), FAULT_OWN_REQUEST,
                   "nobody else does");
}

int main(void)
{
        start_fixture(settings);
        (void) ready_sandbox("web");
        test_asking();
        test_content();
        test_own();
        test_visibility();
        test_answers();
        test_restart();
        test_edits();
        test_narrower();
        test_apply();
        test_changed();
        test_failing();
        test_expiry();
        test_standstill();
        test_standstill_and_pause();
        test_quotas();
        test_destroyed();
        test_notification();
        test_root();
        tap_ok(is_trail_paired(), "all is in the trail");
        stop_fixture();
        return tap_done();
}

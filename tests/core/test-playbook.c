/* SPDX-License-Identifier: MIT */

/* Playbooks: what is kept of them, who sees them, and how they are proven. */

#include "tests/core/playbooks.h"

static const char settings[] = "stop_timeout = 0s\nttl_default = infinity\n"
                               "playbooks_per_owner_max = 4\nverifications_max = 1\n"
                               "snapshots_max = 8\n" PLAYBOOK_SETTINGS;

static Caller other = {.uid = 2000, .text = "other[2]"};
static Caller approver = {.uid = 3000, .text = "person[3]", .is_approver = true};
static Caller root = {.uid = 0, .text = "root[4]"};

static char *content_of(int (*open_it)(const Playbook *p, int *ret_fd, Fault *f), const Playbook *p)
{
        int fd = -1, r = open_it(p, &fd, fresh_fault());
        char *text = r < 0 ? g_strdup(fixture.fault.message) : text_of(fd);

        (void) close_fd(fd);
        return text;
}

static void is_verified(const Playbook *p, const char *verdict, const char *sentence)
{
        if (!tap_is_str(p->row->verified, verdict, "%s", sentence))
                tap_note("%s", p->row->verified_reason);
}

/* -- making them ------------------------------------------------------------------------------- */

static void test_now(void)
{
        Playbook *p = NULL;

        need(take_snapshot("web", "clean"), "snapshot");
        is_done(export_points("clean", "now", &p), "a playbook is made of what a sandbox is now");
        const PlaybookRow *row = playbook_row(p);
        g_autofree char *archive = content_of(playbook_open_archive, p);
        g_autofree char *sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, archive, -1);
        tap_is_str(row->sha256, sha256, "it is named by the hash of its archive");
        tap_is_int(row->size_bytes, strlen(archive), "whose size is known");
        tap_ok(strstr(archive, " --playbook ") && strstr(archive, " --walk ") &&
                       strstr(archive, " --from-name clean ") && !strstr(archive, "--allow"),
               "fluid-diff walks, and lets no secret pass");
        tap_note("%s", archive);
        g_autofree char *sealed = content_of(playbook_open, p);
        tap_is_str(sealed, archive, "a sealed copy is the same");
        g_autofree char *document = content_of(playbook_open_document, p);
        tap_is_str(document, "{\"a\":\"diff\"}\n", "its diff is kept");
        tap_is_str(row->summary, "nginx is installed\nuser app is new", "with its summary");
        tap_is_str(row->name, "web", "it has the sandbox's name");
        tap_is_str(row->from_name, "clean", "and says where it begins");
        g_autofree char *point = g_strconcat("playbook-", row->id.text, NULL);
        tap_is_str(row->to_name, point, "and where it leads to");
        tap_ok(snapshot_find(get_sandbox("web"), point) != NULL, "which stays as a point");
        tap_is_str(state_of("web"), "ready", "the sandbox runs on");
        tap_is_str(row->verified, "no", "nobody has verified it");
        tap_is_int(count_audit("playbook.export", "done", NULL), 1, "the trail has it");
}

static void test_points(void)
{
        Playbook *p = NULL;
        g_autoptr(GPtrArray) before = snapshot_list(get_sandbox("web"));

        need(take_snapshot("web", "later"), "snapshot");
        is_done(export_as(get_sandbox("web"), &root,
                          &(PlaybookSpec){.name = "site",
                                          .from = "template",
                                          .to = "later",
                                          .allows_secrets = true,
                                          .allows_setuid = true},
                          &p),
                "a playbook is made of two points that do not move");
        g_autoptr(GPtrArray) after = snapshot_list(get_sandbox("web"));
        g_autofree char *archive = content_of(playbook_open_archive, p);
        tap_is_int(after->len, before->len + 1, "without another one");
        tap_is_int(p->row->owner_uid, fixture.caller.uid, "it is the sandbox's owner's");
        tap_is_str(p->row->to_name, "later", "and leads to the point that was named");
        tap_ok(strstr(archive, " --allow-secrets ") && strstr(archive, " --allow-setuid "),
               "what is allowed is allowed");
        tap_ok(p->row->allows_secrets && p->row->allows_setuid, "and remembered");
}

static void test_stopped(void)
{
        Playbook *p = NULL;

        need(stop_sandbox("web", true), "stop");
        is_done(export_points("clean", "now", &p), "a playbook is made of one that is stopped");
        tap_ok(snapshot_find(get_sandbox("web"), p->row->to_name) != NULL, "with a point, too");
        tap_is_str(state_of("web"), "stopped", "and it stays stopped");
        is_done(playbook_remove(p, &fixture.caller, fresh_fault()), "it can be removed");
        need(start_sandbox("web"), "start");
        need(wait_sandbox(get_sandbox("web"), "ready"), "ready");
}

static void test_refusals(void)
{
        g_autofree char *before = describe_world(), *after = NULL;

        is_refused(export_points("nowhere", "now", NULL), FAULT_NOT_FOUND, "an unknown point");
        is_refused(export_points("now", "clean", NULL), FAULT_INVALID_ARGUMENT,
                   "one that begins now");
        is_refused(export_points("clean", "clean", NULL), FAULT_INVALID_ARGUMENT,
                   "one that leads nowhere");
        is_refused(export_as(get_sandbox("web"), &fixture.caller,
                             &(PlaybookSpec){.name = "../x", .from = "clean", .to = "later"}, NULL),
                   FAULT_INVALID_ARGUMENT, "a name that is none");
        write_scratch("refused", "fluid-diff: secrets would be in it: '/etc/key'\n");
        is_refused(export_points("clean", "now", NULL), FAULT_DENIED, "secrets are refused");
        tap_ok(strstr(fixture.fault.message, "/etc/key") != NULL, "and named: %s",
               fixture.fault.message);
        remove_scratch("refused");
        write_scratch("summary", "{}\n");
        is_refused(export_points("clean", "now", NULL), FAULT_DIFF_FAILED,
                   "a summary that is none");
        write_scratch("summary", "[\"red \\u001b[31m\"]\n");
        after = describe_world();
        is_same_world(before, "and of none of them is anything left");
}

static void test_hostile_summary(void)
{
        Playbook *p = NULL;

        need(export_points("clean", "later", &p), "export");
        tap_is_str(p->row->summary, "red \\x1b[31m", "no summary acts on a terminal");
        is_done(playbook_remove(p, &fixture.caller, fresh_fault()), "it is removed");
        write_scratch("summary", "[]\n");
}

static void test_quota(void)
{
        Playbook *p = NULL;

        need(export_points("clean", "later", NULL), "export");
        need(export_points("clean", "later", &p), "export");
        is_refused(export_points("clean", "later", NULL), FAULT_LIMITS_EXCEEDED,
                   "an owner has so many, and not more");
        is_done(playbook_remove(p, &fixture.caller, fresh_fault()), "one is removed");
        is_done(export_points("clean", "later", &p), "and there is room for another");
        is_done(playbook_remove(p, &fixture.caller, fresh_fault()), "which is removed, too");
        is_done(playbook_remove(newest_playbook(), &fixture.caller, fresh_fault()),
                "and the one before");
}

static void test_visibility(void)
{
        const Playbook *p = newest_playbook();

        tap_ok(playbook_is_visible(p, &fixture.caller) && playbook_is_visible(p, &approver) &&
                       playbook_is_visible(p, &root),
               "its owner, approvers and root see it");
        tap_ok(!playbook_is_visible(p, &other), "others do not");
        tap_ok(!manager_find_playbook(fixture.manager, &other, p->row->id.text),
               "nor do they find it");
        is_refused(playbook_remove(newest_playbook(), &approver, fresh_fault()), FAULT_DENIED,
                   "who may see it may not remove it");
}

static void test_damage(void)
{
        Playbook *p = newest_playbook();
        g_autofree char *path = playbook_file(fixture.manager, p->row->id.text, PLAYBOOK_ARCHIVE);
        g_autofree char *good = content_of(playbook_open_archive, p), *bad = g_strdup(good);
        int fd = -1;

        bad[3] ^= 1;
        need(g_file_set_contents(path, bad, -1, NULL) ? 0 : -EIO, path);
        is_refused(playbook_open(p, &fd, fresh_fault()), FAULT_CONTENT_CHANGED,
                   "an archive of which a byte changed is found");
        is_refused(playbook_verify(p, &fixture.caller, &(VerifySpec){0}, fresh_fault()),
                   FAULT_CONTENT_CHANGED, "and not replayed");
        need(g_file_set_contents(path, "x", 1, NULL) ? 0 : -EIO, path);
        is_refused(playbook_open(p, &fd, fresh_fault()), FAULT_CONTENT_CHANGED,
                   "so is one that is cut off");
        need(g_file_set_contents(path, good, -1, NULL) ? 0 : -EIO, path);
        is_done(playbook_open(p, &fd, fresh_fault()), "as it was it is good");
        tap_ok(write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0, "nobody can change the copy");
        (void) close_fd(fd);
}

static void test_restart(void)
{
        g_autofree char *stray =
                g_build_filename(fixture.directory, "s/playbooks/0123456789ab.tar", NULL);
        Id id = newest_playbook()->row->id;

        need(g_file_set_contents(stray, "x", 1, NULL) ? 0 : -EIO, stray);
        restart_manager();
        tap_ok(playbook_by_id(fixture.manager, id.text) != NULL, "they survive a restart");
        tap_ok(!g_file_test(stray, G_FILE_TEST_EXISTS), "what is nobody's is removed at the start");
        g_autofree char *text = content_of(playbook_open, playbook_by_id(fixture.manager, id.text));
        tap_ok(g_str_has_prefix(text, "archive"), "and what is somebody's is not");
}

/* -- the proof --------------------------------------------------------------------------------- */

static Playbook *playbook_from(const char *from)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_PLAYBOOK);

        for (guint i = 0; i < list->len; i++)
                if (g_str_equal(playbook_row(list->pdata[i])->from_name, from))
                        return list->pdata[i];
        tap_bail_out("there is no such playbook");
}

static void test_exact(const char *from)
{
        Playbook *p = playbook_from(from);

        is_done(begin_verification(p, NULL), "a playbook from a point is verified");
        tap_is_str(p->row->verified, "verifying", "which takes its time");
        is_refused(playbook_verify(p, &fixture.caller, &(VerifySpec){0}, fresh_fault()), FAULT_BUSY,
                   "once at a time");
        is_refused(playbook_remove(p, &fixture.caller, fresh_fault()), FAULT_BUSY,
                   "and it stays as long");
        is_done(await_verification(p), "it comes to its end");
        is_verified(p, "exact", "what the comparison said is what it is");
        tap_ok(p->row->verified_usec > 0, "since then");
        g_autofree char *replays = read_scratch("replays"), *archive = read_scratch("archive"),
                        *replayed = read_scratch("replayed"),
                        *arguments = read_scratch("residual-arguments");
        g_autofree char *expected = content_of(playbook_open_archive, p);
        g_auto(GStrv) lines = g_strsplit(g_strchomp(replays), "\n", -1);
        g_autofree char *hash = g_strdup_printf("--sha256 %s --sandbox ", p->row->sha256);
        tap_is_int(g_strv_length(lines), 2, "it was run twice");
        tap_ok(g_str_has_prefix(lines[0], hash) && g_str_equal(lines[0], lines[1]),
               "with its hash, in the same sandbox");
        tap_is_str(archive, expected, "from its bytes");
        tap_is_str(replayed, expected, "which the comparison has, too");
        g_autofree char *names = g_strdup_printf(" --from-name %s --to-name now ", p->row->to_name);
        tap_ok(strstr(arguments, names) != NULL, "of its point with the fresh sandbox");
        tap_note("%s", arguments);
        tap_ok(!has_verifier_sandbox(), "the sandbox is gone");
        g_autofree char *log = content_of(playbook_open_log, p);
        tap_is_str(log, "PLAY\nPLAY\n", "what Ansible said is kept");
        g_autofree char *document = content_of(playbook_open_residual, p);
        tap_is_str(document, EXACT, "and so is the residual");
        g_autofree char *text = playbook_replay_text(p);
        tap_is_str(text, "exact: a fresh sandbox became the same, and a second run changed nothing",
                   "in words, too");
        tap_is_int(count_audit("playbook.verify", "begin", NULL),
                   count_audit("playbook.verify", "done", NULL), "the trail has its end");
}

static void test_residual(void)
{
        Playbook *p = playbook_from("clean");

        write_scratch("residual",
                      "{\"verdict\":\"residual\",\"residual_count\":200,\"residual\":[{\"what\":"
                      "\"file\",\"path\":\"/etc/a\\u001b\\\\x0a\",\"change\":\"removed\"}],"
                      "\"left_out_count\":1,\"left_out\":[{\"what\":\"user\",\"name\":\"app\","
                      "\"change\":\"changed\",\"rule\":\"passwords\",\"reason\":\"never set\"}]}");
        is_done(verify(p), "a playbook is verified again");
        is_verified(p, "residual", "that something is not reproduced is no failure");
        g_autofree char *text = playbook_residual_text(p);
        tap_is_str(text,
                   "file /etc/a\\x1b\\x0a: removed\n… and 199 more\nuser app: changed (left out: "
                   "never set)",
                   "what it is can be read");
        restart_manager();
        p = playbook_from("clean");
        is_verified(p, "residual", "also after a restart");
        write_scratch("residual", EXACT);
}

static void test_failures(void)
{
        static const struct {
                const char *replay, *residual, *reason, *sentence;
        } cases[] = {
                {"echo 'fluid-ansible: task x failed' >&2; exit 4\n", EXACT, "task x failed",
                 "a play that fails"},
                {"echo '" RECAP(1) "' >&4\n", EXACT, "second run changed 1", "one that goes on"},
                {"exit 0\n", EXACT, "missing", "one without a recap"},
                {"echo '{\"rc\":0,\"hosts\":{}}' >&4\n", EXACT, "did not say", "one of no host"},
                {"echo '{' >&4\n", EXACT, "JSON", "a recap that is none"},
                {"head -c 100000 /dev/zero >&4\n", EXACT, "too long", "a long recap"},
                {GOOD_REPLAY, "{\"verdict\":\"fine\"}", "no verdict", "an unknown verdict"},
                {GOOD_REPLAY, "", "missing", "no verdict"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Playbook *p = playbook_from("clean");
                g_autofree char *words = g_ascii_strdown(cases[i].reason, -1), *reason = NULL;

                write_replay(cases[i].replay);
                write_scratch("residual", cases[i].residual);
                need(verify(p), "verify");
                is_verified(p, "failed", cases[i].sentence);
                reason = g_ascii_strdown(p->row->verified_reason, -1);
                tap_ok(strstr(reason, words) != NULL, "and why: %s", p->row->verified_reason);
                tap_ok(!has_verifier_sandbox(), "its sandbox is gone");
        }
        tap_is_int(count_audit("playbook.verify", "failed", NULL), G_N_ELEMENTS(cases),
                   "the trail has each");
        write_good_programs();
}

static void test_against(void)
{
        Playbook *p = playbook_from("template");

        need(create_sandbox("copy"), "create");
        need(take_snapshot("copy", "mine"), "snapshot");
        is_refused(begin_verification(p, &(VerifySpec){.against = "nobody's"}), FAULT_NOT_FOUND,
                   "nothing to compare with");
        is_refused(begin_verification(p, &(VerifySpec){.against = "copy", .point = "x"}),
                   FAULT_NOT_FOUND, "no such point");
        is_done(begin_verification(p, &(VerifySpec){.against = "copy"}),
                "another sandbox can be compared with");
        is_done(await_verification(p), "and is");
        g_autofree char *arguments = read_scratch("residual-arguments");
        tap_ok(strstr(arguments, " --from-name mine ") != NULL, "where its head stands");
        is_verified(p, "exact", "to its end");
        need(destroy_sandbox("copy"), "destroy");
}

static void test_gone(void)
{
        Playbook *p = playbook_from("clean");
        g_autofree char *expected = content_of(playbook_open_archive, p);

        need(destroy_sandbox("web"), "destroy");
        is_refused(begin_verification(p, NULL), FAULT_WRONG_STATE,
                   "what it was made of is gone, and nothing to compare with");
        g_autofree char *archive = content_of(playbook_open, p);
        tap_is_str(archive, expected, "the playbook is as it was");
        is_done(playbook_remove(p, &fixture.caller, fresh_fault()), "until it is removed");
}

int main(void)
{
        make_fixture(settings);
        write_good_programs();
        start_verify_unit();
        link_verify_unit();
        need(sd_event_new(&fixture.event), "sd_event_new");
        start_manager();
        (void) ready_sandbox("web");
        test_now();
        test_points();
        test_stopped();
        test_refusals();
        test_hostile_summary();
        test_quota();
        test_visibility();
        test_damage();
        test_restart();
        test_exact("template");
        test_exact("clean");
        test_residual();
        test_failures();
        test_against();
        test_gone();
        stop_verify_unit();
        stop_fixture();
        return tap_done();
}

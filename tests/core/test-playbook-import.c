/* SPDX-License-Identifier: MIT */

/* Playbooks that somebody wrote by hand: what is taken over, and how little they are trusted. */

#include "tests/core/applies.h"
#include "tests/core/imports.h"

static const char settings[] = "stop_timeout = 0s\nttl_default = infinity\n"
                               "playbooks_per_owner_max = 4\nverifications_max = 4\n"
                               "snapshots_max = 8\n" PLAYBOOK_SETTINGS;

static void test_imported(Playbook *p)
{
        g_autofree char *file = g_build_filename(fixture.directory, "written.tar", NULL);
        g_autofree char *bytes = NULL;
        gsize size = 0;
        int fd = -1;

        need(g_file_get_contents(file, &bytes, &size, NULL) ? 0 : -EIO, file);
        g_autofree char *sha256 =
                g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) bytes, size);
        tap_is_str(p->row->sha256, sha256, "it is named by the hash of its archive");
        tap_is_int(p->row->size_bytes, size, "whose size is known");
        tap_is_str(p->row->origin, "written", "it says that it was written");
        tap_is_str(p->row->from_name, "template", "it begins at the template");
        tap_is_str(p->row->to_name, "done", "and leads to where the sandbox stands");
        need(playbook_open(p, &fd, fresh_fault()), "open");
        (void) close_fd(fd);
        is_refused(playbook_open_document(p, &fd, fresh_fault()), FAULT_NOT_FOUND,
                   "it has no diff");
        tap_is_int(count_audit("playbook.import", "done", NULL), 1, "the trail has it");
}

static const struct {
        const char *script, *words;
        FaultCode code;
} bad[] = {
        {"tar --format=pax -C written -cf bad.tar roles", "no playbook.yml",
         FAULT_INVALID_ARGUMENT},
        {"tar --format=pax -C written -cf bad.tar ./playbook.yml", "'./playbook.yml'",
         FAULT_INVALID_ARGUMENT},
        {"touch written/ansible.cfg; tar --format=pax -C written -cf bad.tar playbook.yml ansible.cfg",
         "'ansible.cfg', which no playbook has", FAULT_INVALID_ARGUMENT},
        {"mkdir written/library; tar --format=pax -C written -cf bad.tar playbook.yml library",
         "which no playbook has", FAULT_INVALID_ARGUMENT},
        {"ln -s /etc/shadow written/x.yml; tar --format=pax -C written -cf bad.tar playbook.yml x.yml",
         "neither a regular file", FAULT_INVALID_ARGUMENT},
        {"mkfifo written/p.yml; tar --format=pax -C written -cf bad.tar playbook.yml p.yml",
         "neither a regular file", FAULT_INVALID_ARGUMENT},
        {"tar --format=pax -C written --hard-dereference -cf bad.tar playbook.yml playbook.yml",
         "twice", FAULT_INVALID_ARGUMENT},
        {"tar --format=pax -P -C written/roles -cf bad.tar ../playbook.yml", "'../playbook.yml'",
         FAULT_INVALID_ARGUMENT},
        {"printf '\\377\\376' >written/y.yml; tar --format=pax -C written -cf bad.tar playbook.yml y.yml",
         "not UTF-8", FAULT_INVALID_ARGUMENT},
        {"printf 'a\\0b' >written/y.yml; tar --format=pax -C written -cf bad.tar playbook.yml y.yml",
         "not UTF-8", FAULT_INVALID_ARGUMENT},
        {"head -c 1100000 /dev/zero | tr '\\0' x >written/z.md; "
         "tar --format=pax -C written -cf bad.tar playbook.yml z.md",
         "larger than 1 MiB", FAULT_INVALID_ARGUMENT},
        {"cp written.tar bad.tar; echo more >>bad.tar", "goes on after its end",
         FAULT_INVALID_ARGUMENT},
        {"head -c 1000 written.tar >bad.tar", "--format=pax", FAULT_INVALID_ARGUMENT},
        {"head -c 70000 /dev/urandom >bad.tar", "--format=pax", FAULT_INVALID_ARGUMENT},
        {": >bad.tar", "empty", FAULT_INVALID_ARGUMENT},
        {"truncate -s 129M bad.tar", "larger than 128 MiB", FAULT_LIMITS_EXCEEDED},
        {"rm -f bad.tar; mkfifo bad.tar", "regular file", FAULT_INVALID_ARGUMENT},
};

static void test_refusals(void)
{
        static const PlaybookImportSpec spec = {.name = "bad"};
        g_autofree char *before = describe_world(), *after = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                in_scratch(
                        "rm -rf bad.tar written/*.cfg written/library written/?.yml written/?.md");
                in_scratch(bad[i].script);
                is_refused(import_as(&fixture.caller, &spec, "bad.tar", NULL), bad[i].code, "%s",
                           bad[i].script);
                tap_ok(strstr(fixture.fault.message, bad[i].words), "and it is said: %s",
                       fixture.fault.message);
        }
        in_scratch("rm -rf bad.tar written/*.cfg written/library written/?.yml written/?.md");
        is_refused(import_as(&fixture.caller, &(PlaybookImportSpec){.from = "nowhere"},
                             "written.tar", NULL),
                   FAULT_NOT_FOUND, "an unknown point");
        is_refused(import_as(&fixture.caller, &(PlaybookImportSpec){.from = "done", .to = "done"},
                             "written.tar", NULL),
                   FAULT_INVALID_ARGUMENT, "one that leads nowhere");
        is_refused(import_as(&fixture.caller, &(PlaybookImportSpec){.to = "template"},
                             "written.tar", NULL),
                   FAULT_INVALID_ARGUMENT, "one that leads to the template");
        is_refused(import_as(&fixture.caller, &(PlaybookImportSpec){.name = "../x"}, "written.tar",
                             NULL),
                   FAULT_INVALID_ARGUMENT, "a name that is none");
        after = describe_world();
        tap_is_str(after, before, "nothing of it is left");
}

/* -- it is not applied unless that is said -------------------------------------------------------
 */

static int try_to_ask(const Playbook *p, bool checks, Approval **ret)
{
        return request_as(&fixture.caller,
                          (ApprovalSpec){.action = "playbook",
                                         .playbook = playbook_row(p)->id.text,
                                         .checks = checks},
                          ret);
}

static void allow_written(const char *more)
{
        g_autofree char *text = g_strdup_printf(APPLY_CONF "%s", fixture.directory, more);

        write_scratch("apply.conf", text);
}

static void test_apply(const Playbook *p)
{
        unsigned before = times_applied();
        Approval *a = NULL;

        is_refused(try_to_ask(p, false, &a), FAULT_DENIED, "it is not applied by default");
        tap_ok(strstr(fixture.fault.message, "written by hand"), "and it is said why");
        allow_written("written = allow\nreview_check = always\n");
        is_refused(try_to_ask(p, true, &a), FAULT_DENIED, "nor is it ever checked unread");
        need(try_to_ask(p, false, &a), "ask");
        is_now(a, "pending", "where apply.conf allows it, it can be asked for");
        tap_ok(a->content.origin && g_str_has_prefix(a->content.origin, "WRITTEN BY HAND"),
               "with a warning");
        tap_ok(strstr(a->content.target, "\nwritten = allow\n"), "that it is allowed is bound");
        tap_ok(strstr(a->content.replay, "written by hand"), "a proof of it is said to be weak");
        tap_is_int(times_applied() - before, 0, "and it was not run in check mode");
        allow_written("");
        is_refused(approve(a), FAULT_CONTENT_CHANGED,
                   "when that is not allowed any more it is not approved");
        allow_written("written = allow\n");
        need(approve(a), "approve");
        allow_written("");
        is_refused(apply_approval(a), FAULT_CONTENT_CHANGED, "nor applied");
        tap_is_int(times_applied() - before, 0, "and nothing was run");
        allow_written("written = allow\n");
        is_done(apply_approval(a), "as it was approved it is applied");
        g_autofree char *arguments = read_scratch("s/applied");
        tap_ok(strstr(arguments, "--written"), "and the program that runs it is told what it is");
}

/* -- and it is verified alone --------------------------------------------------------------------
 */

static void test_verify(Playbook *p)
{
        Playbook *derived = NULL;

        need(verify(p), "verify");
        tap_is_str(p->row->verified, "exact", "it is replayed and compared");
        if (!g_str_equal(p->row->verified, "exact"))
                tap_note("%s", p->row->verified_reason);
        g_autofree char *arguments = read_scratch("residual-arguments");
        tap_ok(strstr(arguments, "--residual none"), "what it says to leave out does not count");
        need(export_points("template", "done", &derived), "export");
        write_replay("sleep 1000\n");
        need(begin_verification(derived, NULL), "verify");
        is_refused(begin_verification(p, NULL), FAULT_BUSY,
                   "it is not verified while another one is");
        restart_manager();
        write_replay(GOOD_REPLAY);
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_PLAYBOOK);
        Playbook *again = NULL, *other = NULL;
        for (guint i = 0; i < list->len; i++)
                *(playbook_is_written(list->pdata[i]) ? &again : &other) = list->pdata[i];
        write_replay("sleep 1000\n");
        need(begin_verification(again, NULL), "verify");
        is_refused(begin_verification(other, NULL), FAULT_BUSY, "nor is another one while it is");
        restart_manager();
}

int main(void)
{
        Playbook *p = NULL;

        start_fixture(settings);
        start_apply_unit();
        start_verify_unit();
        link_verify_unit();
        (void) ready_sandbox("web");
        write_good_programs();
        write_archive();
        is_refused(import_as(&fixture.caller, &(PlaybookImportSpec){0}, "written.tar", NULL),
                   FAULT_INVALID_ARGUMENT, "without a point that it leads to there is none");
        need(take_snapshot("web", "done"), "snapshot");
        is_done(import_written(&p), "a playbook is taken over");
        test_imported(p);
        test_refusals();
        test_apply(p);
        test_verify(p);
        tap_ok(is_world_consistent(), "the world is well");
        stop_apply_unit();
        stop_verify_unit();
        stop_fixture();
        return tap_done();
}

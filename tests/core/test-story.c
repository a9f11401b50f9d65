/* SPDX-License-Identifier: MIT */

/* The main story, with the trail that it leaves. */

#include "tests/core/world.h"

static void expect_trail(const char *kind, unsigned calls)
{
        tap_ok(count_audit(kind, "begin", "") == calls && count_audit(kind, "done", "") == calls &&
                       count_audit(kind, NULL, NULL) == 2 * calls,
               "the trail has the beginning and the end of every %s", kind);
}

static void test_create(void)
{
        const SandboxRow *row;

        is_done(import_image("base", IMAGE), "a template is imported");
        expect_trail("template.import", 1);
        is_done(create_from(&(SandboxSpec){.name = "web",
                                           .agent = "ada",
                                           .template = "base",
                                           .labels = "{\"a\":\"b\"}"}),
                "a sandbox is created");
        expect_trail("sandbox.create", 1);
        row = sandbox_row(get_sandbox("web"));
        tap_is_str(state_of("web"), "ready", "it is ready when its guest agent has answered");
        tap_is_str(sandbox_template_name(get_sandbox("web")), "base", "it knows its template");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "template", "and stands on it");
        tap_is_str(row->agent, "ada", "it knows its agent");
        tap_is_str(row->labels, "{\"a\":\"b\"}", "and its labels");
        tap_ok(row->owner_uid == 1000 && row->vcpus == 1 && row->memory_bytes == 512 << 20,
               "it is its caller's and has the host's default size");
        tap_is_int(fake_host_domain(row->id.text), DOMAIN_RUNNING, "its domain runs");
        tap_ok(!sandbox_is_visible(get_sandbox("web"), &(Caller){.uid = 1001}),
               "other users do not see it");
        tap_ok(sandbox_is_visible(get_sandbox("web"), &(Caller){.uid = 0}), "root does");
}

static void test_exec(void)
{
        g_autofree char *out = NULL, *err = NULL;
        Command *c = NULL;

        is_done(start_command("web", ARGV("echo", "hello", "world"), &c), "a program is run");
        is_done(end_command(c), "and ends");
        out = read_output(c, COMMAND_STDOUT);
        tap_is_str(out, "hello world\n", "what it wrote is kept");
        tap_is_str(command_row(c)->state, "exited", "it has exited");
        tap_is_int(command_row(c)->exit_status, 0, "with its status");
        expect_trail("command.exec", 1);
        is_done(start_command("web", ARGV("complain", "no"), &c), "another one is run");
        is_done(end_command(c), "and ends");
        err = read_output(c, COMMAND_STDERR);
        tap_is_str(err, "no\n", "its standard error is kept apart");
}

static void expect_diff(const char *from, const char *to, const char *layers, const char *what)
{
        g_autofree char *text = NULL, *shown = NULL;
        g_auto(GStrv) lines = NULL;
        GString *names = g_string_new(NULL);

        is_done(compare_points("web", from, to, &text), "%s can be compared", what);
        lines = g_strsplit(text ? text : "", "\n", -1);
        for (size_t i = 1; lines[0] && lines[i] && *lines[i]; i++) {
                g_autofree char *file = g_path_get_basename(lines[i]);

                g_string_append_printf(names, "%s%s", i > 1 ? " " : "", file);
        }
        shown = g_string_free(names, FALSE);
        tap_is_str(shown, layers, "by the layers of both chains, each once, the old one first");
}

static void test_diff(void)
{
        g_autofree char *text = NULL, *before = NULL;

        is_done(take_snapshot("web", "clean"), "a snapshot is taken");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "clean", "the sandbox stands on it");
        tap_is_str(snapshot_row(snapshot_find(get_sandbox("web"), "clean"))->consistency, "frozen",
                   "the guest was frozen for it");
        tap_ok(!fake_host_is_frozen(sandbox_row(get_sandbox("web"))->id.text), "and is thawed");
        expect_trail("snapshot.create", 1);

        expect_diff("template", "clean", "vda.img 1-vda.qcow2", "the template and a snapshot");
        before = describe_world();
        expect_diff("clean", "now", "1-vda.qcow2 vda.img 2-vda.qcow2",
                    "a snapshot and what is now");
        (void) is_same_world(before, "which leaves no hidden layer behind");
        expect_trail("sandbox.diff", 2);
        is_done(compare_points("web", "clean", "now", &text), "again");
        tap_ok(text && strstr(text, "--json --from-name clean --to-name now --max-output "),
               "the program is told the points, and the format of every layer");
}

static void test_file_at(void)
{
        static const struct {
                const char *program;
                FaultCode code;
                const char *what;
        } failures[] = {
                {"echo 'is a directory' >&2; exit 2", FAULT_INVALID_ARGUMENT, "what is no file"},
                {"echo 'does not exist' >&2; exit 4", FAULT_NOT_FOUND, "what does not exist"},
                {"echo 'is larger' >&2; exit 5", FAULT_LIMITS_EXCEEDED, "what is too large"},
                {"echo 'is damaged' >&2; exit 1", FAULT_DIFF_FAILED, "what is damaged"},
                {"kill -9 $$", FAULT_DIFF_FAILED, "what kills the program"},
        };
        FileAtSpec spec = {.path = "/etc/hosts", .point = "clean"};
        g_autofree char *text = NULL, *archive = NULL, *before = describe_world();

        is_done(take_out("web", &spec, &text), "a file is read at a snapshot");
        tap_ok(text && g_str_has_prefix(text, "--cat /etc/hosts --to-name clean --max-output ") &&
                       strstr(text, "--new vda=3:qcow2,4:raw\n"),
               "the program is told the path, the point and one chain");
        spec = (FileAtSpec){.path = "/etc", .point = "now", .is_archive = true, .size_max = 123456};
        is_done(take_out("web", &spec, &archive), "an archive is made of what is now");
        tap_ok(archive && g_str_has_prefix(archive,
                                           "--extract /etc --to-name now --max-output 123456"),
               "the program is told what it may write");
        (void) is_same_world(before, "which leaves no hidden layer behind");
        expect_trail("file.read_at", 1);
        expect_trail("file.extract_at", 1);
        spec.path = "etc";
        is_refused(take_out("web", &spec, NULL), FAULT_INVALID_ARGUMENT, "a path is absolute");
        spec.path = "/etc";
        spec.point = "nowhere";
        is_refused(take_out("web", &spec, NULL), FAULT_NOT_FOUND, "a point has to exist");
        spec.point = "clean";
        spec.size_max = UINT64_MAX;
        is_refused(take_out("web", &spec, NULL), FAULT_LIMITS_EXCEEDED,
                   "no more is written than the host allows");
        spec.size_max = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
                g_autofree char *program = g_strdup_printf("#!/bin/sh\n%s\n", failures[i].program);

                write_program(program);
                is_refused(take_out("web", &spec, NULL), failures[i].code, "%s is told as such",
                           failures[i].what);
        }
        write_program(DIFF_PROGRAM);
        (void) is_same_world(before, "and nothing is left of all that");
}

/* fluid-diff has met xfs, and there is a program that can read it. */
#define DEFERRING \
        "#!/bin/sh\ncase \"$*\" in *' --defer') echo 'there is xfs' >&2; exit 6;; esac\n" \
        "echo 'nobody else can' >&2; exit 1\n"

static void test_guestfs(void)
{
        g_autofree char *runtime = g_build_filename(fixture.directory, "r", NULL);
        g_autofree char *program = g_build_filename(fixture.directory, "guestfs", NULL);
        g_autofree char *text = NULL, *content = NULL, *before = describe_world();
        FileAtSpec spec = {.path = "/etc/hosts", .point = "clean"};

        write_program(DEFERRING);
        is_refused(compare_points("web", "clean", "now", NULL), FAULT_DIFF_FAILED,
                   "without fluid-diff-guestfs nothing is deferred");
        tap_is_str(fixture.fault.message, "fluid-diff: nobody else can", "and it is said why");
        need(g_file_set_contents(program, DIFF_PROGRAM, -1, NULL) ? chmod(program, 0755) : -EIO,
             program);
        pid_t unit = socket_unit_start(runtime, "fluid-diff-guestfs", program);
        is_done(compare_points("web", "clean", "now", &text), "with it the other one is asked");
        tap_ok(text && strstr(text, "--json --from-name clean --to-name now --max-output ") &&
                       !strstr(text, "--defer") && strstr(text, "2-vda.qcow2"),
               "the same, with the same files");
        is_done(take_out("web", &spec, &content), "also for a file");
        tap_ok(content && g_str_has_prefix(content, "--cat /etc/hosts --to-name clean "),
               "as it was asked for");
        write_program("#!/bin/sh\necho 'does not exist' >&2; exit 4\n");
        is_refused(take_out("web", &spec, NULL), FAULT_NOT_FOUND,
                   "what fluid-diff can tell itself is not deferred");
        write_program(DEFERRING);
        need(g_file_set_contents(program, "#!/bin/sh\necho 'does not exist' >&2; exit 4\n", -1,
                                 NULL)
                     ? chmod(program, 0755)
                     : -EIO,
             program);
        is_refused(take_out("web", &spec, NULL), FAULT_NOT_FOUND,
                   "what the other one tells is told");
        socket_unit_stop(unit, runtime, "fluid-diff-guestfs");
        (void) unlink(program);
        write_program(DIFF_PROGRAM);
        (void) is_same_world(before, "and nothing is left of all that");
}

static void test_diff_errors(void)
{
        g_autofree char *before = describe_world(), *last = NULL;

        is_refused(compare_points("web", "nowhere", "now", NULL), FAULT_NOT_FOUND,
                   "an unknown point is not found");
        is_refused(compare_points("web", "clean", "", NULL), FAULT_NOT_FOUND,
                   "nor is an empty one");
        write_program("#!/bin/sh\necho '{'; echo 'the journal is damaged' >&2; exit 1\n");
        is_refused(compare_points("web", "clean", "now", NULL), FAULT_DIFF_FAILED,
                   "a diff may fail");
        tap_is_str(fixture.fault.message, "fluid-diff: the journal is damaged",
                   "with what the program said");
        last = last_audit("sandbox.diff");
        tap_is_str(last, "failed DiffFailed", "which is in the trail");
        (void) is_same_world(before, "and leaves no hidden layer behind either");
        write_program(DIFF_PROGRAM);
}

static void test_restore(void)
{
        g_autofree char *id = g_strdup(sandbox_row(get_sandbox("web"))->id.text), *disk = NULL;
        g_autofree char *layer = NULL;

        is_done(take_snapshot("web", "later"), "another snapshot is taken");
        tap_is_str(snapshot_parent_name(snapshot_find(get_sandbox("web"), "later")), "clean",
                   "it stands on the first");
        is_done(restore_snapshot("web", "clean"), "the first is restored");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "clean", "the sandbox stands on it");
        tap_is_str(state_of("web"), "ready", "it was booted anew");
        disk = fake_host_disk(id, 0);
        layer = sandbox_layer_path(fixture.manager, id, sandbox_row(get_sandbox("web"))->layer,
                                   "vda");
        tap_is_str(disk, layer, "on a new layer");
        is_refused(delete_snapshot("web", "clean"), FAULT_IN_USE,
                   "what the sandbox stands on cannot be deleted");
        is_done(delete_snapshot("web", "later"), "what nothing stands on can");
        is_done(restore_snapshot("web", "template"), "the template can be restored, too");
        is_done(delete_snapshot("web", "clean"), "then nothing stands on the first any more");
        expect_trail("snapshot.restore", 2);
        expect_trail("snapshot.delete", 2);
}

static void test_end(const char *before)
{
        is_done(stop_sandbox("web", false), "the power button is pressed");
        tap_is_str(state_of("web"), "stopped", "the sandbox is stopped");
        is_done(start_sandbox("web"), "it is started");
        tap_is_str(state_of("web"), "ready", "and ready");
        is_done(stop_sandbox("web", true), "the plug is pulled");
        tap_is_str(state_of("web"), "stopped", "the sandbox is stopped");
        expect_trail("sandbox.stop", 2);
        expect_trail("sandbox.start", 1);
        is_done(destroy_sandbox("web"), "it is destroyed");
        expect_trail("sandbox.destroy", 1);
        is_done(remove_template("base"), "the template is removed");
        expect_trail("template.remove", 1);
        (void) is_same_world(before, "nothing is left");
}

static void test_trail(void)
{
        g_autofree char *detail = NULL;
        uint64_t rows = 0;
        bool is_intact = false;

        tap_ok(is_trail_paired(), "every call in the trail began and ended once");
        is_done(store_verify_audit(fixture.manager->store, &is_intact, &rows, &detail,
                                   &fixture.fault),
                "the trail is verified");
        tap_ok(is_intact && rows > 30, "and is whole");
}

int main(void)
{
        g_autofree char *before = NULL;

        start_fixture(NULL);
        before = describe_world();
        test_create();
        test_exec();
        test_diff();
        test_file_at();
        test_guestfs();
        test_diff_errors();
        test_restore();
        test_end(before);
        test_trail();
        stop_fixture();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */

/* What is refused: names, sizes, quotas, a full disk, what is busy, and a daemon that drains. */

#include "tests/core/world.h"

static const char settings[] =
        "sandboxes_max = 4\nsandboxes_per_owner_max = 2\nsnapshots_max = 3\n"
        "chain_depth_max = 4\ncommands_running_max = 2\ncommands_kept_max = 3\n"
        "templates_max = 2\nvcpus_max = 4\nmemory_max = 1G\n";

static int create_as(uid_t uid, const char *name)
{
        uid_t own = fixture.caller.uid;
        int r;

        fixture.caller.uid = uid;
        r = create_sandbox(name);
        fixture.caller.uid = own;
        return r;
}

/* -- names and arguments ---------------------------------------------------------------------- */

static void test_names(void)
{
        static const char *const bad[] = {"", "-x", "a b", "../x", "a\x1b[2J", "a/b"};
        g_autofree char *before = NULL;

        need(import_image("base", IMAGE), "import");
        before = describe_world();
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *shown = g_strescape(bad[i], NULL);

                is_refused(create_sandbox(bad[i]), FAULT_INVALID_ARGUMENT,
                           "no sandbox can be named \"%s\"", shown);
                is_refused(import_image(bad[i], IMAGE), FAULT_INVALID_ARGUMENT,
                           "nor can a template");
        }
        is_refused(import_image("base", IMAGE), FAULT_EXISTS, "a template's name is taken");
        is_refused(create_from(&(SandboxSpec){.name = "x", .template = "none"}), FAULT_NOT_FOUND,
                   "there is no sandbox without a template");
        (void) is_same_world(before, "nothing was made");
        tap_is_int(count_audit("sandbox.create", NULL, NULL), 0, "and nothing begun");
}

static void test_arguments(void)
{
        g_autofree char *long_agent = g_strnfill(129, 'a'), *many = NULL;
        GString *labels = g_string_new("{");
        static const SandboxSpec good = {.name = "x", .template = "base"};
        SandboxSpec spec;

        for (unsigned i = 0; i < 33; i++)
                g_string_append_printf(labels, "%s\"l%u\":\"x\"", i ? "," : "", i);
        many = g_string_free(g_string_append_c(labels, '}'), FALSE);
        const struct {
                SandboxSpec spec;
                const char *what;
        } table[] = {
                {{.agent = long_agent}, "an agent's name of more than 128 bytes"},
                {{.network = "lan"}, "a network profile that there is not"},
                {{.labels = "{\"a\":"}, "labels that are not JSON"},
                {{.labels = "{\"a b\":\"x\"}"}, "a label that is no name"},
                {{.labels = many}, "more than 32 labels"},
                {{.vcpus = 5}, "more CPUs than vcpus_max"},
                {{.memory_bytes = UINT64_C(2) << 30}, "more memory than memory_max"},
                {{.memory_bytes = 1 << 20}, "too little memory"},
                {{.memory_bytes = (64 << 20) + 1}, "memory that is not whole MiB"},
        };
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                spec = table[i].spec;
                spec.name = good.name;
                spec.template = good.template;
                is_refused(create_from(&spec), FAULT_INVALID_ARGUMENT, "%s is refused",
                           table[i].what);
        }
        tap_is_int(count_audit("sandbox.create", NULL, NULL), 0, "nothing was begun");
}

/* -- quotas ----------------------------------------------------------------------------------- */

static void test_sandboxes(void)
{
        Sandbox *found = NULL;
        Caller root = {.uid = 0};

        is_done(create_as(1000, "a"), "a user has a sandbox");
        is_refused(create_as(1000, "a"), FAULT_EXISTS, "but not two of one name");
        is_done(create_as(1000, "b"), "and another one");
        is_refused(create_as(1000, "c"), FAULT_LIMITS_EXCEEDED,
                   "but not more than sandboxes_per_owner_max");
        is_done(create_as(1001, "a"), "another user may use the same name");
        is_done(create_as(1002, "a"), "and so may a third one");
        is_refused(create_as(1003, "a"), FAULT_LIMITS_EXCEEDED,
                   "the host has no more than sandboxes_max");

        is_done(manager_get_sandbox(fixture.manager, &fixture.caller, "a", &found, fresh_fault()),
                "a name is found");
        tap_is_int(found->row->owner_uid, 1000, "and is that of the caller's own sandbox");
        is_refused(manager_get_sandbox(fixture.manager, &root, "a", &found, fresh_fault()),
                   FAULT_INVALID_ARGUMENT, "root has to say which one of several is meant");
        is_done(manager_get_sandbox(fixture.manager, &root, found->row->id.text, &found,
                                    fresh_fault()),
                "by its id");
        is_done(manager_get_sandbox(fixture.manager, &root, "b", &found, fresh_fault()),
                "or by a name that only one has");
        is_refused(manager_get_sandbox(fixture.manager, &(Caller){.uid = 1001}, "b", &found,
                                       fresh_fault()),
                   FAULT_NOT_FOUND, "another's sandbox looks as if it did not exist");
        tap_ok(!manager_find_sandbox(fixture.manager, &(Caller){.uid = 1001}, found->row->id.text),
               "by its id, too");

        need(destroy_sandbox("b"), "destroy");
        is_done(create_as(1000, "c"), "who destroys one may create another");
        restart_manager();
        is_refused(create_as(1000, "d"), FAULT_LIMITS_EXCEEDED,
                   "a restart does not forget who has how many");
        need(destroy_sandbox("c"), "destroy");
}

static void test_failures_cost_nothing(void)
{
        for (unsigned i = 0; i < 3; i++) {
                fake_host_fail_nth(3, FAULT_HYPERVISOR_FAILED);
                (void) create_sandbox("b");
        }
        fake_host_fail_nth(0, FAULT_NONE);
        is_done(create_sandbox("b"), "sandboxes that could not be made do not count");
        need(destroy_sandbox("b"), "destroy");
}

static void test_templates(void)
{
        is_done(import_image("second", IMAGE), "a second template is imported");
        is_refused(import_image("third", IMAGE), FAULT_LIMITS_EXCEEDED,
                   "but no more than templates_max");
        is_done(remove_template("second"), "who removes one");
        is_done(import_image("third", IMAGE), "may import another");
        is_refused(remove_template("base"), FAULT_IN_USE,
                   "one that sandboxes stand on cannot be removed");
}

static void test_snapshots(void)
{
        static const char *const bad[] = {"template", "now", "", "a b"};

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                is_refused(take_snapshot("a", bad[i]), FAULT_INVALID_ARGUMENT,
                           "no snapshot can be named '%s'", bad[i]);
        is_done(take_snapshot("a", "one"), "a snapshot is taken");
        is_refused(take_snapshot("a", "one"), FAULT_EXISTS, "its name is taken");
        is_done(take_snapshot("a", "two"), "another one is taken");
        is_done(take_snapshot("a", "three"), "and a third one");
        is_refused(take_snapshot("a", "four"), FAULT_LIMITS_EXCEEDED,
                   "but no more than snapshots_max");
        is_done(compare_points("a", "three", "now", NULL), "which a diff does not need");
        is_done(restore_snapshot("a", "one"), "the first is restored");
        is_done(delete_snapshot("a", "three"), "the last is deleted");
        is_done(take_snapshot("a", "three"), "then there may be another");
}

static void test_depth(void)
{
        need(restore_snapshot("a", "template"), "restore");
        need(delete_snapshot("a", "two"), "delete");
        need(delete_snapshot("a", "three"), "delete");
        need(delete_snapshot("a", "one"), "delete");
        stop_fixture();
        start_fixture("chain_depth_max = 3\n");
        (void) ready_sandbox("a");
        is_done(take_snapshot("a", "one"), "a chain of two layers is made");
        is_done(take_snapshot("a", "two"), "one of three");
        is_done(take_snapshot("a", "three"), "one that would be longer than chain_depth_max");
        tap_ok(sandbox_depth(get_sandbox("a")) <= 3, "is made shorter for it");
        is_done(compare_points("a", "two", "now", NULL), "a diff may go beyond it for a while");
        is_done(restore_snapshot("a", "one"), "an older snapshot is restored");
        is_done(take_snapshot("a", "four"), "where there is room for another");
        stop_fixture();
        start_fixture(settings);
        (void) ready_sandbox("a");
}

static void test_commands(void)
{
        Command *c[3] = {NULL};
        Outcome o = {0};

        is_refused(start_command("a", ARGV(""), c), FAULT_INVALID_ARGUMENT, "a program has a name");
        is_done(start_command("a", ARGV("sleep"), c), "a program runs");
        is_done(start_command("a", ARGV("sleep"), c + 1), "and another one");
        is_refused(start_command("a", ARGV("true"), c + 2), FAULT_LIMITS_EXCEEDED,
                   "but no more than commands_running_max");
        is_done(finish(command_kill(c[0], &fixture.caller, 9, on_outcome, &o, fresh_fault()), &o),
                "one is killed");
        is_done(start_command("a", ARGV("true"), c + 2), "then there may be another");
        is_done(end_command(c[2]), "which ends");
        for (unsigned i = 0; i < 5; i++) {
                need(start_command("a", ARGV("true"), c + 2), "start");
                need(end_command(c[2]), "end");
        }
        tap_is_int(g_hash_table_size(fixture.manager->objects[OBJECT_COMMAND]), 4,
                   "of those that have ended the oldest make room");
        tap_ok(!command_has_ended(c[1]), "but none that runs does");
        tap_ok(is_world_consistent(), "and their files go with them");
        o = (Outcome){0};
        need(finish(command_kill(c[1], &fixture.caller, 9, on_outcome, &o, fresh_fault()), &o),
             "kill");
}

/* -- a full disk ------------------------------------------------------------------------------ */

static void test_full_disk(void)
{
        g_autofree char *before = describe_world();
        Command *c;
        Outcome o = {0};

        fake_host_set_disk_free((UINT64_C(256) << 20) - 1);
        is_refused(create_sandbox("b"), FAULT_NO_SPACE, "on a full disk no sandbox is made");
        is_refused(import_image("new", IMAGE), FAULT_NO_SPACE, "no template imported");
        is_refused(take_snapshot("a", "s"), FAULT_NO_SPACE, "no snapshot taken");
        is_refused(restore_snapshot("a", "template"), FAULT_NO_SPACE, "none restored");
        is_refused(start_command("a", ARGV("true"), &c), FAULT_NO_SPACE, "and no program run");
        is_refused(compare_points("a", "template", "now", NULL), FAULT_NO_SPACE,
                   "what is now cannot be compared");
        (void) is_same_world(before, "nothing has changed");
        is_done(stop_sandbox("a", true), "a sandbox can be stopped all the same");
        is_refused(start_sandbox("a"), FAULT_NO_SPACE, "but not started");
        is_done(compare_points("a", "template", "now", NULL), "it can be compared then");
        fake_host_set_disk_free(UINT64_C(256) << 20);
        is_done(start_sandbox("a"), "at the floor there is room again");
        is_done(start_command("a", ARGV("yes", "100000"), &c), "a program writes");
        fake_host_set_disk_free(0);
        is_done(end_command(c), "until the disk is full");
        tap_ok(command_row(c)->stdout_truncated && command_row(c)->stdout_bytes == 0,
               "its output is cut, and it says so");
        is_done(finish(sandbox_destroy(get_sandbox("a"), &fixture.caller, on_outcome, &o,
                                       fresh_fault()),
                       &o),
                "to destroy a sandbox needs no room");
        fake_host_set_disk_free(UINT64_C(100) << 30);
}

/* -- a broken disk ---------------------------------------------------------------------------- */

/* A directory of ours is lost for a while. */
static void move_away(const char *name, bool is_back)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);
        g_autofree char *kept = g_strconcat(path, ".kept", NULL);

        need(g_rename(is_back ? kept : path, is_back ? path : kept) < 0 ? -errno : 0, path);
}

static void test_broken_disk(void)
{
        g_autofree char *before = NULL, *commands = NULL;
        Command *c;

        (void) ready_sandbox("a");
        before = describe_world();
        move_away("s/sandboxes", false);
        tap_ok(create_sandbox("b") < 0 && fixture.fault.code == FAULT_IO,
               "where no directory can be made there is no sandbox");
        move_away("s/sandboxes", true);
        move_away("s/templates", false);
        is_refused(import_image("new", IMAGE), FAULT_IO, "nor a template");
        move_away("s/templates", true);
        move_away("r", false);
        tap_ok(create_sandbox("b") < 0 && fixture.fault.code == FAULT_IO,
               "nor a sandbox without a place for its sockets");
        move_away("r", true);
        commands = g_strdup_printf("s/sandboxes/%s/commands", get_sandbox("a")->row->id.text);
        move_away(commands, false);
        is_refused(start_command("a", ARGV("true"), &c), FAULT_IO,
                   "and no program whose output cannot be kept is run");
        move_away(commands, true);
        (void) is_same_world(before, "nothing has changed");
        tap_ok(is_trail_paired(), "and the trail knows how all of it ended");
        is_done(start_command("a", ARGV("true"), &c), "the same works when the disk does");
        is_done(end_command(c), "again");
        need(destroy_sandbox("a"), "destroy");
}

/* -- the configuration ------------------------------------------------------------------------ */

static void test_reload(void)
{
        Config *config = new_config("sandboxes_per_owner_max = 1\n");

        g_free(config->state_directory);
        config->state_directory = g_strdup("/nowhere");
        (void) ready_sandbox("a");
        manager_reload(fixture.manager, config);
        is_refused(create_sandbox("b"), FAULT_LIMITS_EXCEEDED, "new limits hold at once");
        tap_ok(!g_str_equal(manager_config(fixture.manager)->state_directory, "/nowhere"),
               "but the directories stay");
        is_done(destroy_sandbox("a"), "what there is can be destroyed");
        is_done(create_sandbox("b"), "and something new be made");
        need(destroy_sandbox("b"), "destroy");
        restart_manager();
}

static void test_starts(void)
{
        Manager *second = NULL;
        Config *config = new_config(NULL);

        g_free(config->qemu_user);
        config->qemu_user = g_strdup("nobody-of-that-name");
        is_refused(manager_new(fixture.event, config, &second, fresh_fault()), FAULT_NOT_FOUND,
                   "a manager needs its users");
        is_refused(manager_new(fixture.event, new_config(NULL), &second, fresh_fault()), FAULT_BUSY,
                   "there is one manager for one state");
        tap_ok(!second, "a manager that cannot be made is not there");
}

/* -- busy ------------------------------------------------------------------------------------- */

static void test_busy(void)
{
        Sandbox *s = ready_sandbox("a");
        Outcome o = {0}, none = {0};
        Comparison c = {0};
        Fault *f;

        need(take_snapshot("a", "s"), "snapshot");
        fake_host_hold(true);
        need(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "t", .freeze = true},
                             on_snapshot, &o, fresh_fault()),
             "snapshot");
        until_held(1);
        f = fresh_fault();
        is_refused(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "u", .freeze = true},
                                   on_snapshot, &none, f),
                   FAULT_BUSY, "while a snapshot is taken no other is");
        tap_is_str(f->message, "sandbox 'a' is being snapshotted; try again when that has ended",
                   "the reason says what is done");
        is_refused(snapshot_restore(s, &fixture.caller, "s", on_outcome, &none, fresh_fault()),
                   FAULT_BUSY, "none is restored");
        is_refused(snapshot_delete(snapshot_find(s, "s"), &fixture.caller, false, on_outcome, &none,
                                   fresh_fault()),
                   FAULT_IN_USE, "none deleted");
        is_refused(sandbox_stop(s, &fixture.caller, true, fresh_fault()), FAULT_BUSY,
                   "the sandbox is not stopped");
        is_refused(diff_start(s, &fixture.caller, &(DiffSpec){.from = "s", .to = "now"}, on_diff,
                              &c, fresh_fault()),
                   FAULT_BUSY, "and not compared");
        tap_ok(!none.has_ended && !c.outcome.has_ended, "nobody hears of what was not begun");
        tap_ok(manager_find_snapshot(fixture.manager, &fixture.caller,
                                     snapshot_find(s, "s")->row->id.text) &&
                       !snapshot_find(s, "t"),
               "a snapshot is seen when it is complete");
        fake_host_hold(false);
        is_done(finish(0, &o), "the first is taken");
        tap_ok(snapshot_find(s, "t") != NULL, "and seen");
        tap_ok(is_trail_paired(), "the trail tells of what was begun only");
        need(destroy_sandbox("a"), "destroy");
}

/* A diff between points that do not move needs no operation of the sandbox. */
static void test_readers(void)
{
        Comparison c = {0};
        Outcome none = {0};
        Sandbox *s = ready_sandbox("a");

        need(take_snapshot("a", "s"), "snapshot");
        need(restore_snapshot("a", "template"), "restore");
        need(diff_start(s, &fixture.caller, &(DiffSpec){.from = "template", .to = "s"}, on_diff, &c,
                        fresh_fault()),
             "diff");
        is_refused(snapshot_delete(snapshot_find(s, "s"), &fixture.caller, false, on_outcome, &none,
                                   fresh_fault()),
                   FAULT_IN_USE, "a snapshot that a diff reads cannot be deleted");
        is_done(finish(0, &c.outcome), "the diff ends");
        g_free(c.text);
        is_done(delete_snapshot("a", "s"), "then it can");
        need(destroy_sandbox("a"), "destroy");
}

static void test_busy_template(void)
{
        autofd fd = file_with(IMAGE);
        TemplateSpec spec = {.name = "big", .image_fd = fd, .kernel_fd = -1, .initrd_fd = -1};
        Outcome o = {0}, none = {0};
        Template *t;
        Sandbox *s;

        need(template_import(fixture.manager, &fixture.caller, &spec, &t, fresh_fault()), "import");
        need(template_wait(t, USEC_INFINITY, on_outcome, &o, &fixture.fault), "wait");
        is_refused(sandbox_create(fixture.manager, &fixture.caller,
                                  &(SandboxSpec){.name = "x", .template = "big"}, &s,
                                  fresh_fault()),
                   FAULT_BUSY, "a template that is being imported makes no sandbox yet");
        is_refused(template_remove(t, &fixture.caller, on_outcome, &none, fresh_fault()),
                   FAULT_BUSY, "and cannot be removed");
        is_refused(template_import(fixture.manager, &fixture.caller, &spec, &t, fresh_fault()),
                   FAULT_EXISTS, "its name is taken already");
        is_done(finish(0, &o), "it is complete");
        is_done(remove_template("big"), "then it can be removed");
}

/* -- draining --------------------------------------------------------------------------------- */

static void on_drained(void *userdata)
{
        *(bool *) userdata = true;
}

static bool is_set(void *userdata)
{
        return *(bool *) userdata;
}

static void test_drain(void)
{
        bool is_drained = false, gives_up = false;
        Sandbox *s = ready_sandbox("a");
        Outcome o = {0};
        Command *c;
        Sandbox *none;

        fake_host_hold(true);
        need(snapshot_create(s, &fixture.caller, &(SnapshotSpec){.name = "t", .freeze = true},
                             on_snapshot, &o, fresh_fault()),
             "snapshot");
        until_held(1);
        manager_drain(fixture.manager, PATIENCE_USEC, on_drained, &is_drained);
        tap_is_str(manager_state(fixture.manager), "draining", "a manager drains");
        is_refused(sandbox_create(fixture.manager, &fixture.caller,
                                  &(SandboxSpec){.name = "x", .template = "base"}, &none,
                                  fresh_fault()),
                   FAULT_WRONG_STATE, "nothing new is made then");
        is_refused(start_command("a", ARGV("true"), &c), FAULT_WRONG_STATE, "no program is run");
        tap_ok(!is_drained, "what is under way goes on");
        fake_host_hold(false);
        tap_ok(until(is_set, &is_drained) && o.has_ended && o.r == 0,
               "it is drained when that has ended");
        restart_manager();
        tap_is_str(state_of("a"), "ready", "sandboxes run on");

        fake_host_hold(true);
        need(sandbox_stop(get_sandbox("a"), &fixture.caller, true, fresh_fault()), "stop");
        until_held(1);
        manager_drain(fixture.manager, 1000, on_drained, &gives_up);
        tap_ok(until(is_set, &gives_up), "what takes too long is not waited for");
        fake_host_hold(false);
        settle();
        restart_manager();
        tap_ok(is_world_consistent(), "and is taken up at the next start");
}

int main(void)
{
        start_fixture(settings);
        test_names();
        test_arguments();
        test_sandboxes();
        test_failures_cost_nothing();
        test_templates();
        test_snapshots();
        test_depth();
        test_commands();
        test_full_disk();
        test_broken_disk();
        test_reload();
        test_starts();
        test_busy();
        test_readers();
        test_busy_template();
        test_drain();
        stop_fixture();
        return tap_done();
}

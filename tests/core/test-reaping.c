/* SPDX-License-Identifier: MIT */

/* What goes by itself: sandboxes that nobody uses, and what no sandbox has. */

#include "tests/core/memory.h"

#define HOUR (3600 * USEC_PER_SEC)

static const char settings[] = "stop_timeout = 0s\n";

/* -- nobody uses it --------------------------------------------------------------------------- */

static void prepare(void)
{
        need(create_from(
                     &(SandboxSpec){.name = "web", .template = "base", .idle_timeout_usec = HOUR}),
             "create");
}

/* As if the last use was so long ago: not hours, which this machine may not run yet. */
static void was_used_ago(uint64_t usec)
{
        Sandbox *s = get_sandbox("web");

        s->used_usec = now_monotonic_usec() - usec;
        sandbox_arm_idle(s);
}

static bool is_gone(G_GNUC_UNUSED void *userdata)
{
        return !get_sandbox("web");
}

/* One case: it is used by what was just done. */
static void is_used(const char *what)
{
        tap_ok(get_sandbox("web") &&
                       now_monotonic_usec() - get_sandbox("web")->used_usec < HOUR / 4,
               "%s is a use", what);
        if (!get_sandbox("web"))
                tap_bail_out("it is gone");
        was_used_ago(HOUR / 2);
}

static void test_idle(void)
{
        prepare();
        tap_ok(row_of("web")->idle_timeout_usec == HOUR && get_sandbox("web")->idle_timer,
               "a sandbox has a time after which it is not used any more");
        was_used_ago(HOUR + 10 * USEC_PER_SEC);
        tap_ok(until(is_gone, NULL), "one that nobody used for so long is destroyed");
        settle();
        tap_ok(is_world_consistent() && is_trail_paired(), "with all that it had");
        tap_is_int(count_audit("sandbox.destroy", "done", NULL), 1, "the trail tells of it");
        need(create_sandbox("web"), "create");
        tap_ok(!get_sandbox("web")->idle_timer, "without such a time it stays");
        need(destroy_sandbox("web"), "destroy");
        fixture.manager->config->idle_timeout_usec = HOUR;
        need(create_sandbox("web"), "create");
        tap_is_int((int64_t) row_of("web")->idle_timeout_usec, (int64_t) HOUR,
                   "the host has a default");
        need(destroy_sandbox("web"), "destroy");
        is_done(create_from(&(SandboxSpec){
                        .name = "web", .template = "base", .idle_timeout_usec = USEC_INFINITY}),
                "which may be refused");
        tap_is_int((int64_t) row_of("web")->idle_timeout_usec, 0, "for ever");
        need(destroy_sandbox("web"), "destroy");
        fixture.manager->config->idle_timeout_usec = USEC_INFINITY;
}

static void on_read(G_GNUC_UNUSED const void *content, G_GNUC_UNUSED size_t size, int r,
                    const Fault *f, void *userdata)
{
        on_outcome(r, f, userdata);
}

static void test_uses(void)
{
        Outcome o = {0};
        Command *c;

        prepare();
        fake_host_put_file(id_of("web"), "/f", "x", 1);
        was_used_ago(HOUR / 2);
        need(start_command("web", ARGV("true"), &c), "start");
        is_used("a command");
        need(end_command(c), "end");
        is_used("its end");
        need(finish(sandbox_read_file(get_sandbox("web"), &fixture.caller, "/f", 0, 1, on_read, &o,
                                      fresh_fault()),
                    &o),
             "read");
        is_used("a transfer");
        need(take_snapshot("web", "s"), "snapshot");
        is_used("a snapshot");
        need(compare_points("web", "s", "now", NULL), "diff");
        is_used("a diff");
        need(restore_snapshot("web", "s"), "restore");
        is_used("a restore");
        need(pause_sandbox("web", false), "pause");
        need(resume_sandbox("web"), "resume");
        is_used("a pause");
        need(stop_sandbox("web", true), "stop");
        need(start_sandbox("web"), "start");
        is_used("a start");
        need(sandbox_extend_ttl(get_sandbox("web"), &fixture.caller, HOUR, fresh_fault()),
             "extend");
        is_used("more time");
        need(branch_sandbox("web", "s", "b"), "branch");
        is_used("a branch of it");
        need(destroy_sandbox("b"), "destroy");
        need(destroy_sandbox("web"), "destroy");
}

static void test_running_command(void)
{
        Outcome o = {0};
        Command *c;

        prepare();
        need(start_command("web", ARGV("sleep"), &c), "start");
        settle();
        was_used_ago(HOUR + 10 * USEC_PER_SEC);
        (void) sd_event_run(fixture.event, 100 * USEC_PER_MSEC);
        settle();
        tap_ok(get_sandbox("web") != NULL, "one with a program that runs is used");
        need(finish(command_kill(c, &fixture.caller, 9, on_outcome, &o, fresh_fault()), &o),
             "kill");
        need(end_command(c), "end");
        tap_ok(now_monotonic_usec() - get_sandbox("web")->used_usec < HOUR / 4,
               "until that has ended");
        was_used_ago(HOUR + 10 * USEC_PER_SEC);
        tap_ok(until(is_gone, NULL), "and for its time after that");
        settle();
}

static void test_paused(void)
{
        prepare();
        need(pause_sandbox("web", true), "pause");
        was_used_ago(HOUR + 10 * USEC_PER_SEC);
        tap_ok(!get_sandbox("web")->idle_timer, "the time of a paused one stands still");
        restart_manager();
        tap_ok(g_str_equal(state_of("web"), "paused") && !get_sandbox("web")->idle_timer,
               "after a restart, too");
        need(resume_sandbox("web"), "resume");
        tap_ok(get_sandbox("web")->idle_timer != NULL, "and begins anew when it is resumed");
        restart_manager();
        tap_ok(get_sandbox("web") && get_sandbox("web")->idle_timer,
               "a restart counts from then, as nobody knows better");
        was_used_ago(HOUR / 2);
        need(stop_sandbox("web", true), "stop");
        is_used("a stop");
        was_used_ago(HOUR + 10 * USEC_PER_SEC);
        tap_ok(until(is_gone, NULL), "a stopped one that nobody uses goes, too");
        settle();
        tap_ok(is_world_consistent(), "all is well");
}

/* What fluid keeps for itself is for later. */
static void test_hidden(void)
{
        fixture.manager->config->idle_timeout_usec = HOUR;
        need(set_pool("base", 1), "pool");
        tap_ok(until_pool(1) && !find_hidden(PURPOSE_POOL)->idle_timer &&
                       !find_hidden(PURPOSE_WARM)->idle_timer &&
                       !find_hidden(PURPOSE_POOL)->ttl_timer,
               "what is in a pool waits as long as it takes");
        need(create_sandbox("web"), "create");
        tap_ok(get_sandbox("web")->idle_timer && get_sandbox("web")->ttl_timer &&
                       row_of("web")->idle_timeout_usec == HOUR,
               "what is handed out does not");
        need(destroy_sandbox("web"), "destroy");
        need(cool_template("base"), "cool");
        fixture.manager->config->idle_timeout_usec = USEC_INFINITY;
}

/* -- what no sandbox has ---------------------------------------------------------------------- */

static char *path_of(const char *kind, const char *id, const char *file)
{
        return g_build_filename(fixture.directory, kind, id, file, NULL);
}

static void make_directories_of(const char *id)
{
        g_autofree char *disk = path_of("s/sandboxes", id, "1-vda.qcow2");
        g_autofree char *directory = path_of("s/sandboxes", id, NULL);
        g_autofree char *sockets = path_of("r", id, NULL);

        need(g_mkdir(directory, 0700), directory);
        need(g_mkdir(sockets, 0700), sockets);
        need(g_file_set_contents(disk, "x", -1, NULL) ? 0 : -EIO, disk);
}

static bool has_directory(const char *kind, const char *id)
{
        g_autofree char *path = path_of(kind, id, NULL);

        return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static void test_orphans(void)
{
        static const char *const whole = "0000000000aa", *const files = "0000000000bb",
                                 *const domain = "0000000000cc", *const foreign = "0000000000dd";
        g_autofree char *disk = path_of("s/sandboxes", whole, "1-vda.qcow2");
        g_autofree char *missing = path_of("s/sandboxes", domain, "1-vda.qcow2");
        g_autofree char *other = path_of("s/sandboxes", "lost+found", NULL);

        need(create_sandbox("web"), "create");
        make_directories_of(whole);
        make_directories_of(files);
        need(g_mkdir(other, 0700), other);
        fake_host_add_domain(whole, disk, DOMAIN_RUNNING);
        fake_host_add_domain(domain, missing, DOMAIN_SHUT_OFF);
        fake_host_add_domain(foreign, "/elsewhere/sandboxes/0000000000dd/1-vda.qcow2",
                             DOMAIN_RUNNING);
        restart_manager();
        tap_is_int(fake_host_domain(whole), DOMAIN_ABSENT,
                   "a domain that no sandbox has is removed");
        tap_ok(!has_directory("s/sandboxes", whole) && !has_directory("r", whole),
               "with its directories");
        tap_ok(!has_directory("s/sandboxes", files) && !has_directory("r", files),
               "so are directories without a domain");
        tap_is_int(fake_host_domain(domain), DOMAIN_ABSENT, "and a domain without directories");
        tap_is_int(fake_host_domain(foreign), DOMAIN_RUNNING,
                   "a domain of another daemon, whose disks are elsewhere, is left");
        tap_ok(has_directory("s/sandboxes", "lost+found"), "and so is what has no id for a name");
        tap_is_str(state_of("web"), "ready", "sandboxes stay");
        fake_host_set_domain(foreign, DOMAIN_ABSENT);
        need(g_rmdir(other), other);
        settle();
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("web"), "destroy");
}

/* Also when libvirtd comes back. */
static void test_orphans_later(void)
{
        static const char *const id = "0000000000ee";
        g_autofree char *disk = path_of("s/sandboxes", id, "1-vda.qcow2");

        fake_host_set_connected(false);
        settle();
        make_directories_of(id);
        fake_host_add_domain(id, disk, DOMAIN_RUNNING);
        tap_ok(has_directory("s/sandboxes", id), "while libvirtd is away all is left");
        fake_host_set_connected(true);
        settle();
        tap_ok(fake_host_domain(id) == DOMAIN_ABSENT && !has_directory("s/sandboxes", id),
               "when it is back what no sandbox has is removed");
}

/* Where one cannot be looked at the next time is soon enough. */
static void test_orphans_fail(void)
{
        static const char *const id = "0000000000ff";
        g_autofree char *disk = path_of("s/sandboxes", id, "1-vda.qcow2");
        bool is_safe = true;
        unsigned n = 0, calls;

        need(create_sandbox("web"), "create");
        do {
                fake_host_set_connected(false);
                settle();
                if (!has_directory("s/sandboxes", id))
                        make_directories_of(id);
                if (fake_host_domain(id) == DOMAIN_ABSENT)
                        fake_host_add_domain(id, disk, DOMAIN_RUNNING);
                fake_host_fail_nth(++n, FAULT_HYPERVISOR_FAILED);
                fake_host_set_connected(true);
                settle();
                calls = fake_host_calls();
                fake_host_fail_nth(0, FAULT_NONE);
                is_safe &= get_sandbox("web") && fake_host_domain(id_of("web")) == DOMAIN_RUNNING &&
                           has_directory("s/sandboxes", id_of("web"));
        } while (calls >= n && n < 30);
        tap_ok(is_safe, "whatever fails, sandboxes stay");
        tap_ok(fake_host_domain(id) == DOMAIN_ABSENT && !has_directory("s/sandboxes", id),
               "in the end what no sandbox has is removed");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("web"), "destroy");
}

/* What is made meanwhile is nobody's orphan. */
static void test_orphans_and_creation(void)
{
        Sandbox *s;

        fake_host_hold(true);
        fake_host_set_connected(false);
        fake_host_set_connected(true);
        until_held(1);
        need(sandbox_create(fixture.manager, &fixture.caller,
                            &(SandboxSpec){.name = "web", .template = "base"}, &s, fresh_fault()),
             "create");
        fake_host_hold(false);
        need(wait_sandbox(s, "ready"), "wait");
        settle();
        tap_ok(g_str_equal(state_of("web"), "ready") && is_world_consistent(),
               "a sandbox that is made while they are looked for is none");
        need(destroy_sandbox("web"), "destroy");
}

int main(void)
{
        start_fixture(settings);
        need(import_image("base", IMAGE), "import");
        test_idle();
        test_uses();
        test_running_command();
        test_paused();
        test_hidden();
        test_orphans();
        test_orphans_later();
        test_orphans_fail();
        test_orphans_and_creation();
        stop_fixture();
        return tap_done();
}

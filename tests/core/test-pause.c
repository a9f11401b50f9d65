/* SPDX-License-Identifier: MIT */

/* Pausing, in memory and to disk, and going on; and time that is up. */

#include "tests/core/memory.h"

#define SESSION "a computation that takes long"
#define HOUR    (3600 * USEC_PER_SEC)

static const char settings[] = "stop_timeout = 0s\n";

static void prepare(void)
{
        need(create_from(&(SandboxSpec){.name = "web", .template = "base", .ttl_usec = HOUR}),
             "create");
        fake_host_set_memory(id_of("web"), SESSION);
}

static Command *sleeping(void)
{
        Command *c;

        need(start_command("web", ARGV("sleep"), &c), "start");
        settle();
        return c;
}

static void end_sleep(Command *c)
{
        Outcome o = {0};

        is_done(finish(command_kill(c, &fixture.caller, SIGTERM, on_outcome, &o, fresh_fault()),
                       &o),
                "it can be killed");
        need(end_command(c), "end");
        tap_is_str(command_row(c)->state, "killed", "and ends by that");
}

/* -- in memory -------------------------------------------------------------------------------- */

static void test_pause(void)
{
        Command *c = sleeping(), *none;
        g_autofree char *last = NULL;
        Outcome o = {0};

        is_done(pause_sandbox("web", false), "a sandbox is paused");
        tap_is_str(state_of("web"), "paused", "it says so");
        tap_is_int(fake_host_domain(id_of("web")), DOMAIN_PAUSED, "its CPUs are stopped");
        tap_ok(row_of("web")->paused_usec > 0 && !get_sandbox("web")->ttl_timer,
               "its time stands still");
        tap_ok(!command_has_ended(c), "programs in it have not ended");
        is_refused(start_command("web", ARGV("true"), &none), FAULT_WRONG_STATE,
                   "no other can be run");
        tap_ok(strstr(fixture.fault.message, "fluidctl resume web") != NULL,
               "and it is said what to do");
        is_refused(pause_sandbox("web", false), FAULT_WRONG_STATE, "it cannot be paused again");
        is_refused(start_sandbox("web"), FAULT_WRONG_STATE, "nor started");
        is_refused(take_snapshot("web", "s"), FAULT_WRONG_STATE, "nor snapshotted");
        is_refused(compare_points("web", "template", "now", NULL), FAULT_WRONG_STATE,
                   "nor compared as it is now");
        tap_ok(is_world_consistent(), "all is well");
        is_done(finish(sandbox_wait(get_sandbox("web"), "paused", USEC_INFINITY, on_outcome, &o,
                                    fresh_fault()),
                       &o),
                "whoever waits for that has it");
        is_done(resume_sandbox("web"), "it is resumed");
        tap_is_str(state_of("web"), "ready", "and ready");
        tap_ok(row_of("web")->paused_usec == 0 && get_sandbox("web")->ttl_timer,
               "its time goes on");
        is_memory("web", SESSION, "it has what it had");
        tap_ok(identity_of("web")->clocks >= 1, "and the right time");
        tap_is_int(identity_of("web")->renewals, 0, "and is the same guest");
        tap_ok(!command_has_ended(c), "the program runs on");
        end_sleep(c);
        is_refused(resume_sandbox("web"), FAULT_WRONG_STATE, "what runs cannot be resumed");
        last = last_audit("sandbox.resume");
        tap_is_str(last, "done", "the trail tells of it");
        tap_ok(is_trail_paired() && is_world_consistent(), "all is well");
}

/* A program that had ended, of which nobody had heard yet. */
static void test_ended_before(void)
{
        g_autofree char *out = NULL;
        Outcome o = {0};
        Command *c;

        need(start_command("web", ARGV("echo", "hello"), &c), "start");
        while (command_row(c)->pid == 0)
                need(sd_event_run(fixture.event, 0), "sd_event_run");
        need(sandbox_pause(get_sandbox("web"), &fixture.caller, false, on_outcome, &o,
                           fresh_fault()),
             "pause");
        is_done(finish(0, &o), "a sandbox is paused while a program ends");
        tap_ok(!command_has_ended(c), "of which nobody hears");
        is_done(resume_sandbox("web"), "until it is resumed");
        settle();
        tap_ok(command_has_ended(c), "then it has ended");
        tap_is_str(command_row(c)->state, "exited", "by itself");
        out = read_output(c, COMMAND_STDOUT);
        tap_is_str(out, "hello\n", "with its output");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
}

static void test_time(void)
{
        uint64_t left;

        is_done(pause_sandbox("web", false), "a sandbox is paused");
        /* As if that were two hours ago. */
        get_sandbox("web")->row->paused_usec -= 2 * HOUR;
        get_sandbox("web")->row->expires_usec -= 2 * HOUR;
        need(sandbox_save(get_sandbox("web"), &fixture.fault), "save");
        left = row_of("web")->expires_usec - row_of("web")->paused_usec;
        restart_manager();
        tap_is_str(state_of("web"), "paused", "it is when its time would be up");
        is_done(resume_sandbox("web"), "it is resumed then");
        tap_ok(row_of("web")->expires_usec - now_realtime_usec() <= left &&
                       row_of("web")->expires_usec - now_realtime_usec() > left - HOUR / 2,
               "what is left of its time is what was left");
        is_done(pause_sandbox("web", false), "it is paused again");
        is_done(sandbox_extend_ttl(get_sandbox("web"), &fixture.caller, HOUR / 2, fresh_fault()),
                "its time is set");
        tap_ok(!get_sandbox("web")->ttl_timer, "and does not run yet");
        is_done(resume_sandbox("web"), "until it is resumed");
        tap_ok(get_sandbox("web")->ttl_timer != NULL, "then it does");
}

/* -- to disk ---------------------------------------------------------------------------------- */

static void test_to_disk(void)
{
        Command *c = sleeping();
        Id id = command_row(c)->id;
        uint64_t used = manager_capacity(fixture.manager).memory_used_bytes;
        const Sandbox *s = get_sandbox("web");

        is_done(pause_sandbox("web", true), "a sandbox is paused to disk");
        tap_is_str(state_of("web"), "paused", "it says so");
        tap_is_int(fake_host_domain(id_of("web")), DOMAIN_SHUT_OFF, "it takes no memory");
        tap_ok(manager_capacity(fixture.manager).memory_used_bytes < used, "and counts as such");
        tap_ok(has_file(s, "paused.state") && has_file(s, "paused.xml"), "which is in a file");
        tap_ok(!command_has_ended(c), "programs in it have not ended");
        tap_ok(is_world_consistent(), "all is well");
        restart_manager();
        tap_is_str(state_of("web"), "paused", "a restart leaves it so");
        tap_ok(is_world_consistent(), "all is well");
        is_done(resume_sandbox("web"), "it is resumed");
        tap_is_str(state_of("web"), "ready", "and ready");
        is_memory("web", SESSION, "it has what it had");
        tap_is_int(identity_of("web")->renewals, 0, "and is the same guest");
        tap_ok(!has_file(get_sandbox("web"), "paused.state"), "the file is gone");
        c = manager_find_command(fixture.manager, &fixture.caller, id.text);
        tap_ok(c && !command_has_ended(c), "the program runs on");
        if (c)
                end_sleep(c);
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
}

static void test_damaged(void)
{
        is_done(pause_sandbox("web", true), "a sandbox is paused to disk");
        fake_host_fail_nth(2, FAULT_HYPERVISOR_FAILED);
        tap_ok(resume_sandbox("web") < 0, "libvirt cannot start it");
        fake_host_fail_nth(0, FAULT_NONE);
        settle();
        tap_is_str(state_of("web"), "paused", "it is still paused");
        tap_ok(is_world_consistent(), "with its memory");
        fake_host_fail_nth(3, FAULT_HYPERVISOR_FAILED);
        tap_ok(resume_sandbox("web") < 0, "QEMU cannot load it");
        fake_host_fail_nth(0, FAULT_NONE);
        settle();
        tap_is_str(state_of("web"), "paused", "it is still paused then");
        damage_file(get_sandbox("web"), "paused.state");
        tap_ok(resume_sandbox("web") < 0, "nor where it is damaged");
        settle();
        tap_ok(has_file(get_sandbox("web"), "paused.state"),
               "but nobody throws away what may be mended");
        tap_is_str(state_of("web"), "paused", "it is still paused");
        is_done(stop_sandbox("web", true), "whoever wants to may stop it");
        tap_is_str(state_of("web"), "stopped", "which ends the pause");
        tap_ok(is_world_consistent(), "without its memory");
        is_done(start_sandbox("web"), "and boot it");
        fake_host_set_memory(id_of("web"), SESSION);
}

static void test_full_disk(void)
{
        fake_host_set_disk_free(0);
        is_refused(pause_sandbox("web", true), FAULT_NO_SPACE,
                   "where there is no room none is paused to disk");
        tap_is_str(state_of("web"), "ready", "it runs on");
        is_done(pause_sandbox("web", false), "but it can be paused");
        is_done(resume_sandbox("web"), "and resumed");
        fake_host_set_disk_free(UINT64_C(100) << 30);
}

static void halt(void)
{
        fake_host_set_domain(id_of("web"), DOMAIN_HALTED);
        settle();
}

/* Its guest wrote more than there was room for: QEMU has stopped its CPUs. */
static void test_halted(void)
{
        Command *c = sleeping();

        fake_host_set_disk_free(0);
        halt();
        tap_is_str(state_of("web"), "paused",
                   "one that had no room to write to its disk is paused");
        tap_ok(strstr(get_sandbox("web")->row->reason, "make room, then resume it") != NULL,
               "and it is said what to do");
        tap_ok(row_of("web")->paused_usec > 0 && !get_sandbox("web")->ttl_timer,
               "its time stands still");
        tap_ok(!command_has_ended(c), "programs in it have not ended");
        is_refused(resume_sandbox("web"), FAULT_NO_SPACE, "it is not resumed without room");
        restart_manager();
        tap_is_str(state_of("web"), "paused", "nor by a restart");
        tap_ok(strstr(get_sandbox("web")->row->reason, "make room") != NULL, "which knows why");
        tap_ok(is_world_consistent(), "all is well");
        fake_host_set_disk_free(UINT64_C(100) << 30);
        is_done(resume_sandbox("web"), "with room it is resumed");
        tap_is_str(state_of("web"), "ready", "and ready");
        is_memory("web", SESSION, "with what it had");
        halt();
        fake_host_set_domain(id_of("web"), DOMAIN_RUNNING);
        settle();
        tap_is_str(state_of("web"), "ready", "so is one that somebody else lets run");
        halt();
        is_done(stop_sandbox("web", true), "it can be stopped instead");
        need(start_sandbox("web"), "start");
        need(pause_sandbox("web", false), "pause");
        halt();
        tap_is_str(state_of("web"), "paused", "one that is paused stays so");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("web"), "destroy");
        prepare();
}

/* It runs on as if nobody had tried. */
static void test_pause_fails(bool to_disk)
{
        Command *c = sleeping();
        bool goes_on = true;
        unsigned calls, n = 0;

        do {
                fake_host_fail_nth(++n, FAULT_HYPERVISOR_FAILED);
                (void) pause_sandbox("web", to_disk);
                calls = fake_host_calls();
                fake_host_fail_nth(0, FAULT_NONE);
                settle();
                if (g_str_equal(state_of("web"), "paused"))
                        need(resume_sandbox("web"), "resume");
                if (g_str_equal(state_of("web"), "ready") && !command_has_ended(c) &&
                    row_of("web")->paused_usec == 0 && is_world_consistent())
                        continue;
                tap_note("call %u: it is %s, the program %s", n, state_of("web"),
                         command_row(c)->state);
                goes_on = false;
        } while (goes_on && calls >= n && n < 30);
        tap_ok(goes_on && n > 2, "each of %u calls of a pause has failed: the guest runs on",
               n - 1);
        if (command_has_ended(c))
                return;
        end_sleep(c);
        is_memory("web", SESSION, "with what it had");
}

/* -- other ends of a pause -------------------------------------------------------------------- */

static void test_stop(bool to_disk)
{
        Command *c = sleeping();

        need(pause_sandbox("web", to_disk), "pause");
        is_done(stop_sandbox("web", false), "a paused sandbox is stopped");
        tap_is_str(state_of("web"), "stopped", "at once");
        tap_is_int(fake_host_domain(id_of("web")), DOMAIN_SHUT_OFF, "its domain is off");
        tap_is_str(command_row(c)->state, "failed", "programs in it have failed");
        tap_is_int(row_of("web")->paused_usec, 0, "it is not paused any more");
        tap_ok(is_world_consistent() && is_trail_paired(), "nothing of its memory is left");
        is_done(start_sandbox("web"), "it can be booted");
        is_memory("web", "", "without its memory");
        fake_host_set_memory(id_of("web"), SESSION);
}

static void test_restore(bool to_disk)
{
        need(take_memory_snapshot("web", "m"), "snapshot");
        need(take_snapshot("web", "d"), "snapshot");
        fake_host_set_memory(id_of("web"), "what came later");
        need(pause_sandbox("web", to_disk), "pause");
        is_done(restore_snapshot("web", "m"), "a paused sandbox is restored");
        settle();
        tap_is_str(state_of("web"), "ready", "and runs");
        is_memory("web", SESSION, "from there");
        tap_ok(is_world_consistent(), "nothing of the pause is left");
        need(pause_sandbox("web", to_disk), "pause");
        is_done(restore_snapshot("web", "d"), "a paused sandbox is restored to disks");
        settle();
        tap_is_str(state_of("web"), "ready", "and boots");
        tap_ok(is_world_consistent(), "nothing of the pause is left");
        need(restore_snapshot("web", "template"), "restore");
        need(delete_snapshots("web", "m", true), "delete");
        fake_host_set_memory(id_of("web"), SESSION);
}

/* What was moved stays moved, what was not goes on as it was. */
static void test_restore_fails(bool to_disk)
{
        need(take_snapshot("web", "d"), "snapshot");
        need(pause_sandbox("web", to_disk), "pause");
        for (unsigned n = 1; n < 20; n++) {
                unsigned calls, layer = row_of("web")->layer;
                int r;

                fake_host_fail_nth(n, FAULT_HYPERVISOR_FAILED);
                r = restore_snapshot("web", "d");
                calls = fake_host_calls();
                fake_host_fail_nth(0, FAULT_NONE);
                settle();
                if (calls < n)
                        break;
                if (!tap_ok(is_world_consistent(), "call %u of a restore fails: all fits together",
                            n))
                        tap_note("it is %s: %s", state_of("web"), row_of("web")->reason);
                if (to_disk && row_of("web")->layer == layer)
                        tap_is_str(state_of("web"), "paused", "what was not moved is still paused");
                if (r < 0 && g_str_equal(state_of("web"), "paused"))
                        continue;
                if (!g_str_equal(state_of("web"), "ready"))
                        need(start_sandbox("web"), "start");
                need(pause_sandbox("web", to_disk), "pause");
        }
        need(restore_snapshot("web", "template"), "restore");
        need(delete_snapshot("web", "d"), "delete");
        fake_host_set_memory(id_of("web"), SESSION);
}

static void test_destroy(bool to_disk)
{
        need(pause_sandbox("web", to_disk), "pause");
        is_done(destroy_sandbox("web"), "a paused sandbox is destroyed");
        tap_is_int(fake_host_domains(), 0, "with its domain");
        tap_ok(is_world_consistent() && is_trail_paired(), "and all that it had");
        prepare();
}

/* Somebody else lets it run, or switches it off. */
static void test_behind_our_back(void)
{
        need(pause_sandbox("web", false), "pause");
        fake_host_set_domain(id_of("web"), DOMAIN_RUNNING);
        settle();
        tap_is_str(state_of("web"), "ready", "one that somebody else lets run is ready");
        tap_ok(is_world_consistent(), "and its time goes on");
        need(pause_sandbox("web", false), "pause");
        fake_host_set_domain(id_of("web"), DOMAIN_SHUT_OFF);
        settle();
        tap_is_str(state_of("web"), "stopped", "one that somebody else switches off is stopped");
        tap_ok(strstr(row_of("web")->reason, "memory was lost") != NULL, "and says why");
        tap_ok(is_world_consistent(), "all is well");
        need(start_sandbox("web"), "start");
        need(pause_sandbox("web", true), "pause");
        fake_host_set_domain(id_of("web"), DOMAIN_ABSENT);
        settle();
        tap_is_str(state_of("web"), "failed", "one whose domain somebody removes has failed");
        need(destroy_sandbox("web"), "destroy");
        tap_ok(is_world_consistent(), "and can be destroyed");
        prepare();
}

static void test_connection(bool to_disk)
{
        need(pause_sandbox("web", to_disk), "pause");
        fake_host_set_connected(false);
        settle();
        tap_is_str(state_of("web"), "unknown", "while libvirtd is away nobody knows");
        fake_host_set_connected(true);
        settle();
        tap_is_str(state_of("web"), "paused", "when it is back it is still paused");
        tap_ok(is_world_consistent(), "with its memory");
        need(resume_sandbox("web"), "resume");
        is_memory("web", SESSION, "as it was");
}

/* -- quotas ----------------------------------------------------------------------------------- */

static void test_memory_quota(void)
{
        fixture.manager->config->memory_per_owner_max_bytes = UINT64_C(512) << 20;
        is_refused(create_sandbox("b"), FAULT_LIMITS_EXCEEDED,
                   "no more memory is in use than memory_per_owner_max");
        need(pause_sandbox("web", true), "pause");
        is_done(create_sandbox("b"), "what is on disk is not in use");
        is_refused(resume_sandbox("web"), FAULT_LIMITS_EXCEEDED, "then it cannot be resumed");
        tap_is_str(state_of("web"), "paused", "and stays paused");
        need(destroy_sandbox("b"), "destroy");
        is_done(resume_sandbox("web"), "until there is room");
        need(pause_sandbox("web", false), "pause");
        is_refused(create_sandbox("b"), FAULT_LIMITS_EXCEEDED,
                   "what is paused in memory is in use");
        is_done(resume_sandbox("web"), "and can always be resumed");
        fixture.manager->config->memory_per_owner_max_bytes = UINT64_C(1) << 40;
}

int main(void)
{
        start_fixture(settings);
        need(import_image("base", IMAGE), "import");
        prepare();
        test_pause();
        test_ended_before();
        test_time();
        test_to_disk();
        test_damaged();
        test_full_disk();
        test_halted();
        for (int to_disk = 0; to_disk < 2; to_disk++) {
                test_pause_fails(to_disk);
                test_stop(to_disk);
                test_restore(to_disk);
                test_restore_fails(to_disk);
                test_destroy(to_disk);
                test_connection(to_disk);
        }
        test_behind_our_back();
        test_memory_quota();
        stop_fixture();
        return tap_done();
}

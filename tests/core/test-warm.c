/* SPDX-License-Identifier: MIT */

/* Warm templates: the image of a booted guest, and the copies that are made of it. */

#include "tests/core/memory.h"

#define MIB (UINT64_C(1) << 20)

static const char settings[] = "stop_timeout = 0s\nsandboxes_max = 4\n"
                               "sandboxes_per_owner_max = 3\n";

/* -- making one ------------------------------------------------------------------------------- */

/* The phases that it shows, from the beginning to the end. */
static char *phases_of_warming(void)
{
        GString *phases = g_string_new(NULL);
        Template *t = get_template("base");
        const char *last = "";
        Outcome o = {0};

        need(template_warm(t, &fixture.caller, 0, 0, fresh_fault()), "warm");
        need(template_wait_warm(t, PATIENCE_USEC, on_outcome, &o, &fixture.fault), "wait");
        while (!o.has_ended) {
                const char *phase = template_warmth(t).phase;

                if (!g_str_equal(phase, last))
                        g_string_append_printf(phases, "%s ", phase);
                last = phase;
                need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        }
        need(o.r, o.fault.message);
        return g_string_free(phases, FALSE);
}

static void test_making(void)
{
        g_autofree char *phases = NULL, *last = NULL;
        const Sandbox *builder;
        TemplateWarmth warmth;

        need(import_image("base", IMAGE), "import");
        tap_ok(!warmth_of("base").is_warm, "a template is not warm by itself");
        phases = phases_of_warming();
        settle();
        tap_is_str(phases, "booting settling saving ",
                   "to be made warm it boots, comes to rest, and is saved");
        warmth = warmth_of("base");
        tap_ok(warmth.is_warm && warmth.memory_bytes > 0, "then it is warm");
        tap_is_str(warmth.phase, "", "and no image is being made");
        tap_is_str(warmth.reason, "", "nothing went wrong");
        last = last_audit("template.warm");
        tap_is_str(last, "done", "the trail tells of its end");
        builder = find_hidden(PURPOSE_WARM);
        tap_ok(builder && fake_host_identity(builder->row->id.text)->has_settled,
               "the guest had come to rest");
        tap_is_int(fake_host_domain(builder->row->id.text), DOMAIN_SHUT_OFF,
                   "it takes no memory any more");
        tap_ok(has_file(builder, "1.ram") && has_file(builder, "1.state") &&
                       has_file(builder, "1.xml"),
               "its memory is kept");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_again(void)
{
        g_autofree char *before = describe_world();

        is_done(warm_template("base", 0, 0), "what is warm can be made warm");
        (void) is_same_world(before, "which does nothing");
        restart_manager();
        (void) is_same_world(before, "nor does a restart");
        tap_ok(warmth_of("base").is_warm, "it is still warm then");
}

static void test_hidden(void)
{
        const Sandbox *builder = find_hidden(PURPOSE_WARM);
        Caller root = {.uid = 0};
        Sandbox *s;

        tap_ok(!manager_find_sandbox(fixture.manager, &root, builder->row->id.text),
               "what fluid keeps for itself is seen by nobody");
        is_refused(
                manager_get_sandbox(fixture.manager, &root, builder->row->name, &s, fresh_fault()),
                FAULT_NOT_FOUND, "nor found by its name");
        tap_ok(!manager_find_snapshot(fixture.manager, &root, builder->row->head_snapshot_id.text),
               "nor is its snapshot");
        tap_is_int(manager_capacity(fixture.manager).sandboxes, 0, "it does not count");
        tap_ok(!g_hash_table_contains(fixture.known, builder), "the bus does not know it");
}

static void test_quota(void)
{
        static const char *const names[] = {"a", "b", "c", "d"};

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                fixture.caller.uid = i < 3 ? 0 : 1000;
                is_done(create_sandbox(names[i]), "it takes nobody's place: %zu", i + 1);
        }
        fixture.caller.uid = 1001;
        is_refused(create_sandbox("e"), FAULT_LIMITS_EXCEEDED, "those that count do");
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                fixture.caller.uid = i < 3 ? 0 : 1000;
                if (get_sandbox(names[i]))
                        need(destroy_sandbox(names[i]), "destroy");
        }
}

/* -- copies ----------------------------------------------------------------------------------- */

static void test_copies(void)
{
        const FakeIdentity *a, *b;
        const SandboxTiming *timing;
        size_t n;

        need(cool_template("base"), "cool");
        prepare_warm();
        is_done(create_sandbox("a"), "a sandbox is made of a warm template");
        is_done(create_sandbox("b_2"), "and another one");
        a = identity_of("a");
        b = identity_of("b_2");
        tap_is_str(state_of("a"), "ready", "it is ready");
        tap_is_str(row_of("a")->started_from, "memory", "it did not boot");
        is_memory("a", WARM, "it has what the guest had in its memory");
        is_memory("b_2", WARM, "and so has the other");
        tap_is_str(sandbox_head_name(get_sandbox("a")), POINT_BOOTED, "it stands on that point");
        tap_ok(is_same_file(get_sandbox("a"), find_hidden(PURPOSE_WARM), "1.ram") &&
                       is_same_file(get_sandbox("a"), get_sandbox("b_2"), "1-vda.qcow2"),
               "they share its files");
        tap_is_str(a->hostname, "a", "a copy has its own hostname");
        tap_is_str(b->hostname, "b-2", "as far as that can be one");
        tap_ok(a->machine_id && b->machine_id && !g_str_equal(a->machine_id, b->machine_id),
               "its own machine id");
        tap_ok(a->ssh_host_key && b->ssh_host_key && !g_str_equal(a->ssh_host_key, b->ssh_host_key),
               "its own key");
        tap_ok(a->seed && b->seed && !g_str_equal(a->seed, b->seed), "its own random numbers");
        tap_ok(a->clocks == 1 && b->clocks == 1, "and the right time");
        tap_is_int(a->renewals, 1, "once");
        timing = sandbox_timing(get_sandbox("a"), &n);
        tap_ok(n > 0 && g_str_equal(timing[0].step, "overlay"), "it is known where the time went");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("b_2"), "destroy");
        is_done(stop_sandbox("a", true), "a copy can be switched off");
        is_done(start_sandbox("a"), "and on again");
        is_memory("a", "", "then it boots");
        tap_is_str(row_of("a")->started_from, "boot", "and says so");
        tap_is_int(identity_of("a")->renewals, 1, "and stays who it is");
        need(destroy_sandbox("a"), "destroy");
}

static void test_reboot(void)
{
        g_autofree char *before = NULL;

        need(create_sandbox("a"), "create");
        fake_host_reboot(id_of("a"));
        settle();
        tap_is_str(state_of("a"), "ready", "a copy whose guest reboots is there again");
        tap_is_str(row_of("a")->started_from, "boot", "it has booted");
        is_memory("a", "", "and has nothing of the image");
        tap_is_int(identity_of("a")->renewals, 1, "it stays who it is");
        before = describe_world();
        fake_host_reboot(id_of("a"));
        settle();
        (void) is_same_world(before, "one that has its kernel reboots by itself");
        fake_host_fail_next("hypervisor_stop_unbootable", FAULT_HYPERVISOR_FAILED);
        fake_host_reboot(id_of("a"));
        settle();
        (void) is_same_world(before, "one of which libvirt does not say is left alone");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
}

static void test_not_before_it_is_itself(void)
{
        Sandbox *s;

        fake_host_set_identity(false);
        tap_ok(create_sandbox("a") >= 0, "a copy is begun");
        tap_is_str(state_of("a"), "failed", "one that cannot be made another guest is not ready");
        tap_ok(strstr(row_of("a")->reason, "/etc/hostname") != NULL, "and says why");
        tap_is_int(fake_host_domain(id_of("a")), DOMAIN_SHUT_OFF, "and does not run on as it is");
        fake_host_set_identity(true);
        is_done(start_sandbox("a"), "it can be started");
        s = get_sandbox("a");
        tap_ok(s->state == SANDBOX_READY && identity_of("a")->renewals == 1,
               "and is made another guest then");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
}

static void test_restart_before_it_is_itself(void)
{
        Sandbox *s;

        fake_host_set_agents(false);
        need(sandbox_create(fixture.manager, &fixture.caller,
                            &(SandboxSpec){.name = "a", .template = "base"}, &s, fresh_fault()),
             "create");
        settle();
        tap_is_str(state_of("a"), "starting", "a copy waits for its agent");
        restart_manager();
        fake_host_set_agents(true);
        settle();
        tap_ok(g_str_equal(state_of("a"), "ready") && identity_of("a")->renewals == 1,
               "also the next daemon makes it another guest before it is ready");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
}

static void test_boots(void)
{
        is_done(create_from(&(SandboxSpec){.name = "a", .template = "base", .boots = true}),
                "whoever asks for a boot gets one");
        tap_is_str(row_of("a")->started_from, "boot", "and is told");
        is_memory("a", "", "nothing of the image is in it");
        tap_is_str(sandbox_head_name(get_sandbox("a")), POINT_TEMPLATE, "nor on its disk");
        tap_ok(!identity_of("a")->machine_id, "it need not be made another guest");
        need(destroy_sandbox("a"), "destroy");
}

/* -- sizes ------------------------------------------------------------------------------------ */

static void test_sizes(void)
{
        SandboxSpec big = {.name = "a", .template = "base", .vcpus = 2, .memory_bytes = 1024 * MIB};

        is_refused(warm_template("base", 99, 0), FAULT_INVALID_ARGUMENT,
                   "no image is made of more CPUs than there may be");
        is_refused(warm_template("base", 0, 33 * MIB + 1), FAULT_INVALID_ARGUMENT,
                   "nor of memory that is not whole MiB");
        is_done(create_from(&big), "a sandbox of another size is made");
        tap_is_str(row_of("a")->started_from, "boot", "by booting");
        tap_ok(until_warm("base"), "and an image of that size is made for the next");
        tap_is_int(count_hidden(PURPOSE_WARM), 2, "beside the one of the template's size");
        need(destroy_sandbox("a"), "destroy");
        is_done(create_from(&big), "the next one");
        tap_is_str(row_of("a")->started_from, "memory", "is a copy");
        tap_ok(row_of("a")->vcpus == 2 && row_of("a")->memory_bytes == 1024 * MIB, "of that size");
        is_done(create_sandbox("b"), "one of the template's size");
        tap_is_str(row_of("b")->started_from, "memory", "still is, too");
        is_done(warm_template("base", 1, 256 * MIB), "an image of a third size can be asked for");
        tap_is_int(count_hidden(PURPOSE_WARM), 3, "and is kept beside the others");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
        need(destroy_sandbox("b"), "destroy");
}

static void test_one_at_a_time(void)
{
        Template *t = get_template("base");
        Outcome o = {0};

        need(template_warm(t, &fixture.caller, 1, 64 * MIB, fresh_fault()), "warm");
        is_refused(template_warm(t, &fixture.caller, 1, 128 * MIB, fresh_fault()), FAULT_BUSY,
                   "two images of one template are not made at once");
        is_done(template_warm(t, &fixture.caller, 1, 64 * MIB, fresh_fault()),
                "the same one may be asked for again");
        is_done(finish(template_wait_warm(t, PATIENCE_USEC, on_outcome, &o, &fixture.fault), &o),
                "and is made once");
        settle();
        tap_ok(is_trail_paired(), "both calls have ended in the trail");
}

/* -- what this host cannot load --------------------------------------------------------------- */

static bool has_rebuilt(void *old)
{
        const Sandbox *builder = find_hidden(PURPOSE_WARM);

        return builder && count_hidden(PURPOSE_WARM) == 1 && is_warm((void *) "base") &&
               !g_str_equal(builder->row->id.text, old);
}

static void test_upgrade(void)
{
        Id old;

        need(cool_template("base"), "cool");
        prepare_warm();
        old = find_hidden(PURPOSE_WARM)->row->id;
        fake_host_set_agents(false);
        fake_host_set_abi("QEMU 8.0, libvirt 9.0.0, qemu");
        restart_manager();
        tap_ok(!warmth_of("base").is_warm, "an image of another QEMU is of no use");
        Sandbox *s = NULL;
        need(sandbox_create(fixture.manager, &fixture.caller,
                            &(SandboxSpec){.name = "a", .template = "base"}, &s, fresh_fault()),
             "create");
        settle();
        fake_host_set_agents(true);
        is_done(wait_sandbox(get_sandbox("a"), "ready"), "a sandbox is made all the same");
        tap_is_str(row_of("a")->started_from, "boot", "by booting");
        tap_ok(until(has_rebuilt, old.text), "the image is made again, and the old one goes");
        settle();
        is_done(create_sandbox("b"), "the next sandbox");
        tap_is_str(row_of("b")->started_from, "memory", "is a copy again");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
        need(destroy_sandbox("b"), "destroy");
}

/* libvirtd is another one when it is back. */
static void test_upgrade_under_way(void)
{
        Id old = find_hidden(PURPOSE_WARM)->row->id;

        fake_host_set_connected(false);
        settle();
        fake_host_set_abi(NULL);
        fake_host_set_connected(true);
        settle();
        tap_ok(until(has_rebuilt, old.text),
               "a libvirtd that comes back as another one is noticed");
        settle();
        tap_ok(is_world_consistent(), "all is well");
}

static void test_damaged(void)
{
        damage_file(find_hidden(PURPOSE_WARM), "1.state");
        is_done(create_sandbox("a"), "a sandbox is made of an image that cannot be loaded");
        tap_is_str(state_of("a"), "ready", "it is ready");
        tap_is_str(row_of("a")->started_from, "boot", "it has booted, and says so");
        tap_ok(identity_of("a")->machine_id != NULL,
               "from the image's disk, so that it is made another guest");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
}

/* -- what goes wrong -------------------------------------------------------------------------- */

static void test_no_boot(void)
{
        g_autofree char *last = NULL;
        const char *reason;

        need(cool_template("base"), "cool");
        fixture.manager->config->boot_timeout_usec = 1000;
        fake_host_set_agents(false);
        is_refused(warm_template("base", 0, 0), FAULT_AGENT_UNAVAILABLE,
                   "a template whose guest does not boot is not warm");
        reason = warmth_of("base").reason;
        tap_ok(strstr(reason, "guest agent did not answer") != NULL, "and it says why");
        tap_is_int(count_hidden(PURPOSE_WARM), 0, "what was begun is gone");
        last = last_audit("template.warm");
        tap_is_str(last, "failed AgentUnavailable", "the trail tells of it");
        is_refused(template_wait_warm(get_template("base"), PATIENCE_USEC, on_outcome, NULL,
                                      fresh_fault()),
                   FAULT_AGENT_UNAVAILABLE, "whoever waits later is told, too");
        fake_host_set_agents(true);
        fixture.manager->config->boot_timeout_usec = 60 * USEC_PER_SEC;
        is_done(create_sandbox("a"), "a sandbox boots");
        tap_is_str(row_of("a")->started_from, "boot", "as it would without");
        tap_ok(until_warm("base"), "and the image is tried again");
        tap_is_str(warmth_of("base").reason, "", "with success");
        tap_ok(is_world_consistent(), "all is well");
        need(destroy_sandbox("a"), "destroy");
}

static void test_no_start(void)
{
        need(cool_template("base"), "cool");
        fake_host_fail_next("hypervisor_create_domain", FAULT_HYPERVISOR_FAILED);
        is_refused(warm_template("base", 0, 0), FAULT_HYPERVISOR_FAILED,
                   "a template whose guest cannot be started is not warm, and why is told");
        tap_is_int(count_hidden(PURPOSE_WARM), 0, "what was begun is gone");
        tap_ok(is_world_consistent(), "all is well");
}

static void test_killed_builder(void)
{
        need(cool_template("base"), "cool");
        fake_host_set_agents(false);
        need(template_warm(get_template("base"), &fixture.caller, 0, 0, fresh_fault()), "warm");
        settle();
        restart_manager();
        fake_host_set_agents(true);
        tap_ok(until_warm("base"), "an image that an earlier daemon had begun is made anew");
        tap_is_int(count_hidden(PURPOSE_WARM), 1, "once");
        tap_ok(is_world_consistent(), "all is well");
}

/* -- cooling ---------------------------------------------------------------------------------- */

static void test_cool(const char *before)
{
        g_autofree char *last = NULL;

        is_done(create_sandbox("a"), "a copy is made");
        is_done(cool_template("base"), "a template is made cold");
        tap_ok(!warmth_of("base").is_warm && count_hidden(PURPOSE_WARM) == 0,
               "its images are gone");
        last = last_audit("template.cool");
        tap_is_str(last, "done", "the trail tells of it");
        tap_is_str(state_of("a"), "ready", "copies stay");
        is_done(stop_sandbox("a", true), "and have all that they need");
        is_done(start_sandbox("a"), "to boot");
        need(destroy_sandbox("a"), "destroy");
        (void) is_same_world(before, "then nothing of the warmth is left");
        is_done(cool_template("base"), "what is cold can be made cold");
        is_done(create_sandbox("a"), "a sandbox boots then");
        tap_is_str(row_of("a")->started_from, "boot", "and no image is made for it");
        tap_is_int(count_hidden(PURPOSE_WARM), 0, "none at all");
        need(destroy_sandbox("a"), "destroy");
}

static void test_cool_while_it_is_made(const char *before)
{
        Template *t = get_template("base");
        Outcome cooled = {0}, warmed = {0};

        need(template_warm(t, &fixture.caller, 0, 0, fresh_fault()), "warm");
        need(template_wait_warm(t, PATIENCE_USEC, on_outcome, &warmed, &fixture.fault), "wait");
        until(has_builder, NULL);
        is_done(finish(template_cool(t, &fixture.caller, on_outcome, &cooled, fresh_fault()),
                       &cooled),
                "a template is made cold while its image is made");
        is_refused(finish(0, &warmed), FAULT_CANCELLED, "whoever waits for that hears of it");
        (void) is_same_world(before, "and nothing is left");
        tap_ok(is_trail_paired(), "both are told to their end");
}

static void test_remove(const char *before)
{
        prepare_warm();
        is_done(create_sandbox("a"), "a copy is made");
        is_refused(remove_template("base"), FAULT_IN_USE,
                   "a warm template with a sandbox is not removed");
        tap_ok(warmth_of("base").is_warm, "and stays warm");
        need(destroy_sandbox("a"), "destroy");
        is_done(remove_template("base"), "one without is");
        (void) is_same_world(before, "with its images");
        tap_ok(is_trail_paired(), "all that was begun has ended");
}

int main(void)
{
        g_autofree char *nothing = NULL, *cold = NULL;

        start_fixture(settings);
        nothing = describe_world();
        test_making();
        test_again();
        test_hidden();
        test_quota();
        test_copies();
        test_reboot();
        test_not_before_it_is_itself();
        test_restart_before_it_is_itself();
        test_boots();
        test_sizes();
        test_one_at_a_time();
        test_upgrade();
        test_upgrade_under_way();
        test_damaged();
        test_no_boot();
        test_no_start();
        test_killed_builder();
        need(cool_template("base"), "cool");
        cold = describe_world();
        prepare_warm();
        test_cool(cold);
        test_cool_while_it_is_made(cold);
        test_remove(nothing);
        stop_fixture();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */

/* Pools: sandboxes that are ready before anybody asks for them. */

#include "tests/core/memory.h"

static const char settings[] = "stop_timeout = 0s\npool_memory_max = 2G\n";

static void prepare_pool(unsigned n)
{
        prepare_warm();
        need(set_pool("base", n), "pool");
        if (!until_pool(n))
                tap_bail_out("the pool is not filled");
}

static void end_pool(void)
{
        need(cool_template("base"), "cool");
        settle();
}

/* -- filling ---------------------------------------------------------------------------------- */

static unsigned count_coming(void)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_SANDBOX);
        unsigned n = 0;

        for (guint i = 0; i < list->len; i++) {
                const Sandbox *s = list->pdata[i];

                n += g_str_equal(s->row->purpose, PURPOSE_POOL) && s->state != SANDBOX_READY;
        }
        return n;
}

static void test_filling(void)
{
        unsigned most = 0;
        uint64_t end = now_monotonic_usec() + PATIENCE_USEC;

        prepare_warm();
        is_done(set_pool("base", 0), "a pool may be empty");
        tap_is_int(count_hidden(PURPOSE_POOL), 0, "nothing is made for it");
        need(template_set_pool(get_template("base"), &fixture.caller, 3, fresh_fault()), "pool");
        while (!is_pool_ready(GUINT_TO_POINTER(3)) && now_monotonic_usec() < end) {
                most = MAX(most, count_coming());
                need(sd_event_run(fixture.event, 100 * USEC_PER_MSEC), "sd_event_run");
        }
        tap_ok(until_pool(3), "a pool is filled");
        tap_is_int(most, 1, "one after the other");
        tap_ok(warmth_of("base").pool == 3 && warmth_of("base").pool_ready == 3, "and says so");
        tap_ok(count_audit("template.pool", "done", NULL) == 2 && is_trail_paired(),
               "the trail tells of who asked");
        tap_is_int(manager_capacity(fixture.manager).sandboxes, 0, "its sandboxes are nobody's");
        tap_ok(is_world_consistent(), "they are known to nobody, and each is another guest");
        restart_manager();
        tap_ok(until_pool(3) && is_world_consistent(), "a restart keeps it");
        is_done(set_pool("base", 1), "a smaller one is asked for");
        tap_ok(until_pool(1), "and the rest goes");
        is_done(set_pool("base", 0), "none is asked for");
        tap_ok(until_pool(0), "and all goes");
        tap_ok(warmth_of("base").is_warm, "the template stays warm");
        end_pool();
}

static void test_cold(void)
{
        is_done(set_pool("base", 2), "a template that is not warm can have a pool");
        tap_ok(until_pool(2), "it is made warm first");
        tap_ok(warmth_of("base").is_warm && get_template("base")->row->is_warm, "and stays so");
        end_pool();
        tap_is_int(warmth_of("base").pool, 0, "to make it cold ends the pool");
        tap_is_int(fake_host_domains(), 0, "and all of it is gone");
}

static void test_memory(void)
{
        prepare_warm();
        is_refused(set_pool("base", 5), FAULT_LIMITS_EXCEEDED,
                   "a pool has no more memory than pool_memory_max");
        tap_is_int(warmth_of("base").pool, 0, "and stays as it was");
        need(import_image("other", IMAGE), "import");
        is_done(set_pool("base", 3), "a pool takes some");
        tap_ok(until_pool(3), "and is filled");
        is_done(set_pool("other", 3), "another one");
        settle();
        until_warm("other");
        settle();
        tap_is_int(warmth_of("other").pool_ready, 1, "is filled with what is left");
        end_pool();
        tap_ok(is_world_consistent(), "all is well");
        need(remove_template("other"), "remove");
}

/* -- handing out ------------------------------------------------------------------------------ */

static void test_claim(void)
{
        SandboxSpec spec = {.name = "web_1",
                            .agent = "ada",
                            .template = "base",
                            .labels = "{\"a\":\"b\"}",
                            .ttl_usec = 3600 * USEC_PER_SEC,
                            .idle_timeout_usec = 1800 * USEC_PER_SEC};
        uint64_t before = now_realtime_usec();
        g_autofree char *last = NULL, *machine_id = NULL;
        const SandboxRow *row;
        const Sandbox *member;
        Sandbox *s;
        Id id;

        prepare_pool(2);
        member = find_hidden(PURPOSE_POOL);
        id = member->row->id;
        machine_id = g_strdup(fake_host_identity(id.text)->machine_id);
        tap_ok(!g_hash_table_contains(fixture.known, member), "nobody knows what is in a pool");
        is_done(sandbox_create(fixture.manager, &fixture.caller, &spec, &s, fresh_fault()),
                "a sandbox is asked for");
        tap_is_str(s->row->id.text, id.text, "it is the oldest of the pool");
        tap_ok(g_hash_table_contains(fixture.known, s), "now it is known");
        tap_is_str(sandbox_state_to_string(s->state), "starting", "but not ready yet");
        is_done(wait_sandbox(s, "ready"), "it becomes so");
        row = s->row;
        tap_ok(g_str_equal(row->name, "web_1") && row->owner_uid == 1000 &&
                       g_str_equal(row->agent, "ada") && g_str_equal(row->labels, "{\"a\":\"b\"}"),
               "it has the name, the owner, the agent and the labels");
        tap_ok(row->created_usec >= before &&
                       row->expires_usec - row->created_usec == spec.ttl_usec &&
                       row->idle_timeout_usec == spec.idle_timeout_usec,
               "and the time that was asked for, from now on");
        tap_is_str(row->started_from, "pool", "it says where it is from");
        tap_is_str(identity_of("web_1")->hostname, "web-1", "the guest has the hostname");
        tap_ok(g_str_equal(identity_of("web_1")->machine_id, machine_id) &&
                       identity_of("web_1")->renewals == 1,
               "and had its own identity before");
        is_memory("web_1", WARM, "it is a copy of the booted guest");
        last = last_audit("sandbox.create");
        tap_is_str(last, "done", "the trail tells who made it");
        tap_is_int(count_audit("sandbox.create", "begin", NULL), 1,
                   "and of none that was made for the pool");
        tap_ok(until_pool(2), "the pool is filled again");
        tap_ok(is_world_consistent(), "all is well");
        is_done(take_snapshot("web_1", "s"), "it is like any other");
        is_done(restore_snapshot("web_1", "s"), "and can be restored");
        is_done(stop_sandbox("web_1", true), "and stopped");
        is_done(destroy_sandbox("web_1"), "and destroyed");
        end_pool();
}

static void test_once(void)
{
        SandboxSpec spec = {.template = "base"};
        Sandbox *a = NULL, *b = NULL, *c = NULL;

        prepare_pool(2);
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &a, fresh_fault()), "create");
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &b, fresh_fault()), "create");
        need(sandbox_create(fixture.manager, &fixture.caller, &spec, &c, fresh_fault()), "create");
        tap_ok(a != b && b != c && a != c, "whoever asks at the same time gets another one");
        need(wait_sandbox(a, "ready"), "wait");
        need(wait_sandbox(b, "ready"), "wait");
        need(wait_sandbox(c, "ready"), "wait");
        tap_ok(g_str_equal(a->row->started_from, "pool") &&
                       g_str_equal(b->row->started_from, "pool"),
               "of the pool, as far as it goes");
        tap_is_str(c->row->started_from, "memory", "and a copy of its own then");
        tap_ok(until_pool(2) && is_world_consistent(), "the pool is filled again");
        end_pool();
        need(destroy_sandbox(a->row->name), "destroy");
        need(destroy_sandbox(b->row->name), "destroy");
        need(destroy_sandbox(c->row->name), "destroy");
}

static void test_not_handed_out(void)
{
        prepare_pool(1);
        is_done(create_from(&(SandboxSpec){.name = "a", .template = "base", .vcpus = 2}),
                "whoever asks for another size");
        tap_is_str(row_of("a")->started_from, "boot", "gets nothing of the pool");
        is_done(create_from(&(SandboxSpec){.name = "b", .template = "base", .boots = true}),
                "and whoever asks for a boot");
        tap_is_str(row_of("b")->started_from, "boot", "gets that");
        is_refused(create_from(&(SandboxSpec){.name = "b", .template = "base"}), FAULT_EXISTS,
                   "whoever may not have one gets none");
        settle();
        tap_ok(until_pool(1), "the pool is as it was");
        end_pool();
        need(destroy_sandbox("a"), "destroy");
        need(destroy_sandbox("b"), "destroy");
}

/* One whose agent does not answer would be no gain. */
static void test_dead_member(void)
{
        Id id;

        prepare_pool(1);
        id = find_hidden(PURPOSE_POOL)->row->id;
        fake_host_set_agent(id.text, false);
        settle();
        is_done(create_sandbox("a"), "a sandbox is asked for while the pool's does not answer");
        tap_ok(!g_str_equal(row_of("a")->id.text, id.text), "it is another one");
        end_pool();
        need(destroy_sandbox("a"), "destroy");
}

static void test_restart_while_handed_out(void)
{
        Sandbox *s;
        Id id;

        prepare_pool(1);
        id = find_hidden(PURPOSE_POOL)->row->id;
        need(sandbox_create(fixture.manager, &fixture.caller,
                            &(SandboxSpec){.name = "a", .template = "base"}, &s, fresh_fault()),
             "create");
        restart_manager();
        tap_ok(get_sandbox("a") && g_str_equal(id_of("a"), id.text),
               "one that was handed out stays its owner's when the daemon is restarted");
        tap_is_str(state_of("a"), "ready", "and gets ready");
        tap_is_str(identity_of("a")->hostname, "a", "with its hostname");
        tap_ok(until_pool(1), "the pool is filled again");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        end_pool();
        need(destroy_sandbox("a"), "destroy");
}

/* -- what becomes of it ----------------------------------------------------------------------- */

static void test_member_lost(void)
{
        Id id;

        prepare_pool(2);
        id = find_hidden(PURPOSE_POOL)->row->id;
        fake_host_set_domain(id.text, DOMAIN_SHUT_OFF);
        settle();
        tap_ok(until_pool(2) && fake_host_domain(id.text) == DOMAIN_ABSENT,
               "one that switched itself off is replaced");
        tap_ok(is_world_consistent(), "all is well");
        end_pool();
}

static bool has_failed_member(G_GNUC_UNUSED void *userdata)
{
        return get_template("base")->pool_retry_usec > now_monotonic_usec();
}

static void test_failing(void)
{
        unsigned calls;

        prepare_warm();
        fake_host_set_identity(false);
        need(set_pool("base", 2), "pool");
        tap_ok(until(has_failed_member, NULL), "where one cannot be made there is a pause");
        settle();
        tap_is_int(count_hidden(PURPOSE_POOL), 0, "what failed is gone");
        fake_host_fail_nth(0, FAULT_NONE);
        pool_tend(get_template("base"));
        settle();
        (void) sd_event_run(fixture.event, 50 * USEC_PER_MSEC);
        settle();
        calls = fake_host_calls();
        tap_ok(calls < 5, "and nothing is tried meanwhile");
        fake_host_set_identity(true);
        is_done(set_pool("base", 2), "but when it is asked for");
        tap_ok(until_pool(2), "and then it can be filled");
        end_pool();
}

static void test_new_image(void)
{
        Id old;

        prepare_pool(2);
        old = find_hidden(PURPOSE_POOL)->row->id;
        fake_host_set_abi("QEMU 8.0, libvirt 9.0.0, qemu");
        restart_manager();
        until_warm("base");
        tap_ok(until_pool(2), "there is a pool also of the image that takes another's place");
        tap_is_int(fake_host_domain(old.text), DOMAIN_ABSENT, "the one of before is gone");
        tap_ok(is_world_consistent(), "all is well");
        end_pool();
        fake_host_set_abi(NULL);
        restart_manager();
}

static bool has_shrunk(G_GNUC_UNUSED void *userdata)
{
        return is_pool_ready(GUINT_TO_POINTER(1));
}

static void test_idle(void)
{
        Template *t;

        prepare_pool(3);
        t = get_template("base");
        t->pool_taken_usec = now_monotonic_usec() - 2 * fixture.manager->config->pool_idle_usec;
        pool_tend(t);
        tap_ok(until(has_shrunk, NULL), "a pool of which nothing is taken shrinks to one");
        settle();
        is_done(create_sandbox("a"), "when one is taken");
        tap_is_str(row_of("a")->started_from, "pool", "from it");
        tap_ok(count_hidden(PURPOSE_POOL) == 0 || t->pool_refill_usec <= now_monotonic_usec(),
               "at first nothing is started beside it");
        tap_ok(until_pool(3), "it grows again");
        end_pool();
        need(destroy_sandbox("a"), "destroy");
}

static void test_remove(const char *before)
{
        prepare_pool(2);
        is_done(remove_template("base"), "a template with a pool can be removed");
        (void) is_same_world(before, "with all that was made for it");
        tap_ok(is_trail_paired(), "all that was begun has ended");
}

int main(void)
{
        g_autofree char *nothing = NULL;

        start_fixture(settings);
        nothing = describe_world();
        test_filling();
        test_cold();
        test_memory();
        test_claim();
        test_once();
        test_not_handed_out();
        test_dead_member();
        test_restart_while_handed_out();
        test_member_lost();
        test_failing();
        test_new_image();
        test_idle();
        test_remove(nothing);
        stop_fixture();
        return tap_done();
}

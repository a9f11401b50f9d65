/* SPDX-License-Identifier: MIT */
#pragma once

/* An operation with each of its calls into the host failing once, with each answer of libvirt lost
 * once, and with each commit of the store failing once. */

#include "tests/core/operations.h"

static inline void begin_anew(const Operation *op)
{
        if (fixture.directory)
                stop_fixture();
        start_fixture(operation_settings);
        write_program("#!/bin/sh\n");
        op->prepare();
}

static inline bool is_sound(const Operation *op)
{
        bool is_consistent = is_world_consistent();
        bool is_kept = !op->keeps_data || has_data("web");
        bool is_remembered = !op->keeps_memory || has_memory("web");

        if (!is_kept)
                tap_note("what the guest wrote is lost");
        if (!is_remembered)
                tap_note("what the guest had in its memory is lost");
        return is_consistent && is_kept && is_remembered;
}

/* -- a call fails ----------------------------------------------------------------------------- */

static inline bool has_failed_command(void)
{
        g_autoptr(GPtrArray) commands = manager_list(fixture.manager, OBJECT_COMMAND);

        return commands->len == 1 && g_str_equal(command_row(commands->pdata[0])->state, "failed");
}

static inline bool is_begun_branch(void)
{
        const Sandbox *s = get_sandbox("web");
        g_autoptr(GPtrArray) snapshots = s ? snapshot_list(s) : g_ptr_array_new();

        for (guint i = 0; i < snapshots->len; i++) {
                const Snapshot *snapshot = snapshots->pdata[i];
                if (g_str_has_prefix(snapshot->row->name, "branch-"))
                        return !get_sandbox("new");
        }
        return false;
}

/* A verification that came to nothing leaves that, and nothing else. */
static inline bool has_failed_verification(void)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_PLAYBOOK);

        return list->len == 1 && g_str_equal(playbook_row(list->pdata[0])->verified, "failed");
}

/* Ends that are documented: what was moved but not booted is stopped, what has no channel to its
 * agent is "failed", a command that failed can be looked at, and what could not be destroyed stays
 * "destroying" until it is asked for anew. */
static inline bool ends_as_documented(const Operation *op)
{
        if (g_str_equal(op->kind, "sandbox.destroy"))
                return g_str_equal(state_of("web"), "destroying") && op->attempt() >= 0;
        if (g_str_equal(op->kind, "playbook.verify"))
                return has_failed_verification();
        /* What is kept warm, or in a pool, is tried again, and what goes by itself goes later. */
        if (g_str_has_prefix(op->kind, "template.") && !g_str_equal(op->kind, "template.import"))
                return op->attempt() >= 0 && (!op->is_done || op->is_done());
        /* The guest was off already: it has to boot. */
        if (g_str_equal(op->kind, "snapshot.restore") && is_ready_now())
                return true;
        /* That was done, but nobody could see it. */
        if (g_str_equal(op->kind, "sandbox.pause") || g_str_equal(op->kind, "sandbox.resume"))
                return has_memory("web");
        /* A chain was made short before, and a branch of now has its point first: both stay. */
        if (g_str_equal(op->kind, "snapshot.create") && get_sandbox("web")->row->is_flat)
                return !is_taken();
        if (is_begun_branch())
                return true;
        return (g_str_equal(op->kind, "snapshot.restore") && is_restored()) ||
               (g_str_equal(op->kind, "sandbox.create") &&
                g_str_equal(state_of("new"), "failed")) ||
               (g_str_equal(op->kind, "sandbox.start") && g_str_equal(state_of("web"), "failed")) ||
               (g_str_equal(op->kind, "command.exec") && has_failed_command());
}

/* What was begun has ended in the trail. */
static inline bool is_told(const Operation *op, unsigned rows_before, bool may_be_done)
{
        unsigned rows = count_audit(op->kind, NULL, NULL) - rows_before;
        g_autofree char *last = last_audit(op->kind);

        if (is_trail_paired() &&
            (rows == 0 || (rows == 2 && (may_be_done || g_str_has_prefix(last, "failed ")))))
                return true;
        tap_note("the trail has %u rows more, and ends with '%s'", rows, last);
        return false;
}

typedef struct Attempt {
        unsigned calls;
        bool was_done, has_changed;
} Attempt;

static inline Attempt fail_call(const Operation *op, unsigned n)
{
        g_autofree char *before = describe_world(), *after = NULL, *why = NULL;
        unsigned rows = count_audit(op->kind, NULL, NULL);
        Attempt a = {0};

        fake_host_fail_nth(n, FAULT_HYPERVISOR_FAILED);
        a.was_done = op->attempt() >= 0;
        why = g_strdup(fixture.fault.message);
        a.calls = fake_host_calls();
        fake_host_fail_nth(0, FAULT_NONE);
        settle();
        settle_networks();
        after = describe_world();
        a.has_changed = !g_str_equal(before, after);
        if (a.calls < n)
                return a;
        bool is_right = is_told(op, rows, a.was_done || a.has_changed) &&
                        (a.was_done || !a.has_changed || ends_as_documented(op)) && is_sound(op);
        if (!tap_ok(is_right, "call %u of %s fails: %s", n, op->name,
                    a.was_done      ? "it is done all the same"
                    : a.has_changed ? "it ends as documented"
                                    : "it is as if it had never begun")) {
                show_difference(before, after);
                tap_note("%s", why);
        }
        return a;
}

static inline void test_every_call(const Operation *op)
{
        Attempt a = {.has_changed = true};

        for (unsigned n = 1;; n++) {
                if (a.has_changed || a.was_done)
                        begin_anew(op);
                a = fail_call(op, n);
                if (a.calls >= n)
                        continue;
                tap_ok(a.was_done && (!op->is_done || op->is_done()) && is_sound(op),
                       "%s works after %u failures", op->name, n - 1);
                return;
        }
}

/* -- libvirtd goes away ----------------------------------------------------------------------- */

/* It did what it was asked for, but nobody heard. */
static inline bool lose_answer(const Operation *op, unsigned n, bool restarts)
{
        unsigned calls;

        begin_anew(op);
        fake_host_lose_nth(n);
        (void) op->attempt();
        calls = fake_host_calls();
        fake_host_fail_nth(0, FAULT_NONE);
        settle();
        if (restarts)
                stop_manager();
        fake_host_set_connected(true);
        if (restarts)
                start_manager();
        settle();
        settle_networks();
        if (!is_sound(op)) {
                tap_note("answer %u is lost%s", n, restarts ? ", and the daemon restarted" : "");
                tap_ok(false, "an answer is lost in %s: all is well when libvirtd is back",
                       op->name);
        }
        return calls >= n;
}

static inline void test_every_answer(const Operation *op)
{
        unsigned n = 1;

        while (lose_answer(op, n, false) && lose_answer(op, n, true))
                n++;
        tap_ok(is_trail_paired(), "each of %u answers was lost in %s", n - 1, op->name);
}

/* -- the store fails -------------------------------------------------------------------------- */

/* What a commit that fails leaves half-done is put right at the next start. */
static inline bool fail_commit(const Operation *op, unsigned n)
{
        unsigned made;

        begin_anew(op);
        arm_commits(false, n);
        (void) op->attempt();
        made = commits.n;
        arm_commits(false, 0);
        settle();
        restart_manager();
        settle_networks();
        if (!is_sound(op)) {
                tap_note("commit %u: %s", n, fixture.fault.message);
                tap_ok(false, "a commit fails in %s: all is well at the next start", op->name);
        }
        return made >= n;
}

static inline void test_every_commit(const Operation *op)
{
        unsigned n = 1;

        while (fail_commit(op, n))
                n++;
        tap_ok(n > 1, "each of %u commits has failed in %s", n - 1, op->name);
}

/* The table's, one after the other. */
static inline void test_operations(const Operation *list, size_t n)
{
        watch_commits();
        for (size_t i = 0; i < n; i++)
                test_every_call(list + i);
        for (size_t i = 0; i < n; i++)
                test_every_answer(list + i);
        for (size_t i = 0; i < n; i++)
                test_every_commit(list + i);
        stop_fixture();
}

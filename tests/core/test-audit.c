/* SPDX-License-Identifier: MIT */

/* The trail: what is refused, who may read it, and that nothing happens without it. */

#include "tests/core/operations.h"

#include "tests/core/trail.h"

static const char settings[] = "stop_timeout = 0s\n";

/* -- refusals --------------------------------------------------------------------------------- */

static void test_refusals(void)
{
        Caller caller = {.uid = 1000, .text = "test[1]"};
        AuditEntry *entry = NULL;
        Fault f = {0};

        (void) fault_set(&f, FAULT_DENIED, "it is not yours");
        audit_refuse(fixture.manager, &caller, "sandbox.stop", "/x", &f);
        tap_is_int(count_audit("sandbox.stop", "refused", "AccessDenied"), 1,
                   "a call that is turned down is in the trail");
        audit_refuse(fixture.manager, &caller, "sandbox.stop", "/x", &f);
        tap_is_int(count_audit("sandbox.stop", NULL, NULL), 1, "once");

        caller.is_audited = false;
        is_done(audit_begin(fixture.manager, &caller, "sandbox.start", "/x", NULL, &entry,
                            fresh_fault()),
                "a call begins");
        audit_refuse(fixture.manager, &caller, "sandbox.start", "/x", &f);
        tap_is_int(count_audit("sandbox.start", "refused", NULL), 0,
                   "one that has begun is not turned down as well");
        tap_ok(!audit_end(entry, fault_to_errno(FAULT_BUSY), NULL), "it ends");
        tap_is_int(count_audit("sandbox.start", "failed", "Internal"), 1,
                   "without a reason as a mistake of ours");
        tap_ok(!audit_end(NULL, 0, NULL), "what was not begun has no end");
}

/* Where the beginning cannot be written nothing happens. */
static void test_no_row_no_effect(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
                const Operation *op = operations + i;
                g_autofree char *before = NULL, *after = NULL;
                unsigned rows;
                bool is_same;
                int r;

                stop_fixture();
                start_fixture(settings);
                op->prepare();
                before = describe_world();
                rows = count_audit(NULL, NULL, NULL);
                arm_commits(false, 1);
                r = op->attempt();
                arm_commits(false, 0);
                settle();
                after = describe_world();
                is_same = g_str_equal(before, after);
                if (!tap_ok(r < 0 && is_same && count_audit(NULL, NULL, NULL) == rows,
                            "%s does not happen where it cannot be written down", op->name))
                        show_difference(before, after);
        }
}

/* -- exporting -------------------------------------------------------------------------------- */

static unsigned count_lines(const Caller *caller, const AuditQuery *query, int *ret)
{
        g_autofree char *seqs = exported_seqs(caller, query);
        g_auto(GStrv) numbers = g_strsplit(seqs, " ", -1);

        *ret = g_str_equal(seqs, "refused") || g_str_equal(seqs, "broken") ? -1 : 0;
        return *ret < 0 || !*seqs ? 0 : g_strv_length(numbers);
}

static void test_export(void)
{
        const Caller root = {.uid = 0}, own = {.uid = 1000}, other = {.uid = 1001};
        unsigned all;
        int r;

        stop_fixture();
        start_fixture(settings);
        (void) ready_sandbox("web");
        fixture.caller.uid = 1001;
        need(create_sandbox("web"), "create");
        fixture.caller.uid = 1000;
        all = count_audit(NULL, NULL, NULL);
        tap_ok(count_lines(&root, &(AuditQuery){0}, &r) == all && r == 0,
               "root reads the whole trail, as lines of JSON");
        unsigned hers = count_lines(&other, &(AuditQuery){0}, &r);
        tap_ok(hers == 4 && r == 0,
               "a user her own calls, and what became of her sandbox by itself");
        tap_ok(count_lines(&own, &(AuditQuery){0}, &r) == all - hers && r == 0, "and another his");
        (void) count_lines(&other, &(AuditQuery){.has_caller_uid = true, .caller_uid = 1000}, &r);
        tap_ok(r < 0 && fixture.fault.code == FAULT_DENIED,
               "nobody but root may ask for those of others");
        tap_ok(count_lines(&root, &(AuditQuery){.has_caller_uid = true, .caller_uid = 1001}, &r) ==
                       2,
               "root may");
        tap_ok(count_lines(&root, &(AuditQuery){.kind = "template.import"}, &r) == 2,
               "rows can be asked for by kind");
        tap_ok(count_lines(&root, &(AuditQuery){.object = get_sandbox("web")->row->id.text}, &r) ==
                       4,
               "by object");
        tap_ok(count_lines(&root, &(AuditQuery){.limit = 3}, &r) == 3, "or the newest so many");
        tap_ok(count_lines(&root, &(AuditQuery){.until_usec = 1}, &r) == 0, "or by time");
        (void) count_lines(&root, &(AuditQuery){.since_usec = 9, .until_usec = 8}, &r);
        tap_ok(r < 0 && fixture.fault.code == FAULT_INVALID_ARGUMENT,
               "a time that ends before it begins is refused");
}

/* A user who asks again and again keeps nobody else from asking. */
static void test_readers(void)
{
        const Caller own = {.uid = 1000}, other = {.uid = 1001};
        Exported e[AUDIT_READERS_PER_UID_MAX + 2] = {{0}};
        unsigned n = 0, ended = 0;
        int r;

        while (n < G_N_ELEMENTS(e) - 1 &&
               audit_export(fixture.manager, &own, &(AuditQuery){.limit = 2}, on_exported, &e[n],
                            fresh_fault()) >= 0)
                n++;
        tap_ok(n == AUDIT_READERS_PER_UID_MAX && fixture.fault.code == FAULT_LIMITS_EXCEEDED,
               "a user may ask %u times at once", n);
        r = audit_export(fixture.manager, &other, &(AuditQuery){.limit = 2}, on_exported, &e[n],
                         fresh_fault());
        tap_is_int(r, 0, "which does not count for others");
        settle();
        for (unsigned i = 0; i <= n; i++) {
                ended += e[i].has_ended && e[i].r >= 0;
                g_free(e[i].text);
        }
        tap_is_int(ended, n + 1, "all are answered");
        tap_ok(count_lines(&own, &(AuditQuery){.limit = 2}, &r) == 2, "and may ask again");
}

/* What fluid does by itself is told, too. */
static void test_own_caller(void)
{
        Caller own = manager_own_caller();

        tap_ok(own.uid == 0 && g_str_equal(own.text, "fluid-hostd"),
               "what fluid does by itself has its name in the trail");
}

int main(void)
{
        watch_commits();
        start_fixture(settings);
        test_refusals();
        test_no_row_no_effect();
        test_export();
        test_readers();
        test_own_caller();
        stop_fixture();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */
#include "tests/store/rows.h"

#include "tests/store/bad-disk.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

static char *directory;

/* -- rows as text --------------------------------------------------------------------------- */

static char *describe_template(const TemplateRow *t)
{
        GString *text = g_string_new(NULL);

        g_string_printf(text,
                        "%s %s %s %s %s %" PRIu64 " %s %s %s %s %s %u %" PRIu64 " %" PRIu64
                        " %u %d %u",
                        t->id.text, t->name, t->state, t->source, t->sha256, t->size_bytes,
                        t->kernel, t->initrd, t->cmdline, t->nvram, t->blueprint, t->vcpus,
                        t->memory_bytes, t->created_usec, t->owner_uid, t->is_warm, t->pool);
        for (unsigned i = 0; i < t->disks->len; i++) {
                TemplateDiskRow *d = t->disks->pdata[i];
                g_string_append_printf(text, " [%s %s %s %" PRIu64 " %" PRIu64 " %" PRId64 "]",
                                       d->target, d->path, d->format, d->virtual_size_bytes,
                                       d->file_size_bytes, d->mtime_nsec);
        }
        return g_string_free(text, FALSE);
}

static char *describe_sandbox(const SandboxRow *s)
{
        return g_strdup_printf(
                "%s %s %s %u '%s' %s %s %s %s %u %u %d '%s' %d %u %" PRIu64 " %" PRIu64 " %" PRIu64
                " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %u %s %s",
                s->id.text, s->name, s->agent, s->owner_uid, s->purpose, s->state, s->reason,
                s->template_id.text, s->head_snapshot_id.text, s->layer, s->next_layer, s->is_flat,
                s->started_from, s->needs_identity, s->vcpus, s->memory_bytes, s->boot_timeout_usec,
                s->idle_timeout_usec, s->created_usec, s->expires_usec, s->paused_usec,
                s->held_usec, s->network, s->address_number, s->ports, s->labels);
}

static char *describe_snapshot(const SnapshotRow *s)
{
        return g_strdup_printf("%s %s %s %s %u %s %s %s %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %d",
                               s->id.text, s->sandbox_id.text, s->name, s->parent_id.text, s->layer,
                               s->state, s->consistency, s->reason, s->size_bytes, s->created_usec,
                               s->memory_abi, s->memory_bytes, s->is_flat);
}

static char *describe_command(const CommandRow *c)
{
        return g_strdup_printf("%s %s %s %s %s %d %d %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                               " %" PRIu64 " %d %d %" PRIu64 " %" PRIu64,
                               c->id.text, c->sandbox_id.text, c->argv, c->state, c->reason,
                               c->exit_status, c->signal, c->pid, c->output_max, c->deadline_usec,
                               c->stdout_bytes, c->stderr_bytes, c->stdout_truncated,
                               c->stderr_truncated, c->started_usec, c->ended_usec);
}

static char *describe_approval(const ApprovalRow *a)
{
        return g_strdup_printf("%s %s %s %s %s %s %s %s %s %s %s %u %s %u %s %" PRIu64 " %" PRIu64
                               " %d %" PRIu64 " %u %s %s %s %" PRIu64,
                               a->id.text, a->action, a->state, a->reason, a->urgency, a->agent,
                               a->sandbox_id.text, a->content, a->sha256, a->requested_content,
                               a->requested_sha256, a->requester_uid, a->requester,
                               a->requester_login_uid, a->requester_session, a->created_usec,
                               a->expires_usec, a->is_notified, a->decided_usec, a->decided_by_uid,
                               a->decided_by, a->comment, a->alternative, a->ended_usec);
}

static char *describe_playbook(const PlaybookRow *p)
{
        return g_strdup_printf("%s %s %s %s %s %s %s %s %s %s %s %" PRIu64 " %" PRIu64
                               " %d %d %u %" PRIu64 " %s %s %" PRIu64 " %s",
                               p->id.text, p->name, p->origin, p->sandbox_id.text, p->sandbox_name,
                               p->agent, p->template_id.text, p->from_name, p->to_name, p->summary,
                               p->sha256, p->size_bytes, p->document_bytes, p->allows_secrets,
                               p->allows_setuid, p->owner_uid, p->created_usec, p->verified,
                               p->verified_reason, p->verified_usec, p->residual);
}

static int count_row(const AuditRow *row, void *userdata)
{
        (void) row;
        ++*(unsigned *) userdata;
        return 0;
}

/* Everything that the store holds. */
static char *describe_store(Store *s)
{
        g_autoptr(GPtrArray) templates = NULL, sandboxes = NULL, snapshots = NULL, commands = NULL,
                             approvals = NULL, playbooks = NULL;
        GString *text = g_string_new(NULL);
        unsigned audits = 0;

        if (store_load_templates(s, &templates, NULL) < 0 ||
            store_load_sandboxes(s, &sandboxes, NULL) < 0 ||
            store_load_snapshots(s, &snapshots, NULL) < 0 ||
            store_load_commands(s, &commands, NULL) < 0 ||
            store_load_approvals(s, &approvals, NULL) < 0 ||
            store_load_playbooks(s, &playbooks, NULL) < 0 ||
            store_query_audit(s, &(AuditFilter){0}, count_row, &audits, NULL) < 0)
                tap_bail_out("cannot read the store");
#define DESCRIBE(rows, describe) \
        for (unsigned i = 0; i < rows->len; i++) { \
                g_autofree char *line = describe(rows->pdata[i]); \
                g_string_append_printf(text, "%s\n", line); \
        }
        DESCRIBE(templates, describe_template)
        DESCRIBE(sandboxes, describe_sandbox)
        DESCRIBE(snapshots, describe_snapshot)
        DESCRIBE(commands, describe_command)
        DESCRIBE(approvals, describe_approval)
        DESCRIBE(playbooks, describe_playbook)
#undef DESCRIBE
        g_string_append_printf(text, "%u audit rows\n", audits);
        return g_string_free(text, FALSE);
}

/* Puts template 1, sandbox 11 on it, its snapshots 21 and 22, its command 31,
 * approval 41 about it, and playbook 51 of it. */
static void put_one_of_each(Store *s)
{
        g_autoptr(TemplateRow) template = new_template(1);
        g_autoptr(SandboxRow) sandbox = new_sandbox(11, 1);
        g_autoptr(SnapshotRow) first = new_snapshot(21, 11), second = new_snapshot(22, 11);
        g_autoptr(CommandRow) command = new_command(31, 11);
        g_autoptr(ApprovalRow) approval = new_approval(41, 11);
        g_autoptr(PlaybookRow) playbook = new_playbook(51, 11);

        second->parent_id = id_of(21);
        if (store_put_template(s, template, NULL) < 0 || store_put_sandbox(s, sandbox, NULL) < 0 ||
            store_put_snapshot(s, first, NULL) < 0 || store_put_snapshot(s, second, NULL) < 0 ||
            store_put_command(s, command, NULL) < 0 || store_put_approval(s, approval, NULL) < 0 ||
            store_put_playbook(s, playbook, NULL) < 0)
                tap_bail_out("cannot put rows");
        sandbox->head_snapshot_id = id_of(22);
        if (store_put_sandbox(s, sandbox, NULL) < 0)
                tap_bail_out("cannot put the head");
}

/* -- rows ----------------------------------------------------------------------------------- */

static void test_round_trips(void)
{
        g_autoptr(TemplateRow) template = new_template(1);
        g_autoptr(SandboxRow) sandbox = new_sandbox(11, 1);
        g_autoptr(SnapshotRow) first = new_snapshot(21, 11), second = new_snapshot(22, 11);
        g_autoptr(CommandRow) command = new_command(31, 11);
        g_autoptr(ApprovalRow) approval = new_approval(41, 11);
        g_autoptr(ApprovalRow) copy = approval_row_copy(approval);
        g_autoptr(PlaybookRow) playbook = new_playbook(51, 11);
        g_autoptr(PlaybookRow) playbook_copy = playbook_row_copy(playbook);
        g_autoptr(Store) s = open_store(directory, "rows");

        put_one_of_each(s);
        second->parent_id = id_of(21);
        sandbox->head_snapshot_id = id_of(22);
        g_autofree char *a = describe_template(template), *b = describe_sandbox(sandbox);
        g_autofree char *c = describe_snapshot(first), *d = describe_snapshot(second);
        g_autofree char *e = describe_command(command), *h = describe_approval(approval);
        g_autofree char *copied = describe_approval(copy), *i = describe_playbook(playbook);
        g_autofree char *copied_playbook = describe_playbook(playbook_copy);
        g_autofree char *expected =
                g_strdup_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s\n0 audit rows\n", a, b, c, d, e, h, i);
        g_autofree char *got = describe_store(s);
        tap_is_str(got, expected, "every field of every table comes back as it was put");
        tap_is_str(copied, h, "a copy of a row is the same");
        tap_is_str(copied_playbook, i, "and so is a playbook's");

        s = store_free(s);
        s = open_store(directory, "rows");
        g_autofree char *again = describe_store(s);
        tap_is_str(again, expected, "and again after closing and opening");
}

static void test_put_again(void)
{
        g_autoptr(TemplateRow) template = new_template(1);
        g_autoptr(SnapshotRow) hidden = new_snapshot(21, 11);
        g_autoptr(GPtrArray) rows = NULL, snapshots = NULL;
        g_autoptr(Store) s = open_store(directory, "again");

        put_one_of_each(s);
        g_free(template->name);
        template->name = g_strdup("renamed");
        g_ptr_array_set_size(template->disks, 1);
        tap_is_int(store_put_template(s, template, NULL), 0, "a template can be put again");
        tap_is_int(store_load_templates(s, &rows, NULL), 0, "and be loaded");
        g_autofree char *expected = describe_template(template);
        g_autofree char *got = describe_template(rows->pdata[0]);
        tap_is_str(got, expected, "its disks and fields are those of the last time");
        g_clear_pointer(&hidden->name, g_free);
        g_clear_pointer(&hidden->memory_abi, g_free);
        tap_is_int(store_put_snapshot(s, hidden, NULL), 0, "a snapshot may have no name");
        (void) store_load_snapshots(s, &snapshots, NULL);
        tap_is_int(snapshots->len, 2, "putting a template again keeps what stands on it");
        tap_is_str(((SnapshotRow *) snapshots->pdata[0])->name, NULL, "no name comes back as NULL");
        tap_is_str(((SnapshotRow *) snapshots->pdata[0])->memory_abi, NULL,
                   "and so does no memory");
}

static void test_names(void)
{
        g_autoptr(Store) s = open_store(directory, "names");
        g_autoptr(SandboxRow) mine = new_sandbox(11, 1), copy = new_sandbox(12, 1);
        g_autoptr(TemplateRow) template = new_template(2);
        g_autoptr(SnapshotRow) snapshot = new_snapshot(23, 11);
        Fault fault = {0};

        put_one_of_each(s);
        g_free(copy->name);
        copy->name = g_strdup(mine->name);
        tap_is_int(store_put_sandbox(s, copy, &fault), -EEXIST, "an owner has a name once");
        tap_ok(strstr(fault.message, "sandboxes.name") != NULL, "and is told: %s", fault.message);
        copy->owner_uid++;
        tap_is_int(store_put_sandbox(s, copy, NULL), 0, "another owner may have it, too");
        g_free(template->name);
        template->name = g_strdup("template-1");
        tap_is_int(store_put_template(s, template, NULL), -EEXIST, "a template's name is unique");
        g_free(snapshot->name);
        snapshot->name = g_strdup("snapshot-22");
        tap_is_int(store_put_snapshot(s, snapshot, NULL), -EEXIST,
                   "a sandbox has a snapshot name once");
        snapshot->sandbox_id = id_of(12);
        tap_is_int(store_put_snapshot(s, snapshot, NULL), 0, "another sandbox may have it, too");
}

static void test_references(void)
{
        g_autoptr(Store) s = open_store(directory, "references");
        g_autoptr(SandboxRow) stray = new_sandbox(12, 9), branch = new_sandbox(13, 1);
        g_autoptr(CommandRow) command = new_command(32, 99);
        g_autoptr(SnapshotRow) snapshot = new_snapshot(24, 99);
        Fault fault = {0};

        put_one_of_each(s);
        tap_is_int(store_put_sandbox(s, stray, &fault), -ENOENT, "no sandbox without its template");
        tap_note("%s", fault.message);
        tap_is_int(store_put_command(s, command, NULL), -ENOENT, "no command without its sandbox");
        tap_is_int(store_put_snapshot(s, snapshot, NULL), -ENOENT,
                   "no snapshot without its sandbox");
        fault_clear(&fault);
        tap_is_int(store_delete_template(s, id_of(1).text, &fault), -EBUSY,
                   "a template that a sandbox stands on stays");
        tap_is_int(fault.code, FAULT_IN_USE, "and is said to be in use: %s", fault.message);
        tap_is_int(store_delete_snapshot(s, id_of(21).text, NULL), -EBUSY,
                   "a snapshot that another stands on stays");
        tap_is_int(store_delete_snapshot(s, id_of(22).text, NULL), -EBUSY,
                   "a snapshot that is a sandbox's head stays");
        branch->head_snapshot_id = id_of(22);
        tap_is_int(store_put_sandbox(s, branch, NULL), 0,
                   "a branch may stand on another's snapshot");
        tap_is_int(store_delete_sandbox(s, id_of(11).text, NULL), -EBUSY,
                   "a sandbox that a branch stands on stays");
        tap_is_int(store_delete_sandbox(s, branch->id.text, NULL), 0, "the branch goes");
        tap_is_int(store_delete_sandbox(s, id_of(11).text, NULL), 0,
                   "then the sandbox goes with its snapshots and commands");
        tap_is_int(store_delete_approval(s, id_of(41).text, NULL), 0,
                   "what was asked about it stays until it goes by itself");
        tap_is_int(store_delete_playbook(s, id_of(51).text, NULL), 0, "so does its playbook");
        tap_is_int(store_delete_template(s, id_of(1).text, NULL), 0, "then the template goes");
        tap_is_int(store_delete_template(s, id_of(1).text, NULL), 0, "what is gone can be deleted");
        g_autofree char *got = describe_store(s);
        tap_is_str(got, "0 audit rows\n", "nothing is left");
}

static void test_refused_values(void)
{
        g_autoptr(Store) s = open_store(directory, "values");
        g_autoptr(SandboxRow) row = new_sandbox(12, 1);

        put_one_of_each(s);
        g_free(row->state);
        row->state = g_strdup("sleeping");
        tap_is_int(store_put_sandbox(s, row, NULL), -ENOTRECOVERABLE, "no state that is none");
        g_free(row->state);
        row->state = g_strdup("ready");
        g_free(row->labels);
        row->labels = g_strdup("[]");
        tap_is_int(store_put_sandbox(s, row, NULL), -ENOTRECOVERABLE, "no labels but an object");
        g_free(row->labels);
        row->labels = g_strdup("{}");
        g_clear_pointer(&row->reason, g_free);
        tap_is_int(store_put_sandbox(s, row, NULL), 0, "a NULL string is kept as an empty one");
}

/* -- transactions --------------------------------------------------------------------------- */

static void test_transactions(void)
{
        g_autoptr(Store) s = open_store(directory, "transactions");
        g_autoptr(TemplateRow) template = new_template(2), bad = new_template(3);
        AuditRow audit = audit_row("template.import", "/template/2");
        Fault fault = {0};

        put_one_of_each(s);
        g_autofree char *before = describe_store(s);
        tap_is_int(store_begin(s, NULL), 0, "a transaction begins");
        (void) store_put_template(s, template, NULL);
        (void) store_append_audit(s, &audit, NULL);
        (void) store_delete_sandbox(s, id_of(11).text, NULL);
        store_rollback(s);
        g_autofree char *after = describe_store(s);
        tap_is_str(after, before, "rolled back, nothing has changed");
        store_rollback(s);

        (void) store_begin(s, NULL);
        tap_is_int(store_put_template(s, template, NULL), 0, "a good row is put");
        g_free(((TemplateDiskRow *) bad->disks->pdata[1])->format);
        ((TemplateDiskRow *) bad->disks->pdata[1])->format = g_strdup("vmdk");
        tap_ok(store_put_template(s, bad, NULL) < 0, "a template with a bad second disk is not");
        tap_is_int(store_commit(s, NULL), 0, "the transaction is committed");
        g_autoptr(GPtrArray) rows = NULL;
        (void) store_load_templates(s, &rows, NULL);
        tap_is_int(rows->len, 2, "with the good row, and nothing of the bad one");

        g_autofree char *second = describe_store(s);
        (void) store_begin(s, NULL);
        tap_is_int(store_delete_snapshot(s, id_of(21).text, NULL), 0,
                   "within a transaction a reference may dangle");
        tap_is_int(store_commit(s, &fault), -EBUSY, "at its end it may not: %s", fault.message);
        store_rollback(s);
        g_autofree char *third = describe_store(s);
        tap_is_str(third, second, "and nothing has changed");
}

static void test_merge_of_snapshots(void)
{
        g_autoptr(Store) s = open_store(directory, "merge");
        g_autoptr(SnapshotRow) child = new_snapshot(22, 11);
        g_autoptr(GPtrArray) rows = NULL;

        put_one_of_each(s);
        (void) store_begin(s, NULL);
        (void) store_delete_snapshot(s, id_of(21).text, NULL);
        (void) store_put_snapshot(s, child, NULL);
        tap_is_int(store_commit(s, NULL), 0,
                   "a snapshot goes once its child stands on the template");
        (void) store_load_snapshots(s, &rows, NULL);
        tap_is_int(rows->len, 1, "one is left");
}

/* -- failures ------------------------------------------------------------------------------- */

/* Several tables in a transaction, one joined step in it, and one call alone after it. */
static int change_much(Store *s, Fault *f)
{
        g_autoptr(TemplateRow) template = new_template(2);
        g_autoptr(SandboxRow) sandbox = new_sandbox(12, 2);
        AuditRow audit = audit_row("sandbox.create", "/sandbox/12");

        int r = store_begin(s, f);
        if (r < 0)
                return r;
        r = store_append_audit(s, &audit, f);
        if (r == 0)
                r = store_put_template(s, template, f);
        if (r == 0)
                r = store_put_sandbox(s, sandbox, f);
        if (r == 0)
                r = store_delete_sandbox(s, id_of(11).text, f);
        if (r < 0)
                store_rollback(s);
        return r < 0 ? r : store_commit(s, f);
}

static int put_alone(Store *s, Fault *f)
{
        g_autoptr(TemplateRow) template = new_template(2);

        return store_put_template(s, template, f);
}

static int append_alone(Store *s, Fault *f)
{
        AuditRow audit = audit_row("sandbox.create", "/sandbox/12");

        return store_append_audit(s, &audit, f);
}

typedef struct Failing {
        int (*change)(Store *s, Fault *f);
        BadDiskKind kind;
        bool for_good;
        int result;   /* SQLite's */
        int expected; /* the store's */
        unsigned wrong_codes, changed, useless;
} Failing;

/* Lets the nth operation of a change fail; false if it has not so many. */
static bool fail_once(Failing *t, unsigned n)
{
        Fault fault = {0};

        copy_database(directory, "pristine", "failing");
        g_autoptr(Store) s = open_store(directory, "failing");
        g_autofree char *before = describe_store(s);
        bad_disk_arm(t->kind, n, t->for_good, t->result);
        int r = t->change(s, &fault);
        bad_disk_disarm();
        if (r == 0) /* SQLite could do without, or was done before */
                return bad_disk.failed;

        t->wrong_codes += r != t->expected;
        if (r != t->expected)
                tap_note("%d: %s", r, fault.message);
        g_autofree char *after = describe_store(s);
        t->changed += strcmp(before, after) != 0;
        s = store_free(s);
        s = open_store(directory, "failing");
        g_autofree char *reopened = describe_store(s);
        t->changed += strcmp(before, reopened) != 0;
        t->useless += t->change(s, NULL) != 0;
        return true;
}

static void fail_each(const char *name, const char *how, Failing t)
{
        unsigned tries = 0;

        while (tries < 20000 && fail_once(&t, 1 + tries * bad_disk_stride(t.kind)))
                tries++;
        tap_ok(tries > 0 && tries < 20000 && t.changed == 0,
               "%s, %s %s: after each of %u failures the store is as if never begun", name, how,
               t.for_good ? "for good" : "once", tries);
        tap_is_int(t.wrong_codes, 0, "each is named rightly");
        tap_is_int(t.useless, 0, "and after each the change can be made");
}

static void test_failures(void)
{
        static const struct {
                const char *name;
                int (*change)(Store *s, Fault *f);
        } changes[] = {
                {"a transaction", change_much},
                {"a template", put_alone},
                {"an audit row", append_alone},
        };
        static const struct {
                const char *how;
                BadDiskKind kind;
                int result, expected;
        } failures[] = {
                {"disk full", BAD_WRITE, SQLITE_FULL, -ENOSPC},
                {"disk broken", BAD_WRITE, SQLITE_IOERR_WRITE, -EIO},
                {"no sync", BAD_SYNC, SQLITE_IOERR_FSYNC, -EIO},
                {"no memory", BAD_MEMORY, 0, -ENOMEM},
        };
        Store *s = open_store(directory, "pristine");

        put_one_of_each(s);
        s = store_free(s);
        for (size_t i = 0; i < G_N_ELEMENTS(changes) * G_N_ELEMENTS(failures) * 2; i++) {
                size_t change = i / 2 / G_N_ELEMENTS(failures),
                       how = i / 2 % G_N_ELEMENTS(failures);
                fail_each(changes[change].name, failures[how].how,
                          (Failing){
                                  .change = changes[change].change,
                                  .kind = failures[how].kind,
                                  .for_good = i % 2 == 1,
                                  .result = failures[how].result,
                                  .expected = failures[how].expected,
                          });
        }
}

int main(void)
{
        bad_disk_install();
        log_set_max_priority(LOG_WARNING);
        directory = test_directory_new();
        test_round_trips();
        test_put_again();
        test_names();
        test_references();
        test_refused_values();
        test_transactions();
        test_merge_of_snapshots();
        test_failures();
        test_directory_remove(directory);
        return tap_done();
}

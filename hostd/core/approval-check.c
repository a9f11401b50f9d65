/* SPDX-License-Identifier: MIT */

/* A playbook is run in check mode where it would be applied before a person is asked, and what came
 * of it becomes a part of what is asked: text, and the SHA-256 of all that was printed.
 *
 * So the hash that an approver names is of the very result that was shown; one who has seen another
 * cannot say yes. It is evidence of its time: whether it still would come out like that is not
 * asked when it is applied. Until it has ended nobody is told, and nobody can answer. One that
 * failed, or was cut off, says so and takes nobody's decision. */

#include "core/approval-private.h"

#include "base/apply-config.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <string.h>
#include <unistd.h>

static const char running[] = "it is run in check mode";

int approval_check_is_due(const Manager *m, const ApprovalSpec *spec, bool *ret, Fault *f)
{
        g_autoptr(ApplyConfig) config = NULL;

        *ret = false;
        if (!g_str_equal(spec->action, "playbook"))
                return spec->checks ? fault_set(f, FAULT_INVALID_ARGUMENT,
                                                "only a playbook can be run in check mode")
                                    : 0;
        const Playbook *p = playbook_by_id(m, spec->playbook);
        if (p && playbook_is_written(p))
                return spec->checks
                               ? fault_set(
                                         f, FAULT_DENIED,
                                         "playbook %s was written by hand: in check mode, too, it "
                                         "can run anything, so that somebody has to have read it "
                                         "before; ask without a check",
                                         playbook_row(p)->id.text)
                               : 0;
        int r = apply_config_load(m->config->apply_file, &config, f);
        if (r < 0)
                return r;
        if (spec->checks && config->review_check == REVIEW_CHECK_NEVER)
                return fault_set(f, FAULT_DENIED,
                                 "nothing is run in check mode before it is approved: review_check "
                                 "in %s does not allow it; ask without it",
                                 m->config->apply_file);
        *ret = spec->checks || config->review_check == REVIEW_CHECK_ALWAYS;
        return 0;
}

/* -- its end ----------------------------------------------------------------------------------- */

/* Whole lines. */
static char *cut_text(const char *text, size_t most)
{
        static const char cut[] = "(more is not shown here)\n";
        size_t size = strlen(text);

        if (size <= most)
                return g_strdup(text);
        for (size = most - strlen(cut); size > 0 && text[size - 1] != '\n';)
                size--;
        return g_strdup_printf("%.*s%s", (int) size, text, cut);
}

/* All of it is escaped already. */
static char *describe(const Approval *a, int r, const Fault *f)
{
        const char *hosts = a->outcome ? a->outcome : "";
        g_autofree char *text =
                r < 0 ? g_strdup_printf("FAILED: %s\n%s", f->message, a->changes ? a->changes : "")
                      : g_strdup_printf("ended well, and nothing was changed: %s\n%s", hosts,
                                        a->changes && *a->changes ? a->changes
                                                                  : "nothing would change\n");

        return cut_text(text, APPROVAL_CHECK_MAX);
}

/* What was asked, and what came of it. */
static int write_content(const Approval *a, const char *check, const char *log, char **ret,
                         Fault *f)
{
        ApprovalContent c = a->content;

        c.check = check;
        c.check_log = log;
        return approval_content_format(&c, ret, f);
}

static bool hash_log(const Approval *a, char ret[static SHA256_HEX_SIZE])
{
        const Caller own = manager_own_caller();
        int fd = -1;

        if (approval_open_check_log(a, &own, &fd, NULL) < 0)
                return false;
        autofd log = fd;
        return lseek(log, 0, SEEK_END) > 0 && file_sha256(log, ret, NULL) == 0;
}

static ApprovalRow *checked_row(const Approval *a, char *content)
{
        ApprovalRow *next = approval_row_copy(a->row);
        uint64_t time = next->expires_usec - next->created_usec;

        approval_set(&next->state, "pending");
        approval_set(&next->reason, "");
        approval_set(&next->requested_content, content);
        g_free(next->content);
        next->content = content;
        g_free(next->sha256);
        next->sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1);
        approval_set(&next->requested_sha256, next->sha256);
        next->expires_usec = now_realtime_usec() + time;
        return next;
}

static Json *result_of(const ApprovalRow *row, const char *log, int r)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "sha256", json_object_new_string(row->sha256));
        (void) json_object_object_add(detail, "check",
                                      json_object_new_string(r < 0 ? "failed" : "good"));
        if (log)
                (void) json_object_object_add(detail, "check_log", json_object_new_string(log));
        return detail;
}

static void conclude(Approval *a, int r, const Fault *f)
{
        char hash[SHA256_HEX_SIZE];
        const char *log = hash_log(a, hash) ? hash : NULL;
        g_autofree char *check = describe(a, r, f);
        char *content = NULL;
        Fault why = {0};

        if (write_content(a, check, log, &content, &why) < 0 &&
            write_content(a, r < 0 ? "FAILED" : "ended well", log, &content, &why) < 0) {
                /* There is no more room than that it may be asked without it. */
                log_warning("the check of approval %s: %s", a->row->id.text, why.message);
                content = g_strdup(a->row->content);
        }
        ApprovalRow *next = checked_row(a, content);
        audit_set_result(a->check_entry, result_of(next, log, r));
        approval_record_end(a, next, TAKE_PTR(a->check_entry), r, f);
}

/* Now it is asked. */
static void ask(Approval *a)
{
        Manager *m = a->manager;

        approval_tend(m);
        approval_notify(a);
}

static void on_checked(int r, const Fault *f, void *userdata)
{
        Approval *a = userdata;
        Manager *m = a->manager;

        conclude(a, r, f);
        ask(a);
        manager_end_operation(m);
        approval_check_next(m);
}

/* -- its beginning ----------------------------------------------------------------------------- */

static int record_begin(Approval *a, Fault *f)
{
        g_autoptr(ApprovalRow) next = approval_row_copy(a->row);
        Json *detail = json_object_new_object();
        Caller own = manager_own_caller();

        approval_set(&next->reason, running);
        (void) json_object_object_add(detail, "playbook",
                                      json_object_new_string(a->content.playbook));
        (void) json_object_object_add(detail, "archive",
                                      json_object_new_string(a->content.archive));
        return approval_record(a, &next, &own, "approval.check", detail, &a->check_entry, f);
}

static bool begin(Approval *a)
{
        Fault f = {0};
        int r = record_begin(a, &f);

        /* Where it is to go may have changed since it was asked. */
        if (r == 0)
                r = a->action->check(a->manager, &a->content, &f);
        if (r == 0)
                r = play_check(a, on_checked, a, &f);
        if (r == 0) {
                manager_begin_operation(a->manager);
                return true;
        }
        conclude(a, r, &f);
        ask(a);
        return false;
}

static Approval *find_next(const Manager *m)
{
        g_autoptr(GPtrArray) list = manager_list(m, OBJECT_APPROVAL);

        for (guint i = 0; i < list->len; i++) {
                Approval *a = list->pdata[i];
                if (approval_is(a, "checking") && !a->check_entry)
                        return a;
        }
        return NULL;
}

void approval_check_next(Manager *m)
{
        Approval *a;

        while (!m->is_checking && !m->is_draining && !m->is_closing && (a = find_next(m)))
                if (begin(a))
                        return;
}

void approval_check_stop(Approval *a)
{
        Fault f = {0};

        if (!a->check_entry)
                return;
        int r = fault_set(&f, FAULT_CANCELLED, "the approval is %s", a->row->state);
        a->play = play_free(a->play);
        a->check_entry = audit_end(a->check_entry, r, &f);
        manager_end_operation(a->manager);
        approval_check_next(a->manager);
}

void approval_check_resolve(Approval *a)
{
        g_autofree char *path = approval_bus_path(a);
        Fault f = {0};

        a->check_entry = audit_resume(a->manager, "approval.check", path);
        if (!a->check_entry)
                return;
        int r = fault_set(&f, FAULT_CANCELLED,
                          "fluid-hostd was restarted while it ran: what would come of it is not "
                          "known; in check mode nothing was changed");
        log_info("approval %s was being checked when fluid-hostd ended", a->row->id.text);
        conclude(a, r, &f);
}

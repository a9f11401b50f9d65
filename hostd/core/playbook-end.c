/* SPDX-License-Identifier: MIT */

/* How the verification of a playbook ends: its sandbox is destroyed, then it is written down what
 * came of it. Where this process is killed the next one does both. */

#include "core/playbook-private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <pwd.h>

Verification *verification_free(Verification *v)
{
        if (!v)
                return NULL;
        v->child = child_task_free(v->child);
        v->entry = audit_discard(v->entry);
        (void) close_fd(v->archive_fd);
        (void) close_fd(v->log_fd);
        (void) close_fd(v->result_fd);
        g_free(v->point);
        g_free(v->residual);
        g_free(v);
        return NULL;
}

Sandbox *playbook_sandbox(const Manager *m, Id id)
{
        return g_hash_table_lookup(m->objects[OBJECT_SANDBOX], id.text);
}

Sandbox *verification_sandbox(const Playbook *p)
{
        return playbook_sandbox(p->manager, p->verification->sandbox_id);
}

int verification_find_user(const Manager *m, Caller *ret, Fault *f)
{
        const struct passwd *user = getpwnam(m->config->verify_user);

        if (!user)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no user '%s' (verify_user in fluid.conf); "
                                 "systemd-sysusers makes it",
                                 m->config->verify_user);
        if (user->pw_uid == 0)
                return fault_set(f, FAULT_DENIED, "verify_user in fluid.conf must not be root");
        *ret = (Caller){.uid = user->pw_uid, .text = "fluid-hostd"};
        return 0;
}

/* -- its end ----------------------------------------------------------------------------------- */

static int record_end(Playbook *p, const PlaybookRow *next, AuditEntry *entry, int result,
                      const Fault *why, Fault *f)
{
        Store *store = p->manager->store;
        int r = store_begin(store, f);

        if (r == 0)
                r = store_put_playbook(store, next, f);
        if (r == 0)
                r = audit_write_end(entry, result, why, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0)
                store_rollback(store);
        return r;
}

/* Takes both. What cannot be written is true all the same, until the next start finds it out. */
static void end_row(Playbook *p, PlaybookRow *next, AuditEntry *entry, int result, const Fault *why)
{
        Json *detail = json_object_new_object();
        Fault f = {0};

        (void) json_object_object_add(detail, "verified", json_object_new_string(next->verified));
        audit_set_result(entry, detail);
        if (record_end(p, next, entry, result, why, &f) < 0) {
                log_error("the end of the verification of playbook %s cannot be saved: %s",
                          p->row->id.text, f.message);
                (void) audit_end(entry, result, why);
        } else {
                (void) audit_discard(entry);
        }
        playbook_take_row(p, next);
}

static void finish(Playbook *p)
{
        Verification *v = g_steal_pointer(&p->verification);
        PlaybookRow *next = playbook_row_copy(p->row);

        playbook_set(&next->verified, v->result < 0 ? "failed" : v->verdict);
        playbook_set(&next->verified_reason, v->result < 0 ? v->fault.message : "");
        playbook_set(&next->residual, v->result < 0 ? "" : v->residual);
        next->verified_usec = now_realtime_usec();
        end_row(p, next, g_steal_pointer(&v->entry), v->result, &v->fault);
        (void) verification_free(v);
        log_info("playbook %s is verified: %s", p->row->id.text, p->row->verified);
        manager_changed(p->manager, OBJECT_PLAYBOOK, p);
        playbook_notify(p);
}

void verification_set_step(Playbook *p, const char *text)
{
        playbook_set(&p->row->verified_reason, text);
        manager_changed(p->manager, OBJECT_PLAYBOOK, p);
}

static void destroyed(int r, const Fault *f, void *userdata);

static void destroy(Playbook *p)
{
        Sandbox *s = verification_sandbox(p);
        Caller own = manager_own_caller();
        Fault f = {0};

        p->verification->attempts++;
        if (!s)
                finish(p);
        else if (sandbox_destroy(s, &own, destroyed, p, &f) < 0)
                destroyed(-EIO, &f, p);
}

/* What cannot be done now is tried again when libvirtd is back, and with the next verification. */
static void destroyed(int r, const Fault *f, void *userdata)
{
        Playbook *p = userdata;

        if (r >= 0) {
                finish(p);
                return;
        }
        log_warning("the sandbox of a verification cannot be destroyed yet: %s", f->message);
        if (f->code == FAULT_HYPERVISOR_UNAVAILABLE || p->verification->attempts > 1)
                finish(p);
        else
                destroy(p);
}

void verification_end(Playbook *p)
{
        verification_set_step(p, "the fresh sandbox is destroyed");
        destroy(p);
}

void verification_fail(Playbook *p, int r, const Fault *f)
{
        p->verification->result = r;
        p->verification->fault = *f;
        verification_end(p);
}

/* -- after a restart --------------------------------------------------------------------------- */

void playbook_interrupted(Playbook *p)
{
        g_autofree char *path = playbook_bus_path(p->row->id.text);
        PlaybookRow *next = playbook_row_copy(p->row);
        Fault why = {0};
        int r = fault_set(&why, FAULT_CANCELLED, "fluid-hostd was restarted while it was verified");

        playbook_set(&next->verified, "failed");
        playbook_set(&next->verified_reason, why.message);
        next->verified_usec = now_realtime_usec();
        end_row(p, next, audit_resume(p->manager, "playbook.verify", path), r, &why);
}

static bool is_in_use(const Manager *m, const Sandbox *s)
{
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_PLAYBOOK]);
        while (g_hash_table_iter_next(&iter, NULL, &object)) {
                const Playbook *p = object;
                g_autofree char *name = g_strdup_printf("verify-%s", p->row->id.text);
                /* By name: where it branches, its id is not known yet. */
                if (p->verification && g_str_equal(s->row->name, name))
                        return true;
        }
        return false;
}

void playbook_destroy_unused(Manager *m)
{
        g_autoptr(GPtrArray) sandboxes = manager_list(m, OBJECT_SANDBOX);
        Caller own = manager_own_caller(), verifier;
        Fault f = {0};

        if (verification_find_user(m, &verifier, NULL) < 0)
                return;
        for (guint i = 0; i < sandboxes->len; i++) {
                Sandbox *s = sandboxes->pdata[i];
                if (s->row->owner_uid != verifier.uid || sandbox_is_hidden(s) || is_in_use(m, s))
                        continue;
                if (s->state == SANDBOX_DESTROYING) {
                        sandbox_destroy_unfinished(s);
                        continue;
                }
                log_info("sandbox '%s' of a verification that was interrupted is destroyed",
                         s->row->name);
                if (sandbox_destroy(s, &own, NULL, NULL, &f) < 0)
                        log_warning("sandbox '%s' cannot be destroyed yet: %s", s->row->name,
                                    f.message);
        }
}

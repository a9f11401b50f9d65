/* SPDX-License-Identifier: MIT */

/* To apply a playbook: what is asked, and whether it still is that. */

#include "core/approval-private.h"

#include "base/apply-config.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/inventory.h"

#include <string.h>

/* -- where --------------------------------------------------------------------------------------
 */

/* As base/apply-config.h says it; the caller frees it. FAULT_DENIED where that playbook is not to
 * go anywhere. */
static int read_target(const Manager *m, const Playbook *p, char **ret, Fault *f)
{
        g_autoptr(ApplyConfig) config = NULL;
        char sha256[SHA256_HEX_SIZE];
        int r = apply_config_load(m->config->apply_file, &config, f);

        if (r == 0 && playbook_is_written(p) && !config->allows_written)
                r = fault_set(f, FAULT_DENIED,
                              "playbook %s was not derived from a diff, but written by hand, and "
                              "may run anything on this host: %s does not allow that (written)",
                              playbook_row(p)->id.text, m->config->apply_file);
        if (r == 0)
                r = inventory_take(config->inventory, NULL, sha256, f);
        if (r == 0)
                *ret = apply_target_text(config, sha256);
        return r;
}

static const char written_warning[] =
        "WRITTEN BY HAND, not derived from what was changed: it does what its text says, which can be "
        "more than what was seen to change.\n"
        "It can run anything on the host that applies it, as user fluid-apply with its key "
        "(lookups, connection: local, delegate_to), and was therefore not run in check mode.\n"
        "Read all of its files before you say yes.\n";

/* -- what is asked ------------------------------------------------------------------------------
 */

/* Whole lines up to that many bytes, each safe to be printed. */
static char *take_lines(const char *text, size_t most)
{
        static const char cut[] = "(more is not shown: fluidctl playbook shows all)\n";
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) out = g_string_new(NULL);

        for (char **line = lines; *line; line++) {
                if (!**line && !line[1])
                        break;
                g_autofree char *safe = escape_text(*line, strlen(*line));
                if (out->len + strlen(safe) + 1 + strlen(cut) > most) {
                        g_string_append(out, cut);
                        break;
                }
                g_string_append(out, safe);
                g_string_append_c(out, '\n');
        }
        return g_string_free(TAKE_PTR(out), FALSE);
}

static char *describe_changes(const PlaybookRow *row)
{
        g_autofree char *text = g_strdup_printf(
                "playbook '%s', of sandbox '%s' (%s)%s%s, from '%s' to '%s'\n%s%s%s", row->name,
                row->sandbox_name, row->sandbox_id.text, *row->agent ? ", agent " : "", row->agent,
                row->from_name, row->to_name,
                row->allows_secrets ? "files that look like secrets may be in it\n" : "",
                row->allows_setuid ? "it may make set-uid and set-gid programs\n" : "",
                row->summary);

        return take_lines(text, APPROVAL_CHANGES_MAX);
}

static int describe_replay(const Playbook *p, char **ret, Fault *f)
{
        const PlaybookRow *row = playbook_row(p);
        static const char weak[] =
                "It was written by hand, and can know where it runs: this is what it did there.\n";

        if (g_str_equal(row->verified, "verifying"))
                return fault_set(f, FAULT_BUSY,
                                 "playbook %s is being verified: ask when that is known",
                                 row->id.text);
        g_autofree char *replay = playbook_replay_text(p);
        g_autofree char *text = g_strconcat(playbook_is_written(p) ? weak : "", replay, NULL);
        *ret = take_lines(text, APPROVAL_REPLAY_MAX);
        return 0;
}

int playbook_action_build(Manager *m, const Caller *caller, const Sandbox *s,
                          const ApprovalSpec *spec, ApprovalContent *ret, GPtrArray *ret_owned,
                          Fault *f)
{
        Playbook *p = spec->playbook ? playbook_by_id(m, spec->playbook) : NULL;
        char *target = NULL, *replay = NULL;
        Fault why = {0};

        (void) s;
        if (!spec->playbook)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the playbook's id is missing");
        if (!p || !playbook_is_visible(p, caller))
                return fault_set(f, FAULT_NOT_FOUND, "there is no playbook '%.40s'",
                                 spec->playbook);
        if (read_target(m, p, &target, &why) < 0)
                return fault_set(f, why.code == FAULT_DENIED ? FAULT_DENIED : FAULT_WRONG_STATE,
                                 "nothing can be applied on this host: %s", why.message);
        g_ptr_array_add(ret_owned, target);
        int r = describe_replay(p, &replay, f);
        if (r < 0)
                return r;
        g_ptr_array_add(ret_owned, replay);
        char *changes = describe_changes(playbook_row(p));
        g_ptr_array_add(ret_owned, changes);
        ret->playbook = playbook_row(p)->id.text;
        ret->archive = playbook_row(p)->sha256;
        ret->origin = playbook_is_written(p) ? written_warning : NULL;
        ret->changes = changes;
        ret->replay = replay;
        ret->target = target;
        return 0;
}

/* -- whether it still is that -------------------------------------------------------------------
 */

int playbook_action_check_edit(Manager *m, const ApprovalContent *asked,
                               const ApprovalContent *edited, Fault *f)
{
        (void) m;
        (void) asked;
        (void) edited;
        return fault_set(f, FAULT_INVALID_ARGUMENT,
                         "a playbook is approved as it is: what is to be different has to be asked "
                         "anew");
}

/* The archive's own bytes are hashed when it is applied. */
int playbook_action_check(Manager *m, const ApprovalContent *c, Fault *f)
{
        const Playbook *p = playbook_by_id(m, c->playbook);
        g_autofree char *target = NULL;
        Fault why = {0};
        int fd = -1;

        if (!p)
                return fault_set(f, FAULT_CONTENT_CHANGED, "playbook %s was removed", c->playbook);
        if (!g_str_equal(playbook_row(p)->sha256, c->archive))
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "playbook %s is not what it was when it was asked for",
                                 c->playbook);
        if (playbook_open_archive(p, &fd, &why) < 0)
                return fault_set(f, FAULT_CONTENT_CHANGED, "%s", why.message);
        (void) close_fd(fd);
        if (read_target(m, p, &target, &why) < 0)
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "where it would be applied is not what was asked for: %s",
                                 why.message);
        if (g_strcmp0(target, c->target) != 0)
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "%s or its inventory is not what it was when it was asked for: "
                                 "ask anew",
                                 m->config->apply_file);
        return 0;
}

/* Nobody can tell but who has seen its end. */
ApprovalEffect playbook_action_probe(Manager *m, const Approval *a)
{
        (void) m;
        return a->effect;
}

/* SPDX-License-Identifier: MIT */

/* What can be asked: one row each. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "core/network.h"

/* -- a question -------------------------------------------------------------------------------- */

static int build_question(Manager *m, const Caller *caller, const Sandbox *s,
                          const ApprovalSpec *spec, ApprovalContent *ret, GPtrArray *ret_owned,
                          Fault *f)
{
        size_t n = spec->alternatives ? g_strv_length((char **) spec->alternatives) : 0;

        (void) m;
        (void) caller;
        (void) s;
        (void) ret_owned;
        if (n > APPROVAL_ALTERNATIVES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a question has at most %d alternatives",
                                 APPROVAL_ALTERNATIVES_MAX);
        for (size_t i = 0; i < n; i++)
                ret->alternatives[i] = spec->alternatives[i];
        return 0;
}

/* Its words and its alternatives are what whoever answers may put right. */
static int check_question_edit(Manager *m, const ApprovalContent *asked,
                               const ApprovalContent *edited, Fault *f)
{
        (void) m;
        (void) asked;
        (void) edited;
        (void) f;
        return 0;
}

/* -- a wider network ----------------------------------------------------------------------------
 */

static Sandbox *find_sandbox(const Manager *m, const ApprovalContent *c)
{
        return g_hash_table_lookup(m->objects[OBJECT_SANDBOX], c->sandbox);
}

static int build_network(Manager *m, const Caller *caller, const Sandbox *s,
                         const ApprovalSpec *spec, ApprovalContent *ret, GPtrArray *ret_owned,
                         Fault *f)
{
        const Profile *p = NULL;

        (void) caller;
        if (!s)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a network is asked for for a sandbox: name one");
        if (!spec->profile)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the profile is missing; 'fluidctl network' shows them");
        p = profiles_find(manager_profiles(m), spec->profile);
        if (!p)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no network profile '%.60s' that could be asked for; "
                                 "'fluidctl network' shows them",
                                 spec->profile);
        if (g_str_equal(s->row->network, spec->profile))
                return fault_set(f, FAULT_WRONG_STATE, "sandbox '%s' has network '%s' already",
                                 s->row->name, spec->profile);
        ret->profile = spec->profile;
        char *rules = profile_format(p);
        g_ptr_array_add(ret_owned, rules);
        ret->rules = rules;
        return 0;
}

static int check_network(Manager *m, const ApprovalContent *c, Fault *f)
{
        const Profile *p = profiles_find(manager_profiles(m), c->profile);
        g_autofree char *rules = p ? profile_format(p) : NULL;

        if (!find_sandbox(m, c))
                return fault_set(f, FAULT_CONTENT_CHANGED, "the sandbox is gone");
        if (!p)
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "there is no network profile '%s' any more", c->profile);
        if (!g_str_equal(rules, c->rules))
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "network profile '%s' has other rules than those that were asked "
                                 "for: ask anew",
                                 c->profile);
        return 0;
}

/* Another profile, as it is: what was asked for stays what the requester said. */
static int check_network_edit(Manager *m, const ApprovalContent *asked,
                              const ApprovalContent *edited, Fault *f)
{
        if (!g_str_equal(asked->summary, edited->summary) ||
            !g_str_equal(asked->text, edited->text))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "only profile and rules of the content can be changed");
        return check_network(m, edited, f);
}

static int apply_network(Manager *m, Approval *a, Caller *caller, OperationDone done,
                         void *userdata, Fault *f)
{
        return network_set_approved(find_sandbox(m, &a->content), caller, a->content.profile,
                                    a->row->id.text, done, userdata, f);
}

/* The row of the sandbox says what its network is, and is made true by its own recovery. */
static ApprovalEffect probe_network(Manager *m, const Approval *a)
{
        const Sandbox *s = find_sandbox(m, &a->content);

        return s && g_str_equal(s->row->network, a->content.profile) ? EFFECT_DONE : EFFECT_NONE;
}

/* -- the table ----------------------------------------------------------------------------------
 */

static const ApprovalAction actions[] = {
        {.name = "question", .build = build_question, .check_edit = check_question_edit},
        {.name = "network",
         .build = build_network,
         .check_edit = check_network_edit,
         .check = check_network,
         .apply = apply_network,
         .probe = probe_network},
        {.name = "playbook",
         .build = playbook_action_build,
         .check_edit = playbook_action_check_edit,
         .check = playbook_action_check,
         .apply = playbook_action_apply,
         .probe = playbook_action_probe},
};

const ApprovalAction *approval_action(const char *name)
{
        for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
                if (g_str_equal(actions[i].name, name))
                        return &actions[i];
        return NULL;
}

/* -- what is asked ------------------------------------------------------------------------------
 */

/* What only one action has. */
static int check_members(const char *action, const ApprovalSpec *spec, Fault *f)
{
        if (spec->profile && !g_str_equal(action, "network"))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a %s has no profile", action);
        if (spec->playbook && !g_str_equal(action, "playbook"))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a %s has no playbook", action);
        if (spec->alternatives && spec->alternatives[0] && !g_str_equal(action, "question"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a %s is approved or denied: it has no alternatives", action);
        return 0;
}

int approval_build_content(Manager *m, const Caller *caller, const Sandbox *s,
                           const ApprovalSpec *spec, char **ret, Fault *f)
{
        const ApprovalAction *action = approval_action(spec->action ? spec->action : "");
        ApprovalContent content = {.action = spec->action,
                                   .sandbox = s ? s->row->id.text : "",
                                   .summary = spec->summary,
                                   .text = spec->text};
        g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);

        if (!action)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no action '%.40s'; use question, network or playbook",
                                 spec->action ? spec->action : "");
        int r = check_members(action->name, spec, f);
        if (r == 0)
                r = action->build(m, caller, s, spec, &content, owned, f);
        return r < 0 ? r : approval_content_format(&content, ret, f);
}

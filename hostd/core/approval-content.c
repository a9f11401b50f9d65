/* SPDX-License-Identifier: MIT */
#include "core/approval-content.h"

#include "base/canonical.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/name.h"

#include <stddef.h>
#include <string.h>

typedef enum MemberKind {
        MEMBER_ACTION,
        MEMBER_SANDBOX, /* an id, or "" */
        MEMBER_LINE,    /* not empty, and nothing in it that is not for print */
        MEMBER_TEXT,
        MEMBER_LIST,
} MemberKind;

typedef struct Member {
        const char *name;
        size_t offset; /* in ApprovalContent */
        size_t most;   /* bytes; of a list, of each in it */
        MemberKind kind;
        bool may_lack; /* then its text is NULL */
} Member;

#define MEMBER(name, kind, most) \
        { \
#name, offsetof(ApprovalContent, name), most, kind, false \
        }
#define OPTIONAL_MEMBER(name, kind, most) \
        { \
#name, offsetof(ApprovalContent, name), most, kind, true \
        }

static const Member of_all[] = {
        MEMBER(action, MEMBER_ACTION, 32),
        MEMBER(sandbox, MEMBER_SANDBOX, ID_LENGTH),
        MEMBER(summary, MEMBER_LINE, APPROVAL_SUMMARY_MAX),
        MEMBER(text, MEMBER_TEXT, APPROVAL_TEXT_MAX),
};

static const Member of_question[] = {
        MEMBER(alternatives, MEMBER_LIST, APPROVAL_ALTERNATIVE_MAX),
};

static const Member of_network[] = {
        MEMBER(profile, MEMBER_LINE, NAME_MAX_LENGTH),
        MEMBER(rules, MEMBER_TEXT, APPROVAL_CONTENT_MAX),
};

static const Member of_playbook[] = {
        MEMBER(playbook, MEMBER_LINE, ID_LENGTH),
        MEMBER(archive, MEMBER_LINE, SHA256_HEX_SIZE - 1),
        MEMBER(changes, MEMBER_TEXT, APPROVAL_CHANGES_MAX),
        MEMBER(replay, MEMBER_TEXT, APPROVAL_REPLAY_MAX),
        MEMBER(target, MEMBER_TEXT, APPROVAL_TEXT_MAX),
        OPTIONAL_MEMBER(origin, MEMBER_TEXT, APPROVAL_TEXT_MAX),
        OPTIONAL_MEMBER(check, MEMBER_TEXT, APPROVAL_CHECK_MAX),
        OPTIONAL_MEMBER(check_log, MEMBER_LINE, SHA256_HEX_SIZE - 1),
};

/* What each action's content has beside the members of all. */
static const struct Form {
        const char *action;
        const Member *members;
        size_t n;
} forms[] = {
        {"question", of_question, G_N_ELEMENTS(of_question)},
        {"network", of_network, G_N_ELEMENTS(of_network)},
        {"playbook", of_playbook, G_N_ELEMENTS(of_playbook)},
};

static const struct Form *find_form(const char *action)
{
        for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
                if (g_str_equal(forms[i].action, action))
                        return &forms[i];
        return NULL;
}

/* -- members ---------------------------------------------------------------------------------- */

static bool has_control(const char *text)
{
        for (; *text; text = g_utf8_next_char(text))
                if (g_unichar_iscntrl(g_utf8_get_char(text)))
                        return true;
        return false;
}

static int check_string(const Member *m, Json *value, const char **ret, Fault *f)
{
        const char *text = json_object_get_string(value);
        size_t length = json_object_is_type(value, json_type_string)
                                ? (size_t) json_object_get_string_len(value)
                                : SIZE_MAX;

        if (length == SIZE_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' has to be a text", m->name);
        if (strlen(text) != length || !g_utf8_validate(text, -1, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not UTF-8 without NUL",
                                 m->name);
        if (length > m->most)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is longer than %zu bytes",
                                 m->name, m->most);
        if ((m->kind == MEMBER_LINE || m->kind == MEMBER_LIST) && (!*text || has_control(text)))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' has to be one line of text",
                                 m->name);
        if (m->kind == MEMBER_SANDBOX && *text && !id_is_valid(text))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not the id of a sandbox",
                                 m->name);
        *ret = text;
        return 0;
}

static int check_list(const Member *m, Json *value, const char **list, Fault *f)
{
        int r = 0;

        if (!json_object_is_type(value, json_type_array))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' has to be a list", m->name);
        if (json_object_array_length(value) > APPROVAL_ALTERNATIVES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' has more than %d entries",
                                 m->name, APPROVAL_ALTERNATIVES_MAX);
        for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++) {
                const char *text = NULL;
                r = check_string(m, json_object_array_get_idx(value, i), &text, f);
                if (r == 0 && g_strv_contains(list, text))
                        r = fault_set(f, FAULT_INVALID_ARGUMENT, "an entry of '%s' is there twice",
                                      m->name);
                list[i] = text;
        }
        return r;
}

/* One that is there is counted. */
static int check_member(const Member *m, Json *json, ApprovalContent *c, int *n, Fault *f)
{
        void *where = (char *) c + m->offset;
        Json *value = NULL;

        if (!json_object_object_get_ex(json, m->name, &value) && m->may_lack)
                return 0;
        *n += 1;
        if (!value)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is missing", m->name);
        return m->kind == MEMBER_LIST ? check_list(m, value, where, f)
                                      : check_string(m, value, where, f);
}

/* Takes the reference on success. */
static int read_members(Json *json, ApprovalContent *ret, Fault *f)
{
        ApprovalContent c = {.json = json};
        const char *action = "";

        if (!json_object_is_type(json, json_type_object) ||
            !json_find_string(json, "action", &action))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "it is no object with an action");
        const struct Form *form = find_form(action);
        if (!form)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no action '%.40s'; use question, network or playbook",
                                 action);
        int r = 0, n = 0;
        for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(of_all); i++)
                r = check_member(&of_all[i], json, &c, &n, f);
        for (size_t i = 0; r == 0 && i < form->n; i++)
                r = check_member(&form->members[i], json, &c, &n, f);
        if (r == 0 && json_object_object_length(json) != n)
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "it has a member that the content of '%s' has not", action);
        if (r == 0)
                *ret = c;
        return r;
}

/* -- whole ------------------------------------------------------------------------------------ */

int approval_content_parse(const char *bytes, size_t size, ApprovalContent *ret, Fault *f)
{
        g_autoptr(Json) json = NULL;
        Fault why = {0};
        int r;

        if (size > APPROVAL_CONTENT_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the content is larger than %d bytes",
                                 APPROVAL_CONTENT_MAX);
        r = canonical_parse(bytes, size, &json, &why);
        if (r == 0)
                r = read_members(json, ret, &why);
        if (r < 0)
                return fault_set(f, why.code, "the content is refused: %s", why.message);
        json = NULL;
        return 0;
}

void approval_content_clear(ApprovalContent *c)
{
        (void) json_object_put(c->json);
        *c = (ApprovalContent){0};
}

static Json *write_member(const Member *m, const ApprovalContent *c)
{
        const void *where = (const char *) c + m->offset;
        const char *const *list = where, *text = m->kind == MEMBER_LIST ? NULL : list[0];

        if (m->kind != MEMBER_LIST)
                return json_object_new_string(text ? text : "");
        Json *array = json_object_new_array();
        for (; *list; list++)
                (void) json_object_array_add(array, json_object_new_string(*list));
        return array;
}

static void write_members(const Member *members, size_t n, const ApprovalContent *c, Json *json)
{
        for (size_t i = 0; i < n; i++) {
                const char *const *text = (const void *) ((const char *) c + members[i].offset);

                if (!members[i].may_lack || *text)
                        (void) json_object_object_add(json, members[i].name,
                                                      write_member(&members[i], c));
        }
}

int approval_content_format(const ApprovalContent *c, char **ret, Fault *f)
{
        const struct Form *form = find_form(c->action);
        g_autoptr(Json) json = json_object_new_object();
        g_autofree char *text = NULL;
        ApprovalContent checked;

        write_members(of_all, G_N_ELEMENTS(of_all), c, json);
        if (form)
                write_members(form->members, form->n, c, json);
        int r = read_members(json, &checked, f);
        if (r == 0)
                r = canonical_format(json, &text, f);
        if (r == 0 && strlen(text) > APPROVAL_CONTENT_MAX)
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the content is larger than %d bytes",
                              APPROVAL_CONTENT_MAX);
        if (r == 0)
                *ret = TAKE_PTR(text);
        return r;
}

bool approval_content_has_alternative(const ApprovalContent *c, const char *alternative)
{
        return g_strv_contains(c->alternatives, alternative);
}

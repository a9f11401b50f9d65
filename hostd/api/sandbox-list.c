/* SPDX-License-Identifier: MIT */
#include "api/sandbox-list.h"

#include "api/loopback.h"
#include "api/options.h"
#include "core/sandbox.h"

struct SandboxList {
        Loopback *loopback; /* see be_connected() */
        GHashTable *known;  /* id → GBytes, an element of the list */
};

typedef struct Listing {
        Api *api;
        const char *state, *agent, *template;
        uint32_t owner_uid;
        GByteArray *elements;
        int r;
} Listing;

/* It may have failed before. */
static int be_connected(SandboxList *l)
{
        return l->loopback ? 0 : loopback_new(&l->loopback);
}

SandboxList *sandbox_list_new(void)
{
        SandboxList *l = g_new0(SandboxList, 1);

        l->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         (GDestroyNotify) g_bytes_unref);
        (void) be_connected(l);
        return l;
}

SandboxList *sandbox_list_free(SandboxList *l)
{
        if (!l)
                return NULL;
        g_hash_table_unref(l->known);
        (void) loopback_free(l->loopback);
        g_free(l);
        return NULL;
}

void sandbox_list_forget(SandboxList *l, const Sandbox *s)
{
        (void) g_hash_table_remove(l->known, sandbox_row(s)->id.text);
}

/* -- what is said of one ---------------------------------------------------------------------- */

static int append_sandbox(sd_bus_message *m, Api *api, Sandbox *s)
{
        int r = sd_bus_message_open_container(m, 'r', "oa{sv}");

        if (r >= 0)
                r = sd_bus_message_append(
                        m, "o", object_path(OBJECT_SANDBOX, sandbox_row(s)->id.text).text);
        if (r >= 0)
                r = properties_append(m, api, &sandbox_interface, s, 0);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int sandbox_list_encode(Api *api, Sandbox *s, GBytes **ret)
{
        SandboxList *l = api->sandbox_list;
        g_autoptr(sd_bus_message) m = NULL;
        int r = be_connected(l);

        if (r >= 0)
                r = loopback_begin(l->loopback, &m);
        if (r >= 0)
                r = append_sandbox(m, api, s);
        return r < 0 ? r : loopback_encode(l->loopback, m, ret);
}

/* Kept while nothing is under way with it, which may fail and take back what it had changed. */
int sandbox_list_get(Api *api, Sandbox *s, GBytes **ret)
{
        GHashTable *known = api->sandbox_list->known;
        const char *id = sandbox_row(s)->id.text;
        int r;

        if (!sandbox_is_at_rest(s)) {
                (void) g_hash_table_remove(known, id);
                return sandbox_list_encode(api, s, ret);
        }
        GBytes *found = g_hash_table_lookup(known, id);
        if (found) {
                *ret = g_bytes_ref(found);
                return 0;
        }
        r = sandbox_list_encode(api, s, ret);
        if (r >= 0)
                (void) g_hash_table_insert(known, g_strdup(id), g_bytes_ref(*ret));
        return r;
}

/* -- which are listed ------------------------------------------------------------------------- */

static bool matches(const Listing *l, const Sandbox *s)
{
        const SandboxRow *row = sandbox_row(s);

        return (!l->state || g_str_equal(sandbox_state_to_string(sandbox_state(s)), l->state)) &&
               (!l->agent || g_str_equal(row->agent, l->agent)) &&
               (!l->template || g_str_equal(sandbox_template_name(s), l->template)) &&
               (l->owner_uid == UINT32_MAX || row->owner_uid == l->owner_uid);
}

static void list_one(void *object, void *userdata)
{
        Listing *l = userdata;
        g_autoptr(GBytes) element = NULL;

        if (l->r < 0 || !matches(l, object))
                return;
        l->r = sandbox_list_get(l->api, object, &element);
        if (l->r >= 0)
                loopback_append(l->elements, element);
}

static int check_state(const char *state, Fault *f)
{
        if (!state)
                return 0;
        for (SandboxState known = 0; known < _SANDBOX_STATE_MAX; known++)
                if (g_str_equal(sandbox_state_to_string(known), state))
                        return 0;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "there is no state '%.40s'", state);
}

static int read_filter(Call *call, Listing *l, Fault *f)
{
        const Option options[] = {
                {"state", "s", &l->state},
                {"agent", "s", &l->agent},
                {"template", "s", &l->template},
                {"owner_uid", "u", &l->owner_uid},
        };
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        return r < 0 ? r : check_state(l->state, f);
}

static int write_reply(Call *call, Listing *l, sd_bus_message **ret)
{
        SandboxList *list = call->api->sandbox_list;

        l->r = be_connected(list);
        manager_foreach(call->api->manager, &call->caller, OBJECT_SANDBOX, list_one, l);
        if (l->r >= 0)
                l->r = loopback_reply(list->loopback, call->message, "a(oa{sv})", l->elements, ret);
        if (l->r < 0) /* half of something may be in it */
                list->loopback = loopback_free(list->loopback);
        return l->r;
}

int sandbox_list_reply(Call *call, G_GNUC_UNUSED void *object, Fault *f)
{
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GByteArray) elements = g_byte_array_new();
        Listing l = {.api = call->api, .owner_uid = UINT32_MAX, .elements = elements};
        int r = read_filter(call, &l, f);

        if (r < 0 || sd_bus_message_get_expect_reply(call->message) == 0)
                return r;
        r = write_reply(call, &l, &reply);
        return call_send(call, reply, r, f);
}

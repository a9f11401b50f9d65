/* SPDX-License-Identifier: MIT */
#include "api/caller.h"

#include "api/call.h"
#include "api/session.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/quantity.h"

#include <errno.h>
#include <glib.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

typedef struct Connection {
        char *name;
        Caller caller;
        uint64_t observes_until_usec;
        GList link; /* in Callers.newest_first */
} Connection;

/* Messages of a sender who is not known yet. */
typedef struct Question {
        Callers *callers;
        char *name;
        GPtrArray *messages;
        sd_bus_slot *slot;
        CallerKnown known;
        void *userdata;
} Question;

struct Callers {
        sd_bus *bus;
        sd_bus_slot *match;
        const Manager *manager;
        CallerGone gone;
        void *gone_userdata;
        GHashTable *by_name;
        GQueue newest_first;
        GHashTable *questions; /* by name */
};

static void unref_message(void *m)
{
        (void) sd_bus_message_unref(m);
}

static void connection_free(void *userdata)
{
        Connection *c = userdata;

        g_free(c->name);
        g_free(c);
}

static void forget(Callers *c, Connection *connection)
{
        g_queue_unlink(&c->newest_first, &connection->link);
        (void) g_hash_table_remove(c->by_name, connection->name);
}

/* The process's name is its own choice: it is escaped, and decides nothing. */
static void describe(Caller *caller, pid_t pid)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int) pid);
        g_autofree char *text = NULL;
        char name[40] = "unknown";

        if (pid > 0 && file_read(path, 64, &text, NULL, NULL) >= 0) {
                text[strcspn(text, "\n")] = '\0';
                (void) escape_print_into(name, sizeof name, text, strlen(text));
        }
        (void) g_snprintf(caller->text, sizeof caller->text, "%s[%d]", name, (int) pid);
}

static bool is_in_group(uid_t uid, const char *name)
{
        const struct passwd *user = getpwuid(uid);
        const struct group *group;
        g_autofree gid_t *groups = NULL;
        g_autofree char *user_name = NULL;
        gid_t primary;
        int n = 0;

        if (!user)
                return false;
        primary = user->pw_gid;
        user_name = g_strdup(user->pw_name);
        group = getgrnam(name);
        if (!group)
                return false;
        (void) getgrouplist(user_name, primary, NULL, &n);
        groups = g_new(gid_t, (gsize) n);
        if (getgrouplist(user_name, primary, groups, &n) < 0)
                return false;
        for (int i = 0; i < n; i++)
                if (groups[i] == group->gr_gid)
                        return true;
        return false;
}

static int read_numbers(sd_bus_message *reply, uint32_t *ret_uid, uint32_t *ret_pid)
{
        const char *key;
        bool has_uid = false;
        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read(reply, "s", &key);
                if (r >= 0 && g_str_equal(key, "UnixUserID")) {
                        r = sd_bus_message_read(reply, "v", "u", ret_uid);
                        has_uid = true;
                } else if (r >= 0 && g_str_equal(key, "ProcessID")) {
                        r = sd_bus_message_read(reply, "v", "u", ret_pid);
                } else if (r >= 0) {
                        r = sd_bus_message_skip(reply, "v");
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : has_uid ? 0 : -ENODATA;
}

static int read_credentials(const Callers *callers, sd_bus_message *reply, Caller *ret)
{
        uint32_t uid = UINT32_MAX, pid = 0;
        int r = read_numbers(reply, &uid, &pid);

        if (r < 0)
                return r;
        *ret = (Caller){.uid = uid};
        describe(ret, (pid_t) pid);
        if (pid > 0)
                session_read((pid_t) pid, ret);
        ret->is_approver = is_in_group(uid, manager_config(callers->manager)->approver_group);
        return 0;
}

static int new_question(Callers *c, const char *name, sd_bus_message **ret)
{
        int r = sd_bus_message_new_method_call(c->bus, ret, "org.freedesktop.DBus",
                                               "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                               "GetConnectionCredentials");

        return r < 0 ? r : sd_bus_message_append(*ret, "s", name);
}

static int ask_bus(Callers *c, const char *name, Caller *ret, Fault *f)
{
        g_autoptr(sd_bus_message) m = NULL, reply = NULL;
        int r = name ? new_question(c, name, &m) : -ENODATA;

        if (r >= 0)
                r = sd_bus_call(c->bus, m, 0, NULL, &reply);
        if (r >= 0)
                r = read_credentials(c, reply, ret);
        if (r < 0)
                return fault_set_errno(f, FAULT_DENIED, r, "the bus does not tell who is calling");
        return 0;
}

static void remember(Callers *c, const char *name, const Caller *caller)
{
        Connection *connection;

        if (g_hash_table_size(c->by_name) >= CALLERS_MAX)
                forget(c, g_queue_peek_tail(&c->newest_first));
        connection = g_new0(Connection, 1);
        connection->name = g_strdup(name);
        connection->caller = *caller;
        connection->link.data = connection;
        (void) g_hash_table_insert(c->by_name, connection->name, connection);
        g_queue_push_head_link(&c->newest_first, &connection->link);
}

int callers_get(Callers *c, sd_bus_message *m, Caller *ret, Fault *f)
{
        const char *name = sd_bus_message_get_sender(m);
        Connection *connection = name ? g_hash_table_lookup(c->by_name, name) : NULL;
        int r;

        if (connection) {
                g_queue_unlink(&c->newest_first, &connection->link);
                g_queue_push_head_link(&c->newest_first, &connection->link);
                *ret = connection->caller;
                return 0;
        }
        r = ask_bus(c, name, ret, f);
        if (r >= 0)
                remember(c, name, ret);
        return r;
}

/* -- without waiting -------------------------------------------------------------------------- */

static void question_free(void *userdata)
{
        Question *q = userdata;

        (void) sd_bus_slot_unref(q->slot);
        g_ptr_array_unref(q->messages);
        g_free(q->name);
        g_free(q);
}

static int on_answer(sd_bus_message *reply, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        Question *q = userdata;
        Callers *c = q->callers;
        Caller caller;

        (void) g_hash_table_steal(c->questions, q->name);
        if (!g_hash_table_contains(c->by_name, q->name) &&
            !sd_bus_message_is_method_error(reply, NULL) &&
            read_credentials(c, reply, &caller) >= 0)
                remember(c, q->name, &caller);
        for (guint i = 0; i < q->messages->len; i++)
                q->known(q->messages->pdata[i], q->userdata);
        question_free(q);
        return 1;
}

static Question *question_new(Callers *c, const char *name, CallerKnown known, void *userdata)
{
        g_autoptr(sd_bus_message) m = NULL;
        Question *q = g_new0(Question, 1);

        *q = (Question){.callers = c,
                        .name = g_strdup(name),
                        .messages = g_ptr_array_new_with_free_func(unref_message),
                        .known = known,
                        .userdata = userdata};
        if (new_question(c, name, &m) < 0 ||
            sd_bus_call_async(c->bus, &q->slot, m, on_answer, q, 0) < 0) {
                question_free(q);
                return NULL;
        }
        (void) g_hash_table_insert(c->questions, q->name, q);
        return q;
}

bool callers_defer(Callers *c, sd_bus_message *m, CallerKnown known, void *userdata)
{
        const char *name = sd_bus_message_get_sender(m);
        Question *q = name ? g_hash_table_lookup(c->questions, name) : NULL;

        if (!q && name && !g_hash_table_contains(c->by_name, name))
                q = question_new(c, name, known, userdata);
        if (q)
                g_ptr_array_add(q->messages, sd_bus_message_ref(m));
        return q;
}

void callers_foreach(Callers *c,
                     void (*each)(const char *name, const Caller *caller, void *userdata),
                     void *userdata)
{
        for (GList *link = c->newest_first.head; link; link = link->next) {
                const Connection *connection = link->data;

                each(connection->name, &connection->caller, userdata);
        }
}

void callers_set_observes(Callers *c, const char *name, uint64_t until_usec)
{
        Connection *connection = g_hash_table_lookup(c->by_name, name);

        if (connection)
                connection->observes_until_usec = until_usec;
}

bool callers_observes(const Callers *c, const char *name)
{
        const Connection *connection = g_hash_table_lookup(c->by_name, name);

        return connection && connection->observes_until_usec > now_monotonic_usec();
}

static int on_gone(sd_bus_message *m, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        Callers *c = userdata;
        Connection *connection;
        const char *name;

        if (sd_bus_message_read(m, "s", &name) < 0 || name[0] != ':')
                return 0;
        (void) g_hash_table_remove(c->questions, name);
        c->gone(name, c->gone_userdata);
        connection = g_hash_table_lookup(c->by_name, name);
        if (connection)
                forget(c, connection);
        return 0;
}

int callers_new(sd_bus *bus, const Manager *manager, CallerGone gone, void *userdata, Callers **ret,
                Fault *f)
{
        static const char rule[] = "type='signal',sender='org.freedesktop.DBus',"
                                   "path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',"
                                   "member='NameOwnerChanged',arg2=''";
        Callers *c = g_new0(Callers, 1);
        int r;

        c->bus = bus;
        c->manager = manager;
        c->gone = gone;
        c->gone_userdata = userdata;
        c->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, connection_free);
        g_queue_init(&c->newest_first);
        c->questions = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, question_free);
        r = sd_bus_add_match(bus, &c->match, rule, on_gone, c);
        if (r < 0) {
                (void) callers_free(c);
                return fault_set_errno(f, FAULT_IO, r, "the bus cannot be watched");
        }
        *ret = c;
        return 0;
}

Callers *callers_free(Callers *c)
{
        if (!c)
                return NULL;
        (void) sd_bus_slot_unref(c->match);
        g_hash_table_unref(c->questions);
        g_hash_table_unref(c->by_name);
        g_free(c);
        return NULL;
}

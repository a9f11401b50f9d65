/* SPDX-License-Identifier: MIT */
#include "api/caller.h"

#include "api/session.h"
#include "base/escape.h"
#include "base/quantity.h"

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

struct Callers {
        sd_bus_slot *match;
        const Manager *manager;
        CallerGone gone;
        void *gone_userdata;
        GHashTable *by_name;
        GQueue newest_first;
};

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
static void describe(Caller *caller, const sd_bus_creds *creds)
{
        sd_bus_creds *c = (sd_bus_creds *) creds;
        char name[40] = "unknown";
        const char *comm;
        pid_t pid;

        if (sd_bus_creds_get_comm(c, &comm) >= 0)
                (void) escape_print_into(name, sizeof name, comm, strlen(comm));
        if (sd_bus_creds_get_pid(c, &pid) < 0)
                pid = 0;
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

static int ask_bus(const Callers *callers, sd_bus_message *m, Caller *ret, Fault *f)
{
        const uint64_t mask = SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID | SD_BUS_CREDS_COMM;
        sd_bus_creds *creds = NULL;
        Caller caller = {0};
        pid_t pid;
        int r = sd_bus_query_sender_creds(m, mask | SD_BUS_CREDS_AUGMENT, &creds);

        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &caller.uid);
        /* A uid out of /proc could be that of another process with a reused number. */
        if (r >= 0 && (sd_bus_creds_get_augmented_mask(creds) & SD_BUS_CREDS_EUID) != 0)
                r = -ENODATA;
        if (r >= 0) {
                describe(&caller, creds);
                if (sd_bus_creds_get_pid(creds, &pid) >= 0)
                        session_read(pid, &caller);
                caller.is_approver =
                        is_in_group(caller.uid, manager_config(callers->manager)->approver_group);
                *ret = caller;
        }
        (void) sd_bus_creds_unref(creds);
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
        r = ask_bus(c, m, ret, f);
        if (r >= 0 && name)
                remember(c, name, ret);
        return r;
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

        c->manager = manager;
        c->gone = gone;
        c->gone_userdata = userdata;
        c->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, connection_free);
        g_queue_init(&c->newest_first);
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
        g_hash_table_unref(c->by_name);
        g_free(c);
        return NULL;
}

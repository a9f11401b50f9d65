/* SPDX-License-Identifier: MIT */

/* What the kernel counted and remembers of a sandbox. */

#include "host/firewall-private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <string.h>

const char *firewall_reason_to_string(FirewallReason reason)
{
        static const char *const names[_FIREWALL_REASON_MAX] = {
                [FIREWALL_FORGED] = "forged", [FIREWALL_PROTOCOL] = "protocol",
                [FIREWALL_HOST] = "host",     [FIREWALL_REACH] = "reach",
                [FIREWALL_LIMIT] = "limit",
        };

        return names[reason];
}

static int find_sandbox(const Firewall *fw, const char *id, const Sandbox **ret, Fault *f)
{
        *ret = g_hash_table_lookup(fw->model->sandboxes, id);
        return *ret ? 0 : fault_set(f, FAULT_NOT_FOUND, "sandbox '%.80s' has no rules", id);
}

int firewall_counters(Firewall *fw, const char *id, FirewallCounters *ret, Fault *f)
{
        static const FirewallSet sets[] = {SET_FORGED, SET_PROTOCOL, SET_HOST,
                                           SET_REACH,  SET_LIMIT,    SET_PASSED};
        Element wanted[G_N_ELEMENTS(sets)], are[G_N_ELEMENTS(sets)];
        bool found[G_N_ELEMENTS(sets)];
        FirewallCounters counters = {0};
        const Sandbox *s;
        int r = find_sandbox(fw, id, &s, f);

        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
                wanted[i] = sandbox_element(s, sets[i]);
        if ((r = kernel_get(fw, wanted, G_N_ELEMENTS(sets), are, found, f)) < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
                if (!found[i])
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "the kernel does not count what sandbox %s does: its "
                                         "rules are not there",
                                         id);
        for (size_t i = 0; i < _FIREWALL_REASON_MAX; i++)
                counters.dropped[i] = are[i].count;
        counters.passed = are[_FIREWALL_REASON_MAX].count;
        *ret = counters;
        return 0;
}

/* -- the last drops ---------------------------------------------------------------------------- */

typedef struct Search {
        const Element *of; /* its key begins as all of the sandbox's do */
        FirewallReason reason;
        GArray *found;
} Search;

static void take_drop(const Element *e, void *userdata)
{
        Search *search = userdata;
        size_t offset = search->of->key_size;
        uint32_t address;
        uint16_t port;

        if (e->key_size != offset + 12 || memcmp(e->key, search->of->key, offset) != 0)
                return;
        memcpy(&address, e->key + offset, sizeof address);
        memcpy(&port, e->key + offset + 8, sizeof port);
        FirewallDrop drop = {
                .reason = search->reason,
                .address = ntohl(address),
                .protocol = e->key[offset + 4],
        };
        if (drop.protocol == IPPROTO_TCP || drop.protocol == IPPROTO_UDP)
                drop.port = ntohs(port);
        if (e->expires_msec < FIREWALL_LAST_SEC * UINT64_C(1000))
                drop.age_usec = (FIREWALL_LAST_SEC * UINT64_C(1000) - e->expires_msec) * 1000;
        g_array_append_val(search->found, drop);
}

static int by_age(gconstpointer a, gconstpointer b)
{
        const FirewallDrop *x = a, *y = b;

        return (x->age_usec > y->age_usec) - (x->age_usec < y->age_usec);
}

/* What has no ports differs in what the kernel took for one. */
static void remove_repeated(GArray *drops)
{
        for (guint i = 0; i < drops->len; i++)
                for (guint j = drops->len; j-- > i + 1;) {
                        const FirewallDrop *x = &g_array_index(drops, FirewallDrop, i);
                        const FirewallDrop *y = &g_array_index(drops, FirewallDrop, j);
                        if (x->reason == y->reason && x->address == y->address &&
                            x->protocol == y->protocol && x->port == y->port)
                                g_array_remove_index(drops, j);
                }
}

int firewall_drops(Firewall *fw, const char *id, GArray **ret, Fault *f)
{
        static const FirewallSet sets[_FIREWALL_REASON_MAX] = {
                [FIREWALL_FORGED] = SET_LAST_FORGED, [FIREWALL_PROTOCOL] = SET_LAST_PROTOCOL,
                [FIREWALL_HOST] = SET_LAST_HOST,     [FIREWALL_REACH] = SET_LAST_REACH,
                [FIREWALL_LIMIT] = SET_LAST_LIMIT,
        };
        g_autoptr(GArray) drops = g_array_new(FALSE, TRUE, sizeof(FirewallDrop));
        const Sandbox *s;
        int r = find_sandbox(fw, id, &s, f);

        if (r < 0)
                return r;
        for (FirewallReason reason = 0; reason < _FIREWALL_REASON_MAX; reason++) {
                Element of = sandbox_element(s, sets[reason]);
                Search search = {.of = &of, .reason = reason, .found = drops};

                /* Changed while it was listed: some are there twice, or not. */
                r = kernel_list(fw, sets[reason], take_drop, &search, f);
                if (r < 0 && r != -EINTR && r != -ENOENT)
                        return r;
        }
        g_array_sort(drops, by_age);
        remove_repeated(drops);
        *ret = TAKE_PTR(drops);
        return 0;
}

/* -- for people -------------------------------------------------------------------------------- */

static void append_names(const Sandbox *s, GString *out)
{
        GHashTableIter i;
        gpointer address, until;
        gint64 now = g_get_monotonic_time();

        g_hash_table_iter_init(&i, s->names);
        while (g_hash_table_iter_next(&i, &address, &until)) {
                char text[ADDRESS_TEXT_MAX];
                gint64 left = *(gint64 *) until - now;
                address_format(GPOINTER_TO_UINT(address), text);
                if (left > 0)
                        g_string_append_printf(out, "inet fluid names { %s expires %lds }\n", text,
                                               (long) (left / G_USEC_PER_SEC));
        }
}

int firewall_describe(Firewall *fw, const char *id, char **ret, Fault *f)
{
        g_autoptr(GString) out = g_string_new(NULL);
        g_autoptr(GString) lines = g_string_new(NULL);
        g_autofree char *chain = NULL, *command = NULL;
        FirewallCounters counters;
        const Sandbox *s;
        int r = find_sandbox(fw, id, &s, f);

        if (r < 0 || (r = firewall_verify(fw, id, f)) < 0 ||
            (r = firewall_counters(fw, id, &counters, f)) < 0)
                return r;
        compose_sandbox(s, &counters, lines);
        g_auto(GStrv) split = g_strsplit(lines->str, "\n", -1);
        for (char **line = split; *line; line++)
                if (**line)
                        g_string_append_printf(out, "%s\n", *line + strlen("add element "));
        append_names(s, out);
        command = g_strdup_printf("list chain inet fluid profile-%s", s->profile->name);
        if ((r = kernel_ask(fw, command, &chain, f)) < 0)
                return r;
        g_string_append(out, chain);
        *ret = g_string_free(TAKE_PTR(out), FALSE);
        return 0;
}

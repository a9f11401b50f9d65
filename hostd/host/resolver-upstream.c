/* SPDX-License-Identifier: MIT */
#include "base/file.h"
#include "base/quantity.h"
#include "host/resolver-private.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#define DNS_PORT 53
/* A file is small, and no way of watching one sees what replaces it by way of a link. */
#define REREAD_USEC     (3 * USEC_PER_SEC)
#define ACCURACY_USEC   (1 * USEC_PER_SEC)
#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX (64 * 1024)

/* "fe80::1%eth0" */
static bool parse_ipv6(char *text, ResolverUpstream *ret)
{
        char *scope = strchr(text, '%');

        if (scope) {
                *scope++ = '\0';
                ret->scope_id = if_nametoindex(scope);
                if (ret->scope_id == 0)
                        return false;
        }
        ret->family = AF_INET6;
        return inet_pton(AF_INET6, text, &ret->address.v6) == 1;
}

static bool parse_address(char *text, ResolverUpstream *ret)
{
        ret->family = AF_INET;
        return inet_pton(AF_INET, text, &ret->address.v4) == 1 || parse_ipv6(text, ret);
}

/* What is before and after "]:" or the only ':'; no port is NULL. False where something else
 * follows a bracket. */
static bool split(char *text, char **ret_address, char **ret_port)
{
        char *bracket = strchr(text, ']'), *colon = strrchr(text, ':');

        *ret_address = text;
        *ret_port = NULL;
        if (text[0] == '[' && bracket) {
                *ret_address = text + 1;
                *ret_port = bracket[1] ? bracket + 2 : NULL;
                *bracket = '\0';
                return !*ret_port || bracket[1] == ':';
        }
        if (colon && strchr(text, ':') == colon) {
                *ret_port = colon + 1;
                *colon = '\0';
        }
        return true;
}

int resolver_upstream_parse(const char *text, ResolverUpstream *ret, Fault *f)
{
        g_autofree char *copy = g_strdup(text);
        ResolverUpstream u = {0};
        char *address, *port_text;
        guint64 port = DNS_PORT;

        if (!split(copy, &address, &port_text) || !parse_address(address, &u) ||
            (port_text && !g_ascii_string_to_unsigned(port_text, 10, 1, UINT16_MAX, &port, NULL)))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.100s' is not a resolver's address; write it like 192.0.2.53, "
                                 "192.0.2.53:5353 or [2001:db8::1]:53",
                                 text);
        u.port = htons((uint16_t) port);
        *ret = u;
        return 0;
}

unsigned resolver_upstreams_read(const char *path,
                                 ResolverUpstream ret[static RESOLVER_UPSTREAMS_MAX])
{
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        size_t size;
        unsigned n = 0;

        if (file_read(path, RESOLV_CONF_MAX, &text, &size, NULL) >= 0)
                lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; line && *line && n < RESOLVER_UPSTREAMS_MAX; line++) {
                char *value = *line + strlen("nameserver");

                if (!g_str_has_prefix(*line, "nameserver") || !strchr(" \t", *value) || !*value)
                        continue;
                value += strspn(value, " \t");
                value[strcspn(value, " \t\r#;")] = '\0';
                ret[n] = (ResolverUpstream){.port = htons(DNS_PORT)};
                if (parse_address(value, &ret[n]))
                        n++;
        }
        if (n == 0)
                (void) resolver_upstream_parse("127.0.0.1", &ret[n++], NULL);
        return n;
}

void resolver_upstreams_tell(Resolver *r)
{
        ResolverMessage m = {.type = RESOLVER_UPSTREAMS};

        m.upstreams.n = r->n_upstreams;
        memcpy(m.upstreams.items, r->upstreams, sizeof r->upstreams);
        resolver_program_tell(r->program, &m);
}

/* Of an IPv4 address the rest of the IPv6 one is 0. */
static bool is_same(const ResolverUpstream *a, const ResolverUpstream *b)
{
        return a->family == b->family && a->port == b->port && a->scope_id == b->scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->address.v6, &b->address.v6);
}

static int on_reread(sd_event_source *source, uint64_t usec, void *userdata)
{
        ResolverUpstream now[RESOLVER_UPSTREAMS_MAX] = {0};
        Resolver *r = userdata;
        unsigned n = resolver_upstreams_read(r->resolv_conf, now);
        bool has_changed = n != r->n_upstreams;

        for (unsigned i = 0; i < n; i++)
                has_changed = has_changed || !is_same(&now[i], &r->upstreams[i]);
        if (has_changed) {
                r->n_upstreams = n;
                memcpy(r->upstreams, now, sizeof now);
                if (r->observer.upstreams_changed)
                        r->observer.upstreams_changed(r->userdata);
                resolver_upstreams_tell(r);
        }
        (void) sd_event_source_set_time(source, usec + REREAD_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

const ResolverUpstream *resolver_upstreams(const Resolver *r, unsigned *ret_n)
{
        *ret_n = r->n_upstreams;
        return r->upstreams;
}

int resolver_upstreams_init(Resolver *r, const ResolverSettings *settings, Fault *f)
{
        int n;

        for (; settings->upstreams && settings->upstreams[r->n_upstreams]; r->n_upstreams++) {
                if (r->n_upstreams == RESOLVER_UPSTREAMS_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "there are more than %d resolvers to ask",
                                         RESOLVER_UPSTREAMS_MAX);
                n = resolver_upstream_parse(settings->upstreams[r->n_upstreams],
                                            &r->upstreams[r->n_upstreams], f);
                if (n < 0)
                        return n;
        }
        if (settings->upstreams)
                return 0;
        r->resolv_conf = g_strdup(settings->resolv_conf ?: RESOLV_CONF);
        r->n_upstreams = resolver_upstreams_read(r->resolv_conf, r->upstreams);
        n = sd_event_add_time_relative(r->event, &r->reread, CLOCK_MONOTONIC, REREAD_USEC,
                                       ACCURACY_USEC, on_reread, r);
        return n < 0 ? fault_set_errno(f, FAULT_INTERNAL, n, "cannot make a timer") : 0;
}

/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/explain.h"

#include "base/address.h"
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

void destination_done(Destination *d)
{
        g_free(d->host);
        *d = (Destination){0};
}

static int refuse(Ctl *ctl, const char *text, const char *why, Fault *f)
{
        return usage_error(ctl, f,
                           "--explain: '%.80s' %s: write it as deb.debian.org:443, "
                           "192.0.2.1:53/udp or 192.0.2.1/icmp",
                           text, why);
}

int destination_parse(Ctl *ctl, const char *text, Destination *ret, Fault *f)
{
        const char *slash = strrchr(text, '/');
        uint64_t port = 0;

        ret->protocol = protocol_to_string(slash ? protocol_from_string(slash + 1) : IPPROTO_TCP);
        if (!ret->protocol)
                return refuse(ctl, text, "ends with no protocol", f);
        ret->host = slash ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);
        char *colon = strchr(ret->host, ':');
        if (colon && strchr(colon + 1, ':'))
                return refuse(ctl, text, "is IPv6, which sandboxes do not have", f);
        bool has_ports = !g_str_equal(ret->protocol, "icmp");
        if (has_ports != (colon != NULL))
                return refuse(ctl, text, has_ports ? "has no port" : "has a port", f);
        if (colon && (number_parse(colon + 1, &port, NULL) < 0 || port < 1 || port > UINT16_MAX))
                return refuse(ctl, text, "has a port that is none", f);
        if (colon)
                *colon = '\0';
        if (!*ret->host)
                return refuse(ctl, text, "has no destination", f);
        ret->port = (uint16_t) port;
        return 0;
}

/* IPv4 addresses as text, each once. */
static int resolve(const char *host, GPtrArray *addresses, Fault *f)
{
        const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
        struct addrinfo *found;
        uint32_t address;

        if (address_parse(host, &address, NULL) >= 0) {
                g_ptr_array_add(addresses, g_strdup(host));
                return 0;
        }
        int r = getaddrinfo(host, NULL, &hints, &found);
        if (r != 0)
                return fault_set(f, FAULT_NOT_FOUND, "'%.80s' has no IPv4 address here: %s", host,
                                 gai_strerror(r));
        for (const struct addrinfo *i = found; i; i = i->ai_next) {
                char text[ADDRESS_TEXT_MAX];
                const struct sockaddr_in *in = (const struct sockaddr_in *) (void *) i->ai_addr;

                address_format(ntohl(in->sin_addr.s_addr), text);
                if (!g_ptr_array_find_with_equal_func(addresses, text, g_str_equal, NULL))
                        g_ptr_array_add(addresses, g_strdup(text));
        }
        freeaddrinfo(found);
        return 0;
}

static int ask(Ctl *ctl, const char *sandbox, const char *address, const Destination *to,
               Json *answers, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        int is_allowed;
        const char *why;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, sandbox, INTERFACE_SANDBOX, "ExplainNetwork",
                            &reply, f, "sqs", address, to->port, to->protocol);
        if (r >= 0)
                r = bus_read(reply, f, "bs", &is_allowed, &why);
        if (r < 0)
                return r;
        Json *answer = json_object_new_object();
        (void) json_object_object_add(answer, "address", json_object_new_string(address));
        (void) json_object_object_add(answer, "port", json_object_new_int(to->port));
        (void) json_object_object_add(answer, "protocol", json_object_new_string(to->protocol));
        (void) json_object_object_add(answer, "is_allowed", json_object_new_boolean(is_allowed));
        (void) json_object_object_add(answer, "why", json_object_new_string(why));
        (void) json_object_array_add(answers, answer);
        return is_allowed;
}

static void print_answer(Json *answer)
{
        g_autofree char *port = json_number(answer, "port") > 0
                                        ? g_strdup_printf(":%" PRIu64, json_number(answer, "port"))
                                        : g_strdup("");

        print_line("%s: %s%s/%s: %s", json_truth(answer, "is_allowed") ? "allowed" : "refused",
                   json_text(answer, "address"), port, json_text(answer, "protocol"),
                   json_text(answer, "why"));
}

int explain_print(Ctl *ctl, const char *sandbox, const Destination *to, Fault *f)
{
        g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Json) answers = json_object_new_array();
        bool are_allowed = true;

        int r = resolve(to->host, addresses, f);
        for (guint i = 0; r >= 0 && i < addresses->len; i++) {
                r = ask(ctl, sandbox, addresses->pdata[i], to, answers, f);
                are_allowed &= r != 0;
        }
        if (r < 0)
                return r;
        if (ctl->json)
                print_json(answers);
        for (guint i = 0; !ctl->json && !ctl->quiet && i < addresses->len; i++)
                print_answer(json_object_array_get_idx(answers, i));
        return are_allowed ? 0 : 1;
}

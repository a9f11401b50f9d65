/* SPDX-License-Identifier: MIT */

/* Connections that the kernel tracks. A removed sandbox's are forgotten, so that the next one with
 * its address hears nothing of them. (A change of profile needs none of this: the rules judge every
 * packet of a connection.) */

#include "host/firewall-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

enum { BUFFER_SIZE = 1 << 16 };

typedef struct Ending {
        uint32_t address;  /* as on the wire */
        GPtrArray *tuples; /* of copies of CTA_TUPLE_ORIG */
} Ending;

static bool tuple_begins_at(const struct nlattr *tuple, uint32_t address)
{
        struct nlattr *part, *ip;

        mnl_attr_for_each_nested (part, tuple) {
                if (mnl_attr_get_type(part) != CTA_TUPLE_IP)
                        continue;
                mnl_attr_for_each_nested (ip, part)
                        if (mnl_attr_get_type(ip) == CTA_IP_V4_SRC)
                                return mnl_attr_get_u32(ip) == address;
        }
        return false;
}

static int take_connection(const struct nlmsghdr *h, void *userdata)
{
        Ending *e = userdata;
        const struct nlattr *original = NULL, *reply = NULL;
        struct nlattr *a;

        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg)) {
                if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
                        original = a;
                else if (mnl_attr_get_type(a) == CTA_TUPLE_REPLY)
                        reply = a;
        }
        if (original && reply &&
            (tuple_begins_at(original, e->address) || tuple_begins_at(reply, e->address)))
                g_ptr_array_add(e->tuples, g_memdup2(original, original->nla_len));
        return MNL_CB_OK;
}

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint16_t flags)
{
        struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

        h->nlmsg_type = (uint16_t) (NFNL_SUBSYS_CTNETLINK << 8 | type);
        h->nlmsg_flags = NLM_F_REQUEST | flags;
        h->nlmsg_seq = 1;
        struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
        g->nfgen_family = AF_INET;
        g->version = NFNETLINK_V0;
        return h;
}

/* The kernel leaves the others out where it knows the filter (5.8). */
static void put_filter(struct nlmsghdr *h, uint32_t address, bool is_original)
{
        enum { CTA_FILTER_FLAG_IP_SRC = 1 << 0 };
        struct nlattr *filter, *tuple, *ip;

        tuple = mnl_attr_nest_start(h, is_original ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY);
        ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);
        mnl_attr_put_u32(h, CTA_IP_V4_SRC, address);
        mnl_attr_nest_end(h, ip);
        mnl_attr_nest_end(h, tuple);
        filter = mnl_attr_nest_start(h, CTA_FILTER);
        mnl_attr_put_u32(h, CTA_FILTER_ORIG_FLAGS, is_original ? CTA_FILTER_FLAG_IP_SRC : 0);
        mnl_attr_put_u32(h, CTA_FILTER_REPLY_FLAGS, is_original ? 0 : CTA_FILTER_FLAG_IP_SRC);
        mnl_attr_nest_end(h, filter);
}

static int talk(struct mnl_socket *socket, struct nlmsghdr *h, char *buffer, mnl_cb_t message,
                void *userdata)
{
        if (mnl_socket_sendto(socket, h, h->nlmsg_len) < 0)
                return -errno;
        for (;;) {
                ssize_t n = mnl_socket_recvfrom(socket, buffer, BUFFER_SIZE);
                int r = n < 0 ? -1
                              : mnl_cb_run(buffer, (size_t) n, 1, mnl_socket_get_portid(socket),
                                           message, userdata);
                if (r < 0)
                        return -errno;
                if (r == MNL_CB_STOP)
                        return 0;
        }
}

static int end_all(struct mnl_socket *socket, char *buffer, const GPtrArray *tuples)
{
        for (guint i = 0; i < tuples->len; i++) {
                const struct nlattr *tuple = tuples->pdata[i];
                struct nlmsghdr *h = put_header(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK);

                mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(tuple),
                             mnl_attr_get_payload(tuple));
                int r = talk(socket, h, buffer, NULL, NULL);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

int connections_end(uint32_t address, Fault *f)
{
        struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        g_autofree char *buffer = g_malloc(BUFFER_SIZE);
        g_autoptr(GPtrArray) tuples = g_ptr_array_new_with_free_func(g_free);
        Ending e = {.address = htonl(address), .tuples = tuples};
        int r = socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 ? 0 : -errno;

        for (int is_original = 0; r >= 0 && is_original <= 1; is_original++) {
                struct nlmsghdr *h = put_header(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP);
                put_filter(h, e.address, is_original);
                r = talk(socket, h, buffer, take_connection, &e);
        }
        if (r >= 0)
                r = end_all(socket, buffer, tuples);
        if (socket)
                (void) mnl_socket_close(socket);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot end a sandbox's connections") : 0;
}

/* SPDX-License-Identifier: MIT */

/* The way into the kernel: changes as text, by libnftables, which asks only for the names of
 * tables, chains and sets before it sends a change of elements; questions by netlink, since
 * libnftables would list whole sets for one element. */

#include "host/firewall-private.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define TABLE       "fluid"
#define TRIES       5
#define BUFFER_SIZE (1 << 16)

int kernel_open(Firewall *fw, Fault *f)
{
        fw->nft = nft_ctx_new(NFT_CTX_DEFAULT);
        if (!fw->nft || nft_ctx_buffer_output(fw->nft) < 0 || nft_ctx_buffer_error(fw->nft) < 0)
                return fault_set(f, FAULT_INTERNAL, "cannot set up libnftables");
        fw->netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        if (!fw->netlink || mnl_socket_bind(fw->netlink, 0, MNL_SOCKET_AUTOPID) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open a netlink socket");
        return 0;
}

void kernel_close(Firewall *fw)
{
        if (fw->netlink)
                (void) mnl_socket_close(fw->netlink);
        if (fw->nft)
                nft_ctx_free(fw->nft);
        fw->netlink = NULL;
        fw->nft = NULL;
}

/* -- changes ----------------------------------------------------------------------------------- */

int kernel_ask(Firewall *fw, const char *commands, char **ret, Fault *f)
{
        int r = nft_run_cmd_from_buffer(fw->nft, commands);
        const char *said = nft_ctx_get_error_buffer(fw->nft);

        /* Reading the buffers empties them. */
        g_autofree char *output = g_strdup(nft_ctx_get_output_buffer(fw->nft) ?: "");
        if (r != 0) {
                /* Its first line says what; the others show where in our own text. */
                g_autofree char *why = g_strndup(said ?: "", said ? strcspn(said, "\n") : 0);
                const char *text = g_str_has_prefix(why, "Error: ") ? why + strlen("Error: ") : why;
                return fault_set(f, FAULT_WRONG_STATE, "nftables refused a change: %s",
                                 *text ? text : "it gave no reason");
        }
        if (ret)
                *ret = TAKE_PTR(output);
        return 0;
}

int kernel_run(Firewall *fw, const char *commands, Fault *f)
{
        return kernel_ask(fw, commands, NULL, f);
}

/* -- netlink ----------------------------------------------------------------------------------- */

static struct nlmsghdr *put_header(Firewall *fw, void *buffer, uint16_t type, uint16_t flags,
                                   uint8_t family)
{
        struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

        h->nlmsg_type = (uint16_t) (NFNL_SUBSYS_NFTABLES << 8 | type);
        h->nlmsg_flags = NLM_F_REQUEST | flags;
        h->nlmsg_seq = ++fw->sequence;
        struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
        g->nfgen_family = family;
        g->version = NFNETLINK_V0;
        return h;
}

/* Answers of an earlier question that was given up. */
static void drain(Firewall *fw)
{
        char buffer[4096];

        while (recv(mnl_socket_get_fd(fw->netlink), buffer, sizeof buffer, MSG_DONTWAIT) >= 0 ||
               errno == ENOBUFS)
                ;
}

static int dump_once(Firewall *fw, uint16_t type, uint8_t family, const char *table,
                     const char *set, mnl_cb_t message, void *userdata)
{
        g_autofree char *buffer = g_malloc(BUFFER_SIZE);
        struct nlmsghdr *h = put_header(fw, buffer, type, NLM_F_DUMP, family);

        if (table)
                mnl_attr_put_strz(h, NFTA_RULE_TABLE, table); /* as of sets and elements */
        if (set)
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set);
        if (mnl_socket_sendto(fw->netlink, h, h->nlmsg_len) < 0)
                return -errno;
        for (;;) {
                ssize_t n = mnl_socket_recvfrom(fw->netlink, buffer, BUFFER_SIZE);
                int r = n < 0 ? -1
                              : mnl_cb_run(buffer, (size_t) n, fw->sequence,
                                           mnl_socket_get_portid(fw->netlink), message, userdata);
                if (r < 0)
                        return -errno;
                if (r == MNL_CB_STOP)
                        return 0;
        }
}

int kernel_dump(Firewall *fw, uint16_t type, uint8_t family, const char *table, const char *set,
                mnl_cb_t message, void *userdata, Fault *f)
{
        int r = dump_once(fw, type, family, table, set, message, userdata);

        if (r < 0)
                drain(fw);
        if (r == -ENOENT || r == -EINTR) /* for the caller: nothing there, or changed meanwhile */
                return r;
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot read the kernel's rules") : 0;
}

static int take_generation(const struct nlmsghdr *h, void *userdata)
{
        struct nlattr *a;
        uint32_t *generation = userdata;

        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg))
                if (mnl_attr_get_type(a) == NFTA_GEN_ID)
                        *generation = ntohl(mnl_attr_get_u32(a));
        return MNL_CB_STOP;
}

int kernel_generation(Firewall *fw, uint32_t *ret, Fault *f)
{
        char buffer[4096];
        struct nlmsghdr *h = put_header(fw, buffer, NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC);
        ssize_t n;

        if (mnl_socket_sendto(fw->netlink, h, h->nlmsg_len) < 0 ||
            (n = mnl_socket_recvfrom(fw->netlink, buffer, sizeof buffer)) < 0 ||
            mnl_cb_run(buffer, (size_t) n, fw->sequence, mnl_socket_get_portid(fw->netlink),
                       take_generation, ret) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read the kernel's generation");
        return 0;
}

/* -- elements ---------------------------------------------------------------------------------- */

/* The attributes of `nested`, by type, of those up to `max`. */
static void take_attributes(const struct nlattr *nested, const struct nlattr **ret, size_t max)
{
        struct nlattr *a;

        memset(ret, 0, (max + 1) * sizeof *ret);
        mnl_attr_for_each_nested (a, nested)
                if (mnl_attr_get_type(a) <= max)
                        ret[mnl_attr_get_type(a)] = a;
}

static void take_verdict(const struct nlattr *verdict, Element *e)
{
        const struct nlattr *a[NFTA_VERDICT_MAX + 1];

        take_attributes(verdict, a, NFTA_VERDICT_MAX);
        if (!a[NFTA_VERDICT_CODE] ||
            (int32_t) ntohl(mnl_attr_get_u32(a[NFTA_VERDICT_CODE])) != NFT_GOTO ||
            !a[NFTA_VERDICT_CHAIN])
                (void) g_strlcpy(e->chain, "another verdict", sizeof e->chain);
        else
                (void) g_strlcpy(e->chain, mnl_attr_get_str(a[NFTA_VERDICT_CHAIN]),
                                 sizeof e->chain);
}

static void take_value(const struct nlattr *data, uint8_t *bytes, uint8_t *size, size_t max)
{
        size_t length = mnl_attr_get_payload_len(data);

        *size = (uint8_t) MIN(length, 255);
        memcpy(bytes, mnl_attr_get_payload(data), MIN(length, max));
}

static uint64_t get_be64(const struct nlattr *a)
{
        return a ? be64toh(mnl_attr_get_u64(a)) : 0;
}

static uint32_t get_be32(const struct nlattr *a)
{
        return a ? ntohl(mnl_attr_get_u32(a)) : 0;
}

static void take_expression(const struct nlattr *expression, Element *e)
{
        const struct nlattr *x[NFTA_EXPR_MAX + 1], *a[8];

        take_attributes(expression, x, NFTA_EXPR_MAX);
        if (!x[NFTA_EXPR_NAME] || !x[NFTA_EXPR_DATA])
                return;
        const char *name = mnl_attr_get_str(x[NFTA_EXPR_NAME]);
        take_attributes(x[NFTA_EXPR_DATA], a, G_N_ELEMENTS(a) - 1);
        if (g_str_equal(name, "counter")) {
                e->is_counter = true;
                e->count.packets = get_be64(a[NFTA_COUNTER_PACKETS]);
                e->count.bytes = get_be64(a[NFTA_COUNTER_BYTES]);
        } else if (g_str_equal(name, "limit")) {
                bool is_per_second = get_be64(a[NFTA_LIMIT_UNIT]) == 1;
                e->rate = is_per_second ? (uint32_t) get_be64(a[NFTA_LIMIT_RATE]) : UINT32_MAX;
                e->burst = get_be32(a[NFTA_LIMIT_BURST]);
                e->is_over = get_be32(a[NFTA_LIMIT_FLAGS]) & NFT_LIMIT_F_INV;
        } else if (g_str_equal(name, "connlimit")) {
                bool is_over = get_be32(a[NFTA_CONNLIMIT_FLAGS]) & NFT_CONNLIMIT_F_INV;
                e->open = is_over ? get_be32(a[NFTA_CONNLIMIT_COUNT]) : UINT32_MAX;
        }
}

static void take_element(const struct nlattr *element, Element *e)
{
        const struct nlattr *a[NFTA_SET_ELEM_MAX + 1], *d[NFTA_DATA_MAX + 1];
        struct nlattr *x;

        take_attributes(element, a, NFTA_SET_ELEM_MAX);
        if (a[NFTA_SET_ELEM_KEY]) {
                take_attributes(a[NFTA_SET_ELEM_KEY], d, NFTA_DATA_MAX);
                if (d[NFTA_DATA_VALUE])
                        take_value(d[NFTA_DATA_VALUE], e->key, &e->key_size, sizeof e->key);
        }
        if (a[NFTA_SET_ELEM_DATA]) {
                take_attributes(a[NFTA_SET_ELEM_DATA], d, NFTA_DATA_MAX);
                if (d[NFTA_DATA_VALUE])
                        take_value(d[NFTA_DATA_VALUE], e->data, &e->data_size, sizeof e->data);
                if (d[NFTA_DATA_VERDICT])
                        take_verdict(d[NFTA_DATA_VERDICT], e);
        }
        if (a[NFTA_SET_ELEM_EXPR])
                take_expression(a[NFTA_SET_ELEM_EXPR], e);
        if (a[NFTA_SET_ELEM_EXPRESSIONS])
                mnl_attr_for_each_nested (x, a[NFTA_SET_ELEM_EXPRESSIONS]) {
                        take_expression(x, e);
                }
        e->expires_msec = get_be64(a[NFTA_SET_ELEM_EXPIRATION]);
}

typedef struct Listing {
        FirewallSet set;
        KernelElement element;
        void *userdata;
} Listing;

static int take_elements(const struct nlmsghdr *h, void *userdata)
{
        Listing *l = userdata;
        struct nlattr *a, *element;

        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg)) {
                if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
                        continue;
                mnl_attr_for_each_nested (element, a) {
                        Element e = {.set = l->set};
                        take_element(element, &e);
                        /* A longer key cannot be one of ours: it stays different in its size. */
                        e.key_size = MIN(e.key_size, ELEMENT_KEY_MAX);
                        l->element(&e, l->userdata);
                }
        }
        return MNL_CB_OK;
}

int kernel_list(Firewall *fw, FirewallSet set, KernelElement element, void *userdata, Fault *f)
{
        Listing l = {.set = set, .element = element, .userdata = userdata};

        return kernel_dump(fw, NFT_MSG_GETSETELEM, set_names[set].family, TABLE,
                           set_names[set].name, take_elements, &l, f);
}

static struct nlmsghdr *put_question(Firewall *fw, void *buffer, const Element *e)
{
        const SetName *set = &set_names[e->set];
        struct nlmsghdr *h = put_header(fw, buffer, NFT_MSG_GETSETELEM, 0, set->family);

        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, TABLE);
        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set->name);
        struct nlattr *list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
        struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
        struct nlattr *key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
        mnl_attr_put(h, NFTA_DATA_VALUE, e->key_size, e->key);
        mnl_attr_nest_end(h, key);
        mnl_attr_nest_end(h, element);
        mnl_attr_nest_end(h, list);
        return h;
}

typedef struct Answer {
        Element *element;
        bool *found;
} Answer;

static void keep_answer(const Element *e, void *userdata)
{
        Answer *answer = userdata;

        *answer->element = *e;
        *answer->found = true;
}

/* Each question has one answer: the element, or an error; ENOENT where it, or its set, is absent.
 */
static int receive_answers(Firewall *fw, uint32_t first, const Element *elements, size_t n,
                           Element *ret, bool *found)
{
        g_autofree char *buffer = g_malloc(BUFFER_SIZE);

        for (size_t answers = 0; answers < n;) {
                ssize_t size = mnl_socket_recvfrom(fw->netlink, buffer, BUFFER_SIZE);
                if (size < 0)
                        return -errno;
                int left = (int) size;
                for (struct nlmsghdr *h = (struct nlmsghdr *) buffer; mnl_nlmsg_ok(h, left);
                     h = mnl_nlmsg_next(h, &left)) {
                        size_t i = h->nlmsg_seq - first;
                        if (i >= n)
                                continue;
                        answers++;
                        if (h->nlmsg_type == NLMSG_ERROR) {
                                const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
                                if (e->error != -ENOENT)
                                        return e->error;
                                continue;
                        }
                        Answer answer = {.element = &ret[i], .found = &found[i]};
                        Listing l = {elements[i].set, keep_answer, &answer};
                        (void) take_elements(h, &l);
                }
        }
        return 0;
}

int kernel_get(Firewall *fw, const Element *elements, size_t n, Element *ret, bool *found, Fault *f)
{
        enum { AT_A_TIME = 64, QUESTION_MAX = 160 };
        g_autofree char *buffer = g_malloc(AT_A_TIME * QUESTION_MAX);
        int r = 0;

        memset(found, 0, n * sizeof *found);
        for (size_t begin = 0; begin < n && r >= 0; begin += AT_A_TIME) {
                size_t count = MIN(n - begin, AT_A_TIME), size = 0;
                uint32_t first = fw->sequence + 1;

                for (size_t i = 0; i < count; i++) {
                        struct nlmsghdr *h = put_question(fw, buffer + size, &elements[begin + i]);
                        size += MNL_ALIGN(h->nlmsg_len);
                        g_assert(size <= AT_A_TIME * QUESTION_MAX);
                }
                r = mnl_socket_sendto(fw->netlink, buffer, size) < 0 ? -errno : 0;
                if (r == 0)
                        r = receive_answers(fw, first, elements + begin, count, ret + begin,
                                            found + begin);
        }
        if (r == 0)
                return 0;
        drain(fw);
        return fault_set_errno(f, FAULT_IO, r, "cannot read the kernel's rules");
}

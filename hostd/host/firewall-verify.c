/* SPDX-License-Identifier: MIT */

/* Whether the kernel has what it ought to. Tables, chains, rules and sets are compared with what
 * was read back right after our own load, byte for byte as the kernel tells of them; elements with
 * what firewall-element.c says. What counts, names and handles do not matter. */

#include "host/firewall-private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define TABLE "fluid"
#define TRIES 20

/* -- tables, chains, rules and sets ------------------------------------------------------------ */

typedef struct Part {
        const char *label;
        uint64_t compared; /* attributes, by bit */
        uint16_t get;
        uint16_t table,
                name;     /* attributes that tell whose it is; the table's own name is `table` */
        bool takes_table; /* the kernel lists those of one table */
} Part;

#define BIT(attribute) (UINT64_C(1) << (attribute))

static const Part parts[] = {
        {"table", BIT(NFTA_TABLE_FLAGS), NFT_MSG_GETTABLE, NFTA_TABLE_NAME, 0, false},
        {"chain",
         BIT(NFTA_CHAIN_HOOK) | BIT(NFTA_CHAIN_POLICY) | BIT(NFTA_CHAIN_TYPE) |
                 BIT(NFTA_CHAIN_FLAGS),
         NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, false},
        {"rules of chain", BIT(NFTA_RULE_EXPRESSIONS), NFT_MSG_GETRULE, NFTA_RULE_TABLE,
         NFTA_RULE_CHAIN, true},
        {"set",
         BIT(NFTA_SET_FLAGS) | BIT(NFTA_SET_KEY_TYPE) | BIT(NFTA_SET_KEY_LEN) |
                 BIT(NFTA_SET_DATA_TYPE) | BIT(NFTA_SET_DATA_LEN) | BIT(NFTA_SET_TIMEOUT) |
                 BIT(NFTA_SET_DESC) | BIT(NFTA_SET_EXPR),
         NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_NAME, true},
};

typedef struct Reading {
        GHashTable *structure; /* label → GByteArray */
        const Part *part;
        const char *family;
        const char *set; /* of elements */
} Reading;

static GByteArray *entry_of(Reading *r, const char *what, const char *name)
{
        g_autofree char *label =
                name && *name ? g_strdup_printf("%s %s in table %s fluid", what, name, r->family)
                              : g_strdup_printf("%s %s fluid", what, r->family);
        GByteArray *bytes = g_hash_table_lookup(r->structure, label);

        if (!bytes) {
                bytes = g_byte_array_new();
                g_hash_table_insert(r->structure, TAKE_PTR(label), bytes);
        }
        return bytes;
}

static void add_attribute(GByteArray *bytes, const struct nlattr *a)
{
        g_byte_array_append(bytes, (const guint8 *) a, a->nla_len);
}

static int take_part(const struct nlmsghdr *h, void *userdata)
{
        Reading *r = userdata;
        const char *table = NULL, *name = "";
        struct nlattr *a;

        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg)) {
                if (mnl_attr_get_type(a) == r->part->table)
                        table = mnl_attr_get_str(a);
                else if (mnl_attr_get_type(a) == r->part->name)
                        name = mnl_attr_get_str(a);
        }
        if (!table || !g_str_equal(table, TABLE))
                return MNL_CB_OK;

        GByteArray *bytes = entry_of(r, r->part->label, name);
        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg))
                if (mnl_attr_get_type(a) < 64 && r->part->compared & BIT(mnl_attr_get_type(a)))
                        add_attribute(bytes, a);
        return MNL_CB_OK;
}

/* Of sets of ranges, which no sandbox has elements in. */
static int take_ranges(const struct nlmsghdr *h, void *userdata)
{
        Reading *r = userdata;
        struct nlattr *a;

        mnl_attr_for_each (a, h, sizeof(struct nfgenmsg))
                if (mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_ELEMENTS)
                        add_attribute(entry_of(r, "addresses of set", r->set), a);
        return MNL_CB_OK;
}

static void free_bytes(gpointer bytes)
{
        g_byte_array_unref(bytes);
}

static int read_once(Firewall *fw, GHashTable *structure, Fault *f)
{
        static const char *const ranges[] = {"special", "local"};
        static const uint8_t families[] = {NFPROTO_BRIDGE, NFPROTO_INET};
        Reading reading = {.structure = structure};
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
                reading.family = families[i] == NFPROTO_BRIDGE ? "bridge" : "inet";
                for (size_t j = 0; j < G_N_ELEMENTS(parts); j++) {
                        reading.part = &parts[j];
                        r = kernel_dump(fw, parts[j].get, families[i],
                                        parts[j].takes_table ? TABLE : NULL, NULL, take_part,
                                        &reading, f);
                        if (r < 0 && r != -ENOENT)
                                return r;
                }
        }
        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
                reading.set = ranges[i];
                r = kernel_dump(fw, NFT_MSG_GETSETELEM, NFPROTO_INET, TABLE, ranges[i], take_ranges,
                                &reading, f);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

int structure_read(Firewall *fw, GHashTable **ret, Fault *f)
{
        for (unsigned try = 0; try < TRIES; try++) {
                g_autoptr(GHashTable) structure =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_bytes);
                int r = read_once(fw, structure, f);

                if (r == -EINTR)
                        continue;
                if (r == 0)
                        *ret = TAKE_PTR(structure);
                return r;
        }
        return fault_set(f, FAULT_BUSY,
                         "the kernel's rules change all the time: somebody else "
                         "writes nftables in a loop");
}

static int compare_structure(Firewall *fw, Fault *f)
{
        static const char *const tables[] = {"table bridge fluid", "table inet fluid"};
        g_autoptr(GHashTable) now = NULL;
        GHashTableIter i;
        gpointer label, bytes;
        int r = structure_read(fw, &now, f);

        if (r < 0)
                return r;
        for (size_t j = 0; j < G_N_ELEMENTS(tables); j++)
                if (!g_hash_table_contains(now, tables[j]))
                        return fault_set(f, FAULT_WRONG_STATE, "missing in the kernel: %s",
                                         tables[j]);
        g_hash_table_iter_init(&i, fw->structure);
        while (g_hash_table_iter_next(&i, &label, &bytes)) {
                const GByteArray *is = g_hash_table_lookup(now, label), *was = bytes;
                if (!is)
                        return fault_set(f, FAULT_WRONG_STATE, "missing in the kernel: %s",
                                         (const char *) label);
                if (is->len != was->len || (is->len && memcmp(is->data, was->data, is->len) != 0))
                        return fault_set(f, FAULT_WRONG_STATE, "changed in the kernel: %s",
                                         (const char *) label);
        }
        g_hash_table_iter_init(&i, now);
        while (g_hash_table_iter_next(&i, &label, NULL))
                if (!g_hash_table_contains(fw->structure, label))
                        return fault_set(f, FAULT_WRONG_STATE,
                                         "in the kernel without being fluid's: %s",
                                         (const char *) label);
        return 0;
}

static int require_loaded(Firewall *fw, Fault *f)
{
        return fw->structure ? 0 : fault_set(f, FAULT_WRONG_STATE, "the rules were not loaded yet");
}

/* -- elements ---------------------------------------------------------------------------------- */

static int fault_element(Fault *f, const char *what, const Element *e)
{
        g_autofree char *text = element_to_string(e);

        return fault_set(f, FAULT_WRONG_STATE, "%s: %s", what, text);
}

static int compare_elements(Firewall *fw, const Sandbox *s, Fault *f)
{
        g_autoptr(GArray) wanted = sandbox_elements(s);
        g_autofree Element *are = g_new0(Element, wanted->len);
        g_autofree bool *found = g_new0(bool, wanted->len);
        const Element *e = &g_array_index(wanted, Element, 0);
        int r = kernel_get(fw, e, wanted->len, are, found, f);

        if (r < 0)
                return r;
        for (guint i = 0; i < wanted->len; i++) {
                if (!found[i])
                        return fault_element(f, "missing in the kernel: an element of", &e[i]);
                if (!elements_equal(&e[i], &are[i]))
                        return fault_element(f, "changed in the kernel: an element of", &e[i]);
        }
        return 0;
}

int firewall_verify(Firewall *fw, const char *id, Fault *f)
{
        const Sandbox *s = g_hash_table_lookup(fw->model->sandboxes, id);
        int r = require_loaded(fw, f);

        if (r < 0)
                return r;
        if (!s)
                return fault_set(f, FAULT_NOT_FOUND, "sandbox '%.80s' has no rules", id);
        if ((r = compare_structure(fw, f)) < 0)
                return r;
        return compare_elements(fw, s, f);
}

typedef struct Comparison {
        GHashTable *wanted; /* of Element; what is found goes out of it */
        Fault *f;
        int result;
} Comparison;

static void compare_element(const Element *e, void *userdata)
{
        Comparison *c = userdata;
        const Element *wanted = g_hash_table_lookup(c->wanted, e);

        if (c->result < 0)
                return;
        if (!wanted)
                c->result = fault_element(c->f,
                                          "in the kernel without being fluid's: an element of", e);
        else if (!elements_equal(e, wanted))
                c->result = fault_element(c->f, "changed in the kernel: an element of", e);
        else
                (void) g_hash_table_remove(c->wanted, e);
}

/* Elements of names end by themselves: those that are there have to be known. */
static void want_names(GHashTable *wanted, const Sandbox *s)
{
        GHashTableIter i;
        gpointer address;

        g_hash_table_iter_init(&i, s->names);
        while (g_hash_table_iter_next(&i, &address, NULL))
                for (FirewallSet set = SET_NAMES; set <= SET_NAMED; set++) {
                        Element e = name_element(s, set, GPOINTER_TO_UINT(address));
                        g_hash_table_add(wanted, g_memdup2(&e, sizeof e));
                }
}

static GHashTable *want_all(const Model *m)
{
        GHashTable *wanted = g_hash_table_new_full(element_hash, element_same_key, g_free, NULL);
        GHashTableIter i;
        gpointer s;

        g_hash_table_iter_init(&i, m->sandboxes);
        while (g_hash_table_iter_next(&i, NULL, &s)) {
                g_autoptr(GArray) elements = sandbox_elements(s);
                for (guint j = 0; j < elements->len; j++)
                        g_hash_table_add(wanted, g_memdup2(&g_array_index(elements, Element, j),
                                                           sizeof(Element)));
                want_names(wanted, s);
        }
        return wanted;
}

static int compare_all(Firewall *fw, Fault *f)
{
        g_autoptr(GHashTable) wanted = want_all(fw->model);
        Comparison c = {.wanted = wanted, .f = f};
        GHashTableIter i;
        gpointer left;

        for (FirewallSet set = SET_PINNED; set <= SET_NAMED; set++) {
                int r = kernel_list(fw, set, compare_element, &c, c.result < 0 ? NULL : f);
                if (r == -ENOENT)
                        return fault_set(f, FAULT_WRONG_STATE, "missing in the kernel: set %s",
                                         set_names[set].name);
                if (r < 0)
                        return r;
        }
        if (c.result < 0)
                return c.result;
        g_hash_table_iter_init(&i, wanted);
        while (g_hash_table_iter_next(&i, &left, NULL)) {
                const Element *e = left;
                if (e->set != SET_NAMES && e->set != SET_NAMED)
                        return fault_element(f, "missing in the kernel: an element of", e);
        }
        return 0;
}

int firewall_verify_all(Firewall *fw, Fault *f)
{
        int r = require_loaded(fw, f);

        for (unsigned try = 0; r >= 0 && try < TRIES; try++) {
                Fault reason = {0};

                if ((r = compare_structure(fw, f)) < 0)
                        return r;
                r = compare_all(fw, &reason);
                if (r == -EINTR) {
                        r = 0;
                        continue;
                }
                return r < 0 ? fault_set(f, reason.code, "%s", reason.message) : 0;
        }
        return r < 0 ? r
                     : fault_set(f, FAULT_BUSY,
                                 "the kernel's rules change all the time: somebody "
                                 "else writes nftables in a loop");
}

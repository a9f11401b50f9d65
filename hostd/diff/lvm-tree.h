/* SPDX-License-Identifier: MIT */
#pragma once

/* LVM2's configuration text as a tree: sections in braces, numbers, strings, and lists. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>

#define LVM_DEPTH_MAX 8
#define LVM_NODES_MAX 100000

typedef enum LvmNodeKind {
        LVM_SECTION,
        LVM_NUMBER, /* without a sign; a fraction is cut off */
        LVM_STRING,
        LVM_LIST,
} LvmNodeKind;

typedef struct LvmNode {
        LvmNodeKind kind;
        char *key; /* NULL in a list */
        uint64_t number;
        char *text;          /* of a string, without NUL in it */
        GPtrArray *children; /* of LvmNode: of a section or list */
} LvmNode;

/* The whole text is a section without a key. FAULT_DIFF_FAILED: where it is no such text, is nested
 * deeper than LVM_DEPTH_MAX, or has more than LVM_NODES_MAX nodes. */
int lvm_tree_parse(const char *text, size_t size, LvmNode **ret, Fault *f);
LvmNode *lvm_node_free(LvmNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmNode, lvm_node_free)

/* The first child of that key and kind, or NULL; `node` may be NULL. */
const LvmNode *lvm_node_find(const LvmNode *node, const char *key, LvmNodeKind kind);

/* The number, or `otherwise` where there is none. */
uint64_t lvm_node_number(const LvmNode *node, const char *key, uint64_t otherwise);

/* The string, or NULL. */
const char *lvm_node_string(const LvmNode *node, const char *key);

/* The i-th child; NULL at the end. */
const LvmNode *lvm_node_child(const LvmNode *node, unsigned i);

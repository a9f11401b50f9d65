/* SPDX-License-Identifier: MIT */
#include "diff/lvm-text.h"

#include "base/cleanup.h"
#include "diff/lvm-tree.h"

#include <string.h>

#define SECTOR          512
#define NAME_MAX_OF_LVM 127
#define EXTENTS_MAX     (UINT64_C(1) << 32)
#define EXTENT_SIZE_MAX (UINT64_C(1) << 40)
#define SEGMENTS_MAX    65536

static void physical_free(gpointer data)
{
        LvmPhysical *physical = data;

        g_free(physical->key);
        g_free(physical);
}

static void logical_free(gpointer data)
{
        LvmLogical *logical = data;

        g_free(logical->name);
        g_free(logical->reason);
        g_clear_pointer(&logical->segments, g_array_unref);
        g_free(logical);
}

LvmGroup *lvm_group_free(LvmGroup *group)
{
        if (!group)
                return NULL;
        g_free(group->name);
        g_ptr_array_unref(group->physicals);
        g_ptr_array_unref(group->logicals);
        g_free(group);
        return NULL;
}

bool lvm_id_parse(const char *text, size_t size, char ret[static LVM_ID_SIZE])
{
        size_t n = 0;

        for (size_t i = 0; i < size; i++) {
                if (text[i] == '-')
                        continue;
                if (!g_ascii_isalnum(text[i]) || n == LVM_ID_SIZE - 1)
                        return false;
                ret[n++] = text[i];
        }
        ret[n] = '\0';
        return n == LVM_ID_SIZE - 1;
}

static int damaged(const char *what, const char *name, Fault *f)
{
        return fault_set(f, FAULT_DIFF_FAILED, "LVM's metadata is damaged: %s of '%.127s'", what,
                         name);
}

static bool is_name(const char *name)
{
        size_t n = strlen(name);

        if (n == 0 || n > NAME_MAX_OF_LVM || name[0] == '-' || strcmp(name, ".") == 0 ||
            strcmp(name, "..") == 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!g_ascii_isalnum(name[i]) && !strchr("_.+-", name[i]))
                        return false;
        return true;
}

static int read_id(const LvmNode *node, char ret[static LVM_ID_SIZE], Fault *f)
{
        const char *id = lvm_node_string(node, "id");

        if (!id || !lvm_id_parse(id, strlen(id), ret))
                return damaged("the id", node->key, f);
        return 0;
}

static int read_physical(LvmGroup *group, const LvmNode *node, Fault *f)
{
        uint64_t start = lvm_node_number(node, "pe_start", UINT64_MAX);
        uint64_t n_extents = lvm_node_number(node, "pe_count", UINT64_MAX);
        char id[LVM_ID_SIZE];

        int r = read_id(node, id, f);
        if (r < 0)
                return r;
        if (start > INT64_MAX / SECTOR || n_extents > EXTENTS_MAX)
                return damaged("the extents", node->key, f);
        LvmPhysical *physical = g_new0(LvmPhysical, 1);
        physical->key = g_strdup(node->key);
        memcpy(physical->id, id, sizeof(id));
        physical->start = start * SECTOR;
        physical->n_extents = n_extents;
        g_ptr_array_add(group->physicals, physical);
        return 0;
}

static bool find_physical(const LvmGroup *group, const char *key, unsigned *ret)
{
        for (unsigned i = 0; i < group->physicals->len; i++) {
                const LvmPhysical *physical = group->physicals->pdata[i];

                if (strcmp(physical->key, key) == 0) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

static bool has_flag(const LvmNode *node, const char *key, const char *flag)
{
        const LvmNode *list = lvm_node_find(node, key, LVM_LIST), *item;

        for (unsigned i = 0; (item = lvm_node_child(list, i)) != NULL; i++)
                if (item->kind == LVM_STRING && strcmp(item->text, flag) == 0)
                        return true;
        return false;
}

/* Why the segment is not linear, or NULL; then its stripe's two items are a string and a number. */
static char *judge_segment(const LvmGroup *group, const LvmNode *segment)
{
        const char *type = lvm_node_string(segment, "type");
        uint64_t n_stripes = lvm_node_number(segment, "stripe_count", 0);
        const LvmNode *stripes = lvm_node_find(segment, "stripes", LVM_LIST);
        const LvmNode *key = lvm_node_child(stripes, 0), *first = lvm_node_child(stripes, 1);
        unsigned physical;

        if (!type || (strcmp(type, "striped") != 0 && strcmp(type, "linear") != 0))
                return g_strdup_printf("it is of LVM's type '%.32s', of which only linear volumes "
                                       "are read",
                                       type ? type : "");
        if (n_stripes != 1)
                return g_strdup("it is striped over several physical volumes; only linear volumes "
                                "are read");
        if (!key || !first || key->kind != LVM_STRING || first->kind != LVM_NUMBER)
                return g_strdup("its description is damaged");
        if (!find_physical(group, key->text, &physical))
                return g_strdup("it lies on another logical volume; only volumes on physical ones "
                                "are read");
        return NULL;
}

static void set_reason(LvmLogical *logical, char *reason)
{
        if (logical->reason)
                g_free(reason);
        else
                logical->reason = reason;
        g_array_set_size(logical->segments, 0);
}

static void read_segment(const LvmGroup *group, LvmLogical *logical, const LvmNode *node)
{
        char *reason = judge_segment(group, node);
        LvmSegment segment = {
                .start = lvm_node_number(node, "start_extent", UINT64_MAX),
                .count = lvm_node_number(node, "extent_count", 0),
        };

        if (reason) {
                set_reason(logical, reason);
                return;
        }
        const LvmNode *stripes = lvm_node_find(node, "stripes", LVM_LIST);
        (void) find_physical(group, lvm_node_child(stripes, 0)->text, &segment.physical);
        const LvmPhysical *physical = group->physicals->pdata[segment.physical];
        segment.first = lvm_node_child(stripes, 1)->number;
        if (segment.start > EXTENTS_MAX || segment.count == 0 || segment.count > EXTENTS_MAX ||
            segment.first > physical->n_extents ||
            segment.count > physical->n_extents - segment.first ||
            logical->segments->len >= SEGMENTS_MAX)
                set_reason(logical, g_strdup("its description is damaged"));
        else if (!logical->reason)
                g_array_append_val(logical->segments, segment);
}

static int compare_segments(gconstpointer a, gconstpointer b)
{
        const LvmSegment *x = a, *y = b;

        return (x->start > y->start) - (x->start < y->start);
}

static int read_logical(LvmGroup *group, const LvmNode *node, Fault *f)
{
        const LvmNode *child;
        uint64_t end = 0;

        if (!is_name(node->key))
                return damaged("the name", node->key, f);
        LvmLogical *logical = g_new0(LvmLogical, 1);
        logical->name = g_strdup(node->key);
        logical->is_visible = has_flag(node, "status", "VISIBLE");
        logical->segments = g_array_new(FALSE, FALSE, sizeof(LvmSegment));
        g_ptr_array_add(group->logicals, logical);
        for (unsigned i = 0; (child = lvm_node_child(node, i)) != NULL; i++)
                if (child->kind == LVM_SECTION && g_str_has_prefix(child->key, "segment"))
                        read_segment(group, logical, child);
        if (logical->reason)
                return 0;
        g_array_sort(logical->segments, compare_segments);
        for (unsigned i = 0; i < logical->segments->len; i++) {
                const LvmSegment *segment = &g_array_index(logical->segments, LvmSegment, i);

                if (segment->start != end) {
                        set_reason(logical, g_strdup("its description is damaged"));
                        break;
                }
                end += segment->count;
        }
        if (end == 0 && !logical->reason)
                set_reason(logical, g_strdup("it has no segments"));
        return 0;
}

static LvmLogical *find_logical(const LvmGroup *group, const char *name)
{
        for (unsigned i = 0; name && i < group->logicals->len; i++) {
                LvmLogical *logical = group->logicals->pdata[i];

                if (strcmp(logical->name, name) == 0)
                        return logical;
        }
        return NULL;
}

/* The store of a snapshot looks like a linear volume, and holds what only the kernel puts together.
 */
static void judge_snapshot(LvmGroup *group, const LvmNode *segment)
{
        static const char *const stores[] = {"cow_store", "merging_store"};
        LvmLogical *origin = find_logical(group, lvm_node_string(segment, "origin"));

        for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
                LvmLogical *store = find_logical(group, lvm_node_string(segment, stores[i]));

                if (store)
                        set_reason(store, g_strdup("it is a snapshot of another volume"));
                if (store && origin && i == 1)
                        set_reason(origin, g_strdup("a snapshot is being merged into it"));
        }
}

static void judge_snapshots(LvmGroup *group, const LvmNode *logicals)
{
        const LvmNode *logical, *segment;

        for (unsigned i = 0; (logical = lvm_node_child(logicals, i)) != NULL; i++)
                for (unsigned j = 0; (segment = lvm_node_child(logical, j)) != NULL; j++) {
                        const char *type = lvm_node_string(segment, "type");

                        if (type && strcmp(type, "snapshot") == 0)
                                judge_snapshot(group, segment);
                }
}

static int read_group(LvmGroup *group, const LvmNode *node, Fault *f)
{
        const LvmNode *physicals = lvm_node_find(node, "physical_volumes", LVM_SECTION);
        const LvmNode *logicals = lvm_node_find(node, "logical_volumes", LVM_SECTION), *child;
        uint64_t sectors = lvm_node_number(node, "extent_size", 0);

        if (!is_name(node->key))
                return damaged("the name", node->key, f);
        if (sectors == 0 || sectors > EXTENT_SIZE_MAX / SECTOR)
                return damaged("the size of extents", node->key, f);
        group->name = g_strdup(node->key);
        group->seqno = lvm_node_number(node, "seqno", 0);
        group->extent_size = sectors * SECTOR;
        int r = read_id(node, group->id, f);
        for (unsigned i = 0; r == 0 && (child = lvm_node_child(physicals, i)) != NULL; i++)
                if (child->kind == LVM_SECTION)
                        r = read_physical(group, child, f);
        for (unsigned i = 0; r == 0 && (child = lvm_node_child(logicals, i)) != NULL; i++)
                if (child->kind == LVM_SECTION)
                        r = read_logical(group, child, f);
        if (r == 0)
                judge_snapshots(group, logicals);
        return r;
}

int lvm_group_parse(const char *text, size_t size, LvmGroup **ret, Fault *f)
{
        g_autoptr(LvmGroup) group = g_new0(LvmGroup, 1);
        g_autoptr(LvmNode) root = NULL;
        const LvmNode *node;
        int r;

        group->physicals = g_ptr_array_new_with_free_func(physical_free);
        group->logicals = g_ptr_array_new_with_free_func(logical_free);
        if (size > LVM_TEXT_MAX)
                return fault_set(f, FAULT_DIFF_FAILED, "LVM's metadata is too large: %zu bytes",
                                 size);
        r = lvm_tree_parse(text, size, &root, f);
        if (r < 0)
                return r;
        for (unsigned i = 0; (node = lvm_node_child(root, i)) != NULL; i++)
                if (node->kind == LVM_SECTION) {
                        r = read_group(group, node, f);
                        if (r == 0)
                                *ret = TAKE_PTR(group);
                        return r;
                }
        return fault_set(f, FAULT_DIFF_FAILED, "LVM's metadata is damaged: no volume group");
}

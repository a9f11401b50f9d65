/* SPDX-License-Identifier: MIT */
#include "diff/lvm-tree.h"

#include "base/cleanup.h"

#include <string.h>

typedef struct Reader {
        const char *text;
        size_t size, at;
        unsigned n_nodes;
} Reader;

static int damaged(const Reader *reader, const char *what, Fault *f)
{
        return fault_set(f, FAULT_DIFF_FAILED, "LVM's metadata is damaged: %s at byte %zu", what,
                         reader->at);
}

LvmNode *lvm_node_free(LvmNode *node)
{
        if (!node)
                return NULL;
        g_free(node->key);
        g_free(node->text);
        g_clear_pointer(&node->children, g_ptr_array_unref);
        g_free(node);
        return NULL;
}

static void free_node(gpointer node)
{
        (void) lvm_node_free(node);
}

/* The first character of the next token, which is not taken; NUL at the end of the text. */
static char peek(Reader *reader)
{
        while (reader->at < reader->size) {
                char c = reader->text[reader->at];

                if (c == '#') {
                        while (reader->at < reader->size && reader->text[reader->at] != '\n')
                                reader->at++;
                } else if (g_ascii_isspace(c) || c == '\0') {
                        reader->at++;
                } else {
                        return c;
                }
        }
        return '\0';
}

static bool take(Reader *reader, char wanted)
{
        if (peek(reader) != wanted)
                return false;
        reader->at++;
        return true;
}

static bool is_word(char c)
{
        return g_ascii_isalnum(c) || (c != '\0' && strchr("_.+-", c));
}

/* A key or a number; NULL if there is none. */
static char *take_word(Reader *reader)
{
        size_t start, end;

        (void) peek(reader);
        start = end = reader->at;
        while (end < reader->size && is_word(reader->text[end]))
                end++;
        reader->at = end;
        return end > start ? g_strndup(reader->text + start, end - start) : NULL;
}

/* Behind the opening quote. */
static int take_string(Reader *reader, char **ret, Fault *f)
{
        g_autoptr(GString) out = g_string_new(NULL);

        for (; reader->at < reader->size; reader->at++) {
                char c = reader->text[reader->at];

                if (c == '"') {
                        reader->at++;
                        *ret = g_string_free(TAKE_PTR(out), FALSE);
                        return 0;
                }
                if (c == '\\' && reader->at + 1 < reader->size)
                        c = reader->text[++reader->at];
                if (c == '\0')
                        break;
                g_string_append_c(out, c);
        }
        return damaged(reader, "a string without end", f);
}

static int check_room(const Reader *reader, Fault *f)
{
        return reader->n_nodes < LVM_NODES_MAX ? 0 : damaged(reader, "too many entries", f);
}

static LvmNode *new_node(Reader *reader, LvmNodeKind kind)
{
        LvmNode *node = g_new0(LvmNode, 1);

        reader->n_nodes++;
        node->kind = kind;
        if (kind == LVM_SECTION || kind == LVM_LIST)
                node->children = g_ptr_array_new_with_free_func(free_node);
        return node;
}

static int parse_scalar(Reader *reader, LvmNode **ret, Fault *f)
{
        bool is_string = take(reader, '"');
        g_autoptr(LvmNode) node = new_node(reader, is_string ? LVM_STRING : LVM_NUMBER);

        if (is_string) {
                int r = take_string(reader, &node->text, f);
                if (r < 0)
                        return r;
        } else {
                g_autofree char *word = take_word(reader);

                if (!word || !g_ascii_isdigit(word[0]))
                        return damaged(reader, "neither a number nor a string", f);
                node->number = g_ascii_strtoull(word, NULL, 10);
        }
        *ret = TAKE_PTR(node);
        return 0;
}

static int parse_value(Reader *reader, LvmNode **ret, Fault *f)
{
        g_autoptr(LvmNode) list = NULL;

        if (!take(reader, '['))
                return parse_scalar(reader, ret, f);
        list = new_node(reader, LVM_LIST);
        while (!take(reader, ']')) {
                LvmNode *item = NULL;

                int r = check_room(reader, f);
                if (r == 0)
                        r = parse_scalar(reader, &item, f);
                if (r < 0)
                        return r;
                g_ptr_array_add(list->children, item);
                if (!take(reader, ',') && peek(reader) != ']')
                        return damaged(reader, "a list without end", f);
        }
        *ret = TAKE_PTR(list);
        return 0;
}

/* Opens a section or takes a value: `key {` or `key = value`. */
static int parse_entry(Reader *reader, LvmNode **ret, Fault *f)
{
        g_autofree char *key = take_word(reader);
        LvmNode *node = NULL;

        int r = check_room(reader, f);
        if (r == 0 && !key)
                r = damaged(reader, "no key", f);
        if (r < 0)
                return r;
        if (take(reader, '{'))
                node = new_node(reader, LVM_SECTION);
        else if (take(reader, '='))
                r = parse_value(reader, &node, f);
        else
                r = damaged(reader, "a key without a value", f);
        if (r < 0 || !node)
                return r;
        node->key = TAKE_PTR(key);
        *ret = node;
        return 0;
}

int lvm_tree_parse(const char *text, size_t size, LvmNode **ret, Fault *f)
{
        Reader reader = {.text = text, .size = size};
        g_autoptr(LvmNode) root = new_node(&reader, LVM_SECTION);
        LvmNode *path[LVM_DEPTH_MAX];
        unsigned depth = 0;

        for (path[depth++] = root; peek(&reader);) {
                LvmNode *node = NULL;

                if (take(&reader, '}')) {
                        if (--depth == 0)
                                return damaged(&reader, "a brace too many", f);
                        continue;
                }
                int r = parse_entry(&reader, &node, f);
                if (r < 0 || !node)
                        return r;
                g_ptr_array_add(path[depth - 1]->children, node);
                if (node->kind != LVM_SECTION)
                        continue;
                if (depth == LVM_DEPTH_MAX)
                        return damaged(&reader, "too deep", f);
                path[depth++] = node;
        }
        if (depth != 1)
                return damaged(&reader, "a section without end", f);
        *ret = TAKE_PTR(root);
        return 0;
}

const LvmNode *lvm_node_child(const LvmNode *node, unsigned i)
{
        return node && node->children && i < node->children->len ? node->children->pdata[i] : NULL;
}

const LvmNode *lvm_node_find(const LvmNode *node, const char *key, LvmNodeKind kind)
{
        const LvmNode *child;

        for (unsigned i = 0; (child = lvm_node_child(node, i)) != NULL; i++)
                if (child->kind == kind && child->key && strcmp(child->key, key) == 0)
                        return child;
        return NULL;
}

uint64_t lvm_node_number(const LvmNode *node, const char *key, uint64_t otherwise)
{
        const LvmNode *child = lvm_node_find(node, key, LVM_NUMBER);

        return child ? child->number : otherwise;
}

const char *lvm_node_string(const LvmNode *node, const char *key)
{
        const LvmNode *child = lvm_node_find(node, key, LVM_STRING);

        return child ? child->text : NULL;
}

/* SPDX-License-Identifier: MIT */
#include "diff/owned-files.h"

#include "base/cleanup.h"

#include <string.h>

#define DIVERSIONS_MAX 10000

static const char *const tops[] = {"/bin/",   "/sbin/",   "/lib/",   "/lib32/",
                                   "/lib64/", "/libx32/", "/libo32/"};

static void free_diversion(void *data)
{
        Diversion *diversion = data;

        g_free(diversion->to);
        g_free(diversion->package);
        g_free(diversion);
}

GHashTable *diversions_parse(Span text)
{
        GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_diversion);
        Span from, to, package;

        while (g_hash_table_size(table) < DIVERSIONS_MAX && span_next_line(&text, &from) &&
               span_next_line(&text, &to) && span_next_line(&text, &package)) {
                if (!span_starts_with(from, "/") || !span_starts_with(to, "/"))
                        continue;
                Diversion *diversion = g_new0(Diversion, 1);
                diversion->to = span_dup(to);
                diversion->package = span_is(package, ":") ? g_strdup("") : span_dup(package);
                g_hash_table_replace(table, span_dup(from), diversion);
        }
        return table;
}

PathRules path_rules(const Tree *tree, Span diversions)
{
        PathRules rules = {.path = g_string_new(NULL)};
        Filesystem *fs;
        LookupFile file;

        for (unsigned i = 0; i < G_N_ELEMENTS(tops); i++) {
                g_autofree char *top = g_strndup(tops[i], strlen(tops[i]) - 1);

                if (tree_find(tree, top, false, &fs, &file, NULL) == 0 &&
                    file.attributes.kind == KIND_SYMLINK)
                        rules.merged |= 1U << i;
        }
        if (diversions.size > 0)
                rules.diversions = diversions_parse(diversions);
        return rules;
}

void path_rules_done(PathRules *rules)
{
        if (rules->path)
                (void) g_string_free(rules->path, TRUE);
        if (rules->diversions)
                g_hash_table_unref(rules->diversions);
        *rules = (PathRules){0};
}

static Span divert(PathRules *rules, Span path, const char *package)
{
        g_autofree char *key = span_dup(path);
        const Diversion *diversion = g_hash_table_lookup(rules->diversions, key);

        if (!diversion || strcmp(diversion->package, package) == 0)
                return path;
        return span_of(diversion->to);
}

Span path_rules_apply(PathRules *rules, Span path, const char *package)
{
        if (rules->diversions)
                path = divert(rules, path, package);
        for (unsigned i = 0; i < G_N_ELEMENTS(tops); i++) {
                if (!(rules->merged & 1U << i) || !span_starts_with(path, tops[i]))
                        continue;
                g_string_assign(rules->path, "/usr");
                g_string_append_len(rules->path, path.bytes, (gssize) path.size);
                return (Span){rules->path->str, rules->path->len};
        }
        return path;
}

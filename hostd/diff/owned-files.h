/* SPDX-License-Identifier: MIT */
#pragma once

/* How paths in a package manager's lists of files become those that the files really have: where
 * /bin, /lib and so on are links into /usr, and where dpkg diverts a file. */

#include "diff/span.h"
#include "diff/tree.h"

typedef struct PathRules {
        unsigned merged;        /* bits: which of the top directories are links into /usr */
        GHashTable *diversions; /* path → Diversion, or NULL */
        GString *path;          /* what the last call gave */
} PathRules;

typedef struct Diversion {
        char *to;
        char *package; /* whose file stays in place; "" for none */
} Diversion;

/* `diversions`: the text of /var/lib/dpkg/diversions, or empty. */
PathRules path_rules(const Tree *tree, Span diversions);
void path_rules_done(PathRules *rules);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PathRules, path_rules_done)

/* Where the file `path` of `package` is. Valid until the next call. */
Span path_rules_apply(PathRules *rules, Span path, const char *package);

/* Triples of lines: FROM, TO, PACKAGE (":" for none). Path → Diversion. */
GHashTable *diversions_parse(Span text);

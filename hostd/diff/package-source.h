/* SPDX-License-Identifier: MIT */
#pragma once

/* Where packages come from: apt's sources.list(5), in both of its forms, and the .repo files of dnf
 * and yum. Each source as one line for people. Pure. */

#include "diff/span.h"

#define SOURCES_MAX 2000 /* of one file */

typedef struct PackageSource {
        char *text; /* no secret in it: user and password of a URL are left out */
        bool enabled;
} PackageSource;

/* Of PackageSource; all free themselves. */
GPtrArray *sources_parse_list(Span text);   /* "deb http://… suite component" */
GPtrArray *sources_parse_deb822(Span text); /* stanzas of Types, URIs, Suites, Components */
GPtrArray *sources_parse_repo(Span text);   /* [id] baseurl=… enabled=1 gpgcheck=1 */

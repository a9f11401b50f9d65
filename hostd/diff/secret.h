/* SPDX-License-Identifier: MIT */
#pragma once

/* Secrets in text, known by how they look: private keys in PEM, and tokens whose makers gave them a
 * prefix. Only where they are and of what kind is told, never what they are. */

#include "diff/span.h"

typedef struct Secret {
        const char *kind; /* "private key", "AWS access key", … */
        size_t offset;    /* in the text */
        size_t size;      /* of the token, or of the key's first line */
        unsigned line;    /* from 1 */
} Secret;

#define SECRETS_MAX 64 /* of one text */

/* All of them, in order, at most SECRETS_MAX; of Secret. */
GArray *secrets_find(Span text);

/* Text as a person would have it: false where there is a NUL in its first bytes. */
bool secret_is_text(Span text);

/* A copy with what is secret replaced by its kind; user information of URLs too. */
char *secret_redact(Span text);

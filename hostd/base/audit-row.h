/* SPDX-License-Identifier: MIT */
#pragma once

/* Rows of the audit trail and the chain of their hashes: what the store keeps, what is exported,
 * and what can be verified of an export without a daemon. */

#include "base/sha256.h"

#include <stdbool.h>
#include <stdint.h>

/* Nobody, as a uid. */
#define UID_NONE UINT32_MAX

/* One line of the trail. A call that changes something writes "begin" before its effect and "done"
 * or "failed" after it; one that is turned down writes "refused". What is told once is "done". */
typedef struct AuditRow {
        uint64_t seq; /* 1, 2, … without a gap */
        uint64_t time_usec;
        unsigned caller_uid;
        const char *caller;       /* "fluidctl[1234]", escaped for print */
        const char *kind;         /* "sandbox.create" */
        const char *phase;        /* "begin", "done", "failed", "refused" */
        const char *object;       /* a bus path, or "" */
        const char *detail;       /* a JSON object: arguments without content */
        const char *error;        /* fault_to_string(), or "" */
        const char *sandbox_id;   /* of what it is about, or "" */
        const char *sandbox_name; /* of then */
        const char *agent;
        unsigned owner_uid; /* of that sandbox, approval or template, who may read the row; or
                               UID_NONE */
        uint64_t begin_seq; /* of the row that this one ends, or 0 */
        char hash[SHA256_HEX_SIZE];
        bool is_damaged; /* as it reads nothing was ever appended: somebody has changed it */
} AuditRow;

/* The hash is SHA-256 over the previous row's hash (64 zeros before the first) and this row's
 * fields in the order above up to `error`, and from there to `begin_seq` unless these are all
 * empty, UID_NONE and 0, as in rows of before 0.3: each as text with its length in bytes before it
 * ("LENGTH:TEXT", numbers in decimal), so that no two rows read alike. Of any thread. */
void audit_hash(const AuditRow *row, const char *previous, char ret_hash[static SHA256_HEX_SIZE]);

/* A place in the chain, and what is wrong in it there. */
typedef struct AuditHead {
        uint64_t seq; /* 0: before the first */
        char hash[SHA256_HEX_SIZE];
} AuditHead;
#define AUDIT_HASH_OF_NONE "0000000000000000000000000000000000000000000000000000000000000000"

/* Whether `row` follows `last`, which it then becomes; else the words that name the row and say how
 * not, which the caller frees. Of any thread. */
char *audit_check_row(AuditHead *last, const AuditRow *row);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What a guest asks, and what it is answered. */

#include "resolve/answer.h"
#include "resolve/dns-name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest reply that is ever built: a chain of names, and addresses. */
#define REPLY_MAX 4096

/* RFC 8914: for those who wonder about the answer, and show it. */
typedef enum ReplyNote {
        REPLY_NOTE_NONE,
        REPLY_NOTE_NAME,     /* the profile does not allow the name */
        REPLY_NOTE_ADDRESS,  /* it has no address that the profile allows */
        REPLY_NOTE_UPSTREAM, /* no resolver of the host's answered */
        _REPLY_NOTE_MAX,
} ReplyNote;

typedef struct Question {
        uint16_t id;
        uint16_t flags; /* as in the packet */
        DnsName name;   /* in its case; size 0 where it could not be read */
        uint16_t type, class;
        bool has_edns;
        size_t udp_max; /* of the reply */
} Question;

/* ns_r_noerror; or the code to reply with where it can be told what is wrong (ns_r_formerr,
 * ns_r_notimpl, ns_r_badvers): then `*ret` holds what was read until then; or -EBADMSG: no question
 * at all, not to be replied to. */
int question_parse(const uint8_t *packet, size_t size, Question *ret);

/* Writes the reply, of at most `max` bytes: its size. What does not fit is left out whole, and the
 * reply says that it was (truncated). `answer` may be NULL; what it says of the rcode is `rcode`.
 */
size_t reply_build(const Question *q, unsigned rcode, const Answer *answer, ReplyNote note,
                   size_t max, uint8_t ret[static REPLY_MAX]);

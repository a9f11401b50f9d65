/* SPDX-License-Identifier: MIT */
#pragma once

/* Bytes of a guest agent into JSON replies, a bounded amount of memory at a time.
 *
 * Pure: no file, no clock. A reply is one line; qemu-ga puts 0xFF before that of
 * guest-sync-delimited and nowhere else. The strings of the members out-data, err-data and buf-b64
 * of the reply's "return" object may be megabytes of base64: they are decoded on the way, handed
 * over in pieces, and appear in the reply as "". All else of a reply is kept until its end, and
 * bounded. */

#include "base/fault.h"
#include "base/json.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct AgentReader AgentReader;

typedef struct AgentReaderHandlers {
        /* One whole reply (borrowed), an object. `is_delimited`: 0xFF came right before it. A
         * negative return ends agent_reader_feed() with it. */
        int (*reply)(Json *reply, bool is_delimited, void *userdata, Fault *f);
        /* Decoded bytes of member `key`, in order, before their reply is known to be whole. */
        void (*diverted)(const char *key, const void *bytes, size_t size, void *userdata);
} AgentReaderHandlers;

/* The reader begins as agent_reader_seek() leaves it. */
AgentReader *agent_reader_new(const AgentReaderHandlers *handlers, void *userdata);
AgentReader *agent_reader_free(AgentReader *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentReader, agent_reader_free)

/* Forgets an unfinished reply and ignores whatever is not a reply right after 0xFF, until
 * agent_reader_settle(). Nothing is diverted meanwhile. */
void agent_reader_seek(AgentReader *r);

/* From the next reply on every byte has to be right. May be called from the reply handler. */
void agent_reader_settle(AgentReader *r);

/* FAULT_AGENT_MISBEHAVED for what is not the protocol, or exceeds AGENT_LINE_MAX, AGENT_DEPTH_MAX
 * or AGENT_REPLY_MAX; while seeking, only for AGENT_REPLY_MAX bytes without the end of the search.
 * After a failure only agent_reader_seek() and agent_reader_free() make sense. */
int agent_reader_feed(AgentReader *r, const void *bytes, size_t size, Fault *f);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The QEMU guest agent protocol on a unix socket that fluid owns.
 *
 * Source: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html. libvirt is not involved: the
 * domain's virtio-serial port org.qemu.guest_agent.0 is a socket of QEMU's (server), to which this
 * connects. Everything that comes from it is hostile: replies are bounded in size, depth and time,
 * and long strings (command output, file content) are decoded straight into a sink, so a reply of
 * any size costs at most AGENT_LINE_MAX of memory.
 *
 * Calls are queued and sent one at a time; none is ever sent twice. The channel connects by itself,
 * and again whenever it breaks. When it is new, and when a call's time was up before its reply
 * came, it sends 0xFF and guest-sync-delimited with a fresh id, again every 0.2 s if the guest took
 * the last one, and ignores all bytes until that id comes back. After a breach of the protocol it
 * pauses, ever longer, up to 5 s, before it connects again. */

#include "base/fault.h"
#include "base/json.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* What a reply may be after its diverted strings were taken out of it. */
#define AGENT_LINE_MAX  (256 * 1024)
#define AGENT_DEPTH_MAX 16
/* What one reply may be in all, diverted strings included: two streams of 16 MiB in base64. */
#define AGENT_REPLY_MAX (48 * 1024 * 1024)

/* Calls that may wait, and the bytes of their requests; more end with FAULT_LIMITS_EXCEEDED. */
#define AGENT_QUEUE_MAX       256
#define AGENT_QUEUE_BYTES_MAX (8 * 1024 * 1024)

typedef struct Agent Agent;
typedef struct AgentCall AgentCall;

/* The agent answers now (true), or does not any more (false, with the reason: AGENT_MISBEHAVED when
 * the guest broke the protocol, TIMED_OUT, AGENT_UNAVAILABLE). Called from the loop; may free the
 * agent. */
typedef struct AgentObserver {
        void (*reachable)(Agent *a, bool is_reachable, const Fault *why, void *userdata);
} AgentObserver;

/* Begins to connect to `socket_path` and goes on trying until freed. Never blocks. `observer` may
 * be NULL. FAULT_INVALID_ARGUMENT for a path that is no socket address. */
int agent_new(sd_event *event, const char *socket_path, const AgentObserver *observer,
              void *userdata, Agent **ret, Fault *f);

/* Every call that has not ended ends with FAULT_CANCELLED before this returns, and one that is made
 * from those done() functions later. May be called from done() and reachable(). NULL is allowed. */
Agent *agent_free(Agent *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

bool agent_is_reachable(const Agent *a);

/* Where a diverted string goes: `bytes` are already base64-decoded, in order, in pieces. `key` is
 * the member's name ("out-data", "err-data", "buf-b64"). They come before the reply is known to be
 * whole. Return a negative errno to drop the rest of this reply's diverted bytes (the call itself
 * goes on). */
typedef int (*AgentSink)(const char *key, const void *bytes, size_t size, void *userdata);

/* `reply` is the "return" member, borrowed. A guest's own error is FAULT_AGENT_REFUSED with its
 * class and escaped description in the message; `reply` is then the "error" member. Else NULL when
 * r < 0. */
typedef void (*AgentDone)(Json *reply, int r, const Fault *f, void *userdata);

/* Sends {"execute": command, "arguments": arguments}. Ownership of `arguments` (may be NULL)
 * passes. Ends `timeout_usec` after it was queued with FAULT_TIMED_OUT, or FAULT_AGENT_UNAVAILABLE
 * where the channel is not in sync at that time; at once with FAULT_AGENT_UNAVAILABLE where the
 * channel breaks after it was sent, and with FAULT_AGENT_MISBEHAVED. done() runs once, never before
 * this returned. `sink` may be NULL: diverted strings are then dropped. The slot is valid until
 * done() begins. */
AgentCall *agent_call(Agent *a, const char *command, Json *arguments, uint64_t timeout_usec,
                      AgentSink sink, AgentDone done, void *userdata);

/* The same, queued after `delay_usec`. */
AgentCall *agent_call_later(Agent *a, uint64_t delay_usec, const char *command, Json *arguments,
                            uint64_t timeout_usec, AgentSink sink, AgentDone done, void *userdata);

/* After this neither sink nor done is called; a reply that is still to come is read and dropped.
 * Returns whether the call had been sent, so that the guest may act on it. */
bool agent_call_cancel(AgentCall *call);

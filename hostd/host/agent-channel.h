/* SPDX-License-Identifier: MIT */
#pragma once

/* The socket to a guest agent, kept connected and in sync; below host/agent.h and private to it.
 *
 * It connects by itself, again and again, and finds the beginning of the replies with 0xFF and
 * guest-sync-delimited. What it hands over was read by host/agent-reader.h. */

#include "base/fault.h"
#include "base/json.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

typedef struct AgentChannel AgentChannel;

typedef struct AgentChannelHandlers {
        /* In sync: requests may be sent. */
        void (*synced)(void *userdata);
        /* Out of sync: closed, or after a breach of the protocol. Only called after synced(). */
        void (*lost)(const Fault *why, void *userdata);
        /* One reply, while in sync. A negative return is a breach. */
        int (*reply)(Json *reply, void *userdata, Fault *f);
        void (*diverted)(const char *key, const void *bytes, size_t size, void *userdata);
} AgentChannelHandlers;

/* FAULT_INVALID_ARGUMENT for a path that is no socket address. */
int agent_channel_new(sd_event *event, const char *socket_path,
                      const AgentChannelHandlers *handlers, void *userdata, AgentChannel **ret,
                      Fault *f);

/* Closes it at once; may be called from its handlers. NULL is allowed. */
AgentChannel *agent_channel_free(AgentChannel *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentChannel, agent_channel_free)

bool agent_channel_is_synced(const AgentChannel *c);

/* Sends bytes, now or as the guest takes them; only while in sync. */
void agent_channel_send(AgentChannel *c, const void *bytes, size_t size);

/* Drops what is not sent yet and synchronises anew, without lost(). */
void agent_channel_resync(AgentChannel *c);

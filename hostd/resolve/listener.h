/* SPDX-License-Identifier: MIT */
#pragma once

/* Packets from guests and back, over UDP and TCP. It knows nothing of what is in them. */

#include "base/fault.h"
#include "resolve/question.h"

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/* Over TCP. */
#define CONNECTIONS_MAX            128
#define CONNECTIONS_OF_ADDRESS_MAX 4

typedef struct Listener Listener;

/* Where a packet came from, and a reply to it goes. */
typedef struct Origin {
        struct sockaddr_in from;
        uint64_t connection; /* 0: UDP */
} Origin;

typedef struct ListenerHandlers {
        /* Whether that address may connect; it is not asked of datagrams. */
        bool (*welcomes)(uint32_t address, void *userdata);
        void (*received)(const Origin *origin, const uint8_t *packet, size_t size, void *userdata);
} ListenerHandlers;

/* The sockets are bound and non-blocking; they are borrowed. FAULT_INTERNAL. */
int listener_new(sd_event *event, int udp_fd, int tcp_fd, const ListenerHandlers *handlers,
                 void *userdata, Listener **ret, Fault *f);
/* NULL is allowed. */
Listener *listener_free(Listener *l);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listener, listener_free)

/* Sends it, where the connection is still there. A connection has one question at a time, and is
 * read again when that was replied to. */
void listener_reply(Listener *l, const Origin *origin, const uint8_t *packet, size_t size);

/* There will be no reply: a connection ends. */
void listener_refuse(Listener *l, const Origin *origin);

/* Ends all connections of an address. */
void listener_hang_up(Listener *l, uint32_t address);

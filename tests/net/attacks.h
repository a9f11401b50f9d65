/* SPDX-License-Identifier: MIT */
#pragma once

/* Frames that no sandbox may send, each with the reason for which it has to be dropped. They are
 * sent twice: by live-attacks through taps that it holds itself, and by attacker from inside a
 * guest. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is there. Addresses are in host byte order. */
typedef struct AttackPlace {
        uint8_t mac[6], peer_mac[6], gateway_mac[6];
        uint32_t address, peer_address, gateway;
        uint32_t host_address; /* another one of the host's, to its uplink */
        uint32_t lan_host;     /* beyond that uplink */
        uint32_t range_last;   /* the broadcast address of the sandboxes' network */
        uint32_t lan_last;     /* and of the uplink's */
} AttackPlace;

/* As FirewallReason, whose order it has. */
typedef enum AttackReason {
        ATTACK_FORGED,
        ATTACK_PROTOCOL,
        ATTACK_HOST,
        ATTACK_REACH,
} AttackReason;

typedef struct Attack {
        const char *name; /* what is sent */
        AttackReason reason;
        /* Why it goes nowhere even without rules, or NULL. */
        const char *contained;
        const struct AttackFrame *frame;
} Attack;

extern const Attack attacks[];
extern const size_t attacks_count;

#define ATTACK_FRAME_MAX 1600

/* The frame's bytes, without the checksum; their number. */
size_t attack_build(const Attack *attack, const AttackPlace *place, uint8_t ret[ATTACK_FRAME_MAX]);

/* A request for the gateway's MAC, which is allowed: its answer tells that what was sent before has
 * been dealt with. */
size_t attack_build_fence(const AttackPlace *place, uint8_t ret[ATTACK_FRAME_MAX]);

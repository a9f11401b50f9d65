/* SPDX-License-Identifier: MIT */
#pragma once

/* A frame as the rows of attacks.c describe it: what is not said is as an honest sandbox would have
 * it. */

#include "tests/net/attacks.h"

typedef enum Who {
        WHO_DEFAULT,
        WHO_SELF,
        WHO_PEER,
        WHO_GATEWAY,
        WHO_STRANGER,   /* a MAC or address of nobody */
        WHO_BROADCAST,  /* all ones */
        WHO_NOBODY,     /* all zeros */
        WHO_HOST,       /* the host's other address */
        WHO_LAN,        /* the host beyond the uplink */
        WHO_RANGE_LAST, /* broadcast addresses */
        WHO_LAN_LAST,
} Who;

typedef enum FrameKind {
        FRAME_UDP,
        FRAME_TCP,
        FRAME_ICMP,
        FRAME_PROTOCOL, /* IPv4 with `protocol` and some bytes */
        FRAME_ARP,
        FRAME_DHCP,
        FRAME_IPV6, /* with `next` and `body` */
        FRAME_RAW,  /* `type` and `body` */
} FrameKind;

typedef struct AttackFrame {
        FrameKind kind;
        /* Ethernet: from itself to the gateway. */
        Who from, to;
        const char *to_group; /* "01:80:c2:00:00:0e" */
        uint16_t tags[2];     /* types of tags before the rest */
        uint16_t vlan;        /* in each of them */
        uint16_t type;        /* instead of the kind's own */
        uint16_t cut;         /* so many bytes are sent, and no more */
        /* IPv4: from itself to the host on the uplink. */
        Who source, destination;
        uint32_t source_address, destination_address; /* instead */
        uint8_t protocol;
        uint16_t fragment;   /* flags and offset */
        const char *options; /* hexadecimal, whole words */
        uint8_t version_and_length;
        uint16_t total_length;
        /* UDP, TCP: from 40000 to 9. ICMP: an echo request. */
        uint16_t source_port, port;
        uint8_t flags; /* TCP's; SYN */
        uint8_t icmp_type, icmp_code;
        /* ARP: a request of itself for the gateway. */
        uint16_t operation;
        Who sender_mac, sender, target;
        uint8_t hardware_size;
        /* DHCP: a DISCOVER of itself, with the addresses and ports of that. */
        uint8_t boot_operation;
        Who client;      /* chaddr */
        bool is_relayed; /* giaddr */
        /* IPv6, RAW */
        uint8_t next;
        const char *body; /* hexadecimal */
} AttackFrame;

size_t frame_build(const AttackFrame *frame, const AttackPlace *place,
                   uint8_t ret[ATTACK_FRAME_MAX]);

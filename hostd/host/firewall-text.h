/* SPDX-License-Identifier: MIT */
#pragma once

/* The texts of nft/ and what is put into their holes. A hole is a name between @ signs; what goes
 * in has a kind, and each kind can only look one way, so that no value becomes a rule. */

#include "base/address.h"

#include <glib.h>
#include <stdint.h>

/* Embedded by nft/embed. */
extern const char nft_tables[];
extern const char nft_sandbox[];

typedef enum HoleKind {
        HOLE_NAME,      /* [a-z][a-z0-9-]{0,30}: profiles */
        HOLE_INTERFACE, /* [A-Za-z0-9._-]{1,15} */
        HOLE_ADDRESS,
        HOLE_RANGE,
        HOLE_MAC,
        HOLE_MAC_HEX,     /* the digits alone */
        HOLE_ADDRESS_HEX, /* likewise */
        HOLE_NUMBER,
        HOLE_COUNT, /* of packets and bytes */
        HOLE_RULES, /* made here, of the kinds above */
} HoleKind;

typedef struct Hole {
        const char *name;
        HoleKind kind;
        union {
                const char *text;
                uint32_t address;
                AddressRange range;
                const uint8_t *mac;
                uint64_t number;
                struct {
                        uint64_t packets, bytes;
                } count;
        };
} Hole;

bool hole_name_is_valid(const char *text);
bool hole_interface_is_valid(const char *text);

/* Appends `text` with its holes filled. A value of the wrong look, or a hole that is not among the
 * `n`, is our own mistake: what comes from people was checked before. */
void holes_fill(const char *text, const Hole *holes, size_t n, GString *out);

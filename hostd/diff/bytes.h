/* SPDX-License-Identifier: MIT */
#pragma once

/* Numbers in the bytes of a disk, at any alignment. */

#include <glib.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_le16(const uint8_t *bytes)
{
        return (uint16_t) (bytes[0] | bytes[1] << 8);
}

static inline uint16_t get_be16(const uint8_t *bytes)
{
        return (uint16_t) (bytes[0] << 8 | bytes[1]);
}

static inline uint32_t get_be32(const uint8_t *bytes)
{
        uint32_t value;

        memcpy(&value, bytes, sizeof(value));
        return GUINT32_FROM_BE(value);
}

static inline uint32_t get_le32(const uint8_t *bytes)
{
        uint32_t value;

        memcpy(&value, bytes, sizeof(value));
        return GUINT32_FROM_LE(value);
}

static inline uint64_t get_le64(const uint8_t *bytes)
{
        return get_le32(bytes) | (uint64_t) get_le32(bytes + 4) << 32;
}

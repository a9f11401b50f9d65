/* SPDX-License-Identifier: MIT */
#include "base/sha256.h"

void sha256_end(struct sha256_ctx *sum, char ret_hex[static SHA256_HEX_SIZE])
{
        static const char digits[] = "0123456789abcdef";
        uint8_t digest[SHA256_DIGEST_SIZE];

        sha256_digest(sum, sizeof digest, digest);
        for (size_t i = 0; i < sizeof digest; i++) {
                ret_hex[2 * i] = digits[digest[i] >> 4];
                ret_hex[2 * i + 1] = digits[digest[i] & 15];
        }
        ret_hex[2 * sizeof digest] = '\0';
}

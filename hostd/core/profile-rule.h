/* SPDX-License-Identifier: MIT */
#pragma once

/* One address of `allow` or `deny` in networks.conf: RANGE[:[PORT[-PORT]][/PROTOCOL]]. */

#include "host/firewall.h"

/* A port without a protocol has protocol 0 here, and means both TCP and UDP.
 * FAULT_INVALID_ARGUMENT, with how it is written right. */
int profile_rule_parse(const char *entry, bool allows, FirewallRule *ret, Fault *f);

/* "192.0.2.0/24 TCP port 443", with that protocol instead of its own; the caller frees it. */
char *profile_rule_to_words(const FirewallRule *rule, uint8_t protocol);

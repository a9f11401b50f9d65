/* SPDX-License-Identifier: MIT */
#pragma once

/* SSH host keys, made on this host: its random numbers are better than those of a guest that was
 * just copied, and it is faster. */

#include "base/fault.h"

/* A fresh ed25519 key, as OpenSSH keeps it: PROTOCOL.key of OpenSSH's sources, unencrypted. Both
 * texts end with a newline; the public one is freed by the caller, the private one by
 * ssh_key_wipe(). `comment`: at most SSH_KEY_COMMENT_MAX printable ASCII characters,
 * FAULT_INVALID_ARGUMENT. Any thread. */
#define SSH_KEY_COMMENT_MAX 255
int ssh_key_new(const char *comment, char **ret_private, char **ret_public, Fault *f);

/* Overwrites and frees; NULL is allowed. Returns NULL. */
char *ssh_key_wipe(char *private_text);

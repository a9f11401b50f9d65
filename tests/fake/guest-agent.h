/* SPDX-License-Identifier: MIT */
#pragma once

/* A QEMU guest agent on a unix socket, in a thread of its own, as good or as bad as a test wants
 * it.
 *
 * By itself it is good, and real: guest-exec runs programs on this machine, guest-file-… open its
 * files, guest-fsfreeze-… only counts. */

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct FakeAgent FakeAgent;

/* Runs in the fake's thread for each request, before the good answer; true: it is dealt with, be it
 * by silence. */
typedef bool (*FakeAnswer)(FakeAgent *fake, const char *command, Json *arguments, void *userdata);

/* Listens; `answer` may be NULL. */
FakeAgent *fake_agent_new(const char *socket_path, FakeAnswer answer, void *userdata);
FakeAgent *fake_agent_free(FakeAgent *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeAgent, fake_agent_free)

/* How often `command` was asked since it was made. */
unsigned fake_agent_count(FakeAgent *fake, const char *command);

/* Makes the agent run all shell scripts with busybox' shell and busybox' programs, linked in
 * `folder`. */
void fake_agent_use_busybox(FakeAgent *fake, const char *folder);

/* -- for a FakeAnswer -------------------------------------------------------------------------- */

void fake_agent_send(FakeAgent *fake, const void *bytes, size_t size);
/* {"return": value} and a newline. */
void fake_agent_return(FakeAgent *fake, const char *value);
void fake_agent_error(FakeAgent *fake, const char *class, const char *description);
/* Closes the connection; the next one is accepted. */
void fake_agent_hang_up(FakeAgent *fake);
/* Gives the good answer now. */
void fake_agent_be_good(FakeAgent *fake, const char *command, Json *arguments);

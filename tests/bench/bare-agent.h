/* SPDX-License-Identifier: MIT */
#pragma once

/* A guest agent's socket with nothing around it: what a call costs at least. Blocks, trusts the
 * guest, and ends the program where anything fails. */

#include <stdint.h>

/* Connects and waits until the agent answers. */
int bare_agent_open(const char *socket_path);

void bare_agent_ping(int fd);

/* Runs /bin/true as Run() does, output captured, and asks for its exit every `poll_usec`; 0: again
 * as soon as the answer is there. */
void bare_agent_exec(int fd, uint64_t poll_usec);

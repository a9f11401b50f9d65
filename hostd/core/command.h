/* SPDX-License-Identifier: MIT */
#pragma once

/* One program run in a sandbox. Its output is spooled to files of the host, never to the store. */

#include "core/manager.h"
#include "store/store.h"

typedef struct CommandSpec {
        const char *const *argv;        /* NULL-terminated, at least one */
        const char *const *environment; /* or NULL */
        const char *directory, *user;   /* or NULL */
        const void *input;              /* or NULL */
        size_t input_size;
        uint64_t timeout_usec; /* 0: none */
        uint64_t output_max;   /* 0: the most there can be */
} CommandSpec;

int command_start(Sandbox *s, Caller *caller, const CommandSpec *spec, Command **ret, Fault *f);

int command_wait(Command *c, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f);

typedef enum CommandStream { COMMAND_STDOUT, COMMAND_STDERR, _COMMAND_STREAM_MAX } CommandStream;

/* At most `max` (at most 1 MiB) bytes from `offset`; `ret_content` is freed with g_free(). */
int command_read(Command *c, CommandStream stream, uint64_t offset, uint64_t max,
                 char **ret_content, size_t *ret_size, bool *ret_ended, Fault *f);

int command_kill(Command *c, Caller *caller, int signal, OperationDone done, void *userdata,
                 Fault *f);

bool command_has_ended(const Command *c);

/* Why it failed, once it has; FAULT_NONE else. */
const Fault *command_fault(const Command *c);
Sandbox *command_sandbox(const Command *c);

/* Its record; valid until the loop goes on. */
const CommandRow *command_row(const Command *c);

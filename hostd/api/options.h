/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading a{sv} options by a table. */

#include "base/fault.h"

#include <stddef.h>
#include <systemd/sd-bus.h>

typedef struct OptionBytes {
        const void *bytes;
        size_t size;
} OptionBytes;

/* `where` by signature: s const char * (borrowed from the message), b bool, u uint32_t, t uint64_t,
 * h int (borrowed), ay OptionBytes (borrowed), as char ** (freed with g_strfreev(), an empty list
 * is not NULL), a{ss} char * (a JSON object, freed with g_free()). What is not given is left as it
 * was. */
typedef struct Option {
        const char *key;
        const char *signature;
        void *where;
} Option;

#define OPTION_STRINGS_MAX 4096 /* in an option of type as or a{ss} */

/* Reads the dictionary that comes next in `m`. FAULT_UNKNOWN_OPTION names the key and those that
 * there are; FAULT_INVALID_ARGUMENT: a value of another type, or a key twice. What was allocated
 * before a failure is in the table's variables and has to be freed as after success. */
int options_read(sd_bus_message *m, const Option *options, size_t n, Fault *f);

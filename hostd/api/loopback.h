/* SPDX-License-Identifier: MIT */
#pragma once

/* Replies out of parts that were encoded before. sd-bus encodes value by value, which takes most of
 * the time of a long reply, and cannot append what it has encoded once; but a message that it has
 * received it sends on as it is. So a reply is put together here as bytes and received from
 * ourselves, through a socket of which both ends are ours. */

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct Loopback Loopback;

/* All of these: a negative errno. */
int loopback_new(Loopback **ret);
Loopback *loopback_free(Loopback *l);

/* A message to append one complete type to, which is a structure or a dictionary entry, and its
 * bytes then. */
int loopback_begin(Loopback *l, sd_bus_message **ret);
int loopback_encode(Loopback *l, sd_bus_message *m, GBytes **ret);

/* `elements` becomes the elements of an array, one by one. */
void loopback_append(GByteArray *elements, GBytes *element);

/* A reply to `call` that is such an array, sealed. `signature` is the array's. */
int loopback_reply(Loopback *l, sd_bus_message *call, const char *signature,
                   const GByteArray *elements, sd_bus_message **ret);

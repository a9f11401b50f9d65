/* SPDX-License-Identifier: MIT */
#pragma once

/* What the verbs have in common that make sandboxes. */

#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"

/* Filled by the options below; begins as CREATION_INIT. */
typedef struct Creation {
        const char *agent, *network, *wait;
        GPtrArray *labels, *publish;
        uint64_t ttl_usec, idle_timeout_usec, boot_timeout_usec, wait_timeout_usec;
        bool boots, keep_failed, no_wait;
} Creation;

#define CREATION_INIT .wait_timeout_usec = USEC_INFINITY

#define CREATION_OPTIONS(c) \
        {.name = "agent", \
         .argument = "AGENT", \
         .string = &(c).agent, \
         .help = "who is going to work in it"}, \
                {.name = "ttl", \
                 .argument = "DURATION", \
                 .usec = &(c).ttl_usec, \
                 .help = "destroy it after that long; by default the host decides"}, \
                {.name = "idle-timeout", \
                 .argument = "DURATION", \
                 .usec = &(c).idle_timeout_usec, \
                 .help = "destroy it when nobody worked in it for that long; infinity: never"}, \
                {.name = "label", \
                 .argument = "KEY=VALUE", \
                 .list = &(c).labels, \
                 .help = "a label of your own"}, \
                {.name = "network", \
                 .argument = "PROFILE", \
                 .string = &(c).network, \
                 .help = "what it reaches: see 'network'; none, the default, has no interface"}, \
                OPTION_PUBLISH((c).publish), \
                {.name = "boot-timeout", \
                 .argument = "DURATION", \
                 .usec = &(c).boot_timeout_usec, \
                 .help = "it has failed if its guest agent does not answer by then"}, \
                {.name = "keep-failed", \
                 .flag = &(c).keep_failed, \
                 .help = "do not destroy it where it fails"}, \
                {.name = "wait", \
                 .argument = "WHAT", \
                 .string = &(c).wait, \
                 .help = "ready, the default, or ip: also until its address answers"}, \
                OPTION_NO_WAIT((c).no_wait), OPTION_WAIT_TIMEOUT((c).wait_timeout_usec)

/* Whether they go together: to be called before anything is begun. */
int creation_check(Ctl *ctl, const Creation *c, Fault *f);

/* Appends them to the open a{sv} of a CreateSandbox or Branch; `name` may be NULL. */
int creation_append(Ctl *ctl, const Creation *c, const char *name, BusMessage *m, Fault *f);

/* Waits until the new sandbox is ready, and its address answers where that is wanted. One that does
 * not get ready is destroyed, after its reason was told. */
int creation_wait(Ctl *ctl, const Creation *c, const char *path, const char *name, Fault *f);

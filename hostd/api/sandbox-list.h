/* SPDX-License-Identifier: MIT */
#pragma once

/* Manager.ListSandboxes: what is said of each sandbox is encoded once and kept until something of
 * it changes. */

#include "api/call.h"

typedef struct SandboxList SandboxList;

SandboxList *sandbox_list_new(void);
SandboxList *sandbox_list_free(SandboxList *l);

/* Something of it has changed. */
void sandbox_list_forget(SandboxList *l, const Sandbox *s);

/* What the list says of it, an "(oa{sv})": as it is kept, and as it is now. Negative errno. */
int sandbox_list_get(Api *api, Sandbox *s, GBytes **ret);
int sandbox_list_encode(Api *api, Sandbox *s, GBytes **ret);

int sandbox_list_reply(Call *call, void *object, Fault *f);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What became of each host, as Ansible counts it, and which tasks changed something. */

#include "base/json.h"

/* The callback plugin of Ansible's that writes it (run/recap.py), and its name. */
extern const char recap_plugin_text[];
#define RECAP_PLUGIN   "fluid_recap"
#define RECAP_VARIABLE "FLUID_RECAP"

#define RECAP_HOSTS_MAX   10000
#define RECAP_CHANGES_MAX 10000

typedef struct Recap {
        Json *hosts;   /* {"HOST": {"ok": N, "changed": N, …}}, checked */
        Json *changes; /* {"TASK": N}: how many results of it were a change; checked */
        unsigned n_hosts, n_failed;
} Recap;

void recap_done(Recap *recap);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Recap, recap_done)

/* From the file that the plugin wrote; no host at all where there is none. FAULT_INVALID_ARGUMENT
 * where it is not what the plugin writes. */
int recap_load(const char *path, Recap *ret, Fault *f);

/* {"rc": …, "check": …, "hosts": …} and a newline, in check mode with "changes"; the caller frees
 * it. */
char *recap_format(const Recap *recap, int rc, bool is_check);

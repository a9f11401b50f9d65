/* SPDX-License-Identifier: MIT */
#pragma once

/* ansible-playbook of ansible-core, with a configuration and an environment of fluid's alone. */

#include "base/apply-config.h"
#include "run/recap.h"

/* What it prints beyond this is counted, and not shown. */
#define ANSIBLE_OUTPUT_MAX (4 << 20)

/* Below the private directory in which all is, by name. */
#define ANSIBLE_PLAYBOOK_DIRECTORY "playbook"
#define ANSIBLE_INVENTORY          "inventory"

typedef struct AnsibleRun {
        const char *directory;     /* an absolute path; nobody else's */
        const ApplyConfig *config; /* NULL: as the inventory says */
        bool is_check;
        bool shows_diff;        /* of what files become, on standard output */
        uint64_t deadline_usec; /* on now_monotonic_usec() */
} AnsibleRun;

/* Writes what Ansible needs besides playbook and inventory; once. FAULT_IO. */
int ansible_prepare(const char *directory, const ApplyConfig *config, Fault *f);

/* Runs it to its end, with its output on standard output as it comes; nothing that it started goes
 * on behind that. Its status is as a shell has it. FAULT_NOT_FOUND where ansible-playbook is not on
 * PATH; TIMED_OUT; IO. */
int ansible_run(const AnsibleRun *run, int *ret_status, Recap *ret, Fault *f);

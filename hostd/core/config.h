/* SPDX-License-Identifier: MIT */
#pragma once

/* fluid.conf: lines of `key = value`, `#` begins a comment. One table (core/config.c) names every
 * key with its type, bounds, default and documentation; the manual page is made from it. */

#include "base/fault.h"

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_PATH "/etc/fluid/fluid.conf"

typedef struct Config {
        char *state_directory;   /* templates, disks, output, database; survives reboots */
        char *runtime_directory; /* sockets */
        char *libvirt_uri;
        char *virt_type;
        char *qemu_user;
        char *qemu_group;
        char *verify_user;
        uint64_t diff_output_max_bytes;
        char *networks_file;
        char *apply_file;
        char *network_name;
        char *network_bridge;
        char *network_range;
        uint64_t network_leases;
        uint64_t worker_threads;
        uint64_t boot_timeout_usec;
        uint64_t stop_timeout_usec;
        uint64_t freeze_timeout_usec;
        uint64_t diff_timeout_usec;
        uint64_t diff_guestfs_timeout_usec;
        uint64_t warm_timeout_usec;
        uint64_t idle_timeout_usec;
        uint64_t ttl_default_usec;
        uint64_t ttl_max_usec;
        uint64_t vcpus_default;
        uint64_t vcpus_max;
        uint64_t memory_default_bytes;
        uint64_t memory_max_bytes;
        uint64_t sandboxes_max;
        uint64_t sandboxes_per_owner_max;
        uint64_t memory_per_owner_max_bytes;
        uint64_t disk_per_owner_max_bytes;
        uint64_t pool_memory_max_bytes;
        uint64_t pool_idle_usec;
        uint64_t snapshots_max;
        uint64_t chain_depth_max;
        uint64_t commands_running_max;
        uint64_t commands_kept_max;
        uint64_t templates_max;
        uint64_t playbooks_per_owner_max;
        uint64_t verifications_max;
        uint64_t verify_timeout_usec;
        uint64_t disk_floor_bytes;
        uint64_t approval_timeout_usec;
        uint64_t approval_timeout_max_usec;
        uint64_t approval_use_timeout_usec;
        uint64_t approvals_pending_max;
        uint64_t approvals_pending_per_owner_max;
        uint64_t approval_keep_usec;
        uint64_t approvals_kept_max;
        char *approver_group;
        char *approve_own_as_root;
        char *approval_notify;
        uint64_t audit_keep_usec;
        uint64_t audit_rows_kept_max;
        char *log_level;
} Config;

/* All defaults. */
Config *config_new(void);
Config *config_free(Config *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* Reads a file over the defaults. A line that is not understood, an unknown or repeated key, or a
 * value out of bounds is FAULT_INVALID_ARGUMENT with "FILE:LINE: …"; FAULT_NOT_FOUND where there is
 * no file. */
int config_load(const char *path, Config **ret, Fault *f);

/* The same from memory; `path` is for messages. */
int config_parse(const char *path, const char *text, Config **ret, Fault *f);

/* Every key with its documentation and default, as a commented fluid.conf, or as roff for the
 * manual. */
void config_print_example(FILE *out);
void config_print_manual(FILE *out);

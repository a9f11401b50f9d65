/* SPDX-License-Identifier: MIT */
#pragma once

/* A package as a package manager's database has it. */

#include "diff/span.h"

#define PACKAGES_MAX             100000
#define PACKAGE_NAME_SIZE_MAX    255
#define PACKAGE_VERSION_SIZE_MAX 255

typedef enum PackageManager { MANAGER_DPKG, MANAGER_RPM } PackageManager;

/* Words of dpkg; of rpm all are installed. Those before STATE_UNPACKED have no files but, perhaps,
 * configuration. */
typedef enum PackageState {
        STATE_NOT_INSTALLED,
        STATE_CONFIG_FILES,
        STATE_HALF_INSTALLED,
        STATE_UNPACKED,
        STATE_HALF_CONFIGURED,
        STATE_TRIGGERS_AWAITED,
        STATE_TRIGGERS_PENDING,
        STATE_INSTALLED,
        _STATE_MAX,
} PackageState;

typedef struct Package {
        char *name;
        char *architecture;
        char *version; /* with epoch and release */
        PackageState state;
        bool multi_arch_same; /* its list of files has its architecture in the name */
        bool from_status_d;   /* it is in a file of its own there */
        uint64_t number;      /* rpm: the row of its header */
        uint64_t install_time;
        Span conffiles; /* dpkg: lines of " PATH HASH"; borrowed from the text */
} Package;

const char *package_state_to_string(PackageState state);
const char *package_manager_to_string(PackageManager manager);
bool package_is_present(const Package *package);

Package *package_free(Package *package);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Package, package_free)

/* Packages that free themselves. */
GPtrArray *package_list_new(void);

/* By name, then architecture; then the list can be compared with another. */
void package_list_sort(GPtrArray *packages);
int package_compare(const Package *a, const Package *b);

/* The packages of dpkg's status database, appended; what is no package is passed over. The text has
 * to live as long. False where there are more than PACKAGES_MAX. */
bool package_parse_status(Span text, bool is_status_d, GPtrArray *packages);

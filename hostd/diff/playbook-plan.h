/* SPDX-License-Identifier: MIT */
#pragma once

/* What a playbook will do, decided change by change, before anything is written. */

#include "diff/accounts.h"
#include "diff/playbook-document.h"
#include "diff/playbook-task.h"
#include "diff/playbook.h"

/* X(id, file of tasks, what it is for) */
#define TASK_FILES(X) \
        X(STOP, "stop.yml", "Stop what goes away") \
        X(SOURCES, "sources.yml", "Say where packages come from") \
        X(SYSTEM_ACCOUNTS, "system-accounts.yml", \
          "Make groups and users that packages would number") \
        X(PACKAGES, "packages.yml", "Install and remove packages") \
        X(ACCOUNTS, "accounts.yml", "Make groups and users") \
        X(FILES, "files.yml", "Put files in place") \
        X(REMOVE, "remove.yml", "Remove what is gone") \
        X(SERVICES, "services.yml", "Enable and disable services")

typedef enum TaskFile {
#define X(id, name, purpose) TASKS_##id,
        TASK_FILES(X)
#undef X
                _TASKS_MAX,
} TaskFile;

/* Something that the playbook does not reproduce. */
typedef struct LeftOut {
        const char *what; /* "file", "package", "user", …; "all" for what goes for everything */
        const FileChange *change; /* of a file; else NULL */
        char *name;               /* of what is no file */
        char *rule;               /* a word for machines */
        char *reason;             /* a sentence, escaped for printing */
} LeftOut;

typedef struct Plan {
        const PlaybookDocument *document;
        const PlaybookSource *source;
        PlaybookOptions options;

        GPtrArray *tasks[_TASKS_MAX]; /* of Task */
        GPtrArray *handlers;          /* of Task; no two of a name */
        GPtrArray *package_files;     /* of FileChange: packages that lie there and are installed */
        GPtrArray *debs,
                *rpms;       /* of char *: what to install, "NAME=VERSION", "NAME-VERSION.ARCH" */
        GPtrArray *left_out; /* of LeftOut */
        GPtrArray *contents; /* of FileChange: one for each hash */
        GHashTable *sums;    /* hash → FileChange */
        GPtrArray *secrets, *setuid; /* of char *: paths that have to be allowed */

        GHashTable *users, *groups; /* id of the newer point → name */
        GHashTable *user_names;     /* name → itself: users there are */
        char *groups_text;          /* /etc/group of the newer point, or NULL */
        int64_t default_days[N_USER_DAYS];
        GHashTable *source_files; /* FileChange → itself: see plan_is_source() */
        GHashTable *explained;    /* FileChange → itself: a task of another kind makes it */
        GHashTable *shipped;      /* path → MD5 in hexadecimal, of packages that changed */
        bool has_sources;         /* some source of packages changed */
        bool has_restarts, has_facts;
        bool pins_ids; /* accounts of packages are made with their numbers, before them */
} Plan;

int plan_new(const PlaybookDocument *document, const PlaybookSource *source,
             const PlaybookOptions *options, Plan **ret, Fault *f);
Plan *plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

/* The plan takes the task; returns it. */
Task *plan_add(Plan *plan, TaskFile file, Task *task);

/* A handler is added once; returns NULL where there is one of that name already. */
Task *plan_add_handler(Plan *plan, const char *name, const char *module);

void plan_leave_out(Plan *plan, const FileChange *change, const char *rule, const char *reason);
void plan_leave_out_named(Plan *plan, const char *what, const char *name, const char *rule,
                          const char *reason);

/* The name of an owner where the newer point has one, else its number. g_free() it. */
char *plan_user(const Plan *plan, uint32_t uid);
char *plan_group(const Plan *plan, uint32_t gid);

/* Whether a module of Ansible's gets exactly this path: it is UTF-8, and nothing in it is expanded
 * as a variable. */
bool plan_can_say(const char *path);

/* Whether a name of the guest's can be an argument of a program: letters, digits, and those. */
bool is_word(const char *text, const char *others, size_t max);

/* Whether `path` is `directory` or below it. */
bool is_within(const char *path, const char *directory);

/* The parts, each adding its tasks; in this order. */
void plan_packages(Plan *plan); /* and which changes are theirs */
void plan_accounts(Plan *plan);
void plan_services(Plan *plan);
int plan_files(Plan *plan, Fault *f);
void plan_alternatives(Plan *plan);
void plan_services_done(Plan *plan);

/* Whether the package brings this file exactly as it is at the newer point. */
bool plan_is_as_shipped(Plan *plan, const FileChange *change);

/* Of files that are copied for packages to be installed from: those that a source of packages
 * names, a package on its own, and how packages are found. */
bool plan_is_source(const Plan *plan, const FileChange *change);

/* Handlers that a change to this path needs; and the units that use it. */
void plan_notify(Plan *plan, const FileChange *change, Task *task);

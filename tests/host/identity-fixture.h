/* SPDX-License-Identifier: MIT */
#pragma once

/* A guest whose files are in a folder, for the tests of its identity: the scripts are run with each
 * shell there is, fluid's own program before a witness. */

#include "host/guest-task.h"

#include "host/guest-program.h"
#include "tests/host/guest-fixture.h"

#include <sys/stat.h>

#define MACHINE_ID "0123456789abcdef0123456789abcdef"
#define KEY_TEXT \
        "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"
#define PUBLIC_TEXT "ssh-ed25519 AAAA root@web\n"

static char *root;         /* the guest's / */
static char *programs;     /* its PATH */
static char *shell;        /* its /bin/sh */
static const char *spoken; /* and what that is */
static unsigned scripts, programs_run, leaks;
static bool gives_program; /* each guest has fluid's own program */

/* As the first argument, this program is a witness: see witness.h. */
#define WITNESS "--witness"

static inline char *path_of(const char *name)
{
        return g_build_filename(root, name, NULL);
}

static inline void put(const char *name, const char *text)
{
        g_autofree char *path = path_of(name);
        g_autofree char *parent = g_path_get_dirname(path);

        g_assert(g_mkdir_with_parents(parent, 0755) == 0);
        g_assert(g_file_set_contents(path, text, -1, NULL));
}

static inline void put_link(const char *name, const char *target)
{
        g_autofree char *path = path_of(name);
        g_autofree char *parent = g_path_get_dirname(path);

        g_assert(g_mkdir_with_parents(parent, 0755) == 0 && symlink(target, path) == 0);
}

/* NULL where there is none. */
static inline char *get(const char *name)
{
        g_autofree char *path = path_of(name);
        char *text = NULL;

        (void) g_file_get_contents(path, &text, NULL, NULL);
        return text;
}

static inline bool has(const char *name)
{
        g_autofree char *path = path_of(name);
        struct stat st;

        return lstat(path, &st) == 0;
}

static inline bool is(const char *name, const char *expected)
{
        g_autofree char *text = get(name);
        bool same = text && g_str_equal(text, expected);

        if (!same)
                tap_note("%s is '%s', not '%s'", name, text ? text : "(none)", expected);
        return same;
}

static inline void make_folder(const char *name)
{
        g_autofree char *path = path_of(name);

        (void) unlink(path);
        g_assert(g_mkdir_with_parents(path, 0755) == 0);
}

static inline void put_program(const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(programs, name, NULL);

        (void) unlink(path);
        g_assert(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

/* A date that sets no clock: it writes down with what it was called. */
static inline void put_date(const char *refuses)
{
        g_autofree char *text = g_strdup_printf("#!/bin/sh\n"
                                                "case $3 in %s) echo refused >&2; exit 1 ;; esac\n"
                                                "echo \"$*\" >>'%s/clock'\n",
                                                refuses, root);

        put_program("date", text);
}

/* What makes the kernel take the seed where fluid's own program cannot. */
static inline void put_reseeder(const char *name, int status)
{
        g_autofree char *text = g_strdup_printf("#!/bin/sh\necho \"%s $2\" >>'%s/reseeded'\n"
                                                "exit %d\n",
                                                name, root, status);

        put_program(name, text);
}

static inline void begin_root(void)
{
        root = g_build_filename(folder, "root", NULL);
        put("proc/sys/kernel/hostname", "mini\n");
        put("etc/hostname", "mini\n");
        put("dev/urandom", "");
        put_date("nothing");
        put_reseeder("perl", 0);
        put_reseeder("python3", 0);
        if (gives_program) {
                g_autofree char *path = path_of("run/fluid-identity-1");
                make_folder("run");
                g_assert(g_file_set_contents_full(path, (const char *) guest_program,
                                                  (gssize) guest_program_size,
                                                  G_FILE_SET_CONTENTS_NONE, 0500, NULL));
        }
}

static inline void end_root(void)
{
        (void) remove_tree(root, NULL);
        g_clear_pointer(&root, g_free);
}

/* The script with programs that are not the machine's: busybox prefers its own to any in PATH. */
static inline void replace_programs(Json *arg)
{
        const char *script = json_object_get_string(json_object_array_get_idx(arg, 1));
        g_autofree char *text = g_strdup_printf("date() { '%s/date' \"$@\"; }\n"
                                                "sync() { '%s/sync' \"$@\"; }\n"
                                                "sleep() { :; }\n%s",
                                                programs, programs, script);

        json_object_array_put_idx(arg, 1, json_object_new_string(text));
}

/* Whether it is the program that the guest was given, which is let run only before a witness. */
static inline bool answer_program(Json *arguments, Json *arg)
{
        g_autofree char *path =
                g_strdup(json_object_get_string(json_object_object_get(arguments, "path")));
        g_autofree char *link = root ? path_of("run/fluid-identity-1") : NULL;
        Json *watched;

        if (!link || !g_str_equal(path, link))
                return false;
        if (access(path, F_OK) < 0)
                return true;
        programs_run++;
        watched = json_object_new_array();
        json_object_array_add(watched, json_object_new_string(WITNESS));
        json_object_array_add(watched, json_object_new_string(path));
        for (size_t i = 0; i < json_object_array_length(arg); i++)
                json_object_array_add(watched, json_object_get(json_object_array_get_idx(arg, i)));
        json_object_object_add(arguments, "path", json_object_new_string("/proc/self/exe"));
        json_object_object_add(arguments, "arg", watched);
        return true;
}

/* Scripts run in the shell that is tried, with the programs that it has; a secret never shows in
 * what every process of a guest may read. */
static inline bool answer_scripts(FakeAgent *f, const char *command, Json *arguments,
                                  void *userdata)
{
        g_autofree char *variable = g_strconcat("PATH=", programs, NULL);
        Json *env, *arg = NULL;

        (void) f;
        (void) userdata;
        if (!g_str_equal(command, "guest-exec"))
                return false;
        (void) json_find_array(arguments, "arg", &arg);
        leaks += strstr(json_object_to_json_string(arg), "c2VjcmV0") != NULL;
        if (answer_program(arguments, arg))
                return false;
        scripts++;
        replace_programs(arg);
        env = json_object_new_array();
        json_object_array_add(env, json_object_new_string(variable));
        json_object_object_add(arguments, "path", json_object_new_string(shell));
        json_object_object_add(arguments, "env", env);
        return false;
}

static inline void link_program(const char *name, const char *target)
{
        g_autofree char *path = g_build_filename(programs, name, NULL);

        g_assert(symlink(target, path) == 0);
}

/* false where this machine has no such shell. */
static inline bool begin_shell(const char *name)
{
        static const char *const used[] = {"cat", "rm", "chmod", "timeout", "mkdir", "ln"};
        bool is_busybox = g_str_equal(name, "busybox");
        g_autofree char *target = g_find_program_in_path(name);

        spoken = name;
        if (!target) {
                tap_skip("the scripts run", name);
                return false;
        }
        programs = g_build_filename(folder, name, NULL);
        g_assert(g_mkdir(programs, 0755) == 0);
        link_program("sh", target);
        shell = g_build_filename(programs, "sh", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(used); i++) {
                g_autofree char *program = g_find_program_in_path(used[i]);
                link_program(used[i], is_busybox ? target : program);
        }
        begin(answer_scripts);
        return true;
}

static inline void end_shell(void)
{
        end();
        (void) remove_tree(programs, NULL);
        g_clear_pointer(&shell, g_free);
        g_clear_pointer(&programs, g_free);
}

/* -- renewing ------------------------------------------------------------------------------- */

static inline int renew_with(Simple *s, const GuestIdentity *identity)
{
        *s = (Simple){0};
        return guest_renew_identity_below(event, agent, root, identity, simple_done, s, &s->task,
                                          &s->fault);
}

static inline void renew(Simple *s, const GuestIdentity *identity)
{
        g_assert(renew_with(s, identity) == 0);
        wait_simple(s);
        if (s->r < 0)
                tap_note("%s", s->fault.message);
}

#define IDENTITY(...) (&(GuestIdentity){__VA_ARGS__})
static const GuestIdentity whole_identity = {.hostname = "web",
                                             .machine_id = MACHINE_ID,
                                             .ssh_host_key = KEY_TEXT,
                                             .ssh_host_key_public = PUBLIC_TEXT,
                                             .seed = "\0\1\2\377",
                                             .seed_size = 4,
                                             .sets_clock = true};

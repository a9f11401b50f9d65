/* SPDX-License-Identifier: MIT */
#pragma once

/* host/links.h in a network, mount and pid namespace of the test's own, with what its observer was
 * told; root. */

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/links-private.h"
#include "tests/tap.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_USEC (20 * USEC_PER_SEC)

typedef struct Net {
        sd_event *event;
        Links *links;
        GString *told; /* "+name" there or changed, "-name" gone, "N" networks, "O" overrun */
        Link link;     /* as told last */
        unsigned rulesets, neighbors, overruns, networks;
        uint32_t pid, address; /* as told last */
        char program[PROGRAM_MAX];
} Net;

static inline void on_link(const char *name, const Link *link, void *userdata)
{
        Net *t = userdata;

        g_string_append_printf(t->told, "%s%c%s", t->told->len ? " " : "", link ? '+' : '-', name);
        if (link)
                t->link = *link;
}

static inline void on_networks(void *userdata)
{
        ((Net *) userdata)->networks++;
}

static inline void on_ruleset(uint32_t pid, const char *program, void *userdata)
{
        Net *t = userdata;

        t->rulesets++;
        t->pid = pid;
        (void) g_strlcpy(t->program, program, sizeof t->program);
}

static inline void on_neighbor(uint32_t address, void *userdata)
{
        Net *t = userdata;

        t->neighbors++;
        t->address = address;
}

static inline void on_overrun(void *userdata)
{
        ((Net *) userdata)->overruns++;
}

static const LinksObserver observer = {on_link, on_networks, on_ruleset, on_neighbor, on_overrun};

/* A program, its argv split at spaces; what cannot be done ends the test. */
static inline void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void run(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        g_autofree char *line = g_strdup_vprintf(format, args);
        va_end(args);
        g_auto(GStrv) argv = g_strsplit(line, " ", -1);
        g_autofree char *errors = NULL;
        int status = 0;

        if (g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &errors, &status,
                         NULL) &&
            status == 0)
                return;
        tap_note("'%s' ended with %d: %s", line, status, errors);
        tap_bail_out("a command of the test failed");
}

/* All that the kernel has said by now has been told: its news are there when a command ends. */
static inline void settle(Net *t)
{
        int r;

        do
                r = sd_event_run(t->event, 0);
        while (r > 0);
        if (r < 0)
                tap_bail_out("the event loop failed");
}

static inline bool wait_until(Net *t, bool (*is_so)(Net *t))
{
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;

        while (!is_so(t) && now_monotonic_usec() < deadline)
                (void) sd_event_run(t->event, USEC_PER_SEC);
        return is_so(t);
}

/* What was told since the last time. */
static inline void expect_told(Net *t, const char *expected, const char *what)
{
        settle(t);
        tap_is_str(t->told->str, expected, "%s", what);
        (void) g_string_truncate(t->told, 0);
}

static inline void forget(Net *t)
{
        settle(t);
        (void) g_string_truncate(t->told, 0);
        t->rulesets = t->neighbors = t->overruns = t->networks = 0;
}

static inline void begin(Net *t)
{
        Fault f = {0};

        if (sd_event_new(&t->event) < 0)
                tap_bail_out("no event loop");
        t->told = g_string_new(NULL);
        if (links_new(t->event, "fl-", "fluid0", &observer, t, &t->links, &f) < 0)
                tap_bail_out(f.message);
}

static inline void end(Net *t)
{
        t->links = links_free(t->links);
        t->event = sd_event_unref(t->event);
        g_string_free(t->told, TRUE);
}

/* Runs the cases as process 1 of namespaces of their own, where pids are not what the kernel tells
 * of them. */
static inline int run_alone(int (*cases)(void))
{
        int status = -1;

        if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0)
                tap_bail_out("cannot make namespaces: run as root");
        pid_t pid = fork();
        if (pid == 0) {
                if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
                    mount("proc", "/proc", "proc", 0, NULL) < 0)
                        tap_bail_out("cannot mount /proc");
                run("ip link set lo up");
                exit(cases());
        }
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* A socket unit without systemd's first process: systemd-socket-activate listens where the unit's
 * socket would, and starts fluid-runner for each connection. */

#include "tests/tap.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* As /proc/net/unix shows it. */
static inline bool socket_unit_listens(const char *path)
{
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        bool listens = false;

        if (!g_file_get_contents("/proc/net/unix", &text, NULL, NULL))
                tap_bail_out("/proc/net/unix cannot be read");
        lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; lines[i]; i++)
                listens |= g_str_has_suffix(lines[i], path) && strstr(lines[i], " 00010000 ");
        return listens;
}

/* Listens as DIRECTORY/UNIT.socket when this returns; runs `program`, an absolute path. It ends
 * with this process. */
static inline pid_t socket_unit_start(const char *directory, const char *unit, const char *program)
{
        g_autofree char *path = g_strdup_printf("%s/%s.socket", directory, unit);
        g_autofree char *runner =
                g_build_filename(g_getenv("FLUID_BUILD") ?: "build", "fluid-runner", NULL);
        g_autofree char *runner_path = g_canonicalize_filename(runner, NULL);
        pid_t pid = fork();

        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) !freopen("/dev/null", "w", stderr);
                (void) execlp("systemd-socket-activate", "systemd-socket-activate", "--accept",
                              "--inetd", "--seqpacket", "--listen", path, runner_path, program,
                              NULL);
                _exit(127);
        }
        while (!socket_unit_listens(path)) {
                if (pid < 0 || waitpid(pid, NULL, WNOHANG) != 0)
                        tap_bail_out("systemd-socket-activate cannot be started");
                (void) g_usleep(500);
        }
        return pid;
}

/* Nobody listens there any more; what runs is not touched. */
static inline void socket_unit_stop(pid_t pid, const char *directory, const char *unit)
{
        g_autofree char *path = g_strdup_printf("%s/%s.socket", directory, unit);

        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        (void) unlink(path);
}

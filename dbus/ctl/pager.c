/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/pager.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sequences[_COLOUR_MAX] = {
        [COLOUR_TITLE] = "\x1b[1m",    [COLOUR_DIM] = "\x1b[2m",        [COLOUR_ADDED] = "\x1b[32m",
        [COLOUR_REMOVED] = "\x1b[31m", [COLOUR_CHANGED] = "\x1b[33m",   [COLOUR_PLACE] = "\x1b[36m",
        [COLOUR_NOTICE] = "\x1b[33m",  [COLOUR_WARNING] = "\x1b[1;31m",
};

static enum { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER } when_coloured;

static struct {
        pid_t pid; /* 0: there is none */
        int terminal;
        struct sigaction old_int, old_pipe;
} pager;

bool output_is_terminal(void)
{
        return pager.pid > 0 || isatty(STDOUT_FILENO);
}

int colour_choose(const char *when, Fault *f)
{
        if (!when || g_str_equal(when, "auto"))
                when_coloured = WHEN_AUTO;
        else if (g_str_equal(when, "always"))
                when_coloured = WHEN_ALWAYS;
        else if (g_str_equal(when, "never"))
                when_coloured = WHEN_NEVER;
        else
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "--color: '%.80s' is not auto, always or never", when);
        return 0;
}

bool colour_is_on(void)
{
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        if (when_coloured != WHEN_AUTO)
                return when_coloured == WHEN_ALWAYS;
        return output_is_terminal() && !(no_color && *no_color) && g_strcmp0(term, "dumb") != 0;
}

const char *colour_begin(Colour colour)
{
        return colour_is_on() ? sequences[colour] : "";
}

const char *colour_end(void)
{
        return colour_is_on() ? "\x1b[0m" : "";
}

void colour_print(Colour colour, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        size_t size = strlen(text), capacity = size * 4 + 1;
        g_autofree char *line = g_malloc(capacity);
        (void) escape_print_into(line, capacity, text, size);
        if (*line)
                printf("%s%s%s", colour_begin(colour), line, colour_end());
}

/* NULL: none is wanted, or there is none. */
static char **find_command(void)
{
        const char *wanted = getenv("FLUID_PAGER");
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) words = NULL;

        if (!wanted)
                wanted = getenv("PAGER");
        if (!wanted)
                wanted = "less -R";
        if (!*wanted || g_str_equal(wanted, "cat"))
                return NULL;
        if (!g_shell_parse_argv(wanted, NULL, &words, &error))
                return NULL;
        return TAKE_PTR(words);
}

/* The user's own, and what makes less safe and quiet. */
static char **make_environment(void)
{
        char **environment = g_get_environ();

        environment = g_environ_setenv(environment, "LESS", "FRX", FALSE);
        environment = g_environ_setenv(environment, "LESSCHARSET", "utf-8", FALSE);
        return g_environ_setenv(environment, "LESSSECURE", "1", TRUE);
}

/* 0, or an errno value. */
static int spawn(char **argv, int input, pid_t *ret_pid)
{
        g_auto(GStrv) environment = make_environment();
        posix_spawn_file_actions_t actions;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return ENOMEM;
        (void) posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        int r = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environment);
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* Ctrl-C is the pager's, and that its user leaves it is not the end of us. */
static void ignore_signals(void)
{
        struct sigaction ignore = {.sa_handler = SIG_IGN};

        (void) sigaction(SIGINT, &ignore, &pager.old_int);
        (void) sigaction(SIGPIPE, &ignore, &pager.old_pipe);
}

void pager_begin(void)
{
        g_auto(GStrv) argv = NULL;
        int ends[2];
        pid_t pid;

        if (pager.pid > 0 || !isatty(STDOUT_FILENO))
                return;
        argv = find_command();
        if (!argv || pipe2(ends, O_CLOEXEC) < 0)
                return;
        autofd output = ends[1], input = ends[0];
        autofd terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        (void) fflush(stdout);
        if (terminal < 0 || spawn(argv, input, &pid) != 0 || dup2(output, STDOUT_FILENO) < 0)
                return;
        pager.pid = pid;
        pager.terminal = TAKE_FD(terminal);
        ignore_signals();
}

bool pager_is_gone(void)
{
        return pager.pid > 0 && ferror(stdout);
}

void pager_end(void)
{
        if (pager.pid == 0)
                return;
        bool is_cut = fflush(stdout) != 0 || ferror(stdout);
        (void) dup2(pager.terminal, STDOUT_FILENO);
        pager.terminal = close_fd(pager.terminal);
        while (waitpid(pager.pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        pager.pid = 0;
        if (is_cut)
                clearerr(stdout);
        (void) sigaction(SIGINT, &pager.old_int, NULL);
        (void) sigaction(SIGPIPE, &pager.old_pipe, NULL);
}

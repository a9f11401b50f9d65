/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/progress.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/quantity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define QUIET_AT_FIRST_USEC (500 * USEC_PER_MSEC)
#define TEXT_MAX            160

struct Progress {
        char text[TEXT_MAX];
        uint64_t begun_usec;
        unsigned ticks;
        bool on_terminal, drawn;
        sigset_t outside;
        struct sigaction old_int, old_term;
};

static volatile sig_atomic_t interrupted;
static int last_signal;

static void on_signal(int number)
{
        interrupted = number;
}

/* The signals stay blocked except inside ppoll(), so that none is lost before it. */
static void catch_signals(Progress *p)
{
        struct sigaction action = {.sa_handler = on_signal};
        sigset_t both;

        interrupted = 0;
        (void) sigemptyset(&both);
        (void) sigaddset(&both, SIGINT);
        (void) sigaddset(&both, SIGTERM);
        (void) sigprocmask(SIG_BLOCK, &both, &p->outside);
        (void) sigaction(SIGINT, &action, &p->old_int);
        (void) sigaction(SIGTERM, &action, &p->old_term);
}

static void set_text(Progress *p, const char *format, va_list ap)
{
        g_autofree char *text = g_strdup_vprintf(format, ap);

        (void) escape_print_into(p->text, sizeof p->text, text, strlen(text));
}

void progress_begin(Ctl *ctl, const char *format, ...)
{
        Progress *p = g_new0(Progress, 1);
        va_list ap;

        progress_end(ctl);
        va_start(ap, format);
        set_text(p, format, ap);
        va_end(ap);
        p->begun_usec = now_monotonic_usec();
        p->on_terminal = !ctl->quiet && isatty(STDERR_FILENO);
        catch_signals(p);
        ctl->progress = p;
}

void progress_say(Ctl *ctl, const char *format, ...)
{
        va_list ap;

        if (!ctl->progress)
                return;
        va_start(ap, format);
        set_text(ctl->progress, format, ap);
        va_end(ap);
}

bool progress_is_shown(const Ctl *ctl)
{
        return ctl->progress && ctl->progress->on_terminal;
}

void progress_tick(Ctl *ctl)
{
        static const char spinner[] = "|/-\\";
        Progress *p = ctl->progress;

        if (!p || !p->on_terminal)
                return;
        uint64_t passed = now_monotonic_usec() - p->begun_usec;
        if (passed < QUIET_AT_FIRST_USEC)
                return;
        fprintf(stderr, "\r%c %s %.1fs\x1b[K", spinner[p->ticks++ % 4], p->text,
                (double) passed / (double) USEC_PER_SEC);
        p->drawn = true;
}

void progress_hide(Ctl *ctl)
{
        Progress *p = ctl->progress;

        if (p && p->drawn)
                fputs("\r\x1b[K", stderr);
        if (p)
                p->drawn = false;
}

void progress_end(Ctl *ctl)
{
        g_autofree Progress *p = NULL;

        progress_hide(ctl);
        p = TAKE_PTR(ctl->progress);
        if (!p)
                return;
        (void) sigaction(SIGINT, &p->old_int, NULL);
        (void) sigaction(SIGTERM, &p->old_term, NULL);
        (void) sigprocmask(SIG_SETMASK, &p->outside, NULL);
}

bool progress_take_interrupt(Ctl *ctl)
{
        if (!ctl->progress || !interrupted)
                return false;
        last_signal = interrupted;
        interrupted = 0;
        return true;
}

int progress_last_signal(void)
{
        return last_signal;
}

const sigset_t *progress_mask(const Ctl *ctl)
{
        return ctl->progress ? &ctl->progress->outside : NULL;
}

/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <signal.h>
#include <string.h>

static struct {
        const char *signal;
} arg = {.signal = "TERM"};

static const Option options[] = {
        {.name = "signal",
         .argument = "SIGNAL",
         .string = &arg.signal,
         .help = "by name or number; TERM by default"},
};

/* 0 if there is none. */
static int parse_signal(const char *text)
{
        const char *name = g_str_has_prefix(text, "SIG") ? text + strlen("SIG") : text;
        char *end;

        for (int number = 1; number < NSIG; number++)
                if (g_strcmp0(sigabbrev_np(number), name) == 0)
                        return number;
        guint64 number = g_ascii_strtoull(text, &end, 10);
        return g_ascii_isdigit(*text) && !*end && number < NSIG ? (int) number : 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        int number = parse_signal(arg.signal);
        g_autofree char *path = NULL;

        if (number == 0)
                return usage_error(ctl, f, "--signal: '%.80s' is not a signal", arg.signal);
        int r = command_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_COMMAND, "Kill", NULL, f,
                                "i", number);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "command", json_object_new_string(args[0]));
        (void) json_object_object_add(result, "signal", json_object_new_int(number));
        print_result(ctl, result, "signal %d is sent", number);
        return 0;
}

const Verb verb_kill = {
        .name = "kill",
        .summary = "send a signal to all processes of a command",
        .usage = "COMMAND",
        .help = "COMMAND is an id: see 'commands'.",
        .example = "kill --signal KILL 0123456789ab",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};

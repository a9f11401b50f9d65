/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool wait, raw;
} arg;

static const Option options[] = {
        {.name = "wait", .flag = &arg.wait, .help = "wait until it has ended"},
        {.name = "raw",
         .flag = &arg.raw,
         .help = "let control characters of the output reach the terminal"},
};

static void note_state(const Ctl *ctl, Json *command)
{
        const char *state = json_text(command, "state"), *reason = json_text(command, "reason");

        if (!ctl->quiet && !ctl->json && !g_str_equal(state, "exited"))
                fprintf(stderr, "fluidctl: the command is %s%s%s\n", state, *reason ? ": " : "",
                        reason);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(Json) command = NULL;

        int r = command_find(ctl, args[0], &path, f);
        if (r >= 0 && arg.wait)
                r = command_wait(ctl, path, f);
        if (r >= 0)
                r = command_print(ctl, path, arg.raw, &command, f);
        if (r < 0)
                return r;
        note_state(ctl, command);
        return 0;
}

const Verb verb_log = {
        .name = "log",
        .summary = "show what a command has written",
        .usage = "COMMAND",
        .help = "COMMAND is an id: see 'commands' and 'exec --detach'.",
        .example = "log --wait 0123456789ab",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};

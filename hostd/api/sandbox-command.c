/* SPDX-License-Identifier: MIT */
#include "api/sandbox-object.h"

#include "api/command-object.h"
#include "api/options.h"

#include <stdlib.h>

/* What Run() returns of each stream. */
#define RUN_OUTPUT_MAX (1024 * 1024)

/* The arguments of Exec() and Run(). */
typedef struct Arguments {
        char **argv, **environment;
        OptionBytes input;
        CommandSpec spec;
} Arguments;

static void arguments_done(Arguments *a)
{
        g_strfreev(a->argv);
        g_strfreev(a->environment);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_done)

static int arguments_read(sd_bus_message *m, Arguments *a, Fault *f)
{
        const Option options[] = {
                {"environment", "as", &a->environment},
                {"directory", "s", &a->spec.directory},
                {"user", "s", &a->spec.user},
                {"input", "ay", &a->input},
                {"timeout_usec", "t", &a->spec.timeout_usec},
                {"output_max", "t", &a->spec.output_max},
        };
        int r = call_read_fault(sd_bus_message_read_strv(m, &a->argv), f);

        if (r >= 0)
                r = options_read(m, options, G_N_ELEMENTS(options), f);
        if (r < 0)
                return r;
        if (!a->argv || !a->argv[0])
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "argv is empty: its first element is the program");
        a->spec.argv = (const char *const *) a->argv;
        a->spec.environment = (const char *const *) a->environment;
        a->spec.input = a->input.bytes;
        a->spec.input_size = a->input.size;
        return 0;
}

int sandbox_object_exec(Call *call, void *object, Fault *f)
{
        g_auto(Arguments) arguments = {0};
        Command *command;
        int r = arguments_read(call->message, &arguments, f);

        if (r >= 0)
                r = command_start(object, &call->caller, &arguments.spec, &command, f);
        if (r >= 0)
                r = call_reply(call, f, "o",
                               object_path(OBJECT_COMMAND, command_row(command)->id.text).text);
        return r;
}

/* -- Run() ------------------------------------------------------------------------------------ */

typedef struct Running {
        Call *call;
        Id command;
} Running;

typedef struct Output {
        char *bytes[_COMMAND_STREAM_MAX];
        size_t size[_COMMAND_STREAM_MAX];
} Output;

static void output_done(Output *o)
{
        for (CommandStream stream = 0; stream < _COMMAND_STREAM_MAX; stream++)
                g_free(o->bytes[stream]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Output, output_done)

static int read_output(Command *c, Output *ret, Fault *f)
{
        bool ended;
        int r = 0;

        for (CommandStream stream = 0; r >= 0 && stream < _COMMAND_STREAM_MAX; stream++)
                r = command_read(c, stream, 0, RUN_OUTPUT_MAX, &ret->bytes[stream],
                                 &ret->size[stream], &ended, f);
        return r;
}

static int append_details(sd_bus_message *reply, const CommandRow *row)
{
        return sd_bus_message_append(
                reply, "a{sv}", 5, "command", "o", object_path(OBJECT_COMMAND, row->id.text).text,
                "signal", "i", row->signal, "timed_out", "b", g_str_equal(row->state, "timed-out"),
                "stdout_truncated", "b", row->stdout_truncated, "stderr_truncated", "b",
                row->stderr_truncated);
}

static int reply_result(Call *call, Command *c, Fault *f)
{
        g_auto(Output) output = {0};
        g_autoptr(sd_bus_message) reply = NULL;
        int r = read_output(c, &output, f);

        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "i", command_exit_status(c));
        for (CommandStream stream = 0; r >= 0 && stream < _COMMAND_STREAM_MAX; stream++)
                r = sd_bus_message_append_array(reply, 'y', output.bytes[stream],
                                                output.size[stream]);
        if (r >= 0)
                r = append_details(reply, command_row(c));
        return call_send(call, reply, r, f);
}

static int finish_run(Call *call, const char *id, Fault *f)
{
        Command *c = manager_find_command(call->api->manager, &call->caller, id);
        const Fault *why;

        if (!c)
                return fault_set(f, FAULT_NOT_FOUND, "command %s was removed", id);
        why = command_fault(c);
        if (fault_is_set(why))
                return fault_set(f, why->code, "%s", why->message);
        return reply_result(call, c, f);
}

static void on_ended(int r, const Fault *f, void *userdata)
{
        g_autofree Running *running = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(running->call))
                r = finish_run(running->call, running->command.text, &fault);
        call_end(running->call, r, fault_is_set(&fault) ? &fault : f);
}

static int start_run(Call *call, Sandbox *s, const CommandSpec *spec, Fault *f)
{
        g_autofree Running *running = g_new(Running, 1);
        Command *command;
        int r = command_start(s, &call->caller, spec, &command, f);

        if (r < 0)
                return r;
        running->call = call;
        running->command = command_row(command)->id;
        r = command_wait(command, UINT64_MAX, on_ended, running, f);
        if (r < 0)
                return r;
        (void) TAKE_PTR(running);
        return CALL_PENDING;
}

int sandbox_object_run(Call *call, void *object, Fault *f)
{
        g_auto(Arguments) arguments = {0};
        int r = arguments_read(call->message, &arguments, f);

        if (r < 0)
                return r;
        if (arguments.spec.output_max > RUN_OUTPUT_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "output_max of Run is at most %d: use Exec for more",
                                 RUN_OUTPUT_MAX);
        if (arguments.spec.output_max == 0)
                arguments.spec.output_max = RUN_OUTPUT_MAX;
        return start_run(call, object, &arguments.spec, f);
}

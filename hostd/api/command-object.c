/* SPDX-License-Identifier: MIT */
#include "api/command-object.h"

#include "api/call.h"
#include "base/json.h"
#include "core/sandbox.h"

#include <string.h>

/* -- properties ------------------------------------------------------------------------------- */

static int append_argv(sd_bus_message *reply, const Command *c)
{
        const char *text = command_row(c)->argv;
        g_autoptr(Json) argv = NULL;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        if (r >= 0)
                r = json_parse(text, strlen(text), 2, &argv, NULL);
        if (r >= 0 && !json_object_is_type(argv, json_type_array))
                r = -EBADMSG;
        for (size_t i = 0; r >= 0 && i < json_object_array_length(argv); i++)
                r = sd_bus_message_append(
                        reply, "s", json_object_get_string(json_object_array_get_idx(argv, i)));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_output(sd_bus_message *reply, const Command *c)
{
        const CommandRow *row = command_row(c);

        return sd_bus_message_append(reply, "a{sv}", 4, "stdout_bytes", "t", row->stdout_bytes,
                                     "stderr_bytes", "t", row->stderr_bytes, "stdout_truncated",
                                     "b", row->stdout_truncated, "stderr_truncated", "b",
                                     row->stderr_truncated);
}

PROPERTY(get_id, Command, c, "s", command_row(c)->id.text)
PROPERTY(get_sandbox, Command, c, "o",
         object_path(OBJECT_SANDBOX, command_row(c)->sandbox_id.text).text)
PROPERTY_BY(get_argv, append_argv)
PROPERTY(get_state, Command, c, "s", command_row(c)->state)
PROPERTY(get_reason, Command, c, "s", command_row(c)->reason ? command_row(c)->reason : "")
PROPERTY(get_exit_status, Command, c, "i", command_exit_status(c))
PROPERTY(get_signal, Command, c, "i", command_row(c)->signal)
PROPERTY_BY(get_output, append_output)
PROPERTY(get_started_usec, Command, c, "t", command_row(c)->started_usec)
PROPERTY(get_ended_usec, Command, c, "t", command_row(c)->ended_usec)

/* -- methods ---------------------------------------------------------------------------------- */

int command_exit_status(const Command *c)
{
        const CommandRow *row = command_row(c);

        return row->signal > 0 ? 128 + row->signal : row->exit_status;
}

/* The command that `call` is about, after a wait. */
static Command *find_again(Call *call, Fault *f)
{
        const char *id, *path = sd_bus_message_get_path(call->message);
        const Interface *interface = interface_at(path, &id);
        Command *c = interface_find(interface, call->api, &call->caller, id);

        if (!c)
                (void) fault_set(f, FAULT_NOT_FOUND, "command %s was removed", id);
        return c;
}

static void on_ended(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};
        Command *c;

        if (r >= 0 && !call_is_orphan(call)) {
                c = find_again(call, &fault);
                r = c ? call_reply(call, &fault, "si", command_row(c)->state,
                                   command_exit_status(c))
                      : -ENOENT;
        }
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int wait_for(Call *call, void *object, Fault *f)
{
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &timeout_usec), f);

        if (r >= 0)
                r = command_wait(object, timeout_usec, on_ended, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int stream_from_string(const char *name, CommandStream *ret, Fault *f)
{
        static const char *const names[_COMMAND_STREAM_MAX] = {
                [COMMAND_STDOUT] = "stdout",
                [COMMAND_STDERR] = "stderr",
        };

        for (CommandStream stream = 0; stream < _COMMAND_STREAM_MAX; stream++) {
                if (!g_str_equal(names[stream], name))
                        continue;
                *ret = stream;
                return 0;
        }
        return fault_set(f, FAULT_INVALID_ARGUMENT,
                         "there is no stream '%.40s': use \"stdout\" or \"stderr\"", name);
}

static int read_output(Call *call, void *object, Fault *f)
{
        g_autoptr(sd_bus_message) reply = NULL;
        g_autofree char *content = NULL;
        uint64_t offset, max;
        CommandStream stream = COMMAND_STDOUT;
        const char *name;
        size_t size;
        bool ended;
        int r = call_read_fault(sd_bus_message_read(call->message, "stt", &name, &offset, &max), f);

        if (r < 0 || (r = stream_from_string(name, &stream, f)) < 0 ||
            (r = command_read(object, stream, offset, max, &content, &size, &ended, f)) < 0)
                return r;
        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', content, size);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", ended);
        return call_send(call, reply, r, f);
}

static int kill_command(Call *call, void *object, Fault *f)
{
        int32_t signal;
        int r = call_read_fault(sd_bus_message_read(call->message, "i", &signal), f);

        if (r >= 0)
                r = command_kill(object, &call->caller, signal, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- the interface ---------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Wait", wait_for, ACTION_OBSERVE, NULL},
        {"Read", read_output, ACTION_OBSERVE, NULL},
        {"Kill", kill_command, ACTION_USE, "command.kill"},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_ARGS("t", timeout_usec),
                                SD_BUS_RESULT("s", state, "i", exit_status), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("s", stream, "t", offset, "t", max),
                                SD_BUS_RESULT("ay", content, "b", ended), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("i", signal), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Sandbox", "o", get_sandbox, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Argv", "as", get_argv, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("ExitStatus", "i", get_exit_status, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Signal", "i", get_signal, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Output", "a{sv}", get_output, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("StartedUSec", "t", get_started_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("EndedUSec", "t", get_ended_usec, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, const Caller *caller, const char *id)
{
        return manager_find_command(m, caller, id);
}

static const char *id_of(const void *object)
{
        return command_row(object)->id.text;
}

static bool is_visible(const void *object, const Caller *caller)
{
        return sandbox_is_visible(command_sandbox(object), caller);
}

const Interface command_interface = {
        .kind = OBJECT_COMMAND,
        .name = INTERFACE_COMMAND,
        .path = PATH_COMMAND,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <stdlib.h>

/* What the first word of a command does to its record. */
static void play(Command *c, const char *word, const char *argument)
{
        c->state = "exited";
        if (g_str_equal(word, "sleep"))
                c->state = "running";
        else if (g_str_equal(word, "exit"))
                c->exit_status = atoi(argument);
        else if (g_str_equal(word, "echo"))
                g_string_append_printf(c->out, "%s\n", argument);
        else if (g_str_equal(word, "complain"))
                g_string_append_printf(c->err, "%s\n", argument);
        else if (g_str_equal(word, "hostile"))
                g_string_append(c->out, "a\tb " HOSTILE " \xc3\xa4\xff\n");
        else if (g_str_equal(word, "big"))
                for (int i = 0; i < atoi(argument); i++)
                        g_string_append_c(c->out, (char) i);
        else if (g_str_equal(word, "truncated"))
                c->truncated = true;
        else if (g_str_equal(word, "signal")) {
                c->state = "killed";
                c->signal = atoi(argument);
                c->exit_status = 128 + c->signal;
        } else if (g_str_equal(word, "timeout")) {
                c->state = "timed-out";
                c->exit_status = 137;
        } else if (g_str_equal(word, "missing")) {
                c->state = "failed";
                c->reason = "there is no program 'missing' in the guest";
                c->exit_status = -1;
        }
}

int exec(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = commands + n_commands;
        char **argv, *key, *value;
        Sandbox *s = userdata;
        int fd;

        (void) e;
        g_assert(n_commands < OBJECTS_MAX);
        if (!g_str_equal(s->state, "ready"))
                return refuse(m, FAULT_WRONG_STATE, "the sandbox does not run: start it");
        g_assert(sd_bus_message_read_strv(m, &argv) > 0);
        *c = (Command){.sandbox = s->id, .reason = "", .argv = argv};
        c->out = g_string_new(NULL);
        c->err = g_string_new(NULL);
        g_snprintf(c->id, sizeof c->id, "0000000003%02x", n_commands++);
        play(c, argv[0], argv[1] ? argv[1] : "");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(argv[0], "options"))
                        g_string_append_printf(c->out, "%s=%s\n", key, value);
        return reply_path(m, PATH_COMMAND, c->id);
}

static int wait_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = userdata;

        (void) e;
        if (g_str_equal(c->state, "running")) {
                c->waiter = sd_bus_message_ref(m);
                return 1;
        }
        return sd_bus_reply_method_return(m, "si", c->state, c->exit_status);
}

static int read_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const Command *c = userdata;
        sd_bus_message *reply = NULL;
        uint64_t offset, max;
        const char *stream;

        (void) e;
        g_assert(sd_bus_message_read(m, "stt", &stream, &offset, &max) > 0);
        const GString *from = g_str_equal(stream, "stdout") ? c->out : c->err;
        size_t left = from->len - MIN(offset, from->len), size = MIN(left, max);
        g_assert(sd_bus_message_new_method_return(m, &reply) >= 0);
        g_assert(sd_bus_message_append_array(reply, 'y', from->str + offset, size) >= 0);
        g_assert(sd_bus_message_append(reply, "b", size == left) >= 0);
        return sd_bus_send(NULL, reply, NULL);
}

static int kill_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = userdata;

        (void) e;
        if (c->waiter) {
                g_assert(sd_bus_message_read(m, "i", &c->signal) > 0);
                c->state = "killed";
                c->exit_status = 128 + c->signal;
                g_assert(sd_bus_reply_method_return(c->waiter, "si", c->state, c->exit_status) >=
                         0);
                c->waiter = sd_bus_message_unref(c->waiter);
        }
        return sd_bus_reply_method_return(m, NULL);
}

static int get_command_property(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *e)
{
        const Command *c = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Sandbox")) {
                g_autofree char *sandbox_path = g_strdup_printf(PATH_SANDBOX "/%s", c->sandbox);
                return sd_bus_message_append(reply, "o", sandbox_path);
        }
        if (g_str_equal(property, "Argv"))
                return sd_bus_message_append_strv(reply, c->argv);
        if (g_str_equal(property, "ExitStatus") || g_str_equal(property, "Signal"))
                return sd_bus_message_append(reply, "i",
                                             *property == 'E' ? c->exit_status : c->signal);
        if (g_str_equal(property, "Output"))
                return sd_bus_message_append(reply, "a{sv}", 4, "stdout_bytes", "t",
                                             (uint64_t) c->out->len, "stderr_bytes", "t",
                                             (uint64_t) c->err->len, "stdout_truncated", "b",
                                             c->truncated, "stderr_truncated", "b", false);
        if (g_str_has_suffix(property, "USec"))
                return sd_bus_message_append(reply, "t",
                                             UINT64_C(1700000000000000) +
                                                     (*property == 'E' ? 5 * USEC_PER_SEC : 0));
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")      ? c->id
                                     : g_str_equal(property, "State") ? c->state
                                                                      : c->reason);
}

const sd_bus_vtable command_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Wait", "t", "si", wait_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Read", "stt", "ayb", read_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Kill", "i", "", kill_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Argv", "as", get_command_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("ExitStatus", "i", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Signal", "i", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Output", "a{sv}", get_command_property, 0, 0),
        SD_BUS_PROPERTY("StartedUSec", "t", get_command_property, 0, 0),
        SD_BUS_PROPERTY("EndedUSec", "t", get_command_property, 0, 0),
        SD_BUS_VTABLE_END,
};

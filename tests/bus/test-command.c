/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/quantity.h"

#include <signal.h>

#define C     INTERFACE_COMMAND
#define LATER (60 * USEC_PER_SEC)

static const char *sandbox;

static const char *start(const char *program, const char *word)
{
        sd_bus_message *reply = bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Exec",
                                         "asa{sv}", 2, program, word, 0);
        const char *path = "";

        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        return path;
}

static const char *wait_for(const char *path, uint64_t timeout_usec, int *ret_status)
{
        sd_bus_message *reply = bus_call(fixture.client, path, C, "Wait", "t", timeout_usec);
        const char *state = "";

        *ret_status = -2;
        if (reply && sd_bus_message_read(reply, "si", &state, ret_status) < 0)
                tap_bail_out("Wait() replies nonsense");
        return state;
}

static size_t read_stream(const char *path, const char *stream, uint64_t offset, uint64_t max,
                          const char **ret, int *ret_ended)
{
        sd_bus_message *reply =
                bus_call(fixture.client, path, C, "Read", "stt", stream, offset, max);
        const void *content = NULL;
        size_t size = 0;

        if (reply && (sd_bus_message_read_array(reply, 'y', &content, &size) < 0 ||
                      sd_bus_message_read(reply, "b", ret_ended) < 0))
                tap_bail_out("Read() replies nonsense");
        *ret = content;
        return size;
}

static void test_argv(const char *path)
{
        sd_bus_message *reply = bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                         "Get", "ss", C, "Argv");
        const char *program = "", *word = "";

        if (!reply || sd_bus_message_read(reply, "v", "as", 2, &program, &word) < 0)
                tap_bail_out("Argv is nonsense");
        tap_ok(g_str_equal(program, "/bin/echo") && g_str_equal(word, "a \"b\"\n"),
               "Argv is what was asked, word by word");
}

static void test_output(const char *path)
{
        sd_bus_message *reply = bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                         "Get", "ss", C, "Output");
        const char *key, *content;
        uint64_t out = 0, err = 1;
        int out_cut = 1, err_cut = 1, ended = 0;

        if (!reply || sd_bus_message_read(reply, "v", "a{sv}", 4, &key, "t", &out, &key, "t", &err,
                                          &key, "b", &out_cut, &key, "b", &err_cut) < 0)
                tap_bail_out("Output is nonsense");
        tap_ok(out == 7 && err == 0 && !out_cut && !err_cut, "Output counts what is kept");
        tap_ok(read_stream(path, "stdout", 0, 100, &content, &ended) == 7 &&
                       memcmp(content, "a \"b\"\n\n", 7) == 0 && ended,
               "what it wrote is read");
        tap_ok(read_stream(path, "stdout", 2, 3, &content, &ended) == 3 &&
                       memcmp(content, "\"b\"", 3) == 0 && !ended,
               "also in parts");
        tap_ok(read_stream(path, "stderr", 0, 100, &content, &ended) == 0 && ended,
               "stderr is empty");
        (void) read_stream(path, "stdlog", 0, 1, &content, &ended);
        bus_is_error("InvalidArgument", "there is no other stream");
}

static void test_exec(void)
{
        const char *path = start("/bin/echo", "a \"b\"\n");
        g_autofree char *signal = g_strdup_printf("PropertiesChanged %s %s State", path, C);
        int status;

        tap_is_str(wait_for(path, LATER, &status), "exited", "a command ends");
        tap_is_int(status, 0, "with its exit status");
        tap_ok(bus_heard(signal), "which is told");
        tap_is_str(bus_property(fixture.client, path, C, "Id"), id_of_path(path),
                   "Id is the path's last part");
        tap_is_str(bus_property(fixture.client, path, C, "Sandbox"), sandbox,
                   "it belongs to its sandbox");
        tap_is_str(bus_property(fixture.client, path, C, "State"), "exited", "State");
        tap_is_str(bus_property(fixture.client, path, C, "Reason"), "", "Reason");
        tap_is_str(bus_property(fixture.client, path, C, "ExitStatus"), "0", "ExitStatus");
        tap_is_str(bus_property(fixture.client, path, C, "Signal"), "0", "Signal");
        tap_ok(strcmp(bus_property(fixture.client, path, C, "EndedUSec"), "0") != 0, "EndedUSec");
        test_argv(path);
        test_output(path);
        (void) bus_call(fixture.client, path, C, "Kill", "i", SIGTERM);
        bus_is_error("WrongState", "what has ended cannot be killed");
}

static void test_failed(void)
{
        const char *path = start("no-such-program", "");
        int status;

        tap_is_str(wait_for(path, LATER, &status), "failed",
                   "a program that is missing has failed");
        tap_is_int(status, -1, "it has no exit status");
        tap_ok(*bus_property(fixture.client, path, C, "Reason"), "but a reason");
}

static void test_kill(void)
{
        const char *path = start("sleep", "1000");
        int status;

        (void) wait_for(path, 0, &status);
        bus_is_error("TimedOut", "what runs has not ended");
        tap_is_str(bus_property(fixture.client, path, C, "State"), "running", "its state says so");
        tap_is_str(bus_property(fixture.client, path, C, "ExitStatus"), "-1",
                   "it has no exit status yet");
        (void) bus_call(fixture.client, path, C, "Kill", "i", 1000);
        bus_is_error("InvalidArgument", "there is no signal 1000");
        (void) bus_call(fixture.client, path, C, "Kill", "i", SIGTERM);
        bus_is_error("", "a command is killed");
        tap_is_str(wait_for(path, LATER, &status), "killed", "and has ended then");
        tap_is_int(status, 128 + SIGTERM, "its exit status tells the signal");
        tap_is_str(bus_property(fixture.client, path, C, "Signal"), "15", "and so does Signal");
        tap_ok(audit_count("command.kill", "done", "") == 1 &&
                       audit_count("command.kill", "refused", "InvalidArgument") == 1 &&
                       audit_count("command.kill", "refused", "WrongState") == 1,
               "each of these is audited once");
}

static void test_options(void)
{
        const char *path = NULL;
        sd_bus_message *reply;
        int status;

        reply = bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Exec", "asa{sv}", 2, "yes",
                         "1000", 1, "output_max", "t", UINT64_C(10));
        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        (void) wait_for(path, LATER, &status);
        reply = bus_call(fixture.client, path, C, "Read", "stt", "stdout", UINT64_C(0),
                         UINT64_C(1000));
        bus_is_error("", "output above output_max is cut");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Exec", "asa{sv}", 1, "true", 1,
                        "environment", "as", 1, "NOVALUE");
        bus_is_error("InvalidArgument", "the environment has to be NAME=value");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Exec", "asa{sv}", 1, "true", 1,
                        "tty", "b", 1);
        bus_is_error("UnknownOption", "unknown options are refused");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Exec", "asa{sv}", 0, 0);
        bus_is_error("InvalidArgument", "an empty argv is refused");
}

static void test_gone(void)
{
        const char *path = start("sleep", "1000");
        int status;

        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Destroy", "");
        (void) wait_for(path, LATER, &status);
        bus_is_error("NotFound", "a command goes with its sandbox");
        (void) bus_call(fixture.client, path, C, "Kill", "i", SIGTERM);
        bus_is_error("NotFound", "and cannot be killed any more");
}

int main(void)
{
        fixture_start(NULL);
        (void) fixture_template("base");
        sandbox = fixture_sandbox(fixture.client, "web");
        test_exec();
        test_failed();
        test_kill();
        test_options();
        test_gone();
        fixture_stop();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define S     INTERFACE_SANDBOX
#define LATER (60 * USEC_PER_SEC)

static const char *path;

static const char *state(void)
{
        return bus_property(fixture.client, path, S, "State");
}

static const char *wait_for(const char *wanted, uint64_t timeout_usec)
{
        sd_bus_message *reply =
                bus_call(fixture.client, path, S, "Wait", "st", wanted, timeout_usec);
        const char *reached = "";

        if (reply && sd_bus_message_read(reply, "s", &reached) < 0)
                tap_bail_out("Wait() replies nonsense");
        return reached;
}

static void call(const char *member, const char *argument)
{
        if (argument)
                (void) bus_call(fixture.client, path, S, member, "s", argument);
        else
                (void) bus_call(fixture.client, path, S, member, "");
}

/* -- properties and life ---------------------------------------------------------------------- */

static void test_properties(void)
{
        tap_is_str(bus_property(fixture.client, path, S, "Id"), id_of_path(path),
                   "Id is the path's last part");
        tap_is_str(bus_property(fixture.client, path, S, "Name"), "web", "Name is what was asked");
        tap_is_str(bus_property(fixture.client, path, S, "OwnerUid"), "0", "the caller owns it");
        tap_is_str(bus_property(fixture.client, path, S, "Template"), "base",
                   "Template is the template's name");
        tap_is_str(bus_property(fixture.client, path, S, "Head"), "template",
                   "it stands on the template");
        tap_is_str(bus_property(fixture.client, path, S, "Network"), "none", "it has no network");
        tap_is_str(bus_property(fixture.client, path, S, "Reason"), "",
                   "nothing has to be explained");
        tap_is_str(bus_property(fixture.client, path, S, "Labels"), "a{ss}", "it has labels");
        tap_is_str(bus_property(fixture.client, path, S, "IdleTimeoutUSec"), "0",
                   "it may be idle for ever");
        tap_is_str(bus_property(fixture.client, path, S, "PausedUSec"), "0", "it is not paused");
        tap_is_str(bus_property(fixture.client, path, S, "StartedFrom"), "boot", "it has booted");
        (void) bus_property(fixture.client, path, S, "Colour");
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.UnknownProperty",
                   "there is no other property");
}

/* The steps, each with ":" where it took time, or "?" where it cannot be read. */
static char *read_timing(void)
{
        sd_bus_message *reply = bus_call(fixture.client, path, "org.freedesktop.DBus.Properties",
                                         "Get", "ss", S, "Timing");
        g_autoptr(GString) steps = g_string_new(NULL);
        const char *step;
        uint64_t usec;

        if (!reply || sd_bus_message_enter_container(reply, 'v', "a(st)") < 0 ||
            sd_bus_message_enter_container(reply, 'a', "(st)") < 0)
                return g_strdup("?");
        while (sd_bus_message_read(reply, "(st)", &step, &usec) > 0)
                g_string_append_printf(steps, "%s%s ", step, usec > 0 ? ":" : "");
        return g_strdup(steps->str);
}

static void test_timing(void)
{
        g_autofree char *timing = read_timing();

        tap_is_str(timing, "overlay: rules domain: restore agent: identity network ",
                   "where the time of its creation went is told, in order");
        fixture_restart();
        g_autofree char *later = read_timing();
        tap_is_str(later, "", "but not any more after a restart of the daemon");
        (void) wait_for("ready", LATER);
}

static void test_stop_and_start(void)
{
        g_autofree char *signal = g_strdup_printf("PropertiesChanged %s %s State,Reason", path, S);

        (void) bus_call(fixture.client, path, S, "Stop", "b", 1);
        bus_is_error("", "a ready sandbox can be stopped");
        tap_is_str(wait_for("stopped", LATER), "stopped", "and is stopped then");
        tap_ok(bus_heard(signal), "its owner heard of it");
        (void) bus_call(fixture.client, path, S, "Stop", "b", 0);
        bus_is_error("WrongState", "a stopped one cannot be stopped");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 0);
        bus_is_error("WrongState", "nothing can be run in it");
        call("Start", NULL);
        bus_is_error("", "it can be started again");
        tap_is_str(wait_for("ready", LATER), "ready", "and is ready then");
        call("Start", NULL);
        bus_is_error("WrongState", "a ready one cannot be started");
        (void) bus_call(fixture.client, path, S, "Stop", "b", 0);
        tap_is_str(wait_for("stopped", LATER), "stopped", "the power button works too");
        call("Start", NULL);
        (void) wait_for("ready", LATER);
        tap_ok(audit_count("sandbox.stop", "refused", "WrongState") == 1 &&
                       audit_count("sandbox.stop", "done", "") == 2,
               "each stop and each refusal is audited once");
}

static void test_pause(void)
{
        g_autofree char *signal = g_strdup_printf("PropertiesChanged %s %s State,Reason", path, S);
        const char *expires = bus_property(fixture.client, path, S, "ExpiresUSec");

        (void) g_ptr_array_set_size(fixture.signals, 0);
        (void) bus_call(fixture.client, path, S, "Pause", "a{sv}", 0);
        bus_is_error("", "a ready sandbox can be paused");
        tap_is_str(state(), "paused", "and is paused then");
        tap_ok(bus_heard(signal), "its owner heard of it");
        tap_is_str(wait_for("paused", 0), "paused", "which can be waited for");
        tap_ok(!g_str_equal(bus_property(fixture.client, path, S, "PausedUSec"), "0"),
               "since when is told");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 0);
        bus_is_error("WrongState", "nothing can be run in it");
        (void) bus_call(fixture.client, path, S, "Pause", "a{sv}", 0);
        bus_is_error("WrongState", "it cannot be paused twice");
        call("Start", NULL);
        bus_is_error("WrongState", "or started");
        call("Resume", NULL);
        bus_is_error("", "it can be resumed");
        tap_is_str(wait_for("ready", LATER), "ready", "and is ready then");
        tap_is_str(bus_property(fixture.client, path, S, "PausedUSec"), "0", "and not paused");
        tap_ok(g_ascii_strtoull(bus_property(fixture.client, path, S, "ExpiresUSec"), NULL, 10) >
                       g_ascii_strtoull(expires, NULL, 10),
               "its time has stood still meanwhile");
        call("Resume", NULL);
        bus_is_error("WrongState", "a ready one cannot be resumed");
        (void) bus_call(fixture.client, path, S, "Pause", "a{sv}", 1, "to_disk", "b", 1);
        bus_is_error("", "its memory can go to disk");
        tap_ok(*bus_property(fixture.client, path, S, "Reason"), "which is told");
        fixture_restart();
        tap_is_str(wait_for("paused", LATER), "paused",
                   "it stays there when the daemon is restarted");
        call("Resume", NULL);
        bus_is_error("", "and comes back");
        tap_is_str(wait_for("ready", LATER), "ready", "from there, too");
        (void) bus_call(fixture.client, path, S, "Pause", "a{sv}", 1, "softly", "b", 1);
        bus_is_error("UnknownOption", "unknown options are refused");
        (void) bus_call(fixture.client, path, S, "Pause", "a{sv}", 1, "to_disk", "s", "yes");
        bus_is_error("InvalidArgument", "and values of another type");
        tap_ok(audit_count("sandbox.pause", "done", "") == 2 &&
                       audit_count("sandbox.resume", "done", "") == 2 &&
                       audit_count("sandbox.pause", "refused", "WrongState") == 1 &&
                       audit_count("sandbox.resume", "refused", "WrongState") == 1 &&
                       audit_count("sandbox.pause", "refused", "UnknownOption") == 1,
               "each pause, resumption and refusal is audited once");
}

static void test_wait(void)
{
        (void) wait_for("stopped", 0);
        bus_is_error("TimedOut", "a wait of no time ends at once");
        (void) wait_for("stopped", 50 * USEC_PER_MSEC);
        bus_is_error("TimedOut", "a wait ends when its time is up");
        (void) wait_for("happy", LATER);
        bus_is_error("InvalidArgument", "no other state can be waited for");
        tap_is_str(wait_for("", 0), "ready", "what is reached already is answered at once");
        tap_is_int(audit_count("sandbox.wait", "refused", "InvalidArgument"), 0,
                   "what changes nothing is not audited");
}

static void test_extend(void)
{
        const char *before = bus_property(fixture.client, path, S, "ExpiresUSec");

        (void) bus_call(fixture.client, path, S, "ExtendTtl", "t", 48 * 3600 * USEC_PER_SEC);
        bus_is_error("", "its time can be extended");
        tap_ok(g_strcmp0(before, bus_property(fixture.client, path, S, "ExpiresUSec")) != 0,
               "ExpiresUSec says so");
        (void) bus_call(fixture.client, path, S, "ExtendTtl", "t", UINT64_C(0));
        bus_is_error("InvalidArgument", "by nothing it cannot");
        tap_is_int(audit_count("sandbox.extend", "refused", "InvalidArgument"), 1,
                   "which is audited");
}

/* -- commands --------------------------------------------------------------------------------- */

typedef struct Result {
        int exit_status;
        const char *out, *err;
        size_t out_size, err_size;
        int signal, timed_out, out_truncated;
} Result;

static Result read_result(sd_bus_message *reply)
{
        Result r = {.exit_status = -1, .out = "", .err = ""};
        const char *key, *command;
        const void *out, *err;
        int cut;

        if (!reply)
                return r;
        if (sd_bus_message_read(reply, "i", &r.exit_status) < 0 ||
            sd_bus_message_read_array(reply, 'y', &out, &r.out_size) < 0 ||
            sd_bus_message_read_array(reply, 'y', &err, &r.err_size) < 0 ||
            sd_bus_message_read(reply, "a{sv}", 5, &key, "o", &command, &key, "i", &r.signal, &key,
                                "b", &r.timed_out, &key, "b", &r.out_truncated, &key, "b",
                                &cut) < 0)
                tap_bail_out("Run() replies nonsense");
        r.out = r.out_size ? out : "";
        r.err = r.err_size ? err : "";
        return r;
}

static Result run(const char *program, const char *word)
{
        return read_result(
                bus_call(fixture.client, path, S, "Run", "asa{sv}", 2, program, word, 0));
}

static void test_run(void)
{
        Result r = run("/bin/echo", "hello");

        bus_is_error("", "a program runs");
        tap_ok(r.exit_status == 0 && r.out_size == 6 && memcmp(r.out, "hello\n", 6) == 0,
               "its output comes back");
        r = run("exit", "7");
        tap_is_int(r.exit_status, 7, "and so does its exit status");
        r = run("complain", "no");
        tap_ok(r.out_size == 0 && r.err_size == 3 && memcmp(r.err, "no\n", 3) == 0,
               "stderr is told from stdout");
        r = run("yes", "1500000");
        tap_ok(r.out_size == 1024 * 1024 && r.out_truncated,
               "more than 1 MiB is cut, and marked as cut");
        (void) run("no-such-program", "x");
        bus_is_error("CommandNotRun", "a program that the guest lacks is an error");
        (void) run("vanish", "x");
        bus_is_error("AgentRefused", "and so is one whose end is not known");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 0, 0);
        bus_is_error("InvalidArgument", "an empty argv is refused");
}

static void test_run_options(void)
{
        sd_bus_message *m = bus_call_begin(fixture.client, path, S, "Run");
        Result r;

        (void) sd_bus_message_append(m, "asa{sv}", 1, "env", 1, "environment", "as", 2, "A=1",
                                     "B=2 3");
        r = read_result(bus_call_end(fixture.client, m));
        tap_ok(r.out_size == 10 && memcmp(r.out, "A=1\nB=2 3\n", 10) == 0,
               "the environment is passed");
        m = bus_call_begin(fixture.client, path, S, "Run");
        (void) sd_bus_message_append(m, "asa{sv}", 1, "cat", 1, "input", "ay", 3, 'a', 0, 'b');
        r = read_result(bus_call_end(fixture.client, m));
        tap_ok(r.out_size == 3 && memcmp(r.out, "a\0b", 3) == 0, "the input is passed, any bytes");
        r = read_result(bus_call(fixture.client, path, S, "Run", "asa{sv}", 2, "sleep", "100", 1,
                                 "timeout_usec", "t", 50 * USEC_PER_MSEC));
        tap_ok(r.timed_out && r.signal == SIGKILL && r.exit_status == 128 + SIGKILL,
               "what takes too long is killed");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 1, "output_max", "t",
                        UINT64_C(2) << 20);
        bus_is_error("InvalidArgument", "more output than Run() can return is refused");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 1, "shell", "b", 1);
        bus_is_error("UnknownOption", "an unknown option is refused");
        tap_ok(strstr(bus_error_message, "shell") && strstr(bus_error_message, "timeout_usec"),
               "by its name, with those that are known");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 1, "user", "u", 0);
        bus_is_error("InvalidArgument", "a value of another type is refused");
        (void) bus_call(fixture.client, path, S, "Run", "asa{sv}", 1, "true", 2, "user", "s", "a",
                        "user", "s", "b");
        bus_is_error("InvalidArgument", "an option that is given twice is refused");
        tap_ok(audit_count("command.exec", "refused", "UnknownOption") == 1 &&
                       audit_count("command.exec", "refused", "InvalidArgument") == 4,
               "each refusal is audited once");
}

/* -- files ------------------------------------------------------------------------------------ */

static const char *read_file(const char *file, uint64_t offset, uint64_t size, size_t *ret_size)
{
        sd_bus_message *reply =
                bus_call(fixture.client, path, S, "ReadFile", "stt", file, offset, size);
        const void *content = NULL;

        *ret_size = 0;
        if (reply && sd_bus_message_read_array(reply, 'y', &content, ret_size) < 0)
                tap_bail_out("ReadFile() replies nonsense");
        return content;
}

static void write_file(const char *file, const char *content, const char *option)
{
        sd_bus_message *m = bus_call_begin(fixture.client, path, S, "WriteFile");

        (void) sd_bus_message_append(m, "s", file);
        (void) sd_bus_message_append_array(m, 'y', content, strlen(content));
        if (option)
                (void) sd_bus_message_append(m, "a{sv}", 1, option, "u", 0640);
        else
                (void) sd_bus_message_append(m, "a{sv}", 0);
        (void) bus_call_end(fixture.client, m);
}

static void test_inline_files(void)
{
        const char *content;
        size_t size;

        write_file("/etc/motd", "welcome", NULL);
        bus_is_error("", "a file is written");
        content = read_file("/etc/motd", 0, 100, &size);
        tap_ok(size == 7 && memcmp(content, "welcome", 7) == 0, "and read");
        content = read_file("/etc/motd", 3, 2, &size);
        tap_ok(size == 2 && memcmp(content, "co", 2) == 0, "also a part of it");
        (void) read_file("/etc/motd", 100, 10, &size);
        tap_ok(*bus_error == '\0' && size == 0, "and nothing behind its end");
        write_file("/etc/motd", "w", "mode");
        bus_is_error("", "a mode can be given");
        write_file("/etc/motd", "w", "colour");
        bus_is_error("UnknownOption", "but nothing else");
        write_file("etc/motd", "w", NULL);
        bus_is_error("InvalidArgument", "a path has to be absolute");
        (void) read_file("/etc/none", 0, 1, &size);
        bus_is_error("NotFound", "a file that is not there cannot be read");
        (void) read_file("/etc/motd", 0, UINT64_C(2) << 20, &size);
        bus_is_error("InvalidArgument", "and not more than 1 MiB at a time");
        tap_ok(audit_count("file.write", "refused", "UnknownOption") == 1 &&
                       audit_count("file.read", "failed", "NotFound") == 1,
               "refusals and failures are audited");
}

static uint64_t read_moved(sd_bus_message *reply)
{
        uint64_t moved = 0;

        if (reply && sd_bus_message_read(reply, "t", &moved) < 0)
                tap_bail_out("a transfer replies nonsense");
        return moved;
}

static void test_whole_files(void)
{
        autofd source = fixture_file("0123456789"), target = fixture_file("");
        char buffer[11] = "";
        int pipes[2];

        tap_is_int((int64_t) read_moved(bus_call(fixture.client, path, S, "PushFile", "sha{sv}",
                                                 "/root/x", source, 0)),
                   10, "a file is pushed, whole");
        tap_is_int((int64_t) read_moved(
                           bus_call(fixture.client, path, S, "PullFile", "sh", "/root/x", target)),
                   10, "and pulled");
        tap_ok(pread(target, buffer, 10, 0) == 10 && strcmp(buffer, "0123456789") == 0,
               "with the same content");
        (void) bus_call(fixture.client, path, S, "PullFile", "sh", "/none", target);
        bus_is_error("NotFound", "a file that is not there cannot be pulled");
        (void) bus_call(fixture.client, path, S, "PushFile", "sha{sv}", "/x", source, 1, "no", "b",
                        0);
        bus_is_error("UnknownOption", "unknown options of PushFile() are refused");
        if (pipe2(pipes, O_CLOEXEC) < 0)
                tap_bail_out("pipe");
        (void) bus_call(fixture.client, path, S, "PushFile", "sha{sv}", "/x", pipes[0], 0);
        bus_is_error("InvalidArgument", "a pipe, which could block, is refused");
        (void) close_fd(pipes[0]);
        (void) close_fd(pipes[1]);
}

/* -- snapshots, diff -------------------------------------------------------------------------- */

static void test_snapshots(void)
{
        (void) bus_call(fixture.client, path, S, "CreateSnapshot", "sa{sv}", "one", 1, "freeze",
                        "b", 0);
        bus_is_error("", "a running sandbox is snapshotted");
        tap_is_str(bus_property(fixture.client, path, S, "Head"), "one", "and stands on it");
        (void) bus_call(fixture.client, path, S, "CreateSnapshot", "sa{sv}", "one", 0);
        bus_is_error("Exists", "a name is used once");
        (void) bus_call(fixture.client, path, S, "CreateSnapshot", "sa{sv}", "now", 0);
        bus_is_error("InvalidArgument", "\"now\" cannot be a name");
        (void) bus_call(fixture.client, path, S, "CreateSnapshot", "sa{sv}", "two", 1, "colour",
                        "b", 1);
        bus_is_error("UnknownOption", "unknown options are refused");
        call("Restore", "two");
        bus_is_error("NotFound", "a snapshot that is not there cannot be restored");
        call("Restore", "template");
        bus_is_error("", "the template can");
        tap_is_str(bus_property(fixture.client, path, S, "Head"), "template",
                   "and it stands on that then");
        (void) wait_for("ready", LATER);
        call("Restore", "one");
        bus_is_error("", "and so can a snapshot");
        (void) wait_for("ready", LATER);
        tap_is_int(audit_count("snapshot.restore", "failed", "NotFound") +
                           audit_count("snapshot.restore", "refused", "NotFound"),
                   1, "which is audited");
}

static void test_diff(void)
{
        sd_bus_message *reply =
                bus_call(fixture.client, path, S, "Diff", "ssa{sv}", "template", "now", 0);
        char text[64] = "";
        int fd = -1;

        bus_is_error("", "two points are compared");
        if (reply && sd_bus_message_read(reply, "h", &fd) < 0)
                tap_bail_out("Diff() replies nonsense");
        tap_ok(fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
                       strcmp(text, "{\"changes\":[]}\n") == 0,
               "the document is read from its start");
        tap_ok(fd >= 0 && write(fd, "x", 1) < 0, "and cannot be written");
        (void) bus_call(fixture.client, path, S, "Diff", "ssa{sv}", "none", "now", 0);
        bus_is_error("NotFound", "unknown points are not found");
        (void) bus_call(fixture.client, path, S, "Diff", "ssa{sv}", "template", "now", 1, "stat",
                        "b", 1);
        bus_is_error("UnknownOption", "an unknown option is refused");
        (void) bus_call(fixture.client, path, S, "Diff", "ssa{sv}", "template", "now", 1,
                        "contents", "b", 1);
        bus_is_error("", "contents may be asked for");
}

static void test_file_at(void)
{
        static const char *const methods[] = {"ReadFileAt", "ExtractAt"};

        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                sd_bus_message *reply =
                        bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "/etc/hosts",
                                 "template", 1, "size_max", "t", UINT64_C(1000));
                char text[64] = "";
                int fd = -1;

                bus_is_error("", "a file is read at a point");
                if (reply && sd_bus_message_read(reply, "h", &fd) < 0)
                        tap_bail_out("the method replies nonsense");
                tap_ok(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "from its start");
                reply = bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "/a\\xff\\x5cz",
                                 "template", 1, "escaped", "b", 1);
                bus_is_error("", "a path can be escaped");
                memset(text, 0, sizeof text);
                if (reply && sd_bus_message_read(reply, "h", &fd) < 0)
                        tap_bail_out("the method replies nonsense");
                tap_ok(fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
                               strstr(text, " /a\xff\\z "),
                       "and is then what it stands for");
                (void) bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "/\\x00", "now", 1,
                                "escaped", "b", 1);
                bus_is_error("InvalidArgument", "a NUL is refused");
                (void) bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "hosts", "now", 0);
                bus_is_error("InvalidArgument", "a relative path is refused");
                (void) bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "/x", "none", 0);
                bus_is_error("NotFound", "unknown points are not found");
                (void) bus_call(fixture.client, path, S, methods[i], "ssa{sv}", "/x", "now", 1,
                                "follow", "b", 1);
                bus_is_error("UnknownOption", "unknown options are refused");
        }
        tap_is_int(audit_count("file.read_at", "done", ""), 2, "reading is in the trail");
        tap_is_int(audit_count("file.extract_at", "done", ""), 2, "and so is an archive");
}

/* -- the end ---------------------------------------------------------------------------------- */

static bool is_answered(void *userdata)
{
        return *(unsigned *) userdata > 0;
}

static void test_destroy(void)
{
        g_autofree char *signal =
                g_strdup_printf("InterfacesRemoved %s %s", path, INTERFACE_SANDBOX);
        unsigned waits = 0;

        bus_call_later(fixture.client, &waits, path, S, "Wait", "st", "stopped", UINT64_MAX);
        bus_call_later(fixture.client, &waits, path, S, "Run", "asa{sv}", 1, "sleep", 0);
        call("Destroy", NULL);
        bus_is_error("", "a sandbox is destroyed");
        tap_ok(bus_heard(signal), "its owner heard of it");
        tap_ok(fixture_until(is_answered, &waits), "who waited for it is told");
        tap_is_int(fake_host_domains(), 0, "its domain is gone");
        call("Start", NULL);
        bus_is_error("NotFound", "it cannot be called any more");
        tap_is_int(audit_count("sandbox.start", "refused", "NotFound"), 1, "which is audited");
        call("Dance", NULL);
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.UnknownObject",
                   "what no object has is the bus library's to refuse");
        (void) bus_property(fixture.client, path, S, "State");
        tap_is_str(bus_error, "org.freedesktop.DBus.Error.UnknownObject",
                   "and it has no properties");
}

int main(void)
{
        fixture_start(NULL);
        (void) fixture_template("base");
        path = fixture_sandbox(fixture.client, "web");
        tap_is_str(state(), "ready", "a new sandbox becomes ready");
        test_properties();
        test_timing();
        test_stop_and_start();
        test_pause();
        test_wait();
        test_extend();
        test_run();
        test_run_options();
        test_inline_files();
        test_whole_files();
        test_snapshots();
        test_diff();
        test_file_at();
        test_destroy();
        fixture_stop();
        return tap_done();
}

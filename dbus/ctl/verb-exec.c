/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define INPUT_MAX ((size_t) 1 << 20)

static struct {
        const char *user, *cwd, *input;
        GPtrArray *environment;
        uint64_t timeout;
        bool detach, raw;
} arg;

static const Option options[] = {
        {.name = "timeout",
         .argument = "DURATION",
         .usec = &arg.timeout,
         .help = "kill its processes in the guest after that long (exit status 5)"},
        {.name = "user", .argument = "USER", .string = &arg.user, .help = "run as that user"},
        {.name = "cwd", .argument = "DIRECTORY", .string = &arg.cwd, .help = "run in there"},
        {.name = "env",
         .argument = "NAME=VALUE",
         .list = &arg.environment,
         .help = "set a variable of its environment"},
        {.name = "input",
         .argument = "FILE",
         .string = &arg.input,
         .help = "its standard input, at most 1 MiB; - is fluidctl's"},
        {.name = "detach", .flag = &arg.detach, .help = "do not wait: print the command's id"},
        {.name = "raw",
         .flag = &arg.raw,
         .help = "let control characters of the output reach the terminal"},
};

static int append_environment(Ctl *ctl, BusMessage *m, Fault *f)
{
        if (!arg.environment)
                return 0;
        for (guint i = 0; i < arg.environment->len; i++) {
                const char *variable = g_ptr_array_index(arg.environment, i);
                if (*variable == '=' || !g_strrstr(variable, "="))
                        return usage_error(ctl, f, "--env: '%.80s' is not NAME=VALUE", variable);
        }
        bus_option_strings(m, "environment", arg.environment);
        return 0;
}

static int open_input(Fault *f)
{
        int fd;

        if (g_str_equal(arg.input, "-"))
                fd = dup(STDIN_FILENO);
        else
                fd = open(arg.input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot open '%s'", arg.input);
        return fd;
}

static int read_input(GByteArray *input, Fault *f)
{
        autofd fd = open_input(f);
        char piece[65536];

        if (fd < 0)
                return fd;
        for (;;) {
                ssize_t n = read(fd, piece, sizeof piece);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", arg.input);
                if (n == 0)
                        return 0;
                g_byte_array_append(input, (const guint8 *) piece, (guint) n);
                if (input->len > INPUT_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "the input is larger than 1 MiB: push it as a file");
        }
}

static int append_input(BusMessage *m, Fault *f)
{
        g_autoptr(GByteArray) input = g_byte_array_new();

        if (!arg.input)
                return 0;
        int r = read_input(input, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", "input");
        (void) sd_bus_message_open_container(m, 'v', "ay");
        (void) sd_bus_message_append_array(m, 'y', input->data, input->len);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        return 0;
}

static int begin(Ctl *ctl, const char *sandbox, char **argv, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, sandbox, INTERFACE_SANDBOX, "Exec", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append_strv(m, argv);
        bus_options_open(m);
        bus_option_string(m, "user", arg.user);
        bus_option_string(m, "directory", arg.cwd);
        bus_option_u64(m, "timeout_usec", arg.timeout);
        r = append_environment(ctl, m, f);
        if (r >= 0)
                r = append_input(m, f);
        if (r < 0)
                return r;
        bus_options_close(m);
        return bus_call_path(ctl, m, BUS_TIMEOUT_USEC, ret_path, f);
}

static int print_id(const Ctl *ctl, const char *path)
{
        g_autofree char *id = g_path_get_basename(path);
        Json *result = json_object_new_object();

        (void) json_object_object_add(result, "command", json_object_new_string(id));
        (void) json_object_object_add(result, "object", json_object_new_string(path));
        if (ctl->json)
                print_json(result);
        else
                print_line("%s", id);
        json_object_put(result);
        return 0;
}

/* Status 1 is the command's to use. */
static int not_run(int r, const Fault *f)
{
        if (r >= 0 || fault_to_exit_status(f->code) != 1)
                return r;
        fprintf(stderr, "fluidctl: %s\n", f->message);
        return EXIT_NOT_RUN;
}

static int exec(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL, *command = NULL;
        g_autoptr(Json) properties = NULL;

        int r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r >= 0)
                r = begin(ctl, sandbox, args + 1, &command, f);
        if (r >= 0 && arg.detach)
                return print_id(ctl, command);
        if (r >= 0)
                r = command_wait(ctl, command, f);
        if (r >= 0)
                r = command_print(ctl, command, arg.raw, &properties, f);
        return r < 0 ? r : command_status(properties, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        return not_run(exec(ctl, args, f), f);
}

const Verb verb_exec = {
        .name = "exec",
        .summary = "run a program in a sandbox and show what it writes",
        .usage = "NAME [--] COMMAND...",
        .help = "No shell is involved unless COMMAND is one. Exits with its status, 128 + signal "
                "where one ended it, 125 where it could not be run. Output is shown when it has "
                "ended. Ctrl-C interrupts it.",
        .example = "exec --timeout 5s web1 -- systemctl is-active nginx",
        VERB_OPTIONS(options),
        .args_min = 2,
        .args_max = VERB_ARGS_ANY,
        .is_prefix = true,
        .run = run,
};

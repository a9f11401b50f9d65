/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MODE_MAX 07777

static struct {
        const char *mode;
} arg;

static const Option options[] = {
        {.name = "mode",
         .argument = "OCTAL",
         .string = &arg.mode,
         .help = "its permissions; by default as they were, or 0644"},
};

static int parse_mode(Ctl *ctl, uint32_t *ret, Fault *f)
{
        char *end;

        guint64 mode = g_ascii_strtoull(arg.mode, &end, 8);
        if (!g_ascii_isdigit(*arg.mode) || *end || mode > MODE_MAX)
                return usage_error(ctl, f, "--mode: '%.80s' is not like 0644", arg.mode);
        *ret = (uint32_t) mode;
        return 0;
}

static int open_source(const char *file, Fault *f)
{
        int fd = g_str_equal(file, "-") ? dup(STDIN_FILENO)
                                        : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot open '%s'", file);
        return fd;
}

static int push(Ctl *ctl, const char *sandbox, const char *file, const char *target, uint32_t mode,
                uint64_t *ret_size, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;
        autofd fd = -1;

        fd = open_source(file, f);
        if (fd < 0)
                return fd;
        int r = bus_method(ctl, sandbox, INTERFACE_SANDBOX, "PushFile", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "sh", target, fd);
        bus_options_open(m);
        if (arg.mode)
                (void) sd_bus_message_append(m, "{sv}", "mode", "u", mode);
        bus_options_close(m);
        progress_begin(ctl, "pushing to %s", target);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        progress_end(ctl);
        return r < 0 ? r : bus_read(reply, f, "t", ret_size);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL;
        uint32_t mode = 0;
        uint64_t size;

        int r = arg.mode ? parse_mode(ctl, &mode, f) : 0;
        if (r >= 0)
                r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r >= 0)
                r = push(ctl, sandbox, args[1], args[2], mode, &size, f);
        if (r < 0)
                return r;
        g_autofree char *text = size_format(size);
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "path", json_object_new_string(args[2]));
        (void) json_object_object_add(result, "size_bytes", json_object_new_uint64(size));
        print_result(ctl, result, "%s written to %s", text, args[2]);
        return 0;
}

const Verb verb_push = {
        .name = "push",
        .summary = "write a file of yours into a sandbox",
        .usage = "NAME FILE PATH",
        .help = "FILE - is standard input. PATH is absolute, and a file's, not a directory's.",
        .example = "push web1 site.conf /etc/nginx/sites-enabled/site.conf",
        VERB_OPTIONS(options),
        .args_min = 3,
        .args_max = 3,
        .run = run,
};

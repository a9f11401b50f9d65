/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "dbus/ctl/pack.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>

static struct {
        const char *name, *from, *to;
} arg;

static const Option options[] = {
        {.name = "name",
         .argument = "NAME",
         .string = &arg.name,
         .help = "what it is called; by default as the sandbox"},
        {.name = "from",
         .argument = "SNAPSHOT",
         .string = &arg.from,
         .help = "where it begins; by default 'template'"},
        {.name = "to",
         .argument = "SNAPSHOT",
         .string = &arg.to,
         .help = "what it leads to; by default what the sandbox holds now, of which a snapshot is left"},
};

static int open_archive(const char *file, int *ret_fd, Fault *f)
{
        if (!g_str_has_suffix(file, ".tar"))
                return pack(file, "playbook.yml", ret_fd, f);
        *ret_fd = open(file, O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                             "cannot read '%s'", file)
                           : 0;
}

/* So that what it leads to stays, and can be looked at; its name is the caller's to free. */
static int take_snapshot(Ctl *ctl, const char *path, int archive, char **ret, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        char sha256[SHA256_HEX_SIZE];
        int r = file_sha256(archive, sha256, f);

        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SANDBOX, "CreateSnapshot", &m, f);
        if (r < 0)
                return r;
        g_autofree char *name = g_strdup_printf("import-%.12s-%x", sha256, g_random_int());
        (void) sd_bus_message_append(m, "s", name);
        bus_options_open(m);
        bus_options_close(m);
        progress_begin(ctl, "making snapshot '%s'", name);
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, NULL, f);
        progress_end(ctl);
        if (r >= 0)
                *ret = g_steal_pointer(&name);
        return r;
}

static int import(Ctl *ctl, const char *path, int archive, const char *to, BusMessage **ret_reply,
                  Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        int r = bus_method(ctl, path, INTERFACE_SANDBOX, "ImportPlaybook", &m, f);

        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "h", archive);
        bus_options_open(m);
        bus_option_string(m, "name", arg.name);
        bus_option_string(m, "from", arg.from);
        bus_option_string(m, "to", to);
        bus_options_close(m);
        progress_begin(ctl, "importing the playbook");
        r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, ret_reply, f);
        progress_end(ctl);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *snapshot = NULL;
        g_autoptr(BusMessage) reply = NULL;
        const char *playbook;
        int fd = -1, r = sandbox_find(ctl, args[0], &path, f);

        if (r >= 0)
                r = open_archive(args[1], &fd, f);
        if (r < 0)
                return r;
        autofd archive = fd;
        if (!arg.to)
                r = take_snapshot(ctl, path, archive, &snapshot, f);
        if (r >= 0)
                r = import(ctl, path, archive, arg.to ? arg.to : snapshot, &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "o", &playbook);
        return r < 0 ? r : playbook_print(ctl, playbook, f);
}

const Verb verb_playbook_import = {
        .name = "playbook import",
        .summary = "take over a playbook that was written by hand for a sandbox",
        .usage = "NAME FILE",
        .help = "FILE is one playbook, a directory with playbook.yml and roles/, or an archive .tar of "
                "one: regular files alone, with names that a playbook of fluid's has, and no "
                "configuration, plugins or inventory. 'verify' replays it in a fresh sandbox and compares "
                "with what the sandbox held. It can run anything on the host that applies it, so "
                "that apply.conf has to allow that, and a review says so and shows all of its files.",
        .example = "playbook import web1 ./site --name site",
        VERB_OPTIONS(options),
        .args_min = 2,
        .args_max = 2,
        .run = run,
};

/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/extraction.h"
#include "dbus/ctl/playbook.h"
#include "dbus/ctl/verbs.h"

static struct {
        bool tar;
        UnpackOptions unpack;
} arg;

static const Option options[] = {
        {.name = "tar",
         .flag = &arg.tar,
         .help = "write the archive itself, to the file DEST or to standard output"},
        {.name = "replace",
         .flag = &arg.unpack.replace,
         .help = "replace files that are there, and join directories"},
};

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autofree char *path = NULL;
        int fd = -1, r;

        if (!arg.tar && !args[1])
                return usage_error(ctl, f, "name the directory to write to");
        r = arg.tar ? extraction_check_tar(ctl, args[1], f) : 0;
        if (r >= 0)
                r = playbook_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_PLAYBOOK, "Open", &reply, f,
                                NULL);
        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r < 0)
                return r;
        return arg.tar ? extraction_write_tar(ctl, fd, args[1], arg.unpack.replace, f)
                       : extraction_write_files(ctl, fd, args[1], &arg.unpack, f);
}

const Verb verb_playbook_extract = {
        .name = "playbook extract",
        .summary = "copy the files of a playbook to this host",
        .usage = "PLAYBOOK [DEST]",
        .help = "Into the directory DEST, which is made where it is not there. README.md says how "
                "it is run, LEFT-OUT.md what it does not reproduce.",
        .example = "playbook extract site ./site",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 2,
        .run = run,
};

/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/extraction.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <unistd.h>

static struct {
        bool tar;
        UnpackOptions unpack;
        uint64_t size_max;
} arg;

static const Option options[] = {
        {.name = "tar",
         .flag = &arg.tar,
         .help = "write the archive itself, to the file DEST or to standard output"},
        {.name = "replace",
         .flag = &arg.unpack.replace,
         .help = "replace files that are there, and join directories"},
        {.name = "keep-owner",
         .flag = &arg.unpack.keep_owner,
         .help = "give files the numbers of their owners in the guest (for root)"},
        {.name = "size-max",
         .argument = "SIZE",
         .bytes = &arg.size_max,
         .help = "refuse what is larger in all"},
};

static int check_options(Ctl *ctl, const char *destination, Fault *f)
{
        if (arg.unpack.keep_owner && arg.tar)
                return usage_error(ctl, f,
                                   "an archive has the owners anyway: leave out "
                                   "--keep-owner");
        if (arg.unpack.keep_owner && geteuid() != 0)
                return usage_error(ctl, f, "only root can give files away: leave out --keep-owner");
        return arg.tar ? extraction_check_tar(ctl, destination, f) : 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_auto(Place) place = {0};
        int fd = -1;

        int r = place_parse(args[0], &place, f);
        if (r == 0)
                r = check_options(ctl, args[1], f);
        if (r == 0)
                r = sandbox_read_at(ctl, &place, "ExtractAt", arg.size_max, &reply, &fd, f);
        if (r < 0)
                return r;
        return arg.tar ? extraction_write_tar(ctl, fd, args[1], arg.unpack.replace, f)
                       : extraction_write_files(ctl, fd, args[1] ? args[1] : ".", &arg.unpack, f);
}

const Verb verb_extract = {
        .name = "extract",
        .summary =
                "copy a file or directory of a sandbox's disk, as it is at a point, to this host",
        .usage = "NAME:PATH[@POINT] [DEST]",
        .help = "See 'cat' for NAME:PATH@POINT. It gets the name that it has in the guest, in the "
                "directory DEST, which is the current one where it is not named, and which is made "
                "where it is not there. Files are the caller's, with no more than the rwx bits; "
                "devices and pipes are left out; links are made as they are, and never followed: "
                "nothing is written outside of DEST.",
        .example = "extract web1:/etc/nginx@installed ./nginx-installed",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 2,
        .run = run,
};

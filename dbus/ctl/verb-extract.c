/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/unpack.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define PIECE_SIZE 65536

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

static int copy(int from, FILE *to, Fault *f)
{
        g_autofree char *piece = g_malloc(PIECE_SIZE);
        ssize_t n;

        while (!ferror(to)) {
                n = read(from, piece, PIECE_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read the archive");
                if (n == 0)
                        break;
                (void) fwrite(piece, 1, (size_t) n, to);
        }
        return 0;
}

static int write_tar(const Ctl *ctl, int archive, const char *file, Fault *f)
{
        if (!file || g_str_equal(file, "-"))
                return copy(archive, stdout, f);
        int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
        autofd fd = open(file, flags | (arg.unpack.replace ? O_TRUNC : O_EXCL), 0666);
        if (fd < 0 && errno == EEXIST)
                return fault_set(f, FAULT_EXISTS, "'%.300s' is there already: see --replace", file);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create '%.300s'", file);
        FILE *to = fdopen(fd, "w");
        if (!to)
                return fault_set_errno(f, FAULT_IO, errno, "cannot write '%.300s'", file);
        (void) TAKE_FD(fd);
        int r = copy(archive, to, f);
        bool is_bad = ferror(to);
        if ((fclose(to) != 0 || is_bad) && r == 0)
                r = fault_set_errno(f, FAULT_IO, errno, "cannot write '%.300s'", file);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "file", json_object_new_string(file));
        print_result(ctl, result, "archive written to %s", file);
        return 0;
}

static Json *to_json(const char *directory, const Unpacked *done)
{
        Json *o = json_object_new_object();

        (void) json_object_object_add(o, "directory", json_object_new_string(directory));
        (void) json_object_object_add(o, "files", json_object_new_uint64(done->n_files));
        (void) json_object_object_add(o, "directories",
                                      json_object_new_uint64(done->n_directories));
        (void) json_object_object_add(o, "links", json_object_new_uint64(done->n_links));
        (void) json_object_object_add(o, "size_bytes", json_object_new_uint64(done->n_bytes));
        (void) json_object_object_add(o, "left_out", json_object_new_uint64(done->n_left_out));
        (void) json_object_object_add(o, "without_bits", json_object_new_uint64(done->n_plain));
        return o;
}

static int write_files(const Ctl *ctl, int archive, const char *directory, Fault *f)
{
        Unpacked done;

        int r = unpack(archive, directory, &arg.unpack, &done, f);
        if (r < 0)
                return r;
        g_autofree char *size = size_format(done.n_bytes);
        print_result(ctl, to_json(directory, &done),
                     "%" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64
                     " links written to %s",
                     done.n_files, size, done.n_directories, done.n_links, directory);
        if (done.n_left_out > 0 && !ctl->quiet)
                fprintf(stderr, "fluidctl: %" PRIu64 " devices and pipes were left out\n",
                        done.n_left_out);
        if (done.n_plain > 0 && !ctl->quiet)
                fprintf(stderr, "fluidctl: %" PRIu64 " files lost setuid, setgid or sticky bits\n",
                        done.n_plain);
        return 0;
}

static int check_options(Ctl *ctl, const char *destination, Fault *f)
{
        if (arg.unpack.keep_owner && arg.tar)
                return usage_error(ctl, f,
                                   "an archive has the owners anyway: leave out "
                                   "--keep-owner");
        if (arg.unpack.keep_owner && geteuid() != 0)
                return usage_error(ctl, f, "only root can give files away: leave out --keep-owner");
        bool to_stdout = arg.tar && (!destination || g_str_equal(destination, "-"));
        if (to_stdout && output_is_terminal())
                return usage_error(ctl, f, "an archive is nothing for a terminal: name a file");
        return 0;
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
        return arg.tar ? write_tar(ctl, fd, args[1], f)
                       : write_files(ctl, fd, args[1] ? args[1] : ".", f);
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

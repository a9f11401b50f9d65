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
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int pull(Ctl *ctl, const char *sandbox, const char *path, int fd, uint64_t *ret_size,
                Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;

        progress_begin(ctl, "pulling %s", path);
        int r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, sandbox, INTERFACE_SANDBOX, "PullFile",
                            &reply, f, "sh", path, fd);
        progress_end(ctl);
        return r < 0 ? r : bus_read(reply, f, "t", ret_size);
}

static int print_escaped(int fd, Fault *f)
{
        Stream stream = {.file = stdout, .escape = true};
        char piece[65536];
        ssize_t n;

        (void) lseek(fd, 0, SEEK_SET);
        while ((n = read(fd, piece, sizeof piece)) > 0)
                stream_write(&stream, piece, (size_t) n);
        stream_write(&stream, NULL, 0);
        return n < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot read what was pulled") : 0;
}

/* A terminal never gets what a guest wrote directly. */
static int pull_to_stdout(Ctl *ctl, const char *sandbox, const char *path, Fault *f)
{
        uint64_t size;

        if (!isatty(STDOUT_FILENO))
                return pull(ctl, sandbox, path, STDOUT_FILENO, &size, f);
        autofd fd = memfd_create("fluidctl", MFD_CLOEXEC);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a temporary file");
        int r = pull(ctl, sandbox, path, fd, &size, f);
        return r < 0 ? r : print_escaped(fd, f);
}

/* The name that a new file gets when it is complete: inside of `file` where that is a directory. */
static char *target_name(const char *file, const char *path)
{
        g_autofree char *base = g_path_get_basename(path);

        if (g_file_test(file, G_FILE_TEST_IS_DIR))
                return g_build_filename(file, base, NULL);
        return g_strdup(file);
}

/* To a device or pipe directly, else beside the target and renamed when it is complete. */
static int pull_to_file(Ctl *ctl, const char *sandbox, const char *path, const char *target,
                        uint64_t *ret_size, Fault *f)
{
        struct stat st;

        if (stat(target, &st) == 0 && !S_ISREG(st.st_mode)) {
                autofd device = open(target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
                if (device < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", target);
                return pull(ctl, sandbox, path, device, ret_size, f);
        }
        g_autofree char *part = g_strconcat(target, ".XXXXXX", NULL);
        mode_t mask = umask(0);
        (void) umask(mask);
        autofd fd = mkostemp(part, O_CLOEXEC);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create '%s'", target);
        int r = pull(ctl, sandbox, path, fd, ret_size, f);
        if (r >= 0 && fchmod(fd, 0666 & ~mask) < 0)
                r = fault_set_errno(f, FAULT_IO, errno, "cannot set the mode of '%s'", target);
        if (r >= 0 && rename(part, target) < 0)
                r = fault_set_errno(f, FAULT_IO, errno, "cannot write '%s'", target);
        if (r < 0)
                (void) unlink(part);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *sandbox = NULL;
        uint64_t size = 0;

        int r = sandbox_find(ctl, args[0], &sandbox, f);
        if (r < 0)
                return r;
        if (g_str_equal(args[2], "-"))
                return pull_to_stdout(ctl, sandbox, args[1], f);
        g_autofree char *target = target_name(args[2], args[1]);
        r = pull_to_file(ctl, sandbox, args[1], target, &size, f);
        if (r < 0)
                return r;
        g_autofree char *text = size_format(size);
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "file", json_object_new_string(target));
        (void) json_object_object_add(result, "size_bytes", json_object_new_uint64(size));
        print_result(ctl, result, "%s written to %s", text, target);
        return 0;
}

const Verb verb_pull = {
        .name = "pull",
        .summary = "copy a file out of a sandbox",
        .usage = "NAME PATH FILE",
        .help = "FILE - is standard output; in a directory it gets the name that it has in the "
                "guest. A file that was there is replaced when the copy is complete.",
        .example = "pull web1 /var/log/nginx/error.log .",
        .args_min = 3,
        .args_max = 3,
        .run = run,
};

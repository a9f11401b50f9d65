/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/extraction.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define PIECE_SIZE 65536

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

static bool is_stdout(const char *file)
{
        return !file || g_str_equal(file, "-");
}

int extraction_check_tar(Ctl *ctl, const char *file, Fault *f)
{
        if (!is_stdout(file) || !output_is_terminal())
                return 0;
        return usage_error(ctl, f, "an archive is nothing for a terminal: name a file");
}

int extraction_write_tar(const Ctl *ctl, int archive, const char *file, bool replace, Fault *f)
{
        if (is_stdout(file))
                return copy(archive, stdout, f);
        int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
        autofd fd = open(file, flags | (replace ? O_TRUNC : O_EXCL), 0666);
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

int extraction_write_files(const Ctl *ctl, int archive, const char *directory,
                           const UnpackOptions *options, Fault *f)
{
        Unpacked done;

        int r = unpack(archive, directory, options, &done, f);
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

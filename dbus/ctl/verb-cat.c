/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define PIECE_SIZE    65536
#define JSON_SIZE_MAX (16 << 20)

static struct {
        bool raw;
        uint64_t size_max;
} arg;

static const Option options[] = {
        {.name = "raw", .flag = &arg.raw, .help = "also on a terminal the bytes as they are"},
        {.name = "size-max",
         .argument = "SIZE",
         .bytes = &arg.size_max,
         .help = "refuse a file that is larger"},
};

static ssize_t read_piece(int fd, char piece[static PIECE_SIZE], Fault *f)
{
        ssize_t n;

        do
                n = read(fd, piece, PIECE_SIZE);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot read the file's content") : n;
}

static int print_content(int fd, Fault *f)
{
        Stream stream = {.file = stdout, .escape = !arg.raw && output_is_terminal()};
        g_autofree char *piece = g_malloc(PIECE_SIZE);
        ssize_t n;

        while ((n = read_piece(fd, piece, f)) > 0 && !ferror(stdout))
                stream_write(&stream, piece, (size_t) n);
        stream_write(&stream, NULL, 0);
        return n < 0 ? (int) n : 0;
}

static int print_content_json(const Place *place, int fd, Fault *f)
{
        g_autoptr(GByteArray) content = g_byte_array_new();
        g_autofree char *piece = g_malloc(PIECE_SIZE);
        ssize_t n;

        while ((n = read_piece(fd, piece, f)) > 0) {
                if (content->len + (size_t) n > JSON_SIZE_MAX)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "the file is too large for JSON: leave out --json");
                g_byte_array_append(content, (const guint8 *) piece, (guint) n);
        }
        if (n < 0)
                return (int) n;
        g_autofree char *text = g_base64_encode(content->data, content->len);
        g_autofree char *path = place_printable(place);
        g_autoptr(Json) object = json_object_new_object();
        (void) json_object_object_add(object, "path", json_object_new_string(path));
        (void) json_object_object_add(object, "point", json_object_new_string(place->point));
        (void) json_object_object_add(object, "size_bytes", json_object_new_uint64(content->len));
        (void) json_object_object_add(object, "content_b64", json_object_new_string(text));
        print_json(object);
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_auto(Place) place = {0};
        int fd = -1;

        int r = place_parse(args[0], &place, f);
        if (r == 0)
                r = sandbox_read_at(ctl, &place, "ReadFileAt", arg.size_max, &reply, &fd, f);
        if (r < 0)
                return r;
        return ctl->json ? print_content_json(&place, fd, f) : print_content(fd, f);
}

const Verb verb_cat = {
        .name = "cat",
        .summary = "show a file as it is at a point of a sandbox's disk",
        .usage = "NAME:PATH[@POINT]",
        .help = "It is read from the disk, not by the guest: a running one does not notice, and "
                "what it has not written yet is not there. POINT is template, a snapshot, or now, "
                "which it is where there is none. The last @ begins it if a snapshot could have "
                "the name that follows: write …/getty@tty1.service@now. In PATH \\xNN stands for a "
                "byte, as paths are shown. A terminal is shown what "
                "it would act on as \\xNN; elsewhere the bytes go as they are. With --json as "
                "base64.",
        .example = "cat web1:/etc/nginx/nginx.conf@installed",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};

/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/playbook-files.h"

#include "base/archive.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARCHIVE_MAX (UINT64_C(256) << 20)
#define TEXT_MAX    (16 << 20)
/* Of a file of one that was written by hand; tasks have at most 1 MiB. */
#define WRITTEN_TEXT_MAX (2 << 20)

/* A copy that nobody changes while it is read. */
static int copy_archive(int from, int *ret_fd, Fault *f)
{
        autofd to = memfd_create("playbook", MFD_CLOEXEC);
        g_autofree char *bytes = g_malloc(1 << 20);
        uint64_t at = 0;
        ssize_t n = 0;
        int r = to < 0 ? -errno : 0;

        while (r == 0 && (n = pread(from, bytes, 1 << 20, (off_t) at)) > 0) {
                at += (uint64_t) n;
                r = at > ARCHIVE_MAX ? -EFBIG : write_all(to, bytes, (size_t) n);
        }
        if (r == 0 && (n < 0 || lseek(to, 0, SEEK_SET) < 0))
                r = -errno;
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "the playbook's archive cannot be read");
        *ret_fd = TAKE_FD(to);
        return 0;
}

static int open_archive(Ctl *ctl, const char *id, const char *sha256, int *ret_fd, Fault *f)
{
        g_autofree char *path = g_strdup_printf("%s/%s", PATH_PLAYBOOK, id);
        g_autoptr(BusMessage) reply = NULL;
        char found[SHA256_HEX_SIZE];
        int fd, copy = -1;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_PLAYBOOK, "Open", &reply, f,
                            NULL);
        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r >= 0)
                r = copy_archive(fd, &copy, f);
        if (r < 0)
                return r;
        autofd archive = copy;
        r = file_sha256(archive, found, f);
        if (r < 0)
                return r;
        if (!g_str_equal(found, sha256))
                return fault_set(f, FAULT_WRONG_HASH,
                                 "the playbook's archive is not what is asked for");
        *ret_fd = TAKE_FD(archive);
        return 0;
}

/* All but contents: README.md is the same in all, and left-out.json says what LEFT-OUT.md does. */
static bool is_text(const ArchiveEntry *e)
{
        return e->kind == ENTRY_FILE && e->size <= TEXT_MAX && !strstr(e->name, "/files/") &&
               !g_str_equal(e->name, "README.md") && !g_str_equal(e->name, "left-out.json");
}

/* Of what is no text the hash says what it is. */
static int print_any(Archive *archive, const ArchiveEntry *e, Fault *f)
{
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        g_autoptr(GString) text = g_string_new(NULL);
        char bytes[65536];
        ssize_t n;

        while ((n = archive_read(archive, bytes, sizeof bytes, f)) > 0) {
                g_checksum_update(checksum, (const guchar *) bytes, n);
                if (text->len <= WRITTEN_TEXT_MAX)
                        g_string_append_len(text, bytes, n);
        }
        if (n < 0)
                return (int) n;
        if (text->len <= WRITTEN_TEXT_MAX && g_utf8_validate(text->str, (gssize) text->len, NULL)) {
                print_line("%s:", e->name);
                print_barred(text->str);
                return 0;
        }
        g_autofree char *size = size_format(e->size);
        print_line("%s: %s, NOT SHOWN, for it is %s; sha256 %s", e->name, size,
                   text->len > WRITTEN_TEXT_MAX ? "too large" : "no text",
                   g_checksum_get_string(checksum));
        return 0;
}

static int print_text(Archive *archive, const ArchiveEntry *e, Fault *f)
{
        g_autofree char *text = g_malloc0(e->size + 1);
        size_t size = 0;
        ssize_t n;

        print_line("%s:", e->name);
        while (size < e->size &&
               (n = archive_read(archive, text + size, (size_t) e->size - size, f)) != 0) {
                if (n < 0)
                        return (int) n;
                size += (size_t) n;
        }
        if (memchr(text, '\0', size))
                return fault_set(f, FAULT_IO, "'%s' in the playbook's archive is no text", e->name);
        print_barred(text);
        return 0;
}

int playbook_print_files(Ctl *ctl, const char *id, const char *sha256, bool is_written, Fault *f)
{
        const ArchiveEntry *e;
        int fd = -1, r = open_archive(ctl, id, sha256, &fd, f);

        if (r < 0)
                return r;
        autofd owned = fd;
        g_autoptr(Archive) archive = archive_new(owned);
        while ((r = archive_next(archive, &e, f)) > 0 && !pager_is_gone()) {
                if (is_written && e->kind == ENTRY_FILE) {
                        r = print_any(archive, e, f);
                        if (r < 0)
                                return r;
                } else if (is_text(e)) {
                        r = print_text(archive, e, f);
                        if (r < 0)
                                return r;
                } else if (e->kind == ENTRY_FILE) {
                        g_autofree char *size = size_format(e->size);
                        print_line("%s: %s", e->name, size);
                }
        }
        return MIN(r, 0);
}

/* SPDX-License-Identifier: MIT */

/* Files into and out of a guest. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096
#define MODE_BITS      07777

typedef struct Transfer {
        Manager *manager;
        AuditEntry *entry;
        GuestTask *task;
        int fd; /* or -1: inline */
        GByteArray *content;
        size_t taken; /* of the content, when writing */
        uint64_t moved;
        SandboxReadDone read_done;
        OperationDone write_done;
        SandboxTransferDone transfer_done;
        void *userdata;
} Transfer;

static void transfer_free(Transfer *t)
{
        (void) close_fd(t->fd);
        g_clear_pointer(&t->content, g_byte_array_unref);
        g_free(t);
}

static void end(Transfer *t, int r, const Fault *f)
{
        Manager *m = t->manager;
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "bytes", json_object_new_uint64(t->moved));
        audit_set_result(t->entry, detail);
        (void) audit_end(t->entry, r, f);
        if (t->read_done)
                t->read_done(t->content->data, t->content->len, r, f, t->userdata);
        if (t->write_done)
                t->write_done(r, f, t->userdata);
        if (t->transfer_done)
                t->transfer_done(t->moved, r, f, t->userdata);
        transfer_free(t);
        manager_end_operation(m);
}

static int take_piece(const void *bytes, size_t size, void *userdata)
{
        Transfer *t = userdata;

        t->moved += size;
        if (t->fd >= 0)
                return write_all(t->fd, bytes, size);
        (void) g_byte_array_append(t->content, bytes, (guint) size);
        return 0;
}

static void read_ended(bool ended, int r, const Fault *f, void *userdata)
{
        (void) ended;
        end(userdata, r, f);
}

static ssize_t give_piece(void *buffer, size_t size, void *userdata)
{
        Transfer *t = userdata;
        ssize_t n;

        if (t->fd >= 0) {
                do
                        n = read(t->fd, buffer, size);
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return -errno;
        } else {
                n = (ssize_t) MIN(size, t->content->len - t->taken);
                if (n > 0)
                        memcpy(buffer, t->content->data + t->taken, (size_t) n);
                t->taken += (size_t) n;
        }
        t->moved += (uint64_t) n;
        return n;
}

static void write_ended(int r, const Fault *f, void *userdata)
{
        end(userdata, r, f);
}

static const GuestReadHandlers read_handlers = {take_piece, read_ended};
static const GuestWriteHandlers write_handlers = {give_piece, write_ended};

static int begin(Sandbox *s, Caller *caller, const char *kind, const char *path, int fd,
                 Transfer **ret, Fault *f)
{
        g_autofree char *object = sandbox_bus_path(s->row->id.text);
        AuditEntry *entry = NULL;
        int r = sandbox_require_ready(s, f);

        if (r < 0)
                return r;
        if (!g_path_is_absolute(path) || strlen(path) > PATH_MAX_BYTES)
                return fault_set(
                        f, FAULT_INVALID_ARGUMENT,
                        "a file in a sandbox is named by an absolute path of at most %d bytes",
                        PATH_MAX_BYTES);
        if (fd >= 0 && !file_never_blocks(fd))
                return fault_set(
                        f, FAULT_INVALID_ARGUMENT,
                        "the descriptor has to be that of a regular file, and not on FUSE");
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "path", json_object_new_string(path));
        r = audit_begin(s->manager, caller, kind, object, detail, &entry, f);
        if (r < 0)
                return r;
        Transfer *t = g_new0(Transfer, 1);
        *t = (Transfer){.manager = s->manager,
                        .entry = entry,
                        .fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3),
                        .content = g_byte_array_new()};
        manager_begin_operation(s->manager);
        *ret = t;
        return 0;
}

static int give_up(Transfer *t, int r, const Fault *f)
{
        Manager *m = t->manager;

        (void) audit_end(t->entry, r, f);
        transfer_free(t);
        manager_end_operation(m);
        return r;
}

static int start_reading(Sandbox *s, Transfer *t, const char *path, uint64_t offset, uint64_t max,
                         Fault *f)
{
        int r = guest_read_file(s->manager->event, s->agent, path, offset, max, &read_handlers, t,
                                &t->task, f);

        return r < 0 ? give_up(t, r, f) : 0;
}

static int check_mode(int mode, Fault *f)
{
        if (mode >= -1 && mode <= MODE_BITS)
                return 0;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "mode has to be within 07777");
}

static int start_writing(Sandbox *s, Transfer *t, const char *path, int mode, Fault *f)
{
        int r = guest_write_file(s->manager->event, s->agent, path, mode, &write_handlers, t,
                                 &t->task, f);

        return r < 0 ? give_up(t, r, f) : 0;
}

int sandbox_read_file(Sandbox *s, Caller *caller, const char *path, uint64_t offset, uint64_t size,
                      SandboxReadDone done, void *userdata, Fault *f)
{
        Transfer *t;
        int r;

        if (size > TRANSFER_INLINE_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "at most %d bytes can be read at a time; pull the file instead",
                                 TRANSFER_INLINE_MAX);
        r = begin(s, caller, "file.read", path, -1, &t, f);
        if (r < 0)
                return r;
        t->read_done = done;
        t->userdata = userdata;
        return start_reading(s, t, path, offset, size, f);
}

int sandbox_write_file(Sandbox *s, Caller *caller, const char *path, const void *content,
                       size_t size, int mode, OperationDone done, void *userdata, Fault *f)
{
        Transfer *t;
        int r = check_mode(mode, f);

        if (r < 0)
                return r;
        if (size > TRANSFER_INLINE_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "at most %d bytes can be written at a time; push the file instead",
                                 TRANSFER_INLINE_MAX);
        r = begin(s, caller, "file.write", path, -1, &t, f);
        if (r < 0)
                return r;
        (void) g_byte_array_append(t->content, content, (guint) size);
        t->write_done = done;
        t->userdata = userdata;
        return start_writing(s, t, path, mode, f);
}

int sandbox_pull_file(Sandbox *s, Caller *caller, const char *path, int fd,
                      SandboxTransferDone done, void *userdata, Fault *f)
{
        Transfer *t;
        int r = begin(s, caller, "file.read", path, fd, &t, f);

        if (r < 0)
                return r;
        t->transfer_done = done;
        t->userdata = userdata;
        return start_reading(s, t, path, 0, UINT64_MAX, f);
}

int sandbox_push_file(Sandbox *s, Caller *caller, const char *path, int fd, int mode,
                      SandboxTransferDone done, void *userdata, Fault *f)
{
        Transfer *t;
        int r = check_mode(mode, f);

        if (r == 0)
                r = begin(s, caller, "file.write", path, fd, &t, f);
        if (r < 0)
                return r;
        t->transfer_done = done;
        t->userdata = userdata;
        return start_writing(s, t, path, mode, f);
}

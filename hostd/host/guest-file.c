/* SPDX-License-Identifier: MIT */
#include "host/guest-task.h"

#include "base/quantity.h"

#include <errno.h>
#include <string.h>

#define READ_CHUNK (256 * 1024)

#define CHECK_NOT_FOUND    2
#define CHECK_IS_DIRECTORY 3
#define CHECK_IS_SPECIAL   4

typedef struct ReadTask {
        GuestTask task;
        Agent *agent;
        AgentCall *call; /* one of these two is under way */
        GuestTask *check;
        char *path;
        uint64_t offset, left;
        GuestReadHandlers handlers;
        void *userdata;

        bool is_open;
        uint64_t handle;
        uint64_t asked, received; /* in this call */
        bool has_more;            /* a byte beyond what the caller wants was there */
        int piece_error;
} ReadTask;

/* qemu-ga would hang in open() on a FIFO, and with it all that is asked of the sandbox. */
static const char check_script[] = "[ -e \"$1\" ] || exit 2\n"
                                   "[ ! -d \"$1\" ] || exit 3\n"
                                   "[ -f \"$1\" ] || exit 4\n";

static void read_next(ReadTask *t);

static void close_handle(ReadTask *t)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "handle", json_object_new_uint64(t->handle));
        guest_call_detached(t->agent, "guest-file-close", arguments);
        t->is_open = false;
}

static void read_free(ReadTask *t)
{
        g_free(t->path);
        g_free(t);
}

static void read_end(ReadTask *t, bool ended, int r, const Fault *f)
{
        GuestReadHandlers handlers = t->handlers;
        void *userdata = t->userdata;

        if (t->is_open && f->code != FAULT_CANCELLED)
                close_handle(t);
        read_free(t);
        handlers.done(ended, r, f, userdata);
}

static int on_bytes(const char *key, const void *bytes, size_t size, void *userdata)
{
        ReadTask *t = userdata;
        size_t wanted = MIN(size, t->left);

        (void) key;
        t->received += size;
        if (t->received > t->asked)
                return -EBADMSG;
        t->has_more |= wanted < size;
        t->left -= wanted;
        if (wanted > 0 && t->piece_error == 0)
                t->piece_error = MIN(t->handlers.piece(bytes, wanted, t->userdata), 0);
        return t->piece_error;
}

static int check_count(const ReadTask *t, Json *reply, Fault *f)
{
        uint64_t count;
        int err = guest_find_number(reply, "count", t->asked, &count, f);

        if (err >= 0 && (count != t->received || t->received > t->asked))
                err = fault_set(f, FAULT_AGENT_MISBEHAVED,
                                "the guest agent sent other bytes than it says");
        return err;
}

static void on_read(Json *reply, int r, const Fault *f, void *userdata)
{
        ReadTask *t = userdata;
        bool is_end = false;
        Fault why = {0};

        t->call = NULL;
        if (r < 0) {
                read_end(t, false, r, f);
                return;
        }
        if (t->piece_error < 0)
                r = t->piece_error;
        else
                r = check_count(t, reply, &why);
        (void) json_find_bool(reply, "eof", &is_end);
        if (r < 0)
                read_end(t, false, r, &why);
        else if (is_end || t->received == 0 || t->has_more)
                read_end(t, !t->has_more, 0, &why);
        else
                read_next(t);
}

/* One byte more than wanted tells whether the file goes on. */
static void read_next(ReadTask *t)
{
        Json *arguments = json_object_new_object();

        t->asked = MIN(t->left, READ_CHUNK - 1) + 1;
        t->received = 0;
        json_object_object_add(arguments, "handle", json_object_new_uint64(t->handle));
        json_object_object_add(arguments, "count", json_object_new_uint64(t->asked));
        t->call = agent_call(t->agent, "guest-file-read", arguments, GUEST_CALL_USEC, on_bytes,
                             on_read, t);
}

static void on_sought(Json *reply, int r, const Fault *f, void *userdata)
{
        ReadTask *t = userdata;

        (void) reply;
        t->call = NULL;
        if (r < 0)
                read_end(t, false, r, f);
        else
                read_next(t);
}

static void seek(ReadTask *t)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "handle", json_object_new_uint64(t->handle));
        json_object_object_add(arguments, "offset", json_object_new_uint64(t->offset));
        json_object_object_add(arguments, "whence", json_object_new_string("set"));
        t->call = agent_call(t->agent, "guest-file-seek", arguments, GUEST_CALL_USEC, NULL,
                             on_sought, t);
}

static void on_opened(Json *reply, int r, const Fault *f, void *userdata)
{
        ReadTask *t = userdata;
        Fault why = {0};

        t->call = NULL;
        if (r < 0) {
                read_end(t, false, r, f);
                return;
        }
        if (!json_object_is_type(reply, json_type_int) || json_object_get_int64(reply) < 0) {
                r = fault_set(&why, FAULT_AGENT_MISBEHAVED, "the guest agent sent no file handle");
                read_end(t, false, r, &why);
                return;
        }
        t->handle = json_object_get_uint64(reply);
        t->is_open = true;
        if (t->offset > 0)
                seek(t);
        else
                read_next(t);
}

static int explain_check(const char *path, int status, Fault *f)
{
        switch (status) {
        case 0:
                return 0;
        case CHECK_NOT_FOUND:
                return fault_set(f, FAULT_NOT_FOUND, "'%s' does not exist in the sandbox", path);
        case CHECK_IS_DIRECTORY:
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is a directory in the sandbox",
                                 path);
        case CHECK_IS_SPECIAL:
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is not a regular file in the sandbox", path);
        default:
                return fault_set(f, FAULT_AGENT_REFUSED, "'%s' cannot be read in the sandbox",
                                 path);
        }
}

static void on_checked(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        ReadTask *t = userdata;
        Fault why = {0};

        (void) output;
        t->check = NULL;
        if (r >= 0) {
                r = explain_check(t->path, status, &why);
                f = &why;
        }
        if (r < 0) {
                read_end(t, false, r, f);
                return;
        }
        Json *arguments = json_object_new_object();
        json_object_object_add(arguments, "path", json_object_new_string(t->path));
        json_object_object_add(arguments, "mode", json_object_new_string("r"));
        t->call = agent_call(t->agent, "guest-file-open", arguments, GUEST_CALL_USEC, NULL,
                             on_opened, t);
}

static void cancel_read(GuestTask *task)
{
        ReadTask *t = (ReadTask *) task;

        guest_task_cancel(t->check);
        if (t->call)
                (void) agent_call_cancel(t->call);
        if (t->is_open)
                close_handle(t);
        read_free(t);
}

int guest_read_file(sd_event *event, Agent *agent, const char *path, uint64_t offset,
                    uint64_t max_bytes, const GuestReadHandlers *handlers, void *userdata,
                    GuestTask **ret, Fault *f)
{
        const char *const parameters[] = {path, NULL};
        ReadTask *t;
        int err = guest_check_path(path, f);

        if (err < 0)
                return err;
        if (offset > INT64_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the offset is too large");
        t = g_new0(ReadTask, 1);
        t->task.cancel = cancel_read;
        t->agent = agent;
        t->path = g_strdup(path);
        t->offset = offset;
        t->left = max_bytes;
        t->handlers = *handlers;
        t->userdata = userdata;
        err = guest_script(event, agent, check_script, parameters, NULL, 0, GUEST_CALL_USEC,
                           on_checked, t, &t->check, f);
        if (err < 0) {
                read_free(t);
                return err;
        }
        *ret = &t->task;
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "host/guest-task.h"

#include "base/name.h"
#include "base/quantity.h"

#include <stdio.h>
#include <string.h>

/* What one call carries; a file up to this size is written by a single program in the guest. */
#define WRITE_CHUNK (256 * 1024)
/* Storing and syncing a large file takes as long as the guest's disk does. */
#define WRITE_USEC (120 * USEC_PER_SEC)

#define WRITE_NO_FOLDER    2
#define WRITE_IS_DIRECTORY 3
#define WRITE_IS_SPECIAL   4
#define WRITE_FAILED       5

typedef struct WriteTask {
        GuestTask task;
        sd_event *event;
        Agent *agent;
        AgentCall *call; /* one of these two is under way */
        GuestTask *script;
        char *path;
        char mode[16];
        GuestWriteHandlers handlers;
        void *userdata;

        guint8 *buffer;
        size_t size; /* of what is in it */
        bool is_last;
        char name[32];   /* of the temporary file */
        char *temporary; /* its path in the guest, once it exists */
        bool is_open;
        uint64_t handle;
} WriteTask;

/* $1 what to do: "begin" puts standard input into the temporary file $4 beside $2 and prints its
 * path, "end" makes the temporary file with the path $4 the file $2, "all" does both. $3 is the new
 * mode, or "keep". A symbolic link is followed: its target is what is replaced. Nobody but root
 * sees the content before it has its final owner and mode. */
static const char write_script[] =
        "step=$1 path=$2 mode=$3 temporary=\n"
        "fail() { [ -z \"$temporary\" ] || rm -f -- \"$temporary\"; exit \"$1\"; }\n"
        "target=$path\n"
        "[ ! -L \"$path\" ] || target=$(readlink -f -- \"$path\") || fail 2\n"
        "folder=${target%/*}/\n"
        "[ -d \"$folder\" ] || fail 2\n"
        "[ ! -d \"$target\" ] || fail 3\n"
        "[ ! -e \"$target\" ] || [ -f \"$target\" ] || fail 4\n"
        "if [ \"$step\" != end ]; then\n"
        "        temporary=$folder$4\n"
        "        umask 077\n"
        "        cat >\"$temporary\" || fail 5\n"
        "        [ \"$step\" = all ] || { printf %s \"$temporary\"; exit 0; }\n"
        "else\n"
        "        temporary=$4\n"
        "fi\n"
        "if [ -e \"$target\" ]; then\n"
        "        now=$(stat -c '%a %u:%g' -- \"$target\") || fail 5\n"
        "        chown \"${now#* }\" \"$temporary\" || fail 5\n"
        "        [ ! -e /sys/fs/selinux/enforce ] || chcon --reference=\"$target\" -- \"$temporary\"\n"
        "        [ \"$mode\" != keep ] || mode=${now% *}\n"
        "fi\n"
        "[ \"$mode\" != keep ] || mode=0644\n"
        "chmod \"$mode\" \"$temporary\" && sync \"$temporary\" || fail 5\n"
        "mv -f -- \"$temporary\" \"$target\" || fail 5\n";

static void write_next(WriteTask *t);

static void write_free(WriteTask *t)
{
        sd_event_unref(t->event);
        g_free(t->path);
        g_free(t->buffer);
        g_free(t->temporary);
        g_free(t);
}

static Json *handle_arguments(const WriteTask *t)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "handle", json_object_new_uint64(t->handle));
        return arguments;
}

/* Leaves no handle and no temporary file in the guest. */
static void clean_up(WriteTask *t)
{
        Json *arguments, *arg;

        if (t->is_open)
                guest_call_detached(t->agent, "guest-file-close", handle_arguments(t));
        if (!t->temporary)
                return;
        arguments = json_object_new_object();
        arg = json_object_new_array();
        json_object_array_add(arg, json_object_new_string("-f"));
        json_object_array_add(arg, json_object_new_string("--"));
        json_object_array_add(arg, json_object_new_string(t->temporary));
        json_object_object_add(arguments, "path", json_object_new_string("rm"));
        json_object_object_add(arguments, "arg", arg);
        guest_call_detached(t->agent, "guest-exec", arguments);
}

static void write_end(WriteTask *t, int r, const Fault *f)
{
        GuestDone done = t->handlers.done;
        void *userdata = t->userdata;

        if (r < 0 && f->code != FAULT_CANCELLED)
                clean_up(t);
        write_free(t);
        done(r, f, userdata);
}

/* Fills the buffer as far as the caller has bytes. */
static int pull(WriteTask *t)
{
        t->size = 0;
        while (t->size < WRITE_CHUNK) {
                ssize_t n =
                        t->handlers.next(t->buffer + t->size, WRITE_CHUNK - t->size, t->userdata);

                if (n < 0)
                        return (int) n;
                t->is_last = n == 0;
                if (t->is_last)
                        break;
                t->size += (size_t) n;
        }
        return 0;
}

/* -- the end: scripts in the guest ------------------------------------------------------------ */

static int explain_status(const WriteTask *t, int status, const GString *output, Fault *f)
{
        switch (status) {
        case 0:
                return 0;
        case WRITE_NO_FOLDER:
                return fault_set(f, FAULT_NOT_FOUND,
                                 "the directory of '%s' does not exist in the sandbox", t->path);
        case WRITE_IS_DIRECTORY:
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is a directory in the sandbox",
                                 t->path);
        case WRITE_IS_SPECIAL:
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is not a regular file in the sandbox", t->path);
        default:
                return fault_set(f, FAULT_AGENT_REFUSED,
                                 "'%s' cannot be written in the sandbox: %s", t->path, output->str);
        }
}

static int run_script(WriteTask *t, const char *step, const char *temporary, GuestScriptDone done,
                      Fault *f)
{
        const char *const parameters[] = {step, t->path, t->mode, temporary, NULL};

        return guest_script(t->event, t->agent, write_script, parameters, t->buffer, t->size,
                            WRITE_USEC, done, t, &t->script, f);
}

static void on_done(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;
        Fault why = {0};

        t->script = NULL;
        if (r >= 0) {
                r = explain_status(t, status, output, &why);
                f = &why;
                /* The script has removed it. */
                g_clear_pointer(&t->temporary, g_free);
        }
        write_end(t, r, f);
}

/* -- the middle: chunks through the agent's file calls ---------------------------------------- */

static void on_closed(Json *reply, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;
        Fault why = {0};

        (void) reply;
        t->call = NULL;
        t->is_open = false;
        t->size = 0;
        if (r >= 0) {
                r = run_script(t, "end", t->temporary, on_done, &why);
                f = &why;
        }
        if (r < 0)
                write_end(t, r, f);
}

/* What the agent has buffered is written here, so here a full disk is noticed. */
static void on_flushed(Json *reply, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;

        (void) reply;
        t->call = NULL;
        if (r < 0)
                write_end(t, r, f);
        else
                t->call = agent_call(t->agent, "guest-file-close", handle_arguments(t),
                                     GUEST_CALL_USEC, NULL, on_closed, t);
}

static void on_written(Json *reply, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;
        Fault why = {0};
        uint64_t count;

        t->call = NULL;
        if (r >= 0) {
                r = guest_find_number(reply, "count", t->size, &count, &why);
                if (r >= 0 && count < t->size)
                        r = fault_set(&why, FAULT_AGENT_REFUSED,
                                      "'%s' cannot be written in the sandbox: its disk is full",
                                      t->path);
                f = &why;
        }
        t->size = 0;
        if (r < 0)
                write_end(t, r, f);
        else
                write_next(t);
}

static void write_next(WriteTask *t)
{
        g_autofree char *text = NULL;
        Json *arguments = handle_arguments(t);
        int r = t->is_last ? 0 : pull(t);

        if (r < 0) {
                json_object_put(arguments);
                write_end(t, r, &(Fault){0});
        } else if (t->is_last && t->size == 0) {
                t->call = agent_call(t->agent, "guest-file-flush", arguments, WRITE_USEC, NULL,
                                     on_flushed, t);
        } else {
                text = g_base64_encode(t->buffer, t->size);
                json_object_object_add(arguments, "buf-b64", json_object_new_string(text));
                t->call = agent_call(t->agent, "guest-file-write", arguments, WRITE_USEC, NULL,
                                     on_written, t);
        }
}

static void on_opened(Json *reply, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;
        Fault why = {0};

        t->call = NULL;
        if (r < 0) {
                write_end(t, r, f);
        } else if (!json_object_is_type(reply, json_type_int) || json_object_get_int64(reply) < 0) {
                r = fault_set(&why, FAULT_AGENT_MISBEHAVED, "the guest agent sent no file handle");
                write_end(t, r, &why);
        } else {
                t->handle = json_object_get_uint64(reply);
                t->is_open = true;
                write_next(t);
        }
}

static void on_begun(int status, const GString *output, int r, const Fault *f, void *userdata)
{
        WriteTask *t = userdata;
        Fault why = {0};

        t->script = NULL;
        if (r >= 0) {
                r = explain_status(t, status, output, &why);
                if (r >= 0)
                        r = guest_check_path(output->str, &why);
                f = &why;
        }
        if (r < 0) {
                write_end(t, r, f);
                return;
        }
        t->temporary = g_strdup(output->str);
        Json *arguments = json_object_new_object();
        json_object_object_add(arguments, "path", json_object_new_string(t->temporary));
        json_object_object_add(arguments, "mode", json_object_new_string("a"));
        t->call = agent_call(t->agent, "guest-file-open", arguments, GUEST_CALL_USEC, NULL,
                             on_opened, t);
}

/* -- the beginning ---------------------------------------------------------------------------- */

static void cancel_write(GuestTask *task)
{
        WriteTask *t = (WriteTask *) task;

        guest_task_cancel(t->script);
        if (t->call)
                (void) agent_call_cancel(t->call);
        clean_up(t);
        write_free(t);
}

static WriteTask *new_write_task(sd_event *event, Agent *agent, const char *path, int mode,
                                 const GuestWriteHandlers *handlers, void *userdata)
{
        WriteTask *t = g_new0(WriteTask, 1);

        t->task.cancel = cancel_write;
        t->event = sd_event_ref(event);
        t->agent = agent;
        t->path = g_strdup(path);
        if (mode < 0)
                g_strlcpy(t->mode, "keep", sizeof t->mode);
        else
                (void) snprintf(t->mode, sizeof t->mode, "%04o", (unsigned) mode);
        (void) snprintf(t->name, sizeof t->name, ".fluid-%s", id_new().text);
        t->handlers = *handlers;
        t->userdata = userdata;
        t->buffer = g_malloc(WRITE_CHUNK);
        return t;
}

int guest_write_file(sd_event *event, Agent *agent, const char *path, int mode,
                     const GuestWriteHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        WriteTask *t;
        int err = guest_check_path(path, f);

        if (err < 0)
                return err;
        if (mode > 07777)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%o is not a file's mode",
                                 (unsigned) mode);
        if (g_str_has_suffix(path, "/"))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' names a directory", path);
        t = new_write_task(event, agent, path, mode, handlers, userdata);
        err = pull(t);
        if (err >= 0)
                err = run_script(t, t->is_last ? "all" : "begin", t->name,
                                 t->is_last ? on_done : on_begun, f);
        if (err < 0) {
                write_free(t);
                return err;
        }
        *ret = &t->task;
        return 0;
}

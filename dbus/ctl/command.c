/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/name.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define SLICE_USEC (600 * USEC_PER_SEC)
#define GRACE_USEC (10 * USEC_PER_SEC)
#define READ_MAX   (UINT64_C(1) << 20)

int command_find(Ctl *ctl, const char *id, char **ret_path, Fault *f)
{
        if (!id_is_valid(id))
                return usage_error(ctl, f, "'%.80s' is not the id of a command: see 'commands'",
                                   id);
        *ret_path = g_strdup_printf("%s/%s", PATH_COMMAND, id);
        return 0;
}

int command_wait(Ctl *ctl, const char *path, Fault *f)
{
        bool interrupted = false;
        Fault reason;
        int r;

        progress_begin(ctl, "running");
        for (;;) {
                fault_clear(&reason);
                r = bus_request(ctl, SLICE_USEC + GRACE_USEC, path, INTERFACE_COMMAND, "Wait", NULL,
                                &reason, "t", SLICE_USEC);
                if (reason.code == FAULT_CANCELLED && !interrupted &&
                    progress_last_signal() == SIGINT) {
                        interrupted = true;
                        fault_clear(&reason);
                        r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_COMMAND, "Kill",
                                        NULL, &reason, "i", SIGINT);
                        /* It may have ended before the signal came. */
                        if (r == 0 || reason.code == FAULT_WRONG_STATE)
                                continue;
                }
                if (reason.code != FAULT_TIMED_OUT)
                        break;
        }
        progress_end(ctl);
        return r < 0 ? fault_set(f, reason.code, "%s", reason.message) : 0;
}

/* Reads one stream from its start and hands it on in pieces. */
static int read_stream(Ctl *ctl, const char *path, const char *name,
                       void (*each)(void *userdata, const char *bytes, size_t size), void *userdata,
                       Fault *f)
{
        for (uint64_t offset = 0;;) {
                g_autoptr(BusMessage) reply = NULL;
                const void *content;
                size_t size;
                int ended;

                int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_COMMAND, "Read", &reply,
                                    f, "stt", name, offset, READ_MAX);
                if (r < 0)
                        return r;
                if (sd_bus_message_read_array(reply, 'y', &content, &size) < 0)
                        return fault_set(f, FAULT_INTERNAL, "Read answered without bytes");
                r = bus_read(reply, f, "b", &ended);
                if (r < 0)
                        return r;
                if (size > 0)
                        each(userdata, content, size);
                offset += size;
                if (ended || size == 0)
                        return 0;
        }
}

static void on_piece_to_stream(void *userdata, const char *bytes, size_t size)
{
        stream_write(userdata, bytes, size);
}

static void on_piece_to_array(void *userdata, const char *bytes, size_t size)
{
        g_byte_array_append(userdata, (const guint8 *) bytes, (guint) size);
}

static int copy_stream(Ctl *ctl, const char *path, const char *name, FILE *file, bool raw, Fault *f)
{
        Stream stream = {.file = file, .escape = !raw && isatty(fileno(file))};

        int r = read_stream(ctl, path, name, on_piece_to_stream, &stream, f);
        stream_write(&stream, NULL, 0);
        (void) fflush(file);
        return r;
}

static int add_stream(Ctl *ctl, const char *path, const char *name, Json *object, Fault *f)
{
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_autofree char *key = g_strdup_printf("%s_b64", name);

        int r = read_stream(ctl, path, name, on_piece_to_array, bytes, f);
        if (r < 0)
                return r;
        const char *data = bytes->len ? (const char *) bytes->data : "";
        g_autofree char *text = g_utf8_make_valid(data, bytes->len);
        g_autofree char *exact = g_base64_encode((const guchar *) data, bytes->len);
        (void) json_object_object_add(object, name, json_object_new_string(text));
        (void) json_object_object_add(object, key, json_object_new_string(exact));
        return 0;
}

static void add_output_flag(Json *object, Json *output, const char *key)
{
        (void) json_object_object_add(object, key,
                                      json_object_new_boolean(json_truth(output, key)));
}

static int print_object(Ctl *ctl, const char *path, Json *properties, Json *output, Fault *f)
{
        g_autoptr(Json) object = json_object_new_object();

        json_object_object_foreach(properties, key, value) if (!g_str_equal(key, "output") &&
                                                               !g_str_equal(key, "id"))(void)
                json_object_object_add(object, key, json_object_get(value));
        (void) json_object_object_add(object, "command",
                                      json_object_new_string(json_text(properties, "id")));
        bool late = g_str_equal(json_text(properties, "state"), "timed-out");
        (void) json_object_object_add(object, "timed_out", json_object_new_boolean(late));
        add_output_flag(object, output, "stdout_truncated");
        add_output_flag(object, output, "stderr_truncated");

        int r = add_stream(ctl, path, "stdout", object, f);
        if (r >= 0)
                r = add_stream(ctl, path, "stderr", object, f);
        if (r >= 0)
                print_json(object);
        return r;
}

static void warn_of_cut(Json *output, const char *name)
{
        g_autofree char *flag = g_strdup_printf("%s_truncated", name);
        g_autofree char *count = g_strdup_printf("%s_bytes", name);

        if (!json_truth(output, flag))
                return;
        g_autofree char *kept = size_format(json_number(output, count));
        fprintf(stderr, "fluidctl: %s was truncated: its first %s are kept\n", name, kept);
}

int command_print(Ctl *ctl, const char *path, bool raw, Json **ret_properties, Fault *f)
{
        g_autoptr(Json) properties = NULL;
        Json *output = NULL;

        int r = bus_properties(ctl, path, INTERFACE_COMMAND, &properties, f);
        if (r < 0)
                return r;
        (void) json_find_object(properties, "output", &output);
        if (ctl->json)
                r = print_object(ctl, path, properties, output, f);
        else {
                if (json_number(output, "stdout_bytes") > 0)
                        r = copy_stream(ctl, path, "stdout", stdout, raw, f);
                if (r >= 0 && json_number(output, "stderr_bytes") > 0)
                        r = copy_stream(ctl, path, "stderr", stderr, raw, f);
        }
        if (r < 0)
                return r;
        warn_of_cut(output, "stdout");
        warn_of_cut(output, "stderr");
        *ret_properties = TAKE_PTR(properties);
        return 0;
}

int command_status(Json *properties, Fault *f)
{
        const char *state = json_text(properties, "state");
        const char *reason = json_text(properties, "reason");

        if (g_str_equal(state, "timed-out")) {
                uint64_t took = json_number(properties, "ended_usec") -
                                json_number(properties, "started_usec");
                g_autofree char *text =
                        took < USEC_PER_SEC ? duration_format(took) : format_seconds(took);
                return fault_set(f, FAULT_TIMED_OUT,
                                 "timed out after %s, its processes were killed", text);
        }
        if (g_str_equal(state, "failed"))
                return fault_set(f, FAULT_COMMAND_NOT_RUN, "%s",
                                 *reason ? reason : "the command could not be run");
        return (int) json_number(properties, "exit_status");
}

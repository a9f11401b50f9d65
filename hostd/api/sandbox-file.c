/* SPDX-License-Identifier: MIT */
#include "api/sandbox-object.h"

#include "api/options.h"
#include "core/diff.h"

/* -1 where it is not given: core keeps the file's. */
static int read_mode(sd_bus_message *m, int *ret, Fault *f)
{
        uint32_t mode = UINT32_MAX;
        const Option options[] = {{"mode", "u", &mode}};
        int r = options_read(m, options, G_N_ELEMENTS(options), f);

        if (r >= 0)
                *ret = (int) mode;
        return r;
}

static void on_read(const void *content, size_t size, int r, const Fault *f, void *userdata)
{
        g_autoptr(sd_bus_message) reply = NULL;
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call)) {
                r = sd_bus_message_new_method_return(call->message, &reply);
                if (r >= 0)
                        r = sd_bus_message_append_array(reply, 'y', content, size);
                r = call_send(call, reply, r, &fault);
        }
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

int sandbox_object_read_file(Call *call, void *object, Fault *f)
{
        const char *path;
        uint64_t offset, size;
        int r = call_read_fault(sd_bus_message_read(call->message, "stt", &path, &offset, &size),
                                f);

        if (r >= 0)
                r = sandbox_read_file(object, &call->caller, path, offset, size, on_read, call, f);
        return r < 0 ? r : CALL_PENDING;
}

int sandbox_object_write_file(Call *call, void *object, Fault *f)
{
        const char *path;
        const void *content;
        size_t size;
        int mode, r = call_read_fault(sd_bus_message_read(call->message, "s", &path), f);

        if (r >= 0)
                r = call_read_fault(sd_bus_message_read_array(call->message, 'y', &content, &size),
                                    f);
        if (r >= 0)
                r = read_mode(call->message, &mode, f);
        if (r >= 0)
                r = sandbox_write_file(object, &call->caller, path, content, size, mode, call_done,
                                       call, f);
        return r < 0 ? r : CALL_PENDING;
}

static void on_moved(uint64_t size, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "t", size);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

int sandbox_object_pull_file(Call *call, void *object, Fault *f)
{
        const char *path;
        int fd, r = call_read_fault(sd_bus_message_read(call->message, "sh", &path, &fd), f);

        if (r >= 0)
                r = sandbox_pull_file(object, &call->caller, path, fd, on_moved, call, f);
        return r < 0 ? r : CALL_PENDING;
}

int sandbox_object_push_file(Call *call, void *object, Fault *f)
{
        const char *path;
        int fd, mode, r = call_read_fault(sd_bus_message_read(call->message, "sh", &path, &fd), f);

        if (r >= 0)
                r = read_mode(call->message, &mode, f);
        if (r >= 0)
                r = sandbox_push_file(object, &call->caller, path, fd, mode, on_moved, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static void on_compared(int fd, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply_file(call, fd, &fault);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

int sandbox_object_diff(Call *call, void *object, Fault *f)
{
        DiffSpec spec = {0};
        const Option options[] = {{"contents", "b", &spec.contents}};
        int r = call_read_fault(sd_bus_message_read(call->message, "ss", &spec.from, &spec.to), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = diff_start(object, &call->caller, &spec, on_compared, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int take_out(Call *call, void *object, bool is_archive, Fault *f)
{
        FileAtSpec spec = {.is_archive = is_archive};
        const Option options[] = {{"size_max", "t", &spec.size_max},
                                  {"escaped", "b", &spec.is_escaped}};
        int r = call_read_fault(sd_bus_message_read(call->message, "ss", &spec.path, &spec.point),
                                f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = file_at_start(object, &call->caller, &spec, on_compared, call, f);
        return r < 0 ? r : CALL_PENDING;
}

int sandbox_object_read_file_at(Call *call, void *object, Fault *f)
{
        return take_out(call, object, false, f);
}

int sandbox_object_extract_at(Call *call, void *object, Fault *f)
{
        return take_out(call, object, true, f);
}

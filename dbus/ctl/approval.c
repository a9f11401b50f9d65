/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/approval.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/name.h"
#include "base/quantity.h"
#include "dbus/ctl/approval-log.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#include <string.h>

#define SLICE_USEC  (10 * USEC_PER_SEC)
#define GRACE_USEC  (5 * USEC_PER_SEC)
#define CONTENT_MAX (256 * 1024)

int approval_find(Ctl *ctl, const char *id, char **ret_path, Fault *f)
{
        if (!id_is_valid(id))
                return usage_error(ctl, f, "'%.80s' is not the id of an approval: see 'approvals'",
                                   id);
        *ret_path = g_strdup_printf("%s/%s", PATH_APPROVAL, id);
        return 0;
}

static int load_content(Ctl *ctl, const char *path, const char *sha256, char **ret, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autofree char *file = NULL, *text = NULL, *found = NULL;
        size_t size;
        int fd;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_APPROVAL, "Content", &reply, f,
                            NULL);
        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r < 0)
                return r;
        file = g_strdup_printf("/proc/self/fd/%d", fd);
        r = file_read(file, CONTENT_MAX, &text, &size, f);
        if (r < 0)
                return r;
        found = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) text, size);
        if (!g_str_equal(found, sha256))
                return fault_set(f, FAULT_WRONG_HASH, "the content has not the hash that is said");
        *ret = TAKE_PTR(text);
        return 0;
}

int approval_load(Ctl *ctl, const char *path, Json **ret_properties, char **ret_content, Fault *f)
{
        g_autoptr(Json) properties = NULL;
        int r = bus_properties(ctl, path, INTERFACE_APPROVAL, &properties, f);

        if (r >= 0 && ret_content)
                r = load_content(ctl, path, json_text(properties, "sha256"), ret_content, f);
        if (r >= 0)
                *ret_properties = TAKE_PTR(properties);
        return r;
}

/* -EAGAIN where it still waits. */
static int wait_slice(Ctl *ctl, const char *path, uint64_t slice_usec, Fault *f)
{
        Fault why = {0};
        int r = bus_request(ctl, slice_usec + GRACE_USEC, path, INTERFACE_APPROVAL, "Wait", NULL,
                            &why, "t", slice_usec);

        if (r < 0 && why.code == FAULT_TIMED_OUT)
                return -EAGAIN;
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}

int approval_wait(Ctl *ctl, const char *path, uint64_t timeout_usec, Fault *f)
{
        uint64_t begun = now_monotonic_usec(), passed = 0;
        int r;

        progress_begin(ctl, "waiting for an answer");
        do {
                r = wait_slice(ctl, path, MIN(timeout_usec - passed, SLICE_USEC), f);
                passed = now_monotonic_usec() - begun;
        } while (r == -EAGAIN && passed < timeout_usec);
        progress_end(ctl);
        if (r != -EAGAIN)
                return r;
        return fault_set(f, FAULT_TIMED_OUT,
                         "nobody has answered yet; to wait on: fluidctl answer %s",
                         strrchr(path, '/') + 1);
}

int approval_apply(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        ApprovalLog log = APPROVAL_LOG(ctl, path);
        bool is_shown = !ctl->quiet && !ctl->json;
        int r = bus_method(ctl, path, INTERFACE_APPROVAL, "Apply", &m, f);

        if (r < 0)
                return r;
        bus_options_open(m);
        bus_options_close(m);
        progress_begin(ctl, "applying");
        r = bus_call_with(ctl, m, BUS_TIMEOUT_APPLY_USEC, is_shown ? approval_log_tick : NULL, &log,
                          NULL, f);
        progress_end(ctl);
        if (is_shown)
                approval_log_end(&log);
        return r;
}

void print_barred(const char *text)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++) {
                if (!**line && !line[1] && line != lines)
                        break;
                g_autofree char *escaped = escape_print(*line, strlen(*line));
                printf("| %s\n", escaped);
        }
}

static int status_of(const char *state)
{
        static const struct {
                const char *state;
                FaultCode code;
        } ends[] = {
                {"approved", FAULT_NONE},
                {"applied", FAULT_NONE},
                {"applying", FAULT_NONE},
                {"denied", FAULT_DENIED},
                {"expired", FAULT_APPROVAL_EXPIRED},
                {"cancelled", FAULT_CANCELLED},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
                if (g_str_equal(ends[i].state, state))
                        return fault_to_exit_status(ends[i].code);
        return 1;
}

int approval_print_answer(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) approval = NULL;
        int r = approval_load(ctl, path, &approval, NULL, f);

        if (r < 0)
                return r;
        const char *state = json_text(approval, "state");
        if (ctl->json) {
                print_json(approval);
                return status_of(state);
        }
        if (!ctl->quiet)
                print_line("%s%s%s", state, *json_text(approval, "reason") ? ": " : "",
                           json_text(approval, "reason"));
        if (*json_text(approval, "alternative"))
                print_barred(json_text(approval, "alternative"));
        if (*json_text(approval, "comment"))
                print_barred(json_text(approval, "comment"));
        return status_of(state);
}

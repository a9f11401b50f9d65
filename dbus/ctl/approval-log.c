/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/approval-log.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* It is there soon after the call, or never. */
#define ASK_EVERY_USEC (500 * USEC_PER_MSEC)
#define LINE_MAX_BYTES (64 << 10)

static int open_log(Ctl *ctl, const char *path, int *ret_fd, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        int fd, r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_APPROVAL, "Log", &reply, f,
                                NULL);

        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r < 0)
                return r;
        *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret_fd < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot read the log") : 0;
}

/* Whole lines, and one that grows too long. */
static void print_lines(ApprovalLog *log)
{
        char *newline;

        while ((newline = memchr(log->rest->str, '\n', log->rest->len))) {
                size_t size = (size_t) (newline - log->rest->str);
                g_autofree char *line = g_strndup(log->rest->str, size);

                print_barred(line);
                g_string_erase(log->rest, 0, (gssize) size + 1);
        }
        if (log->rest->len > LINE_MAX_BYTES) {
                print_barred(log->rest->str);
                g_string_truncate(log->rest, 0);
        }
}

static void read_on(ApprovalLog *log)
{
        char bytes[65536];
        ssize_t n;

        while ((n = pread(log->fd, bytes, sizeof bytes, (off_t) log->offset)) > 0) {
                progress_hide(log->ctl);
                log->offset += (uint64_t) n;
                g_string_append_len(log->rest, bytes, n);
                print_lines(log);
        }
        (void) fflush(stdout);
}

void approval_log_tick(void *userdata)
{
        ApprovalLog *log = userdata;
        uint64_t now = now_monotonic_usec();

        if (!log->rest)
                log->rest = g_string_new(NULL);
        if (log->fd < 0 && now - log->asked_usec >= ASK_EVERY_USEC) {
                log->asked_usec = now;
                (void) open_log(log->ctl, log->path, &log->fd, NULL);
        }
        if (log->fd >= 0)
                read_on(log);
}

void approval_log_end(ApprovalLog *log)
{
        log->asked_usec = 0;
        approval_log_tick(log);
        if (log->rest->len > 0)
                print_barred(log->rest->str);
        (void) g_string_free(log->rest, TRUE);
        log->rest = NULL;
        log->fd = close_fd(log->fd);
}

/* -- of what is applied elsewhere, or was -------------------------------------------------------
 */

static bool is_growing(Ctl *ctl, const char *path)
{
        g_autoptr(Json) state = NULL;

        return bus_property(ctl, path, INTERFACE_APPROVAL, "State", &state, NULL) >= 0 &&
               g_str_equal(json_object_get_string(state), "applying");
}

int approval_print_log(Ctl *ctl, const char *path, Fault *f)
{
        ApprovalLog log = APPROVAL_LOG(ctl, path);
        bool is_interrupted = false;

        int r = open_log(ctl, path, &log.fd, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "applying");
        while (!is_interrupted && is_growing(ctl, path)) {
                approval_log_tick(&log);
                progress_tick(ctl);
                (void) g_usleep(PROGRESS_TICK_USEC);
                is_interrupted = progress_take_interrupt(ctl);
        }
        progress_end(ctl);
        approval_log_end(&log);
        return is_interrupted ? fault_set(f, FAULT_CANCELLED, "interrupted") : 0;
}

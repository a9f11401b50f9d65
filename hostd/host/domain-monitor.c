/* SPDX-License-Identifier: MIT */
#include "host/hypervisor-private.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/quantity.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX       ((size_t) 1 << 20)
#define REPLY_DEPTH_MAX 16
#define FD_NAME         "fluid"

#define POLL_MIN_USEC     (1 * USEC_PER_MSEC)
#define POLL_MAX_USEC     (20 * USEC_PER_MSEC)
#define TRANSFER_MAX_USEC (600 * USEC_PER_SEC)
#define RELEASE_MAX_USEC  (30 * USEC_PER_SEC)

/* How many pages of each GiB are looked at to have it all touched: one in 64 KiB. The kernel finds
 * memory by pieces of 2 MiB, where it has huge pages, or reads files ahead. */
#define TOUCHED_PAGES   16384
#define TOUCH_MAX_USEC  (30 * USEC_PER_SEC)
#define TOUCH_POLL_USEC (20 * USEC_PER_MSEC)

/* A guest that writes faster than its RAM is copied is stopped after this long. */
#define LIVE_MAX_USEC (3 * USEC_PER_SEC)

/* QEMU stops the guest when it thinks that the rest takes no longer than that. Where it is stopped
 * already, the rest may take any time, and is then copied without looking at the clock. */
#define LIVE_DOWNTIME_MS    50
#define STOPPED_DOWNTIME_MS 2000000

#define BANDWIDTH_MAX (INT64_C(100) << 30)

/* -- commands ------------------------------------------------------------------------------- */

static char *format_command(const char *command, Json *arguments)
{
        g_autoptr(Json) request = json_object_new_object();

        json_object_object_add(request, "execute", json_object_new_string(command));
        if (arguments)
                json_object_object_add(request, "arguments", arguments);
        return g_strdup(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
}

static int send_command(DomainCall *call, const char *request, int fd, char **ret)
{
        unsigned n_out = 0;
        int *out = NULL, r;

        if (fd < 0)
                return virDomainQemuMonitorCommand(call->domain, request, ret, 0);
        r = virDomainQemuMonitorCommandWithFiles(call->domain, request, 1, &fd, &n_out, &out, ret,
                                                 0);
        for (unsigned i = 0; i < n_out; i++)
                (void) close_fd(out[i]);
        free(out);
        return r;
}

static int read_reply(const char *command, const char *text, Json **ret, Fault *f)
{
        g_autoptr(Json) reply = NULL;
        Json *value = NULL, *error = NULL;
        const char *words = "";
        size_t size = strlen(text);

        if (size > REPLY_MAX || json_parse(text, size, REPLY_DEPTH_MAX, &reply, NULL) < 0)
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "QEMU's answer to %s is not JSON",
                                 command);
        if (json_find_object(reply, "error", &error)) {
                (void) json_find_string(error, "desc", &words);
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "QEMU refused %s: %s", command, words);
        }
        if (!json_find_object(reply, "return", &value))
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "QEMU did not answer %s", command);
        if (ret)
                *ret = json_object_get(value);
        return 0;
}

/* One command, whose `arguments` (or NULL) are taken; `fd` is passed along, or -1. */
static int run(DomainCall *call, const char *command, Json *arguments, int fd, Json **ret, Fault *f)
{
        g_autofree char *request = format_command(command, arguments);
        char *text = NULL;

        if (send_command(call, request, fd, &text) < 0)
                return hypervisor_fault(call->h, call->connection, f,
                                        "%s in domain " DOMAIN_PREFIX "%s", command, call->id);
        int r = read_reply(command, text, ret, f);
        free(text);
        return r;
}

static int run_with_string(DomainCall *call, const char *command, const char *key,
                           const char *value, int fd, Fault *f)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, key, json_object_new_string(value));
        return run(call, command, arguments, fd, NULL, f);
}

static int set_ignores_shared(DomainCall *call, bool ignores_shared, Fault *f)
{
        Json *capability = json_object_new_object(), *list = json_object_new_array();
        Json *arguments = json_object_new_object();

        json_object_object_add(capability, "capability", json_object_new_string("x-ignore-shared"));
        json_object_object_add(capability, "state", json_object_new_boolean(ignores_shared));
        json_object_array_add(list, capability);
        json_object_object_add(arguments, "capabilities", list);
        return run(call, "migrate-set-capabilities", arguments, -1, NULL, f);
}

static int set_limits(DomainCall *call, int64_t downtime_ms, Fault *f)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "max-bandwidth", json_object_new_int64(BANDWIDTH_MAX));
        json_object_object_add(arguments, "downtime-limit", json_object_new_int64(downtime_ms));
        return run(call, "migrate-set-parameters", arguments, -1, NULL, f);
}

static int has_status(DomainCall *call, const char *expected, Fault *f)
{
        g_autoptr(Json) reply = NULL;
        const char *status = "";
        int r = run(call, "query-status", NULL, -1, &reply, f);

        if (r < 0)
                return r;
        (void) json_find_string(reply, "status", &status);
        return g_str_equal(status, expected);
}

int monitor_is_loading(DomainCall *call, Fault *f)
{
        return has_status(call, "inmigrate", f);
}

/* -- waiting -------------------------------------------------------------------------------- */

/* 1 when all is over, 0 while it goes on. */
static int check_progress(DomainCall *call, Fault *f)
{
        g_autoptr(Json) reply = NULL;
        const char *status = "", *words = "it did not say why";
        int r = run(call, "query-migrate", NULL, -1, &reply, f);

        if (r < 0)
                return r;
        (void) json_find_string(reply, "status", &status);
        if (g_str_equal(status, "completed"))
                return 1;
        if (!g_str_equal(status, "failed") && !g_str_equal(status, "cancelled"))
                return 0;
        (void) json_find_string(reply, "error-desc", &words);
        return fault_set(f,
                         strstr(words, "No space left") ? FAULT_NO_SPACE : FAULT_HYPERVISOR_FAILED,
                         "QEMU gave up: %s", words);
}

static int wait_for_end(DomainCall *call, bool is_live, Fault *f)
{
        uint64_t begun = now_monotonic_usec(), elapsed;
        int r;

        while ((r = check_progress(call, f)) == 0) {
                elapsed = now_monotonic_usec() - begun;
                if (elapsed >= TRANSFER_MAX_USEC)
                        return fault_set(f, FAULT_TIMED_OUT, "QEMU took more than 10 minutes");
                if (is_live && elapsed >= LIVE_MAX_USEC) {
                        is_live = false;
                        if (virDomainSuspend(call->domain) < 0)
                                return call_fault(call, f, "stop");
                }
                g_usleep(CLAMP(elapsed / 16, POLL_MIN_USEC, POLL_MAX_USEC));
        }
        return MIN(r, 0);
}

/* How far QEMU is with measuring how fast the guest writes: "unstarted" also for a moment after the
 * start, "measuring", "measured"; NULL where it does not say. */
static char *measuring_status(DomainCall *call)
{
        g_autoptr(Json) reply = NULL;
        const char *status = NULL;

        if (run(call, "query-dirty-rate", NULL, -1, &reply, NULL) < 0 ||
            !json_find_string(reply, "status", &status))
                return NULL;
        return g_strdup(status);
}

void monitor_touch_ram(DomainCall *call)
{
        uint64_t deadline = now_monotonic_usec() + TOUCH_MAX_USEC;
        g_autofree char *status = measuring_status(call);
        Json *arguments;

        if (!status || !g_str_equal(status, "unstarted"))
                return;
        arguments = json_object_new_object();
        json_object_object_add(arguments, "calc-time", json_object_new_int(1));
        json_object_object_add(arguments, "sample-pages", json_object_new_int(TOUCHED_PAGES));
        if (run(call, "calc-dirty-rate", arguments, -1, NULL, NULL) < 0)
                return;
        while (status && !g_str_equal(status, "measured") && now_monotonic_usec() < deadline) {
                g_usleep(TOUCH_POLL_USEC);
                g_free(status);
                status = measuring_status(call);
        }
}

/* QEMU tells what was wrong only in its log, and ends. */
int monitor_load(DomainCall *call, int fd, bool ignores_shared, Fault *f)
{
        Fault why = {0};
        int r = set_ignores_shared(call, ignores_shared, &why);

        if (r >= 0)
                r = run_with_string(call, "getfd", "fdname", FD_NAME, fd, &why);
        if (r >= 0)
                r = run_with_string(call, "migrate-incoming", "uri", "fd:" FD_NAME, -1, &why);
        if (r >= 0)
                r = wait_for_end(call, false, &why);
        if (r >= 0)
                return 0;
        return fault_set(f, why.code,
                         "the memory could not be loaded into domain " DOMAIN_PREFIX "%s: %s",
                         call->id, why.message);
}

int monitor_prepare_save(DomainCall *call, int fd, bool ignores_shared, bool is_live, Fault *f)
{
        int r = set_ignores_shared(call, ignores_shared, f);

        if (r >= 0)
                r = set_limits(call, is_live ? LIVE_DOWNTIME_MS : STOPPED_DOWNTIME_MS, f);
        return r < 0 ? r : run_with_string(call, "getfd", "fdname", FD_NAME, fd, f);
}

/* All is written a moment before QEMU lets go of the guest, which cannot be resumed until then. */
static int wait_for_release(DomainCall *call, Fault *f)
{
        uint64_t deadline = now_monotonic_usec() + RELEASE_MAX_USEC;
        int r;

        while ((r = has_status(call, "finish-migrate", f)) > 0) {
                if (now_monotonic_usec() >= deadline)
                        return fault_set(f, FAULT_TIMED_OUT, "QEMU does not let go of the guest");
                g_usleep(POLL_MIN_USEC);
        }
        return r;
}

int monitor_save(DomainCall *call, bool is_live, Fault *f)
{
        int r = run_with_string(call, "migrate", "uri", "fd:" FD_NAME, -1, f);

        if (r >= 0)
                r = wait_for_end(call, is_live, f);
        return r < 0 ? r : wait_for_release(call, f);
}

void monitor_abandon_save(DomainCall *call)
{
        (void) run(call, "migrate_cancel", NULL, -1, NULL, NULL);
        (void) run_with_string(call, "closefd", "fdname", FD_NAME, -1, NULL);
}

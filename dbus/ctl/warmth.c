/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/warmth.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#include <errno.h>
#include <inttypes.h>

/* One wait on the bus where somebody looks at the progress, and where nobody does. */
#define SLICE_SHOWN_USEC (400 * USEC_PER_MSEC)
#define SLICE_USEC       (600 * USEC_PER_SEC)
#define GRACE_USEC       (10 * USEC_PER_SEC)

static int ask(Ctl *ctl, const char *path, uint64_t timeout_usec, Fault *f)
{
        return bus_request(ctl, timeout_usec + GRACE_USEC, path, INTERFACE_TEMPLATE, "WaitWarm",
                           NULL, f, "t", timeout_usec);
}

/* -EAGAIN without a Fault where it is still being made after the slice. The reason of an image that
 * failed may be TimedOut, as that of a wait is: where nothing is being made, it is the former. */
static int wait_slice(Ctl *ctl, const char *path, const char *name, uint64_t slice_usec, Fault *f)
{
        g_autoptr(Json) template = NULL;
        Fault reason = {0};

        int r = ask(ctl, path, slice_usec, &reason);
        if (r >= 0)
                return 0;
        if (reason.code != FAULT_TIMED_OUT)
                return fault_set(f, reason.code, "%s", reason.message);
        r = bus_properties(ctl, path, INTERFACE_TEMPLATE, &template, f);
        if (r < 0)
                return r;
        const char *phase = json_text(template, "warm_phase");
        if (!*phase)
                return ask(ctl, path, 0, f);
        progress_say(ctl, "making '%s' warm: %s", name, phase);
        return -EAGAIN;
}

int warmth_wait(Ctl *ctl, const char *path, const char *name, uint64_t timeout_usec, Fault *f)
{
        uint64_t begun = now_monotonic_usec(), passed = 0;
        int r;

        progress_begin(ctl, "making '%s' warm", name);
        uint64_t slice = progress_is_shown(ctl) ? SLICE_SHOWN_USEC : SLICE_USEC;
        do {
                r = wait_slice(ctl, path, name, MIN(timeout_usec - passed, slice), f);
                passed = now_monotonic_usec() - begun;
        } while (r == -EAGAIN && passed < timeout_usec);
        progress_end(ctl);
        if (f->code == FAULT_CANCELLED)
                fprintf(stderr, "fluidctl: it goes on: see 'fluidctl template show %s'\n", name);
        if (r != -EAGAIN)
                return r;
        g_autofree char *text = duration_format(timeout_usec);
        return fault_set(f, FAULT_TIMED_OUT, "template '%s' is not warm after %s", name, text);
}

const char *warmth_describe(Json *template)
{
        const char *phase = json_text(template, "warm_phase");

        if (*phase)
                return phase;
        return json_truth(template, "warm") ? "yes" : "";
}

char *warmth_format_pool(Json *template)
{
        uint64_t wanted = json_number(template, "pool");

        if (wanted == 0)
                return g_strdup("");
        return g_strdup_printf("%" PRIu64 "/%" PRIu64, json_number(template, "pool_ready"), wanted);
}

int warmth_print(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) template = NULL;

        int r = bus_properties(ctl, path, INTERFACE_TEMPLATE, &template, f);
        if (r < 0)
                return r;
        uint64_t bytes = json_number(template, "warm_bytes"), pool = json_number(template, "pool");
        g_autofree char *size = size_format(bytes);
        g_autofree char *images =
                bytes > 0 ? g_strdup_printf(", with images of %s", size) : g_strdup("");
        g_autofree char *kept =
                pool > 0 ? g_strdup_printf(", a pool of %" PRIu64, pool) : g_strdup("");
        g_autofree char *line =
                g_strdup_printf("template '%s' is %s%s%s", json_text(template, "name"),
                                *json_text(template, "warm_phase") ? "being made warm"
                                : json_truth(template, "warm")     ? "warm"
                                                                   : "not warm",
                                images, kept);
        print_result(ctl, TAKE_PTR(template), "%s", line);
        return 0;
}

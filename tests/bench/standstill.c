/* SPDX-License-Identifier: MIT */
#include "tests/bench/standstill.h"

#include "base/quantity.h"

#include <err.h>
#include <glib.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define WAIT_USEC (10 * USEC_PER_SEC)

/* In CLOCK_REALTIME, as QEMU stamps its events. */
struct Standstill {
        GMutex lock;
        GCond changed;
        uint64_t begun_usec, stopped_usec, total_usec;
        unsigned n;
};

static void fail(const char *what)
{
        errx(1, "libvirt cannot %s: %s", what, virGetLastErrorMessage());
}

static void on_event(virConnectPtr connection, virDomainPtr domain, const char *event,
                     long long seconds, unsigned micros, const char *details, void *userdata)
{
        Standstill *s = userdata;
        uint64_t stamp = (uint64_t) seconds * USEC_PER_SEC + micros;

        (void) connection;
        (void) domain;
        (void) details;
        g_mutex_lock(&s->lock);
        if (stamp < s->begun_usec) {
                /* of something that was before */
        } else if (g_str_equal(event, "STOP")) {
                s->stopped_usec = stamp;
        } else if (s->stopped_usec > 0) {
                s->total_usec += stamp - s->stopped_usec;
                s->stopped_usec = 0;
                s->n++;
                g_cond_signal(&s->changed);
        }
        g_mutex_unlock(&s->lock);
}

static gpointer run_events(gpointer data)
{
        (void) data;
        while (virEventRunDefaultImpl() == 0)
                ;
        errx(1, "libvirt's events cannot be waited for: %s", virGetLastErrorMessage());
}

Standstill *standstill_new(const char *domain_name)
{
        static const char *const events[] = {"STOP", "RESUME"};
        Standstill *s = g_new0(Standstill, 1);
        virConnectPtr connection =
                virEventRegisterDefaultImpl() == 0 ? virConnectOpen("qemu:///system") : NULL;
        virDomainPtr domain = connection ? virDomainLookupByName(connection, domain_name) : NULL;

        if (!domain)
                fail("find the sandbox");
        for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
                if (virConnectDomainQemuMonitorEventRegister(connection, domain, events[i],
                                                             on_event, s, NULL, 0) < 0)
                        fail("tell of QEMU's events");
        g_thread_unref(g_thread_new("events", run_events, NULL));
        return s;
}

void standstill_begin(Standstill *s)
{
        g_mutex_lock(&s->lock);
        s->begun_usec = now_realtime_usec();
        s->stopped_usec = s->total_usec = s->n = 0;
        g_mutex_unlock(&s->lock);
}

double standstill_end(Standstill *s)
{
        gint64 deadline = g_get_monotonic_time() + (gint64) WAIT_USEC;

        g_mutex_lock(&s->lock);
        while (s->n == 0 || s->stopped_usec > 0)
                if (!g_cond_wait_until(&s->changed, &s->lock, deadline))
                        errx(1, "QEMU did not tell that the guest stood still and runs on");
        double msec = (double) s->total_usec / (double) USEC_PER_MSEC;
        g_mutex_unlock(&s->lock);
        return msec;
}

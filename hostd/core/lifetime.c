/* SPDX-License-Identifier: MIT */

/* How long a sandbox is kept: its time to live, and how long it may go unused. */

#include "core/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/quantity.h"

static int on_expired(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sandbox *s = userdata;
        Caller own = manager_own_caller();
        Fault f = {0};

        (void) source;
        (void) usec;
        s->ttl_timer = sd_event_source_disable_unref(s->ttl_timer);
        log_info("the time of sandbox '%s' is up", s->row->name);
        if (sandbox_destroy(s, &own, NULL, NULL, &f) < 0)
                log_error("cannot destroy sandbox '%s': %s", s->row->name, f.message);
        return 0;
}

void sandbox_arm_ttl(Sandbox *s)
{
        s->ttl_timer = sd_event_source_disable_unref(s->ttl_timer);
        if (s->row->expires_usec && !s->row->paused_usec && !s->row->held_usec)
                (void) sd_event_add_time(s->manager->event, &s->ttl_timer, CLOCK_REALTIME,
                                         s->row->expires_usec, USEC_PER_SEC, on_expired, s);
}

void sandbox_add_standstill(Sandbox *s, uint64_t since_usec, uint64_t other_since_usec)
{
        uint64_t until = other_since_usec ? other_since_usec : now_realtime_usec();

        if (s->row->expires_usec && until > since_usec)
                s->row->expires_usec += until - since_usec;
}

void sandbox_set_held(Sandbox *s, bool is_held)
{
        if (is_held == (s->row->held_usec != 0))
                return;
        if (!is_held)
                sandbox_add_standstill(s, s->row->held_usec, s->row->paused_usec);
        s->row->held_usec = is_held ? now_realtime_usec() : 0;
}

void sandbox_touch(Sandbox *s)
{
        s->used_usec = now_monotonic_usec();
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sandbox *s = userdata;
        Caller own = manager_own_caller();
        g_autofree char *limit = duration_format(s->row->idle_timeout_usec);
        Fault f = {0};

        (void) source;
        (void) usec;
        s->idle_timer = sd_event_source_disable_unref(s->idle_timer);
        if (s->commands_running > 0 || s->row->held_usec)
                sandbox_touch(s);
        if (s->commands_running > 0 || s->row->held_usec ||
            now_monotonic_usec() - s->used_usec < s->row->idle_timeout_usec) {
                sandbox_arm_idle(s);
                return 0;
        }
        log_info("sandbox '%s' was not used for %s", s->row->name, limit);
        if (sandbox_destroy(s, &own, NULL, NULL, &f) < 0)
                log_error("cannot destroy sandbox '%s': %s", s->row->name, f.message);
        return 0;
}

void sandbox_arm_idle(Sandbox *s)
{
        s->idle_timer = sd_event_source_disable_unref(s->idle_timer);
        if (!s->row->idle_timeout_usec || sandbox_is_hidden(s) ||
            (s->state != SANDBOX_READY && s->state != SANDBOX_STOPPED &&
             s->state != SANDBOX_FAILED))
                return;
        if (!s->used_usec)
                sandbox_touch(s);
        (void) sd_event_add_time(s->manager->event, &s->idle_timer, CLOCK_MONOTONIC,
                                 s->used_usec + s->row->idle_timeout_usec, USEC_PER_SEC, on_idle,
                                 s);
}

/* While it is paused, or an approval of it waits, its time stands still. */
static uint64_t sandbox_clock(const Sandbox *s, uint64_t now)
{
        if (s->row->paused_usec && s->row->held_usec)
                return MIN(s->row->paused_usec, s->row->held_usec);
        if (s->row->paused_usec || s->row->held_usec)
                return MAX(s->row->paused_usec, s->row->held_usec);
        return now;
}

int sandbox_extend_ttl(Sandbox *s, Caller *caller, uint64_t ttl_usec, Fault *f)
{
        const Config *c = s->manager->config;
        g_autofree char *path = sandbox_bus_path(s->row->id.text);
        uint64_t previous = s->row->expires_usec, now = now_realtime_usec();
        AuditEntry *entry = NULL;
        int r;

        if (ttl_usec == 0 || ttl_usec > c->ttl_max_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the time has to be more than 0 and at most ttl_max");
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "ttl_usec", json_object_new_uint64(ttl_usec));
        r = audit_begin(s->manager, caller, "sandbox.extend", path, detail, &entry, f);
        if (r < 0)
                return r;
        uint64_t from = sandbox_clock(s, now);
        s->row->expires_usec = ttl_usec >= USEC_INFINITY - from ? 0 : from + ttl_usec;
        r = sandbox_save(s, f);
        sandbox_touch(s);
        if (r < 0)
                s->row->expires_usec = previous;
        else
                sandbox_arm_ttl(s);
        (void) audit_end(entry, r, f);
        manager_changed(s->manager, OBJECT_SANDBOX, s);
        return r;
}

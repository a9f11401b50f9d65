/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/audit-trail.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <pwd.h>
#include <string.h>

static struct {
        const char *object, *sandbox, *agent, *kind, *phase, *error, *caller, *since, *until;
        uint64_t before, limit;
        bool reverse;
} arg;

const Option audit_options[AUDIT_OPTIONS] = {
        {.name = "sandbox",
         .argument = "NAME",
         .string = &arg.sandbox,
         .help = "only what is about that sandbox, by name or id, also when it is gone"},
        {.name = "agent",
         .argument = "AGENT",
         .string = &arg.agent,
         .help = "only what is about sandboxes of that agent"},
        {.name = "object",
         .argument = "OBJECT",
         .string = &arg.object,
         .help = "only of that path, name or id"},
        {.name = "kind",
         .argument = "KIND",
         .string = &arg.kind,
         .help = "like sandbox.create; or approval, for all that begin so"},
        {.name = "caller",
         .argument = "USER",
         .string = &arg.caller,
         .help = "only what that user has called, by name or uid"},
        {.name = "phase",
         .argument = "PHASE",
         .string = &arg.phase,
         .help = "begin, done, failed or refused"},
        {.name = "error",
         .argument = "ERROR",
         .string = &arg.error,
         .help = "only what failed, or was refused, with that, like AccessDenied"},
        {.name = "since",
         .argument = "TIME",
         .string = &arg.since,
         .help = "not older than that: 1h for an hour ago, or 2026-01-31 12:00:00"},
        {.name = "until", .argument = "TIME", .string = &arg.until, .help = "not newer than that"},
        {.name = "before",
         .argument = "SEQ",
         .number = &arg.before,
         .help = "only rows before that one: with --limit, the page before"},
        {.name = "limit", .argument = "N", .number = &arg.limit, .help = "only the newest N"},
        {.name = "reverse", .flag = &arg.reverse, .help = "the newest first"},
};

/* "90s" and "1h 30min" are so long ago. */
static int parse_time(Ctl *ctl, const char *option, const char *text, uint64_t *ret, Fault *f)
{
        g_autoptr(GTimeZone) here = g_time_zone_new_local();
        g_autofree char *day = g_strconcat(text, "T00:00:00", NULL);
        uint64_t ago, now = now_realtime_usec();

        if (duration_parse(text, &ago, NULL) >= 0) {
                *ret = ago < now ? now - ago : 0;
                return 0;
        }
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, here);
        if (!time)
                time = g_date_time_new_from_iso8601(day, here);
        if (!time || g_date_time_to_unix(time) < 0)
                return usage_error(ctl, f,
                                   "--%s: '%.80s' is no time: give how long ago, like 1h, or "
                                   "2026-01-31 or 2026-01-31T12:00:00",
                                   option, text);
        *ret = (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC +
               (uint64_t) g_date_time_get_microsecond(time);
        return 0;
}

static int append_time(Ctl *ctl, BusMessage *m, const char *option, const char *text, Fault *f)
{
        g_autofree char *key = g_strdup_printf("%s_usec", option);
        uint64_t usec = 0;
        int r = text ? parse_time(ctl, option, text, &usec, f) : 0;

        if (r >= 0)
                bus_option_u64(m, key, usec);
        return r;
}

static int append_caller(Ctl *ctl, BusMessage *m, Fault *f)
{
        uint64_t uid;

        if (!arg.caller)
                return 0;
        if (number_parse(arg.caller, &uid, NULL) < 0) {
                const struct passwd *user = getpwnam(arg.caller);
                if (!user)
                        return usage_error(ctl, f, "--caller: there is no user '%.80s'",
                                           arg.caller);
                uid = user->pw_uid;
        }
        (void) sd_bus_message_append(m, "{sv}", "caller_uid", "u", (uint32_t) uid);
        return 0;
}

static int append_options(Ctl *ctl, BusMessage *m, Fault *f)
{
        int r;

        bus_option_string(m, "object", arg.object);
        bus_option_string(m, "sandbox", arg.sandbox);
        bus_option_string(m, "agent", arg.agent);
        bus_option_string(m, "kind", arg.kind);
        bus_option_string(m, "phase", arg.phase);
        bus_option_string(m, "error", arg.error);
        bus_option_u64(m, "before_seq", arg.before);
        bus_option_u64(m, "limit", arg.limit);
        bus_option_bool(m, "newest_first", arg.reverse);
        r = append_time(ctl, m, "since", arg.since, f);
        if (r >= 0)
                r = append_time(ctl, m, "until", arg.until, f);
        return r < 0 ? r : append_caller(ctl, m, f);
}

static int load(Ctl *ctl, const char *sandbox, BusMessage **ret_reply, int *ret_fd, Fault *f)
{
        g_autoptr(BusMessage) m = NULL, reply = NULL;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "Audit", &m, f);
        if (r < 0)
                return r;
        bus_options_open(m);
        bus_option_string(m, "sandbox", sandbox);
        r = sandbox ? 0 : append_options(ctl, m, f);
        bus_options_close(m);
        if (r >= 0)
                r = bus_call(ctl, m, BUS_TIMEOUT_LONG_USEC, &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "h", ret_fd);
        if (r >= 0)
                *ret_reply = TAKE_PTR(reply);
        return r;
}

int audit_load(Ctl *ctl, BusMessage **ret_reply, int *ret_fd, Fault *f)
{
        return load(ctl, NULL, ret_reply, ret_fd, f);
}

int audit_load_sandbox(Ctl *ctl, const char *sandbox, BusMessage **ret_reply, int *ret_fd, Fault *f)
{
        return load(ctl, sandbox, ret_reply, ret_fd, f);
}

const char *audit_shorten(const char *object)
{
        return g_str_has_prefix(object, PATH_ROOT "/") ? object + strlen(PATH_ROOT "/") : object;
}

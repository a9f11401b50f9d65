/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/bus.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/progress.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

/* What the bus itself or systemd may answer, and what that means to a person. */
static const struct {
        const char *name;
        FaultCode code;
        const char *message; /* NULL: the error's own */
} bus_errors[] = {
        {SD_BUS_ERROR_SERVICE_UNKNOWN, FAULT_IO,
         "fluid-hostd does not run: systemctl start fluid-hostd"},
        {SD_BUS_ERROR_NAME_HAS_NO_OWNER, FAULT_IO,
         "fluid-hostd does not run: systemctl start fluid-hostd"},
        {"org.freedesktop.systemd1.NoSuchUnit", FAULT_IO,
         "fluid-hostd does not run: it is not installed as a service here"},
        {SD_BUS_ERROR_DISCONNECTED, FAULT_IO, "the connection to the bus was lost"},
        {SD_BUS_ERROR_ACCESS_DENIED, FAULT_DENIED,
         "the bus does not let you talk to fluid-hostd: be root or in the group fluid"},
        {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, FAULT_DENIED, NULL},
        {SD_BUS_ERROR_AUTH_FAILED, FAULT_DENIED, NULL},
        {SD_BUS_ERROR_UNKNOWN_OBJECT, FAULT_NOT_FOUND,
         "the object does not exist (any more), or is not yours"},
        {SD_BUS_ERROR_UNKNOWN_METHOD, FAULT_INTERNAL,
         "this fluid-hostd does not know that method: is it as new as fluidctl?"},
        {SD_BUS_ERROR_UNKNOWN_INTERFACE, FAULT_INTERNAL,
         "this fluid-hostd does not know that interface: is it as new as fluidctl?"},
        {SD_BUS_ERROR_LIMITS_EXCEEDED, FAULT_LIMITS_EXCEEDED, NULL},
        {SD_BUS_ERROR_NO_MEMORY, FAULT_NO_MEMORY, NULL},
        {SD_BUS_ERROR_INVALID_ARGS, FAULT_INVALID_ARGUMENT, NULL},
};

/* NoReply is sent for a deadline and for a daemon that died: the time tells them apart. */
static int set_no_reply(bool late, Fault *f)
{
        if (late)
                return fault_set(f, FAULT_TIMED_OUT, "fluid-hostd did not answer in time");
        return fault_set(f, FAULT_IO,
                         "fluid-hostd went away before it answered: journalctl -u fluid-hostd");
}

static int set_fault(const sd_bus_error *e, bool late, Fault *f)
{
        const char *message = e->message ? e->message : e->name;

        if (g_str_has_prefix(e->name, BUS_ERROR_PREFIX)) {
                FaultCode code = fault_from_string(e->name + strlen(BUS_ERROR_PREFIX));
                return fault_set(f, code != FAULT_NONE ? code : FAULT_INTERNAL, "%s", message);
        }
        if (g_str_equal(e->name, SD_BUS_ERROR_NO_REPLY) ||
            g_str_equal(e->name, SD_BUS_ERROR_TIMEOUT))
                return set_no_reply(late, f);
        for (size_t i = 0; i < G_N_ELEMENTS(bus_errors); i++)
                if (g_str_equal(e->name, bus_errors[i].name))
                        return fault_set(f, bus_errors[i].code, "%s",
                                         bus_errors[i].message ? bus_errors[i].message : message);
        return fault_set(f, FAULT_INTERNAL, "%s (%s)", message, e->name);
}

static int open_address(const char *address, sd_bus **ret)
{
        sd_bus *bus = NULL;

        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static int connect_bus(Ctl *ctl, Fault *f)
{
        int r;

        if (ctl->bus)
                return 0;
        if (ctl->bus_address)
                r = open_address(ctl->bus_address, &ctl->bus);
        else
                r = sd_bus_open_system(&ctl->bus);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot connect to %s",
                                       ctl->bus_address ? ctl->bus_address : "the system bus");
        return 0;
}

int bus_method(Ctl *ctl, const char *path, const char *interface, const char *member,
               BusMessage **ret, Fault *f)
{
        int r = connect_bus(ctl, f);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(ctl->bus, ret, BUS_NAME, path, interface, member);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot call %s of %s", member, path);
        (void) sd_bus_message_set_allow_interactive_authorization(*ret, true);
        return 0;
}

static int on_reply(BusMessage *reply, void *userdata, sd_bus_error *e)
{
        BusMessage **ret = userdata;

        (void) e;
        *ret = sd_bus_message_ref(reply);
        return 1;
}

/* Sleeps until the connection wants attention or the progress line does. */
static int wait_for_bus(Ctl *ctl)
{
        uint64_t now = now_monotonic_usec(), until, sleep = UINT64_MAX;
        struct timespec timeout;

        int events = sd_bus_get_events(ctl->bus);
        if (events < 0)
                return events;
        int r = sd_bus_get_timeout(ctl->bus, &until);
        if (r < 0)
                return r;
        if (r > 0 && until != UINT64_MAX)
                sleep = until > now ? until - now : 0;
        if (ctl->progress && sleep > PROGRESS_TICK_USEC)
                sleep = PROGRESS_TICK_USEC;

        struct pollfd fd = {.fd = sd_bus_get_fd(ctl->bus), .events = (short) events};
        timeout.tv_sec = (time_t) (sleep / USEC_PER_SEC);
        timeout.tv_nsec = (long) (sleep % USEC_PER_SEC) * 1000;
        r = ppoll(&fd, 1, sleep == UINT64_MAX ? NULL : &timeout, progress_mask(ctl));
        return r < 0 && errno != EINTR ? -errno : 0;
}

static int await(Ctl *ctl, BusMessage *const *reply, BusTick tick, void *userdata, Fault *f)
{
        while (!*reply) {
                if (progress_take_interrupt(ctl))
                        return fault_set(f, FAULT_CANCELLED, "interrupted");
                int r = sd_bus_process(ctl->bus, NULL);
                if (r == 0 && !*reply) {
                        r = wait_for_bus(ctl);
                        if (tick)
                                tick(userdata);
                        progress_tick(ctl);
                }
                if (r < 0 && !*reply)
                        return fault_set(f, FAULT_IO, "the connection to the bus was lost");
        }
        return 0;
}

int bus_call_with(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, BusTick tick, void *userdata,
                  BusMessage **ret_reply, Fault *f)
{
        uint64_t begun = now_monotonic_usec();
        g_autoptr(BusMessage) reply = NULL;
        sd_bus_slot *slot = NULL;

        int r = sd_bus_call_async(ctl->bus, &slot, m, on_reply, &reply, timeout_usec);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot send %s",
                                       sd_bus_message_get_member(m));
        r = await(ctl, &reply, tick, userdata, f);
        sd_bus_slot_unref(slot);
        if (r < 0)
                return r;
        if (sd_bus_message_is_method_error(reply, NULL))
                return set_fault(sd_bus_message_get_error(reply),
                                 now_monotonic_usec() - begun >= timeout_usec, f);
        if (ret_reply)
                *ret_reply = TAKE_PTR(reply);
        return 0;
}

int bus_call(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, BusMessage **ret_reply, Fault *f)
{
        return bus_call_with(ctl, m, timeout_usec, NULL, NULL, ret_reply, f);
}

int bus_request(Ctl *ctl, uint64_t timeout_usec, const char *path, const char *interface,
                const char *member, BusMessage **ret_reply, Fault *f, const char *types, ...)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, path, interface, member, &m, f);
        if (r < 0)
                return r;
        if (types) {
                va_list ap;
                va_start(ap, types);
                r = sd_bus_message_appendv(m, types, ap);
                va_end(ap);
                if (r < 0)
                        return fault_set_errno(f, FAULT_INVALID_ARGUMENT, r,
                                               "cannot pass an argument to %s", member);
        }
        return bus_call(ctl, m, timeout_usec, ret_reply, f);
}

int bus_read(BusMessage *reply, Fault *f, const char *types, ...)
{
        va_list ap;

        va_start(ap, types);
        int r = sd_bus_message_readv(reply, types, ap);
        va_end(ap);
        if (r <= 0)
                return fault_set(f, FAULT_INTERNAL,
                                 "fluid-hostd's answer has other types than '%s'", types);
        return 0;
}

int bus_call_path(Ctl *ctl, BusMessage *m, uint64_t timeout_usec, char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        const char *path;
        int r = bus_call(ctl, m, timeout_usec, &reply, f);

        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        if (r >= 0)
                *ret_path = g_strdup(path);
        return r;
}

void bus_options_open(BusMessage *m)
{
        (void) sd_bus_message_open_container(m, 'a', "{sv}");
}

void bus_options_close(BusMessage *m)
{
        (void) sd_bus_message_close_container(m);
}

void bus_option_string(BusMessage *m, const char *key, const char *value)
{
        if (value)
                (void) sd_bus_message_append(m, "{sv}", key, "s", value);
}

void bus_option_strings(BusMessage *m, const char *key, const GPtrArray *values)
{
        if (!values)
                return;
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", key);
        (void) sd_bus_message_open_container(m, 'v', "as");
        (void) sd_bus_message_open_container(m, 'a', "s");
        for (guint i = 0; i < values->len; i++)
                (void) sd_bus_message_append(m, "s", (const char *) values->pdata[i]);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
}

void bus_option_bytes(BusMessage *m, const char *key, const void *bytes, size_t size)
{
        if (!bytes)
                return;
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", key);
        (void) sd_bus_message_open_container(m, 'v', "ay");
        (void) sd_bus_message_append_array(m, 'y', bytes, size);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
}

void bus_option_u64(BusMessage *m, const char *key, uint64_t value)
{
        if (value > 0)
                (void) sd_bus_message_append(m, "{sv}", key, "t", value);
}

void bus_option_u32(BusMessage *m, const char *key, uint64_t value)
{
        if (value > 0)
                (void) sd_bus_message_append(m, "{sv}", key, "u", (uint32_t) value);
}

void bus_option_bool(BusMessage *m, const char *key, bool value)
{
        if (value)
                (void) sd_bus_message_append(m, "{sv}", key, "b", 1);
}

void bus_close(Ctl *ctl)
{
        ctl->bus = sd_bus_flush_close_unref(ctl->bus);
}

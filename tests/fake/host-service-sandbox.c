/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <string.h>
#include <unistd.h>

/* What was pushed last. */
static GString *pushed_bytes(void)
{
        static GString *bytes;

        if (!bytes)
                bytes = g_string_new(NULL);
        return bytes;
}

static int wait_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *state;
        uint64_t timeout;
        Sandbox *s = userdata;

        (void) e;
        g_assert(sd_bus_message_read(m, "st", &state, &timeout) > 0);
        if (g_str_has_prefix(s->name, "slow")) {
                g_usleep(MIN(timeout, 200 * USEC_PER_MSEC));
                return refuse(m, FAULT_TIMED_OUT, "it is still starting");
        }
        if (g_str_equal(s->state, "creating") || g_str_equal(s->state, "starting")) {
                bool fails = g_str_has_prefix(s->name, "fails");
                s->state = (char *) (fails ? "failed" : "ready");
                s->reason = (char *) (fails ? "no boot loader\x1b[2J" : "");
        }
        if (g_str_equal(state, "online") && g_str_has_prefix(s->name, "mute")) {
                g_usleep(MIN(timeout, 200 * USEC_PER_MSEC));
                return refuse(m, FAULT_TIMED_OUT, "its address does not answer");
        }
        return sd_bus_reply_method_return(m, "s", s->state);
}

static int start(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        if (!g_str_equal(s->state, "stopped"))
                return refuse(m, FAULT_WRONG_STATE, "it runs already");
        s->state = (char *) "starting";
        return sd_bus_reply_method_return(m, NULL);
}

static int stop(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        s->state = (char *) "stopped";
        return sd_bus_reply_method_return(m, NULL);
}

/* A minute ago, so that it shows what stands still. */
static int pause_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;
        char *key, *value;
        int fd;

        (void) e;
        if (!g_str_equal(s->state, "ready"))
                return refuse(m, FAULT_WRONG_STATE, "it is not ready");
        s->reason = (char *) "";
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(key, "to_disk") && g_str_equal(value, "true"))
                        s->reason = (char *) "its memory is on disk";
        s->state = (char *) "paused";
        s->paused_usec = now_realtime_usec() - 60 * USEC_PER_SEC;
        return sd_bus_reply_method_return(m, NULL);
}

static int resume(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        if (!g_str_equal(s->state, "paused"))
                return refuse(m, FAULT_WRONG_STATE, "it is not paused");
        s->state = (char *) "starting";
        s->paused_usec = 0;
        return sd_bus_reply_method_return(m, NULL);
}

static int destroy(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        s->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int extend(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;
        uint64_t ttl;

        (void) e;
        g_assert(sd_bus_message_read(m, "t", &ttl) > 0);
        s->expires_usec = now_realtime_usec() + ttl;
        return sd_bus_reply_method_return(m, NULL);
}

static int push_file(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        GString *pushed = pushed_bytes();
        char piece[4096];
        const char *path;
        ssize_t n;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "sh", &path, &fd) > 0);
        if (*path != '/')
                return refuse(m, FAULT_INVALID_ARGUMENT, "the path is not absolute");
        g_string_truncate(pushed, 0);
        while ((n = read(fd, piece, sizeof piece)) > 0)
                g_string_append_len(pushed, piece, n);
        return sd_bus_reply_method_return(m, "t", (uint64_t) pushed->len);
}

static int pull_file(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        GString *pushed = pushed_bytes();
        const char *path;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "sh", &path, &fd) > 0);
        if (g_str_equal(path, "/absent"))
                return refuse(m, FAULT_NOT_FOUND, "/absent: no such file in the guest");
        if (g_str_equal(path, "/hostile"))
                g_string_assign(pushed, HOSTILE);
        g_assert(write_all(fd, pushed->str, pushed->len) == 0);
        return sd_bus_reply_method_return(m, "t", (uint64_t) pushed->len);
}

static int append_timing(sd_bus_message *reply, const Sandbox *s)
{
        uint64_t is_boot = g_strcmp0(s->started_from, "boot") == 0;

        if (!s->started_from)
                return sd_bus_message_append(reply, "a(st)", 0);
        return sd_bus_message_append(reply, "a(st)", 7, "overlay", UINT64_C(3120), "rules",
                                     UINT64_C(0), "domain", UINT64_C(210400), "restore",
                                     is_boot ? 0 : UINT64_C(80000), "agent",
                                     is_boot ? UINT64_C(9000000) : UINT64_C(12000), "identity",
                                     is_boot ? 0 : UINT64_C(25000), "network", UINT64_C(0));
}

static int get_sandbox_property(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *e)
{
        const Sandbox *s = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "OwnerUid") || g_str_equal(property, "Vcpus"))
                return sd_bus_message_append(reply, "u", *property == 'V' ? s->vcpus : 0);
        if (g_str_equal(property, "MemoryBytes"))
                return sd_bus_message_append(reply, "t", s->memory_bytes);
        if (g_str_has_suffix(property, "USec"))
                return sd_bus_message_append(reply, "t",
                                             *property == 'E'   ? s->expires_usec
                                             : *property == 'P' ? s->paused_usec
                                             : *property == 'I' ? s->idle_timeout_usec
                                                                : UINT64_C(1700000000000000));
        if (g_str_equal(property, "Labels"))
                return sd_bus_message_append(reply, "a{ss}", 1, "all", or_empty(s->labels));
        if (g_str_equal(property, "Timing"))
                return append_timing(reply, s);
        if (g_str_equal(property, "Head"))
                return sd_bus_message_append(reply, "s", s->head ? s->head : "template");
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")       ? s->id
                                     : g_str_equal(property, "Name")   ? s->name
                                     : g_str_equal(property, "State")  ? s->state
                                     : g_str_equal(property, "Agent")  ? or_empty(s->agent)
                                     : g_str_equal(property, "Reason") ? or_empty(s->reason)
                                     : g_str_equal(property, "StartedFrom")
                                             ? or_empty(s->started_from)
                                             : "template");
}

const sd_bus_vtable sandbox_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Start", "", "", start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Stop", "b", "", stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Destroy", "", "", destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Wait", "st", "s", wait_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Exec", "asa{sv}", "o", exec, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("PullFile", "sh", "t", pull_file, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("PushFile", "sha{sv}", "t", push_file, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CreateSnapshot", "sa{sv}", "o", create_snapshot, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Restore", "s", "", restore, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Branch", "sa{sv}", "o", branch, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetNetwork", "sa{sv}", "", set_network, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ExplainNetwork", "sqs", "bs", explain_network, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListDrops", "", "a(sssqt)a(sstt)", list_drops, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetNetworkRules", "", "s", get_network_rules, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Pause", "a{sv}", "", pause_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Resume", "", "", resume, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Diff", "ssa{sv}", "h", diff, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ReadFileAt", "ssa{sv}", "h", read_file_at, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ImportPlaybook", "ha{sv}", "o", import_playbook, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ExportPlaybook", "ssa{sv}", "o", export_playbook,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ExtractAt", "ssa{sv}", "h", extract_at, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ExtendTtl", "t", "", extend, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Agent", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("OwnerUid", "u", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Template", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Head", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Network", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("NetworkState", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("NetworkReason", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("Address", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("MacAddress", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("NetworkInterface", "s", get_network_property, 0, 0),
        SD_BUS_PROPERTY("PublishedPorts", "as", get_network_property, 0, 0),
        SD_BUS_PROPERTY("NetworkCounters", "a(stt)", get_network_counters, 0,
                        SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("Vcpus", "u", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Labels", "a{ss}", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("IdleTimeoutUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("PausedUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("StartedFrom", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Timing", "a(st)", get_sandbox_property, 0, 0),
        SD_BUS_VTABLE_END,
};

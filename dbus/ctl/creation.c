/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/creation.h"

#include "base/cleanup.h"
#include "dbus/ctl/sandbox.h"

#include <string.h>

static int append_labels(Ctl *ctl, const GPtrArray *labels, BusMessage *m, Fault *f)
{
        if (!labels)
                return 0;
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", "labels");
        (void) sd_bus_message_open_container(m, 'v', "a{ss}");
        (void) sd_bus_message_open_container(m, 'a', "{ss}");
        for (guint i = 0; i < labels->len; i++) {
                const char *label = labels->pdata[i];
                const char *equals = strchr(label, '=');
                if (!equals || equals == label)
                        return usage_error(ctl, f, "--label: '%.80s' is not KEY=VALUE", label);
                g_autofree char *key = g_strndup(label, (gsize) (equals - label));
                (void) sd_bus_message_append(m, "{ss}", key, equals + 1);
        }
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        return 0;
}

static bool waits_for_address(const Creation *c)
{
        return g_strcmp0(c->wait, "ip") == 0;
}

int creation_check(Ctl *ctl, const Creation *c, Fault *f)
{
        if (!c->wait)
                return 0;
        if (!waits_for_address(c) && !g_str_equal(c->wait, "ready"))
                return usage_error(ctl, f, "--wait: '%.80s' is neither ready nor ip", c->wait);
        if (c->no_wait)
                return usage_error(ctl, f, "--wait does not go with --no-wait");
        if (waits_for_address(c) && (!c->network || g_str_equal(c->network, "none")))
                return usage_error(ctl, f, "--wait ip: it has no address without --network");
        return 0;
}

int creation_append(Ctl *ctl, const Creation *c, const char *name, BusMessage *m, Fault *f)
{
        bus_option_string(m, "name", name);
        bus_option_string(m, "agent", c->agent);
        bus_option_u64(m, "ttl_usec", c->ttl_usec);
        bus_option_u64(m, "idle_timeout_usec", c->idle_timeout_usec);
        bus_option_u64(m, "boot_timeout_usec", c->boot_timeout_usec);
        bus_option_bool(m, "boots", c->boots);
        bus_option_string(m, "network", c->network);
        bus_option_strings(m, "publish", c->publish);
        return append_labels(ctl, c->labels, m, f);
}

static void clean_up(Ctl *ctl, const Creation *c, const char *path, const char *name)
{
        Fault f = {0};

        if (c->keep_failed)
                fprintf(stderr, "fluidctl: it is kept: see 'fluidctl show %s'\n", name);
        else if (sandbox_call(ctl, path, "Destroy", &f) < 0)
                fprintf(stderr, "fluidctl: cannot destroy it: %s\n", f.message);
        else
                fputs("fluidctl: it is destroyed; --keep-failed keeps such a one\n", stderr);
}

int creation_wait(Ctl *ctl, const Creation *c, const char *path, const char *name, Fault *f)
{
        uint64_t begun = now_monotonic_usec();

        int r = sandbox_wait_for(ctl, path, name, "ready", c->wait_timeout_usec, f);
        if (r >= 0 && waits_for_address(c)) {
                r = sandbox_wait_online(ctl, path, name, c->wait_timeout_usec, begun, f);
                if (r < 0)
                        fprintf(stderr,
                                "fluidctl: '%s' is left as it is: see 'fluidctl network %s'\n",
                                name, name);
                return r;
        }
        if (r >= 0)
                return 0;
        if (f->code == FAULT_WRONG_STATE)
                clean_up(ctl, c, path, name);
        if (f->code == FAULT_CANCELLED || f->code == FAULT_TIMED_OUT)
                fprintf(stderr, "fluidctl: '%s' is left as it is: see 'fluidctl wait %s'\n", name,
                        name);
        return r;
}

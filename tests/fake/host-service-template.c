/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/quantity.h"

static int wait_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;

        (void) e;
        if (g_str_equal(t->name, "broken")) {
                t->gone = true;
                return refuse(m, FAULT_IMAGE_REFUSED, "the image has a backing file");
        }
        t->state = "ready";
        return sd_bus_reply_method_return(m, "s", t->state);
}

static int warm_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;
        char *key, *value;
        int fd;

        (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (!g_str_equal(key, "vcpus") && !g_str_equal(key, "memory_bytes"))
                        return refuse(m, FAULT_UNKNOWN_OPTION, key);
        if (g_str_equal(t->name, "tepid"))
                t->reason = "the guest agent did not answer within 2min\x1b[2J";
        else if (!t->warm)
                t->phase = "booting";
        return sd_bus_reply_method_return(m, NULL);
}

static int wait_warm(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;
        uint64_t timeout;

        (void) e;
        g_assert(sd_bus_message_read(m, "t", &timeout) > 0);
        if (t->reason)
                return refuse(m, FAULT_TIMED_OUT, t->reason);
        if (!t->phase)
                return sd_bus_reply_method_return(m, NULL);
        if (g_str_equal(t->name, "never") || timeout < USEC_PER_SEC) {
                g_usleep(MIN(timeout, 400 * USEC_PER_MSEC));
                t->phase = g_str_equal(t->phase, "booting") ? "settling"
                           : g_str_equal(t->phase, "settling") || g_str_equal(t->name, "never")
                                   ? "saving"
                                   : NULL;
        } else {
                t->phase = NULL;
        }
        if (t->phase)
                return refuse(m, FAULT_TIMED_OUT, "it is still being made");
        t->warm = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int cool_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;

        (void) e;
        t->warm = false;
        t->pool = 0;
        return sd_bus_reply_method_return(m, NULL);
}

static int set_pool(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;
        uint32_t size;

        (void) e;
        g_assert(sd_bus_message_read(m, "u", &size) > 0);
        if (size > 100)
                return refuse(m, FAULT_LIMITS_EXCEEDED, "the pool would have more memory than 8G");
        t->pool = size;
        return sd_bus_reply_method_return(m, NULL);
}

static int remove_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;

        (void) e;
        if (g_str_equal(t->name, "t"))
                return refuse(m, FAULT_IN_USE, "sandbox 'web1' stands on it");
        t->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int get_template_property(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *e)
{
        const Template *t = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Defaults"))
                return sd_bus_message_append(reply, "a{sv}", 2, "format", "s", "qcow2", "vcpus",
                                             "u", 2);
        if (g_str_equal(property, "WarmBytes"))
                return sd_bus_message_append(reply, "t", t->warm ? UINT64_C(120) << 20 : 0);
        if (g_str_has_suffix(property, "USec") || g_str_has_suffix(property, "Bytes"))
                return sd_bus_message_append(reply, "t", UINT64_C(1700000000000000));
        if (g_str_equal(property, "Warm"))
                return sd_bus_message_append(reply, "b", t->warm);
        if (g_str_has_prefix(property, "Pool"))
                return sd_bus_message_append(reply, "u",
                                             g_str_equal(property, "Pool") ? t->pool : t->pool / 2);
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")           ? t->id
                                     : g_str_equal(property, "Name")       ? t->name
                                     : g_str_equal(property, "State")      ? t->state
                                     : g_str_equal(property, "WarmPhase")  ? or_empty(t->phase)
                                     : g_str_equal(property, "WarmReason") ? or_empty(t->reason)
                                                                           : "image");
}

const sd_bus_vtable template_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Wait", "t", "s", wait_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Remove", "", "", remove_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Warm", "a{sv}", "", warm_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("WaitWarm", "t", "", wait_warm, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Cool", "", "", cool_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetPool", "u", "", set_pool, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Source", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("SizeBytes", "t", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Defaults", "a{sv}", get_template_property, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Warm", "b", get_template_property, 0, 0),
        SD_BUS_PROPERTY("WarmPhase", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("WarmReason", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("WarmBytes", "t", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Pool", "u", get_template_property, 0, 0),
        SD_BUS_PROPERTY("PoolReady", "u", get_template_property, 0, 0),
        SD_BUS_VTABLE_END,
};

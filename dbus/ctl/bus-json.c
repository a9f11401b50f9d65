/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/bus.h"

#include <string.h>

static int read_value(BusMessage *m, Json **ret);

/* "OwnerUid" to "owner_uid"; "USec" counts as one word. What is in snake case stays so. */
static char *snake_case(const char *name)
{
        GString *out = g_string_new(NULL);

        for (const char *p = name; *p; p++) {
                if (g_ascii_isupper(*p) && p != name && p[-1] != '_')
                        g_string_append_c(out, '_');
                g_string_append_c(out, g_ascii_tolower(*p));
                if (g_str_has_prefix(p, "USec")) {
                        g_string_append(out, "sec");
                        p += strlen("Sec");
                }
        }
        return g_string_free(out, FALSE);
}

static int read_basic(BusMessage *m, char type, Json **ret)
{
        union {
                const char *s;
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
        } v;

        int r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 's':
        case 'o':
        case 'g':
                *ret = json_object_new_string(v.s);
                return 0;
        case 'b':
                *ret = json_object_new_boolean(v.b);
                return 0;
        case 'y':
                *ret = json_object_new_int64(v.y);
                return 0;
        case 'n':
                *ret = json_object_new_int64(v.n);
                return 0;
        case 'q':
                *ret = json_object_new_int64(v.q);
                return 0;
        case 'i':
                *ret = json_object_new_int64(v.i);
                return 0;
        case 'u':
                *ret = json_object_new_int64(v.u);
                return 0;
        case 'x':
                *ret = json_object_new_int64(v.x);
                return 0;
        case 't':
                *ret = json_object_new_uint64(v.t);
                return 0;
        case 'd':
                *ret = json_object_new_double(v.d);
                return 0;
        default:
                return -EBADMSG;
        }
}

static int read_entry(BusMessage *m, char type, const char *contents, Json *object)
{
        g_autoptr(Json) value = NULL;
        const char *key;

        int r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        bool snake = g_str_equal(contents, "sv");
        g_autofree char *name = snake ? snake_case(key) : g_strdup(key);
        r = read_value(m, &value);
        if (r < 0)
                return r;
        (void) json_object_object_add(object, name, TAKE_PTR(value));
        return sd_bus_message_exit_container(m);
}

static int read_array(BusMessage *m, const char *contents, Json **ret)
{
        bool is_pairs = g_str_equal(contents, "(st)");
        bool is_object = is_pairs || g_str_has_prefix(contents, "{s");
        g_autoptr(Json) array = is_object ? json_object_new_object() : json_object_new_array();
        g_autofree char *entry = is_object ? g_strndup(contents + 1, strlen(contents) - 2) : NULL;

        int r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                g_autoptr(Json) value = NULL;
                if (is_object) {
                        r = read_entry(m, is_pairs ? 'r' : 'e', entry, array);
                        continue;
                }
                r = read_value(m, &value);
                if (r >= 0)
                        (void) json_object_array_add(array, TAKE_PTR(value));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return sd_bus_message_exit_container(m);
}

static int read_struct(BusMessage *m, const char *contents, Json **ret)
{
        g_autoptr(Json) array = json_object_new_array();

        int r = sd_bus_message_enter_container(m, 'r', contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                g_autoptr(Json) value = NULL;
                r = read_value(m, &value);
                if (r >= 0)
                        (void) json_object_array_add(array, TAKE_PTR(value));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return sd_bus_message_exit_container(m);
}

/* D-Bus bounds the nesting at 64 levels, and so this recursion. */
static int read_value(BusMessage *m, Json **ret)
{
        const char *contents;
        char type;

        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        if (type == 'a')
                return read_array(m, contents, ret);
        if (type == 'r')
                return read_struct(m, contents, ret);
        if (type != 'v')
                return read_basic(m, type, ret);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = read_value(m, ret);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_json(BusMessage *m, Json **ret, Fault *f)
{
        g_autoptr(Json) value = NULL;

        int r = read_value(m, &value);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot read fluid-hostd's answer");
        *ret = TAKE_PTR(value);
        return 0;
}

int bus_properties(Ctl *ctl, const char *path, const char *interface, Json **ret, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autoptr(Json) properties = NULL;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, "org.freedesktop.DBus.Properties",
                            "GetAll", &reply, f, "s", interface);
        if (r >= 0)
                r = bus_read_json(reply, &properties, f);
        if (r < 0)
                return r;
        (void) json_object_object_add(properties, "object", json_object_new_string(path));
        *ret = TAKE_PTR(properties);
        return 0;
}

int bus_property(Ctl *ctl, const char *path, const char *interface, const char *name, Json **ret,
                 Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, path, "org.freedesktop.DBus.Properties", "Get",
                            &reply, f, "ss", interface, name);
        return r < 0 ? r : bus_read_json(reply, ret, f);
}

/* One a{sa{sv}} of the ObjectManager: adds the interface's properties to the array, if it is there.
 */
static void add_object(Json *array, const char *path, Json *interfaces, const char *interface,
                       const char *sandbox)
{
        const char *owner = "";
        Json *properties;

        if (!json_find_object(interfaces, interface, &properties))
                return;
        if (sandbox &&
            (!json_find_string(properties, "sandbox", &owner) || !g_str_equal(owner, sandbox)))
                return;
        (void) json_object_object_add(properties, "object", json_object_new_string(path));
        (void) json_object_array_add(array, json_object_get(properties));
}

static int read_objects(BusMessage *m, const char *interface, const char *sandbox, Json *array)
{
        const char *path;

        int r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                g_autoptr(Json) interfaces = NULL;
                r = sd_bus_message_read_basic(m, 'o', &path);
                if (r >= 0)
                        r = read_value(m, &interfaces);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        add_object(array, path, interfaces, interface, sandbox);
        }
        return r;
}

static const char *sort_by;

static int compare(const void *a, const void *b)
{
        uint64_t x = 0, y = 0;

        (void) json_find_uint(*(Json *const *) a, sort_by, &x);
        (void) json_find_uint(*(Json *const *) b, sort_by, &y);
        return x < y ? -1 : x > y;
}

int bus_objects(Ctl *ctl, const char *interface, const char *sandbox, const char *sort_key,
                Json **ret, Fault *f)
{
        g_autoptr(Json) array = json_object_new_array();
        g_autoptr(BusMessage) reply = NULL;

        int r = bus_request(ctl, BUS_TIMEOUT_USEC, PATH_ROOT, "org.freedesktop.DBus.ObjectManager",
                            "GetManagedObjects", &reply, f, NULL);
        if (r < 0)
                return r;
        r = read_objects(reply, interface, sandbox, array);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot read fluid-hostd's answer");
        sort_by = sort_key;
        json_object_array_sort(array, compare);
        *ret = TAKE_PTR(array);
        return 0;
}

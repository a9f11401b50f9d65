/* SPDX-License-Identifier: MIT */
#include "api/options.h"

#include "api/call.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static int read_bool(sd_bus_message *m, bool *ret)
{
        int value, r = sd_bus_message_read(m, "b", &value);

        if (r >= 0)
                *ret = value != 0;
        return r;
}

static int read_bytes(sd_bus_message *m, OptionBytes *ret)
{
        return sd_bus_message_read_array(m, 'y', &ret->bytes, &ret->size);
}

static int read_strings(sd_bus_message *m, char ***ret)
{
        char **strings = NULL;
        int r = sd_bus_message_read_strv(m, &strings);

        if (r >= 0 && strings && g_strv_length(strings) > OPTION_STRINGS_MAX)
                r = -E2BIG;
        if (r < 0) {
                g_strfreev(strings);
                return r;
        }
        *ret = strings ? strings : g_new0(char *, 1);
        return 0;
}

static int read_pairs(sd_bus_message *m, char **ret)
{
        g_autoptr(Json) object = json_object_new_object();
        const char *key, *value;
        int r = sd_bus_message_enter_container(m, 'a', "{ss}");

        while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0) {
                if (json_object_object_get_ex(object, key, NULL) ||
                    json_object_object_length(object) >= OPTION_STRINGS_MAX)
                        return -EINVAL;
                (void) json_object_object_add(object, key, json_object_new_string(value));
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                *ret = g_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        return r;
}

static int read_value(sd_bus_message *m, const Option *option)
{
        if (g_str_equal(option->signature, "b"))
                return read_bool(m, option->where);
        if (g_str_equal(option->signature, "ay"))
                return read_bytes(m, option->where);
        if (g_str_equal(option->signature, "as"))
                return read_strings(m, option->where);
        if (g_str_equal(option->signature, "a{ss}"))
                return read_pairs(m, option->where);
        g_assert(strlen(option->signature) == 1 && strchr("suth", option->signature[0]));
        return sd_bus_message_read(m, option->signature, option->where);
}

static int read_variant(sd_bus_message *m, const Option *option, Fault *f)
{
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);

        if (r >= 0 && !g_str_equal(contents, option->signature))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "option '%s' is of type '%.20s' but has to be '%s'", option->key,
                                 contents, option->signature);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'v', option->signature);
        if (r >= 0)
                r = read_value(m, option);
        if (r < 0)
                return fault_set_errno(f, FAULT_INVALID_ARGUMENT, r,
                                       "the value of option '%s' cannot be used", option->key);
        return call_read_fault(sd_bus_message_exit_container(m), f);
}

static int unknown_option(const char *key, const Option *options, size_t n, Fault *f)
{
        g_autoptr(GString) known = g_string_new(NULL);

        for (size_t i = 0; i < n; i++)
                g_string_append_printf(known, "%s%s", i > 0 ? ", " : "", options[i].key);
        return fault_set(f, FAULT_UNKNOWN_OPTION, "unknown option '%.80s'; this method knows %s",
                         key, n > 0 ? known->str : "none yet");
}

static int read_entry(sd_bus_message *m, const Option *options, size_t n, uint64_t *seen, Fault *f)
{
        const char *key;
        int r = sd_bus_message_read(m, "s", &key);

        if (r < 0)
                return call_read_fault(r, f);
        for (size_t i = 0; i < n; i++) {
                if (!g_str_equal(key, options[i].key))
                        continue;
                if (*seen & UINT64_C(1) << i)
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "option '%s' is given twice",
                                         key);
                *seen |= UINT64_C(1) << i;
                return read_variant(m, &options[i], f);
        }
        return unknown_option(key, options, n, f);
}

int options_read(sd_bus_message *m, const Option *options, size_t n, Fault *f)
{
        uint64_t seen = 0;
        int r;

        g_assert(n <= 64);
        r = call_read_fault(sd_bus_message_enter_container(m, 'a', "{sv}"), f);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_entry(m, options, n, &seen, f);
                if (r < 0)
                        return r;
                r = call_read_fault(sd_bus_message_exit_container(m), f);
                if (r < 0)
                        return r;
        }
        return call_read_fault(r < 0 ? r : sd_bus_message_exit_container(m), f);
}

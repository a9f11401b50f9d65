/* SPDX-License-Identifier: MIT */
#include "base/canonical.h"

#include "base/cleanup.h"

#include <string.h>

static int write_value(GString *out, Json *value, int depth, Fault *f);

static int write_string(GString *out, const char *text, size_t length, Fault *f)
{
        static const char *const escapes = "\b\t\n\f\r", *const letters = "btnfr";

        if (strlen(text) != length || !g_utf8_validate_len(text, length, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a text has a NUL in it, or is not UTF-8");
        g_string_append_c(out, '"');
        for (const char *p = text; *p; p++) {
                const char *escape = strchr(escapes, *p);
                if (*p == '"' || *p == '\\')
                        g_string_append_printf(out, "\\%c", *p);
                else if (escape)
                        g_string_append_printf(out, "\\%c", letters[escape - escapes]);
                else if ((unsigned char) *p < 0x20)
                        g_string_append_printf(out, "\\u%04x", *p);
                else
                        g_string_append_c(out, *p);
        }
        g_string_append_c(out, '"');
        return 0;
}

static int write_array(GString *out, Json *array, int depth, Fault *f)
{
        int r = 0;

        g_string_append_c(out, '[');
        for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
                if (i > 0)
                        g_string_append_c(out, ',');
                r = write_value(out, json_object_array_get_idx(array, i), depth, f);
        }
        g_string_append_c(out, ']');
        return r;
}

static int compare(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int write_object(GString *out, Json *object, int depth, Fault *f)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        int r = 0;

        json_object_object_foreach(object, name, member)
        {
                (void) member;
                g_ptr_array_add(names, name);
        }
        g_ptr_array_sort(names, compare);
        g_string_append_c(out, '{');
        for (guint i = 0; r == 0 && i < names->len; i++) {
                const char *key = names->pdata[i];
                Json *value = json_object_object_get(object, key);
                if (i > 0)
                        g_string_append_c(out, ',');
                r = write_string(out, key, strlen(key), f);
                g_string_append_c(out, ':');
                if (r == 0)
                        r = write_value(out, value, depth, f);
        }
        g_string_append_c(out, '}');
        return r;
}

static int write_value(GString *out, Json *value, int depth, Fault *f)
{
        switch (json_object_get_type(value)) {
        case json_type_null:
                g_string_append(out, "null");
                return 0;
        case json_type_boolean:
                g_string_append(out, json_object_get_boolean(value) ? "true" : "false");
                return 0;
        case json_type_int:
                g_string_append(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
                return 0;
        case json_type_string:
                return write_string(out, json_object_get_string(value),
                                    (size_t) json_object_get_string_len(value), f);
        case json_type_double:
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a number is not a whole one");
        case json_type_array:
        case json_type_object:
                break;
        }
        if (depth == 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the JSON is deeper than %d",
                                 CANONICAL_DEPTH_MAX);
        return json_object_is_type(value, json_type_array) ? write_array(out, value, depth - 1, f)
                                                           : write_object(out, value, depth - 1, f);
}

int canonical_format(Json *value, char **ret, Fault *f)
{
        g_autoptr(GString) out = g_string_new(NULL);
        int r = write_value(out, value, CANONICAL_DEPTH_MAX, f);

        if (r == 0)
                *ret = g_string_free(TAKE_PTR(out), FALSE);
        return r;
}

int canonical_parse(const char *bytes, size_t size, Json **ret, Fault *f)
{
        g_autofree char *again = NULL;
        g_autoptr(Json) value = NULL;
        int r = json_parse(bytes, size, CANONICAL_DEPTH_MAX + 1, &value, f);

        if (r == 0)
                r = canonical_format(value, &again, f);
        if (r == 0 && (strlen(again) != size || memcmp(again, bytes, size) != 0))
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "it is JSON, but not in its canonical form: names sorted, nothing "
                              "between the parts, no needless escapes");
        if (r == 0)
                *ret = TAKE_PTR(value);
        return r;
}

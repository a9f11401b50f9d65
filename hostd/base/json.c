/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <limits.h>

/* What json-c lets pass in spite of its strict mode. */
static bool is_strict(const char *text, size_t size)
{
        bool in_string = false;

        if (!g_utf8_validate_len(text, size, NULL))
                return false;
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char) text[i];
                if (in_string && c == '\\')
                        i++;
                else if (c == '"')
                        in_string = !in_string;
                else if (in_string ? c < 0x20 : c == '\'' || c == 'N' || c == 'I')
                        return false;
                else if (!in_string && c == '.' && !(i + 1 < size && g_ascii_isdigit(text[i + 1])))
                        return false;
        }
        return true;
}

int json_parse(const char *text, size_t size, int max_depth, Json **ret, Fault *f)
{
        struct json_tokener *tokener;
        g_autoptr(Json) value = NULL;

        if (size > INT_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "JSON text is too large");
        if (!is_strict(text, size))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "not valid JSON");
        tokener = json_tokener_new_ex(max_depth);
        g_assert(tokener);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        value = json_tokener_parse_ex(tokener, text, (int) size);
        enum json_tokener_error error = json_tokener_get_error(tokener);
        size_t used = json_tokener_get_parse_end(tokener);
        /* A bare number ends only where the text does. */
        if (error == json_tokener_continue && !value) {
                value = json_tokener_parse_ex(tokener, "", 1);
                error = json_tokener_get_error(tokener);
        }
        json_tokener_free(tokener);
        while (used < size && (text[used] == ' ' || text[used] == '\n' || text[used] == '\r' ||
                               text[used] == '\t'))
                used++;
        if (error != json_tokener_success || used < size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "not valid JSON: %s",
                                 error != json_tokener_success ? json_tokener_error_desc(error)
                                                               : "something follows the value");
        *ret = g_steal_pointer(&value);
        return 0;
}

static bool find(Json *object, const char *key, enum json_type type, Json **ret)
{
        Json *member;

        if (!json_object_is_type(object, json_type_object) ||
            !json_object_object_get_ex(object, key, &member) || !json_object_is_type(member, type))
                return false;
        *ret = member;
        return true;
}

bool json_find_string(Json *object, const char *key, const char **ret)
{
        Json *member;

        if (!find(object, key, json_type_string, &member))
                return false;
        *ret = json_object_get_string(member);
        return true;
}

bool json_find_uint(Json *object, const char *key, uint64_t *ret)
{
        Json *member;

        if (!find(object, key, json_type_int, &member) || json_object_get_int64(member) < 0)
                return false;
        *ret = json_object_get_uint64(member);
        return true;
}

bool json_find_bool(Json *object, const char *key, bool *ret)
{
        Json *member;

        if (!find(object, key, json_type_boolean, &member))
                return false;
        *ret = json_object_get_boolean(member);
        return true;
}

bool json_find_object(Json *object, const char *key, Json **ret)
{
        return find(object, key, json_type_object, ret);
}

bool json_find_array(Json *object, const char *key, Json **ret)
{
        return find(object, key, json_type_array, ret);
}

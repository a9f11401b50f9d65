/* SPDX-License-Identifier: MIT */
#include "diff/json-text.h"

#include "base/escape.h"

#include <string.h>

/* Escaped text has no control characters and is UTF-8: only these two are left for JSON. */
void json_text_string(GString *out, const char *text)
{
        g_string_append_c(out, '"');
        for (const char *p = text; *p; p++) {
                if (*p == '"' || *p == '\\')
                        g_string_append_c(out, '\\');
                g_string_append_c(out, *p);
        }
        g_string_append_c(out, '"');
}

void json_text_printable(GString *out, const void *bytes, size_t size)
{
        g_autofree char *text = escape_print(bytes, size);

        json_text_string(out, text);
}

void json_text_base64(GString *out, const void *bytes, size_t size)
{
        g_autofree char *text = g_base64_encode(size > 0 ? bytes : (const void *) "", size);

        g_string_append_printf(out, "\"%s\"", text);
}

void json_text_comma(GString *out)
{
        if (out->len > 0 && !strchr("{[:,", out->str[out->len - 1]))
                g_string_append_c(out, ',');
}

void json_text_key(GString *out, const char *key)
{
        json_text_comma(out);
        g_string_append_printf(out, "\"%s\":", key);
}

void json_text_member(GString *out, const char *key, const char *text)
{
        json_text_key(out, key);
        if (text)
                json_text_printable(out, text, strlen(text));
        else
                g_string_append(out, "null");
}

void json_text_member_uint(GString *out, const char *key, uint64_t value)
{
        json_text_key(out, key);
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, value);
}

void json_text_member_bool(GString *out, const char *key, bool value)
{
        json_text_key(out, key);
        g_string_append(out, value ? "true" : "false");
}

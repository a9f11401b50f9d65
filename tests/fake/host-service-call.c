/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *or_empty(const char *text)
{
        return text ? text : "";
}

int refuse(sd_bus_message *m, FaultCode code, const char *message)
{
        g_autofree char *name = g_strconcat(BUS_ERROR_PREFIX, fault_to_string(code), NULL);

        return sd_bus_reply_method_errorf(m, name, "%s", message);
}

int reply_path(sd_bus_message *m, const char *prefix, const char *id)
{
        g_autofree char *path = g_strdup_printf("%s/%s", prefix, id);

        return sd_bus_reply_method_return(m, "o", path);
}

int reply_text(sd_bus_message *m, const char *text)
{
        autofd fd = memfd_create("document", MFD_CLOEXEC);

        g_assert(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
        g_assert(lseek(fd, 0, SEEK_SET) == 0);
        return sd_bus_reply_method_return(m, "h", fd);
}

/* One entry of a{sv}: the key, and its value as text ("" for what is no text or number). */
int next_option(sd_bus_message *m, char **ret_key, char **ret_value, int *ret_fd)
{
        const char *key, *contents, *text;
        char type;

        int r = sd_bus_message_enter_container(m, 'e', "sv");
        if (r <= 0)
                return r;
        g_assert(sd_bus_message_read(m, "s", &key) > 0);
        *ret_key = g_strdup(key);
        *ret_value = NULL;
        *ret_fd = -1;
        g_assert(sd_bus_message_peek_type(m, &type, &contents) > 0);
        g_assert(sd_bus_message_enter_container(m, 'v', contents) > 0);
        if (g_str_equal(contents, "s")) {
                g_assert(sd_bus_message_read(m, "s", &text) > 0);
                *ret_value = g_strdup(text);
        } else if (g_str_equal(contents, "t")) {
                uint64_t t;
                g_assert(sd_bus_message_read(m, "t", &t) > 0);
                *ret_value = g_strdup_printf("%" G_GUINT64_FORMAT, t);
        } else if (g_str_equal(contents, "u")) {
                uint32_t u;
                g_assert(sd_bus_message_read(m, "u", &u) > 0);
                *ret_value = g_strdup_printf("%u", u);
        } else if (g_str_equal(contents, "b")) {
                int b;
                g_assert(sd_bus_message_read(m, "b", &b) > 0);
                *ret_value = g_strdup(b ? "true" : "false");
        } else if (g_str_equal(contents, "h")) {
                g_assert(sd_bus_message_read(m, "h", ret_fd) > 0);
        } else if (g_str_equal(contents, "ay")) {
                const void *bytes;
                size_t size;
                g_assert(sd_bus_message_read_array(m, 'y', &bytes, &size) >= 0);
                *ret_value = g_strndup(bytes, size);
        } else if (g_str_equal(contents, "as")) {
                g_auto(GStrv) words = NULL;
                g_assert(sd_bus_message_read_strv(m, &words) > 0);
                *ret_value = words ? g_strjoinv(" ", words) : g_strdup("");
        } else {
                GString *out = g_string_new(NULL);
                const char *k, *v;
                g_assert(sd_bus_message_enter_container(m, 'a', "{ss}") > 0);
                while (sd_bus_message_read(m, "{ss}", &k, &v) > 0)
                        g_string_append_printf(out, "%s=%s;", k, v);
                g_assert(sd_bus_message_exit_container(m) >= 0);
                *ret_value = g_string_free(out, FALSE);
        }
        g_assert(sd_bus_message_exit_container(m) >= 0);
        g_assert(sd_bus_message_exit_container(m) >= 0);
        return 1;
}

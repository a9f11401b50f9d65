/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is in the directory $FAKE_DOCUMENTS under that name, as a file or, with "pipe-" before it,
 * as a pipe (so it has to be small); -1 where there is none. */
static int open_document(const char *name, const char *suffix)
{
        const char *directory = getenv("FAKE_DOCUMENTS");
        bool is_pipe = g_str_has_prefix(name, "pipe-");
        g_autofree char *file = g_strconcat(is_pipe ? name + 5 : name, suffix, NULL);
        g_autofree char *path = g_build_filename(directory ? directory : "/", file, NULL);
        char bytes[32768];
        int ends[2];

        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || !is_pipe)
                return fd;
        ssize_t n = read(fd, bytes, sizeof bytes);
        (void) close_fd(fd);
        g_assert(n >= 0 && pipe2(ends, O_CLOEXEC) == 0);
        g_assert(write_all(ends[1], bytes, (size_t) n) == 0);
        (void) close_fd(ends[1]);
        return ends[0];
}

/* Thirty thousand files in one directory, and one elsewhere. */
static int reply_huge(sd_bus_message *m)
{
        g_autoptr(GString) text = g_string_new("{\"from\":\"huge\",\"to\":\"now\",\"changes\":[");

        for (int i = 0; i < 30000; i++) {
                g_autofree char *path = g_strdup_printf("/usr/share/doc/\xc3\xa4/file-%05d", i);
                g_autofree char *exact = g_base64_encode((const guchar *) path, strlen(path));
                g_string_append_printf(text,
                                       "{\"path\":\"%s\",\"path_b64\":\"%s\",\"change\":"
                                       "\"added\",\"kind\":\"file\",\"new\":{\"size\":%d}},\n",
                                       path, exact, i);
        }
        g_string_append(text, "{\"path\":\"/usr/share/other\",\"change\":\"modified\",\"kind\":"
                              "\"file\",\"old\":{\"size\":1},\"new\":{\"size\":2}}]}\n");
        return reply_text(m, text->str);
}

static bool wants_contents(sd_bus_message *m)
{
        bool wants = false;
        char *key, *value;
        int fd;

        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                wants |= g_str_equal(key, "contents") && g_str_equal(value, "true");
        return wants;
}

int diff(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *from, *to;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "ss", &from, &to) > 0);
        if (g_str_equal(from, "none"))
                return reply_text(m, "{\"from\":\"x\",\"to\":\"now\",\"changes\":[]}");
        if (g_str_equal(from, "huge"))
                return reply_huge(m);
        autofd fd = open_document(from, wants_contents(m) ? ".contents.json" : ".json");
        if (fd < 0)
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        return sd_bus_reply_method_return(m, "h", fd);
}

/* The file of that base name, which may be escaped; refuses one that is larger than size_max. */
static int reply_content(sd_bus_message *m, const char *suffix)
{
        const char *path, *point;
        bool is_escaped = false;
        int64_t size_max = INT64_MAX;
        char *key, *value;
        size_t size;
        int option;

        g_assert(sd_bus_message_read(m, "ss", &path, &point) > 0);
        if (!g_str_equal(point, "now") && !g_str_equal(point, "first"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &option) > 0)
                if (g_str_equal(key, "escaped"))
                        is_escaped = g_str_equal(value, "true");
                else
                        size_max = strtoll(value, NULL, 10);
        g_autofree char *exact = is_escaped ? escape_undo(path, &size) : g_strdup(path);
        g_autofree char *name = g_path_get_basename(exact);
        autofd fd = open_document(name, suffix);
        if (fd < 0)
                return refuse(m, FAULT_NOT_FOUND, "there is no such file");
        if (size_max < lseek(fd, 0, SEEK_END))
                return refuse(m, FAULT_LIMITS_EXCEEDED, "it is larger than size_max");
        (void) lseek(fd, 0, SEEK_SET);
        return sd_bus_reply_method_return(m, "h", fd);
}

int read_file_at(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return reply_content(m, "");
}

int extract_at(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return reply_content(m, ".tar");
}

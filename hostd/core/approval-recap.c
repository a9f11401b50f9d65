/* SPDX-License-Identifier: MIT */

/* What fluid-ansible says of itself when it has run a playbook, which whoever took it over could
 * have written: nothing but text for people is made of it, and whether it had begun to change
 * anything. */

#include "core/approval-private.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <string.h>
#include <unistd.h>

#define RESULT_MAX   (4 << 20)
#define RESULT_DEPTH 4
#define OUTCOME_MAX  400

typedef struct HostEnd {
        const char *name;
        Json *counts;
        uint64_t failures;
} HostEnd;

static int compare_hosts(const void *a, const void *b)
{
        const HostEnd *x = a, *y = b;

        if (!x->failures != !y->failures)
                return x->failures ? -1 : 1;
        return strcmp(x->name, y->name);
}

static void append_host(GString *text, const HostEnd *host)
{
        static const char *const words[] = {"failed", "unreachable", "changed", "ok"};
        g_autofree char *name = escape_print(host->name, strlen(host->name));

        g_string_append_printf(text, "%s%s:", text->len ? "; " : "", name);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                uint64_t n = 0;

                if (json_find_uint(host->counts, words[i], &n) && n > 0)
                        g_string_append_printf(text, " %s=%" PRIu64, words[i], n);
        }
}

/* "web1: failed=1 ok=3; web2: ok=4", those that failed first. */
static char *format_hosts(Json *hosts)
{
        g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(HostEnd));
        g_autoptr(GString) text = g_string_new(NULL);

        json_object_object_foreach(hosts, name, counts)
        {
                uint64_t failed = 0, unreachable = 0;

                (void) json_find_uint(counts, "failed", &failed);
                (void) json_find_uint(counts, "unreachable", &unreachable);
                HostEnd host = {name, counts, failed | unreachable};
                g_array_append_val(list, host);
        }
        g_array_sort(list, compare_hosts);
        for (guint i = 0; i < list->len; i++) {
                size_t before = text->len;

                append_host(text, &g_array_index(list, HostEnd, i));
                if (text->len <= OUTCOME_MAX)
                        continue;
                g_string_truncate(text, before);
                g_string_append_printf(text, "; and %u more", list->len - i);
                break;
        }
        return g_string_free(TAKE_PTR(text), FALSE);
}

/* A line for each task. */
static char *format_changes(Json *changes)
{
        g_autoptr(GString) text = g_string_new(NULL);

        json_object_object_foreach(changes, name, number)
        {
                g_autofree char *task = escape_print(name, strlen(name));
                int64_t n = json_object_get_int64(number);

                g_string_append_printf(text, "would change: %s", task);
                if (n > 1)
                        g_string_append_printf(text, " (on %" PRId64 " hosts)", n);
                g_string_append_c(text, '\n');
        }
        return g_string_free(TAKE_PTR(text), FALSE);
}

void play_result_read(int fd, PlayResult *ret)
{
        off_t size = lseek(fd, 0, SEEK_END);
        g_autofree char *text = g_malloc0(RESULT_MAX);
        g_autoptr(Json) json = NULL;
        Json *hosts = NULL, *changes = NULL;

        *ret = (PlayResult){.hosts = g_strdup(""), .changes = g_strdup("")};
        if (size <= 0 || size > RESULT_MAX || pread_all(fd, text, (size_t) size, 0) < 0 ||
            json_parse(text, (size_t) size, RESULT_DEPTH, &json, NULL) < 0 ||
            !json_find_object(json, "hosts", &hosts))
                return;
        (void) json_find_bool(json, "check", &ret->is_check);
        g_free(ret->hosts);
        ret->hosts = format_hosts(hosts);
        if (json_find_object(json, "changes", &changes)) {
                g_free(ret->changes);
                ret->changes = format_changes(changes);
        }
}

void play_result_done(PlayResult *result)
{
        g_free(result->hosts);
        g_free(result->changes);
        *result = (PlayResult){0};
}

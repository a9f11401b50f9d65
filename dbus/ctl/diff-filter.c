/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/diff-filter.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/change.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DROPPED UINT32_MAX

typedef struct Filter {
        const char *path;
        size_t path_size;
        GArray *numbers; /* of uint32_t: what the change is called now, or DROPPED */
        uint32_t n_kept;
        FILE *out;
        char *member;      /* that is being written */
        bool any, is_open; /* a member was written; an element of this one was */
} Filter;

int diff_filter_parse_path(const char *text, char **ret, Fault *f)
{
        size_t size;
        g_autofree char *path = escape_undo(text, &size);

        if (*path != '/' || strlen(path) != size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the path '%.200s' is not absolute",
                                 text);
        while (size > 1 && path[size - 1] == '/')
                path[--size] = '\0';
        *ret = TAKE_PTR(path);
        return 0;
}

/* Whether `path` is `above` or below it. */
static bool is_within(const char *path, size_t size, const char *above, size_t above_size)
{
        if (above_size == 1)
                return true;
        return size >= above_size && memcmp(path, above, above_size) == 0 &&
               (size == above_size || path[above_size] == '/');
}

static int number_change(const Change *c, void *userdata, Fault *f)
{
        Filter *filter = userdata;
        bool kept = is_within(c->path, c->path_size, filter->path, filter->path_size);
        uint32_t number = kept ? filter->n_kept++ : DROPPED;

        (void) f;
        g_array_append_val(filter->numbers, number);
        return 0;
}

static uint32_t number_of(const Filter *filter, uint64_t index)
{
        return index < filter->numbers->len ? g_array_index(filter->numbers, uint32_t, index)
                                            : DROPPED;
}

/* -- elements ---------------------------------------------------------------------------------- */

/* Puts the numbers right; how many are left. */
static uint64_t renumber(const Filter *filter, Json *element)
{
        Json *changes, *left = json_object_new_array();

        if (json_find_array(element, "changes", &changes))
                for (size_t i = 0; i < json_object_array_length(changes); i++) {
                        Json *old = json_object_array_get_idx(changes, i);
                        uint32_t number = number_of(filter, json_object_get_uint64(old));
                        if (number != DROPPED)
                                (void) json_object_array_add(left, json_object_new_uint64(number));
                }
        uint64_t n = json_object_array_length(left);
        (void) json_object_object_add(element, "changes", left);
        return n;
}

static bool keep_by_changes(const Filter *filter, Json *element)
{
        return renumber(filter, element) > 0;
}

static bool keep_counted(const Filter *filter, Json *element, const char *key)
{
        uint64_t n = renumber(filter, element);

        (void) json_object_object_add(element, key, json_object_new_uint64(n));
        return n > 0;
}

static bool keep_package(const Filter *filter, Json *element)
{
        return keep_counted(filter, element, "files");
}

static bool keep_noise(const Filter *filter, Json *element)
{
        return keep_counted(filter, element, "count");
}

/* The exact path, or the printable one; the caller frees it. */
static char *path_of(Json *element, gsize *ret_size)
{
        const char *exact = json_text(element, "path_b64"), *path = json_text(element, "path");

        if (*exact)
                return (char *) g_base64_decode(exact, ret_size);
        *ret_size = strlen(path);
        return g_strdup(path);
}

static bool keep_by_path(const Filter *filter, Json *element)
{
        gsize size;
        g_autofree char *path = path_of(element, &size);

        return is_within(path, size, filter->path, filter->path_size);
}

static bool keep_finding(const Filter *filter, Json *element)
{
        uint64_t index;

        if (!keep_by_path(filter, element))
                return false;
        if (!json_find_uint(element, "index", &index))
                return true;
        uint32_t number = number_of(filter, index);
        if (number == DROPPED)
                json_object_object_del(element, "index");
        else
                (void) json_object_object_add(element, "index", json_object_new_uint64(number));
        return true;
}

static bool keep_account(const Filter *filter, Json *element)
{
        (void) element;
        return is_within("/etc/passwd", strlen("/etc/passwd"), filter->path, filter->path_size);
}

/* A directory that was not read may be above. */
static bool keep_not_read(const Filter *filter, Json *element)
{
        gsize size;
        g_autofree char *path = path_of(element, &size);

        return size == 0 || is_within(path, size, filter->path, filter->path_size) ||
               is_within(filter->path, filter->path_size, path, size);
}

static bool keep_none(const Filter *filter, Json *element)
{
        (void) filter, (void) element;
        return false;
}

static const struct {
        const char *member;
        bool (*keeps)(const Filter *filter, Json *element); /* and puts it right */
} rules[] = {
        {"packages", keep_package},
        {"services", keep_by_changes},
        {"service_configuration", keep_by_changes},
        {"noise", keep_noise},
        {"findings", keep_finding},
        {"users", keep_account},
        {"groups", keep_account},
        {"sudoers", keep_by_path},
        {"cron", keep_by_path},
        {"sysctl", keep_by_path},
        {"sources", keep_by_path},
        {"kernel_command_line", keep_by_path},
        {"summary", keep_none},
        {"not_read", keep_not_read},
};

/* -- writing ----------------------------------------------------------------------------------- */

static void begin_member(Filter *filter, const DocumentPart *part)
{
        if (filter->member && g_str_equal(filter->member, part->member))
                return;
        g_free(filter->member);
        filter->member = g_strdup(part->member);
        fprintf(filter->out, "%s\"%s\":%s", filter->any ? "," : "", part->member,
                part->in_array ? "[" : "");
        filter->any = true;
        filter->is_open = false;
}

static void write_element(Filter *filter, const char *text, size_t size)
{
        fputs(filter->is_open ? ",\n" : "", filter->out);
        (void) fwrite(text, 1, size, filter->out);
        filter->is_open = true;
}

static void write_summary(Filter *filter)
{
        g_autofree char *path = escape_print(filter->path, filter->path_size);
        g_autofree char *text = g_strdup_printf("%" PRIu32 " of %u changes are at or below %s",
                                                filter->n_kept, filter->numbers->len, path);
        g_autoptr(Json) json = json_object_new_string(text);
        const char *line = json_object_to_json_string_ext(json, JSON_C_TO_STRING_NOSLASHESCAPE);

        write_element(filter, line, strlen(line));
}

static int write_by_rule(Filter *filter, const DocumentPart *part,
                         bool (*keeps)(const Filter *filter, Json *element), Fault *f)
{
        g_autoptr(Json) element = NULL;

        int r = document_parse(part, &element, f);
        if (r < 0)
                return r;
        if (!keeps(filter, element))
                return 0;
        const char *text = json_object_to_json_string_ext(element, JSON_C_TO_STRING_NOSLASHESCAPE);
        write_element(filter, text, strlen(text));
        return 0;
}

static int write_part(const DocumentPart *part, void *userdata, Fault *f)
{
        Filter *filter = userdata;

        begin_member(filter, part);
        if (part->is_end) {
                if (g_str_equal(part->member, "summary"))
                        write_summary(filter);
                putc(']', filter->out);
                return 0;
        }
        if (part->in_array && g_str_equal(part->member, "changes")) {
                if (number_of(filter, part->index) != DROPPED)
                        write_element(filter, part->text, part->size);
                return 0;
        }
        for (size_t i = 0; part->in_array && i < G_N_ELEMENTS(rules); i++)
                if (g_str_equal(rules[i].member, part->member))
                        return write_by_rule(filter, part, rules[i].keeps, f);
        write_element(filter, part->text, part->size);
        return 0;
}

/* On disk where there is one, since it can be large. */
static int open_temporary(void)
{
        int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        return fd >= 0 ? fd : memfd_create("fluidctl", MFD_CLOEXEC);
}

static int write_document(Filter *filter, int from, int to, Fault *f)
{
        const DocumentReader reader = {.each = write_part, .userdata = filter};

        filter->out = fdopen(to, "w");
        if (!filter->out) {
                (void) close_fd(to);
                return fault_set_errno(f, FAULT_IO, errno, "cannot write a temporary file");
        }
        putc('{', filter->out);
        int r = document_rewind(from, f);
        if (r >= 0)
                r = document_read(from, &reader, f);
        fputs("}\n", filter->out);
        bool is_bad = ferror(filter->out);
        if ((fclose(filter->out) != 0 || is_bad) && r >= 0)
                r = fault_set_errno(f, FAULT_IO, errno, "cannot write a temporary file");
        return r;
}

int diff_filter(int fd, const char *path, int *ret_fd, Fault *f)
{
        Filter filter = {.path = path, .path_size = strlen(path)};
        autofd out = open_temporary();
        autofd writer = out < 0 ? -1 : fcntl(out, F_DUPFD_CLOEXEC, 3);

        if (writer < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a temporary file");
        filter.numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        int r = change_each(fd, NULL, number_change, &filter, f);
        if (r >= 0)
                r = write_document(&filter, fd, TAKE_FD(writer), f);
        if (r >= 0)
                r = document_rewind(out, f);
        g_array_free(filter.numbers, TRUE);
        g_free(filter.member);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(out);
        return 0;
}

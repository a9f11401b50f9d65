/* SPDX-License-Identifier: MIT */

/* A diff document that somebody else wrote becomes a playbook, or a fault: never more than YAML
 * that parses, in ASCII, without anchors, aliases or tags but !unsafe, and with names from hashes.
 */

#include "base/cleanup.h"
#include "diff/playbook.h"

#include <string.h>
#include <yaml.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Sink {
        char *name;
        GString *content;
        uint64_t size;
} Sink;

/* Every file of the guest is this. */
static const char file[] = "[Install]\nWantedBy=a.target\nroot:x:0:0\n";

static int read_nothing(void *data, bool of_new, const char *path, size_t max, char **ret,
                        size_t *ret_size, Fault *f)
{
        (void) data;
        if (max < sizeof(file) || strlen(path) % 2 == of_new)
                return fault_set(f, FAULT_NOT_FOUND, "there is no '%s'", path);
        *ret = g_strdup(file);
        *ret_size = strlen(file);
        return 0;
}

static int copy_nothing(void *data, const char *path, PlaybookTake take, void *take_data, Fault *f)
{
        (void) data, (void) path;
        return take(take_data, file, strlen(file), f);
}

static int read_no_link(void *data, const char *path, char **ret, Fault *f)
{
        (void) data;
        if (strlen(path) % 3 == 0)
                return fault_set(f, FAULT_NOT_FOUND, "there is no '%s'", path);
        *ret = g_strdup(path + strlen(path) / 2);
        return 0;
}

static int begin(void *data, const char *name, uint64_t size, Fault *f)
{
        Sink *sink = data;

        (void) f;
        sink->name = g_strdup(name);
        sink->size = size;
        g_string_truncate(sink->content, 0);
        g_assert(name[strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "/.-")] == '\0');
        g_assert(!strstr(name, ".."));
        return 0;
}

static int put(void *data, const void *bytes, size_t size, Fault *f)
{
        Sink *sink = data;

        (void) f;
        g_string_append_len(sink->content, bytes, (gssize) size);
        return 0;
}

static void check_event(const yaml_event_t *event)
{
        const char *tag = NULL;

        g_assert(event->type != YAML_ALIAS_EVENT);
        if (event->type == YAML_SCALAR_EVENT) {
                g_assert(!event->data.scalar.anchor);
                tag = (const char *) event->data.scalar.tag;
                g_assert(!tag || event->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE);
        }
        g_assert(!tag || strcmp(tag, "!unsafe") == 0);
}

static void check_yaml(const GString *text)
{
        yaml_parser_t parser;
        yaml_event_t event;
        bool done = false;

        for (size_t i = 0; i < text->len; i++)
                g_assert(text->str[i] == '\n' || g_ascii_isprint(text->str[i]));
        g_assert(yaml_parser_initialize(&parser));
        yaml_parser_set_input_string(&parser, (const unsigned char *) text->str, text->len);
        while (!done) {
                g_assert(yaml_parser_parse(&parser, &event));
                check_event(&event);
                done = event.type == YAML_STREAM_END_EVENT;
                yaml_event_delete(&event);
        }
        yaml_parser_delete(&parser);
}

static int end(void *data, Fault *f)
{
        Sink *sink = data;

        (void) f;
        g_assert(sink->content->len == sink->size);
        if (g_str_has_suffix(sink->name, ".yml"))
                check_yaml(sink->content);
        g_clear_pointer(&sink->name, g_free);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Sink state = {.content = g_string_new(NULL)};
        const PlaybookSource source = {NULL, read_nothing, copy_nothing, read_no_link};
        const PlaybookSink sink = {&state, begin, put, end};
        const PlaybookOptions options = {size % 2 == 0, size % 3 == 0};
        Fault fault = {0};

        int r = playbook_write((const char *) data, size, &source, &options, &sink, &fault);
        g_assert(r == 0 || fault.code != FAULT_INTERNAL);
        g_free(state.name);
        (void) g_string_free(state.content, TRUE);
        return 0;
}

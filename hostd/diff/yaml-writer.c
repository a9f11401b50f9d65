/* SPDX-License-Identifier: MIT */
#include "diff/yaml-writer.h"

#include "base/cleanup.h"

#include <string.h>
#include <yaml.h>

/* What ansible-lint takes for a line. */
#define LINE_MAX_SIZE 160

struct YamlWriter {
        yaml_emitter_t emitter;
        GString *out;
        bool failed;
};

static int take(void *data, unsigned char *bytes, size_t size)
{
        g_string_append_len(data, (const char *) bytes, (gssize) size);
        return 1;
}

/* `made` is what the event's initialiser returned; the emitter takes the event in any case. */
static void emit(YamlWriter *writer, yaml_event_t *event, int made)
{
        if (!made || writer->failed) {
                if (made)
                        yaml_event_delete(event);
                writer->failed = true;
                return;
        }
        writer->failed = !yaml_emitter_emit(&writer->emitter, event);
}

YamlWriter *yaml_writer_new(void)
{
        YamlWriter *writer = g_new0(YamlWriter, 1);
        yaml_event_t event;

        writer->out = g_string_new(NULL);
        writer->failed = !yaml_emitter_initialize(&writer->emitter);
        if (writer->failed)
                return writer;
        yaml_emitter_set_output(&writer->emitter, take, writer->out);
        yaml_emitter_set_unicode(&writer->emitter, 0);
        yaml_emitter_set_width(&writer->emitter, -1);
        yaml_emitter_set_indent(&writer->emitter, 2);
        emit(writer, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
        emit(writer, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0));
        return writer;
}

YamlWriter *yaml_writer_free(YamlWriter *writer)
{
        if (!writer)
                return NULL;
        yaml_emitter_delete(&writer->emitter);
        (void) g_string_free(writer->out, TRUE);
        g_free(writer);
        return NULL;
}

void yaml_writer_map(YamlWriter *writer)
{
        yaml_event_t event;

        emit(writer, &event,
             yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

void yaml_writer_end_map(YamlWriter *writer)
{
        yaml_event_t event;

        emit(writer, &event, yaml_mapping_end_event_initialize(&event));
}

void yaml_writer_list(YamlWriter *writer)
{
        yaml_event_t event;

        emit(writer, &event,
             yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                  YAML_BLOCK_SEQUENCE_STYLE));
}

void yaml_writer_end_list(YamlWriter *writer)
{
        yaml_event_t event;

        emit(writer, &event, yaml_sequence_end_event_initialize(&event));
}

static void scalar(YamlWriter *writer, const char *tag, const void *bytes, size_t size,
                   yaml_scalar_style_t style)
{
        bool is_implicit = tag == NULL;
        yaml_event_t event;

        if (size > INT_MAX) {
                writer->failed = true;
                return;
        }
        emit(writer, &event,
             yaml_scalar_event_initialize(&event, NULL, (const yaml_char_t *) tag, bytes,
                                          (int) size, is_implicit, is_implicit, style));
}

/* Words that are strings in every YAML: letters that begin none of its other types' words. */
static bool is_plain(const char *text)
{
        static const char *const others[] = {"true", "false", "yes", "no", "on",
                                             "off",  "null",  "y",   "n"};

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                if (g_ascii_strcasecmp(text, others[i]) == 0)
                        return false;
        for (const char *p = text; *p; p++)
                if (!g_ascii_isalpha(*p) &&
                    !(p > text && (g_ascii_isdigit(*p) || *p == '_' || *p == '.' || *p == '-' ||
                                   *p == '/' || (*p == ' ' && p[1]))))
                        return false;
        return *text;
}

void yaml_writer_ours(YamlWriter *writer, const char *text)
{
        scalar(writer, NULL, text, strlen(text),
               is_plain(text) ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

void yaml_writer_bool(YamlWriter *writer, bool value)
{
        const char *text = value ? "true" : "false";

        scalar(writer, NULL, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

bool yaml_writer_can_hold(const void *bytes, size_t size)
{
        return g_utf8_validate_len(bytes, size, NULL);
}

void yaml_writer_theirs(YamlWriter *writer, const void *bytes, size_t size)
{
        if (!yaml_writer_can_hold(bytes, size))
                writer->failed = true;
        else
                scalar(writer, "!unsafe", bytes, size, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* libyaml puts the dashes of a list right below its key. Every scalar is one line, so that a line
 * that ends with ':' is a key, and one with a dash after it begins that key's list. An empty line
 * goes before each item of the document's own list. */
static char *indent_lists(const char *text)
{
        GString *out = g_string_sized_new(strlen(text) + 1024);
        g_autoptr(GArray) columns = g_array_new(FALSE, FALSE, sizeof(size_t));
        unsigned n_items = 0;
        bool after_key = false;

        for (const char *line = text, *next; *line; line = next) {
                size_t column = strspn(line, " ");
                bool is_item = line[column] == '-' && line[column + 1] == ' ';
                const char *end = strchrnul(line, '\n');

                while (columns->len > 0) {
                        size_t top = g_array_index(columns, size_t, columns->len - 1);
                        if (column > top || (column == top && is_item && !after_key))
                                break;
                        g_array_set_size(columns, columns->len - 1);
                }
                if (is_item && after_key)
                        g_array_append_val(columns, column);
                for (unsigned i = 0; i < columns->len; i++)
                        g_string_append(out, "  ");
                if (is_item && column == 0 && columns->len == 0 && n_items++ > 0)
                        g_string_append_c(out, '\n');
                next = *end ? end + 1 : end;
                g_string_append_len(out, line, next - line);
                after_key = end > line && end[-1] == ':';
        }
        return g_string_free(out, FALSE);
}

/* A backslash in YAML's text begins an escape. */
static bool has_escape(const char *line, size_t size, char letter)
{
        for (size_t i = 0; i + 1 < size; i++)
                if (line[i] == '\\' && line[++i] == letter)
                        return true;
        return false;
}

static bool has_template(const char *line, size_t size)
{
        return memmem(line, size, "!unsafe", 7) &&
               (memmem(line, size, "{{", 2) || memmem(line, size, "{%", 2) ||
                memmem(line, size, "{#", 2));
}

/* Rules of ansible-lint that a name or text of the guest's breaks. */
static char *find_exceptions(const char *item)
{
        bool has_tab = false, is_long = false, is_template = false;

        for (const char *line = item, *end; *line && *line != '\n'; line = end + (*end != '\0')) {
                end = strchrnul(line, '\n');
                size_t size = (size_t) (end - line);
                has_tab |= has_escape(line, size, 't');
                is_long |= size > LINE_MAX_SIZE;
                is_template |= has_template(line, size);
        }
        return g_strconcat(has_tab ? " no-tabs" : "", is_long ? " yaml[line-length]" : "",
                           is_template ? " jinja" : "", NULL);
}

/* Behind the first line of each item of the document's own list. */
static char *note_exceptions(const char *text)
{
        GString *out = g_string_sized_new(strlen(text) + 1024);

        for (const char *line = text, *next; *line; line = next) {
                const char *end = strchrnul(line, '\n');

                next = *end ? end + 1 : end;
                g_string_append_len(out, line, next - line);
                if (line[0] != '-' || line[1] != ' ')
                        continue;
                g_autofree char *rules = find_exceptions(line);
                if (*rules)
                        g_string_append_printf(out, "  # noqa:%s\n", rules);
        }
        return g_string_free(out, FALSE);
}

int yaml_writer_end(YamlWriter *writer, char **ret, Fault *f)
{
        yaml_event_t event;

        emit(writer, &event, yaml_document_end_event_initialize(&event, 1));
        emit(writer, &event, yaml_stream_end_event_initialize(&event));
        if (writer->failed)
                return writer->emitter.error == YAML_MEMORY_ERROR
                               ? fault_set(f, FAULT_NO_MEMORY, "no memory to write YAML")
                               : fault_set(f, FAULT_INTERNAL, "YAML could not be written: %s",
                                           writer->emitter.problem ? writer->emitter.problem
                                                                   : "not UTF-8");
        g_autofree char *text = indent_lists(writer->out->str);
        *ret = note_exceptions(text);
        return 0;
}

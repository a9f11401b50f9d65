/* SPDX-License-Identifier: MIT */
#include "diff/playbook-task.h"

#include "base/cleanup.h"

#include <string.h>

#define NAME_MAX_SIZE 120

typedef enum ValueKind { VALUE_OURS, VALUE_THEIRS, VALUE_BOOL } ValueKind;

/* Values with the same key, one after the other, are a list. */
typedef struct Value {
        const char *key;
        ValueKind kind;
        bool is_of_list;
        bool flag;
        const char *word;
        GBytes *bytes;
} Value;

struct Task {
        char *name;
        const char *module;
        GArray *arguments; /* of Value */
        GArray *variables; /* of Value */
        GPtrArray *notify; /* of char * */
        const char *when, *variable, *tag;
};

static void clear_value(gpointer data)
{
        Value *value = data;

        g_clear_pointer(&value->bytes, g_bytes_unref);
}

static GArray *values_new(void)
{
        GArray *values = g_array_new(FALSE, FALSE, sizeof(Value));

        g_array_set_clear_func(values, clear_value);
        return values;
}

Task *task_new(const char *name, const char *module)
{
        Task *task = g_new0(Task, 1);

        task->name = g_strdup(name);
        task->module = module;
        task->arguments = values_new();
        task->variables = values_new();
        task->notify = g_ptr_array_new_with_free_func(g_free);
        return task;
}

Task *task_free(Task *task)
{
        if (!task)
                return NULL;
        g_free(task->name);
        g_array_unref(task->arguments);
        g_array_unref(task->variables);
        g_ptr_array_unref(task->notify);
        g_free(task);
        return NULL;
}

const char *task_get_name(const Task *task)
{
        return task->name;
}

static void add(GArray *values, Value value)
{
        g_array_append_val(values, value);
}

void task_ours(Task *task, const char *key, const char *word)
{
        add(task->arguments, (Value){.key = key, .kind = VALUE_OURS, .word = word});
}

void task_plain(Task *task, const char *key, const char *text)
{
        GBytes *bytes = g_bytes_new(text, strlen(text) + 1);

        g_assert(strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-") == strlen(text));
        add(task->arguments, (Value){.key = key,
                                     .kind = VALUE_OURS,
                                     .word = g_bytes_get_data(bytes, NULL),
                                     .bytes = bytes});
}

void task_bool(Task *task, const char *key, bool value)
{
        add(task->arguments, (Value){.key = key, .kind = VALUE_BOOL, .flag = value});
}

void task_theirs_sized(Task *task, const char *key, const void *bytes, size_t size)
{
        add(task->arguments,
            (Value){.key = key, .kind = VALUE_THEIRS, .bytes = g_bytes_new(bytes, size)});
}

void task_theirs(Task *task, const char *key, const char *text)
{
        task_theirs_sized(task, key, text, strlen(text));
}

void task_list_ours(Task *task, const char *key, const char *word)
{
        add(task->arguments,
            (Value){.key = key, .kind = VALUE_OURS, .is_of_list = true, .word = word});
}

void task_list_theirs(Task *task, const char *key, const char *text)
{
        add(task->arguments, (Value){.key = key,
                                     .kind = VALUE_THEIRS,
                                     .is_of_list = true,
                                     .bytes = g_bytes_new(text, strlen(text))});
}

void task_when(Task *task, const char *condition)
{
        task->when = condition;
}

void task_variable(Task *task, const char *name, const char *theirs)
{
        add(task->variables, (Value){.key = name,
                                     .kind = VALUE_THEIRS,
                                     .bytes = g_bytes_new(theirs, strlen(theirs))});
}

void task_register(Task *task, const char *variable)
{
        task->variable = variable;
}

void task_tag(Task *task, const char *tag)
{
        task->tag = tag;
}

void task_notify(Task *task, const char *handler)
{
        if (!g_ptr_array_find_with_equal_func(task->notify, handler, g_str_equal, NULL))
                g_ptr_array_add(task->notify, g_strdup(handler));
}

void task_collect_notified(const Task *task, GHashTable *names)
{
        for (unsigned i = 0; i < task->notify->len; i++)
                (void) g_hash_table_add(names, task->notify->pdata[i]);
}

static void write_value(YamlWriter *writer, const Value *value)
{
        const void *bytes;
        size_t size;

        switch (value->kind) {
        case VALUE_OURS:
                yaml_writer_ours(writer, value->word);
                break;
        case VALUE_BOOL:
                yaml_writer_bool(writer, value->flag);
                break;
        case VALUE_THEIRS:
                bytes = g_bytes_get_data(value->bytes, &size);
                yaml_writer_theirs(writer, bytes ? bytes : "", size);
                break;
        }
}

static void write_values(YamlWriter *writer, const GArray *values)
{
        yaml_writer_map(writer);
        for (unsigned i = 0; i < values->len; i++) {
                const Value *value = &g_array_index(values, Value, i);

                yaml_writer_ours(writer, value->key);
                if (!value->is_of_list) {
                        write_value(writer, value);
                        continue;
                }
                yaml_writer_list(writer);
                write_value(writer, value);
                for (; i + 1 < values->len; i++) {
                        const Value *next = &g_array_index(values, Value, i + 1);
                        if (!next->is_of_list || strcmp(next->key, value->key) != 0)
                                break;
                        write_value(writer, next);
                }
                yaml_writer_end_list(writer);
        }
        yaml_writer_end_map(writer);
}

static void write_word(YamlWriter *writer, const char *key, const char *word)
{
        if (!word)
                return;
        yaml_writer_ours(writer, key);
        yaml_writer_ours(writer, word);
}

static void write_notify(YamlWriter *writer, const GPtrArray *notify)
{
        if (notify->len == 0)
                return;
        yaml_writer_ours(writer, "notify");
        yaml_writer_list(writer);
        for (unsigned i = 0; i < notify->len; i++)
                yaml_writer_ours(writer, notify->pdata[i]);
        yaml_writer_end_list(writer);
}

void task_write(const Task *task, YamlWriter *writer)
{
        yaml_writer_map(writer);
        yaml_writer_ours(writer, "name");
        yaml_writer_ours(writer, task->name);
        yaml_writer_ours(writer, task->module);
        if (task->arguments->len > 0)
                write_values(writer, task->arguments);
        else
                yaml_writer_ours(writer, "");
        write_word(writer, "register", task->variable);
        write_word(writer, "when", task->when);
        if (task->variables->len > 0) {
                yaml_writer_ours(writer, "vars");
                write_values(writer, task->variables);
        }
        write_notify(writer, task->notify);
        if (task->tag) {
                yaml_writer_ours(writer, "tags");
                yaml_writer_list(writer);
                yaml_writer_ours(writer, task->tag);
                yaml_writer_end_list(writer);
        }
        yaml_writer_end_map(writer);
}

char *task_name(const char *what, const void *bytes, size_t size)
{
        static const char harmless[] = "._/@+:,=~- ";
        GString *name = g_string_new(what);
        const unsigned char *p = bytes;

        g_string_append_c(name, ' ');
        for (size_t i = 0; i < size; i++) {
                if (name->len >= NAME_MAX_SIZE) {
                        g_string_append(name, "...");
                        break;
                }
                if (g_ascii_isalnum(p[i]) || (p[i] != '\0' && strchr(harmless, p[i])))
                        g_string_append_c(name, (char) p[i]);
                else
                        g_string_append_printf(name, "\\x%02x", p[i]);
        }
        return g_string_free(name, FALSE);
}

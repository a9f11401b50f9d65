/* SPDX-License-Identifier: MIT */
#include "diff/playbook-plan.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <string.h>

#define ACCOUNTS_SIZE_MAX (1u << 20)

static void free_task(gpointer task)
{
        (void) task_free(task);
}

static void free_left_out(gpointer data)
{
        LeftOut *left_out = data;

        g_free(left_out->name);
        g_free(left_out->rule);
        g_free(left_out->reason);
        g_free(left_out);
}

Plan *plan_free(Plan *plan)
{
        if (!plan)
                return NULL;
        for (unsigned i = 0; i < _TASKS_MAX; i++)
                g_ptr_array_unref(plan->tasks[i]);
        g_ptr_array_unref(plan->handlers);
        g_ptr_array_unref(plan->package_files);
        g_ptr_array_unref(plan->debs);
        g_ptr_array_unref(plan->rpms);
        g_ptr_array_unref(plan->left_out);
        g_ptr_array_unref(plan->contents);
        g_ptr_array_unref(plan->secrets);
        g_ptr_array_unref(plan->setuid);
        g_hash_table_unref(plan->sums);
        g_hash_table_unref(plan->users);
        g_hash_table_unref(plan->groups);
        g_hash_table_unref(plan->user_names);
        g_hash_table_unref(plan->source_files);
        g_hash_table_unref(plan->explained);
        g_hash_table_unref(plan->shipped);
        g_free(plan->groups_text);
        g_free(plan);
        return NULL;
}

/* "NAME:x:ID:…" of passwd(5) and group(5): the first of each number counts. What begins with a
 * digit would be taken for a number. */
static void read_names(const char *text, GHashTable *ids, GHashTable *names)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++) {
                g_auto(GStrv) fields = g_strsplit(*line, ":", 4);
                guint64 id;

                if (g_strv_length(fields) < 4 ||
                    !g_ascii_string_to_unsigned(fields[2], 10, 0, UINT32_MAX - 1, &id, NULL) ||
                    !is_word(fields[0], "._-", 64) || g_ascii_isdigit(fields[0][0]))
                        continue;
                if (!g_hash_table_contains(ids, GUINT_TO_POINTER((guint) id)))
                        (void) g_hash_table_insert(ids, GUINT_TO_POINTER((guint) id),
                                                   g_strdup(fields[0]));
                if (names)
                        (void) g_hash_table_add(names, g_strdup(fields[0]));
        }
}

/* Without the file there are no names, and numbers are used. */
static int read_accounts(Plan *plan, Fault *f)
{
        g_autofree char *users = NULL;
        size_t size;
        Fault ignored = {0};

        int r = plan->source->read(plan->source->data, true, "/etc/passwd", ACCOUNTS_SIZE_MAX,
                                   &users, &size, &ignored);
        if (r == 0)
                read_names(users, plan->users, plan->user_names);
        fault_clear(&ignored);
        r = plan->source->read(plan->source->data, true, "/etc/group", ACCOUNTS_SIZE_MAX,
                               &plan->groups_text, &size, &ignored);
        if (r == 0)
                read_names(plan->groups_text, plan->groups, NULL);
        (void) f;
        return 0;
}

int plan_new(const PlaybookDocument *document, const PlaybookSource *source,
             const PlaybookOptions *options, Plan **ret, Fault *f)
{
        g_autoptr(Plan) plan = g_new0(Plan, 1);

        plan->document = document;
        plan->source = source;
        plan->options = *options;
        for (unsigned i = 0; i < _TASKS_MAX; i++)
                plan->tasks[i] = g_ptr_array_new_with_free_func(free_task);
        plan->handlers = g_ptr_array_new_with_free_func(free_task);
        plan->package_files = g_ptr_array_new();
        plan->debs = g_ptr_array_new_with_free_func(g_free);
        plan->rpms = g_ptr_array_new_with_free_func(g_free);
        plan->left_out = g_ptr_array_new_with_free_func(free_left_out);
        plan->contents = g_ptr_array_new();
        plan->secrets = g_ptr_array_new();
        plan->setuid = g_ptr_array_new();
        plan->sums = g_hash_table_new(g_str_hash, g_str_equal);
        plan->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        plan->groups = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        plan->user_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        plan->source_files = g_hash_table_new(NULL, NULL);
        plan->explained = g_hash_table_new(NULL, NULL);
        plan->shipped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        int r = read_accounts(plan, f);
        if (r < 0)
                return r;
        plan_packages(plan);
        plan_accounts(plan);
        plan_services(plan);
        r = plan_files(plan, f);
        plan_alternatives(plan);
        if (r < 0)
                return r;
        plan_services_done(plan);
        plan_leave_out_named(plan, "all", "modification times", "times", "they are not set");
        plan_leave_out_named(plan, "all", "hard links", "links",
                             "each name becomes a file of its own");
        *ret = TAKE_PTR(plan);
        return 0;
}

Task *plan_add(Plan *plan, TaskFile file, Task *task)
{
        g_ptr_array_add(plan->tasks[file], task);
        return task;
}

Task *plan_add_handler(Plan *plan, const char *name, const char *module)
{
        for (unsigned i = 0; i < plan->handlers->len; i++)
                if (strcmp(task_get_name(plan->handlers->pdata[i]), name) == 0)
                        return NULL;
        Task *handler = task_new(name, module);
        g_ptr_array_add(plan->handlers, handler);
        return handler;
}

static void leave_out(Plan *plan, LeftOut left_out, const char *reason, const char *rule)
{
        left_out.rule = escape_print(rule, strlen(rule));
        left_out.reason = escape_print(reason, strlen(reason));
        g_ptr_array_add(plan->left_out, g_memdup2(&left_out, sizeof(left_out)));
}

void plan_leave_out(Plan *plan, const FileChange *change, const char *rule, const char *reason)
{
        leave_out(plan, (LeftOut){.what = "file", .change = change}, reason, rule);
}

void plan_leave_out_named(Plan *plan, const char *what, const char *name, const char *rule,
                          const char *reason)
{
        leave_out(plan, (LeftOut){.what = what, .name = escape_print(name, strlen(name))}, reason,
                  rule);
}

static char *name_of(GHashTable *names, uint32_t id)
{
        const char *name = g_hash_table_lookup(names, GUINT_TO_POINTER(id));

        return name ? g_strdup(name) : g_strdup_printf("%u", id);
}

char *plan_user(const Plan *plan, uint32_t uid)
{
        return name_of(plan->users, uid);
}

char *plan_group(const Plan *plan, uint32_t gid)
{
        return name_of(plan->groups, gid);
}

bool plan_can_say(const char *path)
{
        if (!yaml_writer_can_hold(path, strlen(path)))
                return false;
        for (const char *p = path; (p = strchr(p, '$')); p++)
                if (g_ascii_isalnum(p[1]) || p[1] == '_' || p[1] == '{')
                        return false;
        return true;
}

bool is_word(const char *text, const char *others, size_t max)
{
        if (!g_ascii_isalnum(text[0]) && text[0] != '_')
                return false;
        for (const char *p = text; *p; p++)
                if ((size_t) (p - text) >= max || (!g_ascii_isalnum(*p) && !strchr(others, *p)))
                        return false;
        return true;
}

bool is_within(const char *path, const char *directory)
{
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

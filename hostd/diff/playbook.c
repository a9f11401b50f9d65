/* SPDX-License-Identifier: MIT */
#include "diff/playbook.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "diff/playbook-left-out.h"
#include "diff/playbook-plan.h"

#include <string.h>

#define ROLE "roles/change/"

static const struct {
        const char *file, *purpose;
} task_files[_TASKS_MAX] = {
#define X(id, name, purpose) [TASKS_##id] = {name, purpose},
        TASK_FILES(X)
#undef X
};

static int put_text(const PlaybookSink *sink, const char *name, const char *text, Fault *f)
{
        size_t size = strlen(text);
        int r = sink->begin(sink->data, name, size, f);

        if (r == 0)
                r = sink->write(sink->data, text, size, f);
        return r < 0 ? r : sink->end(sink->data, f);
}

static int put_yaml(const PlaybookSink *sink, const char *name, YamlWriter *writer, Fault *f)
{
        g_autofree char *text = NULL;

        int r = yaml_writer_end(writer, &text, f);
        return r < 0 ? r : put_text(sink, name, text, f);
}

static void pair(YamlWriter *writer, const char *key, const char *value)
{
        yaml_writer_ours(writer, key);
        yaml_writer_ours(writer, value);
}

static int put_play(const PlaybookSink *sink, Fault *f)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();

        yaml_writer_list(writer);
        yaml_writer_map(writer);
        pair(writer, "name", "Apply the change");
        pair(writer, "hosts", "all");
        yaml_writer_ours(writer, "become");
        yaml_writer_bool(writer, true);
        yaml_writer_ours(writer, "gather_facts");
        yaml_writer_bool(writer, false);
        yaml_writer_ours(writer, "roles");
        yaml_writer_list(writer);
        yaml_writer_map(writer);
        pair(writer, "role", "change");
        yaml_writer_end_map(writer);
        yaml_writer_end_list(writer);
        yaml_writer_end_map(writer);
        yaml_writer_end_list(writer);
        return put_yaml(sink, "playbook.yml", writer, f);
}

/* New lists are read before packages are installed from them. */
static void write_flush(YamlWriter *writer)
{
        yaml_writer_map(writer);
        pair(writer, "name", "Read new package lists now");
        pair(writer, "ansible.builtin.meta", "flush_handlers");
        yaml_writer_end_map(writer);
}

static int put_tasks(const Plan *plan, TaskFile file, const PlaybookSink *sink, Fault *f)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();
        g_autofree char *name = g_strconcat(ROLE "tasks/", task_files[file].file, NULL);
        const GPtrArray *tasks = plan->tasks[file];

        yaml_writer_list(writer);
        for (unsigned i = 0; i < tasks->len; i++)
                task_write(tasks->pdata[i], writer);
        if (file == TASKS_SOURCES && plan->has_sources)
                write_flush(writer);
        yaml_writer_end_list(writer);
        return put_yaml(sink, name, writer, f);
}

static int put_all_tasks(const Plan *plan, const PlaybookSink *sink, Fault *f)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();
        int r = 0;

        yaml_writer_list(writer);
        for (unsigned i = 0; i < _TASKS_MAX; i++) {
                if (plan->tasks[i]->len == 0)
                        continue;
                yaml_writer_map(writer);
                pair(writer, "name", task_files[i].purpose);
                pair(writer, "ansible.builtin.import_tasks", task_files[i].file);
                yaml_writer_end_map(writer);
        }
        yaml_writer_end_list(writer);
        r = put_yaml(sink, ROLE "tasks/main.yml", writer, f);
        for (unsigned i = 0; r == 0 && i < _TASKS_MAX; i++)
                if (plan->tasks[i]->len > 0)
                        r = put_tasks(plan, (TaskFile) i, sink, f);
        return r;
}

/* Handlers run in this order: what services read comes before they are restarted. */
static int put_handlers(const Plan *plan, const PlaybookSink *sink, Fault *f)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();
        g_autoptr(GHashTable) notified = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < _TASKS_MAX; i++)
                for (unsigned k = 0; k < plan->tasks[i]->len; k++)
                        task_collect_notified(plan->tasks[i]->pdata[k], notified);
        if (g_hash_table_size(notified) == 0)
                return 0;
        yaml_writer_list(writer);
        for (unsigned restarts = 0; restarts < 2; restarts++)
                for (unsigned i = 0; i < plan->handlers->len; i++) {
                        const char *name = task_get_name(plan->handlers->pdata[i]);
                        if (g_hash_table_contains(notified, name) &&
                            g_str_has_prefix(name, "Restart ") == (restarts == 1))
                                task_write(plan->handlers->pdata[i], writer);
                }
        yaml_writer_end_list(writer);
        return put_yaml(sink, ROLE "handlers/main.yml", writer, f);
}

static void write_list(YamlWriter *writer, const char *key, const GPtrArray *items)
{
        if (items->len == 0)
                return;
        yaml_writer_ours(writer, key);
        yaml_writer_list(writer);
        for (unsigned i = 0; i < items->len; i++)
                yaml_writer_theirs(writer, items->pdata[i], strlen(items->pdata[i]));
        yaml_writer_end_list(writer);
}

static int put_defaults(const Plan *plan, const PlaybookSink *sink, Fault *f)
{
        g_autoptr(YamlWriter) writer = yaml_writer_new();

        if (plan->debs->len == 0 && plan->rpms->len == 0)
                return 0;
        yaml_writer_map(writer);
        write_list(writer, "change_packages", plan->debs);
        if (plan->debs->len > 0) {
                yaml_writer_ours(writer, "change_update_cache");
                yaml_writer_bool(writer, !plan->has_sources);
        }
        write_list(writer, "change_rpm_packages", plan->rpms);
        yaml_writer_end_map(writer);
        return put_yaml(sink, ROLE "defaults/main.yml", writer, f);
}

/* What is copied into a content must be what the document says of it. */
typedef struct Copy {
        const PlaybookSink *sink;
        GChecksum *checksum;
        uint64_t left;
} Copy;

static int take_piece(void *data, const void *bytes, size_t size, Fault *f)
{
        Copy *copy = data;

        if (size > copy->left)
                return fault_set(f, FAULT_DIFF_FAILED, "a file is larger than the diff says");
        copy->left -= size;
        g_checksum_update(copy->checksum, bytes, (gssize) size);
        return copy->sink->write(copy->sink->data, bytes, size, f);
}

static int put_content(const Plan *plan, const FileChange *change, const PlaybookSink *sink,
                       Fault *f)
{
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        g_autofree char *name = g_strconcat(ROLE "files/", change->new.sha256, NULL);
        Copy copy = {sink, checksum, change->new.size};

        int r = sink->begin(sink->data, name, change->new.size, f);
        if (r == 0)
                r = plan->source->copy(plan->source->data, change->path, take_piece, &copy, f);
        if (r < 0)
                return r;
        if (copy.left > 0 || strcmp(g_checksum_get_string(checksum), change->new.sha256) != 0)
                return fault_set(f, FAULT_DIFF_FAILED, "'%s' is not what the diff says it is",
                                 change->path);
        return sink->end(sink->data, f);
}

static int put_readme(const Plan *plan, const PlaybookSink *sink, Fault *f)
{
        g_autofree char *from = escape_print(plan->document->from, strlen(plan->document->from));
        g_autofree char *to = escape_print(plan->document->to, strlen(plan->document->to));
        g_autofree char *text = g_strdup_printf(
                "# A change, as a playbook\n"
                "\n"
                "It was derived from what differs between two points of a machine's disk:\n"
                "\n"
                "    from  %s\n"
                "    to    %s\n"
                "\n"
                "It does to the hosts of an inventory what was done between them:\n"
                "\n"
                "    ansible-playbook --inventory INVENTORY --check --diff playbook.yml\n"
                "    ansible-playbook --inventory INVENTORY playbook.yml\n"
                "\n"
                "A second run changes nothing. It needs ansible-core 2.14 or later and no collection; on\n"
                "the hosts Python and, where it installs packages, python3-apt or dnf's Python modules. It\n"
                "becomes root; set `ansible_become: false` where it is root already.\n"
                "\n"
                "`roles/change/defaults/main.yml`, where it is there, has what may be set otherwise:\n"
                "\n"
                "    change_packages      packages with their versions (apt)\n"
                "    change_update_cache  whether the lists of all package sources are read first\n"
                "    change_rpm_packages  packages with their versions (dnf)\n"
                "\n"
                "Values that come from the machine are marked `!unsafe`: Ansible takes them as they are.\n"
                "Contents are in `roles/change/files`, named by their SHA-256. `LEFT-OUT.md` says what is\n"
                "not reproduced, and why.\n",
                from, to);

        return put_text(sink, "README.md", text, f);
}

static int put_left_out(const Plan *plan, const PlaybookSink *sink, Fault *f)
{
        g_autofree char *json = left_out_to_json(plan), *markdown = left_out_to_markdown(plan);

        int r = put_text(sink, "LEFT-OUT.md", markdown, f);
        return r < 0 ? r : put_text(sink, "left-out.json", json, f);
}

int playbook_write(const char *document, size_t size, const PlaybookSource *source,
                   const PlaybookOptions *options, const PlaybookSink *sink, Fault *f)
{
        g_autoptr(PlaybookDocument) parsed = NULL;
        g_autoptr(Plan) plan = NULL;

        int r = playbook_document_parse(document, size, &parsed, f);
        if (r == 0)
                r = plan_new(parsed, source, options, &plan, f);
        if (r == 0)
                r = put_readme(plan, sink, f);
        if (r == 0)
                r = put_left_out(plan, sink, f);
        if (r == 0)
                r = put_play(sink, f);
        if (r == 0)
                r = put_all_tasks(plan, sink, f);
        if (r == 0)
                r = put_handlers(plan, sink, f);
        if (r == 0)
                r = put_defaults(plan, sink, f);
        for (unsigned i = 0; r == 0 && i < plan->contents->len; i++)
                r = put_content(plan, plan->contents->pdata[i], sink, f);
        return r;
}

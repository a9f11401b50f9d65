/* SPDX-License-Identifier: MIT */

/* Alternatives that somebody has chosen. Where the link was what it is before, no change tells of
 * it; but packages that are installed for the first time switch one over that nobody chose. */

#include "base/cleanup.h"
#include "diff/playbook-plan.h"

#include <string.h>

#define CHOICES     "/var/lib/dpkg/alternatives/"
#define LINKS       "/etc/alternatives/"
#define CHOICE_SIZE (256u << 10)
#define NAME_LENGTH 128

/* Paths below LINKS that the document has: tasks of files make those. */
static GHashTable *changed_links(const Plan *plan)
{
        GHashTable *paths = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < plan->document->changes->len; i++) {
                FileChange *change = plan->document->changes->pdata[i];
                if (g_str_has_prefix(change->path, LINKS))
                        (void) g_hash_table_add(paths, change->path);
        }
        return paths;
}

static void keep_link(Plan *plan, GHashTable *changed, const char *name)
{
        g_autofree char *path = g_strconcat(LINKS, name, NULL), *target = NULL, *title = NULL;

        if (!is_word(name, "+-._", NAME_LENGTH) || g_hash_table_contains(changed, path) ||
            plan->source->read_link(plan->source->data, path, &target, NULL) < 0 ||
            !plan_can_say(target) || target[0] == '~')
                return;
        title = task_name("Keep the alternative", name, strlen(name));
        Task *task = plan_add(plan, TASKS_FILES, task_new(title, "ansible.builtin.file"));
        task_theirs(task, "path", path);
        task_theirs(task, "src", target);
        task_ours(task, "state", "link");
        task_bool(task, "force", true);
        task_bool(task, "follow", false);
}

/* update-alternatives(1): "manual", the link; then names and links that go with it, to an empty
 * line. */
static void keep_choice(Plan *plan, GHashTable *changed, const FileChange *change)
{
        g_autofree char *text = NULL;
        size_t size;

        if (plan->source->read(plan->source->data, true, change->path, CHOICE_SIZE, &text, &size,
                               NULL) < 0 ||
            !g_str_has_prefix(text, "manual\n"))
                return;
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        keep_link(plan, changed, change->path + strlen(CHOICES));
        for (unsigned i = 2; i < g_strv_length(lines) && *lines[i]; i += 2)
                keep_link(plan, changed, lines[i]);
}

void plan_alternatives(Plan *plan)
{
        g_autoptr(GHashTable) changed = changed_links(plan);

        for (unsigned i = 0; i < plan->document->changes->len; i++) {
                const FileChange *change = plan->document->changes->pdata[i];
                if (g_str_has_prefix(change->path, CHOICES) && change->new.exists &&
                    change->new.kind == KIND_FILE && change->change != CHANGE_METADATA)
                        keep_choice(plan, changed, change);
        }
}

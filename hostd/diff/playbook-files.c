/* SPDX-License-Identifier: MIT */

/* Files, directories and links: what each change of a path becomes, or why it is left out. */

#include "base/cleanup.h"
#include "diff/playbook-left-out.h"
#include "diff/playbook-line-edit.h"
#include "diff/playbook-plan.h"

#include <string.h>

#define EDIT_SIZE_MAX (256u << 10)
#define SET_ID_BITS   06000
/* Of a name; Ansible's modules write to one that is 20 bytes longer, and rename that. */
#define COPIED_NAME_MAX 235

static const char in_the_way[] = "change_in_the_way";
static const char vault[] = "$ANSIBLE_VAULT";

/* Before packages are installed only root is sure to be there. */
static void set_owner(const Plan *plan, const FileChange *change, Task *task)
{
        bool by_name = !plan_is_source(plan, change);
        g_autofree char *user = NULL, *group = NULL;

        user = by_name || change->new.uid == 0 ? plan_user(plan, change->new.uid)
                                               : g_strdup_printf("%u", change->new.uid);
        group = by_name || change->new.gid == 0 ? plan_group(plan, change->new.gid)
                                                : g_strdup_printf("%u", change->new.gid);
        task_theirs(task, "owner", user);
        task_theirs(task, "group", group);
}

/* Octal, as a string. */
static void set_mode(const FileChange *change, Task *task)
{
        g_autofree char *mode = g_strdup_printf("%04o", change->new.mode);

        task_plain(task, "mode", mode);
}

static Task *new_task(const char *what, const FileChange *change, const char *module)
{
        g_autofree char *name = task_name(what, change->path, strlen(change->path));

        return task_new(name, module);
}

static TaskFile tasks_of(const Plan *plan, const FileChange *change)
{
        return plan_is_source(plan, change) ? TASKS_SOURCES : TASKS_FILES;
}

/* A directory cannot be replaced by what is none, nor the other way round; and what is copied to a
 * link to a directory would be put in there. */
static void clear_the_way(Plan *plan, const FileChange *change)
{
        TaskFile file = tasks_of(plan, change);
        const char *condition;
        Task *task;

        if (change->change != CHANGE_TYPE ||
            (change->old.kind != KIND_DIRECTORY && change->new.kind == KIND_SYMLINK))
                return;
        condition = change->new.kind == KIND_FILE
                            ? "change_in_the_way.stat.exists and not change_in_the_way.stat.isreg"
                    : change->new.kind == KIND_DIRECTORY
                            ? "change_in_the_way.stat.exists and not change_in_the_way.stat.isdir"
                            : "change_in_the_way.stat.exists and not change_in_the_way.stat.islnk";
        task = plan_add(plan, file, new_task("Look at", change, "ansible.builtin.stat"));
        task_theirs(task, "path", change->path);
        task_bool(task, "follow", false);
        task_register(task, in_the_way);
        task = plan_add(plan, file, new_task("Clear the way for", change, "ansible.builtin.file"));
        task_theirs(task, "path", change->path);
        task_ours(task, "state", "absent");
        task_when(task, condition);
}

static void make_directory_task(Plan *plan, const FileChange *change)
{
        Task *task;

        clear_the_way(plan, change);
        task = plan_add(plan, tasks_of(plan, change),
                        new_task(change->change == CHANGE_METADATA ? "Set owner and mode of"
                                                                   : "Make the directory",
                                 change, "ansible.builtin.file"));
        task_theirs(task, "path", change->path);
        task_ours(task, "state", "directory");
        set_owner(plan, change, task);
        set_mode(change, task);
        task_bool(task, "follow", false);
        plan_notify(plan, change, task);
}

static void link_task(Plan *plan, const FileChange *change)
{
        Task *task;

        clear_the_way(plan, change);
        task = plan_add(plan, tasks_of(plan, change),
                        new_task("Link", change, "ansible.builtin.file"));
        task_theirs(task, "path", change->path);
        task_theirs(task, "src", change->new.target);
        task_ours(task, "state", "link");
        set_owner(plan, change, task);
        /* What it points to need not be there, and what is there is replaced. */
        task_bool(task, "force", true);
        task_bool(task, "follow", false);
        plan_notify(plan, change, task);
}

static void attributes_task(Plan *plan, const FileChange *change)
{
        Task *task = plan_add(plan, tasks_of(plan, change),
                              new_task("Set owner and mode of", change, "ansible.builtin.file"));

        task_theirs(task, "path", change->path);
        task_ours(task, "state", "file");
        set_owner(plan, change, task);
        set_mode(change, task);
        task_bool(task, "follow", false);
        plan_notify(plan, change, task);
}

static int take_start(void *data, const void *bytes, size_t size, Fault *f)
{
        GByteArray *start = data;

        g_byte_array_append(start, bytes, (guint) MIN(size, sizeof(vault) - 1 - start->len));
        return start->len < sizeof(vault) - 1 ? 0 : fault_set(f, FAULT_CANCELLED, "it is enough");
}

/* What begins like that Ansible wants to decrypt, even if it is a mere file to copy. */
static bool is_like_vault(const Plan *plan, const FileChange *change)
{
        g_autoptr(GByteArray) start = g_byte_array_new();
        Fault ignored = {0};

        (void) plan->source->copy(plan->source->data, change->path, take_start, start, &ignored);
        fault_clear(&ignored);
        return start->len == sizeof(vault) - 1 && memcmp(start->data, vault, start->len) == 0;
}

static void copy_task(Plan *plan, FileChange *change)
{
        Task *task;

        clear_the_way(plan, change);
        task = plan_add(plan, tasks_of(plan, change),
                        new_task("Copy", change, "ansible.builtin.copy"));
        task_plain(task, "src", change->new.sha256);
        task_theirs(task, "dest", change->path);
        set_owner(plan, change, task);
        set_mode(change, task);
        task_bool(task, "follow", false);
        if (is_like_vault(plan, change))
                task_bool(task, "decrypt", false);
        plan_notify(plan, change, task);
        if (!g_hash_table_contains(plan->sums, change->new.sha256)) {
                (void) g_hash_table_insert(plan->sums, change->new.sha256, change);
                g_ptr_array_add(plan->contents, change);
        }
}

static void edit_task(Plan *plan, const FileChange *change, const LineEdit *edit, bool has_owner)
{
        static const char *const names[] = {
                [LINE_REPLACED] = "Change a line of",
                [LINE_ADDED] = "Add a line to",
                [LINE_REMOVED] = "Remove a line from",
        };
        g_autofree char *pattern = edit->old ? line_edit_pattern(edit->old) : NULL;
        Task *task = plan_add(plan, TASKS_FILES,
                              new_task(names[edit->kind], change, "ansible.builtin.lineinfile"));

        task_theirs(task, "path", change->path);
        switch (edit->kind) {
        case LINE_REPLACED:
                task_theirs(task, "regexp", pattern);
                task_theirs(task, "line", edit->line);
                break;
        case LINE_ADDED:
                task_theirs(task, "line", edit->line);
                if (pattern)
                        task_theirs(task, "insertafter", pattern);
                else
                        task_ours(task, "insertbefore", "BOF");
                break;
        case LINE_REMOVED:
                task_theirs(task, "regexp", pattern);
                task_ours(task, "state", "absent");
                break;
        }
        if (has_owner) {
                set_owner(plan, change, task);
                set_mode(change, task);
        }
        plan_notify(plan, change, task);
}

/* A package's configuration file that somebody changed a little: false where it has to be copied.
 */
static bool try_edits(Plan *plan, const FileChange *change)
{
        const PlaybookSource *source = plan->source;
        g_autofree char *old = NULL, *new = NULL;
        g_autoptr(GPtrArray) edits = NULL;
        size_t old_size, new_size;
        bool has_owner = change->old.mode != change->new.mode ||
                         change->old.uid != change->new.uid || change->old.gid != change->new.gid;

        if (!change->is_conffile || change->change != CHANGE_MODIFIED ||
            change->old.size > EDIT_SIZE_MAX || change->new.size > EDIT_SIZE_MAX)
                return false;
        if (source->read(source->data, false, change->path, EDIT_SIZE_MAX, &old, &old_size, NULL) <
                    0 ||
            source->read(source->data, true, change->path, EDIT_SIZE_MAX, &new, &new_size, NULL) <
                    0)
                return false;
        edits = line_edits_find(old, old_size, new, new_size);
        for (unsigned i = 0; edits && i < edits->len; i++)
                edit_task(plan, change, edits->pdata[i], has_owner);
        return edits != NULL;
}

static void remove_task(Plan *plan, const FileChange *change)
{
        Task *task =
                plan_add(plan, TASKS_REMOVE, new_task("Remove", change, "ansible.builtin.file"));

        task_theirs(task, "path", change->path);
        task_ours(task, "state", "absent");
        plan_notify(plan, change, task);
}

static bool has_attributes_changed(const FileChange *change)
{
        return change->old.mode != change->new.mode || change->old.uid != change->new.uid ||
               change->old.gid != change->new.gid;
}

/* Whether there is something to do: more than another time. A link of update-alternatives that is
 * what it was was made again: by somebody who took back what a package made of it. */
static bool has_changed(const FileChange *change)
{
        return change->change != CHANGE_METADATA || has_attributes_changed(change) ||
               (change->new.kind == KIND_SYMLINK &&is_within(change->path, "/etc/alternatives"));
}

/* Access control lists, capabilities, security labels: core has no module for them. */
static void note_xattrs(Plan *plan, const FileChange *change)
{
        if (change->new.exists && change->new.xattrs)
                plan_leave_out(plan, change, "extended-attributes",
                               "extended attributes, capabilities and access control lists are not "
                               "set");
}

/* False where it is held back until somebody allows it. */
static bool is_allowed(Plan *plan, const FileChange *change)
{
        if (change->new.kind != KIND_FILE)
                return true;
        if ((change->new.mode &SET_ID_BITS) && !plan->options.allow_setuid) {
                g_ptr_array_add(plan->setuid, change->path);
                return false;
        }
        if (change->is_secret && change->change != CHANGE_METADATA &&
            !plan->options.allow_secrets) {
                g_ptr_array_add(plan->secrets, change->path);
                return false;
        }
        return true;
}

static void put_file(Plan *plan, FileChange *change)
{
        if (change->change == CHANGE_METADATA)
                attributes_task(plan, change);
        else if (!try_edits(plan, change))
                copy_task(plan, change);
}

static void put(Plan *plan, FileChange *change)
{
        switch (change->new.kind) {
        case KIND_FILE:
                put_file(plan, change);
                break;
        case KIND_DIRECTORY:
                make_directory_task(plan, change);
                break;
        case KIND_SYMLINK:
                link_task(plan, change);
                break;
        case KIND_CHAR:
        case KIND_BLOCK:
        case KIND_FIFO:
        case KIND_SOCKET:
                break;
        }
}

/* dpkg does not know with which mode and owner it has installed a file: what is not the usual one
 * is said, whoever it comes from. What runs as somebody else is the package's own affair. */
static bool has_unusual_attributes(const FileChange *change)
{
        FileKind kind = change->new.kind;
        uint32_t mode = change->new.mode;

        if (!change->new.exists || (kind != KIND_FILE && kind != KIND_DIRECTORY) ||
            (mode & SET_ID_BITS))
                return false;
        if (change->change != CHANGE_ADDED)
                return has_attributes_changed(change);
        return change->new.uid != 0 || change->new.gid != 0 ||
               (mode != 0755 && (kind == KIND_DIRECTORY || mode != 0644));
}

/* Whether a task of another kind brings the change. */
static bool is_of_others(Plan *plan, const FileChange *change)
{
        if (g_hash_table_contains(plan->explained, change))
                return true;
        if (change->package == NO_INDEX || !plan_is_as_shipped(plan, change))
                return false;
        if (has_unusual_attributes(change) && plan_can_say(change->path)) {
                if (change->new.kind == KIND_DIRECTORY)
                        make_directory_task(plan, change);
                else
                        attributes_task(plan, change);
        }
        return true;
}

static bool is_copied(const FileChange *change)
{
        return change->new.exists && change->new.kind == KIND_FILE &&
               change->change != CHANGE_METADATA;
}

static void plan_file(Plan *plan, FileChange *change, const char **removed)
{
        const char *rule, *reason;

        if (!has_changed(change) && !change->new.xattrs)
                return;
        if (left_out_reason(plan, change, &rule, &reason)) {
                plan_leave_out(plan, change, rule, reason);
                return;
        }
        if (is_of_others(plan, change))
                return;
        /* With a directory goes all that is in it. */
        if (change->change == CHANGE_REMOVED && *removed && is_within(change->path, *removed))
                return;
        if (!plan_can_say(change->path) ||
            (change->new.target &&
             (!plan_can_say(change->new.target) || change->new.target[0] == '~'))) {
                plan_leave_out(plan, change, "name",
                               "its name, or what it links to, is not UTF-8 or holds a $ that "
                               "Ansible's modules would expand");
                return;
        }
        if (is_copied(change) && strlen(strrchr(change->path, '/') + 1) > COPIED_NAME_MAX) {
                plan_leave_out(plan, change, "name",
                               "its name is too long for Ansible's modules to write it");
                return;
        }
        if (is_copied(change) && !*change->new.sha256) {
                plan_leave_out(plan, change, "size", "it is too large for its content to be read");
                return;
        }
        if (change->change == CHANGE_REMOVED ||
            (change->change == CHANGE_TYPE && change->old.kind == KIND_DIRECTORY))
                *removed = change->path;
        if (change->change == CHANGE_REMOVED) {
                remove_task(plan, change);
        } else if (is_allowed(plan, change)) {
                note_xattrs(plan, change);
                if (has_changed(change))
                        put(plan, change);
        }
}

static int refuse(const GPtrArray *paths, const char *what, const char *flag, Fault *f)
{
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < paths->len && i < 5; i++)
                g_string_append_printf(text, "%s%.60s", i > 0 ? ", " : "",
                                       (const char *) paths->pdata[i]);
        if (paths->len > 5)
                g_string_append(text, ", …");
        return fault_set(f, FAULT_DENIED, "%u of the files are %s: %s; %s puts them in", paths->len,
                         what, text->str, flag);
}

/* By kind: directories first, then what may link to what, by path. */
int plan_files(Plan *plan, Fault *f)
{
        static const FileKind order[] = {KIND_DIRECTORY, KIND_FILE, KIND_SYMLINK, KIND_CHAR,
                                         KIND_BLOCK,     KIND_FIFO, KIND_SOCKET};
        const GPtrArray *changes = plan->document->changes;
        const char *removed = NULL;

        for (unsigned i = 0; i < changes->len; i++) {
                FileChange *change = changes->pdata[i];
                if (change->change == CHANGE_REMOVED ||
                    (change->change == CHANGE_TYPE && change->old.kind == KIND_DIRECTORY &&
                     change->new.kind != KIND_DIRECTORY))
                        plan_file(plan, change, &removed);
        }
        for (size_t k = 0; k < G_N_ELEMENTS(order); k++)
                for (unsigned i = 0; i < changes->len; i++) {
                        FileChange *change = changes->pdata[i];
                        bool is_done = change->change == CHANGE_REMOVED ||
                                       (change->change == CHANGE_TYPE &&
                                        change->old.kind == KIND_DIRECTORY &&
                                        change->new.kind != KIND_DIRECTORY);
                        if (!is_done && change->new.kind == order[k])
                                plan_file(plan, change, &removed);
                }
        if (plan->secrets->len > 0)
                return refuse(plan->secrets, "secrets", "--allow-secrets", f);
        if (plan->setuid->len > 0)
                return refuse(plan->setuid, "set-uid or set-gid programs", "--allow-setuid", f);
        return 0;
}

/* SPDX-License-Identifier: MIT */

/* Units of systemd, and what has to be done when a file changed that a program reads once. */

#include "base/cleanup.h"
#include "diff/playbook-plan.h"

#include <fnmatch.h>
#include <string.h>

#define UNIT_NAME_MAX 255
#define UNIT_SIZE_MAX (256u << 10)

/* The condition reaches the unit's name through a variable: it is the guest's. */
static const char is_known[] =
        "(ansible_facts.services | default({}))[change_unit].status | default('not-found') != 'not-found'";
static const char is_running[] =
        "(ansible_facts.services | default({}))[change_unit].state | default('') == 'running'";

/* fnmatch(3) without FNM_PATHNAME. A word that is NULL ends the program's arguments. */
static const struct {
        const char *pattern, *name;
        const char *argv[5];
} handlers[] = {
        {"/etc/sysctl.d/*", "Load kernel settings", {"sysctl", "--ignore", "--system"}},
        {"/etc/sysctl.conf", "Load kernel settings", {"sysctl", "--ignore", "--system"}},
        {"/etc/udev/rules.d/*", "Load device rules", {"udevadm", "control", "--reload"}},
        {"/usr/local/share/ca-certificates/*", "Collect certificates", {"update-ca-certificates"}},
        {"/etc/ca-certificates.conf", "Collect certificates", {"update-ca-certificates"}},
        {"/etc/locale.gen", "Make locales", {"locale-gen"}},
        {"/etc/ld.so.conf", "Find libraries", {"ldconfig"}},
        {"/etc/ld.so.conf.d/*", "Find libraries", {"ldconfig"}},
        {"/usr/local/lib/*.so*", "Find libraries", {"ldconfig"}},
        {"/etc/default/grub", "Write the boot menu", {"update-grub"}},
        {"/etc/default/grub.d/*", "Write the boot menu", {"update-grub"}},
        {"/etc/initramfs-tools/*", "Write the initial file system", {"update-initramfs", "-u"}},
        {"/etc/aliases", "Read mail aliases", {"newaliases"}},
};

static const char reload_name[] = "Load units";

static bool is_unit_name(const char *name)
{
        static const char *const types[] = {".service", ".socket", ".timer", ".path",
                                            ".mount",   ".target", ".slice", ".automount"};
        bool has_type = false;

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                has_type |= g_str_has_suffix(name, types[i]);
        return has_type && is_word(name, ":_.@-", UNIT_NAME_MAX);
}

static bool is_template(const char *name)
{
        const char *at = strchr(name, '@');

        return at && at[1] == '.';
}

static bool can_restart(const char *name)
{
        return !is_template(name) && !g_str_has_suffix(name, ".target") &&
               !g_str_has_suffix(name, ".slice");
}

static Json *find_service(const Plan *plan, const char *name)
{
        Json *services = plan->document->services;

        for (size_t i = 0; i < json_object_array_length(services); i++) {
                Json *service = json_object_array_get_idx(services, i);
                if (playbook_member_is(service, "name", name) &&
                    playbook_member_is(service, "scope", "system"))
                        return service;
        }
        return NULL;
}

static bool is_enabled(Json *service)
{
        bool enabled = false;

        return service && json_find_bool(service, "enabled_new", &enabled) && enabled;
}

/* What is enabled is started; what is not is restarted only where it runs. NULL where it cannot be.
 * g_free() it. */
static char *restart_handler(Plan *plan, const char *unit)
{
        g_autofree char *name = task_name("Restart", unit, strlen(unit));
        Json *service = find_service(plan, unit);
        Task *handler;

        if (!is_unit_name(unit) || !can_restart(unit) ||
            (service && (playbook_member_is(service, "change", "removed") ||
                         playbook_member_is(service, "state_new", "masked"))))
                return NULL;
        if (!is_enabled(service) && !g_str_has_suffix(unit, ".service"))
                return NULL;
        handler = plan_add_handler(plan, name, "ansible.builtin.systemd_service");
        if (!handler)
                return TAKE_PTR(name);
        task_theirs(handler, "name", unit);
        task_ours(handler, "state", "restarted");
        if (!is_enabled(service)) {
                task_when(handler, is_running);
                task_variable(handler, "change_unit", unit);
                plan->has_restarts = true;
        }
        return TAKE_PTR(name);
}

static bool is_unit_file(const char *path)
{
        static const char *const directories[] = {"/etc/systemd/system", "/usr/lib/systemd/system",
                                                  "/lib/systemd/system",
                                                  "/usr/local/lib/systemd/system"};

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                if (is_within(path, directories[i]))
                        return true;
        return false;
}

static void notify_program(Plan *plan, size_t i, Task *task)
{
        Task *handler = plan_add_handler(plan, handlers[i].name, "ansible.builtin.command");

        for (size_t k = 0; handler && handlers[i].argv[k]; k++)
                task_list_ours(handler, "argv", handlers[i].argv[k]);
        task_notify(task, handlers[i].name);
}

void plan_notify(Plan *plan, const FileChange *change, Task *task)
{
        if (is_within(change->path, "/etc/apt/sources.list.d") ||
            strcmp(change->path, "/etc/apt/sources.list") == 0) {
                g_autofree char *name =
                        task_name("Read the package lists of", change->path, strlen(change->path));
                for (unsigned i = 0; i < plan->handlers->len; i++)
                        if (strcmp(task_get_name(plan->handlers->pdata[i]), name) == 0)
                                task_notify(task, name);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(handlers); i++)
                if (fnmatch(handlers[i].pattern, change->path, 0) == 0)
                        notify_program(plan, i, task);
        if (is_unit_file(change->path))
                task_notify(task, reload_name);
        /* What apt reads it reads each time. */
        for (unsigned i = 0;
             change->units && !plan_is_source(plan, change) && i < change->units->len; i++) {
                g_autofree char *name = restart_handler(plan, change->units->pdata[i]);
                if (name)
                        task_notify(task, name);
        }
}

/* The words of WantedBy=, RequiredBy= and Alias= in [Install]. */
static bool unit_says(const char *text, const char *key, const char *word)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        bool is_install = false;

        for (char **line = lines; *line; line++) {
                const char *trimmed = g_strstrip(*line);

                if (trimmed[0] == '[')
                        is_install = strcmp(trimmed, "[Install]") == 0;
                if (!is_install || !g_str_has_prefix(trimmed, key))
                        continue;
                const char *value = trimmed + strlen(key);
                value += strspn(value, " \t");
                if (*value != '=')
                        continue;
                g_auto(GStrv) words = g_strsplit_set(value + 1, " \t", -1);
                if (g_strv_contains((const char *const *) words, word))
                        return true;
        }
        return false;
}

static char *read_unit(const Plan *plan, bool of_new, const char *name)
{
        static const char *const directories[] = {"/etc/systemd/system/", "/lib/systemd/system/",
                                                  "/usr/lib/systemd/system/"};
        char *text;
        size_t size;

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *path = g_strconcat(directories[i], name, NULL);
                if (plan->source->read(plan->source->data, of_new, path, UNIT_SIZE_MAX, &text,
                                       &size, NULL) == 0)
                        return text;
        }
        return NULL;
}

/* Whether `systemctl enable` makes this link, or `disable` removes it: what the unit says. */
static bool is_link_of_unit(const FileChange *change, const char *name, const char *text)
{
        static const char *const suffixes[] = {".wants/", ".requires/"};
        static const char *const keys[] = {"WantedBy", "RequiredBy"};
        const char directory[] = "/etc/systemd/system/";
        const char *rest;

        if (!g_str_has_prefix(change->path, directory))
                return false;
        rest = change->path + strlen(directory);
        if (!strchr(rest, '/'))
                return strcmp(rest, name) != 0 && unit_says(text, "Alias", rest);
        for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
                const char *at = strstr(rest, suffixes[i]);

                if (!at || strcmp(at + strlen(suffixes[i]), name) != 0)
                        continue;
                g_autofree char *target = g_strndup(rest, (gsize) (at - rest));
                return unit_says(text, keys[i], target);
        }
        return false;
}

/* What enables or disables the unit need not be said twice: its links. False where there are none.
 */
static bool explain_links(Plan *plan, const char *name, bool added, bool of_new)
{
        const GPtrArray *changes = plan->document->changes;
        g_autofree char *text = read_unit(plan, of_new, name);
        bool any = false;

        for (unsigned i = 0; text && i < changes->len; i++) {
                FileChange *change = changes->pdata[i];
                const FileSide *side = added ? &change->new : &change->old;

                if (change->change != (added ? CHANGE_ADDED : CHANGE_REMOVED) ||
                    side->kind != KIND_SYMLINK || !g_str_has_suffix(side->target, name) ||
                    !is_link_of_unit(change, name, text))
                        continue;
                (void) g_hash_table_add(plan->explained, change);
                any = true;
        }
        return any;
}

/* As systemctl makes the directories of its links. */
static bool is_directory_of_links(const FileChange *change, const FileSide *side)
{
        return is_within(change->path, "/etc/systemd/system") && side->kind == KIND_DIRECTORY &&
               (g_str_has_suffix(change->path, ".wants") ||
                g_str_has_suffix(change->path, ".requires")) &&
               side->mode == 0755 && side->uid == 0 && side->gid == 0 && !side->xattrs;
}

/* A directory that comes or goes with nothing but such links need not be said either. */
static void explain_directories(Plan *plan)
{
        const GPtrArray *changes = plan->document->changes;

        for (unsigned i = 0; i < changes->len; i++) {
                FileChange *change = changes->pdata[i];
                unsigned links = 0, others = 0;

                if (!((change->change == CHANGE_ADDED &&
                       is_directory_of_links(change, &change->new)) ||
                      (change->change == CHANGE_REMOVED &&
                       is_directory_of_links(change, &change->old))))
                        continue;
                for (unsigned k = 0; k < changes->len; k++) {
                        FileChange *below = changes->pdata[k];
                        if (below == change || !is_within(below->path, change->path))
                                continue;
                        if (g_hash_table_contains(plan->explained, below))
                                links++;
                        else
                                others++;
                }
                if (links > 0 && others == 0)
                        (void) g_hash_table_add(plan->explained, change);
        }
}

static bool is_mask(const FileSide *side)
{
        return side->exists && side->kind == KIND_SYMLINK && strcmp(side->target, "/dev/null") == 0;
}

static void explain_mask(Plan *plan, const char *name, bool masked)
{
        g_autofree char *path = g_strconcat("/etc/systemd/system/", name, NULL);
        FileChange *change = playbook_document_find(plan->document, path);

        if (change && change->change == (masked ? CHANGE_ADDED : CHANGE_REMOVED) &&
            is_mask(masked ? &change->new : &change->old))
                (void) g_hash_table_add(plan->explained, change);
}

static Task *service_task(Plan *plan, TaskFile file, const char *what, const char *unit)
{
        g_autofree char *name = task_name(what, unit, strlen(unit));
        Task *task = plan_add(plan, file, task_new(name, "ansible.builtin.systemd_service"));

        task_theirs(task, "name", unit);
        return task;
}

static void ask_facts(Plan *plan, TaskFile file)
{
        if (plan->has_facts)
                return;
        plan->has_facts = true;
        (void) plan_add(plan, file,
                        task_new("Ask which services there are", "ansible.builtin.service_facts"));
}

static void stop_removed(Plan *plan, const char *unit)
{
        Task *task;

        if (!g_str_has_suffix(unit, ".service") || is_template(unit))
                return;
        ask_facts(plan, TASKS_STOP);
        task = service_task(plan, TASKS_STOP, "Stop", unit);
        task_ours(task, "state", "stopped");
        /* Whoever removes a unit need not have disabled it: its links dangle then. */
        if (explain_links(plan, unit, false, false))
                task_bool(task, "enabled", false);
        task_when(task, is_known);
        task_variable(task, "change_unit", unit);
}

static void enable(Plan *plan, const char *unit)
{
        Task *task = service_task(plan, TASKS_SERVICES, "Enable", unit);
        g_autofree char *handler = restart_handler(plan, unit);

        task_bool(task, "enabled", true);
        task_bool(task, "daemon_reload", true);
        if (handler)
                task_notify(task, handler);
        (void) explain_links(plan, unit, true, true);
}

/* A package enables its units when it is installed. */
static bool is_of_new_package(const Plan *plan, Json *service)
{
        Json *indices;

        if (!playbook_member_is(service, "change", "added") ||
            !json_find_array(service, "changes", &indices))
                return false;
        for (size_t i = 0; i < json_object_array_length(indices); i++) {
                uint64_t index = json_object_get_uint64(json_object_array_get_idx(indices, i));
                const FileChange *change = index < plan->document->changes->len
                                                   ? plan->document->changes->pdata[index]
                                                   : NULL;
                if (change && change->change == CHANGE_ADDED && change->package != NO_INDEX)
                        return true;
        }
        return false;
}

static void take_service(Plan *plan, Json *service)
{
        g_autofree char *name = playbook_member(service, "name");
        bool was_enabled = false, mask = playbook_member_is(service, "state_new", "masked");

        /* Those of users are enabled by links, which are files as any other. */
        if (!playbook_member_is(service, "scope", "system"))
                return;
        if (!name || !is_unit_name(name)) {
                plan_leave_out_named(plan, "service", name ? name : "?", "services",
                                     "its name is not one that systemctl is given; its files and "
                                     "links are made");
                return;
        }
        (void) json_find_bool(service, "enabled_old", &was_enabled);
        if (playbook_member_is(service, "change", "removed")) {
                stop_removed(plan, name);
        } else if (mask || playbook_member_is(service, "state_old", "masked")) {
                if (mask && playbook_member_is(service, "state_old", "masked"))
                        return;
                task_bool(service_task(plan, TASKS_SERVICES, mask ? "Mask" : "Unmask", name),
                          "masked", mask);
                explain_mask(plan, name, mask);
                if (!mask && is_enabled(service))
                        enable(plan, name);
        } else if (is_enabled(service) && !was_enabled &&
                   playbook_member_is(service, "state_new", "enabled")) {
                enable(plan, name);
        } else if (!is_enabled(service) && playbook_member_is(service, "state_new", "disabled") &&
                   (was_enabled || is_of_new_package(plan, service))) {
                task_bool(service_task(plan, TASKS_SERVICES, "Disable", name), "enabled", false);
                (void) explain_links(plan, name, false, true);
        }
}

void plan_services_done(Plan *plan)
{
        if (plan->has_restarts)
                ask_facts(plan, TASKS_SERVICES);
}

void plan_services(Plan *plan)
{
        Json *services = plan->document->services;
        Task *handler = plan_add_handler(plan, reload_name, "ansible.builtin.systemd_service");

        task_bool(handler, "daemon_reload", true);
        for (size_t i = 0; i < json_object_array_length(services); i++)
                take_service(plan, json_object_array_get_idx(services, i));
        explain_directories(plan);
}

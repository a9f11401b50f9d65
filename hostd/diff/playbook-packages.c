/* SPDX-License-Identifier: MIT */

/* Packages, where they come from, and which files they bring. */

#include "base/cleanup.h"
#include "diff/held-packages.h"
#include "diff/playbook-plan.h"

#include <string.h>

#define NAME_SIZE_MAX   128
#define SUMS_SIZE_MAX   (8u << 20)
#define STATUS_SIZE_MAX (32u << 20)
#define MD5_HEX_SIZE    32

/* How packages are found: below these, or exactly these. */
static const char *const source_paths[] = {
        "/etc/apt/sources.list",  "/etc/apt/sources.list.d", "/etc/apt/trusted.gpg",
        "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings",       "/etc/apt/preferences",
        "/etc/apt/preferences.d", "/etc/apt/apt.conf",       "/etc/apt/apt.conf.d",
        "/etc/apt/auth.conf.d",   "/usr/share/keyrings",     "/etc/dpkg/dpkg.cfg.d",
        "/etc/yum.repos.d",       "/etc/pki/rpm-gpg",        "/etc/dnf",
};

static Json *package_of(const Plan *plan, const FileChange *change)
{
        return change->package == NO_INDEX
                       ? NULL
                       : json_object_array_get_idx(plan->document->packages, change->package);
}

/* A name or version as apt and dnf take it, which is no option, pattern or other operation. */
static bool is_name(const char *name)
{
        return is_word(name, "+-._", NAME_SIZE_MAX) && name[0] != '_' &&
               !g_str_has_suffix(name, "-");
}

static bool is_version(const char *version)
{
        return g_ascii_isdigit(version[0]) || g_ascii_isalpha(version[0])
                       ? is_word(version, ".+-:~^_", NAME_SIZE_MAX)
                       : false;
}

/* "NAME_VERSION_ARCHITECTURE.deb", the epoch's ':' as "%3a", of a package that was installed. */
static bool is_package_file(const Plan *plan, const FileChange *change, Json **ret_package)
{
        const char *base = strrchr(change->path, '/') + 1;
        Json *packages = plan->document->packages;

        if (!change->new.exists || change->new.kind != KIND_FILE ||
            !g_str_has_suffix(base, ".deb") || is_within(change->path, "/var/cache/apt"))
                return false;
        for (size_t i = 0; i < json_object_array_length(packages); i++) {
                Json *package = json_object_array_get_idx(packages, i);
                g_autofree char *name = playbook_member(package, "name");
                g_autofree char *version = playbook_member(package, "new_version");
                g_autoptr(GString) start = g_string_new(NULL);

                if (!name || !version || !playbook_member_is(package, "manager", "dpkg"))
                        continue;
                g_string_printf(start, "%s_%s_", name, version);
                (void) g_string_replace(start, ":", "%3a", 0);
                if (g_str_has_prefix(base, start->str)) {
                        *ret_package = package;
                        return true;
                }
        }
        return false;
}

/* "deb [trusted=yes] file:/srv/repository ./": a directory of the guest's own. */
static char *local_source(Json *source)
{
        static const char *const schemes[] = {"file:", "copy:"};
        g_autofree char *text = playbook_member(source, "text");
        g_auto(GStrv) words = g_strsplit_set(text ? text : "", " \t", -1);

        for (char **word = words; *word; word++)
                for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
                        const char *path = *word + strlen(schemes[i]);

                        if (!g_str_has_prefix(*word, schemes[i]))
                                continue;
                        while (path[0] == '/' && path[1] == '/')
                                path++;
                        size_t n = strlen(path);
                        while (n > 1 && path[n - 1] == '/')
                                n--;
                        if (path[0] == '/' && n > 1)
                                return g_strndup(path, n);
                }
        return NULL;
}

/* In a directory that a source names, as a file of its own. */
static bool is_in_local_source(const Plan *plan, const FileChange *change)
{
        Json *sources = plan->document->sources;

        for (size_t i = 0; i < json_object_array_length(sources); i++) {
                g_autofree char *directory = local_source(json_object_array_get_idx(sources, i));
                if (directory && is_within(change->path, directory))
                        return true;
        }
        return false;
}

static bool is_source_itself(const Plan *plan, const FileChange *change)
{
        Json *sources = plan->document->sources;

        for (size_t i = 0; i < G_N_ELEMENTS(source_paths); i++)
                if (is_within(change->path, source_paths[i]))
                        return true;
        for (size_t i = 0; i < json_object_array_length(sources); i++) {
                g_autofree char *path =
                        playbook_member(json_object_array_get_idx(sources, i), "path");
                if (path && strcmp(path, change->path) == 0)
                        return true;
        }
        return is_in_local_source(plan, change);
}

bool plan_is_source(const Plan *plan, const FileChange *change)
{
        return change->new.exists &&g_hash_table_contains(plan->source_files, change);
}

/* They, and the new directories that they are in. */
static void find_sources(Plan *plan)
{
        const GPtrArray *changes = plan->document->changes;

        for (unsigned i = 0; i < changes->len; i++) {
                FileChange *change = changes->pdata[i];
                Json *package;

                if (change->filesystem != 0 || !change->new.exists)
                        continue;
                bool is_package = is_package_file(plan, change, &package) &&
                                  !is_in_local_source(plan, change);
                if (is_package)
                        g_ptr_array_add(plan->package_files, change);
                if (is_package || is_source_itself(plan, change))
                        (void) g_hash_table_add(plan->source_files, change);
        }
        for (unsigned i = changes->len; i-- > 0;) {
                FileChange *change = changes->pdata[i];
                bool has_source = false;

                if (change->new.kind != KIND_DIRECTORY || !change->new.exists)
                        continue;
                for (unsigned j = i + 1; j < changes->len && !has_source; j++) {
                        FileChange *below = changes->pdata[j];
                        if (!is_within(below->path, change->path))
                                break;
                        has_source = g_hash_table_contains(plan->source_files, below);
                }
                if (has_source && change->change == CHANGE_ADDED)
                        (void) g_hash_table_add(plan->source_files, change);
        }
}

/* A package may name files by directories that are links into /usr today. */
static void keep_sum(Plan *plan, const char *path, const char *sum, size_t n)
{
        static const char *const merged[] = {"/lib",   "/bin",   "/sbin",
                                             "/lib32", "/lib64", "/libx32"};

        if (n != MD5_HEX_SIZE || strspn(sum, "0123456789abcdef") < MD5_HEX_SIZE)
                return;
        (void) g_hash_table_replace(plan->shipped, g_strdup(path), g_strndup(sum, MD5_HEX_SIZE));
        for (size_t i = 0; i < G_N_ELEMENTS(merged); i++)
                if (is_within(path, merged[i]))
                        (void) g_hash_table_replace(plan->shipped, g_strconcat("/usr", path, NULL),
                                                    g_strndup(sum, MD5_HEX_SIZE));
}

/* "MD5  path/without/slash" */
static void read_sums(Plan *plan, const char *name, const char *architecture)
{
        const PlaybookSource *source = plan->source;
        g_autofree char *plain = g_strdup_printf("/var/lib/dpkg/info/%s.md5sums", name);
        g_autofree char *multi =
                g_strdup_printf("/var/lib/dpkg/info/%s:%s.md5sums", name, architecture);
        g_autofree char *text = NULL;
        size_t size;

        if (source->read(source->data, true, plain, SUMS_SIZE_MAX, &text, &size, NULL) < 0 &&
            source->read(source->data, true, multi, SUMS_SIZE_MAX, &text, &size, NULL) < 0)
                return;
        for (char *line = text, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                size_t n = strcspn(line, " ");
                const char *path = line + n + strspn(line + n, " ");
                g_autofree char *absolute = g_strconcat("/", path, NULL);
                keep_sum(plan, absolute, line, n);
        }
}

/* The configuration files of all packages: lines of " /path MD5" after "Conffiles:". */
static void read_conffiles(Plan *plan)
{
        const PlaybookSource *source = plan->source;
        g_autofree char *text = NULL;
        bool is_conffile = false;
        size_t size;

        if (source->read(source->data, true, "/var/lib/dpkg/status", STATUS_SIZE_MAX, &text, &size,
                         NULL) < 0)
                return;
        for (char *line = text, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (line[0] != ' ') {
                        is_conffile = g_str_has_prefix(line, "Conffiles:");
                        continue;
                }
                char *sum = is_conffile ? strrchr(line, ' ') : NULL;
                if (!sum || sum == line || line[1] != '/')
                        continue;
                *sum++ = '\0';
                keep_sum(plan, line + 1, sum, strlen(sum));
        }
}

static int take_md5(void *data, const void *bytes, size_t size, Fault *f)
{
        (void) f;
        g_checksum_update(data, bytes, (gssize) size);
        return 0;
}

/* A link or directory is as the package has it; of a file there is a sum, or it is copied. */
bool plan_is_as_shipped(Plan *plan, const FileChange *change)
{
        g_autoptr(GChecksum) checksum = NULL;
        const char *sum;

        if (!change->new.exists || change->new.kind != KIND_FILE)
                return true;
        if (!playbook_member_is(package_of(plan, change), "manager", "dpkg"))
                return true;
        sum = g_hash_table_lookup(plan->shipped, change->path);
        if (!sum)
                return false;
        checksum = g_checksum_new(G_CHECKSUM_MD5);
        return plan->source->copy(plan->source->data, change->path, take_md5, checksum, NULL) ==
                       0 &&
               strcmp(g_checksum_get_string(checksum), sum) == 0;
}

typedef struct Wanted {
        GPtrArray *absent, *purged, *absent_rpms; /* names */
        bool has_downgrade;
        bool has_dpkg, has_rpm;
} Wanted;

static const FileChange *package_file(const Plan *plan, const Json *package)
{
        for (unsigned i = 0; i < plan->package_files->len; i++) {
                const FileChange *change = plan->package_files->pdata[i];
                Json *of;
                if (is_package_file(plan, change, &of) && of == package)
                        return change;
        }
        return NULL;
}

static void install_file(Plan *plan, const FileChange *file)
{
        g_autofree char *name = task_name("Install", file->path, strlen(file->path));
        Task *task = plan_add(plan, TASKS_PACKAGES, task_new(name, "ansible.builtin.apt"));

        task_theirs(task, "deb", file->path);
        task_bool(task, "install_recommends", false);
}

static void install(Plan *plan, Json *package, const char *name, const char *version,
                    Wanted *wanted)
{
        g_autofree char *architecture = playbook_member(package, "architecture");
        const FileChange *file = package_file(plan, package);

        if (!is_version(version)) {
                plan_leave_out_named(plan, "package", name, "package",
                                     "its version cannot be given to the package manager");
        } else if (playbook_member_is(package, "manager", "rpm")) {
                wanted->has_rpm = true;
                g_ptr_array_add(plan->rpms,
                                g_strdup_printf("%s-%s.%s", name, version, architecture));
        } else if (file && plan_can_say(file->path)) {
                install_file(plan, file);
                wanted->has_dpkg = true;
        } else {
                wanted->has_dpkg = true;
                wanted->has_downgrade |= playbook_member_is(package, "change", "downgraded");
                g_ptr_array_add(plan->debs, g_strdup_printf("%s=%s", name, version));
        }
        if (playbook_member_is(package, "manager", "dpkg"))
                read_sums(plan, name, architecture);
}

static void take_package(Plan *plan, Json *package, Wanted *wanted)
{
        g_autofree char *name = playbook_member(package, "name");
        g_autofree char *version = playbook_member(package, "new_version");
        g_autofree char *architecture = playbook_member(package, "architecture");
        bool is_rpm = playbook_member_is(package, "manager", "rpm");

        if (!name || !is_name(name) || !architecture || !is_word(architecture, "-_", 32)) {
                plan_leave_out_named(plan, "package", name ? name : "?", "package",
                                     "its name cannot be given to the package manager");
        } else if (!is_rpm && playbook_member_is(package, "new_state", "config-files")) {
                g_ptr_array_add(wanted->absent, g_strdup(name));
        } else if (!version ||
                   (!is_rpm && playbook_member_is(package, "new_state", "not-installed"))) {
                g_ptr_array_add(is_rpm ? wanted->absent_rpms : wanted->purged, g_strdup(name));
        } else if (!is_rpm && !playbook_member_is(package, "new_state", "installed")) {
                plan_leave_out_named(plan, "package", name, "package",
                                     "it is not completely installed");
        } else {
                install(plan, package, name, version, wanted);
        }
}

static void remove_packages(Plan *plan, const GPtrArray *names, const char *task_name_text,
                            const char *module, bool purges)
{
        Task *task;

        if (names->len == 0)
                return;
        task = plan_add(plan, TASKS_PACKAGES, task_new(task_name_text, module));
        for (unsigned i = 0; i < names->len; i++)
                task_list_theirs(task, "name", names->pdata[i]);
        task_ours(task, "state", "absent");
        if (purges)
                task_bool(task, "purge", true);
}

static void install_packages(Plan *plan, const Wanted *wanted)
{
        Task *task;

        if (plan->debs->len > 0) {
                task = plan_add(plan, TASKS_PACKAGES,
                                task_new("Install packages", "ansible.builtin.apt"));
                task_ours(task, "name", "{{ change_packages }}");
                task_ours(task, "state", "present");
                task_bool(task, "install_recommends", false);
                if (wanted->has_downgrade)
                        task_bool(task, "allow_downgrade", true);
                task_ours(task, "update_cache", "{{ change_update_cache }}");
        }
        if (plan->rpms->len > 0) {
                task = plan_add(plan, TASKS_PACKAGES,
                                task_new("Install packages", "ansible.builtin.dnf"));
                task_ours(task, "name", "{{ change_rpm_packages }}");
                task_ours(task, "state", "present");
                task_bool(task, "allow_downgrade", true);
                task_bool(task, "install_weak_deps", false);
        }
}

/* Only the lists of this source are read: the others may be out of reach. */
static void read_lists(Plan *plan, const FileChange *change)
{
        g_autofree char *name = NULL, *option = NULL;
        Task *handler;

        if (!is_within(change->path, "/etc/apt/sources.list.d") &&
            strcmp(change->path, "/etc/apt/sources.list") != 0)
                return;
        if (change->new.kind != KIND_FILE || !plan_can_say(change->path))
                return;
        plan->has_sources = true;
        name = task_name("Read the package lists of", change->path, strlen(change->path));
        handler = plan_add_handler(plan, name, "ansible.builtin.command");
        if (!handler)
                return;
        option = g_strdup_printf("Dir::Etc::sourcelist=%s", change->path);
        task_list_ours(handler, "argv", "apt-get");
        task_list_ours(handler, "argv", "update");
        task_list_ours(handler, "argv", "-o");
        task_list_theirs(handler, "argv", option);
        task_list_ours(handler, "argv", "-o");
        task_list_ours(handler, "argv", "Dir::Etc::sourceparts=-");
        task_list_ours(handler, "argv", "-o");
        task_list_ours(handler, "argv", "APT::Get::List-Cleanup=0");
        /* The apt module can only read all lists. */
        task_tag(handler, "skip_ansible_lint");
}

static bool is_told(const Plan *plan, const char *name)
{
        for (size_t i = 0; i < json_object_array_length(plan->document->packages); i++)
                if (playbook_member_is(json_object_array_get_idx(plan->document->packages, i),
                                       "name", name))
                        return true;
        return false;
}

/* Each name of `new` that is not in `old`. */
static void select_packages(Plan *plan, GHashTable *old, GHashTable *new, const char *what,
                            const char *selection)
{
        g_autoptr(GPtrArray) names = held_packages_added(old, new);

        for (unsigned i = 0; i < names->len; i++) {
                const char *package = names->pdata[i];
                /* With a package that was removed went its selection. */
                if (g_str_equal(selection, "install") && is_told(plan, package))
                        continue;
                g_autofree char *name = task_name(what, package, strlen(package));
                Task *task = plan_add(plan, TASKS_PACKAGES,
                                      task_new(name, "ansible.builtin.dpkg_selections"));

                task_theirs(task, "name", package);
                task_ours(task, "selection", selection);
        }
}

static void hold_packages(Plan *plan)
{
        g_autoptr(GHashTable) old = held_packages_read(plan->source, false),
                              new = held_packages_read(plan->source, true);

        select_packages(plan, old, new, "Hold the package", "hold");
        select_packages(plan, new, old, "Hold no longer the package", "install");
}

void plan_packages(Plan *plan)
{
        Json *packages = plan->document->packages;
        Wanted wanted = {g_ptr_array_new_with_free_func(g_free),
                         g_ptr_array_new_with_free_func(g_free),
                         g_ptr_array_new_with_free_func(g_free),
                         false,
                         false,
                         false};

        find_sources(plan);
        for (unsigned i = 0; i < plan->document->changes->len; i++) {
                const FileChange *change = plan->document->changes->pdata[i];
                if (plan_is_source(plan, change))
                        read_lists(plan, change);
        }
        for (size_t i = 0; i < json_object_array_length(packages); i++)
                take_package(plan, json_object_array_get_idx(packages, i), &wanted);
        if (wanted.has_dpkg)
                read_conffiles(plan);
        install_packages(plan, &wanted);
        remove_packages(plan, wanted.absent, "Remove packages", "ansible.builtin.apt", false);
        remove_packages(plan, wanted.purged, "Purge packages", "ansible.builtin.apt", true);
        remove_packages(plan, wanted.absent_rpms, "Remove packages", "ansible.builtin.dnf", false);
        hold_packages(plan);
        if (plan->debs->len > 0)
                plan_leave_out_named(plan, "all", "which packages came as dependencies", "packages",
                                     "all are installed by name, and marked so");
        g_ptr_array_unref(wanted.absent);
        g_ptr_array_unref(wanted.purged);
        g_ptr_array_unref(wanted.absent_rpms);
}

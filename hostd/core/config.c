/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "base/setting-file.h"

#include <stddef.h>
#include <string.h>

#define CONFIG_SIZE_MAX (64 * 1024)

typedef enum KeyType { KEY_PATH, KEY_WORD, KEY_COUNT, KEY_SIZE, KEY_DURATION } KeyType;

typedef struct Key {
        const char *name;
        KeyType type;
        size_t offset;
        const char *default_text;
        /* Bounds, as text of the type; for words, what is allowed ("a|b|c"), or NULL. */
        const char *least, *most;
        const char *documentation;
} Key;

static const Key keys[] = {
#define K(member, type, default_text, least, most, doc) \
        { \
#member, type, offsetof(Config, member), default_text, least, most, doc \
        }
        K(state_directory, KEY_PATH, "/var/lib/fluid", NULL, NULL,
          "Templates, disks, command output and the database."),
        K(runtime_directory, KEY_PATH, "/run/fluid", NULL, NULL,
          "The sockets to the guest agents, and of the units that run programs for fluid-hostd."),
        K(libvirt_uri, KEY_WORD, "qemu:///system", NULL, NULL, "How to reach libvirtd."),
        K(virt_type, KEY_WORD, "auto", "auto|kvm|qemu", NULL,
          "auto takes KVM where libvirt offers it; qemu is emulation, and slow."),
        K(qemu_user, KEY_WORD, "libvirt-qemu", NULL, NULL,
          "The user that QEMU runs as; owns the disks of sandboxes. fluid-image@.service names it, "
          "too."),
        K(qemu_group, KEY_WORD, "libvirt-qemu", NULL, NULL, "Its group."),
        K(verify_user, KEY_WORD, "fluid-verify", NULL, NULL,
          "The user that playbooks are verified as, in sandboxes of its own, which nobody else "
          "uses. fluid-verify@.service names it, too."),
        K(networks_file, KEY_PATH, "/etc/fluid/networks.conf", NULL, NULL,
          "The network profiles: networks.conf(5). By default the file of that name beside this."),
        K(apply_file, KEY_PATH, "/etc/fluid/apply.conf", NULL, NULL,
          "Where approved playbooks are applied: apply.conf(5). By default the file of that name "
          "beside this."),
        K(network_name, KEY_WORD, "fluid", NULL, NULL,
          "The libvirt network of sandboxes; it is made, and nobody else's is touched."),
        K(network_bridge, KEY_WORD, "fluidbr0", NULL, NULL, "The bridge of that network."),
        K(network_range, KEY_WORD, "10.213.0.0/20", NULL, NULL,
          "The addresses of sandboxes; this host must not have a route to any of them."),
        K(network_leases, KEY_COUNT, "1000", "1", "65000",
          "How many sandboxes can have a network: so many addresses are reserved."),
        K(worker_threads, KEY_COUNT, "8", "1", "64",
          "Operations on libvirt, disks and diffs that may run at the same time."),
        K(boot_timeout_usec, KEY_DURATION, "3min", "1s", "1h",
          "A new sandbox whose guest agent does not answer in this time has failed."),
        K(stop_timeout_usec, KEY_DURATION, "30s", "0s", "1h",
          "A guest that does not power off in this time gets its plug pulled."),
        K(freeze_timeout_usec, KEY_DURATION, "5s", "100ms", "1min",
          "A guest that is not frozen in this time is snapshotted as it is."),
        K(diff_timeout_usec, KEY_DURATION, "5min", "1s", "1h", "A diff may take this long."),
        K(diff_guestfs_timeout_usec, KEY_DURATION, "15min", "1s", "1h",
          "A diff of disks with xfs or btrfs, which libguestfs reads in a virtual machine, may take "
          "this long more."),
        K(diff_output_max_bytes, KEY_SIZE, "4G", "1M", "1024T",
          "The document of a diff, and a file or archive of a point, may have this size; beyond "
          "16 MiB it does not go below disk_floor."),
        K(warm_timeout_usec, KEY_DURATION, "1min", "0s", "1h",
          "A template that is made warm is given this time to come to rest after its boot."),
        K(idle_timeout_usec, KEY_DURATION, "infinity", "1min", "infinity",
          "A sandbox that nobody used for this time is destroyed unless its creator said otherwise."),
        K(ttl_default_usec, KEY_DURATION, "24h", "1min", "infinity",
          "A sandbox is destroyed after this time unless its creator says otherwise."),
        K(ttl_max_usec, KEY_DURATION, "infinity", "1min", "infinity",
          "The longest time that may be asked for."),
        K(vcpus_default, KEY_COUNT, "1", "1", "256", "Virtual CPUs of a sandbox."),
        K(vcpus_max, KEY_COUNT, "16", "1", "256", "The most that may be asked for."),
        K(memory_default_bytes, KEY_SIZE, "512M", "32M", "4T", "Memory of a sandbox."),
        K(memory_max_bytes, KEY_SIZE, "64G", "32M", "4T", "The most that may be asked for."),
        K(sandboxes_max, KEY_COUNT, "200", "1", "10000", "Sandboxes on this host."),
        K(sandboxes_per_owner_max, KEY_COUNT, "100", "1", "10000", "Sandboxes of one user."),
        K(memory_per_owner_max_bytes, KEY_SIZE, "1T", "32M", "1024T",
          "Memory of all running sandboxes of one user, counted in full."),
        K(disk_per_owner_max_bytes, KEY_SIZE, "1T", "1M", "1024T",
          "What the sandboxes of one user may use on disk; above it nothing new is begun."),
        K(pool_memory_max_bytes, KEY_SIZE, "8G", "0", "1024T",
          "Memory of all sandboxes that are kept ready in pools, counted in full."),
        K(pool_idle_usec, KEY_DURATION, "1h", "1min", "infinity",
          "A pool of which nothing was taken for this time shrinks to one."),
        K(snapshots_max, KEY_COUNT, "32", "1", "1000", "Snapshots of one sandbox."),
        K(chain_depth_max, KEY_COUNT, "16", "2", "64",
          "Layers between a sandbox's head and its template."),
        K(commands_running_max, KEY_COUNT, "32", "1", "1000",
          "Commands that may run in one sandbox at a time."),
        K(commands_kept_max, KEY_COUNT, "256", "1", "10000",
          "Commands of one sandbox that are kept with their output."),
        K(templates_max, KEY_COUNT, "100", "1", "10000", "Templates on this host."),
        K(playbooks_per_owner_max, KEY_COUNT, "100", "0", "100000", "Playbooks of one user."),
        K(verifications_max, KEY_COUNT, "4", "0", "1000",
          "Playbooks that may be verified at the same time, each in a sandbox of its own."),
        K(verify_timeout_usec, KEY_DURATION, "30min", "1s", "24h",
          "A playbook may take this long to run in a sandbox when it is verified."),
        K(disk_floor_bytes, KEY_SIZE, "256M", "1M", "4T",
          "Nothing new is begun when the state directory has less room than this."),
        K(approval_timeout_usec, KEY_DURATION, "24h", "1s", "365d",
          "A person has this time to answer unless whoever asks says otherwise."),
        K(approval_timeout_max_usec, KEY_DURATION, "7d", "1s", "365d",
          "The longest time that may be asked for."),
        K(approval_use_timeout_usec, KEY_DURATION, "1h", "1s", "365d",
          "What was approved has to be applied within this time."),
        K(approvals_pending_max, KEY_COUNT, "200", "1", "10000",
          "Questions on this host that wait for a person."),
        K(approvals_pending_per_owner_max, KEY_COUNT, "20", "1", "10000", "The same of one user."),
        K(approval_keep_usec, KEY_DURATION, "30d", "0s", "infinity",
          "Approvals of which nothing more comes are forgotten after this time; the audit trail "
          "keeps who did what."),
        K(approvals_kept_max, KEY_COUNT, "1000", "0", "100000",
          "How many of them are kept of each user; the oldest go first."),
        K(approver_group, KEY_WORD, "fluid-approver", NULL, NULL,
          "Who is in this group sees what all users ask for and may answer; polkit wants an "
          "administrator's password each time."),
        K(approve_own_as_root, KEY_WORD, "no", "no|yes", NULL,
          "Whether root may answer what root has asked."),
        K(approval_notify, KEY_WORD, "no", "no|yes", NULL,
          "Whether a person is told of each new question, by " FLUID_SYSCONFDIR
          "/fluid/approval-notify: a program of yours. It gets --approval=ID --action=ACTION "
          "--urgency=URGENCY --summary=SUMMARY, escaped for print, and 30s; it runs as user "
          "fluid-notify in a unit of its own, fluid-notify@.service."),
        K(audit_keep_usec, KEY_DURATION, "90d", "1h", "infinity",
          "Rows of the audit trail that are older are sealed: they leave the database for files in "
          "the directory audit of state_directory, which are as much part of the trail: queries, "
          "exports and 'fluidctl audit verify' read them, and miss one that was removed."),
        K(audit_rows_kept_max, KEY_COUNT, "1000000", "1000", "100000000",
          "How many rows of the audit trail stay in the database; the oldest are sealed."),
        K(log_level, KEY_WORD, "info", "error|warning|info|debug", NULL,
          "What is less important is not logged."),
#undef K
};

static void *member(Config *c, const Key *key)
{
        return (char *) c + key->offset;
}

/* The name in the file has no unit: the value carries it. */
static char *file_name(const Key *key)
{
        static const char *const units[] = {"_usec", "_bytes"};
        char *name = g_strdup(key->name);

        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (g_str_has_suffix(name, units[i]))
                        name[strlen(name) - strlen(units[i])] = '\0';
        return name;
}

static int parse_number(KeyType type, const char *text, uint64_t *ret, Fault *f)
{
        switch (type) {
        case KEY_SIZE:
                return size_parse(text, ret, f);
        case KEY_DURATION:
                return duration_parse(text, ret, f);
        case KEY_COUNT:
                if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, ret, NULL))
                        return 0;
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not a whole number", text);
        case KEY_PATH:
        case KEY_WORD:
                break;
        }
        g_assert_not_reached();
}

static int set_number(Config *c, const Key *key, const char *text, Fault *f)
{
        uint64_t value, least = 0, most = UINT64_MAX;
        int r = parse_number(key->type, text, &value, f);

        if (r < 0)
                return r;
        if (key->least)
                (void) parse_number(key->type, key->least, &least, NULL);
        if (key->most)
                (void) parse_number(key->type, key->most, &most, NULL);
        if (value < least || value > most)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not between %s and %s",
                                 text, key->least, key->most);
        *(uint64_t *) member(c, key) = value;
        return 0;
}

static int set_text(Config *c, const Key *key, const char *text, Fault *f)
{
        char **where = member(c, key);

        if (key->type == KEY_PATH && (!g_path_is_absolute(text) || strlen(text) > 64))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not an absolute path of at most 64 characters", text);
        if (key->type == KEY_WORD && key->least) {
                g_auto(GStrv) allowed = g_strsplit(key->least, "|", -1);
                if (!g_strv_contains((const char *const *) allowed, text))
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not one of %s",
                                         text, key->least);
        }
        if (!*text)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the value is missing");
        g_free(*where);
        *where = g_strdup(text);
        return 0;
}

static int set_key(Config *c, const Key *key, const char *text, Fault *f)
{
        if (key->type == KEY_PATH || key->type == KEY_WORD)
                return set_text(c, key, text, f);
        return set_number(c, key, text, f);
}

Config *config_new(void)
{
        Config *c = g_new0(Config, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                g_assert(set_key(c, keys + i, keys[i].default_text, NULL) == 0);
        return c;
}

Config *config_free(Config *c)
{
        if (!c)
                return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i].type == KEY_PATH || keys[i].type == KEY_WORD)
                        g_free(*(char **) member(c, keys + i));
        g_free(c);
        return NULL;
}

static char *name_of(size_t key)
{
        return file_name(keys + key);
}

static int set_by_number(void *config, size_t key, const char *value, Fault *f)
{
        return set_key(config, keys + key, value, f);
}

static const SettingForm form = {.manual = "fluid.conf(5)",
                                 .n_keys = G_N_ELEMENTS(keys),
                                 .name = name_of,
                                 .set = set_by_number};

static int check_together(const char *path, const Config *c, Fault *f)
{
        if (c->ttl_default_usec > c->ttl_max_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s: ttl_default is longer than ttl_max", path);
        if (c->approval_timeout_usec > c->approval_timeout_max_usec)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s: approval_timeout is longer than approval_timeout_max", path);
        if (c->memory_default_bytes > c->memory_max_bytes)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s: memory_default is more than memory_max", path);
        if (c->vcpus_default > c->vcpus_max)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s: vcpus_default is more than vcpus_max", path);
        return 0;
}

/* Beside a file that is given by its whole path. */
static void find_files(Config *c, const char *path)
{
        g_autofree char *directory = g_path_get_dirname(path);

        if (!g_path_is_absolute(path))
                return;
        g_free(c->networks_file);
        c->networks_file = g_build_filename(directory, "networks.conf", NULL);
        g_free(c->apply_file);
        c->apply_file = g_build_filename(directory, "apply.conf", NULL);
}

int config_parse(const char *path, const char *text, Config **ret, Fault *f)
{
        g_autoptr(Config) c = config_new();

        find_files(c, path);
        int r = setting_file_parse(&form, path, text, c, f);
        if (r == 0)
                r = check_together(path, c, f);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&c);
        return 0;
}

int config_load(const char *path, Config **ret, Fault *f)
{
        g_autofree char *text = NULL;
        size_t size;
        int r = file_read(path, CONFIG_SIZE_MAX, &text, &size, f);

        if (r < 0)
                return r;
        if (strlen(text) != size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s: holds a NUL byte", path);
        return config_parse(path, text, ret, f);
}

void config_print_example(FILE *out)
{
        (void) fputs(
                "# Configuration of fluid-hostd; see fluid.conf(5). What is commented out shows "
                "the default.\n",
                out);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autofree char *name = file_name(keys + i);
                (void) fprintf(out, "\n# %s\n#%s = %s\n", keys[i].documentation, name,
                               keys[i].default_text);
        }
}

void config_print_manual(FILE *out)
{
        (void) fputs(
                ".TH FLUID.CONF 5 \"\" fluid \"fluid manual\"\n.SH NAME\n"
                "fluid.conf \\- configuration of fluid-hostd\n.SH SYNOPSIS\n" CONFIG_PATH "\n"
                ".SH DESCRIPTION\n"
                "Lines of\n.IR key \\ = \\ value ;\na line that begins with # is a comment. An unknown "
                "or repeated key is an error: the daemon does not start, and on a reload keeps "
                "the old configuration.\n"
                "Durations are written as in\n.BR systemd.time (7),\nsizes like 512M or 2G.\n"
                ".B fluid-hostd --check-config\nchecks a file.\n.SH KEYS\n",
                out);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                const Key *key = keys + i;
                g_autofree char *name = file_name(key);
                (void) fprintf(out, ".TP\n.B %s\n%s Default: %s.", name, key->documentation,
                               key->default_text);
                if (key->least && key->most)
                        (void) fprintf(out, " From %s to %s.", key->least, key->most);
                else if (key->least)
                        (void) fprintf(out, " One of %s.", key->least);
                (void) fputc('\n', out);
        }
        (void) fputs(".SH SEE ALSO\n.BR fluidctl (1)\n", out);
}

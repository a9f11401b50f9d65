/* SPDX-License-Identifier: MIT */
#include "base/apply-config.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"
#include "base/setting-file.h"

#include <string.h>

#define FILE_SIZE_MAX   (64 << 10)
#define TEXT_LENGTH_MAX 1024
#define TIMEOUT_LEAST   USEC_PER_SEC
#define TIMEOUT_MOST    (24 * 3600 * USEC_PER_SEC)

typedef enum KeyType {
        KEY_PATH,
        KEY_PATTERN,
        KEY_USER,
        KEY_BECOME,
        KEY_CHECK,
        KEY_REVIEW_CHECK,
        KEY_WRITTEN,
        KEY_TIMEOUT,
} KeyType;

typedef struct Key {
        const char *name;
        KeyType type;
        size_t offset; /* of a text */
        const char *default_text, *example, *documentation;
} Key;

#define TEXT(member) offsetof(ApplyConfig, member)

static const Key keys[] = {
        {"inventory", KEY_PATH, TEXT(inventory), NULL, "/etc/fluid/inventory",
         "The hosts, as Ansible has them: a file, or a directory with group_vars and host_vars, in "
         "INI or YAML; nothing in it may be a program or a link. It is copied before Ansible reads "
         "it, so that paths in it have to be absolute. Has to be given."},
        {"limit", KEY_PATTERN, TEXT(limit), NULL, "web*:!web9",
         "Only those hosts of it, as a pattern of Ansible's. All, unless given."},
        {"user", KEY_USER, TEXT(user), NULL, "deploy",
         "The user to log in as. As the inventory says, unless given."},
        {"private_key", KEY_PATH, TEXT(private_key), NULL, "/etc/fluid/apply.key",
         "The SSH key to log in with, which user fluid-apply has to own. It has no passphrase: "
         "nobody is there to be asked."},
        {"known_hosts", KEY_PATH, TEXT(known_hosts), NULL, "/etc/fluid/known_hosts",
         "The SSH host keys of the hosts. A host whose key is not known is not talked to. "
         "/etc/ssh/ssh_known_hosts is read as well."},
        {"become", KEY_BECOME, 0, NULL, "yes",
         "Whether to become root there: yes (without a password) or no. As the playbook says, "
         "unless given."},
        {"check", KEY_CHECK, 0, "always", "always",
         "always: it is run in check mode first, and where that fails nothing is changed; never: it "
         "is not."},
        {"review_check", KEY_REVIEW_CHECK, 0, "asked", "always",
         "Whether it is run in check mode there, with --diff, before a person is asked, who then "
         "approves by what came of it: always; asked, where whoever asks says so; or never. That "
         "logs in to the hosts before anybody has said yes. What it printed shows what the hosts "
         "hold, so that only approvers and root can read it; whoever asked sees which tasks "
         "would change something."},
        {"written", KEY_WRITTEN, 0, "refuse", "refuse",
         "Whether a playbook that was not derived from a diff, but written by the agent, may be "
         "applied: allow or refuse. Such a one may run anything as user fluid-apply on this host, "
         "with the key and the network that it has (lookups, connection: local, delegate_to), also "
         "in check mode: nothing but whoever reviews it, line by line, stands before that. It is "
         "never run before it was approved."},
        {"timeout", KEY_TIMEOUT, 0, "1h", "1h",
         "A playbook that takes longer is killed. From 1s to 24h."},
};

/* -- reading ----------------------------------------------------------------------------------- */

static int set_text(ApplyConfig *c, const Key *key, const char *text, Fault *f)
{
        char **where = (char **) ((char *) c + key->offset);

        if (strlen(text) > TEXT_LENGTH_MAX || !g_utf8_validate(text, -1, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "it is too long, or not UTF-8");
        for (const char *p = text; *p; p++)
                if (g_ascii_iscntrl(*p))
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "it holds a control character");
        g_free(*where);
        *where = g_strdup(text);
        return 0;
}

static int set_path(ApplyConfig *c, const Key *key, const char *text, Fault *f)
{
        if (!g_path_is_absolute(text))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not an absolute path",
                                 text);
        /* They go into an option of ssh's, which has blanks and % of its own. */
        if (strpbrk(text, " \t\"'\\%$,"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' has a blank, quote or sign that ssh would expand", text);
        return set_text(c, key, text, f);
}

static int set_pattern(ApplyConfig *c, const Key *key, const char *text, Fault *f)
{
        if (*text == '@' || strstr(text, ",@"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' names a file of hosts; name the hosts", text);
        return set_text(c, key, text, f);
}

static int set_user(ApplyConfig *c, const Key *key, const char *text, Fault *f)
{
        bool good = g_ascii_isalnum(*text) || *text == '_';

        for (const char *p = text; *p; p++)
                good &= g_ascii_isalnum(*p) || strchr("._-@", *p) != NULL;
        return good ? set_text(c, key, text, f)
                    : fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is no name of a user", text);
}

/* 0 or 1, or the fault. */
static int choose(const char *text, const char *no, const char *yes, Fault *f)
{
        if (g_str_equal(text, no))
                return 0;
        if (g_str_equal(text, yes))
                return 1;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is neither %s nor %s", text, yes, no);
}

static int set_review_check(ApplyConfig *c, const char *text, Fault *f)
{
        static const char *const words[] = {
                [REVIEW_CHECK_NEVER] = "never",
                [REVIEW_CHECK_ASKED] = "asked",
                [REVIEW_CHECK_ALWAYS] = "always",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(words[i], text)) {
                        c->review_check = (ReviewCheck) i;
                        return 0;
                }
        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is neither always, asked nor never",
                         text);
}

static int set_timeout(ApplyConfig *c, const char *text, Fault *f)
{
        uint64_t usec;
        int r = duration_parse(text, &usec, f);

        if (r < 0)
                return r;
        if (usec < TIMEOUT_LEAST || usec > TIMEOUT_MOST)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not between 1s and 24h",
                                 text);
        c->timeout_usec = usec;
        return 0;
}

static int set_key(ApplyConfig *c, const Key *key, const char *text, Fault *f)
{
        int r;

        if (!*text)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the value is missing");
        switch (key->type) {
        case KEY_PATH:
                return set_path(c, key, text, f);
        case KEY_PATTERN:
                return set_pattern(c, key, text, f);
        case KEY_USER:
                return set_user(c, key, text, f);
        case KEY_BECOME:
                r = choose(text, "no", "yes", f);
                if (r >= 0)
                        c->become = r ? BECOME_YES : BECOME_NO;
                return MIN(r, 0);
        case KEY_CHECK:
                r = choose(text, "never", "always", f);
                if (r >= 0)
                        c->checks_first = r;
                return MIN(r, 0);
        case KEY_WRITTEN:
                r = choose(text, "refuse", "allow", f);
                if (r >= 0)
                        c->allows_written = r;
                return MIN(r, 0);
        case KEY_REVIEW_CHECK:
                return set_review_check(c, text, f);
        case KEY_TIMEOUT:
                return set_timeout(c, text, f);
        }
        g_assert_not_reached();
}

static char *name_of(size_t key)
{
        return g_strdup(keys[key].name);
}

static int set_by_number(void *config, size_t key, const char *value, Fault *f)
{
        return set_key(config, &keys[key], value, f);
}

static const SettingForm form = {.manual = "apply.conf(5)",
                                 .n_keys = G_N_ELEMENTS(keys),
                                 .name = name_of,
                                 .set = set_by_number};

static int parse(const char *path, const char *text, ApplyConfig *c, Fault *f)
{
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i].default_text)
                        g_assert(set_key(c, &keys[i], keys[i].default_text, NULL) == 0);
        int r = setting_file_parse(&form, path, text, c, f);
        if (r < 0)
                return r;
        if (!c->inventory)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s: no inventory: set inventory to the path of one", path);
        return 0;
}

int apply_config_load(const char *path, ApplyConfig **ret, Fault *f)
{
        g_autoptr(ApplyConfig) c = g_new0(ApplyConfig, 1);
        g_autofree char *text = NULL;
        size_t size;
        Fault why = {0};

        int r = file_read(path, FILE_SIZE_MAX, &text, &size, &why);
        if (r < 0 && why.code == FAULT_NOT_FOUND)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no '%s', which says where playbooks are applied: see "
                                 "apply.conf(5)",
                                 path);
        if (r < 0)
                return fault_set(f, why.code, "%s", why.message);
        if (strlen(text) != size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s: holds a NUL byte", path);
        r = parse(path, text, c, f);
        if (r == 0)
                *ret = TAKE_PTR(c);
        return r;
}

ApplyConfig *apply_config_free(ApplyConfig *c)
{
        if (!c)
                return NULL;
        g_free(c->inventory);
        g_free(c->limit);
        g_free(c->user);
        g_free(c->private_key);
        g_free(c->known_hosts);
        g_free(c);
        return NULL;
}

/* -- writing ----------------------------------------------------------------------------------- */

static const char *become_text(ApplyBecome become)
{
        switch (become) {
        case BECOME_AS_PLAYBOOK:
                return NULL;
        case BECOME_NO:
                return "no";
        case BECOME_YES:
                return "yes";
        }
        g_assert_not_reached();
}

static void add_line(GString *text, const char *key, const char *value)
{
        if (value)
                g_string_append_printf(text, "%s = %s\n", key, value);
}

char *apply_target_text(const ApplyConfig *c, const char *inventory_sha256)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *timeout = duration_format(c->timeout_usec);

        add_line(text, "inventory", c->inventory);
        add_line(text, "inventory_sha256", inventory_sha256);
        add_line(text, "limit", c->limit);
        add_line(text, "user", c->user);
        add_line(text, "private_key", c->private_key);
        add_line(text, "known_hosts", c->known_hosts);
        add_line(text, "become", become_text(c->become));
        add_line(text, "check", c->checks_first ? "always" : "never");
        /* So that what was approved while it was allowed is not applied when it is not any more. */
        add_line(text, "written", c->allows_written ? "allow" : NULL);
        add_line(text, "timeout", timeout);
        return g_string_free(TAKE_PTR(text), FALSE);
}

void apply_config_print_example(FILE *to)
{
        (void) fputs("# Where playbooks that a person has approved are applied; see "
                     "apply.conf(5).\n"
                     "# Nothing can be applied until an inventory is set.\n",
                     to);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                (void) fprintf(to, "\n# %s\n#%s = %s\n", keys[i].documentation, keys[i].name,
                               keys[i].example);
}

void apply_config_print_manual(FILE *to)
{
        (void) fputs(
                ".TH APPLY.CONF 5 \"\" fluid \"fluid manual\"\n.SH NAME\n"
                "apply.conf \\- where fluid applies approved playbooks\n"
                ".SH SYNOPSIS\n" APPLY_CONFIG_PATH "\n"
                ".SH DESCRIPTION\n"
                "A playbook that a person has approved is applied by ansible\\-playbook of "
                "ansible\\-core, as user fluid\\-apply in the unit fluid\\-apply@.service, to the "
                "hosts that this file names. Without it nothing is applied. Its settings and the "
                "SHA\\-256 of the inventory are a part of what is approved: when they change, what "
                "was approved before is not applied any more.\n.PP\n"
                "Lines of\n.IR key \\ = \\ value ;\na line that begins with # is a comment. An "
                "unknown or repeated key is an error.\n"
                ".B fluid\\-ansible \\-\\-check\\-config\n.I FILE\nchecks a file and its inventory "
                "and shows what would be approved. It is read when somebody asks, and again when "
                "it is applied.\n.PP\n"
                "Ansible gets a configuration and an environment of fluid's own: no ansible.cfg, no "
                "collections, no plugins but those of ansible\\-core and the connection to "
                "sandboxes, and no vault. The user fluid\\-apply has to be able to read the "
                "inventory and the key.\n.SH KEYS\n",
                to);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                (void) fprintf(to, ".TP\n.B %s\n%s", keys[i].name, keys[i].documentation);
                if (keys[i].default_text)
                        (void) fprintf(to, " Default: %s.", keys[i].default_text);
                (void) fputc('\n', to);
        }
        (void) fputs(".SH EXAMPLE\n.nf\n", to);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                (void) fprintf(to, "%s = %s\n", keys[i].name, keys[i].example);
        (void) fputs(".fi\n.SH SEE ALSO\n.BR fluidctl (1),\n.BR fluid.conf (5)\n", to);
}

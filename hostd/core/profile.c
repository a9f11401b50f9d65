/* SPDX-License-Identifier: MIT */
#include "core/profile.h"
#include "core/profile-rule.h"

#include "base/cleanup.h"
#include "base/domain-pattern.h"
#include "base/file.h"
#include "base/resolver-message.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define FILE_SIZE_MAX (256 * 1024)
#define PROFILES_MAX  64
#define RULES_MAX     256
#define NAMES_MAX     RESOLVER_PATTERNS_MAX
#define NAME_LENGTH   31
#define COLUMNS_MAX   100

typedef enum KeyType { KEY_DENY, KEY_ALLOW, KEY_NAMES, KEY_BOOLEAN, KEY_COUNT } KeyType;

typedef struct Key {
        const char *name;
        KeyType type;
        size_t offset; /* of booleans and counts, in a Profile */
        bool is_for_builtin;
        uint32_t most; /* of counts; the least is 1 */
        const char *default_text, *example;
        const char *documentation;
} Key;

static const Key keys[] = {
        {"deny", KEY_DENY, 0, false, 0, NULL, "10.9.8.7",
         "Addresses that cannot be reached. The first that matches decides, in the order in which "
         "deny and allow are written; then names, then internet."},
        {"allow", KEY_ALLOW, 0, false, 0, NULL,
         "10.9.8.0/24:80, 10.9.8.0/24:443/tcp, 10.9.8.1:8000-8100/udp, 10.9.8.0/24:/icmp",
         "Addresses that can be reached: ADDRESS, or RANGE, then :PORT, :PORT-PORT, :PORT/PROTOCOL "
         "or :/PROTOCOL, with commas between them. The protocol is tcp, udp or icmp; a port without "
         "one is of tcp and udp."},
        {"names", KEY_NAMES, 0, false, 0, NULL, "mirror.example.com, *.mirror.example.com",
         "Domain names that can be reached, with commas between them; *.NAME is all that is below "
         "NAME. No other name is resolved then."},
        {"private_names", KEY_BOOLEAN, offsetof(Profile, allows_private_names), false, 0, "no",
         "no", "Whether those names may have addresses that are not on the internet."},
        {"internet", KEY_BOOLEAN, offsetof(Profile, rules.has_internet), false, 0, "no", "no",
         "Whether all can be reached but this host, its networks and what is not on the internet."},
        {"admins_only", KEY_BOOLEAN, offsetof(Profile, admins_only), true, 0, "no", "no",
         "Whether only root may give it to a sandbox."},
        {"connections", KEY_COUNT, offsetof(Profile, rules.connections_max), true, 65535, "1024",
         "1024", "Connections that a sandbox may have open at a time."},
        {"connections_per_second", KEY_COUNT, offsetof(Profile, rules.connections_per_sec), true,
         10000, "100", "100", "Connections that it may begin in a second."},
};

static const char *const builtin[] = {"internet", "isolated"};

struct Profiles {
        GArray *list; /* of Profile, by name */
};

/* A profile that is being read. */
typedef struct Section {
        Profile profile;
        size_t line; /* 0: not in the file */
        bool is_builtin;
        bool seen[G_N_ELEMENTS(keys)];
        size_t n_entries; /* of allow and deny */
        GArray *rules;    /* of FirewallRule */
        GPtrArray *names;
} Section;

/* -- values ------------------------------------------------------------------------------------ */

static int add_rule(Section *s, const char *entry, bool allows, Fault *f)
{
        FirewallRule rule;
        int r = profile_rule_parse(entry, allows, &rule, f);

        if (r < 0)
                return r;
        if (s->n_entries++ == RULES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a profile has at most %d addresses; use ranges", RULES_MAX);
        if (rule.port_first && rule.protocol == 0) {
                rule.protocol = IPPROTO_TCP;
                g_array_append_val(s->rules, rule);
                rule.protocol = IPPROTO_UDP;
        }
        g_array_append_val(s->rules, rule);
        return 0;
}

static int add_name(Section *s, const char *entry, Fault *f)
{
        char pattern[DOMAIN_NAME_MAX];
        int r = domain_pattern_parse(entry, pattern, f);

        if (r < 0)
                return r;
        if (s->names->len == NAMES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a profile has at most %d names; use *.NAME", NAMES_MAX);
        g_ptr_array_add(s->names, g_strdup(pattern));
        return 0;
}

static int add_entries(Section *s, const Key *key, const char *text, Fault *f)
{
        g_auto(GStrv) entries = g_strsplit(text, ",", -1);
        int r = 0;

        for (char **entry = entries; *entry && r == 0; entry++) {
                const char *stripped = g_strstrip(*entry);

                if (!*stripped)
                        return fault_set(
                                f, FAULT_INVALID_ARGUMENT,
                                "there is nothing before or after a comma; write it like %s",
                                key->example);
                r = key->type == KEY_NAMES ? add_name(s, stripped, f)
                                           : add_rule(s, stripped, key->type == KEY_ALLOW, f);
        }
        return r;
}

static int set_key(Section *s, const Key *key, const char *text, Fault *f)
{
        void *member = (char *) &s->profile + key->offset;
        guint64 count;

        if (!*text)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the value is missing; write it like %s = %s", key->name,
                                 key->example);
        switch (key->type) {
        case KEY_DENY:
        case KEY_ALLOW:
        case KEY_NAMES:
                return add_entries(s, key, text, f);
        case KEY_BOOLEAN:
                if (!g_str_equal(text, "yes") && !g_str_equal(text, "no"))
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not yes or no",
                                         text);
                *(bool *) member = g_str_equal(text, "yes");
                return 0;
        case KEY_COUNT:
                if (!g_ascii_string_to_unsigned(text, 10, 1, key->most, &count, NULL))
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "'%.80s' is not a whole number from 1 to %u", text,
                                         key->most);
                *(uint32_t *) member = (uint32_t) count;
                return 0;
        }
        g_assert_not_reached();
}

/* -- sections ---------------------------------------------------------------------------------- */

static void section_free(gpointer data)
{
        Section *s = data;

        g_free((char *) s->profile.rules.name);
        g_clear_pointer(&s->rules, g_array_unref);
        g_clear_pointer(&s->names, g_ptr_array_unref);
        g_free(s);
}

static Section *section_new(const char *name)
{
        Section *s = g_new0(Section, 1);

        s->profile.rules.name = g_strdup(name);
        s->rules = g_array_new(FALSE, TRUE, sizeof(FirewallRule));
        s->names = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i].default_text)
                        g_assert(set_key(s, keys + i, keys[i].default_text, NULL) == 0);
        return s;
}

static GPtrArray *sections_new(void)
{
        GPtrArray *sections = g_ptr_array_new_with_free_func(section_free);

        for (size_t i = 0; i < G_N_ELEMENTS(builtin); i++) {
                Section *s = section_new(builtin[i]);

                s->is_builtin = true;
                s->profile.rules.has_internet = g_str_equal(builtin[i], "internet");
                g_ptr_array_add(sections, s);
        }
        return sections;
}

static bool is_name(const char *text)
{
        size_t length = strlen(text);

        return length >= 1 && length <= NAME_LENGTH && g_ascii_islower(text[0]) &&
               strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static int check_section(const char *name, Fault *f)
{
        if (!is_name(name))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not a profile's name: use 1 to %d of a-z 0-9 - and "
                                 "begin with a letter, as in [mirror]",
                                 name, NAME_LENGTH);
        if (g_str_equal(name, "none"))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'none' is a sandbox without a network, and cannot be set; use "
                                 "another name");
        return 0;
}

static int begin_section(GPtrArray *sections, char *line, size_t number, Section **ret, Fault *f)
{
        Section *s = NULL;
        size_t length = strlen(line);
        int r;

        if (line[length - 1] != ']')
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "expected ']' at the end, as in [mirror]");
        line[length - 1] = '\0';
        if ((r = check_section(line + 1, f)) < 0)
                return r;
        for (guint i = 0; i < sections->len && !s; i++) {
                Section *other = sections->pdata[i];
                if (g_str_equal(other->profile.rules.name, line + 1))
                        s = other;
        }
        if (s && s->line)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "[%s] is there already, in line %zu; write all of it there",
                                 line + 1, s->line);
        if (!s && sections->len == PROFILES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "there are at most %d profiles",
                                 PROFILES_MAX);
        if (!s) {
                s = section_new(line + 1);
                g_ptr_array_add(sections, s);
        }
        s->line = number;
        *ret = s;
        return 0;
}

static char *key_names(bool only_for_builtin)
{
        g_autoptr(GString) names = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i].is_for_builtin || !only_for_builtin)
                        g_string_append_printf(names, "%s%s", names->len ? ", " : "", keys[i].name);
        return g_string_free(TAKE_PTR(names), FALSE);
}

static int parse_setting(Section *s, char *line, Fault *f)
{
        char *equals = strchr(line, '=');
        size_t i = 0;

        if (!equals)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "expected 'key = value' or '[profile]'");
        *equals = '\0';
        g_strchomp(line);
        while (i < G_N_ELEMENTS(keys) && !g_str_equal(keys[i].name, line))
                i++;
        if (i == G_N_ELEMENTS(keys)) {
                g_autofree char *names = key_names(false);
                return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown key '%.80s'; there are %s",
                                 line, names);
        }
        if (!s)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is of no profile; begin one before it, as in [mirror]",
                                 line);
        if (s->is_builtin && !keys[i].is_for_builtin) {
                g_autofree char *names = key_names(true);
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is built in, and only %s can be set; use another name for "
                                 "a profile with '%s'",
                                 s->profile.rules.name, names, line);
        }
        if (s->seen[i])
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is set twice in [%s]%s", line,
                                 s->profile.rules.name,
                                 keys[i].type <= KEY_NAMES ? "; write all in one line, with commas"
                                                           : "");
        s->seen[i] = true;
        Fault why = {0};
        int r = set_key(s, keys + i, g_strstrip(equals + 1), &why);
        return r < 0 ? fault_set(f, why.code, "%s: %s", line, why.message) : 0;
}

/* -- all of them ------------------------------------------------------------------------------- */

static void profile_clear(gpointer data)
{
        Profile *p = data;

        g_free((char *) p->rules.name);
        g_free((FirewallRule *) p->rules.rules);
        g_strfreev((char **) p->names);
}

/* Takes what the section has. */
static Profile section_finish(Section *s)
{
        Profile p = s->profile;

        p.rules.n_rules = s->rules->len;
        p.rules.rules = (FirewallRule *) g_array_free(TAKE_PTR(s->rules), FALSE);
        p.n_names = s->names->len;
        p.rules.has_names = p.n_names > 0;
        g_ptr_array_add(s->names, NULL);
        p.names = (const char *const *) g_ptr_array_free(TAKE_PTR(s->names), FALSE);
        s->profile.rules.name = NULL;
        return p;
}

static int by_name(gconstpointer a, gconstpointer b)
{
        return strcmp(((const Profile *) a)->rules.name, ((const Profile *) b)->rules.name);
}

static Profiles *profiles_new(GPtrArray *sections)
{
        Profiles *p = g_new0(Profiles, 1);

        p->list = g_array_new(FALSE, TRUE, sizeof(Profile));
        g_array_set_clear_func(p->list, profile_clear);
        for (guint i = 0; i < sections->len; i++) {
                Profile one = section_finish(sections->pdata[i]);
                g_array_append_val(p->list, one);
        }
        g_array_sort(p->list, by_name);
        return p;
}

Profiles *profiles_free(Profiles *p)
{
        if (!p)
                return NULL;
        g_array_unref(p->list);
        g_free(p);
        return NULL;
}

int profiles_parse(const char *path, const char *text, Profiles **ret, Fault *f)
{
        g_autoptr(GPtrArray) sections = sections_new();
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        Section *current = NULL;

        for (size_t i = 0; lines[i]; i++) {
                Fault why = {0};
                int r;

                lines[i][strcspn(lines[i], "#")] = '\0';
                char *line = g_strstrip(lines[i]);
                if (!*line)
                        continue;
                if (*line == '[')
                        r = begin_section(sections, line, i + 1, &current, &why);
                else
                        r = parse_setting(current, line, &why);
                if (r < 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "%s:%zu: %s", path, i + 1,
                                         why.message);
        }
        *ret = profiles_new(sections);
        return 0;
}

int profiles_load(const char *path, Profiles **ret, Fault *f)
{
        g_autofree char *text = NULL;
        size_t size;
        Fault why = {0};

        if (file_read(path, FILE_SIZE_MAX, &text, &size, &why) < 0) {
                if (why.code == FAULT_NOT_FOUND)
                        return profiles_parse(path, "", ret, f);
                return fault_set(f, why.code, "%s", why.message);
        }
        if (strlen(text) != size)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s: holds a NUL byte", path);
        return profiles_parse(path, text, ret, f);
}

const Profile *profiles_list(const Profiles *p, size_t *ret_n)
{
        *ret_n = p->list->len;
        return (const Profile *) (void *) p->list->data;
}

const Profile *profiles_find(const Profiles *p, const char *name)
{
        for (guint i = 0; i < p->list->len; i++) {
                const Profile *one = &g_array_index(p->list, Profile, i);
                if (g_str_equal(one->rules.name, name))
                        return one;
        }
        return NULL;
}

/* -- for people -------------------------------------------------------------------------------- */

/* A comment, in lines of at most COLUMNS_MAX. */
static void print_comment(FILE *to, const char *text)
{
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        size_t column = COLUMNS_MAX;

        (void) fputc('\n', to);
        for (char **word = words; *word; word++) {
                size_t length = strlen(*word);
                bool is_full = column + 1 + length > COLUMNS_MAX;

                if (is_full && word != words)
                        (void) fputc('\n', to);
                (void) fprintf(to, "%s%s", is_full ? "# " : " ", *word);
                column = is_full ? 2 + length : column + 1 + length;
        }
        (void) fputc('\n', to);
}

void profiles_print_example(FILE *to)
{
        (void) fputs(
                "# Network profiles of fluid: what sandboxes may reach; see networks.conf(5).\n"
                "#\n"
                "# There without this file: none (no network), isolated (the gateway's DHCP "
                "and DNS only)\n"
                "# and internet (all but this host, its networks and what is not on the "
                "internet).\n"
                "\n# A package mirror, with all that can be set.\n#[mirror]\n",
                to);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                print_comment(to, keys[i].documentation);
                (void) fprintf(to, "#%s = %s\n", keys[i].name, keys[i].example);
        }
        (void) fputs("\n# Where Debian's and Python's packages are, and nothing else.\n"
                     "#[allowlist]\n"
                     "#names = deb.debian.org, security.debian.org, *.debian.org, pypi.org, "
                     "files.pythonhosted.org\n"
                     "\n# Other limits of a profile that is there without this file.\n"
                     "#[internet]\n#connections = 256\n",
                     to);
}

void profiles_print_manual(FILE *to)
{
        (void) fputs(
                ".TH NETWORKS.CONF 5 \"\" fluid \"fluid manual\"\n.SH NAME\n"
                "networks.conf \\- network profiles of fluid\n.SH SYNOPSIS\n/etc/fluid/networks.conf\n"
                ".SH DESCRIPTION\n"
                "What a sandbox may reach has a name: its profile. Without this file there are\n"
                ".B none\n(no network interface),\n.B isolated\n(the gateway's DHCP and DNS only) "
                "and\n.B internet\n(all but this host, its networks and what is not on the "
                "internet).\n.PP\n"
                "Each section\n.RI [ profile ]\nmakes one more, of lines of\n"
                ".IR key \\ = \\ value .\nA name is 1 to 31 of a\\-z 0\\-9 \\- and begins with a "
                "letter. What follows a # is a comment. An unknown or repeated key, or a repeated "
                "section, is an error: the daemon does not start, and on a reload keeps the old "
                "profiles.\n.PP\n"
                "Names are resolved by fluid\\-resolver, as a user of that name, who may send DNS "
                "to the resolvers in /etc/resolv.conf and answers to guests, and nothing else; "
                "what else it sends is dropped, and counted in\n"
                ".IR \"nft list counter inet fluid dropped\\-resolver\" .\n.PP\n"
                "A sandbox never reaches another one, nor its own host but for the gateway's DHCP "
                "and DNS, whatever is allowed here. It may send TCP, UDP and ICMP over IPv4.\n"
                ".SH KEYS\n",
                to);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                const Key *key = keys + i;

                (void) fprintf(to, ".TP\n.B %s\n%s", key->name, key->documentation);
                if (key->default_text)
                        (void) fprintf(to, " Default: %s.", key->default_text);
                if (key->type == KEY_COUNT)
                        (void) fprintf(to, " From 1 to %u.", key->most);
                if (key->is_for_builtin)
                        (void) fputs(" Also for isolated and internet.", to);
                (void) fputc('\n', to);
        }
        (void) fprintf(to,
                       ".SH LIMITS\nAt most %d profiles, and in each %d addresses and %d names.\n"
                       ".SH EXAMPLE\n.nf\n[mirror]\n",
                       PROFILES_MAX, RULES_MAX, NAMES_MAX);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                (void) fprintf(to, "%s = %s\n", keys[i].name, keys[i].example);
        (void) fputs(".fi\n.SH SEE ALSO\n.BR fluidctl (1),\n.BR fluid.conf (5)\n", to);
}

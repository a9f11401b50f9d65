/* SPDX-License-Identifier: MIT */

/* Any bytes as the text files of a guest that fluid-diff reads to say what changed: the first byte
 * chooses the parser. Nothing may crash, leak, or read beyond the text; what is shown of it has to
 * lie within it. */

#include "base/cleanup.h"
#include "diff/accounts.h"
#include "diff/deb822.h"
#include "diff/line-changes.h"
#include "diff/noise.h"
#include "diff/owned-files.h"
#include "diff/package-source.h"
#include "diff/package.h"
#include "diff/secret.h"
#include "diff/settings.h"
#include "diff/unit.h"
#include "diff/version.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(Span span, Span text)
{
        g_assert(span.size == 0 ||
                 (span.bytes >= text.bytes && span.bytes + span.size <= text.bytes + text.size));
}

static void try_status(Span text)
{
        g_autoptr(GPtrArray) packages = package_list_new(), distroless = package_list_new();

        (void) package_parse_status(text, false, packages);
        (void) package_parse_status(text, true, distroless);
        package_list_sort(packages);
        for (unsigned i = 0; i < packages->len; i++) {
                const Package *package = packages->pdata[i];

                g_assert(package->name[0] && !strchr(package->name, '/'));
                check_within(package->conffiles, text);
        }
}

static void try_deb822(Span text)
{
        Span rest = text, stanza, name, value;

        while (deb822_next_stanza(&rest, &stanza)) {
                check_within(stanza, text);
                for (Span s = stanza; deb822_next_field(&s, &name, &value);) {
                        check_within(name, stanza);
                        check_within(value, stanza);
                }
                (void) deb822_find(stanza, "Package", &value);
        }
}

static void try_sources(Span text)
{
        g_ptr_array_unref(sources_parse_list(text));
        g_ptr_array_unref(sources_parse_deb822(text));
        g_ptr_array_unref(sources_parse_repo(text));
}

static void try_accounts(Span text)
{
        Span passwd = text, shadow = {"", 0};

        /* An empty line divides the files. */
        for (size_t i = 0; i + 1 < text.size; i++)
                if (text.bytes[i] == '\n' && text.bytes[i + 1] == '\n') {
                        passwd.size = i;
                        shadow = span_skip(text, i + 2);
                        break;
                }
        g_autoptr(GHashTable) users = users_parse(passwd, shadow), groups = groups_parse(text);
        GHashTableIter iter;
        void *name, *value;

        g_hash_table_iter_init(&iter, users);
        while (g_hash_table_iter_next(&iter, &name, &value)) {
                (void) password_is_other(value, value);
                g_assert(!password_is_other(value, value));
        }
        g_hash_table_iter_init(&iter, groups);
        while (g_hash_table_iter_next(&iter, &name, &value)) {
                const Group *group = value;

                for (unsigned i = 0; i < group->members->len; i++)
                        g_assert(group_has_member(group, group->members->pdata[i]));
        }
}

static void try_unit(Span text)
{
        UnitPath path = {0};
        Span value, line, rest = text;

        if (unit_find(text, "Timer", "OnCalendar", &value))
                check_within(value, text);
        (void) unit_has_install(text);
        while (span_next_line(&rest, &line)) {
                if (!unit_path_parse(line, &path))
                        continue;
                g_assert(unit_name_is_valid(span_of(path.name)));
                g_autofree char *name = path.name, *template = unit_name_template(name);
                g_assert(!template || strchr(template, '@'));
        }
}

static void try_settings(Span text)
{
        Span rest = text, line, name, value;
        CronEntry entry;
        char *key;

        while (span_next_line(&rest, &line)) {
                if (sysctl_parse_line(line, &key, &value)) {
                        check_within(value, text);
                        g_free(key);
                }
                if (assignment_parse_line(line, &name, &value))
                        check_within(value, text);
                for (unsigned i = 0; i < 2; i++)
                        if (cron_parse_line(line, i, &entry)) {
                                check_within(entry.schedule, line);
                                check_within(entry.user, line);
                                check_within(entry.command, line);
                        }
                (void) sudoers_is_without_password(line);
                (void) sudoers_is_read(line);
        }
}

static void try_lines(Span text)
{
        Span old = {text.bytes, text.size / 2}, new = span_skip(text, text.size / 2);
        g_autoptr(GArray) none = line_changes(text, text, line_is_text);
        g_autoptr(GArray) lines = line_changes(old, new, line_is_no_comment);

        g_assert(none->len == 0);
        for (unsigned i = 0; i < lines->len; i++)
                check_within(g_array_index(lines, LineChange, i).text, text);
}

static void try_secrets(Span text)
{
        g_autoptr(GArray) secrets = secrets_find(text);

        (void) secret_is_text(text);
        for (unsigned i = 0; i < secrets->len; i++) {
                const Secret *secret = &g_array_index(secrets, Secret, i);

                g_assert(secret->size > 0 && secret->offset <= text.size &&
                         secret->size <= text.size - secret->offset);
        }
        g_autofree char *redacted = secret_redact(text);
        g_autoptr(GArray) left = secrets_find(span_of(redacted));
        (void) left;
}

static int sign(int n)
{
        return (n > 0) - (n < 0);
}

static void try_versions(Span text)
{
        Span b = text, a = {"", 0};

        (void) span_next_part(&b, '\n', &a);
        g_assert(version_compare_dpkg(a, a) == 0 && version_compare_rpm(a, a) == 0);
        g_assert(sign(version_compare_dpkg(a, b)) == -sign(version_compare_dpkg(b, a)));
        g_assert(sign(version_compare_rpm(a, b)) == -sign(version_compare_rpm(b, a)));
}

static void try_rules(Span text)
{
        g_autoptr(NoiseRules) rules = NULL;
        Change change = {.change = CHANGE_MODIFIED, .kind = KIND_FILE};

        g_hash_table_unref(diversions_parse(text));
        if (text.size < 4096 && noise_rules_parse(text, &rules, NULL) == 0)
                (void) noise_rules_match(rules, span_of("/var/log/journal/a/system.journal"),
                                         &change);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const tries[])(Span) = {try_status,   try_deb822,   try_sources, try_accounts,
                                              try_unit,     try_settings, try_lines,   try_secrets,
                                              try_versions, try_rules};

        if (size == 0)
                return 0;
        /* A copy of just that size: a read beyond it is found. */
        g_autofree char *copy = g_memdup2(data + 1, size - 1);
        tries[data[0] % G_N_ELEMENTS(tries)]((Span){copy ? copy : "", size - 1});
        return 0;
}

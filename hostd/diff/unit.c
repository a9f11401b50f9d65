/* SPDX-License-Identifier: MIT */
#include "diff/unit.h"

#include "base/cleanup.h"

#include <string.h>

const char *const unit_directories[_SCOPE_MAX][5] = {
        [SCOPE_SYSTEM] = {"/etc/systemd/system", "/usr/local/lib/systemd/system",
                          "/usr/lib/systemd/system", "/lib/systemd/system", NULL},
        [SCOPE_USER] = {"/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
                        "/lib/systemd/user", NULL},
};

bool unit_name_is_valid(Span name)
{
        static const char *const types[] = {".service", ".socket",    ".timer",  ".path", ".mount",
                                            ".swap",    ".automount", ".target", ".slice"};
        bool typed = false;

        if (name.size == 0 || name.size > UNIT_NAME_SIZE_MAX || name.bytes[0] == '.')
                return false;
        for (size_t i = 0; i < name.size; i++)
                if (!g_ascii_isalnum(name.bytes[i]) &&
                    (name.bytes[i] == '\0' || !strchr(":-_.\\@", name.bytes[i])))
                        return false;
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                typed |= span_ends_with(name, types[i]);
        return typed;
}

char *unit_name_template(const char *name)
{
        const char *at = strchr(name, '@'), *dot = strrchr(name, '.');

        if (!at || !dot || dot < at || dot == at + 1)
                return NULL;
        return g_strdup_printf("%.*s%s", (int) (at + 1 - name), name, dot);
}

bool unit_is_wants_directory(Span name)
{
        return span_ends_with(name, ".wants") || span_ends_with(name, ".requires") ||
               span_ends_with(name, ".upholds");
}

/* `rest` is what is behind one of the directories of units. */
static bool parse_in_directory(Span rest, UnitPath *ret)
{
        Span first, second = rest;

        if (!span_next_part(&second, '/', &first))
                return false;
        if (!second.bytes) {
                ret->role = UNIT_FILE;
                ret->name = unit_name_is_valid(first) ? span_dup(first) : NULL;
                return ret->name;
        }
        if (span_has(second, '/'))
                return false;
        if (unit_is_wants_directory(first) && unit_name_is_valid(second)) {
                ret->role = UNIT_WANTED;
                ret->name = span_dup(second);
                return true;
        }
        if (!span_ends_with(first, ".d") || !span_ends_with(second, ".conf"))
                return false;
        first.size -= strlen(".d");
        ret->role = UNIT_DROP_IN;
        ret->name = unit_name_is_valid(first) ? span_dup(first) : NULL;
        return ret->name;
}

static bool is_sysv_name(Span name)
{
        static const char *const not_scripts[] = {"README", "skeleton", "functions", "rc", "rcS"};

        if (name.size == 0 || name.size > 128)
                return false;
        for (size_t i = 0; i < name.size; i++)
                if (!g_ascii_isalnum(name.bytes[i]) &&
                    (name.bytes[i] == '\0' || !strchr("-_", name.bytes[i])))
                        return false;
        for (size_t i = 0; i < G_N_ELEMENTS(not_scripts); i++)
                if (span_is(name, not_scripts[i]))
                        return false;
        return true;
}

static bool parse_sysv(Span path, UnitPath *ret)
{
        Span name = {NULL, 0};

        if (span_starts_with(path, "/etc/init.d/")) {
                ret->role = UNIT_SYSV;
                name = span_skip(path, strlen("/etc/init.d/"));
        } else if (span_starts_with(path, "/etc/rc") && path.size > strlen("/etc/rc2.d/S01") &&
                   memcmp(path.bytes + strlen("/etc/rc2"), ".d/", 3) == 0) {
                name = span_skip(path, strlen("/etc/rc2.d/S01"));
                ret->role = UNIT_SYSV_LINK;
        }
        if (!is_sysv_name(name))
                return false;
        ret->in_etc = true;
        ret->scope = SCOPE_SYSTEM;
        ret->name = g_strdup_printf("%.*s.service", (int) name.size, name.bytes);
        return true;
}

bool unit_path_parse(Span path, UnitPath *ret)
{
        for (unsigned scope = 0; scope < _SCOPE_MAX; scope++)
                for (unsigned i = 0; unit_directories[scope][i]; i++) {
                        size_t n = strlen(unit_directories[scope][i]);

                        if (!span_starts_with(path, unit_directories[scope][i]) ||
                            path.size <= n + 1 || path.bytes[n] != '/')
                                continue;
                        ret->scope = (UnitScope) scope;
                        ret->in_etc = i == 0;
                        return parse_in_directory(span_skip(path, n + 1), ret);
                }
        return parse_sysv(path, ret);
}

bool unit_find(Span text, const char *section, const char *key, Span *ret)
{
        bool inside = false, found = false;
        Span line, name;

        while (span_next_line(&text, &line)) {
                line = span_trim(line);
                if (line.size == 0 || strchr("#;", line.bytes[0]))
                        continue;
                if (line.bytes[0] == '[') {
                        inside = line.size == strlen(section) + 2 &&
                                 memcmp(line.bytes + 1, section, strlen(section)) == 0;
                        continue;
                }
                if (!inside || !span_has(line, '=') || !span_next_part(&line, '=', &name) ||
                    !span_is(span_trim(name), key))
                        continue;
                *ret = span_trim(line);
                found = ret->size > 0;
        }
        return found;
}

bool unit_has_install(Span text)
{
        static const char *const keys[] = {"WantedBy", "RequiredBy", "UpheldBy", "Also", "Alias"};
        Span value;

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (unit_find(text, "Install", keys[i], &value))
                        return true;
        return false;
}

/* SPDX-License-Identifier: MIT */
#include "base/setting-file.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static int parse_line(const SettingForm *form, char *line, void *settings, bool *seen, Fault *f)
{
        char *equals = strchr(line, '=');

        if (!equals)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "expected 'key = value'");
        *equals = '\0';
        g_strchomp(line);
        for (size_t i = 0; i < form->n_keys; i++) {
                g_autofree char *name = form->name(i);
                if (!g_str_equal(name, line))
                        continue;
                if (seen[i])
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is set twice", name);
                seen[i] = true;
                Fault why = {0};
                int r = form->set(settings, i, g_strstrip(equals + 1), &why);
                return r < 0 ? fault_set(f, why.code, "%s: %s", name, why.message) : 0;
        }
        return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown key '%.80s'; see %s", line,
                         form->manual);
}

int setting_file_parse(const SettingForm *form, const char *path, const char *text, void *settings,
                       Fault *f)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autofree bool *seen = g_new0(bool, form->n_keys);

        for (size_t i = 0; lines[i]; i++) {
                char *line = g_strstrip(lines[i]);
                Fault why = {0};
                if (!*line || *line == '#')
                        continue;
                if (parse_line(form, line, settings, seen, &why) < 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "%s:%zu: %s", path, i + 1,
                                         why.message);
        }
        return 0;
}

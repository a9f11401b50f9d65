/* SPDX-License-Identifier: MIT */
#include "guestfs/subvolume.h"

#include <stdbool.h>
#include <string.h>

#define TARGET_MAX 1024

typedef struct Line {
        char *source, *target, *subvolume; /* the last may be NULL */
} Line;

static void free_subvolume(gpointer data)
{
        Subvolume *subvolume = data;

        g_free(subvolume->path);
        g_free(subvolume->target);
        g_free(subvolume);
}

/* fstab(5) writes what separates fields as \040 and so on, in place. */
static char *unescape(char *field)
{
        char *out = field;

        for (const char *p = field; *p; out++) {
                if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                    p[3] >= '0' && p[3] <= '7') {
                        *out = (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        p += 4;
                } else {
                        *out = *p++;
                }
        }
        *out = '\0';
        return field;
}

static char *strip_slashes(const char *path)
{
        while (*path == '/')
                path++;
        size_t n = strlen(path);
        while (n > 0 && path[n - 1] == '/')
                n--;
        return g_strndup(path, n);
}

/* Commas in it would be options of their own. */
static char *find_subvolume(const char *options)
{
        g_auto(GStrv) list = g_strsplit(options, ",", -1);

        for (char **option = list; *option; option++)
                if (g_str_has_prefix(*option, "subvol="))
                        return strip_slashes(*option + strlen("subvol="));
        return NULL;
}

static bool is_good_target(const char *target)
{
        g_auto(GStrv) parts = NULL;

        if (target[0] != '/' || strlen(target) > TARGET_MAX)
                return false;
        parts = g_strsplit(target + 1, "/", -1);
        for (char **part = parts; *part; part++)
                if (strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
                        return false;
        return true;
}

/* "/srv/x" of "//srv/x/" */
static char *clean_target(const char *target)
{
        g_auto(GStrv) parts = g_strsplit(target, "/", -1);
        GString *clean = g_string_new(NULL);

        for (char **part = parts; *part; part++)
                if (**part)
                        g_string_append_printf(clean, "/%s", *part);
        if (clean->len == 0)
                g_string_append_c(clean, '/');
        return g_string_free(clean, FALSE);
}

static bool parse_line(char *text, Line *ret)
{
        char *fields[4] = {NULL}, *rest = NULL;

        for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
                fields[i] = strtok_r(i == 0 ? text : NULL, " \t\r", &rest);
                if (!fields[i])
                        return false;
        }
        if (fields[0][0] == '#' || strcmp(fields[2], "btrfs") != 0 ||
            !is_good_target(unescape(fields[1])))
                return false;
        *ret = (Line){unescape(fields[0]), clean_target(fields[1]),
                      find_subvolume(unescape(fields[3]))};
        return true;
}

static int compare_targets(gconstpointer a, gconstpointer b)
{
        const Subvolume *x = *(Subvolume *const *) a, *y = *(Subvolume *const *) b;
        size_t n = strlen(x->target), m = strlen(y->target);

        return (n > m) - (n < m);
}

static void take_line(GPtrArray *subvolumes, Line *line, const char *root)
{
        Subvolume *subvolume;

        if (line->subvolume && strcmp(line->target, "/") != 0 && strcmp(line->source, root) == 0 &&
            subvolumes->len < SUBVOLUMES_MAX) {
                subvolume = g_new(Subvolume, 1);
                *subvolume = (Subvolume){g_steal_pointer(&line->subvolume),
                                         g_steal_pointer(&line->target)};
                g_ptr_array_add(subvolumes, subvolume);
        }
}

static char *find_root_source(char *const *lines)
{
        for (; *lines; lines++) {
                g_autofree char *copy = g_strdup(*lines);
                Line line = {NULL};
                bool is_root =
                        parse_line(copy, &line) && line.target && strcmp(line.target, "/") == 0;
                char *source = is_root ? g_strdup(line.source) : NULL;

                g_free(line.target);
                g_free(line.subvolume);
                if (is_root)
                        return source;
        }
        return NULL;
}

GPtrArray *subvolumes_parse(const char *text, size_t size)
{
        GPtrArray *subvolumes = g_ptr_array_new_with_free_func(free_subvolume);
        g_autofree char *copy = g_strndup(text, size);
        g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
        g_autofree char *root = find_root_source(lines);

        for (char **at = lines; root && *at; at++) {
                Line line = {NULL};

                if (parse_line(*at, &line))
                        take_line(subvolumes, &line, root);
                g_free(line.target);
                g_free(line.subvolume);
        }
        g_ptr_array_sort(subvolumes, compare_targets);
        return subvolumes;
}

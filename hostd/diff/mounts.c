/* SPDX-License-Identifier: MIT */
#include "diff/mounts.h"

#include <string.h>

static void mount_free(gpointer data)
{
        Mount *mount = data;

        g_free(mount->source);
        g_free(mount->target);
        g_free(mount->subvolume);
        g_free(mount);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* The next field of the line, in which \040 and its like stand for a byte; NULL at its end. */
static char *take_field(const char **at, const char *end)
{
        GString *field = g_string_new(NULL);
        const char *p = *at;

        while (p < end && is_blank(*p))
                p++;
        for (; p < end && !is_blank(*p); p++) {
                unsigned value = 0, n = 0;

                while (*p == '\\' && n < 3 && p + 1 + n < end && p[1 + n] >= '0' && p[1 + n] <= '7')
                        value = value * 8 + (unsigned) (p[1 + n++] - '0');
                if (n == 3 && value > 0 && value <= 255) {
                        g_string_append_c(field, (char) value);
                        p += 3;
                } else {
                        g_string_append_c(field, *p);
                }
        }
        *at = p;
        return g_string_free(field, field->len == 0);
}

static bool has_option(const char *options, const char *wanted)
{
        g_auto(GStrv) list = g_strsplit(options, ",", -1);

        return g_strv_contains((const char *const *) list, wanted);
}

static char *find_subvolume(const char *options)
{
        static const char name[] = "subvol=";
        g_auto(GStrv) list = g_strsplit(options, ",", -1);

        for (char **option = list; *option; option++) {
                if (!g_str_has_prefix(*option, name))
                        continue;
                const char *path = *option + strlen(name);
                while (*path == '/')
                        path++;
                size_t n = strlen(path);
                while (n > 0 && path[n - 1] == '/')
                        n--;
                return g_strndup(path, n);
        }
        return NULL;
}

/* NULL where it is not absolute, or goes up. */
static char *normalise(const char *target)
{
        g_auto(GStrv) names = g_strsplit(target, "/", -1);
        g_autoptr(GString) out = g_string_new(NULL);

        if (target[0] != '/')
                return NULL;
        for (unsigned i = 0; names[i]; i++) {
                if (strcmp(names[i], ".") == 0 || strcmp(names[i], "..") == 0)
                        return NULL;
                if (*names[i])
                        g_string_append_printf(out, "/%s", names[i]);
        }
        return g_strdup(out->len > 0 ? out->str : "/");
}

static Mount *parse_line(const char *line, const char *end)
{
        g_autofree char *source = take_field(&line, end), *target = take_field(&line, end);
        g_autofree char *type = take_field(&line, end), *options = take_field(&line, end);

        if (!source || source[0] == '#' || !target || !type || strcmp(type, "swap") == 0)
                return NULL;
        if (options && (has_option(options, "noauto") || has_option(options, "bind") ||
                        has_option(options, "rbind")))
                return NULL;
        char *path = normalise(target);
        if (!path)
                return NULL;
        Mount *mount = g_new(Mount, 1);
        *mount = (Mount){g_steal_pointer(&source), path,
                         options && strcmp(type, "btrfs") == 0 ? find_subvolume(options) : NULL};
        return mount;
}

GPtrArray *mounts_parse(const char *text, size_t size)
{
        GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);
        const char *end = text + size;

        /* A NUL ends the file: no program reads on behind it. */
        if (size > 0 && memchr(text, '\0', size))
                end = memchr(text, '\0', size);
        while (text < end && mounts->len < MOUNTS_MAX) {
                const char *newline = memchr(text, '\n', (size_t) (end - text));
                const char *line_end = newline ? newline : end;
                Mount *mount = parse_line(text, line_end);

                if (mount)
                        g_ptr_array_add(mounts, mount);
                text = line_end + 1;
        }
        return mounts;
}

static bool is_tag(const char *source, const char *tag, const char *directory, const char *value)
{
        size_t n = strlen(tag);

        if (!value || !*value)
                return false;
        if (g_str_has_prefix(source, "/dev/disk/") &&
            g_str_has_prefix(source + strlen("/dev/disk/"), directory) &&
            source[strlen("/dev/disk/") + strlen(directory)] == '/')
                return strcmp(source + strlen("/dev/disk/") + strlen(directory) + 1, value) == 0;
        if (strncmp(source, tag, n) != 0 || source[n] != '=')
                return false;
        source += n + 1;
        size_t length = strlen(source);
        if (length >= 2 && source[0] == '"' && source[length - 1] == '"') {
                source++;
                length -= 2;
        }
        return length == strlen(value) && g_ascii_strncasecmp(source, value, length) == 0;
}

/* /dev/vda, /dev/vda1; /dev/nvme0n1p1 where the disk's name ends in a digit. */
static bool is_device(const char *name, const MountNames *names)
{
        size_t n = names->disk ? strlen(names->disk) : 0;
        char number[16] = "";

        if (n == 0)
                return false;
        if (names->partition > 0)
                (void) g_snprintf(number, sizeof(number), "%s%u",
                                  g_ascii_isdigit(names->disk[n - 1]) ? "p" : "", names->partition);
        return strncmp(name, names->disk, n) == 0 && strcmp(name + n, number) == 0;
}

/* /dev/vg/lv, or /dev/mapper/vg-lv, in which dashes of the names are doubled. */
static bool is_volume(const char *name, const char *volume)
{
        g_autoptr(GString) mapped = g_string_new(NULL);

        if (strcmp(name, volume) == 0)
                return true;
        if (!g_str_has_prefix(name, "mapper/"))
                return false;
        for (const char *p = volume; *p; p++)
                g_string_append(mapped, *p == '-' ? "--" : (*p == '/' ? "-" : (char[]){*p, '\0'}));
        return strcmp(name + strlen("mapper/"), mapped->str) == 0;
}

bool mount_is_of(const Mount *mount, const MountNames *names)
{
        const char *source = mount->source;

        if (is_tag(source, "UUID", "by-uuid", names->uuid) ||
            is_tag(source, "LABEL", "by-label", names->label) ||
            is_tag(source, "PARTUUID", "by-partuuid", names->partition_uuid) ||
            is_tag(source, "PARTLABEL", "by-partlabel", names->partition_name))
                return true;
        if (!g_str_has_prefix(source, "/dev/"))
                return false;
        source += strlen("/dev/");
        return names->volume ? is_volume(source, names->volume) : is_device(source, names);
}

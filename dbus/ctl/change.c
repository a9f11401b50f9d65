/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/change.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const ChangeInfo change_infos[_CHANGE_MAX] = {
        [CHANGE_ADDED] = {"added", "A", "added", COLOUR_ADDED},
        [CHANGE_REMOVED] = {"removed", "D", "removed", COLOUR_REMOVED},
        [CHANGE_MODIFIED] = {"modified", "M", "modified", COLOUR_CHANGED},
        [CHANGE_METADATA] = {"metadata", "m", "metadata only", COLOUR_CHANGED},
        [CHANGE_TYPE] = {"type", "T", "other type", COLOUR_CHANGED},
        [CHANGE_UNKNOWN] = {"unknown", "?", "changed in another way", COLOUR_CHANGED},
};

static const struct {
        unsigned bit;
        const char *name;
} special_bits[] = {{04000, "setuid"}, {02000, "setgid"}, {01000, "sticky"}};

static Json *find_object(const Change *c, const char *key)
{
        Json *object = NULL;

        return json_find_object(c->json, key, &object) ? object : NULL;
}

Json *change_old(const Change *c)
{
        return find_object(c, "old");
}

Json *change_new(const Change *c)
{
        return find_object(c, "new");
}

static ChangeKind find_kind(Json *json)
{
        const char *name = json_text(json, "change");

        for (unsigned i = 0; i < CHANGE_UNKNOWN; i++)
                if (g_str_equal(change_infos[i].name, name))
                        return i;
        return CHANGE_UNKNOWN;
}

/* The path itself, or what stands for it where there is no exact one. */
static char *decode_path(Json *json, size_t *ret_size)
{
        const char *exact = json_text(json, "path_b64");

        if (*exact) {
                gsize size;
                g_autofree guchar *bytes = g_base64_decode(exact, &size);
                *ret_size = size;
                return g_strndup((const char *) bytes, size);
        }
        const char *path = json_text(json, "path");
        *ret_size = strlen(path);
        return g_strdup(path);
}

int change_parse(const DocumentPart *part, Change *ret, Fault *f)
{
        g_auto(Change) c = {.index = part->index};

        int r = document_parse(part, &c.json, f);
        if (r < 0)
                return r;
        c.path = decode_path(c.json, &c.path_size);
        if (*c.path != '/' || strlen(c.path) != c.path_size)
                return fault_set(f, FAULT_INTERNAL,
                                 "fluid-hostd's document is damaged: a change has no path");
        c.kind = find_kind(c.json);
        c.filesystem = json_number(c.json, "filesystem");
        Json *old = change_old(&c);
        c.is_directory = g_str_equal(json_text(c.json, "kind"), "directory") ||
                         (old && g_str_equal(json_text(old, "kind"), "directory"));
        *ret = c;
        c = (Change){0};
        return 0;
}

void change_done(Change *c)
{
        json_object_put(c->json);
        g_free(c->path);
        *c = (Change){0};
}

typedef struct Each {
        bool (*wants)(uint64_t index, void *userdata);
        int (*each)(const Change *c, void *userdata, Fault *f);
        void *userdata;
} Each;

static bool wants_part(const char *member, uint64_t index, void *userdata)
{
        const Each *e = userdata;

        return g_str_equal(member, "changes") && (!e->wants || e->wants(index, e->userdata));
}

static int on_part(const DocumentPart *part, void *userdata, Fault *f)
{
        g_auto(Change) change = {0};
        const Each *e = userdata;

        if (part->is_end)
                return 0;
        int r = change_parse(part, &change, f);
        return r < 0 ? r : e->each(&change, e->userdata, f);
}

int change_each(int fd, bool (*wants)(uint64_t index, void *userdata),
                int (*each)(const Change *c, void *userdata, Fault *f), void *userdata, Fault *f)
{
        Each e = {wants, each, userdata};
        const DocumentReader reader = {wants_part, on_part, &e};

        int r = document_rewind(fd, f);
        return r < 0 ? r : document_read(fd, &reader, f);
}

/* -- in words ---------------------------------------------------------------------------------- */

static unsigned mode_of(Json *state)
{
        return state ? (unsigned) strtoul(json_text(state, "mode"), NULL, 8) : 0;
}

static void add_special_bits(GString *out, Json *old, Json *new)
{
        unsigned before = mode_of(old), after = mode_of(new);

        for (size_t i = 0; i < G_N_ELEMENTS(special_bits); i++) {
                unsigned bit = special_bits[i].bit;
                if ((after & bit) && !(before & bit))
                        append_item(out, "%s", special_bits[i].name);
                else if (new && (before & bit) && !(after & bit))
                        append_item(out, "no longer %s", special_bits[i].name);
        }
}

static void add_number(GString *out, const char *what, const char *key, Json *old, Json *new)
{
        uint64_t before = json_number(old, key), after = json_number(new, key);

        if (before != after)
                append_item(out, "%s %" PRIu64 " → %" PRIu64, what, before, after);
}

static void add_xattrs(GString *out, Json *old, Json *new)
{
        Json *before = NULL, *after = NULL, *other;

        if (!json_find_object(old, "xattrs", &before) || !json_find_object(new, "xattrs", &after))
                return;
        json_object_object_foreach(after, name, value)
        {
                if (!json_object_object_get_ex(before, name, &other))
                        append_item(out, "attribute %s added", name);
                else if (!json_object_equal(value, other))
                        append_item(out, "attribute %s changed", name);
        }
        json_object_object_foreach(before, gone, ignored)
        {
                (void) ignored;
                if (!json_object_object_get_ex(after, gone, &other))
                        append_item(out, "attribute %s removed", gone);
        }
}

static void add_attributes(GString *out, Json *old, Json *new)
{
        if (old && new) {
                const char *before = json_text(old, "mode"), *after = json_text(new, "mode");
                if (!g_str_equal(before, after))
                        append_item(out, "mode %s → %s", before, after);
        }
        add_special_bits(out, old, new);
        if (!old || !new)
                return;
        add_number(out, "owner", "uid", old, new);
        add_number(out, "group", "gid", old, new);
        add_xattrs(out, old, new);
}

static void add_size(GString *out, Json *old, Json *new)
{
        uint64_t before = old ? json_number(old, "size") : 0;
        g_autofree char *size = size_format(json_number(new, "size"));

        if (!old) {
                append_item(out, "%s", size);
        } else if (before != json_number(new, "size")) {
                g_autofree char *was = size_format(before);
                append_item(out, "%s → %s", was, size);
        }
}

/* Where a link points to, and what a device is. */
static void add_value(GString *out, const char *key, const char *before, Json *old, Json *new)
{
        const char *is = json_text(new, key), *was = old ? json_text(old, key) : "";

        if (*is && (!old || !g_str_equal(is, was)))
                append_item(out, "%s%s%s%s", before, is, *was ? ", was " : "", was);
}

static void add_content(GString *out, const Change *c, Json *old, Json *new)
{
        if (!new)
                return;
        if (g_str_equal(json_text(c->json, "kind"), "file") && c->kind != CHANGE_TYPE)
                add_size(out, old, new);
        add_value(out, "target", "→ ", old, new);
        add_value(out, "device", "device ", old, new);
}

char *change_describe_attributes(const Change *c)
{
        GString *out = g_string_new(NULL);

        add_attributes(out, change_old(c), change_new(c));
        return g_string_free(out, FALSE);
}

char *change_describe(const Change *c)
{
        Json *old = change_old(c), *new = change_new(c);
        GString *out = g_string_new(NULL);

        if (c->kind == CHANGE_TYPE && old)
                append_item(out, "%s → %s", json_text(old, "kind"), json_text(c->json, "kind"));
        if (c->kind != CHANGE_METADATA)
                add_content(out, c, old, new);
        add_attributes(out, old, new);
        if (c->kind == CHANGE_METADATA && out->len == 0)
                append_item(out, "time");
        return g_string_free(out, FALSE);
}

/* -- counts ------------------------------------------------------------------------------------ */

uint64_t counts_total(const Counts *c)
{
        uint64_t total = 0;

        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                total += c->by_kind[i];
        return total;
}

char *counts_format(const Counts *c)
{
        GString *out = g_string_new(NULL);

        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                if (c->by_kind[i] > 0)
                        append_item(out, "%" PRIu64 " %s", c->by_kind[i], change_infos[i].title);
        return g_string_free(out, FALSE);
}

Json *counts_to_json(const Counts *c)
{
        Json *object = json_object_new_object();

        for (unsigned i = 0; i < CHANGE_UNKNOWN; i++)
                (void) json_object_object_add(object, change_infos[i].name,
                                              json_object_new_uint64(c->by_kind[i]));
        return object;
}

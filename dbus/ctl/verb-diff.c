/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/document.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

static struct {
        bool stat;
} arg;

static const Option options[] = {
        {.name = "stat", .flag = &arg.stat, .help = "only count, by kind of change and directory"},
};

enum { KINDS = 5 };

static const struct {
        const char *name, *letter, *title;
} kinds[KINDS] = {
        {"added", "A", "added"},       {"removed", "D", "removed"},
        {"modified", "M", "modified"}, {"metadata", "m", "metadata only"},
        {"type", "T", "other type"},
};

typedef struct Counts {
        uint64_t by_kind[KINDS];
} Counts;

typedef struct Summary {
        Counts total;
        GTree *directories; /* "/etc" to its Counts */
} Summary;

/* -1 for a kind that this program does not know. */
static int find_kind(Json *change)
{
        const char *name = json_text(change, "change");

        for (int i = 0; i < KINDS; i++)
                if (g_str_equal(kinds[i].name, name))
                        return i;
        return -1;
}

static void count(Summary *s, const char *path, int kind)
{
        size_t length = *path == '/' ? 1 + strcspn(path + 1, "/") : strcspn(path, "/");
        g_autofree char *top = g_strndup(path, length);
        Counts *counts = g_tree_lookup(s->directories, top);

        if (!counts) {
                counts = g_new0(Counts, 1);
                g_tree_insert(s->directories, TAKE_PTR(top), counts);
        }
        counts->by_kind[kind]++;
        s->total.by_kind[kind]++;
}

static int on_change(Json *change, void *userdata, Fault *f)
{
        const char *path = json_text(change, "path");
        Summary *summary = userdata;

        (void) f;
        int kind = find_kind(change);
        if (kind >= 0)
                count(summary, path, kind);
        if (!arg.stat)
                print_line("%s %s", kind >= 0 ? kinds[kind].letter : "?", path);
        return 0;
}

static gboolean add_directory(gpointer key, gpointer value, gpointer table)
{
        const Counts *counts = value;
        char cells[KINDS][24];

        for (int i = 0; i < KINDS; i++)
                g_snprintf(cells[i], sizeof cells[i], "%" PRIu64, counts->by_kind[i]);
        table_add(table, cells[0], cells[1], cells[2], cells[3], cells[4], key, NULL);
        return FALSE;
}

static void print_summary(const Summary *s)
{
        g_autoptr(Table) table =
                table_new("ADDED", "REMOVED", "MODIFIED", "METADATA", "TYPE", "DIRECTORY", NULL);
        g_autoptr(GString) line = g_string_new(NULL);

        for (int i = 0; i < KINDS; i++)
                if (s->total.by_kind[i] > 0)
                        g_string_append_printf(line, "%s%" PRIu64 " %s", line->len ? ", " : "",
                                               s->total.by_kind[i], kinds[i].title);
        if (arg.stat && line->len > 0) {
                g_tree_foreach(s->directories, add_directory, table);
                table_print(table);
        }
        print_line("%s", line->len ? line->str : "no differences");
}

static int compare(gconstpointer a, gconstpointer b, gpointer userdata)
{
        (void) userdata;
        return strcmp(a, b);
}

/* The stat as an object: {"added":N,…,"directories":{"/etc":{"added":N,…}}}. */
static Json *counts_to_json(const Counts *counts)
{
        Json *object = json_object_new_object();

        for (int i = 0; i < KINDS; i++)
                (void) json_object_object_add(object, kinds[i].name,
                                              json_object_new_uint64(counts->by_kind[i]));
        return object;
}

static gboolean add_directory_json(gpointer key, gpointer value, gpointer directories)
{
        (void) json_object_object_add(directories, key, counts_to_json(value));
        return FALSE;
}

static void print_summary_json(const Summary *s)
{
        g_autoptr(Json) object = counts_to_json(&s->total);
        Json *directories = json_object_new_object();

        g_tree_foreach(s->directories, add_directory_json, directories);
        (void) json_object_object_add(object, "directories", directories);
        print_json(object);
}

static int print_changes(const Ctl *ctl, int fd, Fault *f)
{
        Summary summary = {.directories = g_tree_new_full(compare, NULL, g_free, g_free)};

        int r = document_each(fd, "changes", on_change, &summary, f);
        if (r >= 0 && ctl->json)
                print_summary_json(&summary);
        else if (r >= 0 && !ctl->quiet)
                print_summary(&summary);
        g_tree_destroy(summary.directories);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        const char *from = args[1] ? args[1] : "template";
        const char *to = args[1] && args[2] ? args[2] : "now";
        g_autoptr(BusMessage) reply = NULL;
        g_autofree char *path = NULL;
        int fd;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r < 0)
                return r;
        progress_begin(ctl, "comparing '%s' with '%s'", from, to);
        r = bus_request(ctl, BUS_TIMEOUT_LONG_USEC, path, INTERFACE_SANDBOX, "Diff", &reply, f,
                        "ssa{sv}", from, to, 0);
        progress_end(ctl);
        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r < 0)
                return r;
        return ctl->json && !arg.stat ? document_copy(fd, f) : print_changes(ctl, fd, f);
}

const Verb verb_diff = {
        .name = "diff",
        .summary = "show what differs between two points of a sandbox's disk",
        .usage = "NAME [FROM [TO]]",
        .help = "A point is template (the default for FROM), a snapshot, or now (the default for "
                "TO). Each line is a letter and a path: A added, D removed, M modified, m only "
                "owner, mode or time, T became another kind of file; a summary ends it, unless "
                "--quiet. With --json all that is known: see fluid-diff(1).",
        .example = "diff web1 installed now",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 3,
        .run = run,
};

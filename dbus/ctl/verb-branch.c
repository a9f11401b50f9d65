/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/name.h"
#include "dbus/ctl/creation.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#define COUNT_MAX 1000

static struct {
        const char *name;
        uint64_t count; /* UINT64_MAX: not given */
        Creation creation;
} arg = {.count = UINT64_MAX, .creation = {CREATION_INIT}};

static const Option options[] = {
        {.name = "name",
         .argument = "NAME",
         .string = &arg.name,
         .help = "by default its id; with --count NAME-1, NAME-2, ..."},
        {.name = "count",
         .argument = "N",
         .number = &arg.count,
         .help = "make that many, all of the same point"},
        {.name = "boots",
         .flag = &arg.creation.boots,
         .help = "boot it even where the snapshot has a memory, and take a new one without"},
        CREATION_OPTIONS(arg.creation),
};

typedef struct Branch {
        char *path, *name;
} Branch;

static void free_branch(gpointer data)
{
        Branch *b = data;

        g_free(b->path);
        g_free(b->name);
        g_free(b);
}

static int call_branch(Ctl *ctl, const char *source, const char *point, const char *name,
                       char **ret_path, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, source, INTERFACE_SANDBOX, "Branch", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", point);
        bus_options_open(m);
        r = creation_append(ctl, &arg.creation, name, m, f);
        if (r < 0)
                return r;
        bus_options_close(m);
        return bus_call_path(ctl, m, BUS_TIMEOUT_LONG_USEC, ret_path, f);
}

/* Begins one. `point` becomes the snapshot that was taken for it where it was "now". */
static int begin(Ctl *ctl, const char *source, char **point, const char *name, GPtrArray *branches,
                 Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(Json) sandbox = NULL;

        progress_begin(ctl, "branching");
        int r = call_branch(ctl, source, *point, name, &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_SANDBOX, &sandbox, f);
        progress_end(ctl);
        if (r < 0)
                return r;
        Branch *b = g_new0(Branch, 1);
        b->path = TAKE_PTR(path);
        b->name = g_strdup(json_text(sandbox, "name"));
        g_ptr_array_add(branches, b);
        if (g_str_equal(*point, POINT_NOW)) {
                g_free(*point);
                *point = g_strdup(json_text(sandbox, "head"));
        }
        return 0;
}

static int begin_all(Ctl *ctl, const char *source, const char *snapshot, GPtrArray *branches,
                     Fault *f)
{
        g_autofree char *point = g_strdup(snapshot);
        uint64_t n = arg.count == UINT64_MAX ? 1 : arg.count;
        int r = 0;

        for (uint64_t i = 1; r >= 0 && i <= n; i++) {
                g_autofree char *name = arg.count == UINT64_MAX || !arg.name
                                                ? g_strdup(arg.name)
                                                : g_strdup_printf("%s-%" PRIu64, arg.name, i);
                r = begin(ctl, source, &point, name, branches, f);
        }
        return r;
}

/* Waits for one, and puts it with those that are there. */
static int finish(Ctl *ctl, const Branch *b, Json *made, Fault *f)
{
        g_autoptr(Json) sandbox = NULL;
        int r = 0;

        if (!arg.creation.no_wait)
                r = creation_wait(ctl, &arg.creation, b->path, b->name, f);
        if (r >= 0)
                r = bus_properties(ctl, b->path, INTERFACE_SANDBOX, &sandbox, f);
        if (r < 0)
                return r;
        if (!ctl->json)
                print_line("%s", b->name);
        (void) json_object_array_add(made, TAKE_PTR(sandbox));
        return 0;
}

/* Those that can be made are, where others cannot; the first reason is the result's. */
static void finish_all(Ctl *ctl, const GPtrArray *branches, Json *made, Fault *first)
{
        for (guint i = 0; i < branches->len; i++) {
                Fault reason = {0};
                if (finish(ctl, branches->pdata[i], made, &reason) >= 0)
                        continue;
                if (!fault_is_set(first))
                        *first = reason;
                else
                        fprintf(stderr, "fluidctl: %s\n", reason.message);
                if (reason.code == FAULT_CANCELLED)
                        return;
        }
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(GPtrArray) branches = g_ptr_array_new_with_free_func(free_branch);
        g_autoptr(Json) made = json_object_new_array();
        g_autofree char *source = NULL;
        Fault first = {0};

        if (arg.count == 0 || (arg.count > COUNT_MAX && arg.count != UINT64_MAX))
                return usage_error(ctl, f, "--count: from 1 to %d", COUNT_MAX);
        int r = creation_check(ctl, &arg.creation, f);
        if (r >= 0)
                r = sandbox_find(ctl, args[0], &source, f);
        if (r < 0)
                return r;
        (void) begin_all(ctl, source, args[1] ? args[1] : POINT_NOW, branches, &first);
        if (first.code != FAULT_CANCELLED)
                finish_all(ctl, branches, made, &first);
        if (ctl->json && arg.count != UINT64_MAX)
                print_json(made);
        else if (ctl->json && json_object_array_length(made) > 0)
                print_json(json_object_array_get_idx(made, 0));
        return fault_is_set(&first) ? fault_set(f, first.code, "%s", first.message) : 0;
}

const Verb verb_branch = {
        .name = "branch",
        .summary = "make independent copies of a sandbox and wait until they are ready",
        .usage = "NAME [SNAP]",
        .help = "Of a snapshot, or of now, for which one is taken: with memory where the sandbox runs, so "
                "that a copy runs on as what it is a copy of. Prints the name of each; with --count and "
                "--json they are an array. One that fails is destroyed after its reason is shown.",
        .example = "branch web1 installed --name try --count 3",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 2,
        .run = run,
};

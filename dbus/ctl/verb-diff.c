/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/diff-filter.h"
#include "dbus/ctl/diff-patch.h"
#include "dbus/ctl/diff-sections.h"
#include "dbus/ctl/diff-stat.h"
#include "dbus/ctl/diff-tree.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <inttypes.h>
#include <stdio.h>

static struct {
        bool summary, stat, patch, all, exit_code, no_pager;
        const char *path, *color;
} arg;

static const Option options[] = {
        {.name = "summary", .flag = &arg.summary, .help = "only the summary"},
        {.name = "stat", .flag = &arg.stat, .help = "only count, by kind of change and directory"},
        {.name = "patch", .flag = &arg.patch, .help = "what changed in each file, line by line"},
        {.name = "path",
         .argument = "PREFIX",
         .string = &arg.path,
         .help = "only what is at or below that path, in every form; \\xNN stands for a byte"},
        {.name = "all",
         .flag = &arg.all,
         .help = "show every file: also those of packages, noise, and of large directories"},
        {.name = "exit-code",
         .flag = &arg.exit_code,
         .help = "end with status 6 where something differs, or differs and was not read"},
        OPTION_COLOR(arg.color),
        OPTION_NO_PAGER(arg.no_pager),
};

static int print_path(const Change *c, void *userdata, Fault *f)
{
        g_autofree char *path = escape_print(c->path, c->path_size);

        (void) userdata, (void) f;
        printf("%s %s\n", change_infos[c->kind].letter, path);
        return ferror(stdout) ? DOCUMENT_STOP : 0;
}

static int print_summary_json(const Digest *d)
{
        g_autoptr(Json) object = json_object_new_object();

        (void) json_object_object_add(object, "from", json_object_new_string(d->from));
        (void) json_object_object_add(object, "to", json_object_new_string(d->to));
        (void) json_object_object_add(object, "summary",
                                      json_object_get(d->sections[SECTION_SUMMARY].elements));
        (void) json_object_object_add(object, "changes", counts_to_json(&d->counts));
        (void) json_object_object_add(object, "findings",
                                      json_object_get(d->sections[SECTION_FINDINGS].elements));
        (void) json_object_object_add(object, "not_read",
                                      json_object_get(d->sections[SECTION_NOT_READ].elements));
        print_json(object);
        return 0;
}

/* "7 of 700; 281 of packages, 412 noise; --all shows them" */
static char *format_files(const Digest *d, uint64_t n_shown)
{
        g_autoptr(GString) out = g_string_new(NULL);
        uint64_t n_packages = d->n_folded[FOLD_PACKAGE], n_noise = d->n_folded[FOLD_NOISE];

        if (n_shown == d->n_changes)
                return g_strdup_printf("%" PRIu64, n_shown);
        g_string_append_printf(out, "%" PRIu64 " of %" PRIu64 "; ", n_shown, d->n_changes);
        if (n_packages > 0)
                g_string_append_printf(out, "%" PRIu64 " of packages", n_packages);
        if (n_noise > 0)
                g_string_append_printf(out, "%s%" PRIu64 " noise", n_packages > 0 ? ", " : "",
                                       n_noise);
        g_string_append(out, "; --all shows them");
        return g_string_free(TAKE_PTR(out), FALSE);
}

static int print_view(const char *sandbox, int fd, Digest *d, const char *base, Fault *f)
{
        g_autoptr(DiffTree) tree = diff_tree_new(fd, d, arg.all, base, f);
        int r = 0;

        if (!tree)
                return fault_to_errno(f->code);
        diff_print_summary(d, sandbox);
        if (!digest_has_differences(d))
                return 0;
        diff_print_sections(d);
        if (d->n_changes > 0) {
                g_autofree char *files = format_files(d, diff_tree_n_changes(tree));
                diff_print_title("Files", files);
                r = diff_tree_print(tree, fd, f);
        }
        if (r >= 0)
                diff_print_rest(d);
        return r;
}

static int print_patch(const char *sandbox, int fd, const Digest *d, Fault *f)
{
        uint64_t n_folded = d->n_folded[FOLD_PACKAGE] + d->n_folded[FOLD_NOISE];

        diff_print_summary(d, sandbox);
        int r = diff_patch_print(fd, d, arg.all, f);
        if (r < 0)
                return r;
        if (n_folded > 0 && !arg.all) {
                g_autofree char *files = format_files(d, d->n_changes - n_folded);
                diff_print_title("Files", files);
        }
        if (d->contents_truncated)
                print_line("%s", "The contents of further files were too much and are not shown: "
                                 "see --path, and 'cat'.");
        return 0;
}

/* Whether more is wanted than the changes, one by one, or the document as it is. */
static bool needs_digest(const Ctl *ctl)
{
        if (arg.exit_code || arg.summary)
                return true;
        return !ctl->json && !ctl->quiet && !arg.stat;
}

/* `d` is NULL where nothing needs it. */
static int print_document(const Ctl *ctl, const char *sandbox, int fd, Digest *d, const char *base,
                          Fault *f)
{
        if (arg.stat)
                return diff_stat_print(fd, base, ctl->json, f);
        if (d && ctl->json && arg.summary)
                return print_summary_json(d);
        if (ctl->json) {
                int r = document_rewind(fd, f);
                return r < 0 ? r : document_copy(fd, f);
        }
        if (ctl->quiet)
                return change_each(fd, NULL, print_path, NULL, f);
        g_assert(d);
        if (arg.patch)
                return print_patch(sandbox, fd, d, f);
        if (arg.summary) {
                diff_print_summary(d, sandbox);
                return 0;
        }
        return print_view(sandbox, fd, d, base, f);
}

/* The document, or what of it is at or below the path; `ret_own` is the caller's to close. */
static int prepare(int fd, const char *base, int *ret_own, Fault *f)
{
        autofd copy = -1;

        int r = document_keep(fd, &copy, f);
        if (r < 0 || !base) {
                *ret_own = TAKE_FD(copy);
                return r;
        }
        return diff_filter(copy >= 0 ? copy : fd, base, ret_own, f);
}

/* Longer than it takes to read what fluid-diff reads itself, mostly. */
#define TELL_USEC (20 * USEC_PER_SEC)

typedef struct Waiting {
        Ctl *ctl;
        const char *from, *to;
        uint64_t begun_usec;
} Waiting;

static void on_tick(void *userdata)
{
        const Waiting *waiting = userdata;

        if (now_monotonic_usec() - waiting->begun_usec > TELL_USEC)
                progress_say(waiting->ctl,
                             "comparing '%s' with '%s' (xfs and btrfs may take minutes)",
                             waiting->from, waiting->to);
}

static int call(Ctl *ctl, char **args, BusMessage **ret_reply, Fault *f)
{
        const char *from = args[1] ? args[1] : "template";
        const char *to = args[1] && args[2] ? args[2] : "now";
        g_autoptr(BusMessage) m = NULL;
        g_autofree char *path = NULL;

        int r = sandbox_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_SANDBOX, "Diff", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "ss", from, to);
        bus_options_open(m);
        bus_option_bool(m, "contents", arg.patch);
        bus_options_close(m);
        progress_begin(ctl, "comparing '%s' with '%s'", from, to);
        Waiting waiting = {ctl, from, to, now_monotonic_usec()};
        r = bus_call_with(ctl, m, BUS_TIMEOUT_LONG_USEC, on_tick, &waiting, ret_reply, f);
        progress_end(ctl);
        return r;
}

static int check_options(Ctl *ctl, char **ret_base, Fault *f)
{
        if (arg.summary + arg.stat + arg.patch > 1)
                return usage_error(ctl, f, "--summary, --stat and --patch exclude each other");
        int r = colour_choose(arg.color, f);
        if (r >= 0 && arg.path)
                r = diff_filter_parse_path(arg.path, ret_base, f);
        return r;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autoptr(Digest) digest = NULL;
        g_autofree char *base = NULL;
        autofd own = -1;
        int fd = -1;

        int r = check_options(ctl, &base, f);
        if (r >= 0)
                r = call(ctl, args, &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r >= 0)
                r = prepare(fd, base, &own, f);
        if (r < 0)
                return r;
        fd = own >= 0 ? own : fd;
        if (needs_digest(ctl))
                digest = digest_new(fd, f);
        if (needs_digest(ctl) && !digest)
                return fault_to_errno(f->code);
        if (!arg.no_pager && !ctl->quiet)
                pager_begin();
        r = print_document(ctl, args[0], fd, digest, base, f);
        if (r < 0)
                return r;
        return digest && arg.exit_code && digest_has_differences(digest) ? EXIT_DIFFERENT : 0;
}

const Verb verb_diff = {
        .name = "diff",
        .summary = "show what differs between two points of a sandbox's disk",
        .usage = "NAME [FROM [TO]]",
        .help = "A point is template (the default for FROM), a snapshot, or now (the default for "
                "TO). First what an administrator would say; then packages, services, users and so "
                "on, with findings (what deserves a look) first; then a tree of the changed files "
                "that belong to no package and are no noise: A added, D removed, M modified, m "
                "only owner, mode, attributes or time, T became another kind of file. Noise, "
                "and directories with more than 32 changed entries, or below the first level of more "
                "than 64 lines, are told by their counts. What differs and could not be "
                "read ends it, and is said in the summary. xfs and btrfs are read in a virtual "
                "machine, where libguestfs is installed, which may take minutes. With --quiet only letters and paths, "
                "one a line. With --json all that is known, with --patch with the contents of "
                "files; diff.schema.json describes the document. Whatever a terminal would act on is shown as \\xNN.",
        .example = "diff web1 installed now --path /etc --patch",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 3,
        .run = run,
};

/* SPDX-License-Identifier: MIT */
#include "diff/arguments.h"

#include "base/quantity.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define MEMORY_DEFAULT (UINT64_C(512) << 20)

static const char usage[] =
        "Usage: fluid-diff [OPTION…] OLD NEW [OLD NEW…]\n"
        "       fluid-diff [OPTION…] --old [DISK=]FD:FORMAT[,…]… --new [DISK=]FD:FORMAT[,…]…\n"
        "       fluid-diff [OPTION…] --cat PATH IMAGE…\n"
        "       fluid-diff [OPTION…] --extract PATH IMAGE…\n"
        "\n"
        "Shows what differs between the file systems of a guest at two points: files added (A),\n"
        "removed (D), modified (M), of another type (T), or with other metadata only (m). There is a\n"
        "pair of images for each disk: vda, vdb, and so on. File systems are found in partitions and\n"
        "in linear volumes of LVM; ext2, ext3 and ext4 are read, all others that differ are named:\n"
        "fluid-diff-guestfs, which takes the same arguments, reads xfs and btrfs, too.\n"
        "Paths are as the guest's own /etc/fstab has them. The images are read, never mounted and\n"
        "never written; backing files are followed. The end says what the changes mean: packages,\n"
        "services, accounts, settings, and what is noise.\n"
        "\n"
        "      --json               one JSON document instead of a list\n"
        "      --contents           with the content of changed text files (JSON only)\n"
        "      --cat PATH           write the content of one file instead\n"
        "      --extract PATH       write a file or directory as a pax archive instead\n"
        "      --playbook           write a playbook for Ansible that makes NEW of OLD instead, as a pax\n"
        "                             archive\n"
        "      --allow-secrets      let files that look like secrets be in it\n"
        "      --allow-setuid       let it make set-uid and set-gid programs\n"
        "      --document FD        keep the diff that a playbook is made of in that file, too\n"
        "      --summary FD         and its summary: a JSON list of lines\n"
        "      --history FD         let a playbook have that text, as COMMANDS.txt\n"
        "      --residual FD        write what NEW has that OLD has not, or the other way round, instead,\n"
        "                             sorted by whether the playbook in that archive says so itself;\n"
        "                             none: whatever it says does not count\n"
        "      --old-format FORMAT  what OLD is: qcow2 (default) or raw\n"
        "      --new-format FORMAT  what NEW or IMAGE is\n"
        "      --from-name NAME     what the document calls OLD and NEW; default: their paths\n"
        "      --to-name NAME\n"
        "      --old FD:FORMAT,…    open descriptors of all layers instead of a path, top first;\n"
        "      --new FD:FORMAT,…      once for each disk, with DISK= before them where it is not\n"
        "                             the next of vda, vdb, and so on; --new also for IMAGE\n"
        "      --max-memory SIZE    most address space to use; default 512M\n"
        "      --max-output SIZE    most to write to a file; default infinity\n"
        "      --deadline DURATION  most time to take; default infinity\n"
        "      --defer              end with status 6, and nothing written, where fluid-diff-guestfs\n"
        "                             can read what this does not\n"
        "      --stand-in old:N=FD  what it has copied of a place of OLD or NEW, as an ext4 image\n"
        "      --unread old:N=TEXT  why it could not\n"
        "      --help, --version\n"
        "\n"
        "Exit status: 0 done, also without differences; 1 failed; 2 wrong usage, also a PATH that is\n"
        "no file; 3 a playbook would hold what was not allowed; 4 no such PATH; 5 larger than\n"
        "--max-output, or than a playbook can be; 6 --defer.\n";

enum {
        OPTION_JSON = 256,
        OPTION_CONTENTS,
        OPTION_CAT,
        OPTION_EXTRACT,
        OPTION_PLAYBOOK,
        OPTION_DOCUMENT,
        OPTION_SUMMARY,
        OPTION_HISTORY,
        OPTION_RESIDUAL,
        OPTION_ALLOW_SECRETS,
        OPTION_ALLOW_SETUID,
        OPTION_OLD_FORMAT,
        OPTION_NEW_FORMAT,
        OPTION_FROM_NAME,
        OPTION_TO_NAME,
        OPTION_OLD,
        OPTION_NEW,
        OPTION_MAX_MEMORY,
        OPTION_MAX_OUTPUT,
        OPTION_DEADLINE,
        OPTION_WALK,
        OPTION_DEFER,
        OPTION_STAND_IN,
        OPTION_UNREAD,
        OPTION_HELP,
        OPTION_VERSION,
};

static const struct option long_options[] = {
        {"json", no_argument, NULL, OPTION_JSON},
        {"contents", no_argument, NULL, OPTION_CONTENTS},
        {"cat", required_argument, NULL, OPTION_CAT},
        {"extract", required_argument, NULL, OPTION_EXTRACT},
        {"playbook", no_argument, NULL, OPTION_PLAYBOOK},
        {"document", required_argument, NULL, OPTION_DOCUMENT},
        {"summary", required_argument, NULL, OPTION_SUMMARY},
        {"history", required_argument, NULL, OPTION_HISTORY},
        {"residual", required_argument, NULL, OPTION_RESIDUAL},
        {"allow-secrets", no_argument, NULL, OPTION_ALLOW_SECRETS},
        {"allow-setuid", no_argument, NULL, OPTION_ALLOW_SETUID},
        {"old-format", required_argument, NULL, OPTION_OLD_FORMAT},
        {"new-format", required_argument, NULL, OPTION_NEW_FORMAT},
        {"from-name", required_argument, NULL, OPTION_FROM_NAME},
        {"to-name", required_argument, NULL, OPTION_TO_NAME},
        {"old", required_argument, NULL, OPTION_OLD},
        {"new", required_argument, NULL, OPTION_NEW},
        {"max-memory", required_argument, NULL, OPTION_MAX_MEMORY},
        {"max-output", required_argument, NULL, OPTION_MAX_OUTPUT},
        {"deadline", required_argument, NULL, OPTION_DEADLINE},
        {"walk", no_argument, NULL, OPTION_WALK},
        {"defer", no_argument, NULL, OPTION_DEFER},
        {"stand-in", required_argument, NULL, OPTION_STAND_IN},
        {"unread", required_argument, NULL, OPTION_UNREAD},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
};

static int parse_format(const char *text, DiskFormat *ret, Fault *f)
{
        if (!disk_format_from_string(text, ret))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is not a format; use qcow2 or raw", text);
        return 0;
}

static int set_mode(Arguments *arguments, DiffMode mode, Fault *f)
{
        if (arguments->mode != MODE_COMPARE)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "only one of --cat, --extract, --playbook and --residual");
        arguments->mode = mode;
        arguments->path = optarg;
        return 0;
}

static int parse_fd(const char *text, int *ret, Fault *f)
{
        char *end = NULL;
        guint64 fd = g_ascii_isdigit(text[0]) ? g_ascii_strtoull(text, &end, 10) : 0;

        if (!end || *end || fd <= STDERR_FILENO || fd > INT32_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not an open descriptor", text);
        *ret = (int) fd;
        return 0;
}

static int set_residual(Arguments *arguments, Fault *f)
{
        int r = set_mode(arguments, MODE_RESIDUAL, f);

        arguments->archive_fd = -1;
        if (r < 0 || g_str_equal(optarg, "none"))
                return r;
        return parse_fd(optarg, &arguments->archive_fd, f);
}

/* The next disk of a list, by its place in it: vda, vdb, and so on. */
static int add_source(DiskSources *sources, const char *path, const char *fds, Fault *f)
{
        const char *equals = fds ? strchr(fds, '=') : NULL;
        DiskSource source = {.path = path, .fds = equals ? equals + 1 : fds};
        size_t n = equals ? (size_t) (equals - fds) : 0;

        if (sources->n == DISKS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "at most %d disks", DISKS_MAX);
        (void) g_snprintf(source.name, sizeof(source.name), "vd%c", (char) ('a' + sources->n));
        if (equals) {
                if (n == 0 || n > DISK_NAME_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "the name of a disk has 1 to %d characters",
                                         DISK_NAME_MAX);
                (void) g_strlcpy(source.name, fds, n + 1);
        }
        for (const char *p = source.name; *p; p++)
                if (!g_ascii_islower(*p) && !g_ascii_isdigit(*p))
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "'%s' is no name of a disk; vda is one", source.name);
        sources->list[sources->n++] = source;
        return 0;
}

static int parse_option(int option, Arguments *arguments, Fault *f)
{
        switch (option) {
        case OPTION_JSON:
                arguments->json = true;
                return 0;
        case OPTION_CONTENTS:
                arguments->contents = true;
                return 0;
        case OPTION_PLAYBOOK:
                return set_mode(arguments, MODE_PLAYBOOK, f);
        case OPTION_DOCUMENT:
                return parse_fd(optarg, &arguments->document_fd, f);
        case OPTION_SUMMARY:
                return parse_fd(optarg, &arguments->summary_fd, f);
        case OPTION_HISTORY:
                return parse_fd(optarg, &arguments->history_fd, f);
        case OPTION_RESIDUAL:
                return set_residual(arguments, f);
        case OPTION_ALLOW_SECRETS:
                arguments->allow_secrets = true;
                return 0;
        case OPTION_ALLOW_SETUID:
                arguments->allow_setuid = true;
                return 0;
        case OPTION_CAT:
                return set_mode(arguments, MODE_CAT, f);
        case OPTION_EXTRACT:
                return set_mode(arguments, MODE_EXTRACT, f);
        case OPTION_OLD_FORMAT:
                return parse_format(optarg, &arguments->old_format, f);
        case OPTION_NEW_FORMAT:
                return parse_format(optarg, &arguments->new_format, f);
        case OPTION_FROM_NAME:
                arguments->from = optarg;
                return 0;
        case OPTION_TO_NAME:
                arguments->to = optarg;
                return 0;
        case OPTION_OLD:
                return add_source(&arguments->old, NULL, optarg, f);
        case OPTION_NEW:
                return add_source(&arguments->new, NULL, optarg, f);
        case OPTION_MAX_MEMORY:
                return size_parse(optarg, &arguments->max_memory_bytes, f);
        case OPTION_MAX_OUTPUT:
                return size_parse(optarg, &arguments->max_output_bytes, f);
        case OPTION_DEADLINE:
                return duration_parse(optarg, &arguments->deadline_usec, f);
        case OPTION_WALK:
                arguments->compare = COMPARE_WALK;
                return 0;
        case OPTION_DEFER:
                arguments->defer = true;
                return 0;
        case OPTION_STAND_IN:
        case OPTION_UNREAD:
                return stand_in_parse(optarg, option == OPTION_UNREAD, arguments->ins, f);
        case OPTION_HELP:
                fputs(usage, stdout);
                exit(EXIT_SUCCESS);
        case OPTION_VERSION:
                puts("fluid-diff " FLUID_VERSION);
                exit(EXIT_SUCCESS);
        default:
                return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown option; see --help");
        }
}

/* Pairs of paths, or single ones. */
static int take_paths(Arguments *arguments, char **paths, Fault *f)
{
        bool in_pairs = mode_has_pairs(arguments->mode);
        int r = 0;

        for (unsigned i = 0; r == 0 && paths[i]; i++)
                r = add_source(in_pairs && i % 2 == 0 ? &arguments->old : &arguments->new, paths[i],
                               NULL, f);
        return r;
}

static int check_sources(const Arguments *arguments, Fault *f)
{
        const DiskSources *old = &arguments->old, *new = &arguments->new;

        if (!mode_has_pairs(arguments->mode))
                return new->n > 0 && old->n == 0
                               ? 0
                               : fault_set(f, FAULT_INVALID_ARGUMENT,
                                           "give an image for each disk, or --new; see --help");
        if (new->n == 0 || old->n != new->n)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "give two images for each disk, or --old and --new; see --help");
        for (unsigned i = 0; i < new->n; i++)
                if (strcmp(old->list[i].name, new->list[i].name) != 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "--old and --new name other disks, or in another order");
        return 0;
}

static void set_names(Arguments *arguments)
{
        const DiskSource *old = &arguments->old.list[0], *new = &arguments->new.list[0];

        if (!arguments->from)
                arguments->from = old->path ? old->path : "old";
        if (!arguments->to)
                arguments->to = new->path ? new->path : "new";
}

int arguments_parse(int argc, char **argv, Arguments *ret, Fault *f)
{
        Arguments arguments = {
                .old_format = DISK_QCOW2,
                .new_format = DISK_QCOW2,
                .max_memory_bytes = MEMORY_DEFAULT,
                .max_output_bytes = UINT64_MAX,
                .deadline_usec = USEC_INFINITY,
        };
        int option, r = 0;

        opterr = 0;
        while (r == 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                r = parse_option(option, &arguments, f);
        if (r == 0 && argv[optind] && arguments.old.n + arguments.new.n > 0)
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "give either images or descriptors; see --help");
        if (r == 0)
                r = take_paths(&arguments, argv + optind, f);
        if (r == 0)
                r = check_sources(&arguments, f);
        if (r < 0)
                return r;
        set_names(&arguments);
        *ret = arguments;
        return 0;
}

/* "3:qcow2,4:raw" */
static int parse_fds(const char *text, int *fds, DiskFormat *formats, unsigned *ret_n, Fault *f)
{
        g_auto(GStrv) items = g_strsplit(text, ",", -1);
        unsigned n = 0;

        for (; items[n]; n++) {
                char *colon = strchr(items[n], ':'), *end = NULL;
                guint64 fd = 0;

                if (n == CHAIN_DEPTH_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "a chain has at most %d images",
                                         CHAIN_DEPTH_MAX);
                if (colon)
                        *colon = '\0';
                if (colon && g_ascii_isdigit(items[n][0]))
                        fd = g_ascii_strtoull(items[n], &end, 10);
                if (!end || *end || fd <= STDERR_FILENO || fd > INT32_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "'%s' is not a list of FD:FORMAT", text);
                fds[n] = (int) fd;
                int r = parse_format(colon + 1, &formats[n], f);
                if (r < 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

int disk_source_open(const DiskSource *source, DiskFormat format, const Chain *known, Chain **ret,
                     Fault *f)
{
        int fds[CHAIN_DEPTH_MAX];
        DiskFormat formats[CHAIN_DEPTH_MAX];
        unsigned n = 0;

        if (source->path) {
                Fault why = {0};

                /* A disk that does not exist is not the file that was asked for. */
                int r = chain_open_path(source->path, format, known, ret, &why);
                return r < 0 ? fault_set(f, why.code == FAULT_NOT_FOUND ? FAULT_IO : why.code, "%s",
                                         why.message)
                             : 0;
        }
        int r = parse_fds(source->fds, fds, formats, &n, f);
        return r < 0 ? r : chain_open_fds(fds, formats, n, known, ret, f);
}

/* SPDX-License-Identifier: MIT */

/* fluid-diff: what differs between the file systems of two points of a chain of disk images. */

#include "base/cleanup.h"
#include "base/quantity.h"
#include "diff/chain.h"
#include "diff/confine.h"
#include "diff/disk.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define EXIT_USAGE 2

typedef struct Options {
        bool json;
        const char *from, *to; /* names of the points */
        const char *old_fds, *new_fds;
        const char *old_path, *new_path;
        DiskFormat old_format, new_format;
        uint64_t max_memory_bytes;
        uint64_t deadline_usec;
} Options;

static const char usage[] =
        "Usage: fluid-diff [OPTION…] OLD NEW\n"
        "       fluid-diff [OPTION…] --old FD:FORMAT[,…] --new FD:FORMAT[,…]\n"
        "\n"
        "Shows what differs between the ext4 root file systems of two disk images: files added (A),\n"
        "removed (D), modified (M), of another type (T), or with other metadata only (m). The images\n"
        "are read, never mounted and never written; backing files are followed.\n"
        "\n"
        "      --json               one JSON document instead of a list\n"
        "      --old-format FORMAT  what OLD is: qcow2 (default) or raw\n"
        "      --new-format FORMAT  what NEW is\n"
        "      --from-name NAME     what the document calls OLD and NEW; default: their paths\n"
        "      --to-name NAME\n"
        "      --old FD:FORMAT,…    open descriptors of all layers instead of a path, top first\n"
        "      --new FD:FORMAT,…\n"
        "      --max-memory SIZE    most address space to use; default 512M\n"
        "      --deadline DURATION  most time to take; default infinity\n"
        "      --help, --version\n"
        "\n"
        "Exit status: 0 done, also without differences; 1 failed; 2 wrong usage.\n";

enum {
        OPTION_JSON = 256,
        OPTION_OLD_FORMAT,
        OPTION_NEW_FORMAT,
        OPTION_FROM_NAME,
        OPTION_TO_NAME,
        OPTION_OLD,
        OPTION_NEW,
        OPTION_MAX_MEMORY,
        OPTION_DEADLINE,
        OPTION_HELP,
        OPTION_VERSION,
};

static const struct option long_options[] = {
        {"json", no_argument, NULL, OPTION_JSON},
        {"old-format", required_argument, NULL, OPTION_OLD_FORMAT},
        {"new-format", required_argument, NULL, OPTION_NEW_FORMAT},
        {"from-name", required_argument, NULL, OPTION_FROM_NAME},
        {"to-name", required_argument, NULL, OPTION_TO_NAME},
        {"old", required_argument, NULL, OPTION_OLD},
        {"new", required_argument, NULL, OPTION_NEW},
        {"max-memory", required_argument, NULL, OPTION_MAX_MEMORY},
        {"deadline", required_argument, NULL, OPTION_DEADLINE},
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

static int parse_option(int option, Options *options, Fault *f)
{
        switch (option) {
        case OPTION_JSON:
                options->json = true;
                return 0;
        case OPTION_OLD_FORMAT:
                return parse_format(optarg, &options->old_format, f);
        case OPTION_NEW_FORMAT:
                return parse_format(optarg, &options->new_format, f);
        case OPTION_FROM_NAME:
                options->from = optarg;
                return 0;
        case OPTION_TO_NAME:
                options->to = optarg;
                return 0;
        case OPTION_OLD:
                options->old_fds = optarg;
                return 0;
        case OPTION_NEW:
                options->new_fds = optarg;
                return 0;
        case OPTION_MAX_MEMORY:
                return size_parse(optarg, &options->max_memory_bytes, f);
        case OPTION_DEADLINE:
                return duration_parse(optarg, &options->deadline_usec, f);
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

static int parse_arguments(int argc, char **argv, Options *options, Fault *f)
{
        int option;

        opterr = 0;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
                int r = parse_option(option, options, f);
                if (r < 0)
                        return r;
        }
        bool by_path = !options->old_fds && !options->new_fds;
        if (argc - optind != (by_path ? 2 : 0) ||
            (!by_path && !(options->old_fds && options->new_fds)))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "give two images, or --old and --new; see --help");
        if (by_path) {
                options->old_path = argv[optind];
                options->new_path = argv[optind + 1];
        }
        if (!options->from)
                options->from = by_path ? options->old_path : "old";
        if (!options->to)
                options->to = by_path ? options->new_path : "new";
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

static int open_chain(const char *fds_text, const char *path, DiskFormat format, const Chain *known,
                      Chain **ret, Fault *f)
{
        int fds[CHAIN_DEPTH_MAX];
        DiskFormat formats[CHAIN_DEPTH_MAX];
        unsigned n = 0;

        if (!fds_text)
                return chain_open_path(path, format, known, ret, f);
        int r = parse_fds(fds_text, fds, formats, &n, f);
        return r < 0 ? r : chain_open_fds(fds, formats, n, known, ret, f);
}

static int seal(const Chain *old, const Chain *new, Fault *f)
{
        int fds[2 * CHAIN_DEPTH_MAX];
        unsigned n = 0;

        for (unsigned i = 0; i < chain_depth(old); i++)
                fds[n++] = layer_fd(chain_layer(old, i));
        for (unsigned i = 0; i < chain_depth(new); i++)
                fds[n++] = layer_fd(chain_layer(new, i));
        return confine_seal(fds, n, f);
}

static int run(const Options *options, Fault *f)
{
        g_autoptr(Chain) old = NULL, new = NULL;
        g_autoptr(Report) report = NULL;

        int r = confine_limits(options->max_memory_bytes, options->deadline_usec, f);
        if (r == 0)
                r = open_chain(options->old_fds, options->old_path, options->old_format, NULL, &old,
                               f);
        if (r == 0)
                r = open_chain(options->new_fds, options->new_path, options->new_format, old, &new,
                               f);
        if (r == 0)
                r = seal(old, new, f);
        if (r < 0)
                return r;
        report = report_new(STDOUT_FILENO, options->json, options->from, options->to);
        r = disk_compare(old, new, options->from, options->to, report, f);
        return r < 0 ? r : report_end(report, f);
}

static void complain(const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-diff: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
}

int main(int argc, char **argv)
{
        Options options = {
                .old_format = DISK_QCOW2,
                .new_format = DISK_QCOW2,
                .max_memory_bytes = CONFINE_MEMORY_DEFAULT,
                .deadline_usec = USEC_INFINITY,
        };
        Fault fault = {0};

        if (parse_arguments(argc, argv, &options, &fault) < 0) {
                complain(&fault);
                return EXIT_USAGE;
        }
        if (run(&options, &fault) < 0) {
                complain(&fault);
                return fault.code == FAULT_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

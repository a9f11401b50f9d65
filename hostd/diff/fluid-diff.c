/* SPDX-License-Identifier: MIT */

/* fluid-diff: what is in the file systems of a guest's disks, and what differs between two points.
 */

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/file.h"
#include "diff/archive.h"
#include "diff/arguments.h"
#include "diff/defer.h"
#include "diff/disk.h"
#include "diff/playbook-document.h"
#include "diff/playbook-export.h"
#include "diff/residual.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        EXIT_USAGE = 2,
        EXIT_REFUSED = 3,
        EXIT_NOT_FOUND = 4,
        EXIT_TOO_LARGE = 5,
        EXIT_DEFERRED = 6,
};

/* The chains of all disks. */
typedef struct Chains {
        Chain *old[DISKS_MAX], *new[DISKS_MAX]; /* the former NULL where one point is enough */
        int document;                  /* what holds it for a playbook or its residual, or -1 */
        int archive, summary, history; /* or -1 */
        StandIns ins[2];
} Chains;

static int open_chains(const Arguments *arguments, Chains *chains, Fault *f)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < arguments->old.n; i++)
                r = disk_source_open(&arguments->old.list[i], arguments->old_format, NULL,
                                     &chains->old[i], f);
        for (unsigned i = 0; r == 0 && i < arguments->new.n; i++)
                r = disk_source_open(&arguments->new.list[i], arguments->new_format, chains->old[i],
                                     &chains->new[i], f);
        for (unsigned i = 0; r == 0 && i < G_N_ELEMENTS(chains->ins); i++) {
                chains->ins[i] = arguments->ins[i];
                r = stand_ins_open(&chains->ins[i], f);
        }
        return r;
}

static void close_chains(Chains *chains)
{
        chains->document = close_fd(chains->document);
        chains->archive = close_fd(chains->archive);
        chains->summary = close_fd(chains->summary);
        for (unsigned i = 0; i < DISKS_MAX; i++) {
                (void) chain_free(chains->old[i]);
                (void) chain_free(chains->new[i]);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(chains->ins); i++)
                stand_ins_close(&chains->ins[i]);
}

static void list_fds(const Chain *chain, GArray *fds)
{
        for (unsigned i = 0; chain && i < chain_depth(chain); i++) {
                int fd = layer_fd(chain_layer(chain, i));

                g_array_append_val(fds, fd);
        }
}

static int seal(const Chains *chains, Fault *f)
{
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

        for (unsigned i = 0; i < DISKS_MAX; i++) {
                list_fds(chains->old[i], fds);
                list_fds(chains->new[i], fds);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(chains->ins); i++)
                for (unsigned j = 0; j < chains->ins[i].n; j++)
                        list_fds(chains->ins[i].list[j].chain, fds);
        const int others[] = {chains->document, chains->archive, chains->summary, chains->history};
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                if (others[i] >= 0)
                        g_array_append_val(fds, others[i]);
        return confine_seal((const int *) (const void *) fds->data, fds->len, 0, f);
}

static int compare(const Arguments *arguments, const Chains *chains, int fd, uint64_t size_max,
                   bool json, Fault *f)
{
        g_autoptr(Report) report = report_new(fd, size_max, json, arguments->from, arguments->to);
        DiskPair pairs[DISKS_MAX];

        if (arguments->contents)
                report_set_contents(report);
        for (unsigned i = 0; i < arguments->new.n; i++)
                pairs[i] = (DiskPair){arguments->new.list[i].name, chains->old[i], chains->new[i]};
        int r = disks_compare(pairs, arguments->new.n, arguments->from, arguments->to, chains->ins,
                              arguments->compare, report, f);
        if (r == 0)
                r = report_end(report, f);
        return r < 0 || chains->summary < 0 ? r : report_write_summary(report, chains->summary, f);
}

static int open_trees(const Arguments *arguments, const Chains *chains, Tree **ret_old,
                      Tree **ret_new, Fault *f)
{
        const char *names[DISKS_MAX];

        for (unsigned i = 0; i < arguments->new.n; i++)
                names[i] = arguments->new.list[i].name;
        int r = tree_new(arguments->from, chains->old, names, arguments->new.n, &chains->ins[0],
                         ret_old, f);
        return r < 0 ? r
                     : tree_new(arguments->to, chains->new, names, arguments->new.n,
                                &chains->ins[1], ret_new, f);
}

/* What is written is derived from the document alone, as somebody else would read it. */
static int write_playbook(const Arguments *arguments, const Chains *chains, Fault *f)
{
        g_autoptr(Output) output = output_new(STDOUT_FILENO, arguments->max_output_bytes);
        const PlaybookOptions options = {arguments->allow_secrets, arguments->allow_setuid};
        g_autoptr(Tree) old = NULL, new = NULL;

        int r = compare(arguments, chains, chains->document, PLAYBOOK_DOCUMENT_MAX, true, f);
        if (r == 0)
                r = open_trees(arguments, chains, &old, &new, f);
        return r < 0 ? r
                     : playbook_export(old, new, chains->document, chains->history, &options,
                                       output, f);
}

static int write_residual(const Arguments *arguments, const Chains *chains, Fault *f)
{
        g_autoptr(Output) output = output_new(STDOUT_FILENO, RESIDUAL_MAX);
        g_autofree char *document = NULL;
        g_autoptr(Tree) old = NULL, new = NULL;
        size_t size = 0;

        int r = compare(arguments, chains, chains->document, PLAYBOOK_DOCUMENT_MAX, true, f);
        if (r == 0)
                r = playbook_document_read(chains->document, &document, &size, f);
        if (r == 0)
                r = open_trees(arguments, chains, &old, &new, f);
        if (r < 0)
                return r;
        Trees trees = {{old, new}};
        const PlaybookSource source = playbook_source(&trees);
        return residual_write(document, size, &source, chains->archive, output, f);
}

static int take_out(const Arguments *arguments, const Chains *chains, Fault *f)
{
        g_autoptr(Output) output = output_new(STDOUT_FILENO, arguments->max_output_bytes);
        const char *names[DISKS_MAX];
        g_autoptr(Tree) tree = NULL;

        for (unsigned i = 0; i < arguments->new.n; i++)
                names[i] = arguments->new.list[i].name;
        int r = tree_new(arguments->to, chains->new, names, arguments->new.n, &chains->ins[1],
                         &tree, f);
        if (r < 0)
                return r;
        return arguments->mode == MODE_CAT ? archive_write_content(tree, arguments->path, output, f)
                                           : archive_write(tree, arguments->path, output, f);
}

/* Returns 1 where it is for fluid-diff-guestfs. */
static int defer(const Arguments *arguments, const Chains *chains, Fault *f)
{
        g_autoptr(GArray) places = NULL;
        g_autofree char *what = NULL;

        int r = defer_find_needed(arguments, chains->old, chains->new, &places, &what, f);
        if (r < 0 || places->len == 0)
                return r;
        (void) fault_set(f, FAULT_DIFF_FAILED, "it needs fluid-diff-guestfs: there is %s", what);
        return 1;
}

static int act(const Arguments *arguments, const Chains *chains, Fault *f)
{
        int r = arguments->defer ? defer(arguments, chains, f) : 0;

        if (r != 0)
                return r;
        switch (arguments->mode) {
        case MODE_COMPARE:
                return compare(arguments, chains, STDOUT_FILENO, arguments->max_output_bytes,
                               arguments->json, f);
        case MODE_PLAYBOOK:
                return write_playbook(arguments, chains, f);
        case MODE_RESIDUAL:
                return write_residual(arguments, chains, f);
        case MODE_CAT:
        case MODE_EXTRACT:
                break;
        }
        return take_out(arguments, chains, f);
}

static int open_document(const Arguments *arguments, Chains *chains, Fault *f)
{
        if (arguments->mode != MODE_PLAYBOOK && arguments->mode != MODE_RESIDUAL)
                return 0;
        if (arguments->mode == MODE_RESIDUAL)
                chains->archive = arguments->archive_fd;
        if (arguments->history_fd)
                chains->history = arguments->history_fd;
        if (arguments->summary_fd)
                chains->summary = arguments->summary_fd;
        chains->document = arguments->document_fd ? arguments->document_fd
                                                  : memfd_create("document", MFD_CLOEXEC);
        return chains->document < 0
                       ? fault_set_errno(f, FAULT_IO, errno, "cannot get memory for the document")
                       : 0;
}

static int run(const Arguments *arguments, Fault *f)
{
        Chains chains = {.document = -1, .archive = -1, .summary = -1, .history = -1};

        int r = confine_limits(arguments->max_memory_bytes, arguments->deadline_usec, f);
        if (r == 0)
                r = confine_output(arguments->max_output_bytes, f);
        if (r == 0)
                r = open_chains(arguments, &chains, f);
        if (r == 0)
                r = open_document(arguments, &chains, f);
        if (r == 0)
                r = seal(&chains, f);
        if (r == 0)
                r = act(arguments, &chains, f);
        close_chains(&chains);
        return r;
}

static int status_of(const Fault *f)
{
        switch (f->code) {
        case FAULT_INVALID_ARGUMENT:
                return EXIT_USAGE;
        case FAULT_DENIED:
                return EXIT_REFUSED;
        case FAULT_NOT_FOUND:
                return EXIT_NOT_FOUND;
        case FAULT_LIMITS_EXCEEDED:
                return EXIT_TOO_LARGE;
        default:
                return EXIT_FAILURE;
        }
}

static int complain(int r, const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-diff: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
        return r > 0 ? EXIT_DEFERRED : status_of(f);
}

/* What is freed is used again soon: to give it back to the kernel and to take it anew costs more
 * than the comparison of some files. */
static void keep_memory(void)
{
        (void) mallopt(M_TOP_PAD, 1 << 20);
        (void) mallopt(M_TRIM_THRESHOLD, 64 << 20);
        (void) mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

int main(int argc, char **argv)
{
        Arguments arguments;
        Fault fault = {0};

        keep_memory();
        int r = arguments_parse(argc, argv, &arguments, &fault);

        if (r == 0)
                r = run(&arguments, &fault);
        return r == 0 ? EXIT_SUCCESS : complain(r, &fault);
}

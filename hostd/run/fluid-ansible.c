/* SPDX-License-Identifier: MIT */

/* fluid-ansible: applies one playbook, of which every byte is known before, with ansible-core. */

#include "base/apply-config.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/inventory.h"
#include "base/name.h"
#include "base/quantity.h"
#include "run/ansible.h"
#include "run/playbook-files.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

enum {
        EXIT_USAGE = 2,
        EXIT_REFUSED = 3,
        EXIT_PLAY_FAILED = 4,
        EXIT_NOT_INSTALLED = 5,
};

/* What fluid-runner passes on. */
enum { ARCHIVE_FD = 3, RESULT_FD = 4 };

#define SANDBOX_TIMEOUT_USEC (3600 * USEC_PER_SEC)

static const char usage[] =
        "Usage: fluid-ansible --sha256 HEX --config FILE [--target HEX] [--written] [--check [--diff]]\n"
        "       fluid-ansible --sha256 HEX --sandbox ID [--check [--diff]]\n"
        "       fluid-ansible --check-config FILE\n"
        "\n"
        "Unpacks the archive of a playbook, which is descriptor 3, and runs it with ansible-playbook\n"
        "of ansible-core. fluid-hostd asks for that; fluid-apply@.service and fluid-verify@.service\n"
        "are the units in which it runs.\n"
        "\n"
        "      --sha256 HEX     what the archive's bytes have to be\n"
        "      --config FILE    apply it where FILE says; see apply.conf(5)\n"
        "      --target HEX     the SHA-256 of what --check-config prints has to be this\n"
        "      --written        it was written by hand: refused unless FILE allows that\n"
        "      --sandbox ID     apply it in a sandbox, through fluid-hostd\n"
        "      --check          only say what would be changed\n"
        "      --diff           and show what files would become\n"
        "      --check-config FILE\n"
        "                       check it and its inventory, and print what would be approved\n"
        "      --print-config   print an apply.conf with every key\n"
        "      --print-manual   print its manual page\n"
        "  -h, --help           show this\n"
        "      --version        show the version\n"
        "\n"
        "Ansible's own output goes to standard output. In the end descriptor 4 gets one JSON object:\n"
        "its status, its count of what became of each host and, in check mode, of what would be\n"
        "changed.\n"
        "\n"
        "Exit status: 0 applied; 1 failed; 2 wrong usage or apply.conf; 3 archive or target refused;\n"
        "4 Ansible failed, or a host did, or there was none; 5 ansible-playbook is not installed.\n";

/* What is under way when something fails, which says what kind of failure it is. */
typedef enum Stage {
        STAGE_ARGUMENTS,
        STAGE_ARCHIVE,
        STAGE_TARGET,
        STAGE_PLAY,
} Stage;

typedef struct Arguments {
        const char *sha256, *config, *target, *sandbox;
        bool is_check, shows_diff, is_written, only_checks_config;
} Arguments;

/* -- arguments --------------------------------------------------------------------------------- */

static bool is_sha256(const char *text)
{
        return strlen(text) == SHA256_HEX_SIZE - 1 &&
               strspn(text, "0123456789abcdef") == SHA256_HEX_SIZE - 1;
}

static int check_arguments(const Arguments *a, Fault *f)
{
        if (a->only_checks_config)
                return a->sha256 || a->sandbox || a->target || a->is_check || a->shows_diff
                               ? fault_set(f, FAULT_INVALID_ARGUMENT,
                                           "--check-config stands alone; see --help")
                               : 0;
        if (!a->sha256 || !is_sha256(a->sha256))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "--sha256 wants 64 hexadecimal digits; see --help");
        if (a->target && (!is_sha256(a->target) || !a->config))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "--target wants 64 hexadecimal digits, and --config");
        if (a->shows_diff && !a->is_check)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "--diff wants --check; see --help");
        if (!a->config == !a->sandbox)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "give either --config or --sandbox; see --help");
        if (a->sandbox && !id_is_valid(a->sandbox))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is no id of a sandbox",
                                 a->sandbox);
        return 0;
}

static int parse_arguments(int argc, char **argv, Arguments *ret, Fault *f)
{
        enum {
                SHA256 = 256,
                CONFIG,
                TARGET,
                SANDBOX,
                CHECK,
                DIFF,
                WRITTEN,
                CHECK_CONFIG,
                EXAMPLE,
                MANUAL
        };
        static const struct option options[] = {
                {"sha256", required_argument, NULL, SHA256},
                {"config", required_argument, NULL, CONFIG},
                {"target", required_argument, NULL, TARGET},
                {"sandbox", required_argument, NULL, SANDBOX},
                {"check", no_argument, NULL, CHECK},
                {"diff", no_argument, NULL, DIFF},
                {"written", no_argument, NULL, WRITTEN},
                {"check-config", required_argument, NULL, CHECK_CONFIG},
                {"print-config", no_argument, NULL, EXAMPLE},
                {"print-manual", no_argument, NULL, MANUAL},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {NULL, 0, NULL, 0},
        };
        Arguments a = {0};

        opterr = 0;
        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;) {
                switch (c) {
                case SHA256:
                        a.sha256 = optarg;
                        break;
                case CHECK_CONFIG:
                        a.only_checks_config = true;
                        a.config = optarg;
                        break;
                case CONFIG:
                        a.config = optarg;
                        break;
                case TARGET:
                        a.target = optarg;
                        break;
                case SANDBOX:
                        a.sandbox = optarg;
                        break;
                case CHECK:
                        a.is_check = true;
                        break;
                case WRITTEN:
                        a.is_written = true;
                        break;
                case DIFF:
                        a.shows_diff = true;
                        break;
                case EXAMPLE:
                        apply_config_print_example(stdout);
                        exit(EXIT_SUCCESS);
                case MANUAL:
                        apply_config_print_manual(stdout);
                        exit(EXIT_SUCCESS);
                case 'h':
                        (void) fputs(usage, stdout);
                        exit(EXIT_SUCCESS);
                case 'v':
                        (void) puts("fluid-ansible " FLUID_VERSION);
                        exit(EXIT_SUCCESS);
                default:
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown option; see --help");
                }
        }
        if (optind < argc)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "unexpected argument '%.80s'",
                                 argv[optind]);
        *ret = a;
        return check_arguments(ret, f);
}

/* -- what is applied, and where ------------------------------------------------------------------
 */

/* A copy that nobody else can write to, of which the hash is known. */
static int take_archive(const char *directory, const char *sha256, int *ret_fd, Fault *f)
{
        char bytes[65536], got[SHA256_HEX_SIZE];
        uint64_t size = 0;
        ssize_t n;
        autofd fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot copy the archive");
        while ((n = pread(ARCHIVE_FD, bytes, sizeof bytes, (off_t) size)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno,
                                               "cannot read the archive, descriptor 3");
                size += (uint64_t) n;
                if (size > 2 * PLAYBOOK_BYTES_MAX)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED, "the archive is too large");
                int r = write_all(fd, bytes, (size_t) n);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot copy the archive");
        }
        int r = file_sha256(fd, got, f);
        if (r < 0)
                return r;
        if (!g_str_equal(got, sha256))
                return fault_set(f, FAULT_WRONG_HASH,
                                 "the archive has the SHA-256 %.12s…, not %.12s…", got, sha256);
        if (lseek(fd, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read the archive");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int unpack(const char *directory, const char *sha256, Fault *f)
{
        g_autofree char *path = g_build_filename(directory, ANSIBLE_PLAYBOOK_DIRECTORY, NULL);
        int archive_fd = -1, r = take_archive(directory, sha256, &archive_fd, f);

        if (r < 0)
                return r;
        autofd archive = archive_fd;
        if (mkdir(path, 0700) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make '%s'", path);
        autofd top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        return playbook_files_unpack(archive, top, f);
}

static int write_sandbox_inventory(const char *path, const char *id, Fault *f)
{
        g_autofree char *text = g_strdup_printf(
                "%s ansible_connection=fluid ansible_become=false ansible_pipelining=true "
                "ansible_remote_tmp=/tmp/ansible ansible_python_interpreter=/usr/bin/python3\n",
                id);
        autofd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot write '%s'", path) : 0;
}

/* The caller frees the text. */
static int take_target(const ApplyConfig *config, const char *copy, char **ret_text, Fault *f)
{
        char sha256[SHA256_HEX_SIZE];

        int r = inventory_take(config->inventory, copy, sha256, f);
        if (r == 0)
                *ret_text = apply_target_text(config, sha256);
        return r;
}

static int make_inventory(const Arguments *a, const ApplyConfig *config, const char *directory,
                          Fault *f)
{
        g_autofree char *path = g_build_filename(directory, ANSIBLE_INVENTORY, NULL);
        g_autofree char *text = NULL;

        if (!config)
                return write_sandbox_inventory(path, a->sandbox, f);
        int r = take_target(config, path, &text, f);
        if (r < 0 || !a->target)
                return r;
        g_autofree char *got = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
        return g_str_equal(got, a->target)
                       ? 0
                       : fault_set(f, FAULT_CONTENT_CHANGED,
                                   "apply.conf or its inventory is not what was approved");
}

/* -- the whole -----------------------------------------------------------------------------------
 */

static int play(AnsibleRun *run, bool is_check, Fault *f)
{
        g_auto(Recap) recap = {0};
        int status = 0;

        run->is_check = is_check;
        int r = ansible_run(run, &status, &recap, f);
        if (r < 0)
                return r;
        g_autofree char *result = recap_format(&recap, status, is_check);
        if (ftruncate(RESULT_FD, 0) < 0 || lseek(RESULT_FD, 0, SEEK_SET) < 0 ||
            write_all(RESULT_FD, result, strlen(result)) < 0)
                return fault_set(f, FAULT_IO, "cannot write the result, descriptor 4");
        const char *what = is_check ? "in check mode the playbook" : "the playbook";
        if (recap.n_failed > 0)
                return fault_set(f, FAULT_CANCELLED, "%s failed on %u of %u hosts", what,
                                 recap.n_failed, recap.n_hosts);
        if (status != 0)
                return fault_set(f, FAULT_CANCELLED, "%s failed: ansible-playbook ended with %d",
                                 what, status);
        /* Which Ansible itself calls a success. */
        if (recap.n_hosts == 0)
                return fault_set(f, FAULT_CANCELLED,
                                 "%s did nothing: no host of the inventory is one of its, or "
                                 "within the limit",
                                 what);
        return 0;
}

static int apply_in(const char *directory, const Arguments *a, const ApplyConfig *config,
                    Stage *stage, Fault *f)
{
        uint64_t timeout = config ? config->timeout_usec : SANDBOX_TIMEOUT_USEC;
        AnsibleRun run = {.directory = directory, .config = config, .shows_diff = a->shows_diff};

        *stage = STAGE_ARCHIVE;
        int r = unpack(directory, a->sha256, f);
        if (r < 0)
                return r;
        *stage = STAGE_TARGET;
        r = make_inventory(a, config, directory, f);
        if (r < 0)
                return r;
        *stage = STAGE_PLAY;
        r = ansible_prepare(directory, config, f);
        run.deadline_usec = now_monotonic_usec() + timeout;
        if (r == 0 && config && config->checks_first && !a->is_check)
                r = play(&run, true, f);
        return r < 0 ? r : play(&run, a->is_check, f);
}

static int apply(const Arguments *a, Stage *stage, Fault *f)
{
        g_autofree char *directory =
                g_build_filename(g_get_tmp_dir(), "fluid-ansible.XXXXXX", NULL);
        g_autoptr(ApplyConfig) config = NULL;
        int r = a->config ? apply_config_load(a->config, &config, f) : 0;

        if (r < 0)
                return r;
        (void) umask(077);
        (void) signal(SIGPIPE, SIG_IGN);
        if (a->is_written && config && !config->allows_written) {
                *stage = STAGE_ARCHIVE;
                return fault_set(f, FAULT_DENIED,
                                 "%s does not allow playbooks that were written by hand (written)",
                                 a->config);
        }
        *stage = STAGE_PLAY;
        if (!mkdtemp(directory))
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a private directory");
        r = apply_in(directory, a, config, stage, f);
        (void) remove_tree(directory, NULL);
        return r;
}

static int check_config(const char *path, Fault *f)
{
        g_autoptr(ApplyConfig) config = NULL;
        g_autofree char *text = NULL;
        int r = apply_config_load(path, &config, f);

        if (r == 0)
                r = take_target(config, NULL, &text, f);
        if (r == 0)
                (void) fputs(text, stdout);
        return r;
}

static int exit_status(Stage stage, FaultCode code)
{
        if (code == FAULT_NO_SPACE || code == FAULT_NO_MEMORY || code == FAULT_INTERNAL)
                return EXIT_FAILURE;
        switch (stage) {
        case STAGE_ARGUMENTS:
                return EXIT_USAGE;
        case STAGE_ARCHIVE:
                return EXIT_REFUSED;
        case STAGE_TARGET:
                return code == FAULT_CONTENT_CHANGED ? EXIT_REFUSED : EXIT_USAGE;
        case STAGE_PLAY:
                if (code == FAULT_NOT_FOUND)
                        return EXIT_NOT_INSTALLED;
                return code == FAULT_CANCELLED || code == FAULT_TIMED_OUT ? EXIT_PLAY_FAILED
                                                                          : EXIT_FAILURE;
        }
        g_assert_not_reached();
}

int main(int argc, char **argv)
{
        Stage stage = STAGE_ARGUMENTS;
        Arguments a = {0};
        Fault f = {0};
        int r = parse_arguments(argc, argv, &a, &f);

        if (r == 0)
                r = a.only_checks_config ? check_config(a.config, &f) : apply(&a, &stage, &f);
        if (r == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "fluid-ansible: %s\n", f.message);
        return exit_status(stage, f.code);
}

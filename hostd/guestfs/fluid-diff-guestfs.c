/* SPDX-License-Identifier: MIT */

/* fluid-diff-guestfs: fluid-diff, also for xfs and btrfs.
 *
 * Three processes: one reads the images and serves what is to be copied (guestfs/reader.h); one has
 * libguestfs copy the files in a virtual machine (guestfs/appliance.h); and this one, which waits
 * for both and then becomes fluid-diff, with the copies as open files that have no name any more.
 */

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/quantity.h"
#include "diff/arguments.h"
#include "guestfs/appliance.h"
#include "guestfs/process.h"
#include "guestfs/reader.h"
#include "guestfs/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define EXIT_USAGE 2
#define SAID_MAX   300 /* of a reason why not */

static const char usage[] =
        "Usage: fluid-diff-guestfs [--emulate] ARGUMENT…\n"
        "\n"
        "Does what fluid-diff does with the same arguments, also with files on xfs and btrfs: where\n"
        "there is something to read on these, libguestfs copies all their files to ext4 images in a\n"
        "virtual machine of its own, and fluid-diff reads the copies. That takes seconds with KVM,\n"
        "minutes without, and as much room in TMPDIR (default: /var/tmp) as the files have. A log\n"
        "that is not clean is replayed, as mounting would, but the images are never written. Of btrfs,\n"
        "the subvolumes are read that the guest's /etc/fstab mounts, and what is in them; read-only\n"
        "ones, which are snapshots, are left out. Attributes of the kind that chattr(1) sets are not\n"
        "compared.\n"
        "\n"
        "      --emulate            do without KVM\n"
        "      --deadline DURATION  is for each of the two, the copying and fluid-diff\n"
        "      --help, --version\n"
        "\n"
        "'fluid-diff --help' shows the others, and what the exit status means.\n";

static void say(const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-diff-guestfs: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
}

/* As fluid-diff has them. */
static int status_of(const Fault *f)
{
        return f->code == FAULT_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}

/* ---- reading ---- */

typedef struct Copy {
        ScratchUser user;
        char *directory, *socket;
        bool emulate;
        GArray *places; /* of PlanPlace */
        char **reasons; /* of each; NULL: it is copied */
} Copy;

/* Returns -1 where the process has said why itself; its status is then *ret_status. */
static int start_reader(const Arguments *arguments, Copy *copy, int *ret_status, Fault *f)
{
        autofd listen_fd = -1;
        int plan_fd = -1, r;
        Fault why = {0};

        r = scratch_listen(&copy->user, copy->socket, &listen_fd, f);
        if (r < 0)
                return r;
        pid_t pid = process_start(PROCESS_READER, &plan_fd, f);
        if (pid < 0)
                return pid;
        if (pid == 0) {
                (void) reader_run(arguments, listen_fd, plan_fd, f);
                say(f);
                _exit(status_of(f));
        }
        g_autofree char *text = process_read(plan_fd);
        (void) close_fd(plan_fd);
        r = plan_parse(text ? text : "", &copy->places, &why);
        if (r == 0 || process_ended_by())
                return r;
        if (!text || *text)
                return fault_set(f, why.code, "%s", why.message);
        /* Without a word it has ended, and said why. */
        r = process_wait(PROCESS_READER, ret_status, f);
        return r < 0 ? r : -1;
}

/* ---- copying ---- */

static void tell(unsigned place, const char *reason, void *userdata)
{
        const int *fd = userdata;
        char text[SAID_MAX] = "";

        if (reason)
                (void) escape_print_into(text, sizeof(text), reason, strlen(reason));
        g_autofree char *line = g_strdup_printf("%u %s\n", place, text);
        (void) write_all(*fd, line, strlen(line));
}

/* In the process that has no other purpose. */
static void run_worker(const Copy *copy, int fd)
{
        const ApplianceSpec spec = {
                .directory = copy->directory,
                .socket = copy->socket,
                .places = (const PlanPlace *) (const void *) copy->places->data,
                .n_places = copy->places->len,
                .emulate = copy->emulate,
        };
        Fault f = {0};
        int said = dup2(fd, STDERR_FILENO + 1);

        if (said < 0 || fcntl(said, F_SETFD, FD_CLOEXEC) < 0 ||
            close_range((unsigned) said + 1, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        pid_t parent = getppid();
        int r = scratch_become(&copy->user, &f);
        /* Another user's process is forgotten to be one that dies with its parent. */
        if (r == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(EXIT_FAILURE);
        if (r == 0)
                r = appliance_copy(&spec, tell, &said, &f);
        if (r < 0)
                say(&f);
        _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int take_line(const Copy *copy, const char *line, Fault *f)
{
        char *reason = NULL;
        unsigned long place = g_ascii_isdigit(*line) ? strtoul(line, &reason, 10) : 0;

        if (!reason || *reason != ' ' || place >= copy->places->len || copy->reasons[place])
                return fault_set(f, FAULT_DIFF_FAILED, "what copies the files misbehaved");
        copy->reasons[place] = g_strdup(reason + 1);
        return 0;
}

static int take_results(Copy *copy, const char *text, Fault *f)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        unsigned n = g_strv_length(lines);
        int r = 0;

        if (n != copy->places->len + 1)
                return fault_set(f, FAULT_DIFF_FAILED, "not all files could be copied");
        for (unsigned i = 0; r == 0 && i + 1 < n; i++)
                r = take_line(copy, lines[i], f);
        return r;
}

static int copy_places(Copy *copy, int *ret_status, Fault *f)
{
        int fd = -1;

        copy->reasons = g_new0(char *, copy->places->len + 1);
        pid_t pid = process_start(PROCESS_WORKER, &fd, f);
        if (pid < 0)
                return pid;
        if (pid == 0)
                run_worker(copy, fd);
        g_autofree char *text = process_read(fd);
        (void) close_fd(fd);
        if (!text)
                process_kill_all();
        int r = process_wait(PROCESS_WORKER, ret_status, f);
        if (r < 0 || *ret_status != 0)
                return r < 0 ? r : -1;
        return text ? take_results(copy, text, f)
                    : fault_set(f, FAULT_DIFF_FAILED, "what copies the files misbehaved");
}

/* ---- fluid-diff ---- */

/* That of the same build. */
static char *find_program(void)
{
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
        g_autofree char *directory = self ? g_path_get_dirname(self) : g_strdup("/");

        return g_build_filename(directory, "fluid-diff", NULL);
}

static int add_stand_in(const Copy *copy, unsigned i, GPtrArray *argv, Fault *f)
{
        const PlanPlace *place = &g_array_index(copy->places, PlanPlace, i);
        const char *point = place->of_new ? "new" : "old", *reason = copy->reasons[i];
        g_autofree char *path = appliance_image(copy->directory, place);
        struct stat st;

        if (reason && *reason) {
                g_ptr_array_add(argv, g_strdup("--unread"));
                g_ptr_array_add(argv, g_strdup_printf("%s:%u=%s", point, place->place, reason));
                return 0;
        }
        /* It stays open for fluid-diff. Whoever made it could have put anything there. */
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != copy->user.uid)
                return fault_set(f, FAULT_DIFF_FAILED, "'%s' is not what was made there", path);
        g_ptr_array_add(argv, g_strdup("--stand-in"));
        g_ptr_array_add(argv, g_strdup_printf("%s:%u=%d", point, place->place, fd));
        return 0;
}

static int become_diff(char **argv, Fault *f)
{
        g_autofree char *path = find_program();

        process_catch_signals(false);
        (void) execv(path, argv);
        return fault_set_errno(f, FAULT_IO, errno, "cannot run '%s'", path);
}

/* ---- the whole ---- */

static int make_copies(const Arguments *arguments, Copy *copy, GPtrArray *argv, int *ret_status,
                       Fault *f)
{
        int r = start_reader(arguments, copy, ret_status, f);

        if (r < 0 || copy->places->len == 0)
                return r;
        const Fault word = {.message = "xfs or btrfs is read in a virtual machine; this may take "
                                       "minutes"};
        say(&word);
        r = copy_places(copy, ret_status, f);
        for (unsigned i = 0; r == 0 && i < copy->places->len; i++)
                r = add_stand_in(copy, i, argv, f);
        return r;
}

static void set_deadline(uint64_t usec)
{
        const struct itimerval timer = {
                .it_value = {.tv_sec = (time_t) (usec / USEC_PER_SEC),
                             .tv_usec = (suseconds_t) (usec % USEC_PER_SEC)},
        };

        if (usec != USEC_INFINITY)
                (void) setitimer(ITIMER_REAL, &timer, NULL);
}

static void clear_deadline(void)
{
        const struct itimerval none = {.it_value = {0}};

        (void) setitimer(ITIMER_REAL, &none, NULL);
}

static int run(const Arguments *arguments, bool emulate, GPtrArray *argv, int *ret_status, Fault *f)
{
        Copy copy = {.emulate = emulate};

        int r = scratch_find_user(&copy.user, f);
        if (r == 0)
                r = scratch_make(&copy.user, &copy.directory, f);
        if (r < 0)
                return r;
        copy.socket = g_strconcat(copy.directory, "/nbd", NULL);
        process_catch_signals(true);
        set_deadline(arguments->deadline_usec);
        r = make_copies(arguments, &copy, argv, ret_status, f);
        clear_deadline();
        process_end_all();
        (void) remove_tree(copy.directory, NULL);
        /* Whatever went wrong then, that is why. */
        if (process_ended_by())
                *f = (Fault){0};
        if (process_ended_by() == SIGALRM)
                r = fault_set(f, FAULT_TIMED_OUT, "the deadline passed first");
        else if (process_ended_by())
                r = fault_set(f, FAULT_CANCELLED, "ended by a signal");
        g_clear_pointer(&copy.places, g_array_unref);
        g_strfreev(copy.reasons);
        g_free(copy.socket);
        g_free(copy.directory);
        g_ptr_array_add(argv, NULL);
        return r < 0 ? r : become_diff((char **) argv->pdata, f);
}

/* What is not for fluid-diff. */
static GPtrArray *take_own(int argc, char **argv, bool *ret_emulate)
{
        GPtrArray *rest = g_ptr_array_new();

        *ret_emulate = false;
        for (int i = 0; i < argc; i++) {
                if (i > 0 &&
                    (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0)) {
                        fputs(argv[i][2] == 'h' ? usage : "fluid-diff-guestfs " FLUID_VERSION "\n",
                              stdout);
                        exit(EXIT_SUCCESS);
                }
                if (i > 0 && strcmp(argv[i], "--emulate") == 0)
                        *ret_emulate = true;
                else if (i == 0 || strcmp(argv[i], "--defer") != 0)
                        g_ptr_array_add(rest, argv[i]);
        }
        return rest;
}

int main(int argc, char **argv)
{
        g_autoptr(GPtrArray) rest = NULL;
        g_autoptr(GPtrArray) parsed = NULL;
        Arguments arguments;
        bool emulate = false;
        Fault fault = {0};
        int status = EXIT_FAILURE;

        rest = take_own(argc, argv, &emulate);
        /* getopt_long() changes their order, and wants a NULL behind them. */
        parsed = g_ptr_array_copy(rest, NULL, NULL);
        g_ptr_array_add(parsed, NULL);
        int r = arguments_parse((int) rest->len, (char **) parsed->pdata, &arguments, &fault);
        if (r == 0)
                r = run(&arguments, emulate, rest, &status, &fault);
        if (fault.code == FAULT_NONE)
                return r < 0 ? status : EXIT_SUCCESS;
        say(&fault);
        return status_of(&fault);
}

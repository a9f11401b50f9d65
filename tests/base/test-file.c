/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static char *directory;

static char *below(const char *name)
{
        return g_build_filename(directory, name, NULL);
}

static char *make_file(const char *name, const char *content)
{
        char *path = below(name);

        if (!g_file_set_contents(path, content, -1, NULL))
                tap_bail_out(path);
        return path;
}

static char *make_folder(const char *name)
{
        char *path = below(name);

        if (g_mkdir_with_parents(path, 0755) < 0)
                tap_bail_out(path);
        return path;
}

static bool exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

/* -- removing --------------------------------------------------------------------------------- */

static void test_remove_tree(void)
{
        g_autofree char *outside = make_folder("outside"), *kept = make_file("outside/kept", "x");
        g_autofree char *link = below("tree/a/link"), *dangling = below("tree/dangling");
        g_autofree char *fifo = below("tree/fifo"), *root = below("tree");
        Fault f = {0};

        g_free(make_folder("tree/a/b/c"));
        g_free(make_file("tree/a/b/c/file", "x"));
        if (symlink(outside, link) < 0 || symlink("/nowhere", dangling) < 0 ||
            mkfifo(fifo, 0600) < 0)
                tap_bail_out("the tree cannot be made");
        tap_is_int(remove_tree(root, &f), 0, "a tree is removed");
        tap_ok(!exists(root), "with all that is in it");
        tap_ok(exists(kept), "a link in it is not followed");
        tap_is_int(remove_tree(root, &f), 0, "what does not exist is removed already");
        tap_ok(!fault_is_set(&f), "without a reason");

        g_autofree char *alias = below("alias");
        if (symlink(outside, alias) < 0)
                tap_bail_out("the link cannot be made");
        tap_ok(remove_tree(alias, &f) < 0 && f.code == FAULT_IO,
               "a link in a tree's place is refused");
        tap_ok(exists(kept) && exists(alias), "and nothing is removed");
        fault_clear(&f);
        tap_ok(remove_tree(kept, &f) < 0 && f.code == FAULT_IO, "a file is no tree");
        tap_ok(exists(kept), "and is not removed");
}

/* -- reading and writing ---------------------------------------------------------------------- */

static void test_file_read(void)
{
        g_autofree char *path = make_file("read", "hello"), *none = below("none"),
                        *fifo = below("pipe");
        g_autofree char *text = NULL;
        char *untouched = directory;
        size_t size = 0;
        Fault f = {0};

        tap_is_int(file_read(path, 5, &text, &size, &f), 0,
                   "a file of just the allowed size is read");
        tap_ok(size == 5 && g_str_equal(text, "hello"), "with a NUL after it");
        tap_is_int(file_read(path, 4, &untouched, &size, &f), -EIO, "a larger one is refused");
        tap_ok(untouched == directory, "and nothing is written then");
        fault_clear(&f);
        g_autofree char *boot = NULL;
        tap_ok(file_read("/proc/sys/kernel/random/boot_id", 64, &boot, &size, &f) == 0 &&
                       size == strlen(boot) && size == 37,
               "a file that does not tell its size is read to its end");
        tap_is_int(file_read("/proc/sys/kernel/random/boot_id", 36, &untouched, &size, &f), -EIO,
                   "and no further than is allowed");
        fault_clear(&f);
        tap_is_int(file_read(none, 5, &untouched, NULL, &f), -ENOENT,
                   "one that is not there is not found");
        fault_clear(&f);
        tap_is_int(file_read(directory, 5, &untouched, NULL, &f), -EIO, "a directory is no file");
        fault_clear(&f);
        if (mkfifo(fifo, 0600) < 0)
                tap_bail_out(fifo);
        tap_is_int(file_read(fifo, 5, &untouched, NULL, &f), -EIO,
                   "nor is a pipe, and nobody waits for its writer");
}

static void test_pread_all(void)
{
        g_autofree char *path = make_file("pread", "0123456789");
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        char buffer[16] = "";

        tap_is_int(pread_all(fd, buffer, 4, 3), 0, "bytes at an offset are read");
        tap_ok(memcmp(buffer, "3456", 4) == 0, "and are the right ones");
        tap_is_int(pread_all(fd, buffer, 4, 8), -ENODATA, "a file that ends before is told");
        tap_is_int(pread_all(fd, buffer, 0, 99), 0, "nothing can always be read");
        tap_is_int(pread_all(-1, buffer, 1, 0), -EBADF, "an error is told as it is");
}

static void on_alarm(int signal)
{
        (void) signal;
}

/* Reads slowly; signals go to the writer. */
static gpointer drain(gpointer data)
{
        size_t total = 0;
        char buffer[4096];
        sigset_t all;
        ssize_t n;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_BLOCK, &all, NULL);
        while ((n = read(GPOINTER_TO_INT(data), buffer, sizeof buffer)) > 0)
                total += (size_t) n;
        return GSIZE_TO_POINTER(total);
}

static void test_write_all(void)
{
        struct sigaction action = {.sa_handler = on_alarm};
        struct itimerval often = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500}, never = {0};
        g_autofree char *bytes = g_malloc0(4 << 20);
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0 || sigaction(SIGALRM, &action, NULL) < 0)
                tap_bail_out("no pipe");
        GThread *reader = g_thread_new("reader", drain, GINT_TO_POINTER(fds[0]));
        (void) setitimer(ITIMER_REAL, &often, NULL);
        int r = write_all(fds[1], bytes, 4 << 20);
        (void) setitimer(ITIMER_REAL, &never, NULL);
        (void) close_fd(fds[1]);
        tap_is_int(r, 0, "what is written piece by piece, and interrupted, is written");
        tap_is_int((int64_t) GPOINTER_TO_SIZE(g_thread_join(reader)), 4 << 20, "as a whole");
        (void) close_fd(fds[0]);
        tap_is_int(write_all(-1, "x", 1), -EBADF, "an error is told as it is");
        autofd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        tap_is_int(write_all(full, "x", 1), -ENOSPC, "so is a full disk");
}

static void test_sha256(void)
{
        static const struct {
                const char *content, *sum;
        } table[] = {
                {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        };
        char sum[SHA256_HEX_SIZE], other[SHA256_HEX_SIZE];
        Fault f = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *path = make_file("sum", table[i].content);
                autofd fd = open(path, O_RDONLY | O_CLOEXEC);

                (void) lseek(fd, 1, SEEK_SET);
                tap_is_int(file_sha256(fd, sum, NULL), 0, "a file of %zu bytes is hashed",
                           strlen(table[i].content));
                tap_is_str(sum, table[i].sum, "from its start, as FIPS 180-4 says");
        }
        g_autofree char *path = make_file("long", ""), *bytes = g_strnfill((1 << 20) + 7, 'a');
        autofd fd = open(path, O_RDWR | O_CLOEXEC);
        g_autofree char *expected =
                g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *) bytes, (1 << 20) + 7);
        (void) write_all(fd, bytes, (1 << 20) + 7);
        (void) file_sha256(fd, other, NULL);
        tap_is_str(other, expected, "so is one of more than a piece");
        tap_is_int(file_sha256(-1, sum, &f), -EIO, "what cannot be read has no hash");
}

/* -- directories ------------------------------------------------------------------------------ */

static void test_make_directory(void)
{
        g_autofree char *path = below("made"), *file = make_file("plain", "x"),
                        *link = below("made-link");
        g_autofree char *orphan = below("none/made");
        struct stat st;
        Fault f = {0};

        tap_is_int(make_directory(path, 0710, getuid(), getgid(), &f), 0, "a directory is made");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0710,
               "with its mode, whatever the umask");
        (void) chmod(path, 0777);
        tap_is_int(make_directory(path, 0700, getuid(), getgid(), &f), 0,
                   "one that exists is taken");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700, "and put right");
        tap_ok(make_directory(file, 0700, getuid(), getgid(), &f) < 0,
               "a file is not taken for one");
        if (symlink(path, link) < 0)
                tap_bail_out(link);
        tap_ok(make_directory(link, 0777, getuid(), getgid(), NULL) < 0, "nor is a link");
        tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700, "whose target stays as it is");
        tap_ok(make_directory(orphan, 0700, getuid(), getgid(), NULL) < 0,
               "only one level is made");
        tap_is_int(sync_path(path, NULL), 0, "a directory is synced");
        tap_is_int(sync_path(file, NULL), 0, "so is a file");
        fault_clear(&f);
        tap_ok(sync_path(orphan, &f) < 0 && f.code == FAULT_IO, "what is not there cannot be");
}

int main(void)
{
        char template[] = "/tmp/fluid-file-XXXXXX";

        (void) umask(0077);
        directory = g_strdup(mkdtemp(template));
        if (!directory)
                tap_bail_out("no directory");
        test_remove_tree();
        test_file_read();
        test_pread_all();
        test_write_all();
        test_sha256();
        test_make_directory();
        tap_is_int(remove_tree(directory, NULL), 0, "all of it is removed");
        g_free(directory);
        return tap_done();
}

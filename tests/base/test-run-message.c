/* SPDX-License-Identifier: MIT */
#include "base/run-message.h"

#include "base/cleanup.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends[2]; /* the daemon's, the runner's */
static Fault fault;

static void connect_ends(void)
{
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                tap_bail_out("no socket pair");
        fault_clear(&fault);
}

static void disconnect_ends(void)
{
        (void) close_fd(ends[0]);
        (void) close_fd(ends[1]);
}

static unsigned count_fds(void)
{
        unsigned n = 0;

        for (int fd = 0; fd < 2048; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static bool are_same(int a, int b)
{
        struct stat first, second;

        return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
               first.st_rdev == second.st_rdev;
}

static void test_request(void)
{
        const char *const arguments[] = {"--json", "", "a b\n", NULL};
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        int zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
        int fds[RUN_FDS_MAX];
        unsigned before = count_fds();
        RunRequest q = {0};

        connect_ends();
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                fds[i] = i % 100 ? null_fd : zero_fd;
        tap_is_int(run_request_send(ends[0], arguments, fds, 300, &fault), 0, "a request is sent");
        tap_is_int(run_request_receive(ends[1], &q, &fault), 0, "and received");
        tap_ok(g_strv_equal((const char *const *) q.arguments, arguments),
               "with its arguments, of whatever bytes");
        bool are_good = q.n_fds == 300;
        for (size_t i = 0; are_good && i < q.n_fds; i++)
                are_good = are_same(q.fds[i], fds[i]) && fcntl(q.fds[i], F_GETFD) == FD_CLOEXEC;
        tap_ok(are_good, "and its files, in their order, which nothing inherits");
        run_request_done(&q);
        disconnect_ends();
        tap_is_int(count_fds(), before, "which are closed with it");

        connect_ends();
        const char *const none[] = {NULL};
        tap_ok(run_request_send(ends[0], none, fds, _RUN_FD_MAX, &fault) == 0 &&
                       run_request_receive(ends[1], &q, &fault) == 0 && !q.arguments[0],
               "there need be no arguments");
        run_request_done(&q);
        char *long_one = g_strnfill(RUN_TEXT_MAX, 'x');
        const char *const too_long[] = {long_one, NULL};
        tap_is_int(run_request_send(ends[0], too_long, fds, 2, NULL), -EINVAL,
                   "arguments that are too long are refused");
        g_free(long_one);
        disconnect_ends();
        (void) close_fd(null_fd);
        (void) close_fd(zero_fd);
}

/* Version, arguments, descriptors, size of the text; then the text. */
static void expect_refused(uint32_t version, uint32_t n_arguments, uint32_t n_fds, uint32_t size,
                           const char *text, size_t text_size, const char *sentence)
{
        uint32_t head[] = {version, n_arguments, n_fds, size};
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        unsigned before = count_fds();
        RunRequest q = {0};

        connect_ends();
        (void) g_byte_array_append(bytes, (const guint8 *) head, sizeof head);
        (void) g_byte_array_append(bytes, (const guint8 *) text, (guint) text_size);
        if (send(ends[0], bytes->data, bytes->len, 0) < 0 || send(ends[0], "", 1, 0) < 0)
                tap_bail_out("send");
        tap_is_int(run_request_receive(ends[1], &q, &fault), -EINVAL, "%s", sentence);
        disconnect_ends();
        if (count_fds() != before || q.arguments || q.fds)
                tap_ok(false, "and leaves nothing");
}

static void test_bad_requests(void)
{
        RunRequest q;

        expect_refused(2, 0, 2, 0, "", 0, "another version is none");
        expect_refused(1, 1, 2, 2, "a", 1, "nor is one that is shorter than it says");
        expect_refused(1, 1, 2, 1, "a", 1, "nor an argument without an end");
        expect_refused(1, 2, 2, 2, "a", 2, "nor fewer arguments than it says");
        expect_refused(1, 1, 2, 4, "a\0b", 4, "nor more");
        expect_refused(1, RUN_ARGUMENTS_MAX + 1, 2, 0, "", 0, "nor too many of them");
        expect_refused(1, 1, 1, 2, "a", 2, "nor one without standard output");
        expect_refused(1, 1, RUN_FDS_MAX + 1, 2, "a", 2, "nor one of too many files");
        expect_refused(1, 1, 2, 2, "a", 2, "nor one whose files do not come");
        connect_ends();
        (void) !send(ends[0], "x", 1, 0);
        tap_is_int(run_request_receive(ends[1], &q, NULL), -EINVAL, "nor a few bytes");
        disconnect_ends();
        connect_ends();
        ends[0] = close_fd(ends[0]);
        tap_is_int(run_request_receive(ends[1], &q, NULL), -EIO,
                   "who hangs up before is nobody who asks");
        disconnect_ends();
}

static void expect_no_end(const void *bytes, size_t size, const char *sentence)
{
        int status = 77;

        connect_ends();
        if (send(ends[1], bytes, size, 0) < 0)
                tap_bail_out("send");
        tap_ok(run_end_receive(ends[0], &status) == -EIO && status == 77, "%s", sentence);
        disconnect_ends();
}

static void test_end(void)
{
        int status = 77;

        connect_ends();
        tap_ok(run_end_receive(ends[0], &status) == 0 && status == 77, "at first it has not ended");
        tap_ok(run_end_send(ends[1], 3 << 8) == 0 && run_end_receive(ends[0], &status) == 1 &&
                       status == 3 << 8,
               "then with its status");
        ends[1] = close_fd(ends[1]);
        tap_is_int(run_end_receive(ends[0], &status), -EIO,
                   "a runner that goes without a word is an error");
        disconnect_ends();
        expect_no_end("x", 1, "so are a few bytes");
        expect_no_end((int32_t[]){1, 0, 0}, 12, "and too many");
        expect_no_end((int32_t[]){2, 0}, 8, "and another version");
        expect_no_end((int32_t[]){1, 0x137f}, 8, "and what has only stopped");
}

int main(void)
{
        test_request();
        test_bad_requests();
        test_end();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */
#include "base/run-message.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define RUN_VERSION 1
/* The kernel passes 253 with one message. */
#define FDS_AT_ONCE 128

typedef struct Head {
        uint32_t version;
        uint32_t n_arguments;
        uint32_t n_fds;
        uint32_t text_size; /* each argument with its NUL */
} Head;

typedef struct End {
        uint32_t version;
        int32_t status;
} End;

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_AT_ONCE * sizeof(int))];
} Control;

void run_request_done(RunRequest *q)
{
        for (size_t i = 0; i < q->n_fds; i++)
                (void) close_fd(q->fds[i]);
        g_clear_pointer(&q->fds, g_free);
        g_clear_pointer(&q->arguments, g_strfreev);
        q->n_fds = 0;
}

static int send_message(int fd, struct msghdr *m)
{
        for (;;) {
                if (sendmsg(fd, m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

/* -- the request ---------------------------------------------------------------------------- */

static int send_fds(int fd, const int *fds, size_t n)
{
        char byte = 0;
        struct iovec part = {&byte, sizeof byte};
        Control control = {0};
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = CMSG_SPACE(n * sizeof *fds)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof *fds);
        memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
        return send_message(fd, &m);
}

int run_request_send(int fd, const char *const *arguments, const int *fds, size_t n_fds, Fault *f)
{
        g_autoptr(GByteArray) text = g_byte_array_new();
        Head head = {.version = RUN_VERSION, .n_fds = (uint32_t) n_fds};
        int r;

        for (; arguments[head.n_arguments]; head.n_arguments++) {
                const char *argument = arguments[head.n_arguments];
                (void) g_byte_array_append(text, (const guint8 *) argument,
                                           (guint) strlen(argument) + 1);
        }
        if (head.n_arguments > RUN_ARGUMENTS_MAX || text->len > RUN_TEXT_MAX || n_fds > RUN_FDS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "more arguments or files than a program can be given");
        head.text_size = text->len;
        struct iovec parts[] = {{&head, sizeof head}, {text->data, text->len}};
        r = send_message(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2});
        for (size_t i = 0; r == 0 && i < n_fds; i += FDS_AT_ONCE)
                r = send_fds(fd, fds + i, MIN(n_fds - i, FDS_AT_ONCE));
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot ask for a program") : 0;
}

static ssize_t receive(int fd, struct msghdr *m)
{
        ssize_t n;

        do
                n = recvmsg(fd, m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        return n;
}

/* One message's descriptors, for `q` to close. False where it has none, or too many. */
static bool take_fds(int fd, RunRequest *q, size_t n_wanted)
{
        char byte;
        struct iovec part = {&byte, sizeof byte};
        Control control;
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        size_t n_before = q->n_fds;
        ssize_t size = receive(fd, &m);

        if (size < 0)
                return false;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                q->fds = g_renew(int, q->fds, q->n_fds + n);
                memcpy(q->fds + q->n_fds, CMSG_DATA(c), n * sizeof(int));
                q->n_fds += n;
        }
        return size == 1 && !(m.msg_flags & MSG_CTRUNC) && q->n_fds > n_before &&
               q->n_fds <= n_wanted;
}

/* Exactly `n` texts. */
static char **split(const char *text, size_t size, uint32_t n)
{
        g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);

        for (size_t at = 0; at < size;) {
                const char *end = memchr(text + at, '\0', size - at);
                if (!end)
                        return NULL;
                g_ptr_array_add(arguments, g_strdup(text + at));
                at = (size_t) (end - text) + 1;
        }
        if (arguments->len != n)
                return NULL;
        g_ptr_array_add(arguments, NULL);
        return (char **) g_ptr_array_steal(arguments, NULL);
}

int run_request_receive(int fd, RunRequest *ret, Fault *f)
{
        g_autofree char *text = g_malloc(RUN_TEXT_MAX);
        RunRequest q = {0};
        Head head;
        struct iovec parts[] = {{&head, sizeof head}, {text, RUN_TEXT_MAX}};
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = receive(fd, &m);

        if (n <= 0)
                return fault_set(f, FAULT_IO, "there was no request");
        if ((size_t) n < sizeof head || (m.msg_flags & MSG_TRUNC) || head.version != RUN_VERSION ||
            head.n_arguments > RUN_ARGUMENTS_MAX || head.n_fds < _RUN_FD_MAX ||
            head.n_fds > RUN_FDS_MAX || head.text_size != (size_t) n - sizeof head)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "that is not a request");
        q.arguments = split(text, head.text_size, head.n_arguments);
        while (q.arguments && q.n_fds < head.n_fds)
                if (!take_fds(fd, &q, head.n_fds))
                        break;
        if (!q.arguments || q.n_fds != head.n_fds) {
                run_request_done(&q);
                return fault_set(f, FAULT_INVALID_ARGUMENT, "that is not a whole request");
        }
        *ret = q;
        return 0;
}

/* -- the end -------------------------------------------------------------------------------- */

int run_end_send(int fd, int status)
{
        End end = {.version = RUN_VERSION, .status = status};
        struct iovec part = {&end, sizeof end};

        return send_message(fd, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1});
}

int run_end_receive(int fd, int *ret_status)
{
        End end;
        ssize_t n = recv(fd, &end, sizeof end, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n != sizeof end || end.version != RUN_VERSION ||
            !(WIFEXITED(end.status) || WIFSIGNALED(end.status)))
                return -EIO;
        *ret_status = end.status;
        return 1;
}

/* SPDX-License-Identifier: MIT */
#include "tests/bench/bare-agent.h"

#include "base/file.h"
#include "base/quantity.h"

#include <err.h>
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_USEC (60 * USEC_PER_SEC)
#define SYNC_MSEC   200
#define SYNC_ID     "20091"

typedef struct Reply {
        char text[4096];
} Reply;

static void send_request(int fd, const char *request)
{
        if (write_all(fd, request, strlen(request)) < 0)
                err(1, "the bare channel cannot be written to");
}

static size_t receive(int fd, char *bytes, size_t size)
{
        ssize_t n = recv(fd, bytes, size, 0);

        if (n <= 0)
                errx(1, "the bare channel was closed");
        return (size_t) n;
}

/* One call is under way at a time, so a line's end is the end of all that comes. */
static Reply call(int fd, const char *request)
{
        Reply reply;
        size_t n = 0;

        send_request(fd, request);
        do {
                if (n == sizeof reply.text - 1)
                        errx(1, "the agent's answer is too long");
                n += receive(fd, reply.text + n, sizeof reply.text - 1 - n);
        } while (reply.text[n - 1] != '\n');
        reply.text[n] = '\0';
        if (!strstr(reply.text, "\"return\""))
                errx(1, "the agent refused %s: %s", request, reply.text);
        return reply;
}

/* What comes before the answer to the last request is not listened to. */
static void synchronise(int fd)
{
        uint64_t deadline = now_monotonic_usec() + ANSWER_USEC;
        char bytes[4096];

        while (now_monotonic_usec() < deadline) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                send_request(fd, "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":"
                                 "{\"id\":" SYNC_ID "}}\n");
                while (poll(&poll_fd, 1, SYNC_MSEC) > 0) {
                        size_t n = receive(fd, bytes, sizeof bytes);
                        if (!memmem(bytes, n, SYNC_ID, strlen(SYNC_ID)))
                                continue;
                        while (poll(&poll_fd, 1, SYNC_MSEC) > 0)
                                (void) receive(fd, bytes, sizeof bytes);
                        return;
                }
        }
        errx(1, "no agent answers on the bare channel");
}

int bare_agent_open(const char *socket_path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(socket_path) >= sizeof address.sun_path)
                errx(1, "'%s' cannot be the path of a socket", socket_path);
        (void) g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                err(1, "cannot connect to '%s'", socket_path);
        synchronise(fd);
        return fd;
}

void bare_agent_ping(int fd)
{
        (void) call(fd, "{\"execute\":\"guest-ping\"}\n");
}

void bare_agent_exec(int fd, uint64_t poll_usec)
{
        Reply reply = call(fd, "{\"execute\":\"guest-exec\",\"arguments\":"
                               "{\"path\":\"/bin/true\",\"capture-output\":true}}\n");
        const char *pid = strstr(reply.text, "\"pid\":");

        if (!pid)
                errx(1, "the agent started nothing: %s", reply.text);
        g_autofree char *request = g_strdup_printf(
                "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%" G_GINT64_FORMAT
                "}}\n",
                g_ascii_strtoll(pid + strlen("\"pid\":"), NULL, 10));
        do {
                if (poll_usec > 0)
                        g_usleep(poll_usec);
                reply = call(fd, request);
        } while (strstr(reply.text, "\"exited\": false"));
        if (!strstr(reply.text, "\"exitcode\": 0"))
                errx(1, "/bin/true failed: %s", reply.text);
}

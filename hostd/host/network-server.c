/* SPDX-License-Identifier: MIT */
#include "host/network-server.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define PID_FILE     "/run/libvirt/network/%s.pid"
#define PID_FILE_MAX 64

struct NetworkServer {
        sd_event_source *source;
        int fd;
        void (*ended)(void *userdata);
        void *userdata;
};

/* A zombie, whose parent has yet to take notice, has ended. */
static bool has_ended(int fd)
{
        struct pollfd process = {.fd = fd, .events = POLLIN};

        return poll(&process, 1, 0) > 0;
}

/* A descriptor of the process; -1 where none runs. */
static int open_process(const char *network)
{
        g_autofree char *path = g_strdup_printf(PID_FILE, network);
        g_autofree char *text = NULL;
        autofd fd = -1;
        guint64 pid;
        size_t size;

        if (file_read(path, PID_FILE_MAX, &text, &size, NULL) < 0)
                return -1;
        if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, 1, G_MAXINT, &pid, NULL))
                return -1;
        fd = pidfd_open((pid_t) pid, 0);
        if (fd < 0 || has_ended(fd))
                return -1;
        return TAKE_FD(fd);
}

bool network_server_runs(const char *network)
{
        autofd fd = open_process(network);

        return fd >= 0;
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        NetworkServer *s = userdata;

        (void) fd;
        (void) events;
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        s->ended(s->userdata);
        return 0;
}

int network_server_watch(sd_event *event, const char *network, void (*ended)(void *userdata),
                         void *userdata, NetworkServer **ret, Fault *f)
{
        g_autofree NetworkServer *s = g_new0(NetworkServer, 1);
        autofd fd = open_process(network);
        int r;

        if (fd < 0)
                return fault_set(f, FAULT_NOT_FOUND, "network '%s' has no DHCP and DNS server",
                                 network);
        s->fd = fd;
        s->ended = ended;
        s->userdata = userdata;
        r = sd_event_add_io(event, &s->source, fd, EPOLLIN, on_ended, s);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot wait for a process");
        TAKE_FD(fd);
        *ret = TAKE_PTR(s);
        return 0;
}

NetworkServer *network_server_free(NetworkServer *s)
{
        if (!s)
                return NULL;
        (void) sd_event_source_disable_unref(s->source);
        (void) close_fd(s->fd);
        g_free(s);
        return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "host/hypervisor-private.h"
#include "host/libvirt-connection.h"

#include <errno.h>
#include <string.h>

struct Hypervisor {
        LibvirtConnection *connection;
        sd_event_source *source;
        const HypervisorObserver *observer;
        void *userdata;
        bool is_connected;
        gint n_ended_flattens; /* atomic */
};

static void tell(Hypervisor *h, const News *news)
{
        switch (news->kind) {
        case NEWS_CONNECTED:
                h->is_connected = true;
                h->observer->connected(true, h->userdata);
                return;
        case NEWS_LOST:
                h->is_connected = false;
                h->observer->connected(false, h->userdata);
                return;
        case NEWS_DOMAIN:
                h->observer->domain(news->id, news->state, h->userdata);
                return;
        case NEWS_RESET:
                if (h->observer->reset)
                        h->observer->reset(news->id, h->userdata);
                return;
        case NEWS_DEVICES:
                if (h->observer->devices)
                        h->observer->devices(news->id, h->userdata);
                return;
        }
}

static int on_news(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Hypervisor *h = userdata;
        News news;

        (void) source;
        (void) fd;
        (void) revents;
        while (libvirt_connection_next(h->connection, &news))
                tell(h, &news);
        return 0;
}

int hypervisor_new(sd_event *event, const char *uri, const char *virt_type,
                   const HypervisorObserver *observer, void *userdata, Hypervisor **ret, Fault *f)
{
        g_autoptr(Hypervisor) h = g_new0(Hypervisor, 1);

        h->observer = observer;
        h->userdata = userdata;
        int r = libvirt_connection_new(uri, virt_type, &h->connection, f);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &h->source, libvirt_connection_fd(h->connection), EPOLLIN,
                            on_news, h);
        if (r < 0)
                return fault_set_errno(f, FAULT_INTERNAL, r, "cannot watch libvirt's news");
        *ret = TAKE_PTR(h);
        return 0;
}

Hypervisor *hypervisor_free(Hypervisor *h)
{
        if (!h)
                return NULL;
        sd_event_source_disable_unref(h->source);
        (void) libvirt_connection_free(h->connection);
        g_free(h);
        return NULL;
}

bool hypervisor_is_connected(const Hypervisor *h)
{
        return h->is_connected;
}

int hypervisor_take_connection(Hypervisor *h, VirConnect **ret, Fault *f)
{
        VirConnect *connection = libvirt_connection_take(h->connection);

        if (!connection)
                return fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE,
                                 "libvirtd does not answer; is it running?");
        *ret = connection;
        return 0;
}

const char *hypervisor_virt_type(Hypervisor *h)
{
        return libvirt_connection_virt_type(h->connection);
}

void hypervisor_tell(Hypervisor *h, const char *id, DomainState state)
{
        libvirt_connection_tell(h->connection, id, state);
}

void hypervisor_count_ended_flatten(Hypervisor *h)
{
        g_atomic_int_inc(&h->n_ended_flattens);
}

unsigned hypervisor_ended_flattens(Hypervisor *h)
{
        return (unsigned) g_atomic_int_get(&h->n_ended_flattens);
}

static FaultCode classify(const char *message, int code)
{
        if (strstr(message, g_strerror(ENOSPC)) || strstr(message, "No space left on device"))
                return FAULT_NO_SPACE;
        if (code == VIR_ERR_NO_MEMORY || strstr(message, "Cannot allocate memory"))
                return FAULT_NO_MEMORY;
        return FAULT_HYPERVISOR_FAILED;
}

int hypervisor_fault(Hypervisor *h, virConnectPtr connection, Fault *f, const char *format, ...)
{
        virErrorPtr error = virGetLastError();
        g_autofree char *message = g_strdup(error && error->message ? error->message : "unknown");
        FaultCode code = classify(message, error ? error->code : VIR_ERR_OK);
        va_list args;

        va_start(args, format);
        g_autofree char *what = g_strdup_vprintf(format, args);
        va_end(args);
        if (virConnectIsAlive(connection) != 1) {
                libvirt_connection_mark_broken(h->connection, connection);
                code = FAULT_HYPERVISOR_UNAVAILABLE;
        }
        return fault_set(f, code, "%s: %s", what, g_strstrip(message));
}

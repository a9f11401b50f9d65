/* SPDX-License-Identifier: MIT */
#include "host/libvirt-connection.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/hypervisor-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (5 * USEC_PER_SEC)
#define FREE_MAX_USEC  (2 * USEC_PER_SEC)
/* libvirtd tells nobody when it finds, after its own restart, that a domain has ended meanwhile. So
 * shut-off domains are looked for: soon after connecting, then less and less often. */
#define LOOK_MIN_USEC        (500 * USEC_PER_MSEC)
#define LOOK_MAX_USEC        (60 * USEC_PER_SEC)
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT      3

/* What the threads share. It outlives its owner where a thread hangs in a call to a libvirtd that
 * does not answer, so it is a counted box. */
struct LibvirtConnection {
        char *uri;
        char *wanted_virt_type;

        GMutex lock;
        GCond changed; /* stopping, is_broken, is_over */
        bool stopping;
        bool is_broken; /* one of the two connections was lost */
        bool is_over;   /* no thread is connecting, and all is closed */
        bool is_announced;
        uint64_t n_events; /* of domains, so far */
        const char *virt_type;
        virConnectPtr calls; /* NULL while there is no connection */
        GQueue news;
        int news_fd; /* eventfd */
};

static void connection_clear(void *pointer)
{
        LibvirtConnection *c = pointer;

        g_queue_clear_full(&c->news, g_free);
        g_free(c->uri);
        g_free(c->wanted_virt_type);
        g_mutex_clear(&c->lock);
        g_cond_clear(&c->changed);
        (void) close_fd(c->news_fd);
}

static LibvirtConnection *connection_ref(LibvirtConnection *c)
{
        return g_atomic_rc_box_acquire(c);
}

static void connection_unref(void *pointer)
{
        g_atomic_rc_box_release_full(pointer, connection_clear);
}

/* -- libvirt's own thread ------------------------------------------------------------------- */

static void swallow_error(void *userdata, virErrorPtr error)
{
        (void) userdata;
        (void) error;
}

static void *run_events(void *userdata)
{
        (void) userdata;
        for (;;)
                if (virEventRunDefaultImpl() < 0)
                        g_usleep(PAUSE_MIN_USEC);
        return NULL;
}

/* libvirt has one event loop per process and no way to end it. */
static void *start_events(void *userdata)
{
        (void) userdata;
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
                return NULL;
        virSetErrorFunc(NULL, swallow_error);
        GThread *thread = g_thread_try_new("libvirt-events", run_events, NULL, NULL);
        if (thread)
                g_thread_unref(thread);
        return thread ? (void *) run_events : NULL;
}

/* -- news ----------------------------------------------------------------------------------- */

/* Called with the lock held. */
static void push_news(LibvirtConnection *c, int kind, const char *id, DomainState state)
{
        uint64_t one = 1;
        News *news = g_new0(News, 1);

        news->kind = kind;
        news->state = state;
        g_strlcpy(news->id, id ? id : "", sizeof news->id);
        g_queue_push_tail(&c->news, news);
        (void) !write(c->news_fd, &one, sizeof one);
}

static bool state_from_event(int event, int detail, bool is_active, DomainState *ret)
{
        switch ((virDomainEventType) event) {
        case VIR_DOMAIN_EVENT_DEFINED:
                *ret = DOMAIN_SHUT_OFF;
                return detail == VIR_DOMAIN_EVENT_DEFINED_ADDED && !is_active;
        case VIR_DOMAIN_EVENT_UNDEFINED:
                *ret = DOMAIN_ABSENT;
                return !is_active;
        case VIR_DOMAIN_EVENT_STARTED:
        case VIR_DOMAIN_EVENT_RESUMED:
                *ret = DOMAIN_RUNNING;
                return true;
        case VIR_DOMAIN_EVENT_SUSPENDED:
                *ret = detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR ? DOMAIN_HALTED : DOMAIN_PAUSED;
                return true;
        case VIR_DOMAIN_EVENT_PMSUSPENDED:
                *ret = DOMAIN_PAUSED;
                return true;
        case VIR_DOMAIN_EVENT_STOPPED:
                *ret = detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED ? DOMAIN_CRASHED
                                                                  : DOMAIN_SHUT_OFF;
                return true;
        case VIR_DOMAIN_EVENT_CRASHED:
                *ret = DOMAIN_CRASHED;
                return true;
        case VIR_DOMAIN_EVENT_SHUTDOWN:
#ifdef VIR_ENUM_SENTINELS
        case VIR_DOMAIN_EVENT_LAST:
#endif
                return false;
        }
        return false;
}

/* Whoever is told of the connection asks for all states then; earlier events are old news. */
void libvirt_connection_tell(LibvirtConnection *c, const char *id, DomainState state)
{
        g_mutex_lock(&c->lock);
        c->n_events++;
        if (c->is_announced)
                push_news(c, NEWS_DOMAIN, id, state);
        g_mutex_unlock(&c->lock);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                        void *userdata)
{
        LibvirtConnection *c = userdata;
        const char *id = domain_name_to_id(virDomainGetName(domain));
        DomainState state;

        (void) connection;
        if (!id ||
            !state_from_event(event, detail, virDomainGetID(domain) != (unsigned) -1, &state))
                return 0;
        libvirt_connection_tell(c, id, state);
        return 0;
}

static void tell_of(LibvirtConnection *c, int kind, virDomainPtr domain)
{
        const char *id = domain_name_to_id(virDomainGetName(domain));

        if (!id)
                return;
        g_mutex_lock(&c->lock);
        if (c->is_announced)
                push_news(c, kind, id, DOMAIN_ABSENT);
        g_mutex_unlock(&c->lock);
}

/* A device was plugged in, or is gone. */
static void on_device(virConnectPtr connection, virDomainPtr domain, const char *alias,
                      void *userdata)
{
        (void) connection;
        (void) alias;
        tell_of(userdata, NEWS_DEVICES, domain);
}

static void on_reset(virConnectPtr connection, virDomainPtr domain, void *userdata)
{
        (void) connection;
        tell_of(userdata, NEWS_RESET, domain);
}

static void mark_broken(LibvirtConnection *c)
{
        g_mutex_lock(&c->lock);
        c->is_broken = true;
        g_cond_broadcast(&c->changed);
        g_mutex_unlock(&c->lock);
}

static void on_closed(virConnectPtr connection, int reason, void *userdata)
{
        (void) connection;
        (void) reason;
        mark_broken(userdata);
}

/* -- the connecting thread ------------------------------------------------------------------ */

static virConnectPtr open_connection(LibvirtConnection *c)
{
        virConnectPtr connection = virConnectOpen(c->uri);

        if (!connection)
                return NULL;
        /* Drivers within the process, such as test:///, have no keep-alive and need none. */
        (void) virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT);
        if (virConnectRegisterCloseCallback(connection, on_closed, connection_ref(c),
                                            connection_unref) < 0)
                connection_unref(c);
        return connection;
}

static void close_connection(virConnectPtr connection)
{
        if (!connection)
                return;
        (void) virConnectUnregisterCloseCallback(connection, on_closed);
        (void) virConnectClose(connection);
}

static const char *choose_virt_type(LibvirtConnection *c, virConnectPtr connection)
{
        if (!g_str_equal(c->wanted_virt_type, "auto"))
                return g_str_equal(c->wanted_virt_type, "kvm") ? "kvm" : "qemu";
        char *capabilities =
                virConnectGetDomainCapabilities(connection, NULL, NULL, NULL, "kvm", 0);
        const char *type = capabilities ? "kvm" : "qemu";
        free(capabilities);
        return type;
}

static const struct {
        int event;
        virConnectDomainEventGenericCallback callback;
} heard[] = {
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
        {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reset)},
};

typedef struct Pair {
        virConnectPtr events, calls;
        int callback_ids[G_N_ELEMENTS(heard)];
        size_t n_callbacks;
} Pair;

static void close_pair(Pair *pair)
{
        while (pair->n_callbacks > 0)
                (void) virConnectDomainEventDeregisterAny(pair->events,
                                                          pair->callback_ids[--pair->n_callbacks]);
        close_connection(pair->events);
        close_connection(pair->calls);
        *pair = (Pair){0};
}

static bool listen_to(LibvirtConnection *c, Pair *pair)
{
        for (size_t i = 0; i < G_N_ELEMENTS(heard); i++) {
                int id = virConnectDomainEventRegisterAny(pair->events, NULL, heard[i].event,
                                                          heard[i].callback, connection_ref(c),
                                                          connection_unref);
                if (id < 0) {
                        connection_unref(c);
                        return false;
                }
                pair->callback_ids[pair->n_callbacks++] = id;
        }
        return true;
}

static bool open_pair(LibvirtConnection *c, Pair *pair)
{
        *pair = (Pair){0};
        pair->events = open_connection(c);
        if (pair->events)
                pair->calls = open_connection(c);
        return pair->calls && listen_to(c, pair);
}

/* -- looking for domains that ended without an event ------------------------------------------- */

/* The state of one of fluid's domains is told where no event came since it was read. */
static void look_at(LibvirtConnection *c, virDomainPtr domain)
{
        const char *id = domain_name_to_id(virDomainGetName(domain));
        int state, reason;

        if (!id)
                return;
        g_mutex_lock(&c->lock);
        uint64_t before = c->n_events;
        g_mutex_unlock(&c->lock);
        if (virDomainGetState(domain, &state, &reason, 0) < 0 || state != VIR_DOMAIN_SHUTOFF)
                return;
        g_mutex_lock(&c->lock);
        if (c->n_events == before && c->is_announced)
                push_news(c, NEWS_DOMAIN, id, domain_state_from_virt(state, reason));
        g_mutex_unlock(&c->lock);
}

static void look(LibvirtConnection *c, virConnectPtr connection)
{
        virDomainPtr *domains = NULL;
        int n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_INACTIVE);

        for (int i = 0; i < n; i++) {
                look_at(c, domains[i]);
                (void) virDomainFree(domains[i]);
        }
        if (n >= 0)
                free(domains);
}

/* Waits for the end of the connection; the lock is held, but not while it looks. */
static void look_until_broken(LibvirtConnection *c, virConnectPtr connection)
{
        uint64_t pause_usec = LOOK_MIN_USEC;

        while (!c->is_broken && !c->stopping) {
                gint64 until = g_get_monotonic_time() + (gint64) pause_usec;
                if (g_cond_wait_until(&c->changed, &c->lock, until))
                        continue;
                g_mutex_unlock(&c->lock);
                look(c, connection);
                g_mutex_lock(&c->lock);
                pause_usec = MIN(4 * pause_usec, LOOK_MAX_USEC);
        }
}

/* Shows the connection to the callers until it is lost; false when it was lost before. */
static bool serve(LibvirtConnection *c, const Pair *pair, const char *virt_type)
{
        g_mutex_lock(&c->lock);
        bool was_good = !c->is_broken;
        if (was_good && !c->stopping) {
                c->virt_type = virt_type;
                c->calls = pair->calls;
                c->is_announced = true;
                push_news(c, NEWS_CONNECTED, NULL, DOMAIN_ABSENT);
        }
        look_until_broken(c, pair->events);
        if (c->is_announced)
                push_news(c, NEWS_LOST, NULL, DOMAIN_ABSENT);
        c->is_announced = false;
        c->calls = NULL;
        g_mutex_unlock(&c->lock);
        return was_good;
}

/* Returns whether to go on. */
static bool rest(LibvirtConnection *c, uint64_t pause_usec)
{
        gint64 until = g_get_monotonic_time() + (gint64) pause_usec;

        g_mutex_lock(&c->lock);
        while (!c->stopping && g_cond_wait_until(&c->changed, &c->lock, until))
                ;
        c->is_broken = false;
        bool go_on = !c->stopping;
        g_mutex_unlock(&c->lock);
        return go_on;
}

static void *run_connection(void *userdata)
{
        LibvirtConnection *c = userdata;
        uint64_t pause_usec = PAUSE_MIN_USEC;
        Pair pair;

        do {
                if (open_pair(c, &pair) && serve(c, &pair, choose_virt_type(c, pair.events)))
                        pause_usec = PAUSE_MIN_USEC;
                else
                        pause_usec = MIN(2 * pause_usec, PAUSE_MAX_USEC);
                close_pair(&pair);
        } while (rest(c, pause_usec));

        g_mutex_lock(&c->lock);
        c->is_over = true;
        g_cond_broadcast(&c->changed);
        g_mutex_unlock(&c->lock);
        connection_unref(c);
        return NULL;
}

/* -- the owner's side ----------------------------------------------------------------------- */

static LibvirtConnection *connection_new(const char *uri, const char *virt_type)
{
        LibvirtConnection *c = g_atomic_rc_box_new0(LibvirtConnection);

        g_mutex_init(&c->lock);
        g_cond_init(&c->changed);
        g_queue_init(&c->news);
        c->uri = g_strdup(uri);
        c->wanted_virt_type = g_strdup(virt_type);
        c->virt_type = "qemu";
        c->is_over = true;
        c->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return c;
}

static int start(LibvirtConnection *c, Fault *f)
{
        c->is_over = false;
        GThread *thread =
                g_thread_try_new("libvirt-connect", run_connection, connection_ref(c), NULL);
        if (!thread) {
                c->is_over = true;
                connection_unref(c);
                return fault_set(f, FAULT_INTERNAL, "cannot start a thread for libvirt");
        }
        g_thread_unref(thread);
        return 0;
}

int libvirt_connection_new(const char *uri, const char *virt_type, LibvirtConnection **ret,
                           Fault *f)
{
        static const char *const virt_types[] = {"auto", "kvm", "qemu", NULL};
        static GOnce events = G_ONCE_INIT;

        if (!g_strv_contains(virt_types, virt_type))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "virt_type '%s' is not one of auto, kvm, qemu", virt_type);
        if (!g_once(&events, start_events, NULL))
                return fault_set(f, FAULT_INTERNAL, "cannot start libvirt's event loop");

        g_autoptr(LibvirtConnection) c = connection_new(uri, virt_type);
        if (c->news_fd < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot make an eventfd");
        int r = start(c, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

LibvirtConnection *libvirt_connection_free(LibvirtConnection *c)
{
        gint64 until = g_get_monotonic_time() + (gint64) FREE_MAX_USEC;

        if (!c)
                return NULL;
        g_mutex_lock(&c->lock);
        c->stopping = true;
        g_cond_broadcast(&c->changed);
        while (!c->is_over && g_cond_wait_until(&c->changed, &c->lock, until))
                ;
        g_mutex_unlock(&c->lock);
        connection_unref(c);
        return NULL;
}

int libvirt_connection_fd(const LibvirtConnection *c)
{
        return c->news_fd;
}

bool libvirt_connection_next(LibvirtConnection *c, News *ret)
{
        uint64_t count;

        g_mutex_lock(&c->lock);
        g_autofree News *news = g_queue_pop_head(&c->news);
        if (g_queue_is_empty(&c->news))
                (void) !read(c->news_fd, &count, sizeof count);
        g_mutex_unlock(&c->lock);
        if (news)
                *ret = *news;
        return news;
}

virConnectPtr libvirt_connection_take(LibvirtConnection *c)
{
        g_mutex_lock(&c->lock);
        virConnectPtr calls = c->is_broken ? NULL : c->calls;
        if (calls)
                (void) virConnectRef(calls);
        g_mutex_unlock(&c->lock);
        return calls;
}

const char *libvirt_connection_virt_type(LibvirtConnection *c)
{
        g_mutex_lock(&c->lock);
        const char *type = c->virt_type;
        g_mutex_unlock(&c->lock);
        return type;
}

void libvirt_connection_mark_broken(LibvirtConnection *c, virConnectPtr calls)
{
        g_mutex_lock(&c->lock);
        if (c->calls == calls) {
                c->is_broken = true;
                g_cond_broadcast(&c->changed);
        }
        g_mutex_unlock(&c->lock);
}

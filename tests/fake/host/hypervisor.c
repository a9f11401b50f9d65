/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "tests/fake/host/state.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Hypervisor {
        sd_event_source *source;
        int wake;
        const HypervisorObserver *observer;
        void *userdata;
        bool is_connected; /* as the observer was told */
};

int fake_enter(const char *what, Fault *f)
{
        int r;

        fake_lock();
        fake.held++;
        if (fake.hold_at && fake.calls + 1 >= fake.hold_at)
                fake.is_held = true;
        while (fake.is_held)
                g_cond_wait(&fake.released, &fake.lock);
        fake.held--;
        r = fake_count(what, f);
        if (r == 0 && !fake.is_connected)
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd does not answer");
        fake.answer_is_lost = r == 0 && fake.calls == fake.lose_at;
        if (r < 0)
                fake_unlock();
        return r;
}

int fake_leave(int r, Fault *f)
{
        if (fake.answer_is_lost) {
                fault_clear(f);
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd went away meanwhile");
                fake.is_connected = false;
                fake_push_news((FakeNews){.kind = FAKE_NEWS_CONNECTION, .is_connected = false});
        }
        fake.answer_is_lost = false;
        if (fake.stops)
                fake_stop();
        fake_unlock();
        return r;
}

int fake_enter_domain(const char *what, const char *id, FakeDomain **ret, Fault *f)
{
        int r = fake_enter(what, f);

        if (r < 0)
                return r;
        *ret = fake_domain_find(id);
        if (*ret)
                return 0;
        return fake_leave(fault_set(f, FAULT_HYPERVISOR_FAILED, "%s: no domain %s%s", what,
                                    DOMAIN_PREFIX, id),
                          f);
}

/* -- the connection --------------------------------------------------------------------------- */

void fake_wake(void)
{
        uint64_t one = 1;

        if (fake.hypervisor)
                g_assert(write(fake.hypervisor->wake, &one, sizeof one) == sizeof one);
}

static void deliver(Hypervisor *h, FakeNews *news)
{
        switch (news->kind) {
        case FAKE_NEWS_DOMAIN:
                h->observer->domain(news->id, news->state, h->userdata);
                break;
        case FAKE_NEWS_DEVICES:
                if (h->observer->devices)
                        h->observer->devices(news->id, h->userdata);
                break;
        case FAKE_NEWS_RESET:
                if (h->observer->reset)
                        h->observer->reset(news->id, h->userdata);
                break;
        case FAKE_NEWS_CONNECTION:
                if (h->is_connected == news->is_connected)
                        break;
                h->is_connected = news->is_connected;
                h->observer->connected(news->is_connected, h->userdata);
        }
        g_free(news->id);
        g_free(news);
}

static int on_wake(G_GNUC_UNUSED sd_event_source *source, int fd, G_GNUC_UNUSED uint32_t revents,
                   void *userdata)
{
        uint64_t n;

        (void) !read(fd, &n, sizeof n);
        for (;;) {
                FakeNews *news;

                fake_lock();
                news = g_queue_pop_head(&fake.news);
                fake_unlock();
                if (!news)
                        break;
                deliver(userdata, news);
        }
        fake_agents_update();
        return 0;
}

int hypervisor_new(sd_event *event, G_GNUC_UNUSED const char *uri,
                   G_GNUC_UNUSED const char *virt_type, const HypervisorObserver *observer,
                   void *userdata, Hypervisor **ret, Fault *f)
{
        Hypervisor *h;

        g_assert(!fake.hypervisor);
        if (fake_call("hypervisor_new", f) < 0)
                return fault_to_errno(fake.fail_code);
        h = g_new0(Hypervisor, 1);
        h->observer = observer;
        h->userdata = userdata;
        h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert(h->wake >= 0);
        g_assert(sd_event_add_io(event, &h->source, h->wake, EPOLLIN, on_wake, h) >= 0);
        fake_lock();
        fake.hypervisor = h;
        fake_push_news((FakeNews){.kind = FAKE_NEWS_CONNECTION, .is_connected = fake.is_connected});
        fake_unlock();
        *ret = h;
        return 0;
}

Hypervisor *hypervisor_free(Hypervisor *h)
{
        FakeNews *news;

        if (!h)
                return NULL;
        fake_lock();
        fake.hypervisor = NULL;
        while ((news = g_queue_pop_head(&fake.news))) {
                g_free(news->id);
                g_free(news);
        }
        fake_unlock();
        (void) sd_event_source_disable_unref(h->source);
        (void) close_fd(h->wake);
        g_free(h);
        return NULL;
}

bool hypervisor_is_connected(const Hypervisor *h)
{
        return h->is_connected;
}

/* -- domains ---------------------------------------------------------------------------------- */

int domain_format_xml(const DomainSpec *spec, const char *virt_type, char **ret_xml, Fault *f)
{
        int r = fake_call("domain_format_xml", f);

        if (r < 0)
                return r;
        *ret_xml = g_strdup_printf("<domain type='%s'><name>%s%s</name></domain>", virt_type,
                                   DOMAIN_PREFIX, spec->id);
        return 0;
}

static void tell_timing(const DomainSpec *spec, DomainTiming *ret)
{
        if (ret)
                *ret = (DomainTiming){
                        .define_usec = 1, .start_usec = 2, .restore_usec = spec->memory ? 3 : 0};
}

int hypervisor_create_domain(G_GNUC_UNUSED Hypervisor *h, const DomainSpec *spec,
                             DomainTiming *ret_timing, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter("hypervisor_create_domain", f);

        if (r < 0)
                return r;
        if (fake_domain_find(spec->id))
                return fake_leave(fault_set(f, FAULT_EXISTS, "domain %s%s exists already",
                                            DOMAIN_PREFIX, spec->id),
                                  f);
        d = fake_domain_add(spec->id);
        d->socket = g_strdup(spec->agent_socket);
        fake_set_disks(d, spec->disks, spec->n_disks);
        r = spec->memory ? fake_load(d, spec, f)
                         : fake_boot(d, spec->stays_paused ? DOMAIN_PAUSED : DOMAIN_RUNNING, f);
        if (r < 0)
                fake_set_state(d, DOMAIN_ABSENT);
        else
                tell_timing(spec, ret_timing);
        return fake_leave(r, f);
}

static int check_is_off(const FakeDomain *d, Fault *f)
{
        if (!fake_is_on(d) && d->state != DOMAIN_LOADING)
                return 0;
        return fault_set(f, FAULT_WRONG_STATE, "domain %s%s is running already", DOMAIN_PREFIX,
                         d->id);
}

int hypervisor_start_domain_from(G_GNUC_UNUSED Hypervisor *h, const DomainSpec *spec,
                                 DomainTiming *ret_timing, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_start_domain_from", spec->id, &d, f);

        if (r < 0)
                return r;
        r = check_is_off(d, f);
        if (r == 0)
                r = fake_load(d, spec, f);
        if (r == 0)
                tell_timing(spec, ret_timing);
        return fake_leave(r, f);
}

static int start(const char *what, const char *id, DomainState state, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain(what, id, &d, f);

        if (r < 0)
                return r;
        r = check_is_off(d, f);
        return fake_leave(r < 0 ? r : fake_boot(d, state, f), f);
}

int hypervisor_start_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return start("hypervisor_start_domain", id, DOMAIN_RUNNING, f);
}

int hypervisor_start_domain_paused(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return start("hypervisor_start_domain_paused", id, DOMAIN_PAUSED, f);
}

/* Of a domain that can be in one of two states. */
static int set_cpus(const char *what, const char *id, DomainState state, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain(what, id, &d, f);

        if (r < 0)
                return r;
        if (d->state == DOMAIN_LOADING)
                r = fault_set(f, FAULT_HYPERVISOR_FAILED, "domain %s%s has no memory yet",
                              DOMAIN_PREFIX, id);
        else if (!fake_is_on(d))
                r = fault_set(f, FAULT_WRONG_STATE, "domain %s%s is not running", DOMAIN_PREFIX,
                              id);
        else
                fake_set_state(d, state);
        return fake_leave(r, f);
}

int hypervisor_pause_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return set_cpus("hypervisor_pause_domain", id, DOMAIN_PAUSED, f);
}

int hypervisor_resume_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return set_cpus("hypervisor_resume_domain", id, DOMAIN_RUNNING, f);
}

int hypervisor_shut_down_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_shut_down_domain", id, &d, f);

        if (r < 0)
                return r;
        /* A guest that stands still does not see it. */
        if (fake.power_button_works && d->state == DOMAIN_RUNNING)
                fake_set_state(d, DOMAIN_SHUT_OFF);
        return fake_leave(0, f);
}

static int turn_off(const char *what, const char *id, DomainState state, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter(what, f);

        if (r < 0)
                return r;
        d = fake_domain_find(id);
        if (d)
                fake_set_state(d, DOMAIN_SHUT_OFF);
        if (d && state == DOMAIN_ABSENT)
                fake_set_state(d, DOMAIN_ABSENT);
        return fake_leave(0, f);
}

int hypervisor_stop_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return turn_off("hypervisor_stop_domain", id, DOMAIN_SHUT_OFF, f);
}

int hypervisor_stop_unbootable(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_stop_unbootable", id, &d, f);

        if (r < 0)
                return r;
        bool is_stopped = d->is_loaded && fake_is_on(d);
        if (is_stopped)
                fake_set_state(d, DOMAIN_SHUT_OFF);
        return fake_leave(is_stopped, f);
}

int hypervisor_remove_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return turn_off("hypervisor_remove_domain", id, DOMAIN_ABSENT, f);
}

int hypervisor_domain_state(G_GNUC_UNUSED Hypervisor *h, const char *id, DomainState *ret, Fault *f)
{
        const FakeDomain *d;
        int r = fake_enter("hypervisor_domain_state", f);

        if (r < 0)
                return r;
        d = fake_domain_find(id);
        *ret = d ? d->state : DOMAIN_ABSENT;
        return fake_leave(0, f);
}

int hypervisor_list_own_domains(G_GNUC_UNUSED Hypervisor *h, GArray **ret_entries, Fault *f)
{
        GHashTableIter i;
        gpointer value;
        int r = fake_enter("hypervisor_list_own_domains", f);

        if (r < 0)
                return r;
        *ret_entries = g_array_new(FALSE, TRUE, sizeof(DomainEntry));
        g_hash_table_iter_init(&i, fake_domains());
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const FakeDomain *d = value;
                DomainEntry entry = {.state =
                                             d->state == DOMAIN_LOADING ? DOMAIN_PAUSED : d->state};

                (void) g_strlcpy(entry.id, d->id, sizeof entry.id);
                g_array_append_val(*ret_entries, entry);
        }
        return fake_leave(0, f);
}

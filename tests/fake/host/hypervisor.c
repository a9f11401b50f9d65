/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "tests/fake/host/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

/* A call into libvirt: the lock is held when this returns 0. */
static int enter(const char *what, Fault *f)
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

static int leave(int r, Fault *f)
{
        if (fake.answer_is_lost) {
                fault_clear(f);
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd went away meanwhile");
                fake.is_connected = false;
                fake_push_news((FakeNews){.is_of_connection = true, .is_connected = false});
        }
        fake.answer_is_lost = false;
        if (fake.stops)
                fake_stop();
        fake_unlock();
        return r;
}

static int enter_domain(const char *what, const char *id, FakeDomain **ret, Fault *f)
{
        int r = enter(what, f);

        if (r < 0)
                return r;
        *ret = fake_domain_find(id);
        if (*ret)
                return 0;
        return leave(fault_set(f, FAULT_HYPERVISOR_FAILED, "%s: no domain %s%s", what,
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
        if (!news->is_of_connection) {
                h->observer->domain(news->id, news->state, h->userdata);
        } else if (h->is_connected != news->is_connected) {
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
        fake_push_news((FakeNews){.is_of_connection = true, .is_connected = fake.is_connected});
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

static void set_disks(FakeDomain *d, const DomainDisk *disks, size_t n)
{
        (void) g_ptr_array_set_size(d->targets, 0);
        (void) g_ptr_array_set_size(d->paths, 0);
        for (size_t i = 0; i < n; i++) {
                g_ptr_array_add(d->targets, g_strdup(disks[i].target));
                g_ptr_array_add(d->paths, g_strdup(disks[i].path));
        }
}

static int check_disks(const FakeDomain *d, Fault *f)
{
        for (guint i = 0; i < d->paths->len; i++)
                if (access(d->paths->pdata[i], F_OK) < 0)
                        return fault_set(f, FAULT_HYPERVISOR_FAILED, "cannot access disk %s",
                                         (char *) d->paths->pdata[i]);
        return 0;
}

static int power_on(FakeDomain *d, Fault *f)
{
        if (d->state == DOMAIN_RUNNING || d->state == DOMAIN_PAUSED)
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "domain %s%s is already running",
                                 DOMAIN_PREFIX, d->id);
        if (check_disks(d, f) < 0)
                return fault_to_errno(FAULT_HYPERVISOR_FAILED);
        fake_set_state(d, DOMAIN_RUNNING);
        return 0;
}

int hypervisor_create_domain(G_GNUC_UNUSED Hypervisor *h, const DomainSpec *spec, Fault *f)
{
        FakeDomain *d;
        int r = enter("hypervisor_create_domain", f);

        if (r < 0)
                return r;
        if (fake_domain_find(spec->id))
                return leave(fault_set(f, FAULT_HYPERVISOR_FAILED, "domain %s%s exists",
                                       DOMAIN_PREFIX, spec->id),
                             f);
        d = fake_domain_add(spec->id);
        d->socket = g_strdup(spec->agent_socket);
        set_disks(d, spec->disks, spec->n_disks);
        r = power_on(d, f);
        if (r < 0)
                (void) g_hash_table_remove(fake_domains(), d->id);
        return leave(r, f);
}

int hypervisor_start_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_start_domain", id, &d, f);

        return r < 0 ? r : leave(power_on(d, f), f);
}

int hypervisor_shut_down_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_shut_down_domain", id, &d, f);

        if (r < 0)
                return r;
        if (fake.power_button_works)
                fake_set_state(d, DOMAIN_SHUT_OFF);
        return leave(0, f);
}

static int turn_off(const char *what, const char *id, DomainState state, Fault *f)
{
        FakeDomain *d;
        int r = enter(what, f);

        if (r < 0)
                return r;
        d = fake_domain_find(id);
        if (d)
                fake_set_state(d, DOMAIN_SHUT_OFF);
        if (d && state == DOMAIN_ABSENT)
                fake_set_state(d, DOMAIN_ABSENT);
        return leave(0, f);
}

int hypervisor_stop_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return turn_off("hypervisor_stop_domain", id, DOMAIN_SHUT_OFF, f);
}

int hypervisor_remove_domain(G_GNUC_UNUSED Hypervisor *h, const char *id, Fault *f)
{
        return turn_off("hypervisor_remove_domain", id, DOMAIN_ABSENT, f);
}

int hypervisor_domain_state(G_GNUC_UNUSED Hypervisor *h, const char *id, DomainState *ret, Fault *f)
{
        const FakeDomain *d;
        int r = enter("hypervisor_domain_state", f);

        if (r < 0)
                return r;
        d = fake_domain_find(id);
        *ret = d ? d->state : DOMAIN_ABSENT;
        return leave(0, f);
}

int hypervisor_domain_disks(G_GNUC_UNUSED Hypervisor *h, const char *id, DomainDisk **ret,
                            size_t *ret_n, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_domain_disks", id, &d, f);

        if (r < 0)
                return r;
        *ret_n = d->paths->len;
        *ret = g_new0(DomainDisk, d->paths->len + 1);
        for (guint i = 0; i < d->paths->len; i++)
                (*ret)[i] =
                        (DomainDisk){g_strdup(d->targets->pdata[i]), g_strdup(d->paths->pdata[i])};
        return leave(0, f);
}

DomainDisk *domain_disks_free(DomainDisk *disks, size_t n)
{
        for (size_t i = 0; disks && i < n; i++) {
                g_free(disks[i].target);
                g_free(disks[i].path);
        }
        g_free(disks);
        return NULL;
}

int hypervisor_set_domain_disks(G_GNUC_UNUSED Hypervisor *h, const char *id,
                                const DomainDisk *disks, size_t n, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_set_domain_disks", id, &d, f);

        if (r < 0)
                return r;
        set_disks(d, disks, n);
        return leave(0, f);
}

static int make_layers(const DomainDisk *disks, size_t n, Fault *f)
{
        for (size_t i = 0; i < n; i++) {
                int fd = open(disks[i].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

                if (fd < 0) {
                        int error = errno;

                        while (i-- > 0)
                                (void) unlink(disks[i].path);
                        return fault_set_errno(f, FAULT_HYPERVISOR_FAILED, error, "cut");
                }
                (void) !write(fd, "cut\n", 4);
                (void) close_fd(fd);
        }
        return 0;
}

int hypervisor_cut_disks(G_GNUC_UNUSED Hypervisor *h, const char *id, const DomainDisk *disks,
                         size_t n, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_cut_disks", id, &d, f);

        if (r < 0)
                return r;
        if (d->state != DOMAIN_RUNNING && d->state != DOMAIN_PAUSED)
                return leave(fault_set(f, FAULT_HYPERVISOR_FAILED, "the domain does not run"), f);
        r = make_layers(disks, n, f);
        if (r == 0)
                set_disks(d, disks, n);
        return leave(r, f);
}

/* What was written to the top is found in the file below it afterwards. */
static void merge(const FakeDomain *d, const DomainDisk *base_disks, size_t n)
{
        for (size_t i = 0; i < n && i < d->paths->len; i++)
                if (!g_str_equal(d->paths->pdata[i], base_disks[i].path))
                        fake_append(d->paths->pdata[i], base_disks[i].path);
}

int hypervisor_merge_disks(G_GNUC_UNUSED Hypervisor *h, const char *id,
                           const DomainDisk *base_disks, size_t n, Fault *f)
{
        FakeDomain *d;
        int r = enter_domain("hypervisor_merge_disks", id, &d, f);

        if (r < 0)
                return r;
        if (d->state != DOMAIN_RUNNING && d->state != DOMAIN_PAUSED)
                return leave(fault_set(f, FAULT_HYPERVISOR_FAILED, "the domain does not run"), f);
        merge(d, base_disks, n);
        set_disks(d, base_disks, n);
        return leave(0, f);
}

int hypervisor_list_own_domains(G_GNUC_UNUSED Hypervisor *h, GArray **ret_entries, Fault *f)
{
        GHashTableIter i;
        gpointer value;
        int r = enter("hypervisor_list_own_domains", f);

        if (r < 0)
                return r;
        *ret_entries = g_array_new(FALSE, TRUE, sizeof(DomainEntry));
        g_hash_table_iter_init(&i, fake_domains());
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const FakeDomain *d = value;
                DomainEntry entry = {.state = d->state};

                (void) g_strlcpy(entry.id, d->id, sizeof entry.id);
                g_array_append_val(*ret_entries, entry);
        }
        return leave(0, f);
}

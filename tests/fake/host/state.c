/* SPDX-License-Identifier: MIT */
#include "tests/fake/host/state.h"

FakeHost fake = {
        .is_connected = true,
        .power_button_works = true,
        .agents_answer = true,
        .host_upstream = {.family = AF_INET, .port = 53},
        .freeze_works = true,
        .identity_works = true,
        .firewall_works = true,
        .guests_let_go = true,
        .guests_have_addresses = true,
        .disk_free = UINT64_C(100) << 30,
};

/* -- state ------------------------------------------------------------------------------------ */

void fake_lock(void)
{
        g_mutex_lock(&fake.lock);
}

void fake_unlock(void)
{
        g_mutex_unlock(&fake.lock);
}

static void domain_free(gpointer data)
{
        FakeDomain *d = data;

        g_free(d->id);
        g_free(d->socket);
        g_ptr_array_unref(d->targets);
        g_ptr_array_unref(d->paths);
        g_ptr_array_unref(d->nics);
        g_hash_table_unref(d->files);
        fake_guest_clear(&d->guest);
        g_free(d->saved);
        g_free(d);
}

static void free_bytes(gpointer bytes)
{
        g_bytes_unref(bytes);
}

GHashTable *fake_domains(void)
{
        if (!fake.domains)
                fake.domains = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, domain_free);
        return fake.domains;
}

FakeDomain *fake_domain_find(const char *id)
{
        return g_hash_table_lookup(fake_domains(), id);
}

FakeDomain *fake_domain_add(const char *id)
{
        FakeDomain *d = g_new0(FakeDomain, 1);

        d->id = g_strdup(id);
        d->state = DOMAIN_SHUT_OFF;
        d->targets = g_ptr_array_new_with_free_func(g_free);
        d->paths = g_ptr_array_new_with_free_func(g_free);
        d->nics = g_ptr_array_new_with_free_func(fake_nic_free);
        d->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_bytes);
        d->agent_answers = true;
        (void) g_hash_table_insert(fake_domains(), d->id, d);
        return d;
}

void fake_push_news(FakeNews news)
{
        if (fake.hypervisor) {
                g_queue_push_tail(&fake.news, g_memdup2(&news, sizeof news));
                fake_wake();
        } else {
                g_free(news.id);
        }
}

bool fake_is_on(const FakeDomain *d)
{
        return d->state == DOMAIN_RUNNING || domain_stands_still(d->state);
}

void fake_set_state(FakeDomain *d, DomainState state)
{
        if (d->state == state)
                return;
        d->state = state;
        if (!fake_is_on(d)) {
                d->is_frozen = false;
                fake_unplug_all(d);
                d->ended_jobs++;
                g_cond_broadcast(&fake.released);
        }
        /* Only hypervisor_domain_state() tells that one loads. */
        fake_push_news((FakeNews){.id = g_strdup(d->id),
                                  .state = state == DOMAIN_LOADING ? DOMAIN_PAUSED : state});
        if (state == DOMAIN_ABSENT)
                (void) g_hash_table_remove(fake_domains(), d->id);
}

int fake_count(const char *what, Fault *f)
{
        fake.calls++;
        if (!fake.leak)
                fake.leak = fake_leak();
        if (fake.trace)
                g_string_append_printf(fake.trace, "%s\n", what);
        if (fake.calls == fake.die_at)
                fake_die();
        if (fake.stops)
                fake_stop();
        if (fake.calls == fake.fail_at || g_strcmp0(what, fake.fail_what) == 0) {
                fake.fail_what = NULL;
                return fault_set(f, fake.fail_code, "fake failure of %s, call %u", what,
                                 fake.calls);
        }
        return 0;
}

int fake_call(const char *what, Fault *f)
{
        int r;

        fake_lock();
        r = fake_count(what, f);
        fake_unlock();
        return r;
}

FakeDomain *fake_domain_of(const char *socket)
{
        GHashTableIter i;
        gpointer value;

        g_hash_table_iter_init(&i, fake_domains());
        while (g_hash_table_iter_next(&i, NULL, &value))
                if (g_strcmp0(((FakeDomain *) value)->socket, socket) == 0)
                        return value;
        return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "tests/fake/host.h"

#include "tests/fake/host/state.h"

void fake_host_reset(void)
{
        g_assert(!fake.hypervisor);
        fake_guest_reset();
        g_clear_pointer(&fake.domains, g_hash_table_unref);
        g_clear_pointer(&fake.foreign, g_ptr_array_unref);
        fake.is_held = false;
        fake.is_connected = fake.power_button_works = true;
        fake.agents_answer = fake.freeze_works = fake.identity_works = true;
        fake.late_clocks = 0;
        fake.firewall_works = fake.guests_let_go = fake.guests_have_addresses = true;
        fake.network_is_foreign = false;
        g_clear_pointer(&fake.links, g_hash_table_unref);
        g_clear_pointer(&fake.bridge, g_free);
        g_clear_pointer(&fake.leak, g_free);
        g_clear_pointer(&fake.network, g_free);
        fake_tables_clear(&fake.tables);
        fake_host_trace(false);
        fake.jobs_are_held = false;
        g_clear_pointer(&fake.abi, g_free);
        fake.disk_free = UINT64_C(100) << 30;
        fake.fail_at = fake.lose_at = fake.die_at = fake.hold_at = fake.calls = 0;
        fake.answer_is_lost = fake.stops = false;
        fake.fail_what = NULL;
}

void fake_host_fail_nth(unsigned n, FaultCode code)
{
        fake_lock();
        fake.calls = 0;
        fake.fail_at = n;
        fake.lose_at = fake.die_at = 0;
        fake.fail_code = code;
        fake_unlock();
}

void fake_host_fail_next(const char *what, FaultCode code)
{
        fake_lock();
        fake.fail_what = what;
        fake.fail_code = code;
        fake_unlock();
}

void fake_host_lose_nth(unsigned n)
{
        fake_lock();
        fake.calls = fake.fail_at = fake.die_at = 0;
        fake.lose_at = n;
        fake_unlock();
}

void fake_host_trace(bool is_kept)
{
        fake_lock();
        if (fake.trace)
                (void) g_string_free(fake.trace, TRUE);
        fake.trace = is_kept ? g_string_new("\n") : NULL;
        fake_unlock();
}

char *fake_host_traced(void)
{
        char *text;

        fake_lock();
        text = g_strdup(fake.trace ? fake.trace->str : "");
        fake_unlock();
        return text;
}

bool fake_host_step(const char *what)
{
        return fake_call(what, NULL) == 0;
}

unsigned fake_host_calls(void)
{
        unsigned calls;

        fake_lock();
        calls = fake.calls;
        fake_unlock();
        return calls;
}

void fake_host_hold(bool is_held)
{
        fake_lock();
        fake.is_held = is_held;
        fake.hold_at = 0;
        g_cond_broadcast(&fake.released);
        fake_unlock();
}

void fake_host_hold_nth(unsigned n)
{
        fake_lock();
        fake.hold_at = n;
        fake_unlock();
}

unsigned fake_host_held(void)
{
        unsigned held;

        fake_lock();
        held = fake.held;
        fake_unlock();
        return held;
}

void fake_host_hold_jobs(bool are_held)
{
        fake_lock();
        fake.jobs_are_held = are_held;
        g_cond_broadcast(&fake.released);
        fake_unlock();
}

unsigned fake_host_jobs(void)
{
        unsigned jobs;

        fake_lock();
        /* Once let go they end, though their threads may not know yet. */
        jobs = fake.jobs_are_held ? fake.jobs : 0;
        fake_unlock();
        return jobs;
}

void fake_host_set_connected(bool is_connected)
{
        fake_lock();
        fake.is_connected = is_connected;
        fake_push_news((FakeNews){.kind = FAKE_NEWS_CONNECTION, .is_connected = is_connected});
        fake_unlock();
}

void fake_host_set_domain(const char *id, DomainState state)
{
        FakeDomain *d;

        fake_lock();
        d = fake_domain_find(id);
        if (!d && state != DOMAIN_ABSENT)
                d = fake_domain_add(id);
        if (d)
                fake_set_state(d, state);
        fake_unlock();
}

void fake_host_reboot(const char *id)
{
        fake_lock();
        if (fake.is_connected)
                fake_push_news((FakeNews){.kind = FAKE_NEWS_RESET, .id = g_strdup(id)});
        fake_unlock();
}

void fake_host_add_domain(const char *id, const char *disk_path, DomainState state)
{
        DomainDisk disk = {(char *) "vda", (char *) disk_path};
        FakeDomain *d;

        fake_lock();
        d = fake_domain_add(id);
        fake_set_disks(d, &disk, 1);
        fake_set_state(d, state);
        fake_unlock();
}

DomainState fake_host_domain(const char *id)
{
        const FakeDomain *d;
        DomainState state;

        fake_lock();
        d = fake_domain_find(id);
        state = d ? d->state : DOMAIN_ABSENT;
        fake_unlock();
        return state;
}

unsigned fake_host_domains(void)
{
        unsigned n;

        fake_lock();
        n = g_hash_table_size(fake_domains());
        fake_unlock();
        return n;
}

char *fake_host_disk(const char *id, unsigned i)
{
        const FakeDomain *d;
        char *path;

        fake_lock();
        d = fake_domain_find(id);
        path = d && i < d->paths->len ? g_strdup(d->paths->pdata[i]) : NULL;
        fake_unlock();
        return path;
}

void fake_host_set_power_button(bool works)
{
        fake_lock();
        fake.power_button_works = works;
        fake_unlock();
}

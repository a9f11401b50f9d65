/* SPDX-License-Identifier: MIT */

/* What of a host outlives a daemon that is killed: domains, and what runs in their guests. */

#include "tests/fake/host.h"

#include "base/file.h"
#include "tests/fake/host/state.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOMAIN_TYPE  "(sisbbasassv" FAKE_NICS_TYPE ")"
#define PROCESS_TYPE "(sxstbbbiiayay)"
#define HOST_TYPE    "(ta" DOMAIN_TYPE "a" PROCESS_TYPE FAKE_NETWORK_TYPE ")"

static GVariant *strings(const GPtrArray *array)
{
        return g_variant_new_strv((const char *const *) array->pdata, array->len);
}

static GVariant *save_domains(void)
{
        GVariantBuilder list;
        GHashTableIter i;
        gpointer value;

        g_variant_builder_init(&list, G_VARIANT_TYPE("a" DOMAIN_TYPE));
        g_hash_table_iter_init(&i, fake_domains());
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const FakeDomain *d = value;

                if (d->is_transient)
                        continue;
                g_variant_builder_add(&list, "(sisbb@as@assv@" FAKE_NICS_TYPE ")", d->id,
                                      (gint32) d->state, d->socket ? d->socket : "",
                                      d->agent_answers, d->is_frozen, strings(d->targets),
                                      strings(d->paths), d->saved ? d->saved : "",
                                      fake_guest_save(&d->guest), fake_nics_save(d));
        }
        return g_variant_builder_end(&list);
}

static void save(void)
{
        g_autoptr(GVariant) host = g_variant_ref_sink(g_variant_new(
                "(t@a" DOMAIN_TYPE "@a" PROCESS_TYPE "@" FAKE_NETWORK_TYPE ")", fake.last_boot,
                save_domains(), fake_processes_save(), fake_network_save()));

        g_assert(write_all(fake.death_fd, g_variant_get_data(host), g_variant_get_size(host)) == 0);
}

void fake_die(void)
{
        save();
        (void) raise(SIGKILL);
        g_assert_not_reached();
}

void fake_stop(void)
{
        save();
        (void) raise(SIGSTOP);
}

void fake_host_die_nth(unsigned n, int fd)
{
        fake_lock();
        fake.calls = fake.fail_at = fake.lose_at = 0;
        fake.stops = false;
        fake.die_at = n;
        fake.death_fd = fd;
        fake_unlock();
}

void fake_host_stop_at_each(int fd)
{
        fake_lock();
        fake.stops = fd >= 0;
        fake.death_fd = fd;
        fake_unlock();
}

static void load_domains(GVariant *domains)
{
        g_autoptr(GVariantIter) iter = g_variant_iter_new(domains);
        gboolean agent_answers, is_frozen;
        const char *id, *socket, *saved;
        GVariant *guest, *nics;
        gint32 state;
        GStrv targets, paths;

        while (g_variant_iter_next(iter, "(&si&sbb^as^as&sv@" FAKE_NICS_TYPE ")", &id, &state,
                                   &socket, &agent_answers, &is_frozen, &targets, &paths, &saved,
                                   &guest, &nics)) {
                FakeDomain *d = fake_domain_add(id);

                d->state = (DomainState) state;
                d->socket = g_strdup(socket);
                d->agent_answers = agent_answers;
                d->is_frozen = is_frozen;
                d->saved = *saved ? g_strdup(saved) : NULL;
                fake_guest_load(&d->guest, guest);
                g_variant_unref(guest);
                fake_nics_load(d, nics);
                g_variant_unref(nics);
                for (size_t i = 0; paths[i]; i++) {
                        g_ptr_array_add(d->targets, g_strdup(targets[i]));
                        g_ptr_array_add(d->paths, g_strdup(paths[i]));
                }
                g_strfreev(targets);
                g_strfreev(paths);
        }
}

void fake_host_load(int fd)
{
        struct stat st;
        gpointer bytes;

        g_assert(fstat(fd, &st) == 0);
        bytes = g_malloc((size_t) st.st_size);
        g_assert(pread_all(fd, bytes, (size_t) st.st_size, 0) == 0);
        g_autoptr(GVariant) host = g_variant_ref_sink(g_variant_new_from_data(
                G_VARIANT_TYPE(HOST_TYPE), bytes, (size_t) st.st_size, FALSE, g_free, bytes));
        g_autoptr(GVariant) domains = g_variant_get_child_value(host, 1);
        g_autoptr(GVariant) processes = g_variant_get_child_value(host, 2);
        g_autoptr(GVariant) network = g_variant_get_child_value(host, 3);
        fake_lock();
        g_variant_get_child(host, 0, "t", &fake.last_boot);
        load_domains(domains);
        fake_network_load(network);
        fake_unlock();
        fake_processes_load(processes);
}

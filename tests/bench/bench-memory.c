/* SPDX-License-Identifier: MIT */

/* What is done with the memory of a running sandbox, a copy of the warm template "mini": snapshots
 * of it, branches of such a snapshot, going back to one, pauses.
 *
 * Branches and restores are timed until the first Run() has returned, a resumed pause until Run()
 * has, as in bench-create. Of a snapshot the whole call is timed and, by QEMU's clock, how long the
 * guest stood still. All is done in turns to one sandbox that is brought back to the same snapshot
 * each time. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"
#include "tests/bench/standstill.h"

#include <stdbool.h>

#define ROUNDS 9

/* After each, for libvirt and the kernel to finish with what was ended. */
#define REST_USEC (500 * USEC_PER_MSEC)

#define POINT "bench"

typedef struct Bench {
        sd_bus *bus;
        const char *sandbox;
        Standstill *standstill;
        Samples saved, stood_still, branched, restored;
        Samples paused, resumed, paused_to_disk, resumed_from_disk;
} Bench;

static char *save(Bench *b, const char *name)
{
        g_autoptr(sd_bus_message) reply =
                bus_call(b->bus, b->sandbox, INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}", name, 1,
                         "memory", "b", true);

        return bus_read_object(reply);
}

static void restore(Bench *b)
{
        sd_bus_message_unref(
                bus_call(b->bus, b->sandbox, INTERFACE_SANDBOX, "Restore", "s", POINT));
        bus_wait_until_ready(b->bus, b->sandbox);
        bus_run_true(b->bus, b->sandbox);
}

/* Afterwards all is as it was. */
static void measure_snapshot(Bench *b)
{
        standstill_begin(b->standstill);
        uint64_t since = now_monotonic_usec();
        g_autofree char *snapshot = save(b, "measured");
        samples_add_since(&b->saved, since);
        samples_add(&b->stood_still, standstill_end(b->standstill));
        restore(b);
        sd_bus_message_unref(bus_call(b->bus, snapshot, INTERFACE_SNAPSHOT, "Delete", "a{sv}", 0));
}

static void measure_branch(Bench *b)
{
        uint64_t since = now_monotonic_usec();
        g_autoptr(sd_bus_message) reply = bus_call(b->bus, b->sandbox, INTERFACE_SANDBOX, "Branch",
                                                   "sa{sv}", POINT, 1, "name", "s", "bench-branch");
        g_autofree char *branch = bus_read_object(reply);

        bus_wait_until_ready(b->bus, branch);
        bus_run_true(b->bus, branch);
        samples_add_since(&b->branched, since);
        bus_check_started_from(b->bus, branch, "memory");
        bus_destroy_sandbox(b->bus, branch);
}

static void measure_restore(Bench *b)
{
        uint64_t since = now_monotonic_usec();

        restore(b);
        samples_add_since(&b->restored, since);
}

static void measure_pause_of(Bench *b, bool to_disk, Samples *paused, Samples *resumed)
{
        uint64_t since = now_monotonic_usec();

        sd_bus_message_unref(bus_call(b->bus, b->sandbox, INTERFACE_SANDBOX, "Pause", "a{sv}", 1,
                                      "to_disk", "b", to_disk));
        samples_add_since(paused, since);
        g_usleep(REST_USEC);
        since = now_monotonic_usec();
        sd_bus_message_unref(bus_call(b->bus, b->sandbox, INTERFACE_SANDBOX, "Resume", ""));
        bus_wait_until_ready(b->bus, b->sandbox);
        bus_run_true(b->bus, b->sandbox);
        samples_add_since(resumed, since);
}

static void measure_pause(Bench *b)
{
        measure_pause_of(b, false, &b->paused, &b->resumed);
}

static void measure_pause_to_disk(Bench *b)
{
        measure_pause_of(b, true, &b->paused_to_disk, &b->resumed_from_disk);
}

static void measure(Bench *b)
{
        static void (*const kinds[])(Bench * b) = {
                measure_snapshot, measure_branch,        measure_restore,
                measure_pause,    measure_pause_to_disk,
        };
        g_autoptr(GRand) random = g_rand_new_with_seed(1);
        unsigned order[G_N_ELEMENTS(kinds)];

        for (unsigned round = 0; round < ROUNDS; round++) {
                shuffle(order, G_N_ELEMENTS(kinds), random);
                for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                        kinds[order[i]](b);
                        g_usleep(REST_USEC);
                }
        }
}

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        g_autofree char *template = bus_warm_template(bus, "mini");
        g_autofree char *sandbox = bus_create_sandbox(bus, "bench-memory");
        g_autofree char *domain_name = bus_domain_name(sandbox);
        Bench b = {.bus = bus, .sandbox = sandbox};

        bus_wait_until_ready(bus, sandbox);
        bus_check_started_from(bus, sandbox, "memory");
        b.standstill = standstill_new(domain_name);
        g_free(save(&b, POINT));
        measure(&b);
        samples_print(&b.saved, "snapshot_memory_ms");
        samples_print(&b.stood_still, "snapshot_memory_pause_ms");
        samples_print(&b.branched, "branch_memory_ms");
        samples_print(&b.restored, "restore_memory_ms");
        samples_print(&b.paused, "pause_ms");
        samples_print(&b.resumed, "resume_ms");
        samples_print(&b.paused_to_disk, "pause_to_disk_ms");
        samples_print(&b.resumed_from_disk, "resume_from_disk_ms");
        bus_destroy_sandbox(bus, sandbox);
        bus_cool_template(bus, template);
        return 0;
}

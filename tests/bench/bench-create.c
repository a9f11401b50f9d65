/* SPDX-License-Identifier: MIT */

/* How long until a sandbox is there: booted, gone on from a warm template's memory, and how long
 * bare libvirt takes to start the same domain.
 *
 *     bench-create TEMPLATE ROUNDS DIRECTORY        (which QEMU may make files in)
 *
 * A caller has a sandbox when its first program has run in it: all is timed from the call of
 * CreateSandbox() until Run() of /bin/true has returned, with Wait("ready") in between, so that
 * what is done to a copy before it is ready (its identity, its clock) is a part of it, and so is
 * what the first program finds cold. Of one that boots the time until it is ready is told, too.
 *
 * The floor is virDomainCreateXML() alone, with stopped CPUs, of the definition that fluid keeps of
 * a warm sandbox: the same devices, and files of the same kind. It loads no memory. (Defined
 * before, virDomainCreateWithFlags() takes as long: 373 ms each.) All is done in turns, one at a
 * time; what stays meanwhile, for its backing files, is a paused sandbox. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bare-domain.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>

/* After each, for libvirt and the kernel to finish with what was ended. */
#define PAUSE_USEC (200 * USEC_PER_MSEC)

enum { COLD, WARM, FLOOR, N_KINDS };

typedef struct Bench {
        sd_bus *bus;
        const char *template;
        BareDomain *floor;
        Samples ready[N_KINDS], done[N_KINDS];
} Bench;

static void create(Bench *b, unsigned kind)
{
        uint64_t since = now_monotonic_usec();
        g_autofree char *sandbox =
                bus_create_sandbox_of(b->bus, b->template, "bench-create", kind == COLD);

        bus_wait_until_ready(b->bus, sandbox);
        samples_add_since(&b->ready[kind], since);
        bus_run_true(b->bus, sandbox);
        samples_add_since(&b->done[kind], since);
        bus_check_started_from(b->bus, sandbox, kind == COLD ? "boot" : "memory");
        bus_destroy_sandbox(b->bus, sandbox);
}

static void start_bare(Bench *b)
{
        uint64_t since = now_monotonic_usec();

        bare_domain_start(b->floor);
        samples_add_since(&b->done[FLOOR], since);
        bare_domain_stop(b->floor);
}

static void measure(Bench *b, unsigned rounds)
{
        g_autoptr(GRand) random = g_rand_new_with_seed(1);
        unsigned order[N_KINDS];

        for (unsigned round = 0; round < rounds; round++) {
                shuffle(order, N_KINDS, random);
                for (unsigned i = 0; i < N_KINDS; i++) {
                        if (order[i] == FLOOR)
                                start_bare(b);
                        else
                                create(b, order[i]);
                        g_usleep(PAUSE_USEC);
                }
        }
}

static char *make_paused_sandbox(Bench *b)
{
        char *sandbox = bus_create_sandbox_of(b->bus, b->template, "bench-model", false);

        bus_wait_until_ready(b->bus, sandbox);
        bus_check_started_from(b->bus, sandbox, "memory");
        sd_bus_message_unref(bus_call(b->bus, sandbox, INTERFACE_SANDBOX, "Pause", "a{sv}", 0));
        return sandbox;
}

int main(int argc, char *argv[])
{
        g_autoptr(sd_bus) bus = bus_open();
        Bench b = {.bus = bus};
        guint64 rounds;

        if (argc != 4 || !g_ascii_string_to_unsigned(argv[2], 10, 1, 1000, &rounds, NULL))
                errx(2, "usage: bench-create TEMPLATE ROUNDS DIRECTORY");
        b.template = argv[1];
        g_autofree char *template = bus_warm_template(bus, b.template);
        g_autofree char *model = make_paused_sandbox(&b);
        b.floor = bare_domain_new(model, argv[3]);
        measure(&b, (unsigned) rounds);
        samples_print(&b.ready[COLD], "create_cold_ms");
        samples_print(&b.done[COLD], "create_cold_first_run_ms");
        samples_print(&b.ready[WARM], "create_warm_ready_ms");
        samples_print(&b.done[WARM], "create_warm_ms");
        samples_print(&b.done[FLOOR], "start_floor_ms");
        (void) bare_domain_free(b.floor);
        bus_destroy_sandbox(bus, model);
        bus_cool_template(bus, template);
        return 0;
}

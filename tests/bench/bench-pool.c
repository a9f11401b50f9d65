/* SPDX-License-Identifier: MIT */

/* How long until a sandbox is there that only has to be taken from a pool: timed as bench-create
 * does, from the call of CreateSandbox() until the first Run() has returned. Each is taken from a
 * full pool that has come to rest. What is made to fill it again begins at once, as it would for
 * any caller. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>

#define POOL   3
#define ROUNDS 15

#define FILL_USEC (120 * USEC_PER_SEC)
#define POLL_USEC (50 * USEC_PER_MSEC)
#define REST_USEC (1 * USEC_PER_SEC)

static void wait_until_full(sd_bus *bus, const char *template)
{
        uint64_t deadline = now_monotonic_usec() + FILL_USEC;

        while (bus_get_number(bus, template, INTERFACE_TEMPLATE, "PoolReady") != POOL) {
                if (now_monotonic_usec() > deadline)
                        errx(1, "the pool was not filled");
                g_usleep(POLL_USEC);
        }
        g_usleep(REST_USEC);
}

static void claim(sd_bus *bus, Samples *ready, Samples *claimed)
{
        uint64_t since = now_monotonic_usec();
        g_autofree char *sandbox = bus_create_sandbox(bus, "bench-pool");

        bus_wait_until_ready(bus, sandbox);
        samples_add_since(ready, since);
        bus_run_true(bus, sandbox);
        samples_add_since(claimed, since);
        bus_check_started_from(bus, sandbox, "pool");
        bus_destroy_sandbox(bus, sandbox);
}

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        g_autofree char *template = bus_warm_template(bus, "mini");
        Samples ready = {0}, claimed = {0};

        sd_bus_message_unref(bus_call(bus, template, INTERFACE_TEMPLATE, "SetPool", "u", POOL));
        for (unsigned round = 0; round < ROUNDS; round++) {
                wait_until_full(bus, template);
                claim(bus, &ready, &claimed);
        }
        samples_print(&ready, "claim_ready_ms");
        samples_print(&claimed, "claim_ms");
        bus_cool_template(bus, template);
        return 0;
}

/* SPDX-License-Identifier: MIT */

/* How long the rules of a sandbox are away after somebody flushed all of nftables: from the end of
 * the flush until the kernel has the sandbox's element again, by polling it. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <nftables/libnftables.h>
#include <string.h>

#define ROUNDS 100

#define POLL_USEC (200)
/* After each, for the daemon to write its audit rows. */
#define REST_USEC (100 * USEC_PER_MSEC)
#define WAIT_USEC (10 * USEC_PER_SEC)

static struct nft_ctx *kernel;

static bool has_rules(const char *interface)
{
        return nft_run_cmd_from_buffer(kernel, "list set bridge fluid pinned") == 0 &&
               strstr(nft_ctx_get_output_buffer(kernel), interface);
}

static void flush_and_wait(const char *interface, Samples *away)
{
        uint64_t since;

        if (nft_run_cmd_from_buffer(kernel, "flush ruleset") != 0)
                errx(1, "cannot flush the rules: %s", nft_ctx_get_error_buffer(kernel));
        since = now_monotonic_usec();
        while (!has_rules(interface)) {
                if (now_monotonic_usec() - since > WAIT_USEC)
                        errx(1, "the rules of %s do not come back", interface);
                g_usleep(POLL_USEC);
        }
        samples_add_since(away, since);
        g_usleep(REST_USEC);
}

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "mini", 2,
                         "name", "s", "bench-repair", "network", "s", "internet");
        g_autofree char *sandbox = bus_read_object(reply);
        g_autofree char *interface = NULL;
        Samples away = {0}, worst = {0};

        kernel = nft_ctx_new(NFT_CTX_DEFAULT);
        if (!kernel || nft_ctx_buffer_output(kernel) != 0 || nft_ctx_buffer_error(kernel) != 0)
                errx(1, "cannot use libnftables");
        bus_wait_until_ready(bus, sandbox);
        interface = bus_get_text(bus, sandbox, INTERFACE_SANDBOX, "NetworkInterface");
        if (!has_rules(interface))
                errx(1, "%s has no rules", interface);
        for (unsigned round = 0; round < ROUNDS; round++)
                flush_and_wait(interface, &away);
        samples_add(&worst, samples_quantile(&away, 0.99));
        samples_print(&away, "flush_repair_ms");
        samples_print(&worst, "flush_repair_p99_ms");
        bus_destroy_sandbox(bus, sandbox);
        nft_ctx_free(kernel);
        return 0;
}

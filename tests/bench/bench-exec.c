/* SPDX-License-Identifier: MIT */

/* A program's way into a sandbox and back: Run() on the bus against guest-exec on a bare channel.
 *
 *     bench-exec DIRECTORY        (which QEMU may make a socket in)
 *
 * QEMU lets one client into fluid's channel, and that is the daemon. So the sandbox gets another
 * virtio port with a second qemu-ga of the same kind on it: the floor is taken in the same guest,
 * whose processes, memory and load are the same for both, and call by call in turns with Run(). A
 * second guest would be another one, and a daemon stopped and started between the two leaves
 * seconds in which the machine changes. What the second agent costs is a sleeping process; it
 * answers as fast as the first one (bare clients on both, the daemon stopped: 15.1 and 15.4 ms). */

#include "base/quantity.h"
#include "tests/bench/bare-agent.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <libvirt/libvirt.h>

#define ROUNDS 60
/* Before each: a call of its own finds the guest asleep, and one right after another does not. */
#define PAUSE_USEC (20 * USEC_PER_MSEC)
#define PORT       "sh.fluid.bench.0"

static const struct {
        const char *name;
        uint64_t poll_usec;
} floors[] = {
        {"exec_floor_tight_ms", 0},
        {"exec_floor_1ms_ms", 1 * USEC_PER_MSEC},
        {"exec_floor_2ms_ms", 2 * USEC_PER_MSEC},
        {"exec_floor_5ms_ms", 5 * USEC_PER_MSEC},
        {"exec_floor_10ms_ms", 10 * USEC_PER_MSEC},
};

enum { RUN = G_N_ELEMENTS(floors), PING, N_KINDS };

static void attach_port(const char *sandbox, const char *socket_path)
{
        g_autofree char *name = bus_domain_name(sandbox);
        g_autofree char *xml =
                g_markup_printf_escaped("<channel type='unix'><source mode='bind' path='%s'/>"
                                        "<target type='virtio' name='" PORT "'/></channel>",
                                        socket_path);
        virConnectPtr connection = virConnectOpen("qemu:///system");
        virDomainPtr domain = connection ? virDomainLookupByName(connection, name) : NULL;

        if (!domain || virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
                errx(1, "cannot give the sandbox another port");
        (void) virDomainFree(domain);
        (void) virConnectClose(connection);
}

/* By its name in sysfs: what gives devices names may not be up yet when the agent is. */
static const char agent_script[] =
        "round=0 port=\n"
        "while [ -z \"$port\" ]; do\n"
        "        [ $((round += 1)) -lt 100 ] || exit 1\n"
        "        sleep 0.1\n"
        "        port=$(grep -lx " PORT " /sys/class/virtio-ports/*/name)\n"
        "done\n"
        "port=${port%/name}\n"
        "mkdir -p /run/bench\n"
        "exec qemu-ga -d -m virtio-serial -p \"/dev/${port##*/}\" -t /run/bench -f /run/bench/pid\n";

static int open_bare_agent(sd_bus *bus, const char *sandbox, const char *directory)
{
        g_autofree char *socket_path = g_build_filename(directory, "agent.sock", NULL);

        attach_port(sandbox, socket_path);
        bus_run_script(bus, sandbox, agent_script);
        return bare_agent_open(socket_path);
}

static void measure(sd_bus *bus, const char *sandbox, int agent, unsigned kind, Samples *samples)
{
        g_usleep(PAUSE_USEC);
        uint64_t since = now_monotonic_usec();

        if (kind == RUN)
                bus_run_true(bus, sandbox);
        else if (kind == PING)
                bare_agent_ping(agent);
        else
                bare_agent_exec(agent, floors[kind].poll_usec);
        samples_add_since(&samples[kind], since);
}

static void print(const Samples *samples)
{
        unsigned best = 0;

        for (unsigned kind = 0; kind < RUN; kind++) {
                samples_print(&samples[kind], floors[kind].name);
                if (samples_median(&samples[kind]) < samples_median(&samples[best]))
                        best = kind;
        }
        samples_print(&samples[best], "exec_floor_ms");
        samples_print(&samples[RUN], "exec_run_ms");
        samples_print(&samples[PING], "ping_floor_ms");
}

int main(int argc, char *argv[])
{
        g_autoptr(sd_bus) bus = bus_open();
        g_autoptr(GRand) random = g_rand_new_with_seed(1);
        g_autofree char *sandbox = bus_create_sandbox(bus, "bench-exec");
        Samples samples[N_KINDS] = {0}, unused[N_KINDS] = {0};
        unsigned order[N_KINDS];

        if (argc != 2)
                errx(2, "usage: bench-exec DIRECTORY");
        bus_wait_until_ready(bus, sandbox);
        int agent = open_bare_agent(bus, sandbox, argv[1]);
        for (unsigned kind = 0; kind < N_KINDS; kind++)
                measure(bus, sandbox, agent, kind, unused);
        for (unsigned round = 0; round < ROUNDS; round++) {
                shuffle(order, N_KINDS, random);
                for (unsigned i = 0; i < N_KINDS; i++)
                        measure(bus, sandbox, agent, order[i], samples);
        }
        print(samples);
        bus_destroy_sandbox(bus, sandbox);
        return 0;
}

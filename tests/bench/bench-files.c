/* SPDX-License-Identifier: MIT */

/* Files into a sandbox and out of it, and what the diff says of them afterwards. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS   5
#define SIZE_MIB 4
#define SIZE     ((uint64_t) SIZE_MIB << 20)

/* Of zeros; the protocol of the agent's sees no difference. */
static int make_file(uint64_t size)
{
        int fd = memfd_create("content", MFD_CLOEXEC);

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                err(1, "cannot make a file in memory");
        return fd;
}

static void check_size(sd_bus_message *reply)
{
        uint64_t size;

        if (sd_bus_message_read(reply, "t", &size) < 0 || size != SIZE)
                errx(1, "the file came through in part only");
}

static void add_rate(Samples *s, uint64_t since_usec)
{
        uint64_t usec = now_monotonic_usec() - since_usec;

        samples_add(s, SIZE_MIB * (double) USEC_PER_SEC / (double) usec);
}

static void push(sd_bus *bus, const char *sandbox, Samples *rate)
{
        int fd = make_file(SIZE);
        uint64_t since = now_monotonic_usec();
        g_autoptr(sd_bus_message) reply = bus_call(bus, sandbox, INTERFACE_SANDBOX, "PushFile",
                                                   "sha{sv}", "/root/bench", fd, 0);

        add_rate(rate, since);
        check_size(reply);
        (void) close(fd);
}

static void pull(sd_bus *bus, const char *sandbox, Samples *rate)
{
        int fd = make_file(0);
        uint64_t since = now_monotonic_usec();
        g_autoptr(sd_bus_message) reply =
                bus_call(bus, sandbox, INTERFACE_SANDBOX, "PullFile", "sh", "/root/bench", fd);

        add_rate(rate, since);
        check_size(reply);
        (void) close(fd);
}

static void diff(sd_bus *bus, const char *sandbox, Samples *samples)
{
        uint64_t since = now_monotonic_usec();

        sd_bus_message_unref(
                bus_call(bus, sandbox, INTERFACE_SANDBOX, "Diff", "ssa{sv}", "template", "now", 0));
        samples_add_since(samples, since);
}

int main(void)
{
        g_autoptr(sd_bus) bus = bus_open();
        g_autofree char *sandbox = bus_create_sandbox(bus, "bench-files");
        Samples written = {0}, read = {0}, diffed = {0};

        bus_wait_until_ready(bus, sandbox);
        for (unsigned round = 0; round < ROUNDS; round++) {
                push(bus, sandbox, &written);
                pull(bus, sandbox, &read);
        }
        for (unsigned round = 0; round < ROUNDS; round++)
                diff(bus, sandbox, &diffed);
        samples_print(&written, "write_mib_s");
        samples_print(&read, "read_mib_s");
        samples_print(&diffed, "diff_ms");
        bus_destroy_sandbox(bus, sandbox);
        return 0;
}

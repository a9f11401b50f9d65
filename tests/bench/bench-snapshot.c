/* SPDX-License-Identifier: MIT */

/* A snapshot of a running sandbox: CreateSnapshot() on the bus against virDomainSnapshotCreateXML()
 * of libvirt's.
 *
 *     bench-snapshot DIRECTORY        (on the sandboxes' file system; QEMU's user may write there)
 *
 * Both are done in turns to domains of the same kind, sandboxes whose chains grow alike; the daemon
 * does not know of those that libvirt does, so each way has a sandbox of its own. libvirt's call is
 * timed alone, in two ways: as it comes, when it makes the overlay itself, which is the same work
 * as that of fluid; and told to take an overlay that was made before (REUSE_EXT), which is less.
 * The floor is the better of the two. */

#include "base/quantity.h"
#include "dbus/names.h"
#include "host/image.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a chain may be deep (chain_depth_max) less the template and some frozen ones. */
#define SETS   3
#define ROUNDS 10
#define FROZEN 3

enum { FLUID, LIBVIRT, LIBVIRT_REUSE, N_WAYS };

typedef struct Bench {
        sd_bus *bus;
        virConnectPtr connection;
        const char *directory;
        char *sandboxes[N_WAYS];
        unsigned n_overlays;
        Samples samples[N_WAYS], frozen;
} Bench;

static void fail(const char *what)
{
        errx(1, "libvirt cannot %s: %s", what, virGetLastErrorMessage());
}

static void snapshot_by_fluid(Bench *b, unsigned round, bool freeze, Samples *samples)
{
        g_autofree char *name = g_strdup_printf("s%u", round);
        uint64_t since = now_monotonic_usec();
        g_autoptr(sd_bus_message) reply =
                bus_call(b->bus, b->sandboxes[FLUID], INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}",
                         name, 1, "freeze", "b", freeze);

        samples_add_since(samples, since);
}

/* The file that the domain's only disk writes to: the first of the XML's sources that are files. */
static char *present_overlay(virDomainPtr domain)
{
        static const char mark[] = "<source file='";
        char *xml = virDomainGetXMLDesc(domain, 0);
        const char *source = xml ? strstr(xml, mark) : NULL;

        if (!source)
                fail("tell the domain's disk");
        source += strlen(mark);
        char *path = g_strndup(source, strcspn(source, "'"));
        free(xml);
        return path;
}

/* Owned as the present one is: under fluid's fixed label libvirt does not give it to QEMU's user.
 * An empty file is one that libvirt still has to make an overlay of. */
static void prepare_file(virDomainPtr domain, const char *path, bool is_overlay)
{
        g_autofree char *present = present_overlay(domain);
        struct stat st;
        Fault f = {0};

        if (stat(present, &st) < 0)
                err(1, "cannot look at '%s'", present);
        if (image_create_overlay(path, present, IMAGE_QCOW2, 0, st.st_uid, st.st_gid, &f) < 0)
                errx(1, "%s", f.message);
        if (!is_overlay && truncate(path, 0) < 0)
                err(1, "cannot empty '%s'", path);
}

static void snapshot_by_libvirt(Bench *b, unsigned way)
{
        g_autofree char *name = bus_domain_name(b->sandboxes[way]);
        g_autofree char *path = g_strdup_printf("%s/%u-vda.qcow2", b->directory, b->n_overlays++);
        g_autofree char *xml = g_markup_printf_escaped(
                "<domainsnapshot><disks><disk name='vda' snapshot='external' type='file'>"
                "<driver type='qcow2'/><source file='%s'/></disk></disks></domainsnapshot>",
                path);
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                         VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
        virDomainPtr domain = virDomainLookupByName(b->connection, name);

        if (!domain)
                fail("find the sandbox");
        if (way == LIBVIRT_REUSE)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
        prepare_file(domain, path, way == LIBVIRT_REUSE);
        uint64_t since = now_monotonic_usec();
        virDomainSnapshotPtr snapshot = virDomainSnapshotCreateXML(domain, xml, flags);
        if (!snapshot)
                fail("make a snapshot");
        samples_add_since(&b->samples[way], since);
        (void) virDomainSnapshotFree(snapshot);
        (void) virDomainFree(domain);
}

static void measure_set(Bench *b, GRand *random)
{
        unsigned order[N_WAYS];

        for (unsigned way = 0; way < N_WAYS; way++) {
                g_autofree char *name = g_strdup_printf("bench-snapshot-%u", way);
                b->sandboxes[way] = bus_create_sandbox(b->bus, name);
        }
        for (unsigned way = 0; way < N_WAYS; way++)
                bus_wait_until_ready(b->bus, b->sandboxes[way]);
        for (unsigned round = 0; round < ROUNDS; round++) {
                shuffle(order, N_WAYS, random);
                for (unsigned i = 0; i < N_WAYS; i++)
                        if (order[i] == FLUID)
                                snapshot_by_fluid(b, round, false, &b->samples[FLUID]);
                        else
                                snapshot_by_libvirt(b, order[i]);
        }
        for (unsigned round = ROUNDS; round < ROUNDS + FROZEN; round++)
                snapshot_by_fluid(b, round, true, &b->frozen);
        for (unsigned way = 0; way < N_WAYS; way++) {
                bus_destroy_sandbox(b->bus, b->sandboxes[way]);
                g_free(b->sandboxes[way]);
        }
}

static void print(const Bench *b)
{
        const Samples *alone = &b->samples[LIBVIRT], *reuse = &b->samples[LIBVIRT_REUSE];

        samples_print(&b->samples[FLUID], "snapshot_ms");
        samples_print(&b->frozen, "snapshot_frozen_ms");
        samples_print(alone, "snapshot_floor_create_ms");
        samples_print(reuse, "snapshot_floor_reuse_ms");
        samples_print(samples_median(alone) < samples_median(reuse) ? alone : reuse,
                      "snapshot_floor_ms");
}

int main(int argc, char *argv[])
{
        g_autoptr(GRand) random = g_rand_new_with_seed(1);
        Bench b = {.bus = bus_open(), .connection = virConnectOpen("qemu:///system")};

        if (argc != 2)
                errx(2, "usage: bench-snapshot DIRECTORY");
        if (!b.connection)
                fail("be reached");
        b.directory = argv[1];
        for (unsigned set = 0; set < SETS; set++)
                measure_set(&b, random);
        print(&b);
        (void) virConnectClose(b.connection);
        (void) sd_bus_flush_close_unref(b.bus);
        return 0;
}

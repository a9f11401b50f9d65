/* SPDX-License-Identifier: MIT */

/* Many copies of the warm template "mini" at once: created at the same time by as many callers, and
 * what each takes of the host's memory when it has nothing to do.
 *
 *     bench-many [NUMBER]        (how many, once; else sets of 20)
 *
 * A copy's own memory is what its QEMU holds alone, Private_Clean + Private_Dirty of smaps_rollup:
 * what the guest has written, and QEMU itself. Pages of the image that were only read belong to all
 * that map them, which needs two copies, at least, to be seen. What the kernel holds for them is a
 * part only of what the whole host has less of (MemAvailable). */

#include "base/quantity.h"
#include "dbus/names.h"
#include "tests/bench/bus.h"
#include "tests/bench/samples.h"

#include <err.h>
#include <pthread.h>
#include <string.h>

#define SETS     3
#define SET_SIZE 20
#define MOST     200

#define MIB (1 << 20)

/* After all are ready, for each to finish what it was at. */
#define IDLE_USEC (10 * USEC_PER_SEC)

typedef struct Copy {
        unsigned number;
        pthread_barrier_t *start;
        sd_bus *bus;
        char *sandbox;
        uint64_t begun_usec, done_usec;
} Copy;

/* -- memory --------------------------------------------------------------------------------- */

/* The sum of the lines "KEY: … kB" with one of the keys, in MiB. */
static double read_mib(const char *path, const char *const *keys)
{
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        double kib = -1;

        if (!g_file_get_contents(path, &text, NULL, &error))
                errx(1, "%s", error->message);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; lines[i]; i++) {
                char *colon = strchr(lines[i], ':');
                if (!colon)
                        continue;
                *colon = '\0';
                if (g_strv_contains(keys, lines[i]))
                        kib = MAX(kib, 0) + g_ascii_strtod(colon + 1, NULL);
        }
        if (kib < 0)
                errx(1, "'%s' does not tell %s", path, keys[0]);
        return kib / 1024;
}

static double available_mib(void)
{
        static const char *const keys[] = {"MemAvailable", NULL};

        return read_mib("/proc/meminfo", keys);
}

static double private_mib(const char *sandbox)
{
        static const char *const keys[] = {"Private_Clean", "Private_Dirty", NULL};
        g_autofree char *domain = bus_domain_name(sandbox);
        g_autofree char *pid_path = g_strdup_printf("/run/libvirt/qemu/%s.pid", domain);
        g_autofree char *pid = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(pid_path, &pid, NULL, &error))
                errx(1, "%s", error->message);
        g_autofree char *path = g_strdup_printf("/proc/%s/smaps_rollup", g_strstrip(pid));
        return read_mib(path, keys);
}

/* Returns the sum. */
static double add_private(const Copy *copies, unsigned n, Samples *each)
{
        double sum = 0;

        g_usleep(IDLE_USEC);
        for (unsigned i = 0; i < n; i++) {
                double mib = private_mib(copies[i].sandbox);
                samples_add(each, mib);
                sum += mib;
        }
        return sum;
}

/* What would be taken without sharing, and what is shared by all. */
static void add_shared(const Copy *c, const char *template, Samples *ram, Samples *image)
{
        uint64_t ram_bytes = bus_get_number(c->bus, c->sandbox, INTERFACE_SANDBOX, "MemoryBytes");
        uint64_t image_bytes = bus_get_number(c->bus, template, INTERFACE_TEMPLATE, "WarmBytes");

        samples_add(ram, (double) ram_bytes / MIB);
        samples_add(image, (double) image_bytes / MIB);
}

/* -- copies --------------------------------------------------------------------------------- */

static void *create(void *data)
{
        Copy *c = data;
        g_autofree char *name = g_strdup_printf("bench-many-%u", c->number);

        (void) pthread_barrier_wait(c->start);
        c->begun_usec = now_monotonic_usec();
        c->sandbox = bus_create_sandbox(c->bus, name);
        bus_wait_until_ready(c->bus, c->sandbox);
        bus_run_true(c->bus, c->sandbox);
        c->done_usec = now_monotonic_usec();
        return NULL;
}

static void *destroy(void *data)
{
        Copy *c = data;

        bus_destroy_sandbox(c->bus, c->sandbox);
        return NULL;
}

/* A bus connection has one user at a time: the thread, until it has ended. */
static void do_at_once(Copy *copies, unsigned n, void *(*function)(void *) )
{
        pthread_t threads[MOST];

        for (unsigned i = 0; i < n; i++)
                if (pthread_create(threads + i, NULL, function, copies + i) != 0)
                        errx(1, "cannot make a thread");
        for (unsigned i = 0; i < n; i++)
                (void) pthread_join(threads[i], NULL);
}

/* Seconds from the first call to the last answer. */
static double create_all(Copy *copies, unsigned n, Samples *msec)
{
        pthread_barrier_t start;
        uint64_t first = UINT64_MAX, last = 0;

        if (pthread_barrier_init(&start, NULL, n) != 0)
                errx(1, "cannot make a barrier");
        for (unsigned i = 0; i < n; i++)
                copies[i] = (Copy){.number = i, .start = &start, .bus = bus_open()};
        do_at_once(copies, n, create);
        (void) pthread_barrier_destroy(&start);
        for (unsigned i = 0; i < n; i++) {
                const Copy *c = copies + i;
                bus_check_started_from(c->bus, c->sandbox, "memory");
                samples_add(msec, (double) (c->done_usec - c->begun_usec) / (double) USEC_PER_MSEC);
                first = MIN(first, c->begun_usec);
                last = MAX(last, c->done_usec);
        }
        return (double) (last - first) / (double) USEC_PER_SEC;
}

static void destroy_all(Copy *copies, unsigned n)
{
        do_at_once(copies, n, destroy);
        for (unsigned i = 0; i < n; i++) {
                g_free(copies[i].sandbox);
                (void) sd_bus_flush_close_unref(copies[i].bus);
        }
}

/* -- the two ways --------------------------------------------------------------------------- */

static void measure_sets(const char *template)
{
        Copy copies[SET_SIZE];
        Samples p50 = {0}, p95 = {0}, rate = {0};
        Samples private = {0}, ram = {0}, image = {0};

        for (unsigned set = 0; set < SETS; set++) {
                Samples msec = {0};
                double seconds = create_all(copies, SET_SIZE, &msec);
                samples_add(&p50, samples_median(&msec));
                samples_add(&p95, samples_quantile(&msec, 0.95));
                samples_add(&rate, SET_SIZE / seconds);
                (void) add_private(copies, SET_SIZE, &private);
                add_shared(copies, template, &ram, &image);
                destroy_all(copies, SET_SIZE);
        }
        samples_print(&p50, "create_parallel_p50_ms");
        samples_print(&p95, "create_parallel_p95_ms");
        samples_print(&rate, "create_rate_per_s");
        samples_print(&private, "private_memory_mib");
        samples_print(&ram, "template_ram_mib");
        samples_print(&image, "warm_image_mib");
}

static void measure_once(unsigned n)
{
        Copy copies[MOST];
        Samples created = {0}, all = {0}, private = {0}, total = {0}, host = {0}, run = {0};
        double available = available_mib();

        samples_add(&all, create_all(copies, n, &created));
        samples_add(&total, add_private(copies, n, &private));
        samples_add(&host, available - available_mib());
        for (unsigned i = 0; i < n; i++) {
                uint64_t since = now_monotonic_usec();
                bus_run_true(copies[i].bus, copies[i].sandbox);
                samples_add_since(&run, since);
        }
        samples_print(&created, "many_create_ms");
        samples_print(&all, "many_all_created_s");
        samples_print(&private, "many_private_memory_mib");
        samples_print(&total, "many_private_total_mib");
        samples_print(&host, "many_host_memory_mib");
        samples_print(&run, "many_answer_ms");
        destroy_all(copies, n);
}

int main(int argc, char *argv[])
{
        guint64 n = 0;

        if (argc > 2 || (argc == 2 && !g_ascii_string_to_unsigned(argv[1], 10, 2, MOST, &n, NULL)))
                errx(2, "usage: bench-many [NUMBER]        (2 to %d)", MOST);
        g_autoptr(sd_bus) bus = bus_open();
        g_autofree char *template = bus_warm_template(bus, "mini");
        if (n > 0)
                measure_once((unsigned) n);
        else
                measure_sets(template);
        bus_cool_template(bus, template);
        return 0;
}

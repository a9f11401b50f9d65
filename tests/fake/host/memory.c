/* SPDX-License-Identifier: MIT */

/* The memory of guests, in files.
 *
 * The definition is two lines: what made it, and the layer that the guest wrote to. A stream is a
 * line and then the guest; an image has the guest in the file of its RAM. */

#include "tests/fake/host.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/fake/host/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEVICES  "devices\n"
#define FILE_MAX (1 << 20)

static const char *abi(void)
{
        return fake.abi ? fake.abi : "QEMU 7.2.0, libvirt 9.0.0, qemu";
}

/* -- what a guest has in its memory ----------------------------------------------------------- */

void fake_guest_clear(FakeGuest *guest)
{
        g_free(guest->text);
        g_free(guest->identity.hostname);
        g_free(guest->identity.machine_id);
        g_free(guest->identity.ssh_host_key);
        g_free(guest->identity.seed);
        *guest = (FakeGuest){0};
}

#define GUEST_TYPE "(tmsmsmsmsmsuub)"

GVariant *fake_guest_save(const FakeGuest *guest)
{
        const FakeIdentity *i = &guest->identity;

        return g_variant_new(GUEST_TYPE, guest->boot, guest->text, i->hostname, i->machine_id,
                             i->ssh_host_key, i->seed, i->renewals, i->clocks, i->has_settled);
}

void fake_guest_load(FakeGuest *guest, GVariant *saved)
{
        FakeIdentity *i = &guest->identity;
        gboolean has_settled;

        fake_guest_clear(guest);
        g_variant_get(saved, GUEST_TYPE, &guest->boot, &guest->text, &i->hostname, &i->machine_id,
                      &i->ssh_host_key, &i->seed, &i->renewals, &i->clocks, &has_settled);
        i->has_settled = has_settled;
}

/* -- files ------------------------------------------------------------------------------------ */

static int write_file(const char *path, const char *text, Fault *f)
{
        autofd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot create '%s'", path);
        return write_all(fd, text, strlen(text));
}

static int read_file(const char *path, char **ret, Fault *f)
{
        int r = file_read(path, FILE_MAX, ret, NULL, f);

        if (r == 0 && g_str_has_prefix(*ret, "bad"))
                r = fault_set(f, FAULT_HYPERVISOR_FAILED, "QEMU gave up loading '%s'", path);
        return r;
}

static char *format_guest(const FakeGuest *guest)
{
        g_autoptr(GVariant) saved = g_variant_ref_sink(fake_guest_save(guest));

        return g_variant_print(saved, TRUE);
}

static int parse_guest(const char *text, GVariant **ret, Fault *f)
{
        *ret = g_variant_parse(G_VARIANT_TYPE(GUEST_TYPE), text, NULL, NULL, NULL);
        return *ret ? 0 : fault_set(f, FAULT_HYPERVISOR_FAILED, "QEMU does not know this memory");
}

/* The RAM of the stream, or of the image. */
static int read_memory(const DomainMemory *memory, char **ret, Fault *f)
{
        g_autofree char *state = NULL, *ram = NULL;
        int r = read_file(memory->state, &state, f);

        if (r == 0 && !g_str_has_prefix(state, DEVICES))
                r = fault_set(f, FAULT_HYPERVISOR_FAILED, "'%s' is no memory", memory->state);
        if (r == 0 && memory->ram)
                r = read_file(memory->ram, &ram, f);
        if (r == 0)
                *ret = g_strdup(ram ? ram : state + strlen(DEVICES));
        return r;
}

/* It fits this host, and the disk, which is the layer itself or stands on it. */
static int check_definition(const DomainMemory *memory, const char *disk, bool is_on_it, Fault *f)
{
        g_autofree char *text = NULL, *layer = NULL, *below = NULL;
        g_auto(GStrv) lines = NULL;
        int r = read_file(memory->xml, &text, f);

        if (r < 0)
                return r;
        lines = g_strsplit(text, "\n", -1);
        if (g_strv_length(lines) != 3)
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "'%s' is no definition", memory->xml);
        if (!g_str_equal(lines[0], abi()))
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "the memory was made with %s",
                                 lines[0]);
        below = is_on_it ? fake_host_backing(disk) : g_strdup(disk);
        layer = below ? g_path_get_basename(below) : NULL;
        if (g_strcmp0(layer, lines[1]) == 0)
                return 0;
        return fault_set(f, FAULT_HYPERVISOR_FAILED, "the memory belongs to %s, not to %s",
                         lines[1], layer);
}

/* -- starting --------------------------------------------------------------------------------- */

int fake_boot(FakeDomain *d, DomainState state, Fault *f)
{
        int r = fake_check_disks(d, f);

        if (r < 0)
                return r;
        d->guest.boot = ++fake.last_boot;
        d->is_loaded = false;
        g_clear_pointer(&d->guest.text, g_free);
        g_clear_pointer(&d->saved, g_free);
        fake_set_state(d, state);
        return 0;
}

static int load(FakeDomain *d, const DomainMemory *memory, bool is_on_it, Fault *f)
{
        g_autoptr(GVariant) guest = NULL;
        g_autofree char *text = NULL;
        int r = check_definition(memory, d->paths->pdata[0], is_on_it, f);

        if (r == 0)
                r = read_memory(memory, &text, f);
        if (r == 0)
                r = parse_guest(text, &guest, f);
        if (r < 0)
                return r;
        fake_guest_load(&d->guest, guest);
        /* Programs of the original are none of the copy's. */
        if (memory->ram)
                d->guest.boot = ++fake.last_boot;
        return 0;
}

int fake_load(FakeDomain *d, const DomainSpec *spec, Fault *f)
{
        int r = fake_check_disks(d, f);

        if (r < 0)
                return r;
        d->is_loaded = true;
        g_assert(spec->n_disks == d->paths->len &&
                 g_str_equal(spec->disks[0].path, d->paths->pdata[0]));
        fake_set_state(d, DOMAIN_LOADING);
        r = fake_count("the loading of a memory", f);
        if (r < 0) {
                fake_set_state(d, DOMAIN_SHUT_OFF);
                return r;
        }
        r = load(d, spec->memory, spec->memory->ram != NULL, f);
        fake_set_state(d, r < 0                ? DOMAIN_CRASHED
                          : spec->stays_paused ? DOMAIN_PAUSED
                                               : DOMAIN_RUNNING);
        return r;
}

/* -- saving ----------------------------------------------------------------------------------- */

int hypervisor_memory_abi(G_GNUC_UNUSED Hypervisor *h, char **ret, Fault *f)
{
        int r = fake_enter("hypervisor_memory_abi", f);

        if (r < 0)
                return r;
        *ret = g_strdup(abi());
        return fake_leave(0, f);
}

static int save(FakeDomain *d, const DomainMemory *memory, Fault *f)
{
        g_autofree char *guest = format_guest(&d->guest), *layer = NULL, *xml = NULL, *state = NULL;
        int r;

        layer = g_path_get_basename(d->paths->pdata[0]);
        xml = g_strdup_printf("%s\n%s\n", abi(), layer);
        state = g_strconcat(DEVICES, guest, NULL);
        r = write_file(memory->xml, xml, f);
        if (r < 0)
                return r;
        r = fake_count("the saving of a memory", f);
        if (r == 0)
                r = write_file(memory->state, state, f);
        if (r < 0)
                (void) unlink(memory->xml);
        return r;
}

int hypervisor_save_memory(G_GNUC_UNUSED Hypervisor *h, const char *id, const DomainMemory *memory,
                           Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_save_memory", id, &d, f);

        if (r < 0)
                return r;
        g_assert(!memory->ram);
        if (!fake_is_on(d))
                return fake_leave(fault_set(f, FAULT_WRONG_STATE, "domain %s%s does not run",
                                            DOMAIN_PREFIX, id),
                                  f);
        if (d->nics->len > 0)
                return fake_leave(fault_set(f, FAULT_WRONG_STATE,
                                            "domain %s%s has a NIC that was plugged in",
                                            DOMAIN_PREFIX, id),
                                  f);
        d->ended_jobs++;
        g_cond_broadcast(&fake.released);
        r = save(d, memory, f);
        if (r == 0) {
                g_free(d->saved);
                d->saved = g_strdup(memory->state);
                fake_set_state(d, DOMAIN_PAUSED);
        }
        return fake_leave(r, f);
}

/* -- baking ----------------------------------------------------------------------------------- */

FakeDomain *fake_wait_in_job(const char *id)
{
        g_autofree char *name = g_strdup(id);

        g_cond_wait(&fake.released, &fake.lock);
        return fake_domain_find(name);
}

static int write_image(const DomainSpec *spec, const DomainMemory *image, const char *guest,
                       Fault *f)
{
        g_autofree char *xml = NULL;
        int r = file_read(spec->memory->xml, FILE_MAX, &xml, NULL, f);

        if (r == 0)
                r = write_file(image->ram, guest, f);
        if (r < 0)
                return r;
        r = fake_count("the midst of a bake", f);
        fake.jobs++;
        while (r == 0 && fake.jobs_are_held)
                if (!fake_wait_in_job(spec->id))
                        r = fault_set(f, FAULT_HYPERVISOR_FAILED, "the domain is gone");
        fake.jobs--;
        if (r == 0)
                r = write_file(image->state, DEVICES, f);
        if (r < 0) {
                (void) unlink(image->ram);
                return r;
        }
        r = write_file(image->xml, xml, f);
        if (r < 0) {
                (void) unlink(image->ram);
                (void) unlink(image->state);
        }
        return r;
}

static int bake(FakeDomain *d, const DomainSpec *spec, const DomainMemory *image, Fault *f)
{
        g_autofree char *guest = NULL, *id = g_strdup(spec->id);
        int r = fake_check_disks(d, f);

        if (r == 0)
                r = check_definition(spec->memory, d->paths->pdata[0], true, f);
        if (r == 0)
                r = read_memory(spec->memory, &guest, f);
        if (r == 0)
                r = write_image(spec, image, guest, f);
        d = fake_domain_find(id);
        if (d)
                fake_set_state(d, DOMAIN_ABSENT);
        return r;
}

int hypervisor_bake_memory(G_GNUC_UNUSED Hypervisor *h, const DomainSpec *spec,
                           const DomainMemory *image, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter("hypervisor_bake_memory", f);

        if (r < 0)
                return r;
        g_assert(image->ram && !spec->memory->ram);
        if (fake_domain_find(spec->id))
                return fake_leave(fault_set(f, FAULT_EXISTS, "domain %s%s exists already",
                                            DOMAIN_PREFIX, spec->id),
                                  f);
        d = fake_domain_add(spec->id);
        d->is_transient = true;
        d->socket = g_strdup(spec->agent_socket);
        fake_set_disks(d, spec->disks, spec->n_disks);
        fake_set_state(d, DOMAIN_PAUSED);
        return fake_leave(bake(d, spec, image, f), f);
}

/* -- the script ------------------------------------------------------------------------------- */

void fake_host_set_abi(const char *text)
{
        fake_lock();
        g_free(fake.abi);
        fake.abi = g_strdup(text);
        fake_unlock();
}

void fake_host_set_memory(const char *id, const char *text)
{
        FakeDomain *d;

        fake_lock();
        d = fake_domain_find(id);
        g_assert(d);
        g_free(d->guest.text);
        d->guest.text = g_strdup(text);
        fake_unlock();
}

char *fake_host_memory(const char *id)
{
        const FakeDomain *d;
        char *text;

        fake_lock();
        d = fake_domain_find(id);
        text = d ? g_strdup(d->guest.text ? d->guest.text : "") : NULL;
        fake_unlock();
        return text;
}

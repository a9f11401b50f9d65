/* SPDX-License-Identifier: MIT */

/* The disks of domains: what libvirt does to them. */

#include "tests/fake/host.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/fake/host/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void fake_set_disks(FakeDomain *d, const DomainDisk *disks, size_t n)
{
        (void) g_ptr_array_set_size(d->targets, 0);
        (void) g_ptr_array_set_size(d->paths, 0);
        for (size_t i = 0; i < n; i++) {
                g_ptr_array_add(d->targets, g_strdup(disks[i].target));
                g_ptr_array_add(d->paths, g_strdup(disks[i].path));
        }
}

/* With all that they stand on. */
int fake_check_disks(const FakeDomain *d, Fault *f)
{
        for (guint i = 0; i < d->paths->len; i++) {
                g_autofree char *path = g_strdup(d->paths->pdata[i]);

                while (path) {
                        char *below;

                        if (access(path, F_OK) < 0)
                                return fault_set(f, FAULT_HYPERVISOR_FAILED,
                                                 "cannot access disk %s", path);
                        below = fake_host_backing(path);
                        g_free(path);
                        path = below;
                }
        }
        return 0;
}

int hypervisor_domain_disks(G_GNUC_UNUSED Hypervisor *h, const char *id, DomainDisk **ret,
                            size_t *ret_n, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_domain_disks", id, &d, f);

        if (r < 0)
                return r;
        *ret_n = d->paths->len;
        *ret = g_new0(DomainDisk, d->paths->len + 1);
        for (guint i = 0; i < d->paths->len; i++)
                (*ret)[i] =
                        (DomainDisk){g_strdup(d->targets->pdata[i]), g_strdup(d->paths->pdata[i])};
        return fake_leave(0, f);
}

DomainDisk *domain_disks_free(DomainDisk *disks, size_t n)
{
        for (size_t i = 0; disks && i < n; i++) {
                g_free(disks[i].target);
                g_free(disks[i].path);
        }
        g_free(disks);
        return NULL;
}

int hypervisor_set_domain_disks(G_GNUC_UNUSED Hypervisor *h, const char *id,
                                const DomainDisk *disks, size_t n, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_set_domain_disks", id, &d, f);

        if (r < 0)
                return r;
        fake_set_disks(d, disks, n);
        return fake_leave(0, f);
}

static int check_is_on(const FakeDomain *d, Fault *f)
{
        return fake_is_on(d) ? 0
                             : fault_set(f, FAULT_WRONG_STATE, "domain %s%s does not run",
                                         DOMAIN_PREFIX, d->id);
}

/* What ends a flatten. */
static void end_jobs(FakeDomain *d)
{
        d->ended_jobs++;
        g_cond_broadcast(&fake.released);
}

static int make_layers(const FakeDomain *d, const DomainDisk *disks, size_t n, Fault *f)
{
        for (size_t i = 0; i < n; i++) {
                g_autofree char *header = fake_header(disks[i].path, d->paths->pdata[i], "qcow2");
                int fd = open(disks[i].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

                if (fd < 0) {
                        int error = errno;

                        while (i-- > 0)
                                (void) unlink(disks[i].path);
                        return fault_set_errno(f, FAULT_HYPERVISOR_FAILED, error, "cut");
                }
                (void) write_all(fd, header, strlen(header));
                (void) close_fd(fd);
        }
        return 0;
}

int hypervisor_cut_disks(G_GNUC_UNUSED Hypervisor *h, const char *id, const DomainDisk *disks,
                         size_t n, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_cut_disks", id, &d, f);

        if (r < 0)
                return r;
        r = check_is_on(d, f);
        if (r == 0)
                r = make_layers(d, disks, n, f);
        if (r == 0) {
                end_jobs(d);
                fake_set_disks(d, disks, n);
        }
        return fake_leave(r, f);
}

/* What was written to the top is found in the file below it afterwards. */
static void merge(const FakeDomain *d, const DomainDisk *base_disks, size_t n)
{
        for (size_t i = 0; i < n && i < d->paths->len; i++)
                if (!g_str_equal(d->paths->pdata[i], base_disks[i].path))
                        fake_append(d->paths->pdata[i], base_disks[i].path);
}

int hypervisor_merge_disks(G_GNUC_UNUSED Hypervisor *h, const char *id,
                           const DomainDisk *base_disks, size_t n, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_merge_disks", id, &d, f);

        if (r < 0)
                return r;
        r = check_is_on(d, f);
        if (r == 0) {
                end_jobs(d);
                merge(d, base_disks, n);
                fake_set_disks(d, base_disks, n);
        }
        return fake_leave(r, f);
}

static char *top_of(const FakeDomain *d, const char *target)
{
        for (guint i = 0; i < d->paths->len; i++)
                if (g_str_equal(d->targets->pdata[i], target))
                        return g_strdup(d->paths->pdata[i]);
        return NULL;
}

static int flatten(const char *id, const DomainDisk *base, Fault *f)
{
        FakeDomain *d = fake_domain_find(id);
        g_autofree char *top = d ? top_of(d, base->target) : NULL;
        unsigned ended_before = d ? d->ended_jobs : 0;
        int r = fake_count("the midst of a flatten", f);

        if (r < 0)
                return r;
        if (!top)
                return fault_set(f, FAULT_NOT_FOUND, "the domain has no disk '%s'", base->target);
        fake.jobs++;
        while (d && d->ended_jobs == ended_before && fake.jobs_are_held)
                d = fake_wait_in_job(id);
        fake.jobs--;
        if (!d || d->ended_jobs != ended_before)
                return fault_set(f, FAULT_CANCELLED, "the copying into disk '%s' was ended",
                                 base->target);
        return fake_flatten(top, base->path, f);
}

int hypervisor_flatten_disks(G_GNUC_UNUSED Hypervisor *h, const char *id, const DomainDisk *bases,
                             size_t n, Fault *f)
{
        FakeDomain *d;
        int r = fake_enter_domain("hypervisor_flatten_disks", id, &d, f);

        if (r < 0)
                return r;
        r = check_is_on(d, f);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = flatten(id, &bases[i], f);
        return fake_leave(r, f);
}

/* SPDX-License-Identifier: MIT */
#include "tests/fake/host.h"

#include "tests/fake/host/state.h"

static void foreign_free(gpointer data)
{
        ForeignDomain *d = data;

        g_free(d->name);
        g_free(d->uuid);
        g_free(d);
}

static void source_disk_free(gpointer data)
{
        SourceDisk *d = data;

        g_free(d->target);
        g_free(d->path);
        g_free(d->format);
        g_free(d);
}

void fake_host_add_foreign(const char *name, const char *disk_path)
{
        if (!fake.foreign)
                fake.foreign = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(fake.foreign, g_strdup(name));
        g_ptr_array_add(fake.foreign, g_strdup(disk_path));
}

static int check_connected(const char *what, Fault *f)
{
        int r = fake_call(what, f);

        if (r == 0 && !fake.is_connected)
                r = fault_set(f, FAULT_HYPERVISOR_UNAVAILABLE, "libvirtd does not answer");
        return r;
}

int hypervisor_list_foreign_domains(G_GNUC_UNUSED Hypervisor *h, GPtrArray **ret, Fault *f)
{
        int r = check_connected("hypervisor_list_foreign_domains", f);

        if (r < 0)
                return r;
        *ret = g_ptr_array_new_with_free_func(foreign_free);
        for (guint i = 0; fake.foreign && i < fake.foreign->len; i += 2) {
                ForeignDomain *d = g_new0(ForeignDomain, 1);

                d->name = g_strdup(fake.foreign->pdata[i]);
                d->uuid = g_strdup_printf("00000000-0000-4000-8000-%012u", i);
                d->state = DOMAIN_SHUT_OFF;
                g_ptr_array_add(*ret, d);
        }
        return 0;
}

Blueprint *blueprint_free(Blueprint *b)
{
        if (!b)
                return NULL;
        g_free(b->xml);
        g_free(b->kernel);
        g_free(b->initrd);
        g_free(b->cmdline);
        g_free(b->nvram);
        if (b->disks)
                g_ptr_array_unref(b->disks);
        g_free(b);
        return NULL;
}

static Blueprint *make_blueprint(const char *disk_path)
{
        Blueprint *b = g_new0(Blueprint, 1);
        SourceDisk *disk = g_new0(SourceDisk, 1);

        disk->target = g_strdup("vda");
        disk->path = g_strdup(disk_path);
        disk->format = g_strdup("raw");
        b->xml = g_strdup("<domain/>");
        b->vcpus = 2;
        b->memory_bytes = UINT64_C(512) << 20;
        b->disks = g_ptr_array_new_with_free_func(source_disk_free);
        g_ptr_array_add(b->disks, disk);
        return b;
}

int domain_blueprint(G_GNUC_UNUSED const char *xml, G_GNUC_UNUSED Blueprint **ret, Fault *f)
{
        return fault_set(f, FAULT_NOT_CLONEABLE, "the fake host does not parse domains");
}

int hypervisor_domain_blueprint(G_GNUC_UNUSED Hypervisor *h, const char *name, Blueprint **ret,
                                Fault *f)
{
        int r = check_connected("hypervisor_domain_blueprint", f);

        if (r < 0)
                return r;
        for (guint i = 0; fake.foreign && i < fake.foreign->len; i += 2) {
                if (!g_str_equal(fake.foreign->pdata[i], name))
                        continue;
                *ret = make_blueprint(fake.foreign->pdata[i + 1]);
                return 0;
        }
        return fault_set(f, FAULT_NOT_FOUND, "there is no domain '%s'", name);
}

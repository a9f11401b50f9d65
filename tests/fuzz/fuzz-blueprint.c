/* SPDX-License-Identifier: MIT */

/* Any definition either is refused or gives a blueprint that makes a sandbox. */

#include "base/cleanup.h"
#include "host/hypervisor.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_sandbox(const Blueprint *b)
{
        g_autofree DomainDisk *disks = g_new0(DomainDisk, b->disks->len);
        g_autofree char *xml = NULL;
        DomainSpec spec = {
                .id = "0123456789ab",
                .blueprint = b->xml,
                .vcpus = b->vcpus,
                .memory_bytes = b->memory_bytes,
                .disks = disks,
                .n_disks = b->disks->len,
                .agent_socket = "/run/agent.sock",
        };

        for (guint i = 0; i < b->disks->len; i++)
                disks[i] = (DomainDisk){((SourceDisk *) b->disks->pdata[i])->target, (char *) "/d"};
        if (domain_format_xml(&spec, "kvm", &xml, NULL) < 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *xml = g_strndup((const char *) data, size);
        g_autoptr(Blueprint) b = NULL;

        if (domain_blueprint(xml, &b, NULL) >= 0)
                make_sandbox(b);
        return 0;
}

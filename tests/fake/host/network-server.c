/* SPDX-License-Identifier: MIT */

/* The dnsmasq of a network: whoever ensures the network has it run. */

#include "host/network-server.h"

#include "tests/fake/host/state.h"

struct NetworkServer {
        void (*ended)(void *userdata);
        void *userdata;
};

int network_server_watch(G_GNUC_UNUSED sd_event *event, const char *network,
                         void (*ended)(void *userdata), void *userdata, NetworkServer **ret,
                         Fault *f)
{
        if (!fake.bridge)
                return fault_set(f, FAULT_NOT_FOUND, "network '%s' has none", network);
        g_assert(!fake.server);
        *ret = fake.server = g_new0(NetworkServer, 1);
        fake.server->ended = ended;
        fake.server->userdata = userdata;
        return 0;
}

NetworkServer *network_server_free(NetworkServer *s)
{
        if (s)
                fake.server = NULL;
        g_free(s);
        return NULL;
}

void fake_host_end_network_server(void)
{
        fake.server->ended(fake.server->userdata);
}

bool fake_host_has_network_server(void)
{
        return fake.server;
}

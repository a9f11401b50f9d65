/* SPDX-License-Identifier: MIT */
#include "api/sandbox-object.h"

#include "api/options.h"

int sandbox_object_read_spec(Call *call, bool is_branch, SandboxSpec *spec, char **ret_labels,
                             char ***ret_ports, Fault *f)
{
        const Option options[] = {
                {"name", "s", &spec->name},
                {"agent", "s", &spec->agent},
                {"labels", "a{ss}", ret_labels},
                {"ttl_usec", "t", &spec->ttl_usec},
                {"idle_timeout_usec", "t", &spec->idle_timeout_usec},
                {"boot_timeout_usec", "t", &spec->boot_timeout_usec},
                {"boots", "b", &spec->boots},
                {"network", "s", &spec->network},
                {"publish", "as", ret_ports},
                /* A branch has these from its source. */
                {"vcpus", "u", &spec->vcpus},
                {"memory_bytes", "t", &spec->memory_bytes},
        };
        size_t n = G_N_ELEMENTS(options) - (is_branch ? 2 : 0);
        int r = options_read(call->message, options, n, f);

        spec->labels = *ret_labels;
        spec->ports = (const char *const *) *ret_ports;
        return r;
}

int sandbox_object_reply(Call *call, Sandbox *s, Fault *f)
{
        ends_watch_sandbox(call->api->ends, s);
        return call_reply(call, f, "o", object_path(OBJECT_SANDBOX, sandbox_row(s)->id.text).text);
}

static void on_branched(Sandbox *branch, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = sandbox_object_reply(call, branch, &fault);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

int sandbox_object_branch(Call *call, void *object, Fault *f)
{
        SandboxSpec spec = {0};
        g_autofree char *labels = NULL;
        g_auto(GStrv) ports = NULL;
        const char *snapshot;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &snapshot), f);

        if (r >= 0)
                r = sandbox_object_read_spec(call, true, &spec, &labels, &ports, f);
        if (r >= 0)
                r = sandbox_branch(object, &call->caller, snapshot, &spec, on_branched, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* SPDX-License-Identifier: MIT */
#include "api/sandbox-object.h"

#include "api/options.h"
#include "api/playbook-object.h"
#include "base/json.h"
#include "core/network.h"
#include "core/snapshot.h"

#include <errno.h>
#include <string.h>

/* -- properties ------------------------------------------------------------------------------- */

static int append_labels(sd_bus_message *reply, const Sandbox *s)
{
        const char *text = sandbox_row(s)->labels;
        g_autoptr(Json) labels = NULL;
        int r = sd_bus_message_open_container(reply, 'a', "{ss}");

        if (r >= 0 && text)
                r = json_parse(text, strlen(text), 2, &labels, NULL);
        if (r >= 0 && labels && !json_object_is_type(labels, json_type_object))
                r = -EBADMSG;
        if (r >= 0 && labels) {
                struct json_object_iterator i = json_object_iter_begin(labels);
                struct json_object_iterator end = json_object_iter_end(labels);

                for (; r >= 0 && !json_object_iter_equal(&i, &end); json_object_iter_next(&i))
                        r = sd_bus_message_append(
                                reply, "{ss}", json_object_iter_peek_name(&i),
                                json_object_get_string(json_object_iter_peek_value(&i)));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_timing(sd_bus_message *reply, const Sandbox *s)
{
        size_t n;
        const SandboxTiming *timing = sandbox_timing(s, &n);
        int r = sd_bus_message_open_container(reply, 'a', "(st)");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "(st)", timing[i].step, timing[i].usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static SandboxNetwork network_of(const Sandbox *s)
{
        SandboxNetwork network;

        sandbox_network(s, &network);
        return network;
}

static int append_ports(sd_bus_message *reply, const Sandbox *s)
{
        g_auto(GStrv) ports = sandbox_network_ports(s);

        return sd_bus_message_append_strv(reply, ports);
}

PROPERTY(get_id, Sandbox, s, "s", sandbox_row(s)->id.text)
PROPERTY(get_name, Sandbox, s, "s", sandbox_row(s)->name)
PROPERTY(get_agent, Sandbox, s, "s", sandbox_row(s)->agent)
PROPERTY(get_owner_uid, Sandbox, s, "u", sandbox_row(s)->owner_uid)
PROPERTY(get_state, Sandbox, s, "s", sandbox_state_to_string(sandbox_state(s)))
PROPERTY(get_reason, Sandbox, s, "s", sandbox_row(s)->reason)
PROPERTY(get_template, Sandbox, s, "s", sandbox_template_name(s))
PROPERTY(get_head, Sandbox, s, "s", sandbox_head_name(s))
PROPERTY(get_network, Sandbox, s, "s", sandbox_row(s)->network)
PROPERTY(get_network_state, Sandbox, s, "s", network_of(s).state)
PROPERTY(get_network_reason, Sandbox, s, "s", network_of(s).reason)
PROPERTY(get_address, Sandbox, s, "s", network_of(s).address)
PROPERTY(get_mac_address, Sandbox, s, "s", network_of(s).mac)
PROPERTY(get_network_interface, Sandbox, s, "s", network_of(s).interface)
PROPERTY_BY(get_published_ports, append_ports)
PROPERTY(get_vcpus, Sandbox, s, "u", sandbox_row(s)->vcpus)
PROPERTY(get_memory_bytes, Sandbox, s, "t", sandbox_row(s)->memory_bytes)
PROPERTY(get_created_usec, Sandbox, s, "t", sandbox_row(s)->created_usec)
PROPERTY(get_expires_usec, Sandbox, s, "t", sandbox_row(s)->expires_usec)
PROPERTY_BY(get_labels, append_labels)
PROPERTY(get_idle_timeout_usec, Sandbox, s, "t", sandbox_row(s)->idle_timeout_usec)
PROPERTY(get_paused_usec, Sandbox, s, "t", sandbox_row(s)->paused_usec)
PROPERTY(get_held_usec, Sandbox, s, "t", sandbox_row(s)->held_usec)
PROPERTY(get_started_from, Sandbox, s, "s", sandbox_row(s)->started_from)
PROPERTY_BY(get_timing, append_timing)

/* -- its life --------------------------------------------------------------------------------- */

static int start(Call *call, void *object, Fault *f)
{
        int r = sandbox_start(object, &call->caller, f);

        return r < 0 ? r : call_reply(call, f, "");
}

static int stop(Call *call, void *object, Fault *f)
{
        int force, r = call_read_fault(sd_bus_message_read(call->message, "b", &force), f);

        if (r >= 0)
                r = sandbox_stop(object, &call->caller, force, f);
        return r < 0 ? r : call_reply(call, f, "");
}

static int pause_sandbox(Call *call, void *object, Fault *f)
{
        bool to_disk = false;
        const Option options[] = {{"to_disk", "b", &to_disk}};
        int r = options_read(call->message, options, G_N_ELEMENTS(options), f);

        if (r >= 0)
                r = sandbox_pause(object, &call->caller, to_disk, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int resume(Call *call, void *object, Fault *f)
{
        int r = sandbox_resume(object, &call->caller, call_done, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int destroy(Call *call, void *object, Fault *f)
{
        int r = sandbox_destroy(object, &call->caller, call_done, call, f);

        return r < 0 ? r : CALL_PENDING;
}

static int extend_ttl(Call *call, void *object, Fault *f)
{
        uint64_t ttl_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "t", &ttl_usec), f);

        if (r >= 0)
                r = sandbox_extend_ttl(object, &call->caller, ttl_usec, f);
        return r < 0 ? r : call_reply(call, f, "");
}

/* The sandbox may be gone when the wait for it ends. */
static int reply_state(Call *call, Fault *f)
{
        const char *id, *path = sd_bus_message_get_path(call->message);
        const Interface *interface = interface_at(path, &id);
        const Sandbox *s = interface_find(interface, call->api, &call->caller, id);

        if (!s)
                return fault_set(f, FAULT_NOT_FOUND, "sandbox %s was destroyed", id);
        return call_reply(call, f, "s", sandbox_state_to_string(sandbox_state(s)));
}

static void on_reached(int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = reply_state(call, &fault);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int wait_for(Call *call, void *object, Fault *f)
{
        const char *state;
        uint64_t timeout_usec;
        int r = call_read_fault(sd_bus_message_read(call->message, "st", &state, &timeout_usec), f);

        if (r >= 0)
                r = sandbox_wait(object, state, timeout_usec, on_reached, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- its snapshots ---------------------------------------------------------------------------- */

static void on_snapshot(Snapshot *snapshot, int r, const Fault *f, void *userdata)
{
        Call *call = userdata;
        Fault fault = {0};

        if (r >= 0 && !call_is_orphan(call))
                r = call_reply(call, &fault, "o",
                               object_path(OBJECT_SNAPSHOT, snapshot_row(snapshot)->id.text).text);
        call_end(call, r, fault_is_set(&fault) ? &fault : f);
}

static int create_snapshot(Call *call, void *object, Fault *f)
{
        SnapshotSpec spec = {.freeze = true};
        const Option options[] = {{"freeze", "b", &spec.freeze}, {"memory", "b", &spec.memory}};
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &spec.name), f);

        if (r >= 0)
                r = options_read(call->message, options, G_N_ELEMENTS(options), f);
        if (r >= 0)
                r = snapshot_create(object, &call->caller, &spec, on_snapshot, call, f);
        return r < 0 ? r : CALL_PENDING;
}

static int restore(Call *call, void *object, Fault *f)
{
        const char *name;
        int r = call_read_fault(sd_bus_message_read(call->message, "s", &name), f);

        if (r >= 0)
                r = snapshot_restore(object, &call->caller, name, call_done, call, f);
        return r < 0 ? r : CALL_PENDING;
}

/* -- the interface ---------------------------------------------------------------------------- */

static const Method methods[] = {
        {"Start", start, ACTION_USE, "sandbox.start"},
        {"Stop", stop, ACTION_USE, "sandbox.stop"},
        {"SetNetwork", sandbox_object_set_network, ACTION_SET_NETWORK, "sandbox.network"},
        {"ExplainNetwork", sandbox_object_explain_network, ACTION_OBSERVE, NULL},
        {"ListDrops", sandbox_object_list_drops, ACTION_OBSERVE, NULL},
        {"GetNetworkRules", sandbox_object_get_network_rules, ACTION_OBSERVE, NULL},
        {"Pause", pause_sandbox, ACTION_USE, "sandbox.pause"},
        {"Resume", resume, ACTION_USE, "sandbox.resume"},
        {"Destroy", destroy, ACTION_USE, "sandbox.destroy"},
        {"Wait", wait_for, ACTION_OBSERVE, NULL},
        {"Exec", sandbox_object_exec, ACTION_USE, "command.exec"},
        {"Run", sandbox_object_run, ACTION_USE, "command.exec"},
        {"ReadFile", sandbox_object_read_file, ACTION_USE, "file.read"},
        {"WriteFile", sandbox_object_write_file, ACTION_USE, "file.write"},
        {"PullFile", sandbox_object_pull_file, ACTION_USE, "file.read"},
        {"PushFile", sandbox_object_push_file, ACTION_USE, "file.write"},
        {"CreateSnapshot", create_snapshot, ACTION_USE, "snapshot.create"},
        {"Restore", restore, ACTION_USE, "snapshot.restore"},
        {"Branch", sandbox_object_branch, ACTION_CREATE, "sandbox.create"},
        {"Diff", sandbox_object_diff, ACTION_USE, "sandbox.diff"},
        {"ReadFileAt", sandbox_object_read_file_at, ACTION_USE, "file.read_at"},
        {"ExtractAt", sandbox_object_extract_at, ACTION_USE, "file.extract_at"},
        {"ExportPlaybook", playbook_object_export, ACTION_USE, "playbook.export"},
        {"ImportPlaybook", playbook_object_import, ACTION_USE, "playbook.import"},
        {"ExtendTtl", extend_ttl, ACTION_USE, "sandbox.extend"},
};

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("b", force), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetNetwork", SD_BUS_ARGS("s", profile, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "ExplainNetwork", SD_BUS_ARGS("s", address, "q", port, "s", protocol),
                SD_BUS_RESULT("b", is_allowed, "s", why), call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListDrops", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(sssqt)", drops, "a(sstt)", names), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetNetworkRules", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", rules),
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_ARGS("s", state, "t", timeout_usec),
                                SD_BUS_RESULT("s", reached), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Exec", SD_BUS_ARGS("as", argv, "a{sv}", options),
                                SD_BUS_RESULT("o", command), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Run", "asa{sv}", SD_BUS_PARAM(argv) SD_BUS_PARAM(options),
                                 "iayaya{sv}",
                                 SD_BUS_PARAM(exit_status) "stdout\0stderr\0" SD_BUS_PARAM(details),
                                 call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReadFile", SD_BUS_ARGS("s", path, "t", offset, "t", size),
                                SD_BUS_RESULT("ay", content), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("WriteFile",
                                SD_BUS_ARGS("s", path, "ay", content, "a{sv}", options),
                                SD_BUS_NO_RESULT, call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PullFile", SD_BUS_ARGS("s", path, "h", target),
                                SD_BUS_RESULT("t", size), call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PushFile", SD_BUS_ARGS("s", path, "h", source, "a{sv}", options),
                                SD_BUS_RESULT("t", size), call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CreateSnapshot", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", snapshot), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", snapshot), SD_BUS_NO_RESULT, call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Branch", SD_BUS_ARGS("s", snapshot, "a{sv}", options),
                                SD_BUS_RESULT("o", sandbox), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Diff", SD_BUS_ARGS("s", from, "s", to, "a{sv}", options),
                                SD_BUS_RESULT("h", document), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReadFileAt", SD_BUS_ARGS("s", path, "s", point, "a{sv}", options),
                                SD_BUS_RESULT("h", content), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ExtractAt", SD_BUS_ARGS("s", path, "s", point, "a{sv}", options),
                                SD_BUS_RESULT("h", archive), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ExportPlaybook", SD_BUS_ARGS("s", from, "s", to, "a{sv}", options),
                                SD_BUS_RESULT("o", playbook), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportPlaybook", SD_BUS_ARGS("h", archive, "a{sv}", options),
                                SD_BUS_RESULT("o", playbook), call_enter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ExtendTtl", SD_BUS_ARGS("t", ttl_usec), SD_BUS_NO_RESULT,
                                call_enter, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_id, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Agent", "s", get_agent, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("OwnerUid", "u", get_owner_uid, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("State", "s", get_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Template", "s", get_template, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("Head", "s", get_head, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Network", "s", get_network, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("NetworkState", "s", get_network_state, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("NetworkReason", "s", get_network_reason, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Address", "s", get_address, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("MacAddress", "s", get_mac_address, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("NetworkInterface", "s", get_network_interface, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("PublishedPorts", "as", get_published_ports, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("NetworkCounters", "a(stt)", sandbox_object_get_network_counters, 0,
                        PROPERTY_BY_NAME),
        SD_BUS_PROPERTY("Vcpus", "u", get_vcpus, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_memory_bytes, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_created_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get_expires_usec, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Labels", "a{ss}", get_labels, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("IdleTimeoutUSec", "t", get_idle_timeout_usec, 0, PROPERTY_CONSTANT),
        SD_BUS_PROPERTY("PausedUSec", "t", get_paused_usec, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("HeldUSec", "t", get_held_usec, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("StartedFrom", "s", get_started_from, 0, PROPERTY_CHANGES),
        SD_BUS_PROPERTY("Timing", "a(st)", get_timing, 0, PROPERTY_CHANGES),
        SD_BUS_VTABLE_END,
};

static void *find(Manager *m, const Caller *caller, const char *id)
{
        return manager_find_sandbox(m, caller, id);
}

static const char *id_of(const void *object)
{
        return sandbox_row(object)->id.text;
}

static bool is_visible(const void *object, const Caller *caller)
{
        return sandbox_is_visible(object, caller);
}

const Interface sandbox_interface = {
        .kind = OBJECT_SANDBOX,
        .name = INTERFACE_SANDBOX,
        .path = PATH_SANDBOX,
        .vtable = vtable,
        .methods = methods,
        .n_methods = G_N_ELEMENTS(methods),
        .find = find,
        .id = id_of,
        .is_visible = is_visible,
};

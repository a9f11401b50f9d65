/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "tests/fake/host-service-approval.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int get_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *name;

        (void) userdata;
        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        if (g_str_equal(name, "die"))
                _exit(0);
        if (g_str_has_prefix(name, "error-")) {
                g_autofree char *error = g_strconcat(BUS_ERROR_PREFIX, name + 6, NULL);
                return sd_bus_reply_method_errorf(m, error, "canned %s", name + 6);
        }
        if (g_str_has_prefix(name, "bus-")) {
                g_autofree char *error = g_strconcat("org.freedesktop.DBus.Error.", name + 4, NULL);
                return sd_bus_error_set(e, error, "canned");
        }
        for (unsigned i = 0; i < n_sandboxes; i++)
                if (!sandboxes[i].gone &&
                    (g_str_equal(sandboxes[i].name, name) || g_str_equal(sandboxes[i].id, name)))
                        return reply_path(m, PATH_SANDBOX, sandboxes[i].id);
        return refuse(m, FAULT_NOT_FOUND, "there is no sandbox of that name");
}

static int get_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *name;

        (void) userdata, (void) e;
        int r = sd_bus_message_read(m, "s", &name);
        for (unsigned i = 0; r >= 0 && i < n_templates; i++)
                if (!templates[i].gone && g_str_equal(templates[i].name, name))
                        return reply_path(m, PATH_TEMPLATE, templates[i].id);
        return refuse(m, FAULT_NOT_FOUND, "there is no template of that name");
}

/* The options of a new sandbox; the key of an unknown one, or NULL. */
const char *read_sandbox(sd_bus_message *m, Sandbox *s)
{
        char *key, *value;
        int fd;

        *s = (Sandbox){.id = g_strdup_printf("0000000001%02x", n_sandboxes), .memory_bytes = 1024};
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0) {
                if (g_str_equal(key, "name"))
                        s->name = value;
                else if (g_str_equal(key, "agent"))
                        s->agent = value;
                else if (g_str_equal(key, "labels"))
                        s->labels = value;
                else if (g_str_equal(key, "vcpus"))
                        s->vcpus = (uint32_t) atoi(value);
                else if (g_str_equal(key, "memory_bytes"))
                        s->memory_bytes = strtoull(value, NULL, 10);
                else if (g_str_equal(key, "ttl_usec"))
                        s->expires_usec = now_realtime_usec() + strtoull(value, NULL, 10);
                else if (g_str_equal(key, "idle_timeout_usec"))
                        s->idle_timeout_usec = strtoull(value, NULL, 10);
                else if (g_str_equal(key, "boots"))
                        s->boots = g_str_equal(value, "true");
                else if (g_str_equal(key, "network"))
                        s->network = value;
                else if (g_str_equal(key, "publish"))
                        s->ports = value;
                else if (!g_str_equal(key, "boot_timeout_usec"))
                        return key;
        }
        if (!s->name)
                s->name = g_strdup(s->id);
        s->state = (char *) "creating";
        return NULL;
}

int add_sandbox(sd_bus_message *m)
{
        const Sandbox *s = sandboxes + n_sandboxes;

        for (unsigned i = 0; i < n_sandboxes; i++)
                if (!sandboxes[i].gone && g_str_equal(sandboxes[i].name, s->name))
                        return refuse(m, FAULT_EXISTS, "a sandbox of that name already exists");
        n_sandboxes++;
        return reply_path(m, PATH_SANDBOX, s->id);
}

static int create_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = sandboxes + n_sandboxes;
        const char *template, *unknown;

        (void) userdata, (void) e;
        g_assert(n_sandboxes < OBJECTS_MAX);
        g_assert(sd_bus_message_read(m, "s", &template) > 0);
        if (!g_str_equal(template, "t"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such template: see template list");
        unknown = read_sandbox(m, s);
        if (unknown)
                return refuse(m, FAULT_UNKNOWN_OPTION, unknown);
        s->started_from = s->boots || !templates[0].warm ? "boot"
                          : templates[0].pool > 0        ? "pool"
                                                         : "memory";
        return add_sandbox(m);
}

static int append_sandbox(sd_bus_message *reply, const Sandbox *s)
{
        g_autofree char *path = g_strdup_printf(PATH_SANDBOX "/%s", s->id);

        return sd_bus_message_append(
                reply, "(oa{sv})", path, 9, "Id", "s", s->id, "Name", "s", s->name, "State", "s",
                s->state, "Agent", "s", or_empty(s->agent), "OwnerUid", "u", 0, "Template", "s",
                "t", "CreatedUSec", "t", now_realtime_usec() - 90 * USEC_PER_SEC, "ExpiresUSec",
                "t", s->expires_usec, "PausedUSec", "t", s->paused_usec);
}

static int list_sandboxes_method(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        sd_bus_message *reply = NULL;
        char *key, *value, *state = NULL;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(key, "state"))
                        state = value;
        g_assert(sd_bus_message_new_method_return(m, &reply) >= 0);
        g_assert(sd_bus_message_open_container(reply, 'a', "(oa{sv})") >= 0);
        for (unsigned i = 0; i < n_sandboxes; i++)
                if (!sandboxes[i].gone && (!state || g_str_equal(state, sandboxes[i].state)))
                        g_assert(append_sandbox(reply, sandboxes + i) >= 0);
        g_assert(sd_bus_message_close_container(reply) >= 0);
        return sd_bus_send(NULL, reply, NULL);
}

static int import_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        bool has_source = false;
        char *key, *value;
        const char *name;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0) {
                char byte;
                if (fd >= 0 && pread_all(fd, &byte, 1, 0) < 0)
                        return refuse(m, FAULT_IO, "cannot read what was passed");
                has_source |= g_str_equal(key, "image") || g_str_equal(key, "domain");
        }
        if (!has_source)
                return refuse(m, FAULT_INVALID_ARGUMENT, "neither image nor domain");
        templates[n_templates] = (Template){
                .id = g_strdup_printf("0000000002%02x", n_templates),
                .name = g_strdup(name),
                .state = "importing",
        };
        return reply_path(m, PATH_TEMPLATE, templates[n_templates++].id);
}

static int list_domains(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return sd_bus_reply_method_return(m, "aa{sv}", 1, 3, "name", "s", HOSTILE, "uuid", "s",
                                          "00000000-0000-0000-0000-000000000001", "state", "s",
                                          "shutoff");
}

static int list_networks(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) userdata, (void) e;
        return sd_bus_reply_method_return(
                m, "aa{sv}", 3, 3, "name", "s", "none", "description", "s", "no network interface",
                "admins_only", "b", 0, 3, "name", "s", "internet", "description", "s",
                "all of the internet", "admins_only", "b", 0, 3, "name", "s", "secret",
                "description", "s", "names " HOSTILE, "admins_only", "b", 1);
}

/* What was done to one sandbox: a command, its output hostile, and a question with its answer. */
static const char about_web1[] =
        "{\"seq\":3,\"time_usec\":1700000000000000,\"caller_uid\":0,\"caller\":\"x[1]\","
        "\"kind\":\"command.exec\",\"phase\":\"begin\",\"object\":"
        "\"/sh/fluid/Host1/command/0000000000c1\",\"detail\":{\"sandbox\":\"0000000000a1\","
        "\"argv\":[\"echo\",\"evil\\u001b[2J\"]},\"error\":\"\",\"sandbox_id\":\"0000000000a1\","
        "\"sandbox_name\":\"web1\",\"agent\":\"ada\",\"owner_uid\":0,\"hash\":\"00\"}\n"
        "{\"seq\":4,\"time_usec\":1700000001000000,\"caller_uid\":0,\"caller\":\"x[1]\","
        "\"kind\":\"file.write\",\"phase\":\"begin\",\"object\":"
        "\"/sh/fluid/Host1/sandbox/0000000000a1\",\"detail\":{\"path\":\"/etc/motd\"},"
        "\"error\":\"\",\"sandbox_id\":\"0000000000a1\",\"sandbox_name\":\"web1\","
        "\"agent\":\"ada\",\"owner_uid\":0,\"hash\":\"01\"}\n"
        "{\"seq\":5,\"time_usec\":1700000002000000,\"caller_uid\":0,\"caller\":\"x[1]\","
        "\"kind\":\"command.exec\",\"phase\":\"done\",\"object\":"
        "\"/sh/fluid/Host1/command/0000000000c1\",\"detail\":{\"state\":\"exited\","
        "\"exit_status\":3},\"error\":\"\",\"sandbox_id\":\"0000000000a1\","
        "\"sandbox_name\":\"web1\",\"agent\":\"ada\",\"owner_uid\":0,\"begin_seq\":3,"
        "\"hash\":\"02\"}\n"
        "{\"seq\":6,\"time_usec\":1700000003000000,\"caller_uid\":0,\"caller\":\"fluidctl[9]\","
        "\"kind\":\"approval.deny\",\"phase\":\"begin\",\"object\":"
        "\"/sh/fluid/Host1/approval/0000000000d1\",\"detail\":{\"sha256\":\"ab\",\"comment\":"
        "\"Use the mirror\"},\"error\":\"\",\"sandbox_id\":\"0000000000a1\","
        "\"sandbox_name\":\"web1\",\"agent\":\"ada\",\"owner_uid\":0,\"hash\":\"03\"}\n"
        "{\"seq\":7,\"time_usec\":1700000004000000,\"caller_uid\":0,\"caller\":\"fluidctl[9]\","
        "\"kind\":\"approval.deny\",\"phase\":\"done\",\"object\":"
        "\"/sh/fluid/Host1/approval/0000000000d1\",\"detail\":{},\"error\":\"\","
        "\"sandbox_id\":\"0000000000a1\",\"sandbox_name\":\"web1\",\"agent\":\"ada\","
        "\"owner_uid\":0,\"begin_seq\":6,\"hash\":\"04\"}\n"
        "{\"seq\":8,\"time_usec\":1700000005000000,\"caller_uid\":0,\"caller\":\"fluid-hostd\","
        "\"kind\":\"sandbox.state\",\"phase\":\"done\",\"object\":"
        "\"/sh/fluid/Host1/sandbox/0000000000a1\",\"detail\":{\"from\":\"ready\",\"to\":"
        "\"failed\",\"reason\":\"evil\\u001b[2J\"},\"error\":\"\",\"sandbox_id\":"
        "\"0000000000a1\",\"sandbox_name\":\"web1\",\"agent\":\"ada\",\"owner_uid\":0,"
        "\"hash\":\"05\"}\n";

/* Whole rows; or, for a caller that asks, what options were given. */
static int audit(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        g_autoptr(GString) given = g_string_new("{");
        char *key, *value;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0) {
                if (g_str_equal(key, "kind") && g_str_equal(value, "nothing"))
                        return reply_text(m, "");
                if (g_str_equal(key, "sandbox") && !g_str_equal(value, "told"))
                        return reply_text(m, g_str_equal(value, "web1") ? about_web1 : "");
                g_string_append_printf(given, "%s\"%s\":\"%s\"", given->len > 1 ? "," : "", key,
                                       value);
        }
        if (strstr(given->str, "\"told\"")) {
                (void) g_string_append(given, "}\n");
                return reply_text(m, given->str);
        }
        return reply_text(
                m, "{\"seq\":1,\"time_usec\":1700000000000000,\"caller_uid\":0,\"caller\":"
                   "\"evil\\u001b[2J\xe2\x80\xae[1]\",\"kind\":\"sandbox.create\",\"phase\":"
                   "\"begin\",\"object\":\"/sh/fluid/Host1/sandbox/0000000000a1\",\"detail\":"
                   "{\"name\":\"web1\"},\"error\":\"\",\"hash\":\"00\"}\n"
                   "{\"seq\":2,\"time_usec\":1700000000000001,\"caller_uid\":0,\"caller\":"
                   "\"x[1]\",\"kind\":\"sandbox.create\",\"phase\":\"failed\",\"object\":\"\","
                   "\"detail\":{},\"error\":\"NoSpace\",\"hash\":\"01\"}\n");
}

static int verify_audit_heads(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *hash;
        uint64_t seq;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "(ts)") >= 0);
        while (sd_bus_message_read(m, "(ts)", &seq, &hash) > 0)
                if (seq > 2)
                        return sd_bus_reply_method_return(m, "bts", 0, UINT64_C(2),
                                                          "row 3 is missing");
        return sd_bus_reply_method_return(m, "bts", 1, UINT64_C(2), "cafe");
}

static int verify_audit(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *broken = getenv("FAKE_BROKEN_AUDIT");
        bool intact = !broken || !*broken;

        (void) userdata, (void) e;
        return sd_bus_reply_method_return(m, "bts", intact, UINT64_C(2),
                                          intact ? "cafe" : "row 2 was changed");
}

static int get_manager(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *e)
{
        (void) bus, (void) path, (void) interface, (void) userdata, (void) e;
        if (g_str_equal(property, "Capacity"))
                return sd_bus_message_append(reply, "a{sv}", 3, "sandboxes", "u", 4,
                                             "sandboxes_max", "u", 64, "disk_free_bytes", "t",
                                             UINT64_C(1) << 40);
        if (g_str_equal(property, "Features"))
                return sd_bus_message_append(reply, "as", 2, "disk-snapshots", "diff-ext4");
        if (g_str_equal(property, "NetworkFault"))
                return sd_bus_message_append(reply, "s", "10.66.0.0/16 is " HOSTILE);
        return sd_bus_message_append(reply, "s", g_str_equal(property, "State") ? "running" : "x");
}

const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CreateSandbox", "sa{sv}", "o", create_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetSandbox", "s", "o", get_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListSandboxes", "a{sv}", "a(oa{sv})", list_sandboxes_method,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ImportTemplate", "sa{sv}", "o", import_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetTemplate", "s", "o", get_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RequestApproval", "a{sv}", "o", approvals_request,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListDomains", "", "aa{sv}", list_domains, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListNetworks", "", "aa{sv}", list_networks, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Audit", "a{sv}", "h", audit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("VerifyAudit", "", "bts", verify_audit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("VerifyAuditHeads", "a(ts)", "bts", verify_audit_heads,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("HostName", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("Capacity", "a{sv}", get_manager, 0, 0),
        SD_BUS_PROPERTY("NetworkFault", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("Features", "as", get_manager, 0, 0),
        SD_BUS_VTABLE_END,
};

/* SPDX-License-Identifier: MIT */

/* host-service ADDRESS: speaks dbus/sh.fluid.Host1.*.xml on that bus with canned answers, for tests
 * of its clients. Prints "ready" when it can be called.
 *
 * Names decide what happens: a sandbox "error-X" answers every look-up with error X of the
 * contract, "bus-X" with org.freedesktop.DBus.Error.X, "die" with an exit. There are sandboxes web1
 * (ready), off (stopped), bad (failed) and one whose strings are hostile to terminals. New ones
 * become ready, but "fails" fails and "slow…" never gets ready. What argv[0] of a command does is
 * in commands[]. */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/quantity.h"
#include "dbus/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define HOSTILE     "evil\x1b[31m\xe2\x80\xae"
#define OBJECTS_MAX 64

typedef struct Sandbox {
        const char *id;
        char *name, *agent, *state, *reason, *labels;
        uint32_t vcpus;
        uint64_t memory_bytes, expires_usec;
        bool gone;
} Sandbox;

typedef struct Command {
        char id[16];
        const char *sandbox, *state, *reason;
        char **argv;
        GString *out, *err;
        int exit_status, signal;
        bool truncated;
        sd_bus_message *waiter; /* of "sleep", which ends by a signal alone */
} Command;

typedef struct Template {
        const char *id;
        char *name;
        const char *state;
        bool gone;
} Template;

typedef struct Snapshot {
        const char *id;
        char *name;
        const char *consistency, *reason;
        bool gone;
} Snapshot;

static Sandbox sandboxes[OBJECTS_MAX] = {
        {.id = "0000000000a1", .name = (char *) "web1", .state = (char *) "ready"},
        {.id = "0000000000a2", .name = (char *) "off", .state = (char *) "stopped"},
        {.id = "0000000000a3",
         .name = (char *) "bad",
         .state = (char *) "failed",
         .reason = (char *) "the guest agent did not answer within 2min"},
        {.id = "0000000000a4",
         .name = (char *) "hostile",
         .state = (char *) "ready",
         .agent = (char *) HOSTILE,
         .reason = (char *) HOSTILE},
};
static unsigned n_sandboxes = 4;
static Command commands[OBJECTS_MAX];
static unsigned n_commands;
static Template templates[OBJECTS_MAX] = {
        {.id = "0000000000b1", .name = (char *) "t", .state = "ready"}};
static unsigned n_templates = 1;
static Snapshot snapshots[OBJECTS_MAX] = {
        {.id = "0000000000c1", .name = (char *) "first", .consistency = "frozen", .reason = ""},
};
static unsigned n_snapshots = 1;
static GString *pushed;

static const char *tail(const char *path)
{
        return strrchr(path, '/') + 1;
}

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

/* -- looking objects up ------------------------------------------------------------------------ */

#define DEFINE_FIND(array, n, is_gone, parent) \
        static int find_##array(sd_bus *bus, const char *path, const char *interface, \
                                void *userdata, void **ret, sd_bus_error *e) \
        { \
                (void) bus, (void) interface, (void) userdata, (void) e; \
                for (unsigned i = 0; i < n; i++) \
                        if (g_str_equal(array[i].id, tail(path)) && !(is_gone)) { \
                                *ret = array + i; \
                                return 1; \
                        } \
                return 0; \
        } \
        static int list_##array(sd_bus *bus, const char *prefix, void *userdata, char ***ret, \
                                sd_bus_error *e) \
        { \
                GPtrArray *paths = g_ptr_array_new(); \
                (void) bus, (void) prefix, (void) userdata, (void) e; \
                for (unsigned i = 0; i < n; i++) \
                        if (!(is_gone)) \
                                g_ptr_array_add(paths, \
                                                g_strdup_printf("%s/%s", parent, array[i].id)); \
                g_ptr_array_add(paths, NULL); \
                *ret = (char **) g_ptr_array_free(paths, FALSE); \
                return 0; \
        }

DEFINE_FIND(sandboxes, n_sandboxes, sandboxes[i].gone, PATH_SANDBOX)
DEFINE_FIND(commands, n_commands, false, PATH_COMMAND)
DEFINE_FIND(templates, n_templates, templates[i].gone, PATH_TEMPLATE)
DEFINE_FIND(snapshots, n_snapshots, snapshots[i].gone, PATH_SNAPSHOT)

static int refuse(sd_bus_message *m, FaultCode code, const char *message)
{
        g_autofree char *name = g_strconcat(BUS_ERROR_PREFIX, fault_to_string(code), NULL);

        return sd_bus_reply_method_errorf(m, name, "%s", message);
}

static int reply_path(sd_bus_message *m, const char *prefix, const char *id)
{
        g_autofree char *path = g_strdup_printf("%s/%s", prefix, id);

        return sd_bus_reply_method_return(m, "o", path);
}

static int reply_text(sd_bus_message *m, const char *text)
{
        autofd fd = memfd_create("document", MFD_CLOEXEC);

        g_assert(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
        g_assert(lseek(fd, 0, SEEK_SET) == 0);
        return sd_bus_reply_method_return(m, "h", fd);
}

/* -- Manager ----------------------------------------------------------------------------------- */

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

/* One entry of a{sv}: the key, and its value as text ("" for what is no text or number). */
static int next_option(sd_bus_message *m, char **ret_key, char **ret_value, int *ret_fd)
{
        const char *key, *contents, *text;
        char type;

        int r = sd_bus_message_enter_container(m, 'e', "sv");
        if (r <= 0)
                return r;
        g_assert(sd_bus_message_read(m, "s", &key) > 0);
        *ret_key = g_strdup(key);
        *ret_value = NULL;
        *ret_fd = -1;
        g_assert(sd_bus_message_peek_type(m, &type, &contents) > 0);
        g_assert(sd_bus_message_enter_container(m, 'v', contents) > 0);
        if (g_str_equal(contents, "s")) {
                g_assert(sd_bus_message_read(m, "s", &text) > 0);
                *ret_value = g_strdup(text);
        } else if (g_str_equal(contents, "t")) {
                uint64_t t;
                g_assert(sd_bus_message_read(m, "t", &t) > 0);
                *ret_value = g_strdup_printf("%" G_GUINT64_FORMAT, t);
        } else if (g_str_equal(contents, "u")) {
                uint32_t u;
                g_assert(sd_bus_message_read(m, "u", &u) > 0);
                *ret_value = g_strdup_printf("%u", u);
        } else if (g_str_equal(contents, "b")) {
                int b;
                g_assert(sd_bus_message_read(m, "b", &b) > 0);
                *ret_value = g_strdup(b ? "true" : "false");
        } else if (g_str_equal(contents, "h")) {
                g_assert(sd_bus_message_read(m, "h", ret_fd) > 0);
        } else if (g_str_equal(contents, "ay")) {
                const void *bytes;
                size_t size;
                g_assert(sd_bus_message_read_array(m, 'y', &bytes, &size) >= 0);
                *ret_value = g_strndup(bytes, size);
        } else if (g_str_equal(contents, "as")) {
                g_auto(GStrv) words = NULL;
                g_assert(sd_bus_message_read_strv(m, &words) > 0);
                *ret_value = g_strjoinv(" ", words);
        } else {
                GString *out = g_string_new(NULL);
                const char *k, *v;
                g_assert(sd_bus_message_enter_container(m, 'a', "{ss}") > 0);
                while (sd_bus_message_read(m, "{ss}", &k, &v) > 0)
                        g_string_append_printf(out, "%s=%s;", k, v);
                g_assert(sd_bus_message_exit_container(m) >= 0);
                *ret_value = g_string_free(out, FALSE);
        }
        g_assert(sd_bus_message_exit_container(m) >= 0);
        g_assert(sd_bus_message_exit_container(m) >= 0);
        return 1;
}

static int create_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = sandboxes + n_sandboxes;
        char *key, *value;
        const char *template;
        int fd;

        (void) userdata, (void) e;
        g_assert(n_sandboxes < OBJECTS_MAX);
        g_assert(sd_bus_message_read(m, "s", &template) > 0);
        if (!g_str_equal(template, "t"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such template: see template list");
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
                else if (!g_str_equal(key, "network") && !g_str_equal(key, "boot_timeout_usec"))
                        return refuse(m, FAULT_UNKNOWN_OPTION, key);
        }
        if (!s->name)
                s->name = g_strdup(s->id);
        s->state = (char *) "creating";
        n_sandboxes++;
        return reply_path(m, PATH_SANDBOX, s->id);
}

static int append_sandbox(sd_bus_message *reply, const Sandbox *s)
{
        g_autofree char *path = g_strdup_printf(PATH_SANDBOX "/%s", s->id);

        return sd_bus_message_append(reply, "(oa{sv})", path, 8, "Id", "s", s->id, "Name", "s",
                                     s->name, "State", "s", s->state, "Agent", "s",
                                     or_empty(s->agent), "OwnerUid", "u", 0, "Template", "s", "t",
                                     "CreatedUSec", "t", now_realtime_usec() - 90 * USEC_PER_SEC,
                                     "ExpiresUSec", "t", s->expires_usec);
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

static int audit(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        char *key, *value;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(key, "kind") && g_str_equal(value, "nothing"))
                        return reply_text(m, "");
        return reply_text(
                m, "{\"seq\":1,\"time_usec\":1700000000000000,\"caller_uid\":0,\"caller\":"
                   "\"evil\\u001b[2J\xe2\x80\xae[1]\",\"kind\":\"sandbox.create\",\"phase\":"
                   "\"begin\",\"object\":\"/sh/fluid/Host1/sandbox/0000000000a1\",\"detail\":"
                   "{\"name\":\"web1\"},\"error\":\"\",\"hash\":\"00\"}\n"
                   "{\"seq\":2,\"time_usec\":1700000000000001,\"caller_uid\":0,\"caller\":"
                   "\"x[1]\",\"kind\":\"sandbox.create\",\"phase\":\"failed\",\"object\":\"\","
                   "\"detail\":{},\"error\":\"NoSpace\",\"hash\":\"01\"}\n");
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
        return sd_bus_message_append(reply, "s", g_str_equal(property, "State") ? "running" : "x");
}

static const sd_bus_vtable manager[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CreateSandbox", "sa{sv}", "o", create_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetSandbox", "s", "o", get_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListSandboxes", "a{sv}", "a(oa{sv})", list_sandboxes_method,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ImportTemplate", "sa{sv}", "o", import_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetTemplate", "s", "o", get_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListDomains", "", "aa{sv}", list_domains, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Audit", "a{sv}", "h", audit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("VerifyAudit", "", "bts", verify_audit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("HostName", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_manager, 0, 0),
        SD_BUS_PROPERTY("Capacity", "a{sv}", get_manager, 0, 0),
        SD_BUS_PROPERTY("Features", "as", get_manager, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -- Template ---------------------------------------------------------------------------------- */

static int wait_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;

        (void) e;
        if (g_str_equal(t->name, "broken")) {
                t->gone = true;
                return refuse(m, FAULT_IMAGE_REFUSED, "the image has a backing file");
        }
        t->state = "ready";
        return sd_bus_reply_method_return(m, "s", t->state);
}

static int remove_template(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Template *t = userdata;

        (void) e;
        if (g_str_equal(t->name, "t"))
                return refuse(m, FAULT_IN_USE, "sandbox 'web1' stands on it");
        t->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int get_template_property(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *e)
{
        const Template *t = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Defaults"))
                return sd_bus_message_append(reply, "a{sv}", 2, "format", "s", "qcow2", "vcpus",
                                             "u", 2);
        if (g_str_has_suffix(property, "USec") || g_str_has_suffix(property, "Bytes"))
                return sd_bus_message_append(reply, "t", UINT64_C(1700000000000000));
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")      ? t->id
                                     : g_str_equal(property, "Name")  ? t->name
                                     : g_str_equal(property, "State") ? t->state
                                                                      : "image");
}

static const sd_bus_vtable template[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Wait", "t", "s", wait_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Remove", "", "", remove_template, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Source", "s", get_template_property, 0, 0),
        SD_BUS_PROPERTY("SizeBytes", "t", get_template_property, 0, 0),
        SD_BUS_PROPERTY("Defaults", "a{sv}", get_template_property, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_template_property, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -- Sandbox ----------------------------------------------------------------------------------- */

static int wait_sandbox(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *state;
        uint64_t timeout;
        Sandbox *s = userdata;

        (void) e;
        g_assert(sd_bus_message_read(m, "st", &state, &timeout) > 0);
        if (g_str_has_prefix(s->name, "slow")) {
                g_usleep(MIN(timeout, 200 * USEC_PER_MSEC));
                return refuse(m, FAULT_TIMED_OUT, "it is still starting");
        }
        if (g_str_equal(s->state, "creating") || g_str_equal(s->state, "starting")) {
                bool fails = g_str_equal(s->name, "fails");
                s->state = (char *) (fails ? "failed" : "ready");
                s->reason = (char *) (fails ? "no boot loader\x1b[2J" : "");
        }
        return sd_bus_reply_method_return(m, "s", s->state);
}

static int start(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        if (!g_str_equal(s->state, "stopped"))
                return refuse(m, FAULT_WRONG_STATE, "it runs already");
        s->state = (char *) "starting";
        return sd_bus_reply_method_return(m, NULL);
}

static int stop(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        s->state = (char *) "stopped";
        return sd_bus_reply_method_return(m, NULL);
}

static int destroy(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;

        (void) e;
        s->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int extend(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;
        uint64_t ttl;

        (void) e;
        g_assert(sd_bus_message_read(m, "t", &ttl) > 0);
        s->expires_usec = now_realtime_usec() + ttl;
        return sd_bus_reply_method_return(m, NULL);
}

/* What the first word of a command does to its record. */
static void play(Command *c, const char *word, const char *argument)
{
        c->state = "exited";
        if (g_str_equal(word, "sleep"))
                c->state = "running";
        else if (g_str_equal(word, "exit"))
                c->exit_status = atoi(argument);
        else if (g_str_equal(word, "echo"))
                g_string_append_printf(c->out, "%s\n", argument);
        else if (g_str_equal(word, "complain"))
                g_string_append_printf(c->err, "%s\n", argument);
        else if (g_str_equal(word, "hostile"))
                g_string_append(c->out, "a\tb " HOSTILE " \xc3\xa4\xff\n");
        else if (g_str_equal(word, "big"))
                for (int i = 0; i < atoi(argument); i++)
                        g_string_append_c(c->out, (char) i);
        else if (g_str_equal(word, "truncated"))
                c->truncated = true;
        else if (g_str_equal(word, "signal")) {
                c->state = "killed";
                c->signal = atoi(argument);
                c->exit_status = 128 + c->signal;
        } else if (g_str_equal(word, "timeout")) {
                c->state = "timed-out";
                c->exit_status = 137;
        } else if (g_str_equal(word, "missing")) {
                c->state = "failed";
                c->reason = "there is no program 'missing' in the guest";
                c->exit_status = -1;
        }
}

static int exec(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = commands + n_commands;
        char **argv, *key, *value;
        Sandbox *s = userdata;
        int fd;

        (void) e;
        g_assert(n_commands < OBJECTS_MAX);
        if (!g_str_equal(s->state, "ready"))
                return refuse(m, FAULT_WRONG_STATE, "the sandbox does not run: start it");
        g_assert(sd_bus_message_read_strv(m, &argv) > 0);
        *c = (Command){.sandbox = s->id, .reason = "", .argv = argv};
        c->out = g_string_new(NULL);
        c->err = g_string_new(NULL);
        g_snprintf(c->id, sizeof c->id, "0000000003%02x", n_commands++);
        play(c, argv[0], argv[1] ? argv[1] : "");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                if (g_str_equal(argv[0], "options"))
                        g_string_append_printf(c->out, "%s=%s\n", key, value);
        return reply_path(m, PATH_COMMAND, c->id);
}

static int push_file(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        char piece[4096];
        const char *path;
        ssize_t n;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "sh", &path, &fd) > 0);
        if (*path != '/')
                return refuse(m, FAULT_INVALID_ARGUMENT, "the path is not absolute");
        g_string_truncate(pushed, 0);
        while ((n = read(fd, piece, sizeof piece)) > 0)
                g_string_append_len(pushed, piece, n);
        return sd_bus_reply_method_return(m, "t", (uint64_t) pushed->len);
}

static int pull_file(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *path;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "sh", &path, &fd) > 0);
        if (g_str_equal(path, "/absent"))
                return refuse(m, FAULT_NOT_FOUND, "/absent: no such file in the guest");
        if (g_str_equal(path, "/hostile"))
                g_string_assign(pushed, HOSTILE);
        g_assert(write_all(fd, pushed->str, pushed->len) == 0);
        return sd_bus_reply_method_return(m, "t", (uint64_t) pushed->len);
}

static int create_snapshot(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        bool frozen = true;
        const char *name;
        char *key, *value;
        int fd;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        if (g_str_equal(name, "first"))
                return refuse(m, FAULT_EXISTS, "snapshot 'first' already exists");
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                frozen = g_str_equal(value, "true");
        if (g_str_equal(name, "thawed"))
                frozen = false;
        snapshots[n_snapshots] = (Snapshot){
                .id = g_strdup_printf("0000000004%02x", n_snapshots),
                .name = g_strdup(name),
                .consistency = frozen ? "frozen" : "crash",
                .reason = g_str_equal(name, "thawed") ? "the guest refused\x1b[31m" : "",
        };
        return reply_path(m, PATH_SNAPSHOT, snapshots[n_snapshots++].id);
}

static int restore(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Sandbox *s = userdata;
        const char *name;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &name) > 0);
        if (!g_str_equal(name, "first") && !g_str_equal(name, "template"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        if (g_str_equal(s->state, "ready"))
                s->state = (char *) "starting";
        return sd_bus_reply_method_return(m, NULL);
}

static int diff(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        g_autoptr(GString) text = g_string_new("{\"from\": \"x\", \"notes\": [{\"path\": \"/n\"}],"
                                               " \"changes\": [\n");
        const char *from;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_read(m, "s", &from) > 0);
        if (g_str_equal(from, "none"))
                return reply_text(m, "{\"from\":\"x\",\"to\":\"now\",\"changes\":[]}");
        if (g_str_equal(from, "damaged"))
                return reply_text(m, "{\"from\":\"x\",\"changes\":[{\"path\":\"/a\",]}");
        if (g_str_equal(from, "cut"))
                return reply_text(m, "{\"from\":\"x\",\"changes\":[{\"path\":\"/a\"");
        for (int i = 0; g_str_equal(from, "huge") && i < 30000; i++)
                g_string_append_printf(text,
                                       "{\"path\":\"/usr/share/doc/\xc3\xa4/file-%d\",\"change\":"
                                       "\"added\",\"kind\":\"file\",\"new\":{\"size\":%d}},\n",
                                       i, i);
        g_string_append(text,
                        "{\"path\":\"/etc/a]}\\\\x1b\\\"\",\"change\":\"modified\"},"
                        "{\"path\":\"/etc/b\",\"change\":\"removed\"},"
                        "{\"path\":\"/etc/c\\u001b[31m\xe2\x80\xae\",\"change\":\"metadata\"},"
                        "{\"path\":\"/srv\",\"change\":\"type\"}]}\n");
        return reply_text(m, text->str);
}

static int get_sandbox_property(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *e)
{
        const Sandbox *s = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "OwnerUid") || g_str_equal(property, "Vcpus"))
                return sd_bus_message_append(reply, "u", *property == 'V' ? s->vcpus : 0);
        if (g_str_equal(property, "MemoryBytes"))
                return sd_bus_message_append(reply, "t", s->memory_bytes);
        if (g_str_has_suffix(property, "USec"))
                return sd_bus_message_append(reply, "t",
                                             *property == 'E' ? s->expires_usec
                                                              : UINT64_C(1700000000000000));
        if (g_str_equal(property, "Labels"))
                return sd_bus_message_append(reply, "a{ss}", 1, "all", or_empty(s->labels));
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")       ? s->id
                                     : g_str_equal(property, "Name")   ? s->name
                                     : g_str_equal(property, "State")  ? s->state
                                     : g_str_equal(property, "Agent")  ? or_empty(s->agent)
                                     : g_str_equal(property, "Reason") ? or_empty(s->reason)
                                                                       : "template");
}

static const sd_bus_vtable sandbox[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Start", "", "", start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Stop", "b", "", stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Destroy", "", "", destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Wait", "st", "s", wait_sandbox, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Exec", "asa{sv}", "o", exec, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("PullFile", "sh", "t", pull_file, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("PushFile", "sha{sv}", "t", push_file, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CreateSnapshot", "sa{sv}", "o", create_snapshot, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Restore", "s", "", restore, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Diff", "ssa{sv}", "h", diff, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ExtendTtl", "t", "", extend, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Agent", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("OwnerUid", "u", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Template", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Head", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Network", "s", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Vcpus", "u", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get_sandbox_property, 0, 0),
        SD_BUS_PROPERTY("Labels", "a{ss}", get_sandbox_property, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -- Snapshot and Command ---------------------------------------------------------------------- */

static int delete_snapshot(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Snapshot *s = userdata;

        (void) e;
        if (g_str_equal(s->name, "first"))
                return refuse(m, FAULT_IN_USE, "the head stands on it");
        s->gone = true;
        return sd_bus_reply_method_return(m, NULL);
}

static int get_snapshot_property(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *e)
{
        const Snapshot *s = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Sandbox"))
                return sd_bus_message_append(reply, "o", PATH_SANDBOX "/0000000000a1");
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")            ? s->id
                                     : g_str_equal(property, "Name")        ? s->name
                                     : g_str_equal(property, "Consistency") ? s->consistency
                                     : g_str_equal(property, "Reason")      ? s->reason
                                                                            : "template");
}

static const sd_bus_vtable snapshot[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Delete", "a{sv}", "", delete_snapshot, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Parent", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Consistency", "s", get_snapshot_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_snapshot_property, 0, 0),
        SD_BUS_VTABLE_END,
};

static int wait_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = userdata;

        (void) e;
        if (g_str_equal(c->state, "running")) {
                c->waiter = sd_bus_message_ref(m);
                return 1;
        }
        return sd_bus_reply_method_return(m, "si", c->state, c->exit_status);
}

static int read_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const Command *c = userdata;
        sd_bus_message *reply = NULL;
        uint64_t offset, max;
        const char *stream;

        (void) e;
        g_assert(sd_bus_message_read(m, "stt", &stream, &offset, &max) > 0);
        const GString *from = g_str_equal(stream, "stdout") ? c->out : c->err;
        size_t left = from->len - MIN(offset, from->len), size = MIN(left, max);
        g_assert(sd_bus_message_new_method_return(m, &reply) >= 0);
        g_assert(sd_bus_message_append_array(reply, 'y', from->str + offset, size) >= 0);
        g_assert(sd_bus_message_append(reply, "b", size == left) >= 0);
        return sd_bus_send(NULL, reply, NULL);
}

static int kill_command(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Command *c = userdata;

        (void) e;
        if (c->waiter) {
                g_assert(sd_bus_message_read(m, "i", &c->signal) > 0);
                c->state = "killed";
                c->exit_status = 128 + c->signal;
                g_assert(sd_bus_reply_method_return(c->waiter, "si", c->state, c->exit_status) >=
                         0);
                c->waiter = sd_bus_message_unref(c->waiter);
        }
        return sd_bus_reply_method_return(m, NULL);
}

static int get_command_property(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *e)
{
        const Command *c = userdata;

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Sandbox")) {
                g_autofree char *sandbox_path = g_strdup_printf(PATH_SANDBOX "/%s", c->sandbox);
                return sd_bus_message_append(reply, "o", sandbox_path);
        }
        if (g_str_equal(property, "Argv"))
                return sd_bus_message_append_strv(reply, c->argv);
        if (g_str_equal(property, "ExitStatus") || g_str_equal(property, "Signal"))
                return sd_bus_message_append(reply, "i",
                                             *property == 'E' ? c->exit_status : c->signal);
        if (g_str_equal(property, "Output"))
                return sd_bus_message_append(reply, "a{sv}", 4, "stdout_bytes", "t",
                                             (uint64_t) c->out->len, "stderr_bytes", "t",
                                             (uint64_t) c->err->len, "stdout_truncated", "b",
                                             c->truncated, "stderr_truncated", "b", false);
        if (g_str_has_suffix(property, "USec"))
                return sd_bus_message_append(reply, "t",
                                             UINT64_C(1700000000000000) +
                                                     (*property == 'E' ? 5 * USEC_PER_SEC : 0));
        return sd_bus_message_append(reply, "s",
                                     g_str_equal(property, "Id")      ? c->id
                                     : g_str_equal(property, "State") ? c->state
                                                                      : c->reason);
}

static const sd_bus_vtable command[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Wait", "t", "si", wait_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Read", "stt", "ayb", read_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Kill", "i", "", kill_command, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Argv", "as", get_command_property, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get_command_property, 0, 0),
        SD_BUS_PROPERTY("ExitStatus", "i", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Signal", "i", get_command_property, 0, 0),
        SD_BUS_PROPERTY("Output", "a{sv}", get_command_property, 0, 0),
        SD_BUS_PROPERTY("StartedUSec", "t", get_command_property, 0, 0),
        SD_BUS_PROPERTY("EndedUSec", "t", get_command_property, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -- the service ------------------------------------------------------------------------------- */

static const struct {
        const char *path, *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;
        sd_bus_node_enumerator_t list;
} families[] = {
        {PATH_SANDBOX, INTERFACE_SANDBOX, sandbox, find_sandboxes, list_sandboxes},
        {PATH_TEMPLATE, INTERFACE_TEMPLATE, template, find_templates, list_templates},
        {PATH_SNAPSHOT, INTERFACE_SNAPSHOT, snapshot, find_snapshots, list_snapshots},
        {PATH_COMMAND, INTERFACE_COMMAND, command, find_commands, list_commands},
};

static sd_bus *serve(const char *address)
{
        sd_bus *bus = NULL;

        g_assert(sd_bus_new(&bus) >= 0);
        g_assert(sd_bus_set_address(bus, address) >= 0);
        g_assert(sd_bus_set_bus_client(bus, true) >= 0);
        g_assert(sd_bus_start(bus) >= 0);
        g_assert(sd_bus_add_object_manager(bus, NULL, PATH_ROOT) >= 0);
        g_assert(sd_bus_add_object_vtable(bus, NULL, PATH_ROOT, INTERFACE_MANAGER, manager, NULL) >=
                 0);
        for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
                g_assert(sd_bus_add_fallback_vtable(bus, NULL, families[i].path,
                                                    families[i].interface, families[i].vtable,
                                                    families[i].find, NULL) >= 0);
                g_assert(sd_bus_add_node_enumerator(bus, NULL, families[i].path, families[i].list,
                                                    NULL) >= 0);
        }
        g_assert(sd_bus_request_name(bus, BUS_NAME, 0) >= 0);
        return bus;
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fputs("usage: host-service ADDRESS\n", stderr);
                return EXIT_FAILURE;
        }
        pushed = g_string_new(NULL);
        sd_bus *bus = serve(argv[1]);
        puts("ready");
        (void) fflush(stdout);
        for (;;) {
                int r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        return EXIT_SUCCESS;
        }
}

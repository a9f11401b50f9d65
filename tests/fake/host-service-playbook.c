/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What becomes of one is in its name: "site-residual", "site-failed". */
typedef struct Playbook {
        char id[16];
        char *name, *from, *to, *against;
        const char *verified;
        bool allows_secrets, gone, is_written;
} Playbook;

static Playbook playbooks[OBJECTS_MAX];
static unsigned n_playbooks;

static Playbook *add(const char *name, const char *from, const char *to)
{
        Playbook *p = &playbooks[n_playbooks];

        g_assert(n_playbooks < OBJECTS_MAX);
        *p = (Playbook){.name = g_strdup(name),
                        .from = g_strdup(from),
                        .to = g_strdup(to),
                        .verified = "no"};
        (void) g_snprintf(p->id, sizeof p->id, "0000000000%02x", 0xe1 + n_playbooks++);
        return p;
}

int export_playbook(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *from, *to;
        char *key, *value;
        int fd;

        (void) e;
        g_assert(sd_bus_message_read(m, "ss", &from, &to) > 0);
        if (g_str_equal(from, "nowhere"))
                return refuse(m, FAULT_NOT_FOUND, "there is no such snapshot");
        Playbook *p =
                add(((Sandbox *) userdata)->name, from, g_str_equal(to, "now") ? "playbook-1" : to);
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0) {
                if (g_str_equal(key, "name"))
                        p->name = g_strdup(value);
                else if (g_str_equal(key, "allow-secrets"))
                        p->allows_secrets = true;
                else
                        return refuse(m, FAULT_UNKNOWN_OPTION, key);
        }
        if (g_str_equal(p->name, "secret") && !p->allows_secrets) {
                p->gone = true;
                return refuse(m, FAULT_DENIED, "fluid-diff: secrets would be in it: '/etc/key'");
        }
        return reply_path(m, PATH_PLAYBOOK, p->id);
}

int import_playbook(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *directory = getenv("FAKE_DOCUMENTS");
        g_autofree char *path = g_build_filename(directory ? directory : "/", "imported.tar", NULL);
        g_autofree char *bytes = g_malloc(1 << 20);
        char *key, *value;
        ssize_t size;
        int archive, fd;

        (void) e;
        g_assert(sd_bus_message_read(m, "h", &archive) > 0);
        size = pread(archive, bytes, 1 << 20, 0);
        g_assert(size >= 0 && g_file_set_contents(path, bytes, size, NULL));
        Playbook *p = add(((Sandbox *) userdata)->name, "template", "?");
        p->is_written = true;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0)
                *(g_str_equal(key, "name")   ? &p->name
                  : g_str_equal(key, "from") ? &p->from
                                             : &p->to) = g_strdup(value);
        return reply_path(m, PATH_PLAYBOOK, p->id);
}

static int verify(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Playbook *p = userdata;
        char *key, *value;
        int fd;

        (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (next_option(m, &key, &value, &fd) > 0) {
                char *old = p->against;
                p->against = g_strconcat(old ? old : "", " ", key, "=", value, NULL);
                g_free(old);
        }
        p->verified = "verifying";
        return sd_bus_reply_method_return(m, "");
}

/* The first one is in vain. */
static int wait_for(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        static unsigned calls;
        Playbook *p = userdata;

        (void) e;
        if (++calls % 2)
                return refuse(m, FAULT_TIMED_OUT, "it takes longer");
        p->verified = g_str_has_suffix(p->name, "residual") ? "residual"
                      : g_str_has_suffix(p->name, "failed") ? "failed"
                                                            : "exact";
        return sd_bus_reply_method_return(m, "s", p->verified);
}

static int open_archive(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *directory = getenv("FAKE_DOCUMENTS");
        g_autofree char *path = g_build_filename(directory ? directory : "/", "playbook.tar", NULL);
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);

        (void) userdata, (void) e;
        if (fd < 0)
                return refuse(m, FAULT_IO, "there is no archive");
        return sd_bus_reply_method_return(m, "h", fd);
}

static int remove_playbook(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) e;
        ((Playbook *) userdata)->gone = true;
        return sd_bus_reply_method_return(m, "");
}

static int get(sd_bus *bus, const char *path, const char *interface, const char *property,
               sd_bus_message *reply, void *userdata, sd_bus_error *e)
{
        const Playbook *p = userdata;
        const char *text = "";
        const struct {
                const char *name, *text;
        } texts[] = {
                {"Id", p->id},
                {"Name", p->name},
                {"Origin", p->is_written ? "written" : "derived"},
                {"SandboxName", "web1"},
                {"Agent", HOSTILE},
                {"From", p->from},
                {"To", p->to},
                {"Summary", "nginx is installed\nsha256       " HOSTILE},
                {"Sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
                {"Verified", p->verified},
                {"VerifiedReason", g_str_equal(p->verified, "failed") ? "task x failed " HOSTILE
                                   : p->against                       ? p->against
                                                                      : ""},
                {"Residual", g_str_equal(p->verified, "residual") ? "file /etc/" HOSTILE
                                                                    ": removed\nuser app: removed"
                                                                  : ""},
        };

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_equal(property, "Sandbox"))
                return sd_bus_message_append(reply, "o", PATH_SANDBOX "/0000000000a1");
        if (g_str_equal(property, "OwnerUid"))
                return sd_bus_message_append(reply, "u", 0);
        if (g_str_has_prefix(property, "Allows"))
                return sd_bus_message_append(
                        reply, "b", g_str_equal(property, "AllowsSecrets") && p->allows_secrets);
        if (g_str_equal(property, "SizeBytes"))
                return sd_bus_message_append(reply, "t", UINT64_C(10240));
        if (g_str_has_suffix(property, "USec"))
                return sd_bus_message_append(reply, "t", now_realtime_usec());
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (g_str_equal(texts[i].name, property))
                        text = texts[i].text;
        return sd_bus_message_append(reply, "s", text);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Open", "", "h", open_archive, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Remove", "", "", remove_playbook, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Verify", "a{sv}", "", verify, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Wait", "t", "s", wait_for, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get, 0, 0),
        SD_BUS_PROPERTY("Name", "s", get, 0, 0),
        SD_BUS_PROPERTY("Origin", "s", get, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get, 0, 0),
        SD_BUS_PROPERTY("SandboxName", "s", get, 0, 0),
        SD_BUS_PROPERTY("Agent", "s", get, 0, 0),
        SD_BUS_PROPERTY("From", "s", get, 0, 0),
        SD_BUS_PROPERTY("To", "s", get, 0, 0),
        SD_BUS_PROPERTY("Summary", "s", get, 0, 0),
        SD_BUS_PROPERTY("Sha256", "s", get, 0, 0),
        SD_BUS_PROPERTY("SizeBytes", "t", get, 0, 0),
        SD_BUS_PROPERTY("AllowsSecrets", "b", get, 0, 0),
        SD_BUS_PROPERTY("AllowsSetuid", "b", get, 0, 0),
        SD_BUS_PROPERTY("OwnerUid", "u", get, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get, 0, 0),
        SD_BUS_PROPERTY("Verified", "s", get, 0, 0),
        SD_BUS_PROPERTY("VerifiedReason", "s", get, 0, 0),
        SD_BUS_PROPERTY("VerifiedUSec", "t", get, 0, 0),
        SD_BUS_PROPERTY("Residual", "s", get, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *e)
{
        (void) bus, (void) interface, (void) userdata, (void) e;
        for (unsigned i = 0; i < n_playbooks; i++)
                if (!playbooks[i].gone && g_str_has_suffix(path, playbooks[i].id)) {
                        *ret = &playbooks[i];
                        return 1;
                }
        return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *e)
{
        GPtrArray *paths = g_ptr_array_new();

        (void) bus, (void) prefix, (void) userdata, (void) e;
        for (unsigned i = 0; i < n_playbooks; i++)
                if (!playbooks[i].gone)
                        g_ptr_array_add(paths,
                                        g_strdup_printf("%s/%s", PATH_PLAYBOOK, playbooks[i].id));
        g_ptr_array_add(paths, NULL);
        *ret = (char **) g_ptr_array_free(paths, FALSE);
        return 0;
}

void playbooks_add(sd_bus *bus)
{
        g_assert(sd_bus_add_fallback_vtable(bus, NULL, PATH_PLAYBOOK, INTERFACE_PLAYBOOK, vtable,
                                            find, NULL) >= 0);
        g_assert(sd_bus_add_node_enumerator(bus, NULL, PATH_PLAYBOOK, enumerate, NULL) >= 0);
}

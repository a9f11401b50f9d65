/* SPDX-License-Identifier: MIT */

/* Playbooks on the bus: who sees them and hears of them, what is handed out, and their proof. */

#include "tests/bus/fixture.h"
#include "tests/bus/polkit.h"
#include "tests/socket-unit.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of users that every Debian has; whoever is in group "daemon" may approve here. */
#define OWNER    65534 /* nobody */
#define STRANGER 2     /* bin */
#define PERSON   1     /* daemon */

static sd_bus *owner, *person, *stranger;
static const char *sandbox, *playbook;
static pid_t verify_unit;

static void write_program(const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);

        if (!g_file_set_contents(path, text, -1, NULL) || chmod(path, 0755) < 0)
                tap_bail_out("no program");
}

static void start_programs(void)
{
        g_autofree char *runtime = g_build_filename(fixture.directory, "r", NULL);
        g_autofree char *replay = g_build_filename(fixture.directory, "replay", NULL);
        g_autofree char *script = g_strdup_printf(
                "#!/bin/sh\nwhile [ -e %s/hold ]; do sleep 0.01; done\necho PLAY\n"
                "echo '{\"rc\":0,\"check\":false,\"hosts\":{\"h\":{\"changed\":0}}}' >&4\n",
                fixture.directory);

        write_program(
                "diff",
                "#!/bin/sh\n"
                "case \" $* \" in\n"
                "*' --allow-setuid '*) echo 'fluid-diff: it would hold a key' >&2; exit 3;;\n"
                "*' --playbook '*) echo diff >&3; echo '[\"nginx\"]' >&4; echo archive;;\n"
                "*) echo '{\"verdict\":\"residual\",\"residual_count\":1,\"residual\":[{\"what\":"
                "\"file\",\"path\":\"/x\",\"change\":\"removed\"}]}';;\n"
                "esac\n");
        write_program("replay", script);
        verify_unit = socket_unit_start(runtime, "fluid-verify", replay);
}

static const char *property(sd_bus *bus, const char *name)
{
        return bus_property(bus, playbook, INTERFACE_PLAYBOOK, name);
}

static sd_bus_message *call(sd_bus *bus, const char *member)
{
        return bus_call(bus, playbook, INTERFACE_PLAYBOOK, member, "");
}

static const char *export_from(const char *from, const char *to)
{
        const char *path = "";
        sd_bus_message *reply = bus_call(owner, sandbox, INTERFACE_SANDBOX, "ExportPlaybook",
                                         "ssa{sv}", from, to, 1, "name", "s", "site");

        if (reply && sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out("ExportPlaybook() replies nonsense");
        return path;
}

static char *read_file(sd_bus_message *reply)
{
        char text[256] = "";
        int fd = -1;

        if (!reply || sd_bus_message_read(reply, "h", &fd) < 0)
                return g_strdup(bus_error);
        if (read(fd, text, sizeof text - 1) < 0 || write(fd, "x", 1) >= 0)
                return g_strdup("it can be written");
        return g_strdup(text);
}

static void test_export(void)
{
        playbook = export_from("template", "now");
        bus_is_error("", "a playbook is made");
        tap_is_str(property(owner, "Name"), "site", "with its name");
        tap_is_str(property(owner, "SandboxName"), "web", "of its sandbox");
        tap_is_str(property(owner, "From"), "template", "from a point");
        g_autofree char *to = g_strconcat("playbook-", id_of_path(playbook), NULL);
        tap_is_str(property(owner, "To"), to, "to one that was made for it");
        tap_is_str(property(owner, "Summary"), "nginx", "with a summary");
        tap_is_str(property(owner, "Verified"), "no", "that nobody has verified");
        g_autofree char *archive = read_file(call(owner, "Open"));
        tap_is_str(archive, "archive\n", "its archive is handed out");
        g_autofree char *sha256 = g_compute_checksum_for_string(G_CHECKSUM_SHA256, archive, -1);
        tap_is_str(property(owner, "Sha256"), sha256, "of which it has the hash");
        g_autofree char *diff = read_file(call(owner, "OpenDiff"));
        tap_is_str(diff, "diff\n", "and so is its diff");
        g_autofree char *log = read_file(call(owner, "OpenLog"));
        tap_is_str(log, "NotFound", "there is no log yet");
        g_autofree char *residual = read_file(call(owner, "OpenResidual"));
        tap_is_str(residual, "NotFound", "nor a residual");
        tap_is_int(audit_count("playbook.export", "done", ""), 1, "the trail has it");
}

static void test_export_errors(void)
{
        (void) export_from("nowhere", "now");
        bus_is_error("NotFound", "an unknown point is not found");
        (void) export_from("now", "template");
        bus_is_error("InvalidArgument", "none begins now");
        (void) bus_call(owner, sandbox, INTERFACE_SANDBOX, "ExportPlaybook", "ssa{sv}", "template",
                        "now", 1, "history", "b", 1);
        bus_is_error("UnknownOption", "an unknown option is refused");
        (void) bus_call(owner, sandbox, INTERFACE_SANDBOX, "ExportPlaybook", "ssa{sv}", "template",
                        "now", 1, "allow-setuid", "b", 1);
        bus_is_error("AccessDenied", "what fluid-diff refuses is denied");
        tap_ok(strstr(bus_error_message, "a key") != NULL, "with its words: %s", bus_error_message);
        (void) bus_call(stranger, sandbox, INTERFACE_SANDBOX, "ExportPlaybook", "ssa{sv}",
                        "template", "now", 0);
        bus_is_error("NotFound", "nobody makes one of another's sandbox");
}

static void test_visibility(void)
{
        tap_is_str(property(person, "Name"), "site", "who may approve sees it");
        tap_is_str(property(stranger, "Name"), "", "others do not");
        (void) call(stranger, "Open");
        bus_is_error("NotFound", "to them it does not exist");
        (void) call(stranger, "Remove");
        bus_is_error("NotFound", "they cannot remove it");
        (void) call(person, "Remove");
        bus_is_error("AccessDenied", "nor can who only sees it");
        g_autofree char *archive = read_file(call(person, "Open"));
        tap_is_str(archive, "archive\n", "who may approve can read it");
}

static unsigned heard[3];

static int on_signal(sd_bus_message *m, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        const char *path;

        if (sd_bus_message_read(m, "o", &path) < 0)
                tap_bail_out("a signal has other types");
        *(unsigned *) userdata += g_str_has_prefix(path, PATH_PLAYBOOK "/");
        return 0;
}

static void test_signals(void)
{
        static const char rule[] = "type='signal',member='InterfacesAdded'";
        sd_bus *const buses[] = {owner, person, stranger};

        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                if (sd_bus_add_match(buses[i], NULL, rule, on_signal, &heard[i]) < 0)
                        tap_bail_out("no match");
        playbook = export_from("template", "now");
        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                (void) bus_call(buses[i], PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}",
                                0);
        tap_is_int(heard[0], 1, "its owner hears of it");
        tap_is_int(heard[1], 1, "and so does who may approve");
        tap_is_int(heard[2], 0, "and nobody else");
}

static const char *wait_for(void)
{
        sd_bus_message *reply =
                bus_call(owner, playbook, INTERFACE_PLAYBOOK, "Wait", "t", UINT64_C(10000000));
        const char *verified = "";

        return reply && sd_bus_message_read(reply, "s", &verified) >= 0 ? verified : bus_error;
}

/* -- one that somebody wrote ------------------------------------------------------------------- */

static const char *import_from(sd_bus *bus, const char *file)
{
        autofd fd = open(file, O_RDONLY | O_CLOEXEC);
        const char *path = "";

        if (fd < 0)
                tap_bail_out("no archive");
        sd_bus_message *reply = bus_call(bus, sandbox, INTERFACE_SANDBOX, "ImportPlaybook",
                                         "ha{sv}", fd, 1, "name", "s", "own");
        if (reply && sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out("ImportPlaybook() replies nonsense");
        return path;
}

static void test_import(void)
{
        g_autofree char *file = g_build_filename(fixture.directory, "own.tar", NULL);
        g_autofree char *script = g_strdup_printf(
                "cd '%s' && echo '- hosts: all' >playbook.yml && touch ansible.cfg && "
                "tar --format=pax -cf own.tar playbook.yml && "
                "tar --format=pax -cf bad.tar playbook.yml ansible.cfg",
                fixture.directory);
        g_autofree char *bad = g_build_filename(fixture.directory, "bad.tar", NULL);
        const char *argv[] = {"/bin/sh", "-c", script, NULL}, *derived = playbook;

        if (!g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL))
                tap_bail_out("no archive");
        (void) import_from(stranger, file);
        bus_is_error("NotFound", "nobody imports for somebody else's sandbox");
        (void) import_from(owner, bad);
        bus_is_error("InvalidArgument", "what no playbook has is refused");
        tap_ok(strstr(bus_error_message, "ansible.cfg") != NULL, "and named");
        tap_is_str(property(owner, "Origin"), "derived", "one that is derived says so");
        playbook = import_from(owner, file);
        bus_is_error("", "one that was written is taken over");
        tap_is_str(property(owner, "Origin"), "written", "and says so, too");
        tap_is_str(property(person, "Name"), "own", "approvers see it");
        (void) call(owner, "OpenDiff");
        bus_is_error("NotFound", "it has no diff");
        (void) call(owner, "Remove");
        bus_is_error("", "it can be removed");
        playbook = derived;
}

static void test_verify(void)
{
        g_autofree char *hold = g_build_filename(fixture.directory, "hold", NULL);

        write_program("hold", "");
        tap_is_str(wait_for(), "no", "what is not being verified is not waited for");
        (void) bus_call(owner, playbook, INTERFACE_PLAYBOOK, "Verify", "a{sv}", 1, "twice", "b", 1);
        bus_is_error("UnknownOption", "an unknown option is refused");
        (void) bus_call(owner, playbook, INTERFACE_PLAYBOOK, "Verify", "a{sv}", 0);
        bus_is_error("", "a verification begins");
        tap_is_str(property(owner, "Verified"), "verifying", "which goes on by itself");
        (void) bus_call(owner, playbook, INTERFACE_PLAYBOOK, "Verify", "a{sv}", 0);
        bus_is_error("Busy", "once at a time");
        (void) call(owner, "Remove");
        bus_is_error("Busy", "it is not removed meanwhile");
        (void) unlink(hold);
        tap_is_str(wait_for(), "residual", "Wait() says what came of it");
        tap_is_str(property(owner, "Residual"), "file /x: removed",
                   "and the playbook what differs");
        g_autofree char *log = read_file(call(owner, "OpenLog"));
        tap_is_str(log, "PLAY\nPLAY\n", "what Ansible said is handed out");
        g_autofree char *residual = read_file(call(person, "OpenResidual"));
        tap_ok(g_str_has_prefix(residual, "{\"verdict\":\"residual\""), "and so is the residual");
        tap_is_int(audit_count("playbook.verify", "done", ""), 1, "the trail has it");
}

static void test_outlives(void)
{
        (void) bus_call(owner, sandbox, INTERFACE_SANDBOX, "Destroy", "");
        bus_is_error("", "the sandbox goes");
        fixture_restart();
        tap_is_str(property(fixture.client, "Name"), "site", "the playbook stays");
        (void) bus_call(fixture.client, playbook, INTERFACE_PLAYBOOK, "Verify", "a{sv}", 0);
        bus_is_error("WrongState", "it cannot be verified any more");
        (void) call(fixture.client, "Remove");
        bus_is_error("", "and is removed");
        tap_is_str(property(fixture.client, "Name"), "", "then it is gone");
}

int main(void)
{
        g_autofree char *runtime = NULL;

        fixture_start("approver_group = daemon\nttl_default = 10h\nverify_user = backup\n");
        runtime = g_build_filename(fixture.directory, "r", NULL);
        start_programs();
        (void) fixture_template("base");
        start_polkit();
        owner = fixture_connect(OWNER);
        person = fixture_connect(PERSON);
        stranger = fixture_connect(STRANGER);
        sandbox = fixture_sandbox(owner, "web");
        for (unsigned i = 0; i < 2; i++)
                (void) bus_call(i ? person : stranger, PATH_ROOT, INTERFACE_MANAGER,
                                "ListSandboxes", "a{sv}", 0);
        test_export();
        test_export_errors();
        test_visibility();
        test_signals();
        test_import();
        test_verify();
        test_outlives();
        socket_unit_stop(verify_unit, runtime, "fluid-verify");
        fixture_stop();
        return tap_done();
}

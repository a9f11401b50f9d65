/* SPDX-License-Identifier: MIT */

/* A playbook on the bus from the question to the log: who may, and what each is told. */

#include "tests/bus/fixture.h"
#include "tests/bus/polkit.h"
#include "tests/socket-unit.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of users that every Debian has; whoever is in group "daemon" may approve here. */
#define OWNER    65534 /* nobody */
#define STRANGER 2     /* bin */
#define PERSON   1     /* daemon */

static sd_bus *owner, *person, *stranger;
static const char *playbook, *approval;
static pid_t apply_unit;

static void write_scratch(const char *name, const char *text, mode_t mode)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);

        if (!g_file_set_contents(path, text, -1, NULL) || chmod(path, mode) < 0)
                tap_bail_out("no file");
}

static void start_programs(void)
{
        g_autofree char *runtime = g_build_filename(fixture.directory, "r", NULL);
        g_autofree char *play = g_build_filename(fixture.directory, "play", NULL);
        g_autofree char *target = g_strdup_printf("inventory = %s/inventory\n", fixture.directory);
        g_autofree char *script = g_strdup_printf(
                "#!/bin/sh\nwhile [ -e %s/hold ]; do sleep 0.01; done\necho PLAY\n"
                "echo '{\"rc\":0,\"check\":false,\"hosts\":{\"web1\":{\"changed\":1}}}' >&4\n",
                fixture.directory);

        write_scratch("diff",
                      "#!/bin/sh\n"
                      "case \" $* \" in\n"
                      "*' --playbook '*) echo diff >&3; echo '[\"nginx\"]' >&4; echo archive;;\n"
                      "esac\n",
                      0755);
        write_scratch("play", script, 0755);
        write_scratch("inventory", "web1\n", 0644);
        write_scratch("apply.conf", target, 0644);
        apply_unit = socket_unit_start(runtime, "fluid-apply", play);
}

static const char *ask(sd_bus *bus)
{
        sd_bus_message *reply = bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval",
                                         "a{sv}", 3, "action", "s", "playbook", "summary", "s",
                                         "The site", "playbook", "s", id_of_path(playbook));
        const char *path = "";

        if (reply && sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out("RequestApproval() replies nonsense");
        return path;
}

static const char *property(sd_bus *bus, const char *name)
{
        return bus_property(bus, approval, INTERFACE_APPROVAL, name);
}

static void approve(sd_bus *bus)
{
        (void) bus_call(bus, approval, INTERFACE_APPROVAL, "Approve", "sa{sv}",
                        property(owner, "Sha256"), 0);
}

static void apply(sd_bus *bus)
{
        (void) bus_call(bus, approval, INTERFACE_APPROVAL, "Apply", "a{sv}", 0);
}

static char *read_file(sd_bus *bus, const char *member)
{
        sd_bus_message *reply = bus_call(bus, approval, INTERFACE_APPROVAL, member, "");
        char text[256] = "";
        int fd = -1;

        if (!reply || sd_bus_message_read(reply, "h", &fd) < 0)
                return g_strdup(bus_error);
        if (read(fd, text, sizeof text - 1) < 0 || write(fd, "x", 1) >= 0)
                return g_strdup("it can be written");
        return g_strdup(text);
}

static char *read_log(sd_bus *bus)
{
        return read_file(bus, "Log");
}

static void make_playbook(void)
{
        const char *sandbox = fixture_sandbox(owner, "web");
        sd_bus_message *reply = bus_call(owner, sandbox, INTERFACE_SANDBOX, "ExportPlaybook",
                                         "ssa{sv}", "template", "now", 0);

        if (!reply || sd_bus_message_read(reply, "o", &playbook) < 0)
                tap_bail_out(bus_error_message);
}

static void test_asking(void)
{
        (void) ask(stranger);
        bus_is_error("NotFound", "to others the playbook does not exist");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 3,
                        "action", "s", "playbook", "summary", "s", "x", "playbook", "s", "../x");
        bus_is_error("NotFound", "nor does what is no id");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 2,
                        "action", "s", "playbook", "summary", "s", "x");
        bus_is_error("InvalidArgument", "one has to be named");
        approval = ask(owner);
        bus_is_error("", "its owner asks");
        tap_is_str(property(person, "Action"), "playbook", "who may approve sees it");
        tap_is_str(property(stranger, "Action"), "", "others do not");
}

static void test_applying(void)
{
        g_autofree char *none = read_log(owner);
        tap_is_str(none, "NotFound", "it has no log yet");
        approve(owner);
        bus_is_error("OwnRequest", "who asked does not approve");
        apply(owner);
        bus_is_error("NotApproved", "nor apply it unapproved");
        approve(person);
        bus_is_error("", "somebody else approves");
        apply(person);
        bus_is_error("AccessDenied", "and does not apply it");
        apply(stranger);
        bus_is_error("NotFound", "to others it does not exist");
        write_scratch("inventory", "web1\nweb2\n", 0644);
        apply(owner);
        bus_is_error("ContentChanged", "another inventory is not what was approved");
        tap_is_int(audit_count("approval.apply", "refused", "ContentChanged"), 1,
                   "which is in the trail");
        write_scratch("inventory", "web1\n", 0644);
        apply(owner);
        bus_is_error("", "as it was it is applied");
        tap_is_str(property(owner, "State"), "applied", "and is so");
        tap_is_str(property(owner, "Reason"), "web1: changed=1", "with what became of each host");
        g_autofree char *log = read_log(owner), *seen = read_log(person);
        tap_is_str(log, "PLAY\n", "its log is handed out");
        tap_is_str(seen, "PLAY\n", "also to who may approve");
        g_autofree char *other = read_log(stranger);
        tap_is_str(other, "NotFound", "and to nobody else");
        apply(owner);
        bus_is_error("AlreadyApplied", "it is applied once");
        tap_is_int(audit_count("approval.apply", "done", ""), 1, "which is in the trail");
}

static void test_check(void)
{
        g_autofree char *hold = g_build_filename(fixture.directory, "hold", NULL);
        sd_bus_message *reply;

        write_scratch("hold", "", 0644);
        reply = bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 4,
                         "action", "s", "playbook", "summary", "s", "The site", "playbook", "s",
                         id_of_path(playbook), "check", "b", 1);

        if (!reply || sd_bus_message_read(reply, "o", &approval) < 0)
                tap_bail_out(bus_error_message);
        g_autofree char *first = g_strdup(property(owner, "Sha256"));
        tap_is_str(property(person, "State"), "checking", "one with a check is checked first");
        (void) unlink(hold);
        for (unsigned i = 0; i < 6000 && g_str_equal(property(person, "State"), "checking"); i++)
                (void) g_usleep(5 * 1000);
        tap_is_str(property(person, "State"), "pending", "and is asked when that has ended");
        tap_ok(!g_str_equal(property(owner, "Sha256"), first), "with another hash");
        tap_is_str(property(owner, "RequestedSha256"), property(owner, "Sha256"),
                   "of what is asked");
        g_autofree char *content = read_file(person, "Content");
        tap_ok(strstr(content, "\"check\":\"ended well") != NULL, "which has what came of it");
        g_autofree char *log = read_file(person, "CheckLog"), *own = read_file(owner, "CheckLog");
        tap_is_str(log, "PLAY\n", "what it printed is for approvers");
        tap_is_str(own, "AccessDenied", "and not for who asked");
        tap_is_int(audit_count("approval.check", "done", ""), 1, "which is in the trail");
        (void) bus_call(owner, approval, INTERFACE_APPROVAL, "Cancel", "");
}

static void test_failing(void)
{
        write_scratch("play", "#!/bin/sh\necho 'fluid-ansible: no' >&2\nexit 4\n", 0755);
        approval = ask(owner);
        approve(person);
        apply(owner);
        bus_is_error("PlaybookFailed", "a playbook that fails has an error of its own");
        tap_is_str(property(owner, "State"), "failed", "and has failed");
        apply(owner);
        bus_is_error("AlreadyApplied", "it is not applied again");
}

int main(void)
{
        g_autofree char *runtime = NULL;

        if (geteuid() != 0) {
                tap_skip("all of it", "needs to be root, to be several users");
                return tap_done();
        }
        fixture_start("approver_group = daemon\n");
        (void) fixture_template("base");
        start_polkit();
        owner = fixture_connect(OWNER);
        person = fixture_connect(PERSON);
        stranger = fixture_connect(STRANGER);
        start_programs();
        make_playbook();
        test_asking();
        test_applying();
        test_check();
        test_failing();
        runtime = g_build_filename(fixture.directory, "r", NULL);
        socket_unit_stop(apply_unit, runtime, "fluid-apply");
        fixture_stop();
        return tap_done();
}

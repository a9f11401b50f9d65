/* SPDX-License-Identifier: MIT */

/* Approvals on the bus: who sees and answers them, and every misuse with its error and its row. */

#include "tests/bus/fixture.h"
#include "tests/bus/polkit.h"

#include "api/session.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <string.h>

/* Of users that every Debian has; whoever is in group "daemon" may answer here. */
#define ASKER    65534 /* nobody */
#define STRANGER 2     /* bin */
#define PERSON   1     /* daemon */

static sd_bus *asker, *person, *stranger;
static const char *sandbox;
static bool is_same_session;

/* Instead of that of api/session.c: all connections here are this process's. */
void session_read(pid_t pid, Caller *ret)
{
        (void) pid;
        (void) g_strlcpy(ret->session, is_same_session ? "boot/1" : "", sizeof ret->session);
}

/* -- calls ---------------------------------------------------------------------------------------
 */

static const char *path_of(sd_bus_message *reply)
{
        const char *path = "";

        if (!reply || sd_bus_message_read(reply, "o", &path) < 0)
                tap_bail_out(bus_error_message);
        return path;
}

static const char *ask(sd_bus *bus)
{
        return path_of(bus_call(bus, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 2,
                                "action", "s", "question", "summary", "s", "Go on?"));
}

static const char *ask_network(const char *profile)
{
        return path_of(bus_call(asker, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 4,
                                "action", "s", "network", "summary", "s", "please", "sandbox", "s",
                                "web", "profile", "s", profile));
}

static const char *property(const char *path, const char *name)
{
        return bus_property(fixture.client, path, INTERFACE_APPROVAL, name);
}

static void approve(sd_bus *bus, const char *path, const char *sha256)
{
        (void) bus_call(bus, path, INTERFACE_APPROVAL, "Approve", "sa{sv}",
                        sha256 ? sha256 : property(path, "Sha256"), 1, "comment", "s", "fine");
}

static void apply(sd_bus *bus, const char *path)
{
        (void) bus_call(bus, path, INTERFACE_APPROVAL, "Apply", "a{sv}", 0);
}

static const char *wait_for(sd_bus *bus, const char *path)
{
        sd_bus_message *reply =
                bus_call(bus, path, INTERFACE_APPROVAL, "Wait", "t", UINT64_C(5000000));
        const char *state = "";

        return reply && sd_bus_message_read(reply, "s", &state) >= 0 ? state : bus_error;
}

/* -- who ------------------------------------------------------------------------------------------
 */

static void test_visibility(void)
{
        const char *path = ask(asker);

        tap_is_str(bus_property(asker, path, INTERFACE_APPROVAL, "Summary"), "Go on?",
                   "who asked sees it");
        tap_is_str(bus_property(person, path, INTERFACE_APPROVAL, "Summary"), "Go on?",
                   "and so does who is in approver_group");
        tap_is_str(bus_property(stranger, path, INTERFACE_APPROVAL, "Summary"), "",
                   "and nobody else but root");
        approve(stranger, path, NULL);
        bus_is_error("NotFound", "to others it does not exist");
        (void) bus_call(asker, path, INTERFACE_APPROVAL, "Cancel", "");
        bus_is_error("", "who asked cancels it");
        tap_is_str(property(path, "State"), "cancelled", "then it is cancelled");
}

static unsigned heard[3];

static int on_signal(sd_bus_message *m, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        const char *path, *state;

        if (sd_bus_message_read(m, "os", &path, &state) < 0)
                tap_bail_out("a signal has other types");
        ++*(unsigned *) userdata;
        return 0;
}

static void test_signals(void)
{
        static const char rule[] = "type='signal',interface='" INTERFACE_MANAGER "'";
        sd_bus *const buses[] = {asker, person, stranger};
        const char *path;

        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                if (sd_bus_add_match(buses[i], NULL, rule, on_signal, &heard[i]) < 0)
                        tap_bail_out("no match");
        path = ask(asker);
        (void) bus_call(person, path, INTERFACE_APPROVAL, "Deny", "s", "not now");
        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                (void) bus_call(buses[i], PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}",
                                0);
        tap_is_int(heard[0], 2, "who asked hears when it is there, and of its answer");
        tap_is_int(heard[1], 2, "and so does who may answer");
        tap_is_int(heard[2], 0, "and nobody else");
        tap_is_str(bus_property(asker, path, INTERFACE_APPROVAL, "Comment"), "not now",
                   "the comment is for who asked");
        tap_is_str(wait_for(asker, path), "denied", "and Wait() says what became of it");
}

static void test_polkit(void)
{
        const char *path = ask(asker);

        is_allowed = false;
        approve(person, path, NULL);
        bus_is_error("AccessDenied", "polkit's no is a no");
        tap_is_str(polkit_action, ACTION_APPROVE, "it has an action of its own");
        (void) bus_call(person, path, INTERFACE_APPROVAL, "Deny", "s", "");
        bus_is_error("AccessDenied", "also to deny");
        is_allowed = true;
        tap_is_int(audit_count("approval.approve", "refused", "AccessDenied"), 1,
                   "which is in the trail");
        approve(asker, path, NULL);
        bus_is_error("OwnRequest", "who asked cannot approve, whatever polkit says");
        tap_is_int(audit_count("approval.approve", "refused", "OwnRequest"), 1,
                   "which is in the trail, too");
        approve(fixture.client, path, NULL);
        bus_is_error("", "root can");
        path = ask(fixture.client);
        approve(fixture.client, path, NULL);
        bus_is_error("OwnRequest", "but not what root has asked");
        approve(person, path, NULL);
        bus_is_error("", "which a person can");
}

static void test_session(void)
{
        sd_bus *one, *two;
        const char *path;

        is_same_session = true;
        one = fixture_connect(ASKER);
        two = fixture_connect(0);
        path = ask(one);
        approve(two, path, NULL);
        bus_is_error("OwnRequest", "root in the session that asked cannot approve");
        is_same_session = false;
        approve(person, path, NULL);
        bus_is_error("", "who is in another can");
}

/* -- misuse
 * ---------------------------------------------------------------------------------------- */

static void test_misuse(void)
{
        g_autofree char *other = g_strnfill(64, '0');
        unsigned replies = 0;
        const char *path = ask_network("mirror");

        bus_call_later(asker, &replies, path, INTERFACE_APPROVAL, "Wait", "t", UINT64_MAX);
        apply(asker, path);
        bus_is_error("NotApproved", "nothing is applied unapproved");
        approve(person, path, other);
        bus_is_error("WrongHash", "another hash is not approved");
        tap_is_int(audit_count("approval.approve", "refused", "WrongHash"), 1,
                   "which is in the trail");
        (void) bus_call(person, path, INTERFACE_APPROVAL, "Approve", "sa{sv}",
                        property(path, "Sha256"), 1, "alternative", "s", "x");
        bus_is_error("UnknownAlternative", "an alternative that there is not, neither");
        tap_is_int(replies, 0, "all the while it waits");
        tap_ok(*bus_property(asker, sandbox, INTERFACE_SANDBOX, "HeldUSec") != '0',
               "and the sandbox's time stands still");
        fixture_restart();
        approve(person, path, NULL);
        bus_is_error("", "the right one is approved, also after a restart");
        tap_is_str(wait_for(asker, path), "approved", "who waits anew has the answer");
        approve(person, path, NULL);
        bus_is_error("AlreadyDecided", "and once");
        tap_is_str(bus_property(asker, sandbox, INTERFACE_SANDBOX, "Network"), "none",
                   "that alone does nothing");
        apply(person, path);
        bus_is_error("AccessDenied", "who approved does not apply");
        apply(asker, path);
        bus_is_error("", "who asked does");
        tap_is_str(bus_property(asker, sandbox, INTERFACE_SANDBOX, "Network"), "mirror",
                   "then it has that network");
        apply(asker, path);
        bus_is_error("AlreadyApplied", "it is applied once");
        fixture_restart();
        apply(asker, path);
        bus_is_error("AlreadyApplied", "also after a restart");
        tap_ok(audit_count("approval.apply", "done", "") == 1 &&
                       audit_count("approval.apply", "refused", "NotApproved") == 1 &&
                       audit_count("approval.apply", "refused", "AccessDenied") == 1 &&
                       audit_count("approval.apply", "refused", "AlreadyApplied") == 2 &&
                       audit_count("approval.approve", "refused", "AlreadyDecided") == 1 &&
                       audit_count("approval.approve", "refused", "UnknownAlternative") == 1 &&
                       audit_count("sandbox.network", "done", "") == 1,
               "each misuse and the one use are in the trail");
}

static void test_expired(void)
{
        const char *path = path_of(bus_call(asker, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval",
                                            "a{sv}", 3, "action", "s", "question", "summary", "s",
                                            "Quick?", "timeout_usec", "t", UINT64_C(1)));

        tap_is_str(wait_for(asker, path), "expired", "what nobody answers expires");
        approve(person, path, NULL);
        bus_is_error("ApprovalExpired", "and is not approved any more");
        (void) bus_call(asker, ask(asker), INTERFACE_APPROVAL, "Wait", "t", UINT64_C(0));
        bus_is_error("TimedOut", "a wait has its own end");
}

/* -- content
 * --------------------------------------------------------------------------------------- */

static char *read_content(const char *path, const char *member)
{
        sd_bus_message *reply = bus_call(asker, path, INTERFACE_APPROVAL, member, "");
        g_autofree char *file = NULL;
        char *text = NULL;
        int fd = -1;

        if (!reply || sd_bus_message_read(reply, "h", &fd) < 0)
                tap_bail_out(bus_error_message);
        file = g_strdup_printf("/proc/self/fd/%d", fd);
        if (file_read(file, 1 << 20, &text, NULL, NULL) < 0)
                tap_bail_out("the content cannot be read");
        return text;
}

static void test_content(void)
{
        static const char edited[] =
                "{\"action\":\"question\",\"alternatives\":[],\"sandbox\":\"\","
                "\"summary\":\"Go on, slowly?\",\"text\":\"\"}";
        const char *path = ask(asker);
        g_autofree char *asked = read_content(path, "Content");
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, edited, -1);
        sd_bus_message *m = bus_call_begin(person, path, INTERFACE_APPROVAL, "Approve");

        (void) sd_bus_message_append(m, "s", hash);
        (void) sd_bus_message_open_container(m, 'a', "{sv}");
        (void) sd_bus_message_open_container(m, 'e', "sv");
        (void) sd_bus_message_append(m, "s", "content");
        (void) sd_bus_message_open_container(m, 'v', "ay");
        (void) sd_bus_message_append_array(m, 'y', edited, strlen(edited));
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        (void) sd_bus_message_close_container(m);
        (void) bus_call_end(person, m);
        bus_is_error("", "a question is approved with changes");
        g_autofree char *now = read_content(path, "Content");
        g_autofree char *before = read_content(path, "RequestedContent");
        tap_is_str(now, edited, "they are its content then");
        tap_is_str(before, asked, "what was asked is kept");
        tap_is_str(property(path, "Summary"), "Go on, slowly?", "its properties follow");
        tap_is_str(property(path, "Sha256"), hash, "and its hash");
        (void) bus_call(asker, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 1,
                        "colour", "s", "red");
        bus_is_error("UnknownOption", "an option that there is not is refused");
}

int main(void)
{
        fixture_start("approver_group = daemon\nttl_default = 10h\n");
        (void) fixture_template("base");
        start_polkit();
        asker = fixture_connect(ASKER);
        person = fixture_connect(PERSON);
        stranger = fixture_connect(STRANGER);
        sandbox = fixture_sandbox(asker, "web");
        for (unsigned i = 0; i < 2; i++)
                (void) bus_call(i ? person : stranger, PATH_ROOT, INTERFACE_MANAGER,
                                "ListSandboxes", "a{sv}", 0);
        test_visibility();
        test_signals();
        test_polkit();
        test_session();
        test_misuse();
        test_expired();
        test_content();
        fixture_stop();
        return tap_done();
}

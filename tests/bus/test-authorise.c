/* SPDX-License-Identifier: MIT */

/* Who may do what, and who sees what: root, an owner, and another member of the group. */

#include "tests/bus/fixture.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <signal.h>

/* Of users that every Debian has: the bus asks for their groups. */
#define NOBODY 65534
#define DAEMON 1

static sd_bus *owner, *other;
static const char *template, *path, *command, *snapshot;

static const char *read_path(sd_bus_message *reply)
{
        const char *made = "";

        if (!reply || sd_bus_message_read(reply, "o", &made) < 0)
                tap_bail_out(bus_error_message);
        return made;
}

/* -- a polkit ----------------------------------------------------------------------------- */

typedef enum PolkitAnswer { POLKIT_YES, POLKIT_NO, POLKIT_CHALLENGE, POLKIT_SILENT } PolkitAnswer;

/* What it was asked last, how often, and whether it may talk to a person. */
static char polkit_action[64];
static unsigned polkit_questions, polkit_flags;

static PolkitAnswer answer;
static sd_bus_message *open_question;

static int polkit_reply(sd_bus_message *m, PolkitAnswer with)
{
        return sd_bus_reply_method_return(m, "(bba{ss})", with == POLKIT_YES,
                                          with == POLKIT_CHALLENGE, 0);
}

static int on_check(sd_bus_message *m, G_GNUC_UNUSED void *userdata,
                    G_GNUC_UNUSED sd_bus_error *error)
{
        const char *kind, *key, *name, *action;
        uint32_t flags;

        if (sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &name, &action) < 0 ||
            sd_bus_message_skip(m, "a{ss}") < 0 || sd_bus_message_read(m, "u", &flags) < 0)
                tap_bail_out("polkit was asked nonsense");
        (void) g_strlcpy(polkit_action, action, sizeof polkit_action);
        polkit_questions++;
        polkit_flags = flags;
        if (answer != POLKIT_SILENT)
                return polkit_reply(m, answer);
        open_question = sd_bus_message_ref(m);
        return 1;
}

/* Answers yes to a question that was left open. */
static void polkit_answer_late(void)
{
        (void) polkit_reply(open_question, POLKIT_YES);
        open_question = sd_bus_message_unref(open_question);
}

static const sd_bus_vtable polkit[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* Puts a polkit on the bus, or changes what it answers. */
static void polkit_start(PolkitAnswer with)
{
        static sd_bus *bus;

        answer = with;
        if (bus)
                return;
        bus = fixture_connect(0);
        if (sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                     "org.freedesktop.PolicyKit1.Authority", polkit, NULL) < 0 ||
            sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0) < 0)
                tap_bail_out("polkit cannot be put on the bus");
}

/* -- without polkit --------------------------------------------------------------------------- */

static void test_no_polkit(void)
{
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "base", 0);
        bus_is_error("AccessDenied", "without polkit only root may create");
        tap_ok(strstr(bus_error_message, "polkitd"), "and the refusal says what to install");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        bus_is_error("AccessDenied", "or look");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "VerifyAudit", "");
        bus_is_error("AccessDenied", "or verify the trail");
        tap_is_int(audit_count("sandbox.create", "refused", "AccessDenied"), 1,
                   "a denied change is audited once");
        tap_is_int(fake_host_domains(), 0, "and leaves nothing");
}

/* -- polkit's answers ------------------------------------------------------------------------- */

static void test_answers(void)
{
        autofd fd = fixture_file("disk");
        sd_bus_message *m;

        polkit_start(POLKIT_NO);
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "base", 0);
        bus_is_error("AccessDenied", "polkit's no is a no");
        tap_is_str(polkit_action, ACTION_CREATE, "it is asked for the action of the method");
        tap_is_int(polkit_flags, 0, "and does not bother a person");
        polkit_start(POLKIT_CHALLENGE);
        m = bus_call_begin(owner, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate");
        (void) sd_bus_message_set_allow_interactive_authorization(m, 1);
        (void) sd_bus_message_append(m, "sa{sv}", "t", 1, "image", "h", fd);
        (void) bus_call_end(owner, m);
        bus_is_error("AccessDenied", "a challenge that nobody answers is a no");
        tap_is_str(polkit_action, ACTION_MANAGE_TEMPLATE, "templates have an action of their own");
        tap_is_int(polkit_flags, 1, "a caller that allows it lets polkit ask a person");
        polkit_start(POLKIT_YES);
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate", "sa{sv}", "t", 1,
                        "image_path", "s", "/dev/null");
        bus_is_error("AccessDenied", "paths of the host are for root whatever polkit says");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate", "sa{sv}", "t", 1,
                        "image", "h", fd);
        bus_is_error("", "a descriptor is not");
        polkit_questions = 0;
        (void) bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        tap_is_int(polkit_questions, 0, "root is not asked about");
        for (unsigned i = 0; i < 5; i++)
                (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        bus_is_error("", "with polkit's yes others may look");
        tap_is_int(polkit_questions, 1, "and looking again at once does not ask again");
}

/* Which action a method asks for; the call itself ends with polkit's no. `types`: a for options. */
static void asks(const char *object, const char *interface, const char *member, const char *types,
                 const char *argument, const char *action)
{
        sd_bus_message *m = bus_call_begin(owner, object, interface, member);

        polkit_action[0] = '\0';
        for (const char *type = types; *type; type++)
                if (*type == 's')
                        (void) sd_bus_message_append(m, "s", argument);
                else if (*type == 'u')
                        (void) sd_bus_message_append(m, "u", 1);
                else if (*type == 't')
                        (void) sd_bus_message_append(m, "t", UINT64_C(0));
                else
                        (void) sd_bus_message_append(m, "a{sv}", 0);
        (void) bus_call_end(owner, m);
        bus_is_error("AccessDenied", "polkit's no is a no");
        tap_is_str(polkit_action, action, "%s() has its action", member);
}

static void test_actions(void)
{
        polkit_start(POLKIT_NO);
        asks(template, INTERFACE_TEMPLATE, "Warm", "a", NULL, ACTION_MANAGE_TEMPLATE);
        asks(template, INTERFACE_TEMPLATE, "SetPool", "u", NULL, ACTION_MANAGE_TEMPLATE);
        asks(template, INTERFACE_TEMPLATE, "Cool", "", NULL, ACTION_MANAGE_TEMPLATE);
        asks(snapshot, INTERFACE_SNAPSHOT, "Promote", "s", "x", ACTION_MANAGE_TEMPLATE);
        asks(path, INTERFACE_SANDBOX, "Branch", "sa", "one", ACTION_CREATE);
        asks(path, INTERFACE_SANDBOX, "Pause", "a", NULL, ACTION_USE);
        asks(path, INTERFACE_SANDBOX, "SetNetwork", "sa", "isolated", ACTION_SET_NETWORK);
        asks(path, INTERFACE_SANDBOX, "Resume", "", NULL, ACTION_USE);
        polkit_start(POLKIT_YES);
        tap_ok(audit_count("template.warm", "refused", "AccessDenied") == 1 &&
                       audit_count("template.pool", "refused", "AccessDenied") == 1 &&
                       audit_count("template.cool", "refused", "AccessDenied") == 1,
               "what was refused is audited");
}

static void test_networks(void)
{
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "SetNetwork", "sa{sv}", "isolated", 0);
        bus_is_error("", "an owner may change the network of a sandbox");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "SetNetwork", "sa{sv}", "secret", 0);
        bus_is_error("AccessDenied", "but not to what is for root, whatever polkit says");
        (void) bus_call(owner, PATH_ROOT, INTERFACE_MANAGER, "CreateSandbox", "sa{sv}", "base", 1,
                        "network", "s", "secret");
        bus_is_error("AccessDenied", "nor make one with that");
        tap_is_str(bus_property(owner, path, INTERFACE_SANDBOX, "Network"), "isolated",
                   "which changes nothing");
        (void) bus_call(other, path, INTERFACE_SANDBOX, "SetNetwork", "sa{sv}", "isolated", 0);
        bus_is_error("NotFound", "others do not find it");
        (void) bus_call(other, path, INTERFACE_SANDBOX, "GetNetworkRules", "");
        bus_is_error("NotFound", "nor its rules");
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "SetNetwork", "sa{sv}", "secret",
                        0);
        bus_is_error("", "root may do both");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "SetNetwork", "sa{sv}", "none", 0);
        bus_is_error("", "and the owner may leave it again");
        tap_ok(audit_count("sandbox.network", "done", "") == 3 &&
                       audit_count("sandbox.network", "refused", "AccessDenied") == 2 &&
                       audit_count("sandbox.network", "refused", "NotFound") == 1,
               "each change and each refusal is audited once");
}

static bool was_asked(G_GNUC_UNUSED void *userdata)
{
        return polkit_questions > 0;
}

static bool is_answered(void *userdata)
{
        return *(unsigned *) userdata > 0;
}

static void test_late_answer(void)
{
        unsigned replies = 0;

        polkit_start(POLKIT_SILENT);
        polkit_questions = 0;
        bus_call_later(owner, &replies, path, INTERFACE_SANDBOX, "Stop", "b", 1);
        (void) fixture_until(was_asked, NULL);
        tap_is_str(bus_property(fixture.client, path, INTERFACE_SANDBOX, "State"), "ready",
                   "nothing happens while polkit thinks");
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Destroy", "");
        polkit_answer_late();
        tap_ok(fixture_until(is_answered, &replies), "an object that went meanwhile is not called");
        tap_is_int(audit_count("sandbox.stop", "refused", "NotFound"), 1, "but not found");
        polkit_start(POLKIT_YES);
}

/* -- who sees what ---------------------------------------------------------------------------- */

static unsigned count_objects(sd_bus *bus)
{
        sd_bus_message *reply = bus_call(bus, PATH_ROOT, "org.freedesktop.DBus.ObjectManager",
                                         "GetManagedObjects", "");
        const char *object;
        unsigned n = 0;

        if (!reply || sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") < 0)
                return 0;
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                if (sd_bus_message_read(reply, "o", &object) < 0 ||
                    sd_bus_message_skip(reply, "a{sa{sv}}") < 0 ||
                    sd_bus_message_exit_container(reply) < 0)
                        tap_bail_out("GetManagedObjects() replies nonsense");
                n += !g_str_has_prefix(object, PATH_TEMPLATE "/") &&
                     strlen(object) > strlen(PATH_SNAPSHOT);
        }
        return n;
}

static const char *introspect(sd_bus *bus, const char *object)
{
        sd_bus_message *reply =
                bus_call(bus, object, "org.freedesktop.DBus.Introspectable", "Introspect", "");
        const char *xml = "";

        return reply && sd_bus_message_read(reply, "s", &xml) >= 0 ? xml : "";
}

/* What any caller can find out about an object, as one text. */
static char *probe(sd_bus *bus, const char *object, const char *interface, const char *member)
{
        g_autoptr(GString) text = g_string_new(NULL);

        (void) bus_call(bus, object, interface, member, "");
        g_string_append_printf(text, "%s|", bus_error);
        (void) bus_property(bus, object, interface, "Id");
        g_string_append_printf(text, "%s|", bus_error);
        (void) bus_call(bus, object, "org.freedesktop.DBus.Properties", "GetAll", "s", interface);
        g_string_append_printf(text, "%s|", bus_error);
        (void) introspect(bus, object);
        g_string_append(text, bus_error);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static void is_invisible(const char *object, const char *parent, const char *interface,
                         const char *member, const char *sentence)
{
        g_autofree char *none = g_strdup_printf("%s/%s", parent, "0123456789ab");
        g_autofree char *theirs = probe(other, object, interface, member);
        g_autofree char *nothing = probe(other, none, interface, member);

        tap_is_str(theirs, nothing, "%s", sentence);
        tap_ok(!strstr(introspect(other, parent), id_of_path(object)), "and is not listed");
}

static void test_visibility(void)
{
        tap_is_str(bus_property(owner, path, INTERFACE_SANDBOX, "OwnerUid"), "65534",
                   "a sandbox is its creator's");
        tap_is_str(bus_property(fixture.client, path, INTERFACE_SANDBOX, "Name"), "web",
                   "root sees it");
        is_invisible(path, PATH_SANDBOX, INTERFACE_SANDBOX, "Destroy",
                     "for others a sandbox is like one that does not exist");
        is_invisible(snapshot, PATH_SNAPSHOT, INTERFACE_SNAPSHOT, "Delete", "and so is a snapshot");
        is_invisible(command, PATH_COMMAND, INTERFACE_COMMAND, "Kill", "and so is a command");
        tap_is_int(count_objects(owner), 3, "GetManagedObjects() tells the owner");
        tap_is_int(count_objects(fixture.client), 3, "and root");
        tap_is_int(count_objects(other), 0, "and nobody else");
        tap_ok(strstr(introspect(owner, PATH_SANDBOX), id_of_path(path)), "so does introspection");
        (void) bus_call(other, PATH_ROOT, INTERFACE_MANAGER, "GetSandbox", "s", "web");
        bus_is_error("NotFound", "others do not find it by its name");
        (void) bus_call(other, PATH_ROOT, INTERFACE_MANAGER, "GetSandbox", "s", id_of_path(path));
        bus_is_error("NotFound", "or by its id");
        (void) bus_call(other, path, INTERFACE_SANDBOX, "Destroy", "");
        bus_is_error("NotFound", "or can destroy it");
        tap_ok(audit_count("sandbox.destroy", "refused", "NotFound") >= 2,
               "what they tried is audited");
}

static unsigned heard_by_other, heard_by_owner;

static int on_signal(G_GNUC_UNUSED sd_bus_message *m, void *userdata,
                     G_GNUC_UNUSED sd_bus_error *error)
{
        ++*(unsigned *) userdata;
        return 0;
}

static void test_signals(void)
{
        static const char rule[] = "type='signal',path_namespace='" PATH_ROOT "'";

        heard_by_other = heard_by_owner = 0;
        if (sd_bus_add_match(other, NULL, rule, on_signal, &heard_by_other) < 0 ||
            sd_bus_add_match(owner, NULL, rule, on_signal, &heard_by_owner) < 0)
                tap_bail_out("no match");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Run", "asa{sv}", 1, "true", 0);
        (void) bus_call(other, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        tap_ok(heard_by_owner >= 2, "an owner hears of its objects");
        tap_is_int(heard_by_other, 0, "and nobody else does");
}

static void test_audit_rows(void)
{
        sd_bus_message *reply = bus_call(other, PATH_ROOT, INTERFACE_MANAGER, "Audit", "a{sv}", 1,
                                         "caller_uid", "u", NOBODY);

        tap_ok(!reply, "the rows of others are not shown");
        bus_is_error("AccessDenied", "but refused");
}

/* -- budgets ---------------------------------------------------------------------------------- */

static bool has_256(void *userdata)
{
        return *(unsigned *) userdata >= 256;
}

static void test_budget(void)
{
        unsigned waits = 0, refused = 0;

        for (unsigned i = 0; i < 256; i++)
                bus_call_later(owner, &waits, path, INTERFACE_SANDBOX, "Wait", "st", "stopped",
                               UINT64_MAX);
        bus_call_later(owner, &refused, path, INTERFACE_SANDBOX, "Wait", "st", "stopped",
                       UINT64_MAX);
        tap_ok(fixture_until(is_answered, &refused) && waits == 0,
               "256 calls of a user may wait, and no more");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Destroy", "");
        bus_is_error("LimitsExceeded", "the next is refused");
        (void) bus_call(other, PATH_ROOT, INTERFACE_MANAGER, "ListSandboxes", "a{sv}", 0);
        bus_is_error("", "which is nothing to other users");
        (void) bus_call(fixture.client, path, INTERFACE_SANDBOX, "Stop", "b", 1);
        tap_ok(fixture_until(has_256, &waits), "they all end");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Start", "");
        bus_is_error("", "and make room again");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Wait", "st", "ready", 60 * USEC_PER_SEC);
}

static bool has_room(G_GNUC_UNUSED void *userdata)
{
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Wait", "st", "ready", UINT64_C(0));
        return *bus_error == '\0';
}

static void test_caller_leaves(void)
{
        sd_bus *passer = fixture_connect(NOBODY);
        unsigned replies = 0;

        for (unsigned i = 0; i < 300; i++)
                bus_call_later(passer, &replies, path, INTERFACE_SANDBOX, "Wait", "st", "stopped",
                               UINT64_MAX);
        (void) fixture_until(is_answered, &replies);
        tap_ok(!has_room(NULL), "a connection uses up its user's budget");
        (void) sd_bus_flush(passer);
        sd_bus_close(passer);
        tap_ok(fixture_until(has_room, NULL), "and gives it back when it ends");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Stop", "b", 1);
        bus_is_error("", "what it waited for can still happen");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Wait", "st", "stopped", 60 * USEC_PER_SEC);
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Start", "");
        (void) bus_call(owner, path, INTERFACE_SANDBOX, "Wait", "st", "ready", 60 * USEC_PER_SEC);
}

/* -- the bus goes away ------------------------------------------------------------------------ */

static bool is_lost(G_GNUC_UNUSED void *userdata)
{
        return fixture.lost > 0;
}

static void test_lost(void)
{
        (void) kill(fixture.bus_pid, SIGTERM);
        tap_ok(fixture_until(is_lost, NULL), "the daemon is told when the bus has gone");
        tap_is_int(fixture.lost, 1, "once");
}

int main(void)
{
        fixture_start(NULL);
        template = fixture_template("base");
        owner = fixture_connect(NOBODY);
        other = fixture_connect(DAEMON);
        test_no_polkit();
        test_answers();
        path = fixture_sandbox(owner, "web");
        snapshot = read_path(
                bus_call(owner, path, INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}", "one", 0));
        command = read_path(
                bus_call(owner, path, INTERFACE_SANDBOX, "Exec", "asa{sv}", 1, "true", 0));
        test_actions();
        test_networks();
        test_visibility();
        test_signals();
        test_audit_rows();
        test_budget();
        test_caller_leaves();
        test_late_answer();
        test_lost();
        fixture_stop();
        return tap_done();
}

/* SPDX-License-Identifier: MIT */
#include "tests/fake/host-service-approval.h"

#include "base/canonical.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/quantity.h"
#include "dbus/names.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVIL        "evil\x1b[31m\xe2\x80\xae"
#define OBJECTS_MAX 64
#define CHECK_LOG   "PLAY [Apply]\nTASK [" EVIL "]\n-was\n+is\n"

typedef struct Approval {
        char id[16];
        char *action, *summary, *text, *profile, *playbook, *comment, *alternative, *content;
        char *requested;
        const char *state, *reason, *check;
        char **alternatives;
        uint64_t decided_usec;
        int log;
        sd_bus_message *apply; /* which waits for its log to be asked for */
} Approval;

static Approval approvals[OBJECTS_MAX];
static unsigned n_approvals;

static int refuse(sd_bus_message *m, FaultCode code)
{
        g_autofree char *name = g_strconcat(BUS_ERROR_PREFIX, fault_to_string(code), NULL);

        return sd_bus_reply_method_errorf(m, name, "%s", fault_documentation(code));
}

/* "x" where there is none. */
static char *hash_of_archive(void)
{
        g_autofree char *path =
                g_build_filename(g_getenv("FAKE_DOCUMENTS") ?: "/", "playbook.tar", NULL);
        g_autofree char *bytes = NULL;
        gsize size;

        if (!g_file_get_contents(path, &bytes, &size, NULL))
                return g_strdup("x");
        return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) bytes, size);
}

static void add_playbook(const Approval *a, Json *json)
{
        g_autofree char *archive = hash_of_archive();
        const struct {
                const char *name, *text;
        } members[] = {{"playbook", a->playbook},
                       {"archive", archive},
                       {"changes", "nginx is installed\nsha256       " EVIL "\n"},
                       {"replay", "exact\n"},
                       {"target", "inventory = /etc/hosts\nlimit = web*\n"}};

        if (strstr(a->summary, "by hand"))
                (void) json_object_object_add(json, "origin",
                                              json_object_new_string("WRITTEN BY HAND " EVIL));
        if (a->check) {
                (void) json_object_object_add(json, "check", json_object_new_string(a->check));
                g_autofree char *hash =
                        g_compute_checksum_for_string(G_CHECKSUM_SHA256, CHECK_LOG, -1);
                (void) json_object_object_add(json, "check_log", json_object_new_string(hash));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                (void) json_object_object_add(json, members[i].name,
                                              json_object_new_string(members[i].text));
}

static char *make_content(const Approval *a)
{
        g_autoptr(Json) json = json_object_new_object();
        char *text = NULL;

        (void) json_object_object_add(json, "action", json_object_new_string(a->action));
        (void) json_object_object_add(json, "sandbox", json_object_new_string(""));
        (void) json_object_object_add(json, "summary", json_object_new_string(a->summary));
        (void) json_object_object_add(json, "text", json_object_new_string(a->text));
        if (g_str_equal(a->action, "playbook")) {
                add_playbook(a, json);
        } else if (g_str_equal(a->action, "network")) {
                (void) json_object_object_add(json, "profile", json_object_new_string(a->profile));
                (void) json_object_object_add(json, "rules",
                                              json_object_new_string("internet = yes\n"));
        } else {
                Json *list = json_object_new_array();
                for (char **one = a->alternatives; *one; one++)
                        (void) json_object_array_add(list, json_object_new_string(*one));
                (void) json_object_object_add(json, "alternatives", list);
        }
        g_assert(canonical_format(json, &text, NULL) == 0);
        return text;
}

static Approval *add(const char *action, const char *summary, const char *text, const char *profile,
                     const char *playbook, bool checks, char **alternatives)
{
        Approval *a = &approvals[n_approvals];

        g_assert(n_approvals < OBJECTS_MAX);
        *a = (Approval){.action = g_strdup(action),
                        .summary = g_strdup(summary),
                        .text = g_strdup(text),
                        .profile = g_strdup(profile),
                        .playbook = g_strdup(playbook),
                        .reason = "",
                        .log = -1,
                        .comment = g_strdup(""),
                        .alternative = g_strdup(""),
                        .state = strstr(summary, "being checked") ? "checking" : "pending",
                        .check = !checks                      ? NULL
                                 : strstr(summary, "bad one") ? "FAILED: web1: failed=1\n"
                                                              : "ended well: web1: ok=1\n",
                        .alternatives = alternatives ? alternatives : g_new0(char *, 1)};
        (void) g_snprintf(a->id, sizeof a->id, "0000000000%02x", 0xd1 + n_approvals++);
        a->content = make_content(a);
        a->requested = g_strdup(a->content);
        return a;
}

static void decide(Approval *a, const char *state, const char *comment, const char *alternative)
{
        a->state = state;
        a->decided_usec = now_realtime_usec();
        g_free(a->comment);
        a->comment = g_strdup(comment);
        g_free(a->alternative);
        a->alternative = g_strdup(alternative);
}

static void answer(Approval *a)
{
        if (g_str_has_prefix(a->summary, "yes"))
                decide(a, "approved", "fine", a->alternatives[0] ? a->alternatives[1] : "");
        else if (g_str_has_prefix(a->summary, "no"))
                decide(a, "denied", "use the mirror\n" EVIL, "");
        else if (g_str_has_prefix(a->summary, "late"))
                a->state = "expired";
}

/* -- methods ------------------------------------------------------------------------------------
 */

static void read_text(sd_bus_message *m, char **ret)
{
        const char *text;

        g_assert(sd_bus_message_read(m, "v", "s", &text) >= 0);
        g_free(*ret);
        *ret = g_strdup(text);
}

int approvals_request(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        g_autofree char *action = NULL, *summary = NULL, *text = g_strdup(""), *profile = NULL;
        g_autofree char *path = NULL, *playbook = NULL;
        char **alternatives = NULL;
        const char *key;
        int checks = 0;

        (void) userdata, (void) e;
        g_assert(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                g_assert(sd_bus_message_read(m, "s", &key) >= 0);
                if (g_str_equal(key, "action"))
                        read_text(m, &action);
                else if (g_str_equal(key, "summary"))
                        read_text(m, &summary);
                else if (g_str_equal(key, "text"))
                        read_text(m, &text);
                else if (g_str_equal(key, "profile"))
                        read_text(m, &profile);
                else if (g_str_equal(key, "playbook"))
                        read_text(m, &playbook);
                else if (g_str_equal(key, "check"))
                        g_assert(sd_bus_message_read(m, "v", "b", &checks) >= 0);
                else if (g_str_equal(key, "alternatives")) {
                        g_assert(sd_bus_message_enter_container(m, 'v', "as") >= 0);
                        g_assert(sd_bus_message_read_strv(m, &alternatives) >= 0);
                        g_assert(sd_bus_message_exit_container(m) >= 0);
                } else {
                        g_assert(sd_bus_message_skip(m, "v") >= 0);
                }
                g_assert(sd_bus_message_exit_container(m) >= 0);
        }
        Approval *a = add(action, summary, text, profile, playbook, checks, alternatives);
        answer(a);
        path = g_strdup_printf("%s/%s", PATH_APPROVAL, a->id);
        return sd_bus_reply_method_return(m, "o", path);
}

static int wait_for(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const Approval *a = userdata;

        (void) e;
        return g_str_equal(a->state, "pending") ? refuse(m, FAULT_TIMED_OUT)
                                                : sd_bus_reply_method_return(m, "s", a->state);
}

static int reply_file(sd_bus_message *m, const char *text)
{
        autofd fd = memfd_create("content", MFD_CLOEXEC);

        g_assert(fd >= 0 && write_all(fd, text, strlen(text)) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        return sd_bus_reply_method_return(m, "h", fd);
}

static int content(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) e;
        return reply_file(m, ((Approval *) userdata)->content);
}

static int check_log(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const Approval *a = userdata;

        (void) e;
        return strstr(a->summary, "hidden")  ? refuse(m, FAULT_DENIED)
               : strstr(a->summary, "other") ? reply_file(m, "something else")
                                             : reply_file(m, CHECK_LOG);
}

static int requested_content(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        (void) e;
        return reply_file(m, ((Approval *) userdata)->requested);
}

static int approve(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *sha256, *key, *comment = "", *alternative = "";
        g_autofree char *edited = NULL, *found = NULL;
        Approval *a = userdata;
        const void *bytes;
        size_t size;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &sha256) >= 0 &&
                 sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                g_assert(sd_bus_message_read(m, "s", &key) >= 0);
                if (g_str_equal(key, "content")) {
                        g_assert(sd_bus_message_enter_container(m, 'v', "ay") >= 0 &&
                                 sd_bus_message_read_array(m, 'y', &bytes, &size) >= 0 &&
                                 sd_bus_message_exit_container(m) >= 0);
                        edited = g_strndup(bytes, size);
                } else {
                        g_assert(sd_bus_message_read(m, "v", "s",
                                                     g_str_equal(key, "comment")
                                                             ? &comment
                                                             : &alternative) >= 0);
                }
                g_assert(sd_bus_message_exit_container(m) >= 0);
        }
        found = g_compute_checksum_for_string(G_CHECKSUM_SHA256, edited ? edited : a->content, -1);
        if (!g_str_equal(a->state, "pending"))
                return refuse(m, FAULT_ALREADY_DECIDED);
        if (!g_str_equal(found, sha256))
                return refuse(m, FAULT_WRONG_HASH);
        if (a->alternatives[0] &&
            !g_strv_contains((const char *const *) a->alternatives, alternative))
                return refuse(m, FAULT_UNKNOWN_ALTERNATIVE);
        if (edited) {
                g_free(a->content);
                a->content = g_steal_pointer(&edited);
        }
        decide(a, "approved", comment, alternative);
        return sd_bus_reply_method_return(m, "");
}

static int deny(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *comment;

        (void) e;
        g_assert(sd_bus_message_read(m, "s", &comment) >= 0);
        decide(userdata, "denied", comment, "");
        return sd_bus_reply_method_return(m, "");
}

static int cancel(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Approval *a = userdata;

        (void) e;
        if (!g_str_equal(a->state, "pending"))
                return refuse(m, FAULT_ALREADY_DECIDED);
        a->state = "cancelled";
        return sd_bus_reply_method_return(m, "");
}

static void print(const Approval *a, const char *text)
{
        g_assert(write_all(a->log, text, strlen(text)) == 0);
}

static int apply(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Approval *a = userdata;

        (void) e;
        if (g_str_equal(a->state, "applied"))
                return refuse(m, FAULT_ALREADY_APPLIED);
        if (!g_str_equal(a->state, "approved"))
                return refuse(m, FAULT_NOT_APPROVED);
        if (!g_str_equal(a->action, "playbook")) {
                a->state = "applied";
                return sd_bus_reply_method_return(m, "");
        }
        /* It ends when somebody has asked for its log. */
        a->state = "applying";
        a->apply = sd_bus_message_ref(m);
        a->log = memfd_create("log", MFD_CLOEXEC);
        print(a, "PLAY [Apply]\n\nTASK [" EVIL "]\nchanged: ");
        return 1;
}

static int open_log(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Approval *a = userdata;

        (void) e;
        if (a->log < 0)
                return refuse(m, FAULT_NOT_FOUND);
        int r = sd_bus_reply_method_return(m, "h", a->log);
        if (!a->apply)
                return r;
        bool fails = strstr(a->summary, "fail");
        print(a, "[web1]\nPLAY RECAP");
        a->state = fails ? "failed" : "applied";
        a->reason = fails ? "it failed: web1: failed=1" : "web1: changed=1 ok=2";
        (void) (fails ? refuse(a->apply, FAULT_PLAYBOOK_FAILED)
                      : sd_bus_reply_method_return(a->apply, ""));
        a->apply = sd_bus_message_unref(a->apply);
        return r;
}

/* -- properties ---------------------------------------------------------------------------------
 */

static int get(sd_bus *bus, const char *path, const char *interface, const char *property,
               sd_bus_message *reply, void *userdata, sd_bus_error *e)
{
        const Approval *a = userdata;
        const char *text = "";

        (void) bus, (void) path, (void) interface, (void) e;
        if (g_str_has_suffix(property, "Sha256")) {
                g_autofree char *hash = g_compute_checksum_for_string(
                        G_CHECKSUM_SHA256, *property == 'R' ? a->requested : a->content, -1);
                return sd_bus_message_append(reply, "s", hash);
        }
        if (g_str_equal(property, "Alternatives"))
                return sd_bus_message_append_strv(reply, a->alternatives);
        if (g_str_equal(property, "Sandbox"))
                return sd_bus_message_append(reply, "o", "/");
        if (g_str_equal(property, "RequesterUid") || g_str_equal(property, "DecidedBy"))
                return sd_bus_message_append(reply, "u", 0);
        if (g_str_equal(property, "CreatedUSec"))
                return sd_bus_message_append(reply, "t", now_realtime_usec());
        if (g_str_equal(property, "ExpiresUSec"))
                return sd_bus_message_append(reply, "t", now_realtime_usec() + 3600 * USEC_PER_SEC);
        if (g_str_equal(property, "DecidedUSec"))
                return sd_bus_message_append(reply, "t", a->decided_usec);
        const struct {
                const char *name, *text;
        } texts[] = {
                {"Id", a->id},         {"Action", a->action},   {"Summary", a->summary},
                {"State", a->state},   {"Urgency", "normal"},   {"Agent", EVIL},
                {"Reason", a->reason}, {"Comment", a->comment}, {"Alternative", a->alternative}};
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (g_str_equal(texts[i].name, property))
                        text = texts[i].text;
        return sd_bus_message_append(reply, "s", text);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Wait", "t", "s", wait_for, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Content", "", "h", content, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RequestedContent", "", "h", requested_content, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Approve", "sa{sv}", "", approve, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Deny", "s", "", deny, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Cancel", "", "", cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Apply", "a{sv}", "", apply, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CheckLog", "", "h", check_log, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Log", "", "h", open_log, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Id", "s", get, 0, 0),
        SD_BUS_PROPERTY("Action", "s", get, 0, 0),
        SD_BUS_PROPERTY("Summary", "s", get, 0, 0),
        SD_BUS_PROPERTY("Sha256", "s", get, 0, 0),
        SD_BUS_PROPERTY("RequestedSha256", "s", get, 0, 0),
        SD_BUS_PROPERTY("State", "s", get, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", get, 0, 0),
        SD_BUS_PROPERTY("Urgency", "s", get, 0, 0),
        SD_BUS_PROPERTY("Alternatives", "as", get, 0, 0),
        SD_BUS_PROPERTY("RequesterUid", "u", get, 0, 0),
        SD_BUS_PROPERTY("Agent", "s", get, 0, 0),
        SD_BUS_PROPERTY("Sandbox", "o", get, 0, 0),
        SD_BUS_PROPERTY("DecidedBy", "u", get, 0, 0),
        SD_BUS_PROPERTY("Comment", "s", get, 0, 0),
        SD_BUS_PROPERTY("Alternative", "s", get, 0, 0),
        SD_BUS_PROPERTY("CreatedUSec", "t", get, 0, 0),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get, 0, 0),
        SD_BUS_PROPERTY("DecidedUSec", "t", get, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *e)
{
        (void) bus, (void) interface, (void) userdata, (void) e;
        for (unsigned i = 0; i < n_approvals; i++)
                if (g_str_has_suffix(path, approvals[i].id)) {
                        *ret = &approvals[i];
                        return 1;
                }
        return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *e)
{
        GPtrArray *paths = g_ptr_array_new();

        (void) bus, (void) prefix, (void) userdata, (void) e;
        for (unsigned i = 0; i < n_approvals; i++)
                g_ptr_array_add(paths, g_strdup_printf("%s/%s", PATH_APPROVAL, approvals[i].id));
        g_ptr_array_add(paths, NULL);
        *ret = (char **) g_ptr_array_free(paths, FALSE);
        return 0;
}

void approvals_add(sd_bus *bus)
{
        static const char *const two[] = {"the first", EVIL, NULL};

        (void) add("question", "Go " EVIL, "line one\nsha256       " EVIL, NULL, NULL, false,
                   g_strdupv((char **) two));
        (void) add("network", "Packages", "", "internet", NULL, false, NULL);
        g_assert(sd_bus_add_fallback_vtable(bus, NULL, PATH_APPROVAL, INTERFACE_APPROVAL, vtable,
                                            find, NULL) >= 0);
        g_assert(sd_bus_add_node_enumerator(bus, NULL, PATH_APPROVAL, enumerate, NULL) >= 0);
}

/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/json.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/playbook-files.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS    6
#define LINE_SIZE 4200

static struct {
        bool content;
        const char *color;
} arg;

static const Option options[] = {
        {.name = "content",
         .flag = &arg.content,
         .help = "print the content alone, the very bytes that are hashed"},
        OPTION_COLOR(arg.color),
};

/* -- showing ----------------------------------------------------------------------------------- */

static void print_list(Json *list)
{
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                g_autofree char *line =
                        g_strdup_printf("%zu. %s", i + 1,
                                        json_object_get_string(json_object_array_get_idx(list, i)));
                print_barred(line);
        }
}

static void print_member(const char *name, Json *value)
{
        if (g_str_equal(name, "origin"))
                approval_print_warning(name, json_object_get_string(value));
        else if (g_str_equal(name, "check"))
                approval_print_check(json_object_get_string(value));
        else if (json_object_is_type(value, json_type_array) &&
                 json_object_array_length(value) > 0) {
                printf("%s:\n", name);
                print_list(value);
        } else if (json_object_is_type(value, json_type_string) && *json_object_get_string(value)) {
                printf("%s:\n", name);
                print_barred(json_object_get_string(value));
        }
}

/* All that the content has, whatever its action: what is hashed is what is seen. */
static void print_content(Json *content)
{
        static const char *const first[] = {"origin", "summary", "text",    "changes", "replay",
                                            "check",  "target",  "sandbox", NULL};
        Json *known;

        for (size_t i = 0; first[i]; i++)
                if (json_object_object_get_ex(content, first[i], &known))
                        print_member(first[i], known);
        json_object_object_foreach(content, name, value)
        {
                if (!g_str_equal(name, "action") && !g_strv_contains(first, name))
                        print_member(name, value);
        }
}

static void print_decision(Json *approval)
{
        if (json_number(approval, "decided_usec") == 0)
                return;
        g_autofree char *user = format_user((uint32_t) json_number(approval, "decided_by"));
        g_autofree char *time = format_time(json_number(approval, "decided_usec"));

        print_field("answered", "%s by %s", time, user);
        if (*json_text(approval, "alternative")) {
                puts("chosen:");
                print_barred(json_text(approval, "alternative"));
        }
        if (*json_text(approval, "comment")) {
                puts("comment:");
                print_barred(json_text(approval, "comment"));
        }
}

/* Of the playbook that it is about, what cannot be shown nobody can approve. */
static int print_playbook(Ctl *ctl, Json *content, Fault *f)
{
        const char *id = json_text(content, "playbook");

        if (!*id)
                return 0;
        return playbook_print_files(ctl, id, json_text(content, "archive"),
                                    *json_text(content, "origin"), f);
}

static void print_approval(Json *approval, Json *content)
{
        g_autofree char *user = format_user((uint32_t) json_number(approval, "requester_uid"));
        g_autofree char *created = format_time(json_number(approval, "created_usec"));
        g_autofree char *expiry = format_expiry(json_number(approval, "expires_usec"), 0);
        const char *requested = json_text(approval, "requested_sha256");
        const char *sha256 = json_text(approval, "sha256");

        print_field("approval", "%s", json_text(approval, "id"));
        print_field("action", "%s", json_text(approval, "action"));
        print_field("state", "%s%s%s", json_text(approval, "state"),
                    *json_text(approval, "reason") ? ": " : "", json_text(approval, "reason"));
        print_field("urgency", "%s", json_text(approval, "urgency"));
        print_field("asked by", "%s", user);
        print_field("created", "%s", created);
        print_field("expires", "in %s", expiry);
        if (*json_text(approval, "agent")) {
                puts("agent:");
                print_barred(json_text(approval, "agent"));
        }
        print_content(content);
        print_decision(approval);
        if (g_str_equal(json_text(approval, "state"), "checking"))
                print_field("check", "not ended yet: it can be answered then");
        if (!g_str_equal(sha256, requested))
                print_field("asked", "with sha256 %s, and changed when it was approved", requested);
        print_field("sha256", "%s", sha256);
}

/* -- answering --------------------------------------------------------------------------------- */

/* Without its newline; false where there is none. */
static bool read_line(const char *prompt, char line[static LINE_SIZE])
{
        (void) fputs(prompt, stdout);
        (void) fflush(stdout);
        if (!fgets(line, LINE_SIZE, stdin))
                return false;
        line[strcspn(line, "\n")] = '\0';
        return true;
}

static int choose(Json *approval, const char **ret, Fault *f)
{
        char line[LINE_SIZE];
        Json *list = NULL;
        size_t n;

        (void) json_find_array(approval, "alternatives", &list);
        n = list ? json_object_array_length(list) : 0;
        *ret = NULL;
        if (n == 0)
                return 0;
        size_t chosen =
                read_line("Which alternative, by its number: ", line) ? strtoul(line, NULL, 10) : 0;
        if (chosen < 1 || chosen > n)
                return fault_set(f, FAULT_UNKNOWN_ALTERNATIVE,
                                 "there is no such number: nothing was answered");
        *ret = json_object_get_string(json_object_array_get_idx(list, chosen - 1));
        return 0;
}

static int approve(Ctl *ctl, const char *path, Json *approval, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        const char *alternative = NULL;
        int r = choose(approval, &alternative, f);

        if (r >= 0)
                r = bus_method(ctl, path, INTERFACE_APPROVAL, "Approve", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", json_text(approval, "sha256"));
        bus_options_open(m);
        bus_option_string(m, "alternative", alternative);
        bus_options_close(m);
        r = bus_call(ctl, m, BUS_TIMEOUT_PERSON_USEC, NULL, f);
        if (r >= 0)
                puts("approved");
        return r;
}

static int answer(Ctl *ctl, const char *path, Json *approval, Fault *f)
{
        const char *sha256 = json_text(approval, "sha256");
        char line[LINE_SIZE];

        if (!read_line(
                    "To approve exactly this, type the first six digits of its sha256; to deny it, "
                    "'deny' and a comment; or nothing: ",
                    line) ||
            !*line)
                return 0;
        if (g_str_has_prefix(line, "deny") && (!line[4] || line[4] == ' ')) {
                int r = bus_request(ctl, BUS_TIMEOUT_PERSON_USEC, path, INTERFACE_APPROVAL, "Deny",
                                    NULL, f, "s", g_strchug(line + 4));
                if (r >= 0)
                        puts("denied");
                return r;
        }
        if (strlen(line) != DIGITS || strncmp(line, sha256, DIGITS) != 0)
                return fault_set(f, FAULT_WRONG_HASH,
                                 "these are not the first six digits: nothing was answered");
        return approve(ctl, path, approval, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *text = NULL;
        g_autoptr(Json) approval = NULL, content = NULL;
        int r = colour_choose(arg.color, f);

        if (r >= 0)
                r = approval_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = approval_load(ctl, path, &approval, &text, f);
        if (r >= 0)
                r = json_parse(text, strlen(text), 9, &content, f);
        if (r < 0)
                return r;
        if (arg.content) {
                print_json_text(text, strlen(text));
                return 0;
        }
        if (ctl->json) {
                (void) json_object_object_add(approval, "content", TAKE_PTR(content));
                print_json(approval);
                return 0;
        }
        bool is_asked = g_str_equal(json_text(approval, "state"), "pending") &&
                        isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        pager_begin();
        print_approval(approval, content);
        r = print_playbook(ctl, content, f);
        if (r >= 0 && *json_text(content, "check_log"))
                r = approval_print_check_log(ctl, path, json_text(content, "check_log"), f);
        pager_end();
        if (r < 0 || !is_asked)
                return r;
        return answer(ctl, path, approval, f);
}

const Verb verb_review = {
        .name = "review",
        .summary = "see what was asked, and answer it",
        .usage = "APPROVAL",
        .help = "What others have written is escaped and stands behind a bar. On a terminal it is shown "
                "by $FLUID_PAGER, $PAGER or less, and then you approve by "
                "typing the first six digits of the hash, or deny with a comment.",
        .example = "review 0123456789ab",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};

/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/audit-trail.h"
#include "dbus/ctl/document.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

/* The sandbox's name where there is one: an id says little. */
static const char *get_subject(Json *row)
{
        const char *name = json_text(row, "sandbox_name");

        return *name ? name : audit_shorten(json_text(row, "object"));
}

static int on_row(Json *row, void *userdata, Fault *f)
{
        g_autofree char *when = format_time(json_number(row, "time_usec"));
        g_autofree char *who = format_user((uint32_t) json_number(row, "caller_uid"));
        g_autofree char *seq = g_strdup_printf("%" PRIu64, json_number(row, "seq"));
        const char *error = json_text(row, "error"), *what = error;
        Json *detail = NULL;

        (void) f;
        if (!*error && json_find_object(row, "detail", &detail) &&
            json_object_object_length(detail) > 0)
                what = json_object_to_json_string_ext(detail, JSON_C_TO_STRING_NOSLASHESCAPE);
        table_add(userdata, seq, when, who, json_text(row, "caller"), json_text(row, "kind"),
                  json_text(row, "phase"), get_subject(row), what, NULL);
        return 0;
}

static int on_row_json(Json *row, void *userdata, Fault *f)
{
        bool *is_first = userdata;
        const char *text = json_object_to_json_string_ext(row, JSON_C_TO_STRING_NOSLASHESCAPE);

        (void) f;
        fputs(*is_first ? "[" : ",\n", stdout);
        print_json_text(text, strlen(text));
        *is_first = false;
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(Table) table = table_new("SEQ", "TIME", "USER", "CALLER", "KIND", "PHASE",
                                           "ABOUT", "DETAIL", NULL);
        g_autoptr(BusMessage) reply = NULL;
        bool is_first = true;
        int fd;

        (void) args;
        int r = audit_load(ctl, &reply, &fd, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                r = document_each_line(fd, on_row_json, &is_first, f);
                puts(is_first ? "[]" : "]");
                return r;
        }
        r = document_each_line(fd, on_row, table, f);
        if (r >= 0)
                table_print(table);
        return r;
}

const Verb verb_audit = {
        .name = "audit",
        .summary = "show who changed what, oldest first",
        .usage = "",
        .help = "Who is not root sees the rows of their own calls, and of what is theirs. Rows that "
                "are sealed in files by now are shown with the others. 'audit verify' and 'audit "
                "export' are other verbs; 'show NAME --timeline' tells what happened to one "
                "sandbox.",
        .example = "audit --sandbox web1 --kind approval --since 1h",
        .options = audit_options,
        .n_options = AUDIT_OPTIONS,
        .run = run,
};

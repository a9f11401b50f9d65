/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/timeline.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/audit-trail.h"
#include "dbus/ctl/document.h"
#include "dbus/ctl/print.h"

#include <string.h>

/* -- events: a row that begins something and the one that ends it are one ------------------------
 */

typedef struct Timeline {
        Json *events;     /* an array of rows, with "result", "end_usec" of their ends */
        GHashTable *open; /* seq → event, borrowed */
} Timeline;

static void copy(Json *to, const char *key, Json *from, const char *from_key)
{
        Json *value;

        if (json_object_object_get_ex(from, from_key, &value))
                (void) json_object_object_add(to, key, json_object_get(value));
}

/* Rows of before 0.3 do not say what they end: it is the last of that kind on that object. */
static Json *find_open(const Timeline *t, Json *row)
{
        uint64_t begin_seq = json_number(row, "begin_seq");
        const char *phase = json_text(row, "phase");
        Json *found = NULL;
        GHashTableIter i;
        gpointer event;

        if (begin_seq > 0)
                return g_hash_table_lookup(t->open, GSIZE_TO_POINTER(begin_seq));
        if (*json_text(row, "sandbox_id") ||
            (!g_str_equal(phase, "done") && !g_str_equal(phase, "failed")))
                return NULL;
        g_hash_table_iter_init(&i, t->open);
        while (g_hash_table_iter_next(&i, NULL, &event))
                if (g_str_equal(json_text(event, "kind"), json_text(row, "kind")) &&
                    g_str_equal(json_text(event, "object"), json_text(row, "object")) &&
                    (!found || json_number(event, "seq") > json_number(found, "seq")))
                        found = event;
        return found;
}

static int add_row(Json *row, void *userdata, Fault *f)
{
        Timeline *t = userdata;
        Json *event = find_open(t, row);

        (void) f;
        if (event) {
                copy(event, "phase", row, "phase");
                copy(event, "error", row, "error");
                copy(event, "result", row, "detail");
                copy(event, "end_usec", row, "time_usec");
                copy(event, "end_seq", row, "seq");
                (void) g_hash_table_remove(t->open, GSIZE_TO_POINTER(json_number(event, "seq")));
                return 0;
        }
        (void) json_object_array_add(t->events, json_object_get(row));
        if (g_str_equal(json_text(row, "phase"), "begin"))
                (void) g_hash_table_insert(t->open, GSIZE_TO_POINTER(json_number(row, "seq")), row);
        return 0;
}

/* -- in words -----------------------------------------------------------------------------------
 */

typedef struct Words {
        const char *kind;
        const char *format; /* {key} is that of the detail; what is between [ and ] is left out
                               where its key is not there */
} Words;

static const Words words[] = {
        {"sandbox.create", "created from {template}[, network {network}]"},
        {"sandbox.state", "is {to}, was {from}[: {reason}]"},
        {"sandbox.branch", "branched to {name} ({branch})[ at {snapshot}]"},
        {"sandbox.start", "start"},
        {"sandbox.stop", "stop"},
        {"sandbox.pause", "pause"},
        {"sandbox.resume", "resume"},
        {"sandbox.destroy", "destroy"},
        {"sandbox.extend", "time to live {ttl_usec}"},
        {"sandbox.network", "network {profile}[, ports {ports}]"},
        {"sandbox.diff", "diff[ from {from}][ to {to}]"},
        {"command.exec", "$ {argv}[, as {user}]"},
        {"command.kill", "kill[ by signal {signal}]"},
        {"file.read", "read {path}"},
        {"file.write", "wrote {path}"},
        {"file.read_at", "read {path}[ at {point}]"},
        {"file.extract_at", "extracted {path}[ at {point}]"},
        {"snapshot.create", "snapshot {snapshot}"},
        {"snapshot.restore", "restored {snapshot}"},
        {"snapshot.delete", "deleted snapshot {snapshot}"},
        {"network.repair", "network repaired: {what}[ (by {who})]"},
        {"network.drops", "dropped {frames} frames"},
        {"playbook.export", "playbook {name}[ from {from}][ to {to}]"},
        {"playbook.verify", "playbook verified"},
        {"playbook.remove", "playbook removed"},
        {"approval.request", "asked for {action}[ {profile}], {urgency}"},
        {"approval.approve", "approved[: {comment}]"},
        {"approval.deny", "denied[: {comment}]"},
        {"approval.cancel", "question withdrawn"},
        {"approval.expire", "nobody answered in time"},
        {"approval.apply", "applied"},
};

/* As text; a new string, or NULL. */
static char *get_member(Json *detail, const char *key, size_t size)
{
        g_autofree char *name = g_strndup(key, size);
        Json *value;

        if (!detail || !json_object_object_get_ex(detail, name, &value))
                return NULL;
        if (json_object_is_type(value, json_type_array))
                return json_join(value);
        return g_str_has_suffix(name, "_usec") ? duration_format(json_object_get_uint64(value))
                                               : g_strdup(json_object_get_string(value));
}

/* Up to `end`, or the end of the text. False where a key in it is not there. */
static bool append_words(GString *out, const char **format, char end, Json *detail)
{
        bool is_whole = true;

        while (**format && **format != end) {
                const char *at = (*format)++;
                if (*at == '[') {
                        size_t before = out->len;
                        if (!append_words(out, format, ']', detail))
                                (void) g_string_truncate(out, before);
                        *format += **format == ']';
                } else if (*at == '{') {
                        size_t size = strcspn(*format, "}");
                        g_autofree char *text = get_member(detail, *format, size);
                        is_whole &= text && *text;
                        (void) g_string_append(out, text ? text : "?");
                        *format += size + 1;
                } else {
                        (void) g_string_append_c(out, *at);
                }
        }
        return is_whole;
}

/* Members that the words do not have. */
static void append_rest(GString *out, Json *detail, const char *format)
{
        json_object_object_foreach(detail, key, value)
        {
                g_autofree char *used = g_strdup_printf("{%s}", key);
                if ((format && strstr(format, used)) ||
                    json_object_is_type(value, json_type_object))
                        continue;
                g_string_append_printf(out, " %s=%s", key, json_object_get_string(value));
        }
}

static char *describe(Json *event)
{
        static const char *const said_elsewhere[] = {"command.exec",     "sandbox.create",
                                                     "approval.request", "approval.approve",
                                                     "approval.deny",    "sandbox.branch"};
        const char *kind = json_text(event, "kind"), *format = NULL;
        GString *out = g_string_new(NULL);
        bool has_rest = true;
        Json *detail = NULL;

        (void) json_find_object(event, "detail", &detail);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(words[i].kind, kind))
                        format = words[i].format;
        for (size_t i = 0; i < G_N_ELEMENTS(said_elsewhere); i++)
                has_rest &= !g_str_equal(said_elsewhere[i], kind);
        if (format) {
                const char *at = format;
                (void) append_words(out, &at, '\0', detail);
        } else {
                (void) g_string_append(out, kind);
        }
        if (detail && has_rest && !g_str_equal(json_text(event, "phase"), "refused"))
                append_rest(out, detail, format);
        if (g_str_has_prefix(kind, "approval."))
                g_string_append_printf(out, " (%s)", audit_shorten(json_text(event, "object")));
        return g_string_free(out, FALSE);
}

/* How it ended: "exit 0", "17 bytes", "failed: Busy: …". A new string. */
static char *describe_end(Json *event)
{
        const char *phase = json_text(event, "phase"), *error = json_text(event, "error");
        bool is_refused = g_str_equal(phase, "refused");
        GString *out = g_string_new(NULL);
        Json *result = NULL, *value;

        (void) json_find_object(event, is_refused ? "detail" : "result", &result);
        if (*error) {
                const char *message = result ? json_text(result, "message") : "";
                g_string_append_printf(out, "%s: %s%s%s", phase, error, *message ? ": " : "",
                                       message);
        } else if (g_str_equal(phase, "begin")) {
                (void) g_string_append(out, "not ended");
        } else if (result && json_object_object_get_ex(result, "exit_status", &value)) {
                g_string_append_printf(out, "exit %s", json_object_get_string(value));
        } else if (result && json_object_object_get_ex(result, "signal", &value)) {
                g_string_append_printf(out, "signal %s", json_object_get_string(value));
        } else if (result && *json_text(result, "state")) {
                (void) g_string_append(out, json_text(result, "state"));
        } else if (result && json_object_object_get_ex(result, "bytes", &value)) {
                g_string_append_printf(out, "%s bytes", json_object_get_string(value));
        }
        return g_string_free(out, FALSE);
}

static void print_events(Json *events)
{
        g_autoptr(Table) table = table_new("TIME", "USER", "CALLER", "WHAT", "RESULT", NULL);

        for (size_t i = 0; i < json_object_array_length(events); i++) {
                Json *event = json_object_array_get_idx(events, i);
                g_autofree char *when = format_time(json_number(event, "time_usec"));
                g_autofree char *who = format_user((uint32_t) json_number(event, "caller_uid"));
                g_autofree char *what = describe(event), *end = describe_end(event);

                table_add(table, when, who, json_text(event, "caller"), what, end, NULL);
        }
        table_print(table);
}

/* -- public --------------------------------------------------------------------------------------
 */

int timeline_print(Ctl *ctl, const char *name, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autoptr(Json) events = json_object_new_array();
        g_autoptr(GHashTable) open = g_hash_table_new(NULL, NULL);
        Timeline t = {events, open};
        int fd, r = audit_load_sandbox(ctl, name, &reply, &fd, f);

        if (r >= 0)
                r = document_each_line(fd, add_row, &t, f);
        if (r < 0)
                return r;
        if (json_object_array_length(events) == 0)
                return fault_set(
                        f, FAULT_NOT_FOUND,
                        "the audit trail has nothing of a sandbox '%.80s' that you may see", name);
        if (ctl->json)
                print_json(events);
        else
                print_events(events);
        return 0;
}

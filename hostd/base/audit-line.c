/* SPDX-License-Identifier: MIT */
#include "base/audit-line.h"

#include "base/cleanup.h"

#include <string.h>

enum { DETAIL_DEPTH_MAX = 32, LINE_DEPTH_MAX = DETAIL_DEPTH_MAX + 2 };

static void add_text(Json *line, const char *key, const char *text)
{
        (void) json_object_object_add(line, key, json_object_new_string(text ? text : ""));
}

static void add_number(Json *line, const char *key, uint64_t number)
{
        (void) json_object_object_add(line, key, json_object_new_uint64(number));
}

/* As it was when the hash was made of it. */
static const char *detail_to_text(Json *detail)
{
        return json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN);
}

static void add_detail(Json *line, const char *text)
{
        g_autoptr(Json) detail = NULL;

        if (json_parse(text, strlen(text), DETAIL_DEPTH_MAX, &detail, NULL) == 0 &&
            g_str_equal(detail_to_text(detail), text))
                (void) json_object_object_add(line, "detail", TAKE_PTR(detail));
        else
                add_text(line, "detail_text", text);
}

void audit_line_append(GString *lines, const AuditRow *row)
{
        g_autoptr(Json) line = json_object_new_object();

        add_number(line, "seq", row->seq);
        add_number(line, "time_usec", row->time_usec);
        add_number(line, "caller_uid", row->caller_uid);
        add_text(line, "caller", row->caller);
        add_text(line, "kind", row->kind);
        add_text(line, "phase", row->phase);
        add_text(line, "object", row->object);
        add_detail(line, row->detail);
        add_text(line, "error", row->error);
        add_text(line, "sandbox_id", row->sandbox_id);
        add_text(line, "sandbox_name", row->sandbox_name);
        add_text(line, "agent", row->agent);
        if (row->owner_uid != UID_NONE)
                add_number(line, "owner_uid", row->owner_uid);
        if (row->begin_seq > 0)
                add_number(line, "begin_seq", row->begin_seq);
        add_text(line, "hash", row->hash);
        (void) g_string_append(
                lines, json_object_to_json_string_ext(
                               line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        (void) g_string_append_c(lines, '\n');
}

static bool find_uid(Json *line, const char *key, unsigned *ret)
{
        uint64_t number;

        if (!json_find_uint(line, key, &number) || number > UINT32_MAX)
                return false;
        *ret = (unsigned) number;
        return true;
}

static bool find_detail(Json *line, const char **ret)
{
        Json *detail;

        if (!json_find_object(line, "detail", &detail))
                return json_find_string(line, "detail_text", ret);
        *ret = detail_to_text(detail);
        return true;
}

static bool has_key(Json *line, const char *key)
{
        return json_object_object_get_ex(line, key, NULL);
}

int audit_line_parse(const char *line, size_t size, AuditRow *ret_row, Json **ret_owner, Fault *f)
{
        g_autoptr(Json) parsed = NULL;
        AuditRow row = {.owner_uid = UID_NONE};
        const char *hash;
        int r = json_parse(line, size, LINE_DEPTH_MAX, &parsed, f);

        if (r < 0)
                return r;
        if (!json_find_uint(parsed, "seq", &row.seq) ||
            !json_find_uint(parsed, "time_usec", &row.time_usec) ||
            !find_uid(parsed, "caller_uid", &row.caller_uid) ||
            !json_find_string(parsed, "caller", &row.caller) ||
            !json_find_string(parsed, "kind", &row.kind) ||
            !json_find_string(parsed, "phase", &row.phase) ||
            !json_find_string(parsed, "object", &row.object) || !find_detail(parsed, &row.detail) ||
            !json_find_string(parsed, "error", &row.error) ||
            !json_find_string(parsed, "sandbox_id", &row.sandbox_id) ||
            !json_find_string(parsed, "sandbox_name", &row.sandbox_name) ||
            !json_find_string(parsed, "agent", &row.agent) ||
            (has_key(parsed, "owner_uid") && !find_uid(parsed, "owner_uid", &row.owner_uid)) ||
            (has_key(parsed, "begin_seq") &&
             !json_find_uint(parsed, "begin_seq", &row.begin_seq)) ||
            !json_find_string(parsed, "hash", &hash) || strlen(hash) != SHA256_HEX_SIZE - 1)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "a line is no row of the audit trail: %.60s", line);
        (void) g_strlcpy(row.hash, hash, sizeof row.hash);
        *ret_row = row;
        *ret_owner = TAKE_PTR(parsed);
        return 0;
}

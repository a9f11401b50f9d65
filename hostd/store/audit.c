/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

/* What the hash covers, in its order. */
static const SqlColumn columns[] = {
        SQL_COLUMN(AuditRow, seq),        SQL_COLUMN(AuditRow, time_usec),
        SQL_COLUMN(AuditRow, caller_uid), SQL_COLUMN(AuditRow, caller),
        SQL_COLUMN(AuditRow, kind),       SQL_COLUMN(AuditRow, phase),
        SQL_COLUMN(AuditRow, object),     SQL_COLUMN(AuditRow, detail),
        SQL_COLUMN(AuditRow, error),
};

static const SqlTable table = SQL_TABLE(AuditRow, "audit", columns, NULL);

enum { HASH_COLUMN = G_N_ELEMENTS(columns) };

static const char read_audit[] = "read table audit";
static const char write_audit[] = "write to table audit";

/* -- the chain ------------------------------------------------------------------------------ */

typedef struct Head {
        int64_t seq;
        char hash[SHA256_HEX_SIZE];
} Head;

#define ZEROS_16 "0000000000000000"
static const Head before_first = {.seq = 0, .hash = ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16};

static void add_field(GChecksum *sum, const void *bytes, size_t size)
{
        char length[32];
        int n = g_snprintf(length, sizeof length, "%zu:", size);

        g_checksum_update(sum, (const guchar *) length, n);
        g_checksum_update(sum, bytes, (gssize) size);
}

/* Over the columns of a result row as text: every byte of them counts, what follows a NUL too. An
 * SQLite result code. */
static int hash_columns(sqlite3_stmt *statement, const char *previous,
                        char ret_hash[static SHA256_HEX_SIZE])
{
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

        add_field(sum, previous, strlen(previous));
        for (int i = 0; i < HASH_COLUMN; i++) {
                const void *text = sqlite3_column_text(statement, i);
                if (!text)
                        return SQLITE_NOMEM;
                add_field(sum, text, (size_t) sqlite3_column_bytes(statement, i));
        }
        (void) g_strlcpy(ret_hash, g_checksum_get_string(sum), SHA256_HEX_SIZE);
        return SQLITE_OK;
}

static int load_head(Store *s, Head *ret, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "SELECT audit_seq, audit_hash FROM meta", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_step(statement);
        const char *hash =
                rc == SQLITE_ROW ? (const char *) sqlite3_column_text(statement, 1) : NULL;
        if (hash && sqlite3_column_bytes(statement, 1) == SHA256_HEX_SIZE - 1) {
                ret->seq = sqlite3_column_int64(statement, 0);
                (void) g_strlcpy(ret->hash, hash, sizeof ret->hash);
        } else {
                r = rc == SQLITE_DONE || hash
                            ? fault_set(f, FAULT_IO,
                                        "the head of the audit trail in the database '%s' "
                                        "(table meta) is damaged",
                                        s->path)
                            : sql_fail(s, rc == SQLITE_ROW ? SQLITE_NOMEM : rc, "read table meta",
                                       f);
        }
        (void) sqlite3_reset(statement);
        return r;
}

static int save_head(Store *s, const Head *head, Fault *f)
{
        sqlite3_stmt *statement;
        int r = sql_prepare(s, "UPDATE meta SET audit_seq = ?, audit_hash = ?", &statement, f);

        if (r < 0)
                return r;
        int rc = sqlite3_bind_int64(statement, 1, head->seq);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 2, head->hash, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, "write to table meta", f)
                               : sql_fail(s, rc, "write to table meta", f);
}

/* -- appending ------------------------------------------------------------------------------ */

/* SQLite gives the bound values back as the columns that a later read of the row will have. */
static int hash_row(Store *s, const AuditRow *row, const char *previous,
                    char ret_hash[static SHA256_HEX_SIZE], Fault *f)
{
        g_autofree char *parameters = sql_column_list(&table, ":");
        g_autofree char *sql = g_strconcat("SELECT ", parameters, NULL);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sql_bind_row(statement, 1, &table, row);
        if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
                rc = hash_columns(statement, previous, ret_hash);
        if (rc != SQLITE_OK)
                r = sql_fail(s, rc, write_audit, f);
        (void) sqlite3_reset(statement);
        return r;
}

static int insert_row(Store *s, const AuditRow *row, Fault *f)
{
        g_autofree char *names = sql_column_list(&table, "");
        g_autofree char *parameters = sql_column_list(&table, ":");
        g_autofree char *sql = g_strdup_printf("INSERT INTO audit (%s, hash) VALUES (%s, :hash)",
                                               names, parameters);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = sql_bind_row(statement, 1, &table, row);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, HASH_COLUMN + 1, row->hash, -1, SQLITE_STATIC);
        return rc == SQLITE_OK ? sql_run(s, statement, write_audit, f)
                               : sql_fail(s, rc, write_audit, f);
}

/* A row that somebody added behind the head does not keep us from writing; verifying finds it. */
static int append_after_head(Store *s, AuditRow *row, Fault *f)
{
        Head head = before_first;
        int64_t last = 0;

        int r = load_head(s, &head, f);
        if (r == 0)
                r = sql_get_int64(s, "SELECT max(seq) FROM audit", &last, f);
        if (r < 0)
                return r;
        row->seq = (uint64_t) MAX(head.seq, last) + 1;
        r = hash_row(s, row, head.hash, row->hash, f);
        if (r == 0)
                r = insert_row(s, row, f);
        if (r < 0)
                return r;
        head.seq = (int64_t) row->seq;
        (void) g_strlcpy(head.hash, row->hash, sizeof head.hash);
        return save_head(s, &head, f);
}

int store_append_audit(Store *s, AuditRow *row, Fault *f)
{
        AuditRow appended = *row;

        int r = sql_enter(s, f);
        if (r < 0)
                return r;
        r = append_after_head(s, &appended, f);
        if (r < 0)
                sql_abandon(s);
        else
                r = sql_leave(s, f);
        if (r < 0)
                return r;
        row->seq = appended.seq;
        (void) g_strlcpy(row->hash, appended.hash, sizeof row->hash);
        return 0;
}

/* -- querying ------------------------------------------------------------------------------- */

/* The index of the condition that the fewest rows meet. */
static const char *choose_index(const AuditFilter *filter)
{
        if (filter->object)
                return " INDEXED BY audit_by_object";
        if (filter->since_usec > 0)
                return " INDEXED BY audit_by_time";
        if (filter->kind)
                return " INDEXED BY audit_by_kind";
        if (filter->has_caller_uid)
                return " INDEXED BY audit_by_caller";
        return filter->until_usec > 0 ? " INDEXED BY audit_by_time" : "";
}

char *audit_query_sql(const AuditFilter *filter)
{
        g_autofree char *names = sql_column_list(&table, "");
        GString *sql = g_string_new(NULL);

        g_string_append_printf(sql, "SELECT %s, hash FROM audit%s WHERE true", names,
                               choose_index(filter));
        if (filter->object)
                g_string_append(sql, " AND object_id = :object_id AND (object = :object"
                                     " OR substr(object, -length(:object) - 1) = '/' || :object)");
        if (filter->since_usec > 0)
                g_string_append(sql, " AND time_usec >= :since");
        if (filter->kind)
                g_string_append(sql, " AND kind = :kind");
        if (filter->has_caller_uid)
                g_string_append(sql, " AND caller_uid = :caller_uid");
        if (filter->until_usec > 0)
                g_string_append(sql, " AND time_usec <= :until");
        if (filter->limit > 0) {
                g_string_prepend(sql, "SELECT * FROM (");
                g_string_append(sql, " ORDER BY seq DESC LIMIT :limit)");
        }
        g_string_append(sql, " ORDER BY seq");
        return g_string_free(sql, FALSE);
}

/* A parameter that the query does not have is passed over. */
static int bind_text(sqlite3_stmt *statement, const char *parameter, const char *text)
{
        int i = sqlite3_bind_parameter_index(statement, parameter);

        return i > 0 ? sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC) : SQLITE_OK;
}

static int bind_number(sqlite3_stmt *statement, const char *parameter, uint64_t number)
{
        int i = sqlite3_bind_parameter_index(statement, parameter);

        return i > 0 ? sqlite3_bind_int64(statement, i, (int64_t) MIN(number, (uint64_t) INT64_MAX))
                     : SQLITE_OK;
}

static int bind_filter(sqlite3_stmt *statement, const AuditFilter *filter)
{
        const char *slash = filter->object ? strrchr(filter->object, '/') : NULL;

        int rc = bind_text(statement, ":object_id", slash ? slash + 1 : filter->object);
        if (rc == SQLITE_OK)
                rc = bind_text(statement, ":object", filter->object);
        if (rc == SQLITE_OK)
                rc = bind_text(statement, ":kind", filter->kind);
        if (rc == SQLITE_OK)
                rc = bind_number(statement, ":caller_uid", filter->caller_uid);
        if (rc == SQLITE_OK)
                rc = bind_number(statement, ":since", filter->since_usec);
        if (rc == SQLITE_OK)
                rc = bind_number(statement, ":until", filter->until_usec);
        if (rc == SQLITE_OK)
                rc = bind_number(statement, ":limit", filter->limit);
        return rc;
}

static int read_audit_row(sqlite3_stmt *statement, AuditRow *row)
{
        int rc = sql_read_row(statement, 0, &table, row);
        const char *hash = (const char *) sqlite3_column_text(statement, HASH_COLUMN);

        if (rc != SQLITE_OK || !hash)
                return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
        (void) g_strlcpy(row->hash, hash, sizeof row->hash);
        return SQLITE_OK;
}

int store_query_audit(Store *s, const AuditFilter *filter,
                      int (*each)(const AuditRow *row, void *userdata), void *userdata, Fault *f)
{
        g_autofree char *sql = audit_query_sql(filter);
        sqlite3_stmt *statement;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        int rc = bind_filter(statement, filter);
        while (r >= 0 && rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
                AuditRow row = {0};
                rc = read_audit_row(statement, &row);
                if (rc == SQLITE_OK)
                        r = each(&row, userdata);
        }
        if (r >= 0)
                r = rc == SQLITE_DONE ? 0 : sql_fail(s, rc, read_audit, f);
        (void) sqlite3_reset(statement);
        return r;
}

/* -- verifying ------------------------------------------------------------------------------ */

/* Whether a row follows `last`, which it then becomes; `ret_wrong` says how it does not. An SQLite
 * result code. */
static int check_row(sqlite3_stmt *statement, Head *last, char **ret_wrong)
{
        int64_t seq = sqlite3_column_int64(statement, 0), expected = last->seq + 1;
        Head head = {.seq = seq};

        if (seq < expected)
                *ret_wrong = g_strdup_printf("row %" PRId64 " was added: the first row is 1", seq);
        else if (seq > expected)
                *ret_wrong = g_strdup_printf("row %" PRId64 " is missing: row %" PRId64
                                             " follows row %" PRId64,
                                             expected, seq, last->seq);
        if (*ret_wrong)
                return SQLITE_OK;

        int rc = hash_columns(statement, last->hash, head.hash);
        const char *hash = (const char *) sqlite3_column_text(statement, HASH_COLUMN);
        if (rc != SQLITE_OK || !hash)
                return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
        if (strcmp(hash, head.hash) == 0 &&
            sqlite3_column_bytes(statement, HASH_COLUMN) == SHA256_HEX_SIZE - 1)
                *last = head;
        else
                *ret_wrong =
                        g_strdup_printf("row %" PRId64 " was changed: its hash is not that of its "
                                        "fields after row %" PRId64,
                                        seq, last->seq);
        return SQLITE_OK;
}

static char *check_head(const Head *head, const Head *last)
{
        if (head->seq > last->seq)
                return g_strdup_printf("row %" PRId64 " is missing: rows up to %" PRId64
                                       " were written, the last is %" PRId64,
                                       last->seq + 1, head->seq, last->seq);
        if (head->seq < last->seq)
                return g_strdup_printf("row %" PRId64
                                       " was added: the last that was written is %" PRId64,
                                       head->seq + 1, head->seq);
        return strcmp(head->hash, last->hash) == 0
                       ? NULL
                       : g_strdup_printf("row %" PRId64
                                         " was changed: its hash is not that of the head "
                                         "in table meta",
                                         last->seq);
}

static int check_rows(Store *s, Head *last, char **ret_wrong, Fault *f)
{
        g_autofree char *sql = audit_query_sql(&(AuditFilter){0});
        sqlite3_stmt *statement;
        int rc = SQLITE_OK;

        int r = sql_prepare(s, sql, &statement, f);
        if (r < 0)
                return r;
        while (rc == SQLITE_OK && !*ret_wrong && (rc = sqlite3_step(statement)) == SQLITE_ROW)
                rc = check_row(statement, last, ret_wrong);
        if (rc != SQLITE_DONE && rc != SQLITE_OK)
                r = sql_fail(s, rc, read_audit, f);
        (void) sqlite3_reset(statement);
        return r;
}

int store_verify_audit(Store *s, bool *ret_intact, uint64_t *ret_rows, char **ret_detail, Fault *f)
{
        g_autofree char *wrong = NULL;
        Head head = before_first, last = before_first;

        int r = load_head(s, &head, f);
        if (r == 0)
                r = check_rows(s, &last, &wrong, f);
        if (r < 0)
                return r;
        if (!wrong)
                wrong = check_head(&head, &last);
        *ret_intact = !wrong;
        *ret_rows = (uint64_t) last.seq;
        *ret_detail = wrong ? TAKE_PTR(wrong) : g_strdup(last.hash);
        return 0;
}

/* SPDX-License-Identifier: MIT */
#include "store/audit-table.h"

#include "base/cleanup.h"

#include <string.h>

/* A look at how many rows meet a condition ends there. */
#define LOOK_MAX "1000"
enum { LOOK = 1000 };

char *audit_select(void)
{
        g_autofree char *names = sql_column_list(&audit_table, "");

        return g_strdup_printf("SELECT %s, hash FROM audit", names);
}

/* -- reading rows --------------------------------------------------------------------------- */

/* Numbers that no row can have, and text behind a NUL, would be lost on the way to the hash. */
static bool is_as_appended(sqlite3_stmt *statement)
{
        for (int i = 0; i <= AUDIT_HASH_COLUMN; i++) {
                int type = sqlite3_column_type(statement, i);
                const char *text;

                if (type == SQLITE_INTEGER && sqlite3_column_int64(statement, i) >= 0)
                        continue;
                if (type != SQLITE_TEXT ||
                    !(text = (const char *) sqlite3_column_text(statement, i)) ||
                    strlen(text) != (size_t) sqlite3_column_bytes(statement, i))
                        return false;
        }
        return true;
}

int audit_read_row(sqlite3_stmt *statement, AuditRow *row)
{
        enum { CALLER_UID = 2, OWNER_UID = 12 };
        bool is_whole = is_as_appended(statement) &&
                        sqlite3_column_int64(statement, CALLER_UID) <= UINT32_MAX &&
                        sqlite3_column_int64(statement, OWNER_UID) <= UINT32_MAX;
        int rc = sql_read_row(statement, 0, &audit_table, row);
        const char *hash = (const char *) sqlite3_column_text(statement, AUDIT_HASH_COLUMN);

        if (rc != SQLITE_OK || !hash)
                return rc != SQLITE_OK ? rc : SQLITE_NOMEM;
        row->is_damaged = !is_whole || strlen(hash) != SHA256_HEX_SIZE - 1;
        (void) g_strlcpy(row->hash, hash, sizeof row->hash);
        return SQLITE_OK;
}

int audit_each_row(Store *s, sqlite3_stmt *statement, int rc, AuditEach each, void *userdata,
                   Fault *f)
{
        int r = 0;

        while (r >= 0 && rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
                AuditRow row = {0};
                rc = audit_read_row(statement, &row);
                if (rc == SQLITE_OK)
                        r = each(&row, userdata);
        }
        if (r >= 0)
                r = rc == SQLITE_DONE ? 0 : sql_fail(s, rc, audit_read_failed, f);
        (void) sqlite3_reset(statement);
        return r;
}

/* -- conditions ----------------------------------------------------------------------------- */

/* "approval" and "approval.*" are all kinds that begin with "approval." */
static bool is_prefix(const char *kind)
{
        return g_str_has_suffix(kind, ".*") || !strchr(kind, '.');
}

static const char since_until[] = "time_usec BETWEEN :since AND :until";
static const char seqs[] = "seq BETWEEN :first AND :last";

/* The kinds that there are of a prefix, each found by one look into the index. */
static const char kinds[] =
        "kind IN (WITH RECURSIVE k (kind) AS (SELECT min(kind) FROM audit WHERE kind >= :kind"
        " UNION ALL SELECT (SELECT min(kind) FROM audit WHERE kind > k.kind) FROM k"
        " WHERE k.kind < :kind_end) SELECT kind FROM k WHERE kind < :kind_end)";

#define SEQ_IN(index, condition) \
        "SELECT seq FROM audit INDEXED BY " index " WHERE " condition \
        " AND seq BETWEEN :first AND :last"

static const char of_sandbox[] =
        SEQ_IN("audit_by_sandbox", "sandbox_id = :sandbox") " UNION ALL " SEQ_IN(
                "audit_by_sandbox_name",
                "sandbox_name = :sandbox") " UNION ALL " SEQ_IN("audit_by_object",
                                                                "object_id = :sandbox");

static const char of_reader[] =
        SEQ_IN("audit_by_caller", "caller_uid = :reader_uid") " UNION ALL " SEQ_IN(
                "audit_by_owner", "owner_uid = :reader_uid AND owner_uid <> caller_uid");

static bool has_time(const AuditFilter *filter)
{
        return filter->since_usec > 0 || filter->until_usec > 0;
}

static bool has_condition(const AuditFilter *filter, AuditIndex index)
{
        switch (index) {
        case AUDIT_BY_OBJECT:
                return filter->object;
        case AUDIT_BY_SANDBOX:
                return filter->sandbox;
        case AUDIT_BY_KIND:
                return filter->kind;
        case AUDIT_BY_AGENT:
                return filter->agent;
        case AUDIT_BY_CALLER:
                return filter->has_caller_uid;
        case AUDIT_BY_READER:
                return filter->has_reader_uid;
        case AUDIT_BY_TIME:
                return has_time(filter);
        case AUDIT_BY_SEQ:
                return true;
        }
        g_assert_not_reached();
}

/* A query for the seqs of several indexes; NULL where there is one. */
static const char *get_union(AuditIndex index)
{
        return index == AUDIT_BY_SANDBOX ? of_sandbox : index == AUDIT_BY_READER ? of_reader : NULL;
}

static const char time_source[] =
        "INDEXED BY audit_by_time WHERE time_usec BETWEEN :since AND :until";

/* What follows "FROM audit" to meet the condition by its index. */
static void add_source(GString *sql, const AuditFilter *filter, AuditIndex index)
{
        static const char *const sources[] = {
                [AUDIT_BY_OBJECT] = "INDEXED BY audit_by_object WHERE object_id = :object_id",
                [AUDIT_BY_KIND] = "INDEXED BY audit_by_kind WHERE kind = :kind",
                [AUDIT_BY_AGENT] = "INDEXED BY audit_by_agent WHERE agent = :agent",
                [AUDIT_BY_CALLER] = "INDEXED BY audit_by_caller WHERE caller_uid = :caller_uid",
                [AUDIT_BY_TIME] = time_source,
                [AUDIT_BY_SEQ] = "WHERE true",
        };

        if (get_union(index))
                g_string_append_printf(sql, " WHERE seq IN (%s)", get_union(index));
        else if (index == AUDIT_BY_KIND && is_prefix(filter->kind))
                g_string_append_printf(sql, " INDEXED BY audit_by_kind WHERE %s AND %s", kinds,
                                       seqs);
        else
                g_string_append_printf(sql, " %s AND %s", sources[index], seqs);
}

static void add_rest(GString *sql, const AuditFilter *filter)
{
        if (filter->object)
                g_string_append(sql, " AND (object = :object"
                                     " OR substr(object, -length(:object) - 1) = '/' || :object)");
        if (filter->sandbox)
                g_string_append(sql, " AND (+sandbox_id = :sandbox OR +sandbox_name = :sandbox"
                                     " OR +object_id = :sandbox)");
        if (filter->kind)
                g_string_append(sql, is_prefix(filter->kind)
                                             ? " AND +kind >= :kind AND +kind < :kind_end"
                                             : " AND +kind = :kind");
        if (filter->agent)
                g_string_append(sql, " AND +agent = :agent");
        if (filter->phase)
                g_string_append(sql, " AND phase = :phase");
        if (filter->error)
                g_string_append(sql, " AND error = :error");
        if (filter->has_caller_uid)
                g_string_append(sql, " AND +caller_uid = :caller_uid");
        if (filter->has_reader_uid)
                g_string_append(sql,
                                " AND (+caller_uid = :reader_uid OR +owner_uid = :reader_uid)");
        if (has_time(filter))
                g_string_append_printf(sql, " AND +%s", since_until);
}

char *audit_query_sql(const AuditFilter *filter, AuditIndex index)
{
        g_autofree char *rows = audit_select();
        GString *sql = g_string_new(rows);
        bool is_turned = filter->order == AUDIT_NEWEST && filter->limit > 0;

        add_source(sql, filter, index);
        add_rest(sql, filter);
        g_string_append_printf(sql, " ORDER BY seq%s",
                               is_turned || filter->order == AUDIT_NEWEST_FIRST ? " DESC" : "");
        if (filter->limit > 0)
                g_string_append(sql, " LIMIT :limit");
        if (is_turned) {
                g_string_prepend(sql, "SELECT * FROM (");
                g_string_append(sql, ") ORDER BY seq");
        }
        return g_string_free(sql, FALSE);
}

/* -- parameters ----------------------------------------------------------------------------- */

/* A parameter that the query does not have is passed over. */
static int bind_text(sqlite3_stmt *statement, const char *parameter, const char *text)
{
        int i = sqlite3_bind_parameter_index(statement, parameter);

        return i > 0 ? sqlite3_bind_text(statement, i, text, -1, SQLITE_TRANSIENT) : SQLITE_OK;
}

static int bind_number(sqlite3_stmt *statement, const char *parameter, uint64_t number)
{
        int i = sqlite3_bind_parameter_index(statement, parameter);

        return i > 0 ? sqlite3_bind_int64(statement, i, (int64_t) MIN(number, (uint64_t) INT64_MAX))
                     : SQLITE_OK;
}

static int bind_kind(sqlite3_stmt *statement, const char *kind)
{
        if (!kind || !is_prefix(kind))
                return bind_text(statement, ":kind", kind);
        int size = (int) strcspn(kind, ".");
        g_autofree char *first = g_strdup_printf("%.*s.", size, kind);
        g_autofree char *end = g_strdup_printf("%.*s/", size, kind); /* '/' follows '.' */
        int rc = bind_text(statement, ":kind", first);
        return rc == SQLITE_OK ? bind_text(statement, ":kind_end", end) : rc;
}

static int bind_filter(sqlite3_stmt *statement, const AuditFilter *filter)
{
        const char *slash = filter->object ? strrchr(filter->object, '/') : NULL;
        const struct {
                const char *parameter, *text;
        } texts[] = {
                {":object_id", slash ? slash + 1 : filter->object},
                {":object", filter->object},
                {":sandbox", filter->sandbox},
                {":agent", filter->agent},
                {":phase", filter->phase},
                {":error", filter->error},
        };
        const struct {
                const char *parameter;
                uint64_t number;
        } numbers[] = {
                {":caller_uid", filter->caller_uid},
                {":reader_uid", filter->reader_uid},
                {":since", filter->since_usec},
                {":until", filter->until_usec ? filter->until_usec : INT64_MAX},
                {":first", MAX(filter->first_seq, 1)},
                {":last", filter->last_seq ? filter->last_seq : INT64_MAX},
                {":limit", filter->limit},
        };
        int rc = bind_kind(statement, filter->kind);

        for (size_t i = 0; i < G_N_ELEMENTS(texts) && rc == SQLITE_OK; i++)
                rc = bind_text(statement, texts[i].parameter, texts[i].text);
        for (size_t i = 0; i < G_N_ELEMENTS(numbers) && rc == SQLITE_OK; i++)
                rc = bind_number(statement, numbers[i].parameter, numbers[i].number);
        return rc;
}

/* -- choosing ------------------------------------------------------------------------------- */

/* Up to LOOK. */
static int count_by_index(Store *s, const AuditFilter *filter, AuditIndex index, int64_t *ret,
                          Fault *f)
{
        g_autoptr(GString) sql = g_string_new("SELECT count(*) FROM (");
        sqlite3_stmt *statement;

        g_string_append(sql, get_union(index) ? get_union(index) : "SELECT 1 FROM audit");
        /* Its index does not know of seqs: they would not keep the look short. */
        if (index == AUDIT_BY_TIME)
                g_string_append_printf(sql, " INDEXED BY audit_by_time WHERE %s", since_until);
        else if (!get_union(index))
                add_source(sql, filter, index);
        g_string_append(sql, " LIMIT " LOOK_MAX ")");
        int r = sql_prepare(s, sql->str, &statement, f);
        if (r < 0)
                return r;
        int rc = bind_filter(statement, filter);
        if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
                *ret = sqlite3_column_int64(statement, 0);
        else
                r = sql_fail(s, rc, audit_read_failed, f);
        (void) sqlite3_reset(statement);
        return r;
}

/* A stretch of time that is not short is gone through by seq, which is nearly its order. */
int audit_choose_index(Store *s, const AuditFilter *filter, AuditIndex *ret, Fault *f)
{
        AuditIndex best = AUDIT_BY_SEQ;
        int64_t fewest = INT64_MAX;

        for (AuditIndex i = AUDIT_BY_OBJECT; i < AUDIT_BY_SEQ; i++) {
                int64_t n = 0;
                if (!has_condition(filter, i))
                        continue;
                int r = count_by_index(s, filter, i, &n, f);
                if (r < 0)
                        return r;
                if (n < fewest && (i != AUDIT_BY_TIME || n < LOOK)) {
                        best = i;
                        fewest = n;
                }
        }
        *ret = best;
        return 0;
}

/* -- times of blocks of rows: the order of time is nearly that of seq, but for clocks set back ---
 */

enum { BLOCK_ROWS = 4096 };

typedef struct Block {
        uint64_t first_usec, last_usec; /* the least and the largest; of none: UINT64_MAX and 0 */
} Block;

/* Of a row that is taken back it does no harm. */
void audit_add_time(Store *s, uint64_t seq, uint64_t time_usec)
{
        const Block none = {UINT64_MAX, 0};

        while (s->audit_blocks->len <= seq / BLOCK_ROWS)
                (void) g_array_append_val(s->audit_blocks, none);
        Block *block = &g_array_index(s->audit_blocks, Block, seq / BLOCK_ROWS);
        block->first_usec = MIN(block->first_usec, time_usec);
        block->last_usec = MAX(block->last_usec, time_usec);
}

int audit_load_times(Store *s, Fault *f)
{
        sqlite3_stmt *statement;
        int rc, r = sql_prepare(s,
                                "SELECT seq, time_usec FROM audit INDEXED BY audit_by_time"
                                " WHERE seq BETWEEN 1 AND (SELECT audit_seq FROM meta)",
                                &statement, f);

        s->audit_blocks = g_array_new(FALSE, FALSE, sizeof(Block));
        if (r < 0)
                return r;
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
                audit_add_time(s, (uint64_t) sqlite3_column_int64(statement, 0),
                               (uint64_t) sqlite3_column_int64(statement, 1));
        if (rc != SQLITE_DONE)
                r = sql_fail(s, rc, audit_read_failed, f);
        (void) sqlite3_reset(statement);
        return r;
}

static bool has_time_in(const Block *block, const AuditFilter *filter)
{
        return block->last_usec >= filter->since_usec &&
               (!filter->until_usec || block->first_usec <= filter->until_usec);
}

static void bound_time(const Store *s, AuditFilter *filter)
{
        uint64_t first = UINT64_MAX, last = 0;

        for (guint i = 0; i < s->audit_blocks->len; i++) {
                if (!has_time_in(&g_array_index(s->audit_blocks, Block, i), filter))
                        continue;
                first = MIN(first, (uint64_t) i * BLOCK_ROWS);
                last = (uint64_t) i * BLOCK_ROWS + BLOCK_ROWS - 1;
        }
        filter->first_seq = MAX(filter->first_seq, first);
        filter->last_seq = MIN(filter->last_seq, last);
}

int store_bound_audit(Store *s, AuditFilter *filter, Fault *f)
{
        AuditHead sealed = {.seq = 0}, head = {.seq = 0};

        int r = audit_load_sealed(s, &sealed, f);
        if (r == 0)
                r = store_load_audit_head(s, &head, f);
        if (r < 0)
                return r;
        filter->first_seq = MAX(filter->first_seq, sealed.seq + 1);
        filter->last_seq = filter->last_seq ? MIN(filter->last_seq, head.seq) : head.seq;
        if (has_time(filter))
                bound_time(s, filter);
        return 0;
}

int store_query_audit(Store *s, const AuditFilter *filter, AuditEach each, void *userdata, Fault *f)
{
        AuditFilter bound = *filter;
        AuditIndex index;
        AuditHead sealed = {.seq = 0};
        sqlite3_stmt *statement;

        int r = bound.first_seq ? 0 : audit_load_sealed(s, &sealed, f);
        if (r < 0)
                return r;
        bound.first_seq = MAX(bound.first_seq, sealed.seq + 1);
        r = audit_choose_index(s, &bound, &index, f);
        if (r < 0)
                return r;
        g_autofree char *sql = audit_query_sql(&bound, index);
        r = sql_prepare(s, sql, &statement, f);
        return r < 0 ? r
                     : audit_each_row(s, statement, bind_filter(statement, &bound), each, userdata,
                                      f);
}

/* -- what is not in the table --------------------------------------------------------------- */

static bool ends_with_part(const char *path, const char *part)
{
        size_t path_size = strlen(path), size = strlen(part);

        return g_str_equal(path, part) || (path_size > size && path[path_size - size - 1] == '/' &&
                                           g_str_has_suffix(path, part));
}

static bool is_of_kind(const char *kind, const char *wanted)
{
        size_t size = strcspn(wanted, ".");

        return is_prefix(wanted) ? strncmp(kind, wanted, size) == 0 && kind[size] == '.'
                                 : g_str_equal(kind, wanted);
}

static bool is_about(const AuditRow *row, const char *sandbox)
{
        const char *slash = strrchr(row->object, '/');

        return g_str_equal(row->sandbox_id, sandbox) || g_str_equal(row->sandbox_name, sandbox) ||
               g_str_equal(slash ? slash + 1 : row->object, sandbox);
}

bool audit_filter_matches(const AuditFilter *filter, const AuditRow *row)
{
        uint64_t until_usec = filter->until_usec ? filter->until_usec : UINT64_MAX;
        uint64_t last_seq = filter->last_seq ? filter->last_seq : UINT64_MAX;

        return row->seq >= filter->first_seq && row->seq <= last_seq &&
               row->time_usec >= filter->since_usec && row->time_usec <= until_usec &&
               (!filter->object || ends_with_part(row->object, filter->object)) &&
               (!filter->sandbox || is_about(row, filter->sandbox)) &&
               (!filter->kind || is_of_kind(row->kind, filter->kind)) &&
               (!filter->agent || g_str_equal(row->agent, filter->agent)) &&
               (!filter->phase || g_str_equal(row->phase, filter->phase)) &&
               (!filter->error || g_str_equal(row->error, filter->error)) &&
               (!filter->has_caller_uid || row->caller_uid == filter->caller_uid) &&
               (!filter->has_reader_uid || row->caller_uid == filter->reader_uid ||
                row->owner_uid == filter->reader_uid);
}

/* -- what was begun -------------------------------------------------------------------------- */

static int query_open(Store *s, const char *conditions, const AuditFilter *filter, AuditEach each,
                      void *userdata, Fault *f)
{
        g_autofree char *rows = audit_select();
        g_autofree char *sql = g_strconcat(rows, conditions, NULL);
        sqlite3_stmt *statement;
        int r = sql_prepare(s, sql, &statement, f);

        return r < 0 ? r
                     : audit_each_row(s, statement, bind_filter(statement, filter), each, userdata,
                                      f);
}

int store_find_open_audit(Store *s, const char *kind, const char *object, AuditEach each,
                          void *userdata, Fault *f)
{
        return query_open(s,
                          " WHERE seq IN (SELECT seq FROM audit_open) AND +kind = :kind"
                          " AND object = :object ORDER BY seq DESC LIMIT 1",
                          &(AuditFilter){.kind = kind, .object = object}, each, userdata, f);
}

int store_query_open_audit(Store *s, AuditEach each, void *userdata, Fault *f)
{
        return query_open(s, " WHERE seq IN (SELECT seq FROM audit_open) ORDER BY seq",
                          &(AuditFilter){0}, each, userdata, f);
}

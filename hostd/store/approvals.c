/* SPDX-License-Identifier: MIT */
#include "store/sql.h"

static const SqlColumn columns[] = {
        SQL_COLUMN(ApprovalRow, id),
        SQL_COLUMN(ApprovalRow, action),
        SQL_COLUMN(ApprovalRow, state),
        SQL_COLUMN(ApprovalRow, reason),
        SQL_COLUMN(ApprovalRow, urgency),
        SQL_COLUMN(ApprovalRow, agent),
        SQL_COLUMN(ApprovalRow, sandbox_id),
        SQL_COLUMN(ApprovalRow, content),
        SQL_COLUMN(ApprovalRow, sha256),
        SQL_COLUMN(ApprovalRow, requested_content),
        SQL_COLUMN(ApprovalRow, requested_sha256),
        SQL_COLUMN(ApprovalRow, requester_uid),
        SQL_COLUMN(ApprovalRow, requester),
        SQL_COLUMN(ApprovalRow, requester_login_uid),
        SQL_COLUMN(ApprovalRow, requester_session),
        SQL_COLUMN(ApprovalRow, created_usec),
        SQL_COLUMN(ApprovalRow, expires_usec),
        SQL_COLUMN(ApprovalRow, is_notified),
        SQL_COLUMN(ApprovalRow, decided_usec),
        SQL_COLUMN(ApprovalRow, decided_by_uid),
        SQL_COLUMN(ApprovalRow, decided_by),
        SQL_COLUMN(ApprovalRow, comment),
        SQL_COLUMN(ApprovalRow, alternative),
        SQL_COLUMN(ApprovalRow, ended_usec),
};

static void free_row(void *row)
{
        (void) approval_row_free(row);
}

static const SqlTable table = SQL_TABLE(ApprovalRow, "approvals", columns, free_row);

ApprovalRow *approval_row_free(ApprovalRow *row)
{
        return sql_row_free(&table, row);
}

ApprovalRow *approval_row_copy(const ApprovalRow *row)
{
        return sql_row_copy(&table, row);
}

int store_put_approval(Store *s, const ApprovalRow *row, Fault *f)
{
        return sql_put(s, &table, row, f);
}

int store_delete_approval(Store *s, const char *id, Fault *f)
{
        return sql_delete(s, &table, id, f);
}

int store_load_approvals(Store *s, GPtrArray **ret_rows, Fault *f)
{
        return sql_load(s, &table, ret_rows, f);
}

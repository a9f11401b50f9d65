/* SPDX-License-Identifier: MIT */
#pragma once

/* Rows to put, and a directory to put them in. */

#include "store/store.h"
#include "tests/tap.h"

#include "base/file.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sqlite3.h>

static inline Id id_of(unsigned number)
{
        Id id;

        g_snprintf(id.text, sizeof id.text, "%012x", number);
        return id;
}

static inline TemplateDiskRow *new_disk(const char *target)
{
        TemplateDiskRow *disk = g_new0(TemplateDiskRow, 1);

        disk->target = g_strdup(target);
        disk->path = g_strdup_printf("/var/lib/images/%s.qcow2", target);
        disk->format = g_strdup("qcow2");
        disk->virtual_size_bytes = UINT64_C(8) << 30;
        disk->file_size_bytes = 123456789;
        disk->mtime_nsec = 1700000000123456789;
        return disk;
}

static inline void free_disk(void *disk)
{
        (void) template_disk_row_free(disk);
}

static inline TemplateRow *new_template(unsigned number)
{
        TemplateRow *row = g_new0(TemplateRow, 1);

        row->id = id_of(number);
        row->name = g_strdup_printf("template-%u", number);
        row->state = g_strdup("ready");
        row->source = g_strdup("domain:web");
        row->sha256 = g_strnfill(64, 'a');
        row->size_bytes = 5000000000;
        row->kernel = g_strdup("/boot/vmlinuz");
        row->cmdline = g_strdup("console=ttyS0 quiet \"a b\" 'c'; DROP TABLE templates; --");
        row->vcpus = 2;
        row->memory_bytes = 512 << 20;
        row->created_usec = 1700000000000001;
        row->owner_uid = 4294967295u;
        row->is_warm = true;
        row->pool = 5;
        row->disks = g_ptr_array_new_with_free_func(free_disk);
        g_ptr_array_add(row->disks, new_disk("vda"));
        g_ptr_array_add(row->disks, new_disk("vdb"));
        return row;
}

static inline SandboxRow *new_sandbox(unsigned number, unsigned template_number)
{
        SandboxRow *row = g_new0(SandboxRow, 1);

        row->id = id_of(number);
        row->name = g_strdup_printf("sandbox-%u", number);
        row->agent = g_strdup("claude");
        row->owner_uid = 1000;
        row->purpose = g_strdup("pool");
        row->state = g_strdup("ready");
        row->reason = g_strdup("because ünïcode");
        row->template_id = id_of(template_number);
        row->layer = 3;
        row->next_layer = 7;
        row->is_flat = true;
        row->started_from = g_strdup("memory");
        row->needs_identity = true;
        row->vcpus = 4;
        row->memory_bytes = UINT64_C(1) << 40;
        row->boot_timeout_usec = UINT64_MAX;
        row->idle_timeout_usec = 3600000000;
        row->created_usec = 1700000000000002;
        row->expires_usec = 1700000000000003;
        row->paused_usec = 1700000000000009;
        row->held_usec = 1700000000000010;
        row->network = g_strdup("isolated");
        row->address_number = number;
        row->ports = g_strdup("[\"127.0.0.1:8080:80/tcp\"]");
        row->labels = g_strdup("{\"task\":\"nginx\"}");
        return row;
}

static inline SnapshotRow *new_snapshot(unsigned number, unsigned sandbox_number)
{
        SnapshotRow *row = g_new0(SnapshotRow, 1);

        row->id = id_of(number);
        row->sandbox_id = id_of(sandbox_number);
        row->name = g_strdup_printf("snapshot-%u", number);
        row->layer = 2;
        row->state = g_strdup("ready");
        row->consistency = g_strdup("frozen");
        row->reason = g_strdup("");
        row->size_bytes = 65536;
        row->created_usec = 1700000000000004;
        row->memory_abi = g_strdup("QEMU 7.2, libvirt 9.0, \"kvm\"");
        row->memory_bytes = 300 << 20;
        row->is_flat = true;
        return row;
}

static inline CommandRow *new_command(unsigned number, unsigned sandbox_number)
{
        CommandRow *row = g_new0(CommandRow, 1);

        row->id = id_of(number);
        row->sandbox_id = id_of(sandbox_number);
        row->argv = g_strdup("[\"apt-get\",\"install\",\"nginx\"]");
        row->state = g_strdup("killed");
        row->reason = g_strdup("");
        row->exit_status = -1;
        row->signal = 9;
        row->pid = 4321;
        row->output_max = 1 << 20;
        row->deadline_usec = 1700000000000005;
        row->stdout_bytes = 10;
        row->stderr_bytes = 20;
        row->stderr_truncated = true;
        row->started_usec = 1700000000000006;
        row->ended_usec = 1700000000000007;
        return row;
}

static inline PlaybookRow *new_playbook(unsigned number, unsigned sandbox_number)
{
        PlaybookRow *row = g_new0(PlaybookRow, 1);

        row->id = id_of(number);
        row->name = g_strdup("site");
        row->origin = g_strdup("derived");
        row->sandbox_id = id_of(sandbox_number);
        row->sandbox_name = g_strdup_printf("sandbox-%u", sandbox_number);
        row->agent = g_strdup("claude");
        row->template_id = id_of(1);
        row->from_name = g_strdup("template");
        row->to_name = g_strdup_printf("playbook-%u", number);
        row->summary = g_strdup("nginx installed\nuser deploy added");
        row->sha256 = g_strnfill(64, 'b');
        row->size_bytes = 10240;
        row->document_bytes = 20480;
        row->allows_secrets = true;
        row->owner_uid = 1000;
        row->created_usec = 1700000000000011;
        row->verified = g_strdup("residual");
        row->verified_reason = g_strdup("because");
        row->verified_usec = 1700000000000012;
        row->residual = g_strdup("{\"format\":1}");
        return row;
}

static inline ApprovalRow *new_approval(unsigned number, unsigned sandbox_number)
{
        ApprovalRow *row = g_new0(ApprovalRow, 1);

        row->id = id_of(number);
        row->action = g_strdup("question");
        row->state = g_strdup("approved");
        row->reason = g_strdup("because");
        row->urgency = g_strdup("high");
        row->agent = g_strdup("claude");
        row->sandbox_id = id_of(sandbox_number);
        row->content = g_strdup("{\"text\":\"changed \\u0007 ünïcode\"}");
        row->sha256 = g_strnfill(64, 'b');
        row->requested_content = g_strdup("{\"text\":\"asked\"}");
        row->requested_sha256 = g_strnfill(64, 'c');
        row->requester_uid = 1000;
        row->requester = g_strdup("fluidctl[1]");
        row->requester_login_uid = UID_NONE;
        row->requester_session = g_strdup("boot/3");
        row->created_usec = 1700000000000011;
        row->expires_usec = 1700000000000012;
        row->is_notified = true;
        row->decided_usec = 1700000000000013;
        row->decided_by_uid = 1001;
        row->decided_by = g_strdup("fluidctl[2]");
        row->comment = g_strdup("go on");
        row->alternative = g_strdup("the first");
        row->ended_usec = 1700000000000014;
        return row;
}

static inline AuditRow audit_row(const char *kind, const char *object)
{
        return (AuditRow){
                .time_usec = 1700000000000008,
                .caller_uid = 1000,
                .caller = "fluidctl[1234]",
                .kind = kind,
                .phase = "begin",
                .object = object,
                .detail = "{\"name\":\"web\"}",
                .error = "",
                .owner_uid = UID_NONE,
        };
}

/* A new directory for the program's databases, in memory where there is such a place; removed by
 * test_directory_remove(). */
static inline char *test_directory_new(void)
{
        char *path = g_strdup("/dev/shm/fluid-store-XXXXXX");

        if (g_mkdtemp(path))
                return path;
        g_free(path);
        path = g_dir_make_tmp("fluid-store-XXXXXX", NULL);
        if (!path)
                tap_bail_out("cannot make a temporary directory");
        return path;
}

static inline void test_directory_remove(char *path)
{
        (void) remove_tree(path, NULL);
        g_free(path);
}

/* The store of that name; ends the program where it cannot be opened. */
static inline Store *open_store(const char *directory, const char *name)
{
        g_autofree char *path = g_build_filename(directory, name, NULL);
        Fault fault = {0};
        Store *s = NULL;

        if (store_open(path, &s, &fault) < 0)
                tap_bail_out(fault.message);
        return s;
}

/* Copies a database that no store has open. */
static inline void copy_database(const char *directory, const char *from, const char *to)
{
        g_autofree char *from_path = g_build_filename(directory, from, NULL);
        g_autofree char *to_path = g_build_filename(directory, to, NULL);
        g_autofree char *bytes = NULL;
        size_t size;

        (void) g_unlink(to_path);
        if (file_read(from_path, 64 << 20, &bytes, &size, NULL) < 0 ||
            !g_file_set_contents_full(to_path, bytes, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0600,
                                      NULL))
                tap_bail_out("cannot copy a database");
}

/* Runs SQL on a database that no store has open; the first column of the last row, or NULL. */
static inline char *run_sql(const char *directory, const char *name, const char *sql)
{
        g_autofree char *path = g_build_filename(directory, name, NULL);
        sqlite3_stmt *statement;
        char *answer = NULL;
        sqlite3 *db;

        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") !=
            SQLITE_OK)
                tap_bail_out("cannot open a database");
        while (*sql) {
                if (sqlite3_prepare_v2(db, sql, -1, &statement, &sql) != SQLITE_OK)
                        tap_bail_out(sqlite3_errmsg(db));
                while (sqlite3_step(statement) == SQLITE_ROW) {
                        g_free(answer);
                        answer = g_strdup((const char *) sqlite3_column_text(statement, 0));
                }
                if (sqlite3_finalize(statement) != SQLITE_OK)
                        tap_bail_out(sqlite3_errmsg(db));
        }
        (void) sqlite3_close(db);
        return answer;
}

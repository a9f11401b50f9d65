/* SPDX-License-Identifier: MIT */
#pragma once

/* What must survive: SQLite, one connection, one file, one row struct per table.
 *
 * Opened exclusively (locking_mode=EXCLUSIVE, journal_mode=WAL, synchronous=FULL, foreign keys on):
 * when a call returns 0 its rows are on disk. Calls are made on the loop only. On failure nothing
 * has changed, and the reason has SQLite's words: FAULT_IO, FAULT_NO_SPACE, FAULT_NO_MEMORY;
 * FAULT_EXISTS for a name that is taken, FAULT_NOT_FOUND for a row that names one that does not
 * exist, FAULT_IN_USE for the removal of what another row names, FAULT_INTERNAL for a value that
 * the table refuses.
 *
 * Rows own their strings; lists are GPtrArrays that free them, in the order in which the rows were
 * first put. A string that is not "or NULL" below is kept as "" where it is NULL; a number of
 * INT64_MAX or more comes back as UINT64_MAX. Putting inserts, or replaces the row of that id in
 * place: what refers to it stays. Deleting what is not there is no error. The tables:
 * sql/NNN-*.sql, embedded in the binary; PRAGMA user_version is the number of the last one applied.
 */

#include "base/audit-row.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/name.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Store Store;

/* Opens or creates the database `path`, runs PRAGMA quick_check, and applies missing migrations,
 * each in a transaction, after a backup beside it (path + ".before-NNN", the first missing number).
 * A damaged, empty or foreign file, one of a newer version, and a log without its database are
 * refused with FAULT_IO and what to do; a file that another process has open with FAULT_BUSY.
 * Nothing is ever recreated silently: a new database is filled as path + ".new" and then renamed.
 */
int store_open(const char *path, Store **ret, Fault *f);
Store *store_free(Store *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_free)

/* Several changes that happen together or not at all. Not nested. A call that fails in between
 * undoes itself only; where SQLite had to undo more, the calls after it and the commit fail, too.
 * References between sandboxes and snapshots are checked at the commit. store_rollback() is safe to
 * call at any time, after a failed commit, too. */
int store_begin(Store *s, Fault *f);
int store_commit(Store *s, Fault *f);
void store_rollback(Store *s);

/* -- templates ------------------------------------------------------------------------------ */

typedef struct TemplateDiskRow {
        char *target; /* "vda" */
        char *path;   /* absolute */
        char *format; /* "raw" or "qcow2" */
        uint64_t virtual_size_bytes;
        uint64_t file_size_bytes; /* with mtime: how a domain's disk is known to be unchanged */
        int64_t mtime_nsec;
} TemplateDiskRow;

typedef struct TemplateRow {
        Id id;
        char *name;   /* unique */
        char *state;  /* "importing", "ready" */
        char *source; /* "image", "domain:NAME" */
        char *sha256; /* of the first disk, "" while importing */
        uint64_t size_bytes;
        char *kernel, *initrd; /* absolute paths, or NULL */
        char *cmdline;         /* or NULL */
        char *nvram;           /* absolute path, or NULL */
        char *blueprint;       /* domain XML, or NULL */
        unsigned vcpus;
        uint64_t memory_bytes;
        uint64_t created_usec;
        unsigned owner_uid;
        bool is_warm;     /* is to be kept warm */
        unsigned pool;    /* sandboxes to be kept ready */
        GPtrArray *disks; /* of TemplateDiskRow, in order; never NULL */
} TemplateRow;

TemplateRow *template_row_free(TemplateRow *row);
TemplateDiskRow *template_disk_row_free(TemplateDiskRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateRow, template_row_free)

/* Inserts, or replaces the row of that id with its disks. */
int store_put_template(Store *s, const TemplateRow *row, Fault *f);
int store_delete_template(Store *s, const char *id, Fault *f);
int store_load_templates(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- sandboxes ------------------------------------------------------------------------------ */

typedef struct SandboxRow {
        Id id;
        char *name; /* unique per owner */
        char *agent;
        unsigned owner_uid;
        char *purpose; /* "", or what fluid keeps it for itself for: "warm", "pool" */
        char *state, *reason;
        Id template_id;
        Id head_snapshot_id; /* empty text: stands on the template */
        unsigned layer;      /* number of the layer that it writes to */
        unsigned next_layer; /* the next number that was never used */
        bool is_flat;        /* its layer stands on the template alone, whatever the head is */
        char *started_from;  /* "", "boot", "memory", "pool" */
        bool needs_identity; /* it still has that of the guest that it is a copy of */
        unsigned vcpus;
        uint64_t memory_bytes;
        uint64_t boot_timeout_usec;
        uint64_t idle_timeout_usec; /* 0: none */
        uint64_t created_usec;
        uint64_t expires_usec; /* 0: never */
        uint64_t paused_usec;  /* since when; 0: it is not */
        uint64_t held_usec; /* since when its time stands still for an approval; 0: it does not */
        char *network;
        unsigned address_number; /* in the range of its network; 0: none */
        char *ports;             /* published: a JSON array of texts */
        char *labels;            /* a JSON object of strings */
} SandboxRow;

SandboxRow *sandbox_row_free(SandboxRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SandboxRow, sandbox_row_free)

int store_put_sandbox(Store *s, const SandboxRow *row, Fault *f);
/* With its snapshots and commands. */
int store_delete_sandbox(Store *s, const char *id, Fault *f);
int store_load_sandboxes(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- snapshots ------------------------------------------------------------------------------ */

typedef struct SnapshotRow {
        Id id;
        Id sandbox_id;
        char *name; /* unique per sandbox; NULL: a hidden point, made for a diff, to be merged away
                     */
        Id parent_id; /* empty text: stands on the template */
        unsigned layer;
        char *state;       /* "creating", "ready" */
        char *consistency; /* "frozen", "crash", "off" */
        char *reason;
        uint64_t size_bytes;
        uint64_t created_usec;
        char *memory_abi;      /* what its memory image was made with, or NULL: disks only */
        uint64_t memory_bytes; /* that the image uses */
        bool is_flat;          /* its layer stands on the template alone, whatever its parent is */
} SnapshotRow;

SnapshotRow *snapshot_row_free(SnapshotRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotRow, snapshot_row_free)

int store_put_snapshot(Store *s, const SnapshotRow *row, Fault *f);
int store_delete_snapshot(Store *s, const char *id, Fault *f);
int store_load_snapshots(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- commands ------------------------------------------------------------------------------- */

typedef struct CommandRow {
        Id id;
        Id sandbox_id;
        char *argv;  /* a JSON array of strings */
        char *state; /* "running", "exited", "killed", "timed-out", "failed" */
        char *reason;
        int exit_status;
        int signal;
        int64_t pid; /* in the guest; 0: not known yet */
        uint64_t output_max;
        uint64_t deadline_usec; /* CLOCK_REALTIME; 0: none */
        uint64_t stdout_bytes, stderr_bytes;
        bool stdout_truncated, stderr_truncated;
        uint64_t started_usec, ended_usec;
} CommandRow;

CommandRow *command_row_free(CommandRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CommandRow, command_row_free)

int store_put_command(Store *s, const CommandRow *row, Fault *f);
/* The same for what is of no use after the host went down: it survives the end of this process, but
 * does not wait for the disk. Outside transactions only. */
int store_put_command_until_reboot(Store *s, const CommandRow *row, Fault *f);
int store_delete_command(Store *s, const char *id, Fault *f);
int store_load_commands(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- approvals ------------------------------------------------------------------------------ */

typedef struct ApprovalRow {
        Id id;
        char *action;  /* "question", "network", "playbook" */
        char *state;   /* "checking", "pending", "approved", "denied", "cancelled", "expired",
                          "applying", "applied", "failed" */
        char *reason;  /* of the state, in words */
        char *urgency; /* "low", "normal", "high" */
        char *agent;
        Id sandbox_id; /* empty text: about none */
        char *content; /* canonical JSON, byte for byte what the hash is of */
        char *sha256;
        char *requested_content; /* other than that where it was approved with changes */
        char *requested_sha256;
        unsigned requester_uid;
        char *requester;              /* "fluidctl[1234]" */
        unsigned requester_login_uid; /* or UID_NONE */
        char *requester_session;      /* "" where it was in none */
        uint64_t created_usec;
        uint64_t expires_usec; /* until then it has to be decided, or once approved applied */
        bool is_notified;      /* a person was told, by approval_notify */
        uint64_t decided_usec; /* by a person; 0: not yet */
        unsigned decided_by_uid;
        char *decided_by;
        char *comment, *alternative;
        uint64_t ended_usec; /* nothing more comes of it since then; 0: it may */
} ApprovalRow;

ApprovalRow *approval_row_free(ApprovalRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ApprovalRow, approval_row_free)
ApprovalRow *approval_row_copy(const ApprovalRow *row);

int store_put_approval(Store *s, const ApprovalRow *row, Fault *f);
int store_delete_approval(Store *s, const char *id, Fault *f);
int store_load_approvals(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- playbooks ------------------------------------------------------------------------------- */

typedef struct PlaybookRow {
        Id id;
        char *name;
        char *origin;  /* "derived" of a diff, or "written" by hand */
        Id sandbox_id; /* which may be gone */
        char *sandbox_name, *agent;
        Id template_id;
        char *from_name, *to_name; /* points of the sandbox: "template", or a snapshot's name */
        char *summary;             /* of the diff, in lines; or "" */
        char *sha256;              /* of the archive */
        uint64_t size_bytes, document_bytes; /* the latter 0 where it is written */
        bool allows_secrets, allows_setuid;
        unsigned owner_uid;
        uint64_t created_usec;
        char *verified; /* "no", "verifying", "exact", "exact-but-left-out", "residual", "failed" */
        char *verified_reason;
        uint64_t verified_usec; /* when that was known; 0: it is not */
        char *residual;         /* JSON: core/playbook.h; or "" */
} PlaybookRow;

PlaybookRow *playbook_row_free(PlaybookRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlaybookRow, playbook_row_free)
PlaybookRow *playbook_row_copy(const PlaybookRow *row);

int store_put_playbook(Store *s, const PlaybookRow *row, Fault *f);
int store_delete_playbook(Store *s, const char *id, Fault *f);
int store_load_playbooks(Store *s, GPtrArray **ret_rows, Fault *f);

/* -- audit ---------------------------------------------------------------------------------- */

/* Appends: sets seq and hash. Within an open transaction it joins it. The table itself refuses
 * updates, and deletions of what is in no segment. */
int store_append_audit(Store *s, AuditRow *row, Fault *f);

/* `told` is called for every row once it is on disk: with its transaction, or not at all. It must
 * not call the store. */
typedef void (*AuditTold)(const AuditRow *row, void *userdata);
void store_watch_audit(Store *s, AuditTold told, void *userdata);

typedef enum AuditOrder {
        AUDIT_NEWEST,       /* the newest `limit`, oldest of them first */
        AUDIT_NEWEST_FIRST, /* the same, newest first */
        AUDIT_OLDEST,       /* the oldest `limit`, oldest first */
} AuditOrder;

typedef struct AuditFilter {
        const char *object;  /* NULL: any; matches the path's last parts, too */
        const char *sandbox; /* id or name: all that is about it */
        const char *agent, *phase, *error;
        const char *kind; /* "sandbox.create"; all of "sandbox" or "sandbox.*" */
        bool has_caller_uid, has_reader_uid;
        unsigned caller_uid;
        unsigned reader_uid;             /* only what this user has called, or owns */
        uint64_t since_usec, until_usec; /* 0: open */
        uint64_t first_seq, last_seq;    /* 0: open */
        uint64_t limit;                  /* 0: all */
        AuditOrder order;
} AuditFilter;

/* Whether a row that was read elsewhere would be found. Of any thread. */
bool audit_filter_matches(const AuditFilter *filter, const AuditRow *row);

typedef int (*AuditEach)(const AuditRow *row, void *userdata);

/* Calls `each` for every row that matches, and is in no segment unless first_seq asks for one that
 * is not deleted yet; a negative return ends it with that, and `f` is left alone. The row's strings
 * are valid during the call only. `each` must not query. */
int store_query_audit(Store *s, const AuditFilter *filter, AuditEach each, void *userdata,
                      Fault *f);

/* Narrows first_seq and last_seq to rows that are in no segment and of about the filter's time, so
 * that a long trail can be gone through piece by piece. first_seq > last_seq: there are none. */
int store_bound_audit(Store *s, AuditFilter *filter, Fault *f);

/* The newest row that has begun that and has no end yet; `each` is not called where there is none.
 */
int store_find_open_audit(Store *s, const char *kind, const char *object, AuditEach each,
                          void *userdata, Fault *f);
/* All of them, oldest first. */
int store_query_open_audit(Store *s, AuditEach each, void *userdata, Fault *f);

/* Rows that own their strings, for another thread. */
typedef struct AuditBatch {
        GArray *rows; /* of AuditRow */
        GStringChunk *strings;
} AuditBatch;

AuditBatch *audit_batch_new(void);
AuditBatch *audit_batch_free(AuditBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AuditBatch, audit_batch_free)
void audit_batch_clear(AuditBatch *batch);
void audit_batch_add(AuditBatch *batch, const AuditRow *row);
/* The same as an AuditEach. */
int audit_batch_each(const AuditRow *row, void *batch);

/* As audit_check_row() (base/audit-row.h), for the head that the database knows of, after the
 * last row. */
char *audit_check_head(const AuditHead *last, const AuditHead *head);

/* The head of the trail (table meta): the last row that was written. */
int store_load_audit_head(Store *s, AuditHead *ret, Fault *f);

/* Up to `limit` rows behind row `after_seq`, oldest first; where `with_strays`, one that somebody
 * put before row 1 is the first. */
int store_read_audit_chain(Store *s, uint64_t after_seq, bool with_strays, unsigned limit,
                           AuditEach each, void *userdata, Fault *f);

/* Computes the chain anew from the last segment on; about 100,000 rows a second. FAULT_IO where the
 * database cannot be read; else 0, `ret_intact`, the number of rows before the first wrong one, and
 * a detail, which the caller frees: the head's hash, or the first wrong row and how it is wrong.
 * The head that the database knows of (table meta) is compared too, so that rows cut off the end
 * are found. A trail and head written anew altogether are found only against a head that was kept
 * elsewhere, as in the journal. */
int store_verify_audit(Store *s, bool *ret_intact, uint64_t *ret_rows, char **ret_detail, Fault *f);

/* A file that older rows have gone to. */
typedef struct AuditSegment {
        uint64_t first_seq, last_seq;
        uint64_t first_usec, last_usec;      /* the least and the largest time of its rows */
        char previous_hash[SHA256_HEX_SIZE]; /* of the row before its first */
        char last_hash[SHA256_HEX_SIZE];
} AuditSegment;

/* Of AuditSegment, oldest first. */
int store_load_audit_segments(Store *s, GArray **ret, Fault *f);
/* From then on its rows are read from the file. FAULT_INTERNAL where it does not follow the last
 * one, or the rows are not in the table. */
int store_put_audit_segment(Store *s, const AuditSegment *segment, Fault *f);
/* Deletes up to `limit` rows that are in segments; how many it were. */
int store_trim_audit(Store *s, unsigned limit, unsigned *ret_deleted, Fault *f);
/* How many rows the trail has that are in no segment, and the time of the oldest; 0 and 0. */
int store_measure_audit(Store *s, uint64_t *ret_rows, uint64_t *ret_oldest_usec, Fault *f);

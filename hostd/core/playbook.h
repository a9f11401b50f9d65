/* SPDX-License-Identifier: MIT */
#pragma once

/* A playbook for Ansible that makes of one point of a sandbox what another one is, and whether it
 * was seen to do so.
 *
 * One that is derived is made by fluid-diff of what the disks hold, and kept as that wrote it: the
 * archive (its form is in diff/playbook.h), whose SHA-256 is what the playbook is, and the document
 * of the diff that it was made of. Both are files below playbooks/ in the state directory, and
 * never change. They outlive the sandbox. One that is written is somebody's own
 * (core/playbook-import.c), and has no document. A row is written when its files are there; a file
 * without a row is removed at the next start. */

#include "core/manager.h"
#include "store/store.h"

/* Bytes of an archive. */
#define PLAYBOOK_ARCHIVE_MAX (UINT64_C(128) << 20)

typedef struct PlaybookSpec {
        const char *name;    /* NULL: the sandbox's */
        const char *from;    /* "template" or a snapshot's name */
        const char *to;      /* the same, or "now": then a snapshot "playbook-ID" is left there */
        bool allows_secrets; /* files that look like secrets may be in it */
        bool allows_setuid;  /* it may make set-uid and set-gid programs */
} PlaybookSpec;

typedef void (*PlaybookDone)(Playbook *playbook, int r, const Fault *f, void *userdata);

/* FAULT_DENIED, naming them, where secrets or set-uid programs would be in it that are not allowed.
 */
int playbook_export(Sandbox *s, Caller *caller, const PlaybookSpec *spec, PlaybookDone done,
                    void *userdata, Fault *f);

/* Takes over one that somebody wrote: the archive (base/playbook-archive.h) in a regular file,
 * which is duplicated. FAULT_BUSY, NOT_FOUND (a point), INVALID_ARGUMENT; in done() also
 * LIMITS_EXCEEDED and what base/playbook-archive.h says. */
typedef struct PlaybookImportSpec {
        const char *name; /* NULL: the sandbox's */
        const char *from; /* "template" or a snapshot's name; NULL: the template */
        const char *to;   /* a snapshot's name; NULL: the one on which the sandbox stands */
} PlaybookImportSpec;
int playbook_import(Sandbox *s, Caller *caller, const PlaybookImportSpec *spec, int fd,
                    PlaybookDone done, void *userdata, Fault *f);

/* Begins to replay it in a fresh sandbox, which is destroyed again, and to compare that with what
 * it was made of; playbook_wait() tells when that has ended, the row how. FAULT_BUSY, WRONG_STATE
 * (what it was made of is gone), NOT_FOUND, CONTENT_CHANGED. */
typedef struct VerifySpec {
        const char *against; /* another sandbox to compare with, of the same template; or NULL */
        const char *point;   /* a snapshot of it; NULL: where its head stands */
} VerifySpec;
int playbook_verify(Playbook *p, Caller *caller, const VerifySpec *spec, Fault *f);
/* Until it is not being verified. */
int playbook_wait(Playbook *p, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f);

/* With its files. FAULT_BUSY while it is verified. */
int playbook_remove(Playbook *p, Caller *caller, Fault *f);

/* Its record; valid until the loop goes on. */
const PlaybookRow *playbook_row(const Playbook *p);
/* NULL where there is none, whoever asks. */
Playbook *playbook_by_id(const Manager *m, const char *id);
/* It was written, not derived. */
bool playbook_is_written(const Playbook *p);
/* Its owner, approvers and root. */
bool playbook_is_visible(const Playbook *p, const Caller *caller);

/* What differed when it was verified, an item to a line, for people; "" where nothing did. */
char *playbook_residual_text(const Playbook *p);
/* What is to be said of its proof, for who has to approve it: "not verified", "exact", … and the
 * items below. */
char *playbook_replay_text(const Playbook *p);

/* A sealed copy of the archive, read from its start, whose SHA-256 is the row's: else
 * FAULT_CONTENT_CHANGED. It is read and hashed before this returns. */
int playbook_open(const Playbook *p, int *ret_fd, Fault *f);
/* The files themselves, to be read only. */
int playbook_open_archive(const Playbook *p, int *ret_fd, Fault *f);
/* FAULT_NOT_FOUND where it was written. */
int playbook_open_document(const Playbook *p, int *ret_fd, Fault *f);
/* What Ansible said when it was last verified. FAULT_NOT_FOUND where it never was. */
int playbook_open_log(const Playbook *p, int *ret_fd, Fault *f);
/* The residual as JSON (diff/residual.h), in a file of its own. FAULT_NOT_FOUND where there is
 * none. */
int playbook_open_residual(const Playbook *p, int *ret_fd, Fault *f);

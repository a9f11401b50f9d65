-- SPDX-License-Identifier: MIT
-- Playbooks that somebody wrote by hand, beside those that are derived: they are of no diff.

CREATE TABLE playbooks_new (
        id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        name            TEXT    NOT NULL CHECK (name <> ''),
        origin          TEXT    NOT NULL CHECK (origin IN ('derived', 'written')),
        sandbox_id      TEXT    NOT NULL CHECK (length(sandbox_id) = 12),
        sandbox_name    TEXT    NOT NULL,
        agent           TEXT    NOT NULL,
        template_id     TEXT    NOT NULL CHECK (length(template_id) = 12),
        from_name       TEXT    NOT NULL CHECK (from_name <> ''),
        to_name         TEXT    NOT NULL CHECK (to_name <> ''),
        summary         TEXT    NOT NULL,
        sha256          TEXT    NOT NULL CHECK (length(sha256) = 64),
        size_bytes      INTEGER NOT NULL CHECK (size_bytes > 0),
        document_bytes  INTEGER NOT NULL CHECK ((document_bytes > 0) = (origin = 'derived')),
        allows_secrets  INTEGER NOT NULL CHECK (allows_secrets IN (0, 1)),
        allows_setuid   INTEGER NOT NULL CHECK (allows_setuid IN (0, 1)),
        owner_uid       INTEGER NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967295),
        created_usec    INTEGER NOT NULL CHECK (created_usec >= 0),
        verified        TEXT    NOT NULL CHECK (verified IN ('no', 'verifying', 'exact', 'exact-but-left-out',
                                'residual', 'failed')),
        verified_reason TEXT    NOT NULL,
        verified_usec   INTEGER NOT NULL CHECK (verified_usec >= 0), -- when that was known; 0: it is not
        residual        TEXT    NOT NULL                             -- JSON, or empty
) STRICT;

INSERT INTO playbooks_new
SELECT id, name, 'derived', sandbox_id, sandbox_name, agent, template_id, from_name, to_name, summary, sha256,
       size_bytes, document_bytes, allows_secrets, allows_setuid, owner_uid, created_usec, verified,
       verified_reason, verified_usec, residual
FROM playbooks ORDER BY rowid;

DROP TABLE playbooks;
ALTER TABLE playbooks_new RENAME TO playbooks;

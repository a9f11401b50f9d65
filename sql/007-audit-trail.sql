-- SPDX-License-Identifier: MIT
-- What a row of the audit trail is about, which row it ends, and rows that left for sealed files.
--
-- Rows of before keep the values below, which their hashes do not cover: hostd/store/store.h.

ALTER TABLE audit ADD COLUMN sandbox_id   TEXT NOT NULL DEFAULT ''; -- '': about none
ALTER TABLE audit ADD COLUMN sandbox_name TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN agent        TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN owner_uid    INTEGER NOT NULL DEFAULT 4294967295; -- the last: nobody
ALTER TABLE audit ADD COLUMN begin_seq    INTEGER NOT NULL DEFAULT 0; -- of the row that it ends; 0: none

CREATE INDEX audit_by_sandbox ON audit (sandbox_id);
CREATE INDEX audit_by_sandbox_name ON audit (sandbox_name);
CREATE INDEX audit_by_agent ON audit (agent);
-- Who may read it without having called.
CREATE INDEX audit_by_owner ON audit (owner_uid) WHERE owner_uid <> caller_uid;

-- The rows that have begun something of which the end is not written yet.
CREATE TABLE audit_open (
        seq INTEGER NOT NULL PRIMARY KEY
) STRICT;

INSERT INTO audit_open
SELECT seq FROM (SELECT max(seq) AS seq, phase FROM audit GROUP BY kind, object) WHERE phase = 'begin';

-- The files that older rows have gone to, without a gap: state_directory/audit/FIRST-LAST.jsonl
CREATE TABLE audit_segments (
        first_seq     INTEGER NOT NULL PRIMARY KEY,
        last_seq      INTEGER NOT NULL UNIQUE CHECK (last_seq >= first_seq),
        first_usec    INTEGER NOT NULL, -- the least and the largest time of its rows
        last_usec     INTEGER NOT NULL,
        previous_hash TEXT    NOT NULL CHECK (length(previous_hash) = 64), -- of the row before its first
        last_hash     TEXT    NOT NULL CHECK (length(last_hash) = 64)
) STRICT;

-- A row that is in a segment may go, and no other.
DROP TRIGGER audit_is_never_deleted;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
WHEN OLD.seq > (SELECT coalesce(max(last_seq), 0) FROM audit_segments)
BEGIN
        SELECT raise(ABORT, 'the audit trail is append-only');
END;

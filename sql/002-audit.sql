-- SPDX-License-Identifier: MIT
-- The audit trail: append-only, each row's hash covers the row before it; hostd/store/store.h says
-- how.

CREATE TABLE audit (
        seq        INTEGER NOT NULL PRIMARY KEY, -- 1, 2, … without a gap
        time_usec  INTEGER NOT NULL,
        caller_uid INTEGER NOT NULL,
        caller     TEXT    NOT NULL,
        kind       TEXT    NOT NULL,
        phase      TEXT    NOT NULL CHECK (phase IN ('begin', 'done', 'failed', 'refused')),
        object     TEXT    NOT NULL,
        detail     TEXT    NOT NULL,
        error      TEXT    NOT NULL,
        hash       TEXT    NOT NULL,
        -- What follows the last "/" of object, so that an id is found by an index.
        object_id  TEXT    NOT NULL GENERATED ALWAYS AS
                   (substr(object, length(rtrim(object, replace(object, '/', ''))) + 1)) VIRTUAL
) STRICT;

CREATE INDEX audit_by_object ON audit (object_id);
CREATE INDEX audit_by_kind ON audit (kind);
CREATE INDEX audit_by_caller ON audit (caller_uid);
CREATE INDEX audit_by_time ON audit (time_usec);

-- Against mistakes, not against an attacker: he is found by the chain.
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
        SELECT raise(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN
        SELECT raise(ABORT, 'the audit trail is append-only');
END;

-- One row: what the database knows of itself. The head is the seq and hash of the last audit row.
CREATE TABLE meta (
        id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        audit_seq  INTEGER NOT NULL,
        audit_hash TEXT    NOT NULL CHECK (length(audit_hash) = 64)
) STRICT;

INSERT INTO meta (id, audit_seq, audit_hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

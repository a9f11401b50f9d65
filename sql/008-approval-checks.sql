-- SPDX-License-Identifier: MIT
-- Playbooks that are run in check mode before anybody is asked: approvals have a state more.

CREATE TABLE approvals_new (
        id                   TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        action               TEXT    NOT NULL CHECK (action <> ''),
        state                TEXT    NOT NULL CHECK (state IN ('checking', 'pending', 'approved', 'denied',
                                     'cancelled', 'expired', 'applying', 'applied', 'failed')),
        reason               TEXT    NOT NULL,
        urgency              TEXT    NOT NULL CHECK (urgency IN ('low', 'normal', 'high')),
        agent                TEXT    NOT NULL,
        sandbox_id           TEXT    CHECK (length(sandbox_id) = 12),
        content              TEXT    NOT NULL CHECK (content GLOB '{*}'),
        sha256               TEXT    NOT NULL CHECK (length(sha256) = 64),
        requested_content    TEXT    NOT NULL CHECK (requested_content GLOB '{*}'),
        requested_sha256     TEXT    NOT NULL CHECK (length(requested_sha256) = 64),
        requester_uid        INTEGER NOT NULL CHECK (requester_uid BETWEEN 0 AND 4294967295),
        requester            TEXT    NOT NULL,
        requester_login_uid  INTEGER NOT NULL CHECK (requester_login_uid BETWEEN 0 AND 4294967295), -- the last: none
        requester_session    TEXT    NOT NULL,
        created_usec         INTEGER NOT NULL CHECK (created_usec >= 0),
        expires_usec         INTEGER NOT NULL CHECK (expires_usec >= 0),
        is_notified          INTEGER NOT NULL CHECK (is_notified IN (0, 1)),
        decided_usec         INTEGER NOT NULL CHECK (decided_usec >= 0), -- 0: not yet
        decided_by_uid       INTEGER NOT NULL CHECK (decided_by_uid BETWEEN 0 AND 4294967295), -- the last: nobody
        decided_by           TEXT    NOT NULL,
        comment              TEXT    NOT NULL,
        alternative          TEXT    NOT NULL,
        ended_usec           INTEGER NOT NULL CHECK (ended_usec >= 0) -- nothing more comes of it since; 0: it may
) STRICT;

INSERT INTO approvals_new
SELECT id, action, state, reason, urgency, agent, sandbox_id, content, sha256, requested_content, requested_sha256,
       requester_uid, requester, requester_login_uid, requester_session, created_usec, expires_usec, is_notified,
       decided_usec, decided_by_uid, decided_by, comment, alternative, ended_usec
FROM approvals ORDER BY rowid;

DROP TABLE approvals;
ALTER TABLE approvals_new RENAME TO approvals;

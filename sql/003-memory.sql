-- SPDX-License-Identifier: MIT
-- Memory images, warm templates and their pools, pauses, and layers that stand on the template alone.
--
-- The table of sandboxes is made anew: it has another state.

CREATE TABLE sandboxes_new (
        id                TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        name              TEXT    NOT NULL CHECK (name <> ''),
        agent             TEXT    NOT NULL,
        owner_uid         INTEGER NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967295),
        purpose           TEXT    NOT NULL CHECK (purpose IN ('', 'warm', 'pool')),
        state             TEXT    NOT NULL CHECK (state IN ('creating', 'starting', 'ready', 'paused',
                                  'stopped', 'failed', 'quarantined', 'unknown', 'destroying')),
        reason            TEXT    NOT NULL,
        template_id       TEXT    NOT NULL REFERENCES templates (id),
        head_snapshot_id  TEXT    REFERENCES snapshots (id) DEFERRABLE INITIALLY DEFERRED,
        layer             INTEGER NOT NULL CHECK (layer >= 0),
        next_layer        INTEGER NOT NULL CHECK (next_layer >= 0),
        is_flat           INTEGER NOT NULL CHECK (is_flat IN (0, 1)), -- its layer stands on the template alone
        started_from      TEXT    NOT NULL CHECK (started_from IN ('', 'boot', 'memory', 'pool')),
        needs_identity    INTEGER NOT NULL CHECK (needs_identity IN (0, 1)),
        vcpus             INTEGER NOT NULL CHECK (vcpus >= 0),
        memory_bytes      INTEGER NOT NULL CHECK (memory_bytes >= 0),
        boot_timeout_usec INTEGER NOT NULL CHECK (boot_timeout_usec >= 0),
        idle_timeout_usec INTEGER NOT NULL CHECK (idle_timeout_usec >= 0), -- 0: none
        created_usec      INTEGER NOT NULL CHECK (created_usec >= 0),
        expires_usec      INTEGER NOT NULL CHECK (expires_usec >= 0), -- 0: never
        paused_usec       INTEGER NOT NULL CHECK (paused_usec >= 0), -- since when; 0: it is not
        network           TEXT    NOT NULL,
        labels            TEXT    NOT NULL CHECK (trim(labels, char(9, 10, 13, 32)) GLOB '{*}'),
        UNIQUE (owner_uid, name)
) STRICT;

INSERT INTO sandboxes_new
SELECT id, name, agent, owner_uid, '', state, reason, template_id, head_snapshot_id, layer, next_layer,
       0, 'boot', 0, vcpus, memory_bytes, boot_timeout_usec, 0, created_usec, expires_usec, 0, network, labels
FROM sandboxes ORDER BY rowid;

DROP TABLE sandboxes;
ALTER TABLE sandboxes_new RENAME TO sandboxes;
CREATE INDEX sandboxes_by_template ON sandboxes (template_id);
CREATE INDEX sandboxes_by_head ON sandboxes (head_snapshot_id);

-- What a memory image was made with, or NULL: disks only.
ALTER TABLE snapshots ADD COLUMN memory_abi TEXT CHECK (memory_abi <> '');
ALTER TABLE snapshots ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0);
ALTER TABLE snapshots ADD COLUMN is_flat INTEGER NOT NULL DEFAULT 0 CHECK (is_flat IN (0, 1));

-- Whether it is kept warm, and how many sandboxes are kept ready.
ALTER TABLE templates ADD COLUMN is_warm INTEGER NOT NULL DEFAULT 0 CHECK (is_warm IN (0, 1));
ALTER TABLE templates ADD COLUMN pool INTEGER NOT NULL DEFAULT 0 CHECK (pool >= 0);

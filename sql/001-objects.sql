-- SPDX-License-Identifier: MIT
-- Templates, sandboxes, snapshots and commands: what exists on this host.
--
-- Times are microseconds since 1970 (CLOCK_REALTIME), sizes are bytes; the largest integer stands
-- for "without end". Labels and argv are JSON. An id that may be absent is NULL. References between
-- sandboxes and snapshots are deferred: within a transaction the order of changes does not matter.

PRAGMA application_id = 0x666c7569; -- "flui"

CREATE TABLE templates (
        id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        name         TEXT    NOT NULL UNIQUE CHECK (name <> ''),
        state        TEXT    NOT NULL CHECK (state IN ('importing', 'ready')),
        source       TEXT    NOT NULL, -- 'image' or 'domain:NAME'
        sha256       TEXT    NOT NULL CHECK (length(sha256) IN (0, 64)),
        size_bytes   INTEGER NOT NULL CHECK (size_bytes >= 0),
        kernel       TEXT,
        initrd       TEXT,
        cmdline      TEXT,
        nvram        TEXT,
        blueprint    TEXT,             -- domain XML
        vcpus        INTEGER NOT NULL CHECK (vcpus >= 0),
        memory_bytes INTEGER NOT NULL CHECK (memory_bytes >= 0),
        created_usec INTEGER NOT NULL CHECK (created_usec >= 0),
        owner_uid    INTEGER NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967295)
) STRICT;

CREATE TABLE template_disks (
        template_id        TEXT    NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
        position           INTEGER NOT NULL CHECK (position >= 0), -- 0: it is booted from
        target             TEXT    NOT NULL,
        path               TEXT    NOT NULL CHECK (path GLOB '/*'),
        format             TEXT    NOT NULL CHECK (format IN ('raw', 'qcow2')),
        virtual_size_bytes INTEGER NOT NULL CHECK (virtual_size_bytes >= 0),
        file_size_bytes    INTEGER NOT NULL CHECK (file_size_bytes >= 0),
        mtime_nsec         INTEGER NOT NULL,
        PRIMARY KEY (template_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE sandboxes (
        id                TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        name              TEXT    NOT NULL CHECK (name <> ''),
        agent             TEXT    NOT NULL,
        owner_uid         INTEGER NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967295),
        state             TEXT    NOT NULL CHECK (state IN ('creating', 'starting', 'ready',
                                  'stopped', 'failed', 'quarantined', 'unknown', 'destroying')),
        reason            TEXT    NOT NULL,
        template_id       TEXT    NOT NULL REFERENCES templates (id),
        head_snapshot_id  TEXT    REFERENCES snapshots (id) DEFERRABLE INITIALLY DEFERRED,
        layer             INTEGER NOT NULL CHECK (layer >= 0),
        next_layer        INTEGER NOT NULL CHECK (next_layer >= 0),
        vcpus             INTEGER NOT NULL CHECK (vcpus >= 0),
        memory_bytes      INTEGER NOT NULL CHECK (memory_bytes >= 0),
        boot_timeout_usec INTEGER NOT NULL CHECK (boot_timeout_usec >= 0),
        created_usec      INTEGER NOT NULL CHECK (created_usec >= 0),
        expires_usec      INTEGER NOT NULL CHECK (expires_usec >= 0), -- 0: never
        network           TEXT    NOT NULL,
        labels            TEXT    NOT NULL CHECK (trim(labels, char(9, 10, 13, 32)) GLOB '{*}'),
        UNIQUE (owner_uid, name)
) STRICT;

CREATE INDEX sandboxes_by_template ON sandboxes (template_id);
CREATE INDEX sandboxes_by_head ON sandboxes (head_snapshot_id);

CREATE TABLE snapshots (
        id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        sandbox_id   TEXT    NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
        name         TEXT    CHECK (name <> ''), -- NULL: a hidden point, made for a diff
        parent_id    TEXT    REFERENCES snapshots (id) DEFERRABLE INITIALLY DEFERRED,
        layer        INTEGER NOT NULL CHECK (layer >= 0),
        state        TEXT    NOT NULL CHECK (state IN ('creating', 'ready')),
        consistency  TEXT    NOT NULL CHECK (consistency IN ('frozen', 'crash', 'off')),
        reason       TEXT    NOT NULL,
        size_bytes   INTEGER NOT NULL CHECK (size_bytes >= 0),
        created_usec INTEGER NOT NULL CHECK (created_usec >= 0),
        UNIQUE (sandbox_id, name)
) STRICT;

CREATE INDEX snapshots_by_parent ON snapshots (parent_id);

CREATE TABLE commands (
        id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
        sandbox_id       TEXT    NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
        argv             TEXT    NOT NULL CHECK (trim(argv, char(9, 10, 13, 32)) GLOB '[[]*]'),
        state            TEXT    NOT NULL CHECK (state IN ('running', 'exited', 'killed',
                                 'timed-out', 'failed')),
        reason           TEXT    NOT NULL,
        exit_status      INTEGER NOT NULL,
        signal           INTEGER NOT NULL,
        pid              INTEGER NOT NULL, -- in the guest; 0: not known yet
        output_max       INTEGER NOT NULL CHECK (output_max >= 0),
        deadline_usec    INTEGER NOT NULL CHECK (deadline_usec >= 0), -- 0: none
        stdout_bytes     INTEGER NOT NULL CHECK (stdout_bytes >= 0),
        stderr_bytes     INTEGER NOT NULL CHECK (stderr_bytes >= 0),
        stdout_truncated INTEGER NOT NULL CHECK (stdout_truncated IN (0, 1)),
        stderr_truncated INTEGER NOT NULL CHECK (stderr_truncated IN (0, 1)),
        started_usec     INTEGER NOT NULL CHECK (started_usec >= 0),
        ended_usec       INTEGER NOT NULL CHECK (ended_usec >= 0)
) STRICT;

CREATE INDEX commands_by_sandbox ON commands (sandbox_id);

-- Version 1. One file holds everything; what order means is in the keys, so that no step sorts or scans.

-- One row: what is true of the whole file.
CREATE TABLE store (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    -- Random: positions in the events of another file are not ours.
    identity  BLOB    NOT NULL,
    -- How far the clock was moved ahead, ms; 0 outside tests.
    offset_ms INTEGER NOT NULL DEFAULT 0,
    -- The highest number of an event that was dropped to make room, or for its age.
    events_dropped INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE queue (
    -- 1 to 32,767: it is part of the keys of `ready`. 0 is the fleet, of which only the events are counted here.
    id             INTEGER PRIMARY KEY,
    name           TEXT    NOT NULL UNIQUE,
    paused_by      TEXT,
    paused_reason  TEXT,
    paused_since   INTEGER,
    -- New with each change of what is revoked here, by chance: a file that was put back gives no serial again.
    revoked_serial INTEGER NOT NULL DEFAULT 0,
    -- What lies where, kept with each step: counting a million rows would read them all.
    waiting        INTEGER NOT NULL DEFAULT 0,
    suspects       INTEGER NOT NULL DEFAULT 0,
    delayed        INTEGER NOT NULL DEFAULT 0,
    held           INTEGER NOT NULL DEFAULT 0,
    dead           INTEGER NOT NULL DEFAULT 0,
    dead_bytes     INTEGER NOT NULL DEFAULT 0,
    events         INTEGER NOT NULL DEFAULT 0,
    event_bytes    INTEGER NOT NULL DEFAULT 0,
    -- What happened since the queue exists.
    total_sent      INTEGER NOT NULL DEFAULT 0,
    total_succeeded INTEGER NOT NULL DEFAULT 0,
    total_failed    INTEGER NOT NULL DEFAULT 0,
    total_retried   INTEGER NOT NULL DEFAULT 0,
    total_dead      INTEGER NOT NULL DEFAULT 0,
    total_revoked   INTEGER NOT NULL DEFAULT 0,
    total_crashed   INTEGER NOT NULL DEFAULT 0,
    total_returned  INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO queue (id, name) VALUES (0, '');

-- Ready to be claimed. The key is queue, lane and position (see place.rs): in the order of the keys they are claimed.
CREATE TABLE ready (
    place    INTEGER PRIMARY KEY,
    -- Suspects lie in a lane of their own, so each tells the priority it came with.
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    crashes  INTEGER NOT NULL CHECK (crashes BETWEEN 0 AND 9),
    body     BLOB    NOT NULL
) STRICT;

CREATE TABLE delayed (
    arrival  INTEGER PRIMARY KEY,
    queue    INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    crashes  INTEGER NOT NULL CHECK (crashes BETWEEN 0 AND 9),
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX delayed_by_due ON delayed (queue, due, arrival);

-- One worker process at one queue, and its lease on what it holds.
CREATE TABLE session (
    -- 1 to 8,388,607: it is part of the keys of `held`. Given again once nothing is held under it: who had it before is
    -- told apart by the owner.
    id        INTEGER PRIMARY KEY,
    queue     INTEGER NOT NULL,
    -- Random per consumer: a session in a file that was put back is told from its own later self by it and the counts.
    -- Empty: it was taken from its worker, or given up.
    owner     BLOB    NOT NULL,
    node      TEXT    NOT NULL,
    -- The same for all at a queue: that of the first.
    lease_ms  INTEGER NOT NULL,
    deadline  INTEGER NOT NULL,
    -- Since when its contact is unbroken.
    since     INTEGER NOT NULL,
    -- Given up by its own worker: no crash is charged.
    retired   INTEGER NOT NULL DEFAULT 0,
    -- How many claims and finishes were made under it.
    claims    INTEGER NOT NULL DEFAULT 0,
    finishes  INTEGER NOT NULL DEFAULT 0,
    -- The last tag that was given.
    last_tag  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX session_by_queue ON session (queue, deadline);

-- Claimed. The key is session and tag; tags grow, so this is the order of the claims.
CREATE TABLE held (
    tag      INTEGER PRIMARY KEY,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    crashes  INTEGER NOT NULL CHECK (crashes BETWEEN 0 AND 9),
    -- It came from among the suspects.
    suspect  INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX held_suspects ON held (tag) WHERE suspect = 1;

CREATE TABLE dead (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    queue  INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    state  TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    body   BLOB    NOT NULL
) STRICT;
CREATE INDEX dead_by_queue ON dead (queue, id);
CREATE INDEX dead_by_age ON dead (at);

CREATE TABLE record (
    id    BLOB    NOT NULL,
    queue INTEGER NOT NULL,
    -- 1: no step overwrites it but a replay.
    final INTEGER NOT NULL,
    -- Not final and past this, it reads as REVOKED.
    expires INTEGER,
    -- Dropped from then on.
    until INTEGER NOT NULL,
    -- JSON, as on every broker.
    body  BLOB    NOT NULL,
    PRIMARY KEY (id, queue)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_by_end ON record (until);

-- Idempotency keys.
CREATE TABLE once (
    queue  INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    holder BLOB    NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_by_end ON once (until);

CREATE TABLE revoked (
    queue INTEGER NOT NULL,
    -- i<id>, t<task> or h<JSON [name, value]>.
    what  TEXT    NOT NULL,
    -- When it was revoked: what was sent later runs.
    at    INTEGER NOT NULL,
    until INTEGER NOT NULL,
    -- 1: that it is over is in its record and was told.
    told  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, what)
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_by_end ON revoked (until);

-- What steps told: one entry a step, in the form of docs/protocol.md; of the fleet as JSON. No number is given twice.
CREATE TABLE event (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    entry BLOB    NOT NULL
) STRICT;
CREATE INDEX event_by_queue ON event (queue, id);

CREATE TABLE worker (
    id    TEXT    PRIMARY KEY,
    node  TEXT    NOT NULL,
    until INTEGER NOT NULL,
    card  TEXT    NOT NULL
) STRICT;
CREATE INDEX worker_by_end ON worker (until);

CREATE TABLE task (
    name TEXT    PRIMARY KEY,
    seen INTEGER NOT NULL,
    body TEXT    NOT NULL
) STRICT;
CREATE INDEX task_by_age ON task (seen);

-- Questions to workers and their answers, each for a short while.
CREATE TABLE question (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    until INTEGER NOT NULL,
    body  BLOB    NOT NULL
) STRICT;

CREATE TABLE answer (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    reply_to TEXT    NOT NULL,
    until    INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX answer_by_asker ON answer (reply_to, id);

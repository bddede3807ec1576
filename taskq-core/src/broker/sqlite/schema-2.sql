-- Version 2. Sessions and registrations say which lifeline their process holds, so that the kernel can tell of its death.

-- Copied column by column: a build between the versions wrote a `lifeline` here and called that version 1.
DROP INDEX IF EXISTS session_by_lifeline;
CREATE TABLE session_2 (
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
    last_tag  INTEGER NOT NULL DEFAULT 0,
    -- The file whose lock its process holds, and which file that is. None: its death is known by the lease alone.
    lifeline  TEXT
) STRICT;
INSERT INTO session_2
    (id, queue, owner, node, lease_ms, deadline, since, retired, claims, finishes, last_tag)
    SELECT id, queue, owner, node, lease_ms, deadline, since, retired, claims, finishes, last_tag FROM session;
DROP TABLE session;
ALTER TABLE session_2 RENAME TO session;
CREATE INDEX session_by_queue ON session (queue, deadline);
CREATE INDEX session_by_lifeline ON session (lifeline, queue);

ALTER TABLE worker ADD COLUMN lifeline TEXT;
CREATE INDEX worker_by_lifeline ON worker (lifeline);

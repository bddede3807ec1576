//! The tables.

pub(super) const TABLAS: &str = "
CREATE TABLE actividad (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tarea   TEXT    NOT NULL UNIQUE,  -- the call that noted it: a repeat of it notes nothing
    worker  TEXT    NOT NULL,
    cuando  INTEGER NOT NULL,         -- ms since the epoch
    evento  TEXT    NOT NULL,
    detalle TEXT                      -- JSON
) STRICT;

CREATE TABLE corrida (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    tarea          TEXT    NOT NULL UNIQUE,
    inicio         INTEGER NOT NULL,  -- before the first total was read, ms since the epoch
    fin            INTEGER NOT NULL,  -- after the last one
    posicion       TEXT    NOT NULL,  -- where the next one goes on reading events
    leidos_hasta   INTEGER NOT NULL   -- events up to this time were read
) STRICT;

CREATE TABLE muestra (
    corrida   INTEGER NOT NULL REFERENCES corrida (id) ON DELETE CASCADE,
    cola      TEXT    NOT NULL,
    sent      INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    retried   INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    revoked   INTEGER NOT NULL,
    crashed   INTEGER NOT NULL,
    returned  INTEGER NOT NULL,
    PRIMARY KEY (corrida, cola)
) STRICT, WITHOUT ROWID;
";

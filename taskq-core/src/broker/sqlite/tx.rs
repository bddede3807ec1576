//! What the steps of the broker work with: a view of the file for reading, and a transaction for changing it.

use std::collections::BTreeMap;
use std::ops::{AddAssign, ControlFlow, Deref, SubAssign};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::bell::{Rings, Topic};
use super::place::{MAX_QUEUES, QueueId};
use super::revoked::Known;
use super::schema;
use super::trouble::trouble;
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// The file as one moment shows it.
#[derive(Debug)]
pub(super) struct View<'c> {
    connection: &'c Connection,
    path: &'c Path,
    revoked: &'c Known,
    now: u64,
}

impl<'c> View<'c> {
    /// To be called inside a transaction: what is read then is of one moment.
    ///
    /// # Errors
    /// The file is not of this version any more, or in trouble.
    pub(super) fn new(
        connection: &'c Connection,
        path: &'c Path,
        revoked: &'c Known,
    ) -> Result<Self, Error> {
        let mut view = Self {
            connection,
            path,
            revoked,
            now: 0,
        };
        let version = view.one("PRAGMA user_version", (), |row| row.get(0))?;
        schema::still(version, path)?;
        let ahead: i64 = view.one("SELECT offset_ms FROM store WHERE one = 1", (), |row| {
            row.get(0)
        })?;
        view.now = now_ms().saturating_add(u64::try_from(ahead).unwrap_or(0));
        Ok(view)
    }

    /// The broker's time: ms since the epoch.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The same, as it stands in columns.
    pub(super) fn now_column(&self) -> i64 {
        column(self.now)
    }

    /// What this connection knows of what is revoked.
    pub(super) fn known_revoked(&self) -> &'c Known {
        self.revoked
    }

    /// A queue that is known.
    pub(super) fn known(&self, name: &QueueName) -> Result<Option<QueueId>, Error> {
        let sql = "SELECT id FROM queue WHERE name = ?1";
        self.maybe(sql, [name.as_str()], |row| row.get(0).map(QueueId))
    }

    /// The one row that `sql` answers.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut statement = self.prepared(sql)?;
        let row = statement.query_row(params, read);
        row.map_err(|e| self.trouble(e))
    }

    /// The row that `sql` answers, if any.
    pub(super) fn maybe<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.prepared(sql)?;
        let row = statement.query_row(params, read).optional();
        row.map_err(|e| self.trouble(e))
    }

    /// All rows that `sql` answers: to be bounded by it.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.prepared(sql)?;
        let rows = statement.query_map(params, read);
        rows.and_then(Iterator::collect)
            .map_err(|e| self.trouble(e))
    }

    /// Hands the rows that `sql` answers to `take`, one by one, until that has enough.
    pub(super) fn each<B>(
        &self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<B>>,
    ) -> Result<Option<B>, Error> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query(params).map_err(|e| self.trouble(e))?;
        while let Some(row) = rows.next().map_err(|e| self.trouble(e))? {
            if let ControlFlow::Break(end) = take(row).map_err(|e| self.trouble(e))? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// A statement for many rows: compiled once per connection.
    pub(super) fn prepared(&self, sql: &str) -> Result<rusqlite::CachedStatement<'c>, Error> {
        let statement = self.connection.prepare_cached(sql);
        statement.map_err(|e| self.trouble(e))
    }

    /// What an error of this file means.
    pub(super) fn trouble(&self, error: rusqlite::Error) -> Error {
        trouble(self.path, error)
    }
}

/// A write transaction, shared with other steps: what one of them did is undone alone if it fails.
#[derive(Debug)]
pub(super) struct Tx<'c> {
    view: View<'c>,
    changes: BTreeMap<QueueId, Counts>,
    rings: Rings,
}

impl<'c> Deref for Tx<'c> {
    type Target = View<'c>;

    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl<'c> Tx<'c> {
    pub(super) fn new(view: View<'c>) -> Self {
        Self {
            view,
            changes: BTreeMap::new(),
            rings: Rings::default(),
        }
    }

    /// Runs one statement; how many rows it changed.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let mut statement = self.prepared(sql)?;
        let changed = statement.execute(params);
        changed.map_err(|e| self.trouble(e))
    }

    /// A queue, made if there is room for one more.
    pub(super) fn queue(&self, name: &QueueName) -> Result<QueueId, Error> {
        if let Some(known) = self.known(name)? {
            return Ok(known);
        }
        let newest: Option<i64> = self.one("SELECT max(id) FROM queue", (), |row| row.get(0))?;
        if newest.unwrap_or(0) >= MAX_QUEUES {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "{} holds {MAX_QUEUES} queues and has no room for {name}: use fewer names",
                    self.path.display()
                ),
            ));
        }
        let sql = "INSERT INTO queue (name) VALUES (?1) RETURNING id";
        self.one(sql, [name.as_str()], |row| row.get(0).map(QueueId))
    }

    /// What changes in the counts of a queue: added up, and written at the end of the step.
    pub(super) fn counts(&mut self, queue: QueueId) -> &mut Counts {
        self.changes.entry(queue).or_default()
    }

    /// Who waits for this is woken once it is committed.
    pub(super) fn ring(&mut self, topic: Topic) {
        self.rings.add(topic);
    }

    /// Ends one step: its counts are written.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        for (queue, change) in std::mem::take(&mut self.changes) {
            change.write(self, queue)?;
        }
        Ok(())
    }

    /// One step failed and is undone: its counts with it.
    pub(super) fn forget(&mut self) {
        self.changes.clear();
    }

    pub(super) fn rings(&self) -> Rings {
        self.rings
    }
}

/// How one count changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change(i64);

impl Change {
    /// By how much: added up so far.
    pub(super) fn by(self) -> i64 {
        self.0
    }
}

impl AddAssign<usize> for Change {
    fn add_assign(&mut self, n: usize) {
        self.0 = self.0.saturating_add(i64::try_from(n).unwrap_or(i64::MAX));
    }
}

impl SubAssign<usize> for Change {
    fn sub_assign(&mut self, n: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(n).unwrap_or(i64::MAX));
    }
}

/// How the counts of a queue change with one step: what lies where, and what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) waiting: Change,
    pub(super) suspects: Change,
    pub(super) delayed: Change,
    pub(super) held: Change,
    pub(super) dead: Change,
    pub(super) dead_bytes: Change,
    pub(super) events: Change,
    pub(super) event_bytes: Change,
    pub(super) total_sent: Change,
    pub(super) total_succeeded: Change,
    pub(super) total_failed: Change,
    pub(super) total_retried: Change,
    pub(super) total_dead: Change,
    pub(super) total_revoked: Change,
    pub(super) total_crashed: Change,
    pub(super) total_returned: Change,
}

impl Counts {
    fn write(&self, tx: &Tx<'_>, queue: QueueId) -> Result<(), Error> {
        if *self == Self::default() {
            return Ok(());
        }
        let changes = [
            queue.0,
            self.waiting.0,
            self.suspects.0,
            self.delayed.0,
            self.held.0,
            self.dead.0,
            self.dead_bytes.0,
            self.events.0,
            self.event_bytes.0,
            self.total_sent.0,
            self.total_succeeded.0,
            self.total_failed.0,
            self.total_retried.0,
            self.total_dead.0,
            self.total_revoked.0,
            self.total_crashed.0,
            self.total_returned.0,
        ];
        let sql = "UPDATE queue SET waiting = waiting + ?2, suspects = suspects + ?3, delayed = delayed + ?4, \
                   held = held + ?5, dead = dead + ?6, dead_bytes = dead_bytes + ?7, events = events + ?8, \
                   event_bytes = event_bytes + ?9, total_sent = total_sent + ?10, \
                   total_succeeded = total_succeeded + ?11, total_failed = total_failed + ?12, \
                   total_retried = total_retried + ?13, total_dead = total_dead + ?14, \
                   total_revoked = total_revoked + ?15, total_crashed = total_crashed + ?16, \
                   total_returned = total_returned + ?17 WHERE id = ?1";
        tx.run(sql, changes).map(drop)
    }
}

/// Milliseconds and counts as SQLite stores them: what is beyond its numbers is as far as they go.
pub(super) fn column(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The way back: what was stored is never below 0.
pub(super) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

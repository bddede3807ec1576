//! Records read as docs/protocol.md or the schema describes them, by the redis crate or by SQLite alone: the judge is not
//! the judged.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use taskq_core::{State, TaskId};

use crate::error::Error;

/// What the records of a queue say of the tasks that were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// Tasks without a record.
    pub(crate) missing: u64,
    /// Records of tasks that nobody sent.
    pub(crate) unexpected: u64,
    /// Records in another state than expected.
    pub(crate) in_other_state: u64,
}

#[derive(Deserialize)]
struct Stored {
    state: State,
}

impl Records {
    /// Counts the records of a file, an id and its JSON each.
    pub(crate) fn count(
        stored: impl IntoIterator<Item = (TaskId, Vec<u8>)>,
        mut sent: HashSet<TaskId>,
        expected: State,
    ) -> Self {
        let mut records = Self::default();
        for (id, json) in stored {
            let state = serde_json::from_slice::<Stored>(&json).map(|stored| stored.state);
            records.unexpected += u64::from(!sent.remove(&id));
            records.in_other_state += u64::from(state.ok() != Some(expected));
        }
        records.missing = sent.len() as u64;
        records
    }

    /// Reads all records of `queue`; each of `sent` should have one that says `expected`.
    pub(crate) async fn read(
        connection: &mut MultiplexedConnection,
        queue: &str,
        mut sent: HashSet<TaskId>,
        expected: State,
    ) -> Result<Self, Error> {
        let mut records = Self::default();
        for bucket in buckets(connection, queue).await? {
            let (mut cursor, mut seen) = (0u64, HashSet::new());
            loop {
                let (next, pairs): (u64, Vec<(String, String)>) = redis::cmd("HSCAN")
                    .arg(&bucket)
                    .arg(cursor)
                    .arg(&["COUNT", "5000"])
                    .query_async(connection)
                    .await?;
                for (id, json) in pairs {
                    let Ok(id) = id.parse::<TaskId>() else {
                        records.unexpected += 1;
                        continue;
                    };
                    // A scan may show an entry twice.
                    if !seen.insert(id) {
                        continue;
                    }
                    let state = serde_json::from_str::<Stored>(&json).map(|stored| stored.state);
                    records.unexpected += u64::from(!sent.remove(&id));
                    records.in_other_state += u64::from(state.ok() != Some(expected));
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        records.missing = sent.len() as u64;
        Ok(records)
    }
}

async fn buckets(
    connection: &mut MultiplexedConnection,
    queue: &str,
) -> Result<HashSet<String>, Error> {
    let (mut cursor, mut keys) = (0u64, HashSet::new());
    loop {
        let (next, some): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("taskq:{{{queue}}}:records:*"))
            .arg(&["COUNT", "1000"])
            .query_async(connection)
            .await?;
        keys.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(keys);
        }
    }
}

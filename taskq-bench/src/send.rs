//! Sends: how many calls concurrent senders of one process get accepted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use taskq_core::{State, TaskId};

use crate::error::Error;
use crate::records::Records;
use crate::row::Run;
use crate::server::Server;
use crate::tasks::noop;

/// So many beside each other.
pub(crate) const SENDERS: usize = 64;

/// Accepted calls per second: each of the `senders` sends the next when its last was accepted.
pub(crate) async fn accepted(
    server: &mut Server,
    count: u32,
    tracked: bool,
    senders: usize,
) -> Result<Run, Error> {
    server.clear().await?;
    let client = server.client();
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let senders: Vec<_> = (0..senders)
        .map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut ids = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok::<_, Error>(ids);
                    }
                    let call = noop::call(index).ignore_result(!tracked);
                    ids.push(client.send(call).await?.id());
                }
            })
        })
        .collect();
    let mut ids: HashSet<TaskId> = HashSet::with_capacity(count as usize);
    let mut all = Vec::with_capacity(senders.len());
    for sender in senders {
        let sent = sender.await;
        all.push(sent.map_err(|e| Error::failed(format!("a sender broke off: {e}")))??);
    }
    let took = began.elapsed();
    ids.extend(all.into_iter().flatten());
    let waiting = server.depth().await?.waiting;
    let count = u64::from(count);
    if ids.len() as u64 != count || waiting != count {
        return Err(Error::failed(format!(
            "{count} calls were accepted under {} ids, {waiting} of them wait",
            ids.len()
        )));
    }
    if tracked {
        let records = server.records(ids, State::Queued).await?;
        if records != Records::default() {
            return Err(Error::failed(format!(
                "{count} calls were accepted, but of their records {} are missing, {} of nobody, {} not QUEUED",
                records.missing, records.unexpected, records.in_other_state
            )));
        }
    }
    Ok(Run {
        figure: count as f64 / took.as_secs_f64(),
        ..Run::default()
    })
}

//! The finisher: verdicts of one queue to the broker, what has gathered in one batch.

use std::sync::Arc;

use taskq_core::QueueName;
use taskq_core::broker::{Consumer, End, Verdict};
use tokio::sync::mpsc;

use crate::error::RunError;
use crate::ledger::{Ledger, Settled};

/// The most verdicts in one batch.
const MOST: usize = 999;
/// The most bytes in one batch beyond its first verdict.
const MOST_BYTES: usize = 1 << 20;

/// Where a queue that comes in addition gets its finisher.
pub(crate) type Opened = mpsc::UnboundedSender<(QueueName, mpsc::Receiver<Settled>)>;

/// Finishes the deliveries of one queue.
#[derive(Debug)]
pub(crate) struct Finisher {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) queue: QueueName,
    pub(crate) verdicts: mpsc::Receiver<Settled>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Finisher {
    /// Finishes until dropped. The first verdict goes at once; what comes while it is under way goes together.
    ///
    /// A batch that the broker refuses for good ends the worker: its sessions close, and the messages run again
    /// elsewhere instead of being held by nobody's knowledge.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let mut gathered = Vec::with_capacity(MOST);
        while self.verdicts.recv_many(&mut gathered, MOST).await > 0 {
            let mut rest = gathered.drain(..).peekable();
            while let Some(first) = rest.next() {
                let mut bytes = 0;
                let mut batch = Vec::with_capacity(rest.len() + 1);
                let mut rooms = Vec::with_capacity(rest.len() + 1);
                let mut put = |settled: Settled| {
                    let (verdict, room) = settled.split();
                    batch.push(verdict);
                    rooms.push(room);
                };
                put(first);
                while let Some(next) = rest.next_if(|s| {
                    bytes += weight(s.verdict());
                    bytes <= MOST_BYTES
                }) {
                    put(next);
                }
                self.finish(batch).await?;
                // Acknowledged: there is room for as many again.
                drop(rooms);
            }
        }
        Ok(())
    }

    async fn finish(&self, batch: Vec<Verdict>) -> Result<(), RunError> {
        let sent = batch.len();
        let finished = self
            .consumer
            .finish(&self.queue, batch)
            .await
            .inspect_err(|e| {
                tracing::error!(queue = %self.queue, "{sent} verdicts were refused: {e}");
            })?;
        if finished.lost > 0 {
            self.ledger.count_lost(finished.lost);
            tracing::warn!(
                queue = %self.queue,
                lost = finished.lost,
                "{} of {sent} verdicts did not count: the session had been lost; the messages are with another worker, or the broker has lost them",
                finished.lost
            );
        }
        Ok(())
    }
}

/// About how many bytes a verdict takes on its way.
fn weight(verdict: &Verdict) -> usize {
    let body = match &verdict.end {
        End::Retry { body, .. } => body.len(),
        End::Dead { reason, .. } => reason.len(),
        End::Done | End::Snooze(_) | End::Return | End::Revoked(_) => 0,
    };
    let record = verdict.record.as_ref().map_or(0, |r| {
        let result = r.result.as_ref().map_or(0, |raw| raw.get().len());
        let error = r.error.as_ref().map_or(0, |e| {
            e.message.len() + e.chain.iter().map(String::len).sum::<usize>()
        });
        256 + result + error
    });
    let event = verdict.event.as_ref().map_or(0, |e| {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |t| t.len());
        64 + text(&e.said) + text(&e.traceback)
    });
    64 + body + record + event
}

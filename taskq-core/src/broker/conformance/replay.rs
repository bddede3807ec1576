//! What a replay promises: a dead message runs anew, once, as if it had just been sent; and what dropping one leaves.

use std::time::{Duration, Instant};

use super::bench::decoded;
use super::{Bench, dead, done, failed, ids, retry, untracked};
use crate::broker::{Consumer, DeadHandle, DeadMessage, Delivery, Totals};
use crate::error::{Error, ErrorKind};
use crate::event::TaskEventKind;
use crate::id::TaskId;
use crate::message::Message;
use crate::revocation::Revocation;
use crate::state::State;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Worker = std::sync::Arc<dyn Consumer>;

impl Bench {
    /// The dead messages of the one queue, newest first.
    async fn the_dead(&self) -> Result<Vec<DeadMessage>, Error> {
        self.broker.dead(&self.queue, 0, 1_000).await
    }

    async fn handles(&self) -> Result<Vec<DeadHandle>, Error> {
        let dead = self.the_dead().await?;
        Ok(dead.into_iter().map(|d| d.handle).collect())
    }

    async fn replay(&self, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.broker.replay(&self.queue, dead).await
    }

    /// Sends a message that ends at once as FAILURE; answers its id.
    async fn bury(&self, worker: &Worker, message: &Message) -> Result<TaskId, Error> {
        self.send_message(message).await?;
        let got = self.deliver(worker, 1).await?;
        self.settle(worker, vec![failed(&got[0], "no")]).await?;
        Ok(message.id)
    }
}

fn revived(delivery: &Delivery) -> Message {
    let message = decoded(delivery);
    assert_eq!(delivery.crashes, 0, "its crashes are forgotten");
    message
}

/// What is replayed is dead no more and runs again, in the order in which it was named.
pub async fn what_is_replayed_comes_again(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let sent = bench.send(3).await?;
    let got = bench.deliver(&worker, 3).await?;
    let verdicts = got.iter().map(|d| failed(d, "no")).collect();
    bench.settle(&worker, verdicts).await?;
    let mut named = bench.the_dead().await?;
    named.sort_by_key(|d| Message::decode(&d.body).map(|m| m.id).ok());
    let handles: Vec<_> = named.into_iter().map(|d| d.handle).take(2).collect();
    assert_eq!(
        bench
            .connect()
            .await?
            .replay(&bench.queue, &handles)
            .await?,
        2
    );
    let depth = bench.depth().await?;
    assert_eq!((depth.dead, depth.waiting), (1, 2));
    assert_eq!(ids(&bench.deliver(&worker, 2).await?), sent[..2]);
    bench.nothing_for(&worker).await
}

/// It has all its retries again, is due at once and does not expire; everything else is as it was sent.
pub async fn a_replayed_message_begins_anew(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let now = bench.broker_time().await?;
    let mut message = Bench::message(7)?;
    message.priority = 3;
    message.max_retries = Some(1);
    message.expires = Some(now + 3_600_000);
    message.headers.insert("tenant".into(), "a".into());
    bench.send_message(&message).await?;
    let got = bench.deliver(&worker, 1).await?;
    let mut again = decoded(&got[0]);
    again.retries = 1;
    again.eta = Some(now + 60_000);
    let body = again.encode()?.into();
    bench
        .settle(&worker, vec![retry(&got[0], MINUTE, body)])
        .await?;
    bench.pass(MINUTE, &[&worker]).await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.settle(&worker, vec![failed(&got[0], "no")]).await?;
    // Long past its expiry.
    bench.advance(MINUTE * 120).await?;
    let worker = bench.consumer().await?;
    assert_eq!(bench.replay(&bench.handles().await?).await?, 1);
    let got = bench.deliver(&worker, 1).await?;
    let message = revived(&got[0]);
    assert_eq!((message.retries, message.max_retries), (0, Some(1)));
    assert_eq!((message.eta, message.expires), (None, None));
    assert_eq!(message.args.map(|a| a.get().to_owned()), Some("[7]".into()));
    assert_eq!(message.headers.get("tenant").map(String::as_str), Some("a"));
    Ok(())
}

/// It waits among those of its priority.
pub async fn a_replay_keeps_the_priority(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let mut urgent = Bench::message(0)?;
    urgent.priority = 8;
    bench.bury(&worker, &urgent).await?;
    bench.send(2).await?;
    bench.replay(&bench.handles().await?).await?;
    let got = bench.deliver(&worker, 1).await?;
    assert_eq!((ids(&got), got[0].priority), (vec![urgent.id], 8));
    Ok(())
}

/// What died by crashes is no suspect when it is replayed.
pub async fn a_replay_forgets_the_crashes(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(2);
    bench.send_message(&message).await?;
    let heir = bench.consumer().await?;
    for _ in 0..2 {
        let silent = bench.consumer().await?;
        bench.deliver(&silent, 1).await?;
        bench.reclaim(&heir).await?;
    }
    assert_eq!(bench.state(message.id).await?, Some(State::Dead));
    bench.replay(&bench.handles().await?).await?;
    assert_eq!(bench.depth().await?.suspects, 0);
    let got = bench.deliver(&heir, 1).await?;
    assert_eq!((got[0].crashes, got[0].suspect), (0, false));
    Ok(())
}

/// Its record reads QUEUED, of no attempt; and what the new run comes to is written over it, whatever its id.
pub async fn the_record_of_what_is_replayed_begins_anew(bench: Bench) -> Result<(), Error> {
    let mut foreign = Bench::message(1)?;
    foreign.id = "0198c0de-0000-4000-8000-000000000001".parse()?;
    for message in [Bench::message(0)?, foreign] {
        let id = bench.bury(&bench.consumer().await?, &message).await?;
        // A failure outlives the day in which others are kept.
        bench.advance(MINUTE * 60 * 25).await?;
        let worker = bench.consumer().await?;
        worker.sweep().await?;
        assert_eq!(bench.state(id).await?, Some(State::Failure));
        bench.replay(&bench.handles().await?).await?;
        let record = bench.record(id).await?;
        assert_eq!((record.state, record.attempts), (State::Queued, 0));
        assert!(record.error.is_none() && record.finished.is_none());
        assert_eq!(record.task, "conformance.task");
        let got = bench.deliver(&worker, 1).await?;
        bench.settle(&worker, vec![done(&got[0])]).await?;
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    Ok(())
}

/// What is not tracked gets no record by a replay.
pub async fn a_replay_of_the_untracked_writes_no_record(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let mut quiet = Bench::message(0)?;
    quiet.ignore_result = true;
    bench.send_message(&quiet).await?;
    let got = bench.deliver(&worker, 1).await?;
    let verdict = untracked(failed(&got[0], "no"));
    bench.settle(&worker, vec![verdict]).await?;
    assert_eq!(bench.replay(&bench.handles().await?).await?, 1);
    assert_eq!(bench.state(quiet.id).await?, None);
    Ok(())
}

/// A success under the same id stands: the message runs again, its record does not change.
pub async fn a_replay_overwrites_no_success(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    bench.send_message(&message).await?;
    let got = bench.deliver(&worker, 2).await?;
    bench.settle(&worker, vec![done(&got[0])]).await?;
    bench.settle(&worker, vec![dead(&got[1], "no")]).await?;
    assert_eq!(bench.replay(&bench.handles().await?).await?, 1);
    assert_eq!(bench.state(message.id).await?, Some(State::Success));
    Ok(())
}

/// What is replayed, or named, twice comes once.
pub async fn what_is_replayed_twice_comes_once(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    bench.bury(&worker, &Bench::message(0)?).await?;
    let handle = bench.handles().await?.remove(0);
    assert_eq!(bench.replay(&[handle.clone(), handle.clone()]).await?, 1);
    assert_eq!(bench.replay(&[handle]).await?, 0);
    bench.deliver(&worker, 1).await?;
    bench.nothing_for(&worker).await
}

/// Dead messages that say the same are dead each for itself.
pub async fn equal_dead_messages_are_told_apart(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    bench.send_message(&message).await?;
    let got = bench.deliver(&worker, 2).await?;
    let verdicts = got.iter().map(|d| dead(d, "no")).collect();
    bench.settle(&worker, verdicts).await?;
    let handles = bench.handles().await?;
    assert_eq!(bench.replay(&handles[..1]).await?, 1);
    assert_eq!(bench.handles().await?, handles[1..]);
    Ok(())
}

/// What no worker can read is refused by its name, and with it all it was named with; nothing is moved.
pub async fn what_can_not_be_read_is_not_replayed(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let id = bench.bury(&worker, &Bench::message(0)?).await?;
    let broken = r#"{"id":"0198c0de-0000-7000-8000-00000000dead","task":7}"#;
    bench.push_raw(0, broken.as_bytes()).await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.settle(&worker, vec![dead(&got[0], "no")]).await?;
    let refused = bench.replay(&bench.handles().await?).await;
    let error = refused.expect_err("it can not be read");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("0198c0de-0000-7000-8000-00000000dead"),
        "{error}"
    );
    let depth = bench.depth().await?;
    assert_eq!((depth.dead, depth.waiting), (2, 0));
    assert_eq!(bench.state(id).await?, Some(State::Failure));
    Ok(())
}

/// More than 999 at once are refused, and none is moved.
pub async fn a_replay_is_bounded(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    bench.bury(&worker, &Bench::message(0)?).await?;
    let many = vec![bench.handles().await?.remove(0); 1_000];
    for refused in [
        bench.replay(&many).await,
        bench.broker.discard(&bench.queue, &many).await,
    ] {
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::TooLarge));
    }
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// What was revoked while it was dead, by its id or with its task, runs when it is replayed after that.
pub async fn a_replay_ends_a_revocation(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let message = Bench::message(0)?;
    let id = bench.bury(&worker, &message).await?;
    let what = [Revocation::Id(id), Revocation::Task(message.task)];
    bench.broker.revoke(&bench.queue, &what).await?;
    bench.pass(SECOND, &[&worker]).await?;
    bench.replay(&bench.handles().await?).await?;
    let got = bench.deliver(&worker, 1).await?;
    assert!(!got[0].revoked.covers(&decoded(&got[0])));
    // The task's other calls are revoked as before.
    assert!(!bench.broker.revoked(&bench.queue).await?.is_empty());
    Ok(())
}

/// A replay is told as sent, and counts as sent.
pub async fn a_replay_is_told_and_counts_as_sent(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let id = bench.bury(&worker, &Bench::message(7)?).await?;
    bench.replay(&bench.handles().await?).await?;
    let told = bench.told_of_tasks().await?;
    let sent: Vec<_> = told
        .iter()
        .filter(|e| e.kind == TaskEventKind::Sent)
        .collect();
    assert_eq!(sent.len(), 1, "{told:?}");
    assert_eq!((sent[0].id, sent[0].args.as_deref()), (id, Some("[7]")));
    let expected = Totals {
        sent: 2,
        failed: 1,
        ..Totals::default()
    };
    assert_eq!(bench.broker.totals(&bench.queue).await?, expected);
    Ok(())
}

/// A replay wakes a claim that waits, in one of ten tries well before its wait is over.
pub async fn a_replay_wakes_a_waiting_claim(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    bench.bury(&worker, &Bench::message(0)?).await?;
    for _ in 0..10 {
        let dead = bench.handles().await?;
        bench.nothing_for(&worker).await?;
        let began = Instant::now();
        let (got, replayed) = tokio::join!(worker.claim(1, SECOND), bench.replay(&dead));
        assert_eq!(replayed?, 1);
        let mut got = got?;
        if got.len() == 1 && began.elapsed() < SECOND / 2 {
            return Ok(());
        }
        if got.is_empty() {
            got = bench.deliver(&worker, 1).await?;
        }
        bench.settle(&worker, vec![failed(&got[0], "no")]).await?;
    }
    panic!("no claim was woken while it waited");
}

/// What is dropped is gone, and counted once; its record stays.
pub async fn what_is_dropped_is_gone_and_its_record_stays(bench: Bench) -> Result<(), Error> {
    let worker = bench.consumer().await?;
    let first = bench.bury(&worker, &Bench::message(0)?).await?;
    bench.push_raw(0, b"no message").await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.settle(&worker, vec![dead(&got[0], "no")]).await?;
    let kept = bench.bury(&worker, &Bench::message(1)?).await?;
    let handles = bench.handles().await?;
    assert_eq!(bench.broker.discard(&bench.queue, &handles[1..]).await?, 2);
    assert_eq!(bench.broker.discard(&bench.queue, &handles[1..]).await?, 0);
    let left: Vec<_> = bench.the_dead().await?;
    let left = left.iter().map(|d| Message::decode(&d.body).map(|m| m.id));
    assert_eq!(left.collect::<Vec<_>>(), [Ok(kept)]);
    assert_eq!(bench.replay(&handles[1..2]).await.unwrap_or(0), 0);
    assert_eq!(bench.state(first).await?, Some(State::Failure));
    assert_eq!(bench.depth().await?.waiting, 0);
    Ok(())
}

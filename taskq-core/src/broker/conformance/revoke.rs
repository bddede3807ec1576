//! What a revocation promises: whoever claims what it covers knows, wherever it lay; its state can be told at once.

use std::time::Duration;

use super::bench::{attempt, decoded};
use super::{Bench, done, ids, revoked};
use crate::broker::{Delivery, Due, MAX_REVOKED, Verdict, Wanted};
use crate::error::{Error, ErrorKind};
use crate::event::{TaskEvent, TaskEventKind};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::revocation::Revocation;
use crate::state::State;

const SECOND_MS: u64 = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Bench {
    async fn revoke(&self, what: &[Revocation]) -> Result<(), Error> {
        self.broker.revoke(&self.queue, what).await
    }

    async fn revoke_ids(&self, ids: &[TaskId]) -> Result<(), Error> {
        let what: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
        self.revoke(&what).await
    }

    async fn mark(&self, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        self.broker.mark_revoked(&self.queue, ids).await
    }

    /// Claims all of `n` messages with a new consumer; those that shall not run.
    async fn covered(&self, n: usize) -> Result<Vec<TaskId>, Error> {
        let consumer = self.consumer().await?;
        Ok(covered(&self.deliver(&consumer, n).await?))
    }

    async fn told_revoked(&self) -> Result<Vec<TaskEvent>, Error> {
        let told = self.told_of_tasks().await?.into_iter();
        Ok(told
            .filter(|event| event.kind == TaskEventKind::Revoked)
            .collect())
    }
}

/// The ids of deliveries that shall not run, sorted.
fn covered(deliveries: &[Delivery]) -> Vec<TaskId> {
    let shall_not = |d: &&Delivery| d.revoked.covers(&decoded(d));
    let deliveries = deliveries.iter().filter(shall_not);
    let mut ids = ids(&deliveries.cloned().collect::<Vec<_>>());
    ids.sort_unstable();
    ids
}

fn telling(delivery: &Delivery, verdict: Verdict) -> Verdict {
    Verdict {
        event: Some(attempt(delivery)),
        ..verdict
    }
}

/// Of what waits, the revoked is known by whoever claims it, and nothing else.
pub async fn what_waits_is_revoked_by_its_id(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(3).await?;
    bench.revoke_ids(&sent[1..2]).await?;
    assert_eq!(bench.covered(3).await?, sent[1..2]);
    Ok(())
}

/// So it is of what is delayed, when it comes.
pub async fn what_is_delayed_is_revoked_by_its_id(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::In(HOUR * 2)).await?;
    bench.revoke_ids(&[message.id]).await?;
    bench.advance(HOUR * 3).await?;
    assert_eq!(bench.covered(1).await?, [message.id]);
    Ok(())
}

/// What failed and waits for its retry does not run again.
pub async fn what_is_to_be_retried_is_revoked_by_its_id(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.revoke_ids(&sent).await?;
    let again = super::retry(&got[0], Duration::ZERO, got[0].body.clone());
    bench.settle(&consumer, vec![again]).await?;
    assert_eq!(covered(&bench.deliver(&consumer, 1).await?), sent);
    Ok(())
}

/// The same id in another queue is another task.
pub async fn a_revocation_belongs_to_its_queue(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    let sent = bench.send_to(&other, 1).await?;
    bench.revoke_ids(&sent).await?;
    let consumer = bench.consumer_at(std::slice::from_ref(&other)).await?;
    assert!(covered(&bench.deliver(&consumer, 1).await?).is_empty());
    assert!(bench.broker.revoked(&other).await?.is_empty());
    Ok(())
}

/// A consumer that was there before, and has read what was revoked then, sees each change with its next claim.
pub async fn the_next_claim_sees_a_revocation(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for _ in 0..3 {
        let sent = bench.send(2).await?;
        bench.revoke_ids(&sent[..1]).await?;
        let got = bench.deliver(&consumer, 2).await?;
        assert_eq!(covered(&got), sent[..1]);
        bench
            .settle(&consumer, got.iter().map(done).collect())
            .await?;
    }
    Ok(())
}

/// Revoked by its task, what was sent before shall not run; what is sent later runs, and so do other tasks.
pub async fn a_task_is_revoked_for_what_was_sent_before(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    let sent = |task: &str, at: u64| {
        let mut message = Message::new(task);
        message.enqueued_at = Some(at);
        message
    };
    let before = sent("reports.daily", now - SECOND_MS);
    let other = sent("reports.weekly", now - SECOND_MS);
    let later = sent("reports.daily", now + 3_600 * SECOND_MS);
    for message in [&before, &other] {
        bench.send_message(message).await?;
    }
    bench
        .revoke(&[Revocation::Task("reports.daily".into())])
        .await?;
    bench.send_message(&later).await?;
    assert_eq!(bench.covered(3).await?, [before.id]);
    Ok(())
}

/// So it is by a header: its name and its value.
pub async fn a_header_is_revoked_for_what_was_sent_before(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    let sent = |client: Option<&str>, at: u64| -> Result<Message, Error> {
        let mut message = Bench::message(0)?;
        let headers = client.map(|client| ("client".to_owned(), client.to_owned()));
        message.headers.extend(headers);
        message.enqueued_at = Some(at);
        Ok(message)
    };
    let before = sent(Some("42"), now - SECOND_MS)?;
    let other = sent(Some("43"), now - SECOND_MS)?;
    let none = sent(None, now - SECOND_MS)?;
    let later = sent(Some("42"), now + 3_600 * SECOND_MS)?;
    for message in [&before, &other, &none, &later] {
        bench.send_message(message).await?;
    }
    let header = Revocation::Header {
        name: "client".into(),
        value: "42".into(),
    };
    bench.revoke(&[header]).await?;
    assert_eq!(bench.covered(4).await?, [before.id]);
    Ok(())
}

/// What was revoked stays so for who connects later, and can be listed by anyone.
pub async fn a_revocation_outlives_who_made_it(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    bench.consumer().await?.close().await?;
    let all = [
        Revocation::Id(sent[0]),
        Revocation::Task("reports.daily".into()),
        Revocation::Header {
            name: "client".into(),
            value: "\"42\"".into(),
        },
    ];
    let elsewhere = bench.connect().await?;
    elsewhere.revoke(&bench.queue, &all).await?;
    drop(elsewhere);
    let listed = bench.connect().await?.revoked(&bench.queue).await?;
    assert_eq!(listed.iter().next(), Some(all[0].clone()));
    for one in &all {
        assert!(listed.iter().any(|other| other == *one), "{one:?}");
    }
    assert_eq!(listed.iter().count(), all.len());
    assert_eq!(bench.covered(1).await?, sent);
    Ok(())
}

/// After a week a revocation is over: the queue's list is empty, and a claim sees nothing of it, also by who knew of it.
pub async fn a_revocation_is_over_after_a_week(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    let sent = bench.send(1).await?;
    bench.revoke_ids(&sent).await?;
    bench.advance(DAY * 6).await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(covered(&got), sent);
    bench.advance(DAY * 2).await?;
    bench
        .settle(&consumer, vec![super::return_(&got[0])])
        .await?;
    assert!(covered(&bench.deliver(&consumer, 1).await?).is_empty());
    assert!(bench.broker.revoked(&bench.queue).await?.is_empty());
    Ok(())
}

/// One of what is due later than in a week is kept until then.
pub async fn a_revocation_waits_for_what_is_due_later(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    let month = 30 * 24 * 3_600 * SECOND_MS;
    let message = Bench::message(0)?;
    let mut out = Bench::outgoing(&bench.queue, &message)?;
    out.due = Due::At(now + month);
    if let Some(record) = &mut out.record {
        (record.state, record.due) = (State::Scheduled, Some(now + month));
    }
    bench.enqueue(&[out]).await?;
    bench.revoke_ids(&[message.id]).await?;
    bench.advance(DAY * 31).await?;
    assert_eq!(bench.covered(1).await?, [message.id]);
    Ok(())
}

/// So many are kept and no more: one too many is refused, whole, and those that were there still count.
pub async fn a_full_set_refuses_and_keeps_what_it_has(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    bench.revoke_ids(&sent).await?;
    let mut room = MAX_REVOKED - 2;
    while room > 0 {
        let ids: Vec<_> = (0..room.min(999)).map(|_| TaskId::random()).collect();
        bench.revoke_ids(&ids).await?;
        room -= ids.len();
    }
    // Named twice, one takes the room of one.
    bench.revoke_ids(&[TaskId::random(); 2]).await?;
    let refused = bench.revoke_ids(&[sent[0], TaskId::random()]).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
    // One that is there needs no room.
    bench.revoke_ids(&sent).await?;
    assert_eq!(bench.covered(1).await?, sent);
    // What is past its time makes room, one by one.
    bench.advance(DAY * 4).await?;
    bench.revoke_ids(&sent).await?;
    bench.advance(DAY * 4).await?;
    bench.revoke_ids(&[TaskId::random()]).await
}

/// At most 999 at once, and no header that is too long: nothing of such a call counts.
pub async fn a_revocation_has_bounds(bench: Bench) -> Result<(), Error> {
    let many: Vec<_> = (0..1_000).map(|_| TaskId::random()).collect();
    let refused = bench.revoke_ids(&many).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    let long = Revocation::Header {
        name: "client".into(),
        value: "x".repeat(1_024),
    };
    let refused = bench.revoke(&[Revocation::Id(many[0]), long]).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    assert!(bench.broker.revoked(&bench.queue).await?.is_empty());
    Ok(())
}

/// Marked, what waits reads REVOKED at once, with the reason; it is still owed until somebody claims it.
pub async fn what_is_marked_reads_revoked_at_once(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    bench.revoke_ids(&sent[..1]).await?;
    assert_eq!(bench.mark(&sent[..1]).await?, sent[..1]);
    let record = bench.record(sent[0]).await?;
    assert_eq!(record.state, State::Revoked);
    assert!(record.finished.is_some() && record.due.is_none());
    let error = record.error.map(|e| e.kind);
    assert_eq!(error.as_deref(), Some("Revoked"));
    assert_eq!(bench.state(sent[1]).await?, Some(State::Queued));
    assert_eq!(bench.depth().await?.waiting, 2);
    Ok(())
}

/// What is due later than its record is kept for reads REVOKED until its time.
pub async fn what_is_marked_reads_revoked_until_its_time(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::In(DAY * 3)).await?;
    bench.revoke_ids(&[message.id]).await?;
    bench.mark(&[message.id]).await?;
    bench.advance(DAY * 2).await?;
    bench.consumer().await?.sweep().await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Revoked));
    Ok(())
}

/// What is final stays as it is, and what has no record gets none.
pub async fn only_what_is_not_final_is_marked(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let unknown = TaskId::random();
    bench.revoke_ids(&[sent[0], unknown]).await?;
    assert!(bench.mark(&[sent[0], unknown]).await?.is_empty());
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    assert_eq!(bench.state(unknown).await?, None);
    assert!(bench.told_revoked().await?.is_empty());
    Ok(())
}

/// What is not revoked, or not any more, is not marked: it runs.
pub async fn what_is_not_revoked_is_not_marked(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    assert!(bench.mark(&sent).await?.is_empty());
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    Ok(())
}

/// Who waits for it is woken by the mark.
pub async fn a_mark_wakes_a_watch(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let elsewhere = bench.connect().await?;
    let wanted = Wanted {
        id: sent[0],
        queue: Some(bench.queue.clone()),
    };
    let mut watch = elsewhere.watch(vec![wanted], HOUR).await?;
    bench.revoke_ids(&sent).await?;
    let (found, marked) = tokio::join!(watch.next(), bench.mark(&sent));
    marked?;
    assert_eq!(
        found?.map(|r| (r.id, r.state)),
        Some((sent[0], State::Revoked))
    );
    Ok(())
}

/// What was marked is told once: whoever claims it knows that it was told.
pub async fn what_was_marked_is_known_as_told(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    bench.revoke_ids(&sent).await?;
    bench.mark(&sent[..1]).await?;
    bench.revoke_ids(&sent).await?;
    let told = bench.told_revoked().await?;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].id, told[0].terminated), (sent[0], false));
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    assert_eq!(covered(&got).len(), 2);
    let known: Vec<_> = got
        .iter()
        .map(|d| d.revoked.was_told(decoded(d).id))
        .collect();
    assert_eq!(known, [true, false]);
    Ok(())
}

/// Whoever claimed it before the mark does not tell it again; what was not marked is told by the verdict.
pub async fn a_revoked_task_is_told_once(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    bench.revoke_ids(&sent).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    bench.mark(&sent[..1]).await?;
    let verdicts = got.iter().map(|d| telling(d, revoked(d)));
    bench.settle(&consumer, verdicts.collect()).await?;
    let mut told: Vec<_> = bench.told_revoked().await?.iter().map(|e| e.id).collect();
    told.sort_unstable();
    assert_eq!(told, sent);
    // Nor is it marked once its verdict is there.
    assert!(bench.mark(&sent).await?.is_empty());
    assert_eq!(bench.told_revoked().await?.len(), 2);
    assert_eq!(bench.broker.totals(&bench.queue).await?.revoked, 2);
    Ok(())
}

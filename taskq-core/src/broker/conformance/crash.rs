//! What a crash costs: its own message a life, and its neighbours nothing for good.

use std::sync::Arc;
use std::time::Duration;

use super::bench::decoded;
use super::{Bench, done, ids, retry, return_};
use crate::broker::{Consumer, Delivery, Depth};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::message::{Message, OnCrash};
use crate::state::State;

impl Bench {
    /// A new process claims all there is, up to `n`, and dies with it; `heir` gives it back.
    async fn crash(&self, n: usize, heir: &Arc<dyn Consumer>) -> Result<Vec<Delivery>, Error> {
        let victim = self.consumer().await?;
        let got = self.deliver(&victim, n).await?;
        let swept = self.reclaim(heir).await?;
        assert_eq!(swept.returned + swept.dead, n, "all of it comes back");
        Ok(got)
    }

    /// Two suspects, each one crash before its end, and the consumer that gave them back.
    async fn two_suspects(&self) -> Result<(Vec<TaskId>, Arc<dyn Consumer>), Error> {
        let sent = self.send(2).await?;
        let heir = self.consumer().await?;
        self.crash(2, &heir).await?;
        self.crash(2, &heir).await?;
        let depth = self.depth().await?;
        assert_eq!((depth.waiting, depth.suspects), (0, 2));
        Ok((sent, heir))
    }
}

/// A message knows how often its process died.
pub async fn each_crash_is_counted(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(9);
    bench.send_message(&message).await?;
    let heir = bench.consumer().await?;
    for crashes in 0..4 {
        let got = bench.crash(1, &heir).await?;
        assert_eq!(got[0].crashes, crashes);
        assert_eq!(got[0].body, message.encode()?);
        assert!(!got[0].suspect);
    }
    assert_eq!(bench.deliver(&heir, 1).await?[0].crashes, 4);
    Ok(())
}

/// Crashes count over all attempts: a retry or a snooze forgets none.
pub async fn a_retry_does_not_forget_the_crashes(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let heir = bench.consumer().await?;
    bench.crash(1, &heir).await?;
    let got = bench.deliver(&heir, 1).await?;
    let mut next = decoded(&got[0]);
    next.retries += 1;
    let again = retry(&got[0], Duration::from_secs(1), next.encode()?.into());
    bench.settle(&heir, vec![again]).await?;
    bench.advance(Duration::from_secs(2)).await?;
    let again = bench.deliver(&heir, 1).await?;
    assert_eq!(again[0].crashes, 1);
    assert_eq!(decoded(&again[0]).retries, 1);
    Ok(())
}

/// A message that comes back from a crash comes back to the list of its priority.
pub async fn a_crash_moves_no_message_to_another_priority(bench: Bench) -> Result<(), Error> {
    for (number, priority) in [(0, 2), (1, 7), (2, 2)] {
        let mut message = Bench::message(number)?;
        message.priority = priority;
        bench.send_message(&message).await?;
    }
    let heir = bench.consumer().await?;
    let before = bench.crash(3, &heir).await?;
    let after = bench.deliver(&heir, 3).await?;
    assert_eq!(ids(&after), ids(&before));
    let priorities: Vec<u8> = after.iter().map(|d| d.priority).collect();
    assert_eq!(priorities, [7, 2, 2]);
    Ok(())
}

/// One crash before its limit a message is held back from the others, and delivered as a suspect.
pub async fn on_its_last_life_a_message_is_a_suspect(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let heir = bench.consumer().await?;
    assert!(!bench.crash(1, &heir).await?[0].suspect);
    assert_eq!(bench.depth().await?.waiting, 1);
    assert!(!bench.crash(1, &heir).await?[0].suspect);
    let depth = bench.depth().await?;
    assert_eq!((depth.waiting, depth.suspects), (0, 1));
    let got = bench.deliver(&heir, 1).await?;
    assert_eq!(ids(&got), sent);
    assert!(got[0].suspect);
    assert_eq!(got[0].crashes, 2);
    bench.settle(&heir, vec![done(&got[0])]).await?;
    assert_eq!(bench.record(sent[0]).await?.crashes, 2);
    Ok(())
}

/// A process never holds two suspects; another process may hold the other.
pub async fn a_consumer_runs_one_suspect_at_a_time(bench: Bench) -> Result<(), Error> {
    let (mut sent, heir) = bench.two_suspects().await?;
    sent.extend(bench.send(2).await?);
    let got = bench.deliver(&heir, 3).await?;
    assert_eq!(got.iter().filter(|d| d.suspect).count(), 1);
    bench.nothing_for(&heir).await?;
    let other = bench.consumer().await?;
    let second = bench.deliver(&other, 1).await?;
    assert!(second[0].suspect);
    let mut all = ids(&got);
    all.extend(ids(&second));
    all.sort();
    assert_eq!(all, sent);
    Ok(())
}

/// The rule is the process', not the queue's: one suspect over all queues it listens at.
pub async fn one_suspect_runs_over_all_queues(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    let queues = [bench.queue.clone(), other.clone()];
    let heir = bench.consumer_at(&queues).await?;
    bench.send(1).await?;
    bench.send_to(&other, 1).await?;
    for _ in 0..2 {
        let victim = bench.consumer_at(&queues).await?;
        bench.deliver(&victim, 2).await?;
        assert_eq!(bench.reclaim(&heir).await?.returned, 2);
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        let got = bench.deliver(&heir, 1).await?;
        assert!(got[0].suspect);
        bench.nothing_for(&heir).await?;
        bench.nothing_for(&heir).await?;
        heir.finish(&got[0].queue, vec![done(&got[0])]).await?;
        seen.push(got[0].queue.clone());
    }
    seen.sort();
    assert_eq!(seen, queues);
    Ok(())
}

/// When a suspect is finished, the next one may run.
pub async fn a_finished_suspect_makes_room_for_the_next(bench: Bench) -> Result<(), Error> {
    let (sent, heir) = bench.two_suspects().await?;
    for _ in &sent {
        let got = bench.deliver(&heir, 1).await?;
        assert!(got[0].suspect);
        bench.nothing_for(&heir).await?;
        bench.settle(&heir, vec![done(&got[0])]).await?;
    }
    for id in sent {
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    Ok(())
}

/// When a suspect is lost with its session, that consumer may run the next one.
pub async fn a_lost_suspect_makes_room_for_the_next(bench: Bench) -> Result<(), Error> {
    let (_, heir) = bench.two_suspects().await?;
    let silent = bench.consumer().await?;
    assert!(bench.deliver(&silent, 1).await?[0].suspect);
    assert_eq!(bench.reclaim(&heir).await?.dead, 1);
    silent.beat().await?;
    assert!(bench.deliver(&silent, 1).await?[0].suspect);
    Ok(())
}

/// A suspect that is returned goes back among the suspects, uncharged, and makes room.
pub async fn a_returned_suspect_stays_one(bench: Bench) -> Result<(), Error> {
    let (_, heir) = bench.two_suspects().await?;
    let got = bench.deliver(&heir, 1).await?;
    bench.settle(&heir, vec![return_(&got[0])]).await?;
    let depth = bench.depth().await?;
    assert_eq!((depth.waiting, depth.suspects), (0, 2));
    let again = bench.deliver(&heir, 1).await?;
    assert!(again[0].suspect);
    assert_eq!(again[0].crashes, 2);
    bench.nothing_for(&heir).await
}

/// At its limit a message is DEAD: listed, recorded with the reason, and delivered no more.
pub async fn at_its_crash_limit_a_message_is_dead(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let heir = bench.consumer().await?;
    for _ in 0..3 {
        bench.crash(1, &heir).await?;
    }
    bench.nothing_for(&heir).await?;
    let record = bench.record(id).await?;
    assert_eq!((record.state, record.crashes), (State::Dead, 3));
    // A run that a crash cut short is none of its attempts.
    assert_eq!(record.attempts, 0);
    assert!(record.finished.is_some());
    let error = record.error.map(|e| (e.kind, e.message));
    let Some((kind, message)) = error else {
        panic!("the record says nothing of the crash");
    };
    assert_eq!(kind, "WorkerCrashed");
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, State::Dead);
    assert_eq!(listed[0].reason, message);
    assert_eq!(Message::decode(&listed[0].body).map(|m| m.id), Ok(id));
    let only_dead = Depth {
        dead: 1,
        ..Depth::default()
    };
    assert_eq!(bench.depth().await?, only_dead);
    Ok(())
}

/// `max_crashes` of the message decides.
pub async fn the_crash_limit_is_the_messages_own(bench: Bench) -> Result<(), Error> {
    let (mut one, mut five) = (Bench::message(1)?, Bench::message(5)?);
    one.max_crashes = Some(1);
    five.max_crashes = Some(5);
    bench.send_message(&one).await?;
    bench.send_message(&five).await?;
    let heir = bench.consumer().await?;
    bench.crash(2, &heir).await?;
    assert_eq!(bench.state(one.id).await?, Some(State::Dead));
    for crashes in 1..5 {
        assert_eq!(bench.state(five.id).await?, Some(State::Queued));
        let got = bench.crash(1, &heir).await?;
        assert_eq!((got[0].crashes, got[0].suspect), (crashes, crashes == 4));
    }
    assert_eq!(bench.state(five.id).await?, Some(State::Dead));
    Ok(())
}

/// What can not be decoded is given back like any other, and dead after three crashes.
pub async fn the_undecodable_have_the_default_limit(bench: Bench) -> Result<(), Error> {
    let junk = b"\xff no message";
    bench.push_raw(0, junk).await?;
    let heir = bench.consumer().await?;
    for crashes in 0..3 {
        let got = bench.crash(1, &heir).await?;
        assert_eq!((&got[0].body[..], got[0].crashes), (&junk[..], crashes));
    }
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(&listed[0].body[..], junk);
    Ok(())
}

/// A message that wants no record gets none by dying either.
pub async fn an_untracked_crasher_leaves_no_record(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.ignore_result = true;
    message.max_crashes = Some(1);
    bench.send_message(&message).await?;
    let heir = bench.consumer().await?;
    bench.crash(1, &heir).await?;
    assert_eq!(bench.state(message.id).await?, None);
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// A final record stands, even if another message of that id dies.
pub async fn a_crash_overwrites_no_final_record(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(1);
    bench.send_message(&message).await?;
    let heir = bench.consumer().await?;
    let got = bench.deliver(&heir, 1).await?;
    bench.settle(&heir, vec![done(&got[0])]).await?;
    bench.send_message(&message).await?;
    bench.crash(1, &heir).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Success));
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// `on_crash = "dead"`: at most once, so the first crash is the last.
pub async fn on_crash_dead_never_runs_twice(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.on_crash = OnCrash::Dead;
    bench.send_message(&message).await?;
    let heir = bench.consumer().await?;
    bench.crash(1, &heir).await?;
    bench.nothing_for(&heir).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Dead));
    Ok(())
}

/// One message that kills every process it runs in ends alone; those claimed beside it all succeed.
pub async fn innocent_neighbours_survive_a_poison(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(20).await?;
    let poison = sent[9];
    let heir = bench.consumer().await?;
    for _ in 0..200 {
        if bench.state(poison).await? == Some(State::Dead) && bench.depth().await?.in_flight == 0 {
            break;
        }
        let worker = bench.consumer().await?;
        loop {
            let got = worker.claim(50, Duration::ZERO).await?;
            if got.is_empty() {
                worker.close().await?;
                break;
            }
            if ids(&got).contains(&poison) {
                bench.reclaim(&heir).await?;
                break;
            }
            bench
                .settle(&worker, got.iter().map(done).collect())
                .await?;
        }
    }
    loop {
        let rest = heir.claim(50, Duration::ZERO).await?;
        if rest.is_empty() {
            break;
        }
        bench.settle(&heir, rest.iter().map(done).collect()).await?;
    }
    for id in sent {
        let expected = if id == poison {
            State::Dead
        } else {
            State::Success
        };
        assert_eq!(bench.state(id).await?, Some(expected));
    }
    Ok(())
}

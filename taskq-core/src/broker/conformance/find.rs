//! What a search promises: it finds a message wherever it lies, tells what is before it, and takes no other for it.

use std::time::Duration;

use super::{Bench, dead, failed};
use crate::broker::{Due, Found, Place};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::state::State;

const MINUTE: Duration = Duration::from_secs(60);

impl Bench {
    async fn find(&self, id: TaskId) -> Result<Found, Error> {
        self.broker.find(&self.queue, id).await
    }

    /// Where it lies.
    ///
    /// # Panics
    /// When it is not found, or another one is.
    async fn place(&self, id: TaskId) -> Result<Place, Error> {
        let found = self.find(id).await?;
        assert!(found.complete);
        let Some((place, body)) = found.place else {
            panic!("{id} should be found");
        };
        assert_eq!(Message::decode(&body).map(|m| m.id), Ok(id));
        Ok(place)
    }
}

/// Of what waits it tells how many are before it in its list, which comes in order.
pub async fn what_waits_is_found_with_those_before_it(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(5).await?;
    for (n, id) in sent.iter().enumerate() {
        let ahead = n as u64;
        assert_eq!(bench.place(*id).await?, Place::Waiting { ahead });
    }
    Ok(())
}

/// All of a higher priority are before it, none of a lower one is.
pub async fn those_of_higher_priorities_are_ahead(bench: Bench) -> Result<(), Error> {
    for (priority, n) in [(0, 4), (5, 2), (9, 3)] {
        for number in 0..n {
            let mut message = Bench::message(number)?;
            message.priority = priority;
            bench.send_message(&message).await?;
        }
    }
    let mut wanted = Bench::message(0)?;
    wanted.priority = 5;
    bench.send_message(&wanted).await?;
    let ahead = 3 + 2;
    assert_eq!(bench.place(wanted.id).await?, Place::Waiting { ahead });
    Ok(())
}

/// What is delayed is found with its time.
pub async fn what_is_delayed_is_found_with_its_time(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    let wanted = Bench::message(0)?;
    let due = now + 90_000;
    bench.send_due(&Bench::message(1)?, Due::In(MINUTE)).await?;
    bench.send_due(&wanted, Due::At(due)).await?;
    assert_eq!(bench.place(wanted.id).await?, Place::Delayed { due });
    Ok(())
}

/// What a consumer holds is found, and so is what is held back on its last life.
pub async fn what_is_held_or_held_back_is_found(bench: Bench) -> Result<(), Error> {
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let mut doomed = Bench::message(0)?;
    doomed.max_crashes = Some(2);
    bench.send_message(&doomed).await?;
    bench.deliver(&silent, 1).await?;
    assert_eq!(bench.place(doomed.id).await?, Place::Held);
    bench.reclaim(&heir).await?;
    let place = bench.place(doomed.id).await?;
    assert_eq!(place, Place::Suspect { ahead: 0 });
    bench.deliver(&heir, 1).await?;
    assert_eq!(bench.place(doomed.id).await?, Place::Held);
    Ok(())
}

/// What is dead is found with its state, its reason and its time.
pub async fn what_is_dead_is_found_with_its_reason(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let worker = bench.consumer().await?;
    let got = bench.deliver(&worker, 2).await?;
    let before = bench.broker_time().await?;
    let verdicts = vec![dead(&got[0], "too often"), failed(&got[1], "for good")];
    bench.settle(&worker, verdicts).await?;
    let after = bench.broker_time().await?;
    for (id, wanted, why) in [
        (sent[0], State::Dead, "too often"),
        (sent[1], State::Failure, "for good"),
    ] {
        let Place::Dead { state, reason, at } = bench.place(id).await? else {
            panic!("{id} should be dead");
        };
        assert_eq!((state, &*reason), (wanted, why));
        assert!((before..=after).contains(&at), "{before} {at} {after}");
    }
    Ok(())
}

/// What has no record is found as well: not tracked, or pushed by another program, however that spells its id.
pub async fn the_untracked_and_the_foreign_are_found(bench: Bench) -> Result<(), Error> {
    let mut quiet = Bench::message(0)?;
    quiet.ignore_result = true;
    bench.send_message(&quiet).await?;
    assert_eq!(bench.place(quiet.id).await?, Place::Waiting { ahead: 0 });
    let id = TaskId::random();
    let spelled = id.to_string().replace('-', "").to_uppercase();
    let wire = format!(r#"{{"task":"t","id":"{spelled}"}}"#);
    bench.push_raw(0, wire.as_bytes()).await?;
    assert_eq!(bench.place(id).await?, Place::Waiting { ahead: 1 });
    Ok(())
}

/// A message that speaks of an id is not the message of that id.
pub async fn a_mention_is_not_found(bench: Bench) -> Result<(), Error> {
    let id = TaskId::random();
    let mut other = Bench::message(0)?;
    other.parent_id = Some(id);
    bench.send_message(&other).await?;
    assert_eq!(bench.find(id).await?.place, None);
    Ok(())
}

/// What is over, unknown, or in another queue is not found; and nothing was left out of the look.
pub async fn what_is_not_there_is_not_found(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let before = bench.broker_time().await?;
    let found = bench.find(TaskId::random()).await?;
    let after = bench.broker_time().await?;
    assert!(found.place.is_none() && found.complete);
    assert!((before..=after).contains(&found.now));
    let elsewhere = QueueName::new("conformance.elsewhere")?;
    let found = bench.broker.find(&elsewhere, sent[0]).await?;
    assert!(found.place.is_none() && found.complete);
    let worker = bench.consumer().await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.settle(&worker, vec![super::done(&got[0])]).await?;
    assert_eq!(bench.find(sent[0]).await?.place, None);
    Ok(())
}

/// What is delayed is listed by its time, the next first, as many as asked for; whole, with priority and crashes.
pub async fn what_is_due_next_is_listed(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    for (number, minutes) in [(0, 3), (1, 1), (2, 2)] {
        let mut message = Bench::message(number)?;
        message.priority = 4;
        let due = Due::At(now + minutes * 60_000);
        let mut out = Bench::outgoing(&bench.queue, &message)?;
        out.due = due;
        bench.enqueue(&[out]).await?;
    }
    let listed = bench.broker.delayed(&bench.queue, 2).await?;
    let due: Vec<_> = listed.iter().map(|d| d.due).collect();
    assert_eq!(due, [now + 60_000, now + 120_000]);
    for (one, arguments) in listed.iter().zip(["[1]", "[2]"]) {
        assert_eq!((one.priority, one.crashes), (4, 0));
        let args = Message::decode(&one.body).ok().and_then(|m| m.args);
        assert_eq!(args.map(|a| a.get().to_owned()), Some(arguments.into()));
    }
    let all = bench.broker.delayed(&bench.queue, 1_000).await?;
    assert_eq!(all.len(), 3);
    assert!(bench.broker.delayed(&bench.queue, 0).await?.is_empty());
    let unknown = QueueName::new("conformance.unknown")?;
    assert!(bench.broker.delayed(&unknown, 10).await?.is_empty());
    Ok(())
}

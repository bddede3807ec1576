//! What events promise: each step is told once, with what happened, and a reader goes on where it stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::bench::{attempt, decoded};
use super::fleet::card;
use super::{Bench, dead, done, failed, retry, return_, snooze, untracked};
use crate::broker::{Consumer, Delivery, End, Outgoing, RevokeCause, Verdict};
use crate::error::Error;
use crate::event::{
    Event, EventPosition, Fact, TaskEvent, TaskEventKind, Told, WorkerEvent, WorkerEventKind,
};
use crate::id::{QueueName, TaskId};
use crate::message::{Message, OnCrash};

const HOUR: Duration = Duration::from_secs(3_600);
const TTL: Duration = Duration::from_secs(600);
const RECEIVED: u64 = 1_700_000_000_001;
const STARTED: u64 = 1_700_000_000_002;

impl Bench {
    /// A message of which its sender tells.
    fn telling(&self, message: &Message) -> Result<Outgoing, Error> {
        Ok(Outgoing {
            event: Some(Told::sent(message)),
            ..Self::outgoing(&self.queue, message)?
        })
    }

    /// Sends `n` messages, each told; answers their ids.
    async fn send_told(&self, n: usize) -> Result<Vec<TaskId>, Error> {
        let messages: Vec<_> = (0..n).map(Self::message).collect::<Result<_, _>>()?;
        let batch: Result<Vec<_>, _> = messages.iter().map(|m| self.telling(m)).collect();
        self.enqueue(&batch?).await?;
        Ok(messages.iter().map(|m| m.id).collect())
    }

    /// Everything told about workers, in its order.
    async fn told_of_workers(&self) -> Result<Vec<WorkerEvent>, Error> {
        let told = self.told().await?.into_iter();
        Ok(told
            .filter_map(|event| match event.fact {
                Fact::Worker(worker) => Some(*worker),
                Fact::Task(_) => None,
            })
            .collect())
    }

    /// Sends one message, which nobody tells of, and has it delivered.
    async fn quiet(&self, to: &Arc<dyn Consumer>) -> Result<Delivery, Error> {
        self.send(1).await?;
        Ok(self.deliver(to, 1).await?.remove(0))
    }

    /// The one event that `verdict` brings, told with an attempt that had begun before.
    async fn only_event_of(&self, verdict: fn(&Delivery) -> Verdict) -> Result<TaskEvent, Error> {
        let consumer = self.consumer().await?;
        let got = self.quiet(&consumer).await?;
        let verdict = Verdict {
            event: Some(attempt(&got)),
            ..verdict(&got)
        };
        self.settle(&consumer, vec![verdict]).await?;
        let mut told = self.told_of_tasks().await?;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].id, decoded(&got).id);
        assert_eq!(told[0].worker.as_deref(), Some("bench"));
        Ok(told.remove(0))
    }
}

fn ids(events: &[Event]) -> Vec<TaskId> {
    let id = |event: &Event| match &event.fact {
        Fact::Task(task) => Some(task.id),
        Fact::Worker(_) => None,
    };
    events.iter().filter_map(id).collect()
}

/// What is sent is told with its queue, by the broker's clock, with its arguments and times and whence it came.
pub async fn what_is_sent_is_told(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(7)?;
    message.kwargs = serde_json::value::to_raw_value(&serde_json::json!({"k": "ñ"})).ok();
    message.eta = Some(1_900_000_000_000);
    message.expires = Some(1_900_000_000_001);
    message.root_id = Some(TaskId::random());
    message.parent_id = Some(TaskId::random());
    message.retries = 2;
    let before = bench.broker_time().await?;
    bench.enqueue(&[bench.telling(&message)?]).await?;
    let after = bench.broker_time().await?;
    let told = bench.told().await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((before..=after).contains(&told[0].at), "{:?}", told[0]);
    assert_eq!(told[0].queue.as_ref(), Some(&bench.queue));
    let told = bench.told_of_tasks().await?.remove(0);
    assert_eq!((told.kind, told.id), (TaskEventKind::Sent, message.id));
    assert_eq!((&*told.task, told.retries), (message.task.as_str(), 2));
    assert_eq!(told.args.as_deref(), Some("[7]"));
    assert_eq!(told.kwargs.as_deref(), Some(r#"{"k":"ñ"}"#));
    assert_eq!((told.eta, told.expires), (message.eta, message.expires));
    assert_eq!(
        (told.root_id, told.parent_id),
        (message.root_id, message.parent_id)
    );
    assert_eq!(told.worker, None);
    Ok(())
}

/// Who sends or ends without a word tells nothing.
pub async fn what_is_not_told_is_no_event(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    let got = bench.quiet(&consumer).await?;
    bench.settle(&consumer, vec![done(&got)]).await?;
    assert!(bench.told().await?.is_empty());
    Ok(())
}

/// The verdict of a short run tells all three: received and started by its worker's clock, and the end.
pub async fn a_verdict_tells_the_whole_run(bench: Bench) -> Result<(), Error> {
    use TaskEventKind::{Received, Started, Succeeded};
    let consumer = bench.consumer().await?;
    let got = bench.quiet(&consumer).await?;
    let mut run = attempt(&got);
    run.received = Some(RECEIVED);
    run.started = Some(STARTED);
    run.runtime = Some(Duration::from_millis(1_500));
    run.said = Some("\"done\"".into());
    let verdict = Verdict {
        event: Some(run),
        ..done(&got)
    };
    bench.settle(&consumer, vec![verdict]).await?;
    let told = bench.told().await?;
    let at: Vec<_> = told.iter().take(2).map(|e| e.at).collect();
    assert_eq!(at, [RECEIVED, STARTED]);
    assert!(told.iter().all(|e| e.queue.as_ref() == Some(&bench.queue)));
    let told = bench.told_of_tasks().await?;
    let kinds: Vec<_> = told.iter().map(|t| t.kind).collect();
    assert_eq!(kinds, [Received, Started, Succeeded]);
    // Nobody had told its arguments before.
    assert_eq!(told[0].args.as_deref(), Some("[0]"));
    assert_eq!(told[2].runtime, Some(Duration::from_millis(1_500)));
    assert_eq!(told[2].result.as_deref(), Some("\"done\""));
    assert!(told.iter().all(|t| t.worker.as_deref() == Some("bench")));
    Ok(())
}

/// SUCCESS is told as succeeded.
pub async fn a_success_is_told(bench: Bench) -> Result<(), Error> {
    let told = bench.only_event_of(done).await?;
    assert_eq!(told.kind, TaskEventKind::Succeeded);
    assert_eq!(told.exception, None);
    Ok(())
}

/// FAILURE is told as failed, with its reason.
pub async fn a_failure_is_told(bench: Bench) -> Result<(), Error> {
    let told = bench.only_event_of(|d| failed(d, "no stock")).await?;
    assert_eq!(told.kind, TaskEventKind::Failed);
    assert_eq!(told.exception.as_deref(), Some("no stock"));
    Ok(())
}

/// A retry is told as retried, as the attempt that failed.
pub async fn a_retry_is_told(bench: Bench) -> Result<(), Error> {
    let again = |d: &Delivery| retry(d, HOUR, d.body.clone());
    let told = bench.only_event_of(again).await?;
    assert_eq!((told.kind, told.retries), (TaskEventKind::Retried, 0));
    Ok(())
}

/// A snooze is told as retried, and says that it is none.
pub async fn a_snooze_is_told(bench: Bench) -> Result<(), Error> {
    let told = bench.only_event_of(|d| snooze(d, HOUR)).await?;
    assert_eq!(told.kind, TaskEventKind::Retried);
    assert_eq!(told.exception.as_deref(), Some("Snoozed"));
    Ok(())
}

/// DEAD is told as rejected for good, with its reason.
pub async fn a_dead_task_is_told(bench: Bench) -> Result<(), Error> {
    let told = bench.only_event_of(|d| dead(d, "unknown task")).await?;
    assert_eq!(told.kind, TaskEventKind::Rejected);
    assert!(!told.requeued && !told.crashed);
    assert_eq!(told.exception.as_deref(), Some("unknown task"));
    Ok(())
}

/// What is returned is told as rejected and back in its queue.
pub async fn a_return_is_told(bench: Bench) -> Result<(), Error> {
    let told = bench.only_event_of(return_).await?;
    assert_eq!(told.kind, TaskEventKind::Rejected);
    assert!(told.requeued && !told.crashed);
    Ok(())
}

/// REVOKED is told as revoked, and whether its time was over.
pub async fn a_revocation_is_told(bench: Bench) -> Result<(), Error> {
    let revoked = |d: &Delivery| Verdict {
        end: End::Revoked(RevokeCause::Expired),
        ..untracked(done(d))
    };
    let told = bench.only_event_of(revoked).await?;
    assert_eq!((told.kind, told.expired), (TaskEventKind::Revoked, true));
    Ok(())
}

/// A verdict that does not count tells nothing.
pub async fn a_lost_verdict_tells_nothing(bench: Bench) -> Result<(), Error> {
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.quiet(&silent).await?;
    bench.reclaim(&heir).await?;
    let told = bench.told_of_tasks().await?.len();
    let verdict = Verdict {
        event: Some(attempt(&got)),
        ..done(&got)
    };
    assert_eq!(bench.finish(&silent, vec![verdict]).await?.lost, 1);
    assert_eq!(bench.told_of_tasks().await?.len(), told);
    Ok(())
}

/// What a crash gives back is told as rejected by a crash, back in its queue.
pub async fn a_crash_is_told(bench: Bench) -> Result<(), Error> {
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.quiet(&silent).await?;
    bench.reclaim(&heir).await?;
    let told = bench.told_of_tasks().await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, TaskEventKind::Rejected);
    assert_eq!(told[0].id, decoded(&got).id);
    assert!(told[0].requeued && told[0].crashed);
    Ok(())
}

/// The crash that is one too many is told as rejected for good, with the reason.
pub async fn the_last_crash_is_told(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(1);
    bench.send_message(&message).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    let told = bench.told_of_tasks().await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!told[0].requeued && told[0].crashed);
    let listed = bench.broker.dead(&bench.queue, 0, 1).await?;
    assert_eq!(told[0].exception.as_deref(), Some(&*listed[0].reason));
    Ok(())
}

/// What a closed consumer still held is told as rejected without a crash; at most once means that it is dead.
pub async fn what_a_close_gives_back_is_told(bench: Bench) -> Result<(), Error> {
    let mut once = Bench::message(0)?;
    once.on_crash = OnCrash::Dead;
    bench.send_message(&once).await?;
    bench.send(1).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&leaving, 2).await?;
    leaving.close().await?;
    bench.reclaim(&heir).await?;
    let told = bench.told_of_tasks().await?;
    assert_eq!(told.len(), 2, "{told:?}");
    for event in told {
        assert_eq!(event.kind, TaskEventKind::Rejected);
        assert!(!event.crashed);
        assert_eq!(event.requeued, event.id != once.id);
    }
    Ok(())
}

/// A position is behind what was read: the next page has what came since, and nothing twice.
pub async fn a_reader_goes_on_where_it_stopped(bench: Bench) -> Result<(), Error> {
    let mut position = EventPosition::oldest();
    for n in [3, 1, 5] {
        let sent = bench.send_told(n).await?;
        let page = bench.broker.events(&position, HOUR).await?;
        assert!(!page.missed);
        assert_eq!(ids(&page.events), sent);
        position = page.next;
    }
    let page = bench.broker.events(&position, Duration::ZERO).await?;
    assert!(page.events.is_empty() && !page.missed);
    Ok(())
}

/// A position can be stored, and gone on from by another process.
pub async fn a_position_can_be_stored(bench: Bench) -> Result<(), Error> {
    bench.send_told(2).await?;
    let page = bench.broker.events(&EventPosition::oldest(), HOUR).await?;
    let invalid = |e| Error::invalid("a position").because(e);
    let stored = serde_json::to_string(&page.next).map_err(invalid)?;
    let sent = bench.send_told(1).await?;
    let position: EventPosition = serde_json::from_str(&stored).map_err(invalid)?;
    assert_eq!(position, page.next);
    let page = bench.connect().await?.events(&position, HOUR).await?;
    assert_eq!((ids(&page.events), page.missed), (sent, false));
    Ok(())
}

/// Who asks for what is new gets nothing of what was, and all that comes then.
pub async fn a_reader_of_what_is_new_skips_what_was(bench: Bench) -> Result<(), Error> {
    bench.send_told(3).await?;
    let newest = EventPosition::newest();
    let page = bench.broker.events(&newest, Duration::ZERO).await?;
    assert!(page.events.is_empty() && !page.missed);
    let sent = bench.send_told(2).await?;
    let page = bench.broker.events(&page.next, HOUR).await?;
    assert_eq!(ids(&page.events), sent);
    Ok(())
}

/// Who began with the oldest is told by its position when it has read what was there, and not before.
pub async fn a_reader_knows_when_it_has_caught_up(bench: Bench) -> Result<(), Error> {
    bench.send_told(3).await?;
    let (oldest, newest) = (EventPosition::oldest(), EventPosition::newest());
    let end = bench.broker.events(&newest, Duration::ZERO).await?.next;
    assert!(!oldest.has_reached(&end));
    let page = bench.broker.events(&oldest, HOUR).await?;
    assert!(page.next.has_reached(&end), "{:?}: {end:?}", page.next);
    bench.send_told(1).await?;
    let later = bench.broker.events(&newest, Duration::ZERO).await?.next;
    assert!(!page.next.has_reached(&later), "{later:?}");
    let page = bench.broker.events(&page.next, HOUR).await?;
    assert!(page.next.has_reached(&later), "{:?}: {later:?}", page.next);
    assert!(page.next.has_reached(&end));
    Ok(())
}

/// What is past its time and dropped is missed once by who had begun to read it; who comes later is at its end at once.
pub async fn a_reader_stands_behind_what_is_dropped(bench: Bench) -> Result<(), Error> {
    let (oldest, newest) = (EventPosition::oldest(), EventPosition::newest());
    bench.send_told(1).await?;
    let slow = bench.broker.events(&oldest, HOUR).await?.next;
    bench.send_told(1).await?;
    bench.advance(HOUR * 24 * 15).await?;
    let janitor = bench.consumer().await?;
    for _ in 0..4 {
        bench.pass(bench.lease(), &[&janitor]).await?;
        janitor.sweep().await?;
    }
    for others in [false, true] {
        if others {
            let other = QueueName::new("conformance.other")?;
            let told = [bench.telling(&Bench::message(0)?)?];
            bench.broker.enqueue(&other, &told, HOUR).await?;
        }
        let end = bench.broker.events(&newest, Duration::ZERO).await?.next;
        let page = bench.broker.events(&oldest, Duration::ZERO).await?;
        assert_eq!((page.events.len(), page.missed), (others.into(), false));
        assert!(page.next.has_reached(&end), "{:?}: {end:?}", page.next);
    }
    let page = bench.broker.events(&slow, Duration::ZERO).await?;
    assert!(page.missed);
    let page = bench.broker.events(&page.next, Duration::ZERO).await?;
    assert!(page.events.is_empty() && !page.missed);
    Ok(())
}

/// A queue that is new since the last page is read from its first event on.
pub async fn a_new_queue_is_read_from_its_beginning(bench: Bench) -> Result<(), Error> {
    bench.send_told(1).await?;
    let newest = EventPosition::newest();
    let mut page = bench.broker.events(&newest, Duration::ZERO).await?;
    let other = QueueName::new("conformance.other")?;
    let message = Bench::message(0)?;
    let told = [bench.telling(&message)?];
    bench.broker.enqueue(&other, &told, HOUR).await?;
    // Who finds new queues now and then finds this one within a few pages.
    for _ in 0..20 {
        page = bench
            .broker
            .events(&page.next, Duration::from_secs(1))
            .await?;
        if !page.events.is_empty() {
            break;
        }
    }
    assert_eq!(ids(&page.events), [message.id]);
    assert_eq!(page.events[0].queue.as_ref(), Some(&other));
    Ok(())
}

/// What is more than a page comes in several, each event once, none missed.
pub async fn many_events_come_in_pages(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    let mut sent = BTreeSet::new();
    for _ in 0..3 {
        sent.extend(bench.send_told(900).await?);
        let messages: Vec<_> = (0..300).map(Bench::message).collect::<Result<_, _>>()?;
        let batch: Result<Vec<_>, _> = messages.iter().map(|m| bench.telling(m)).collect();
        bench.broker.enqueue(&other, &batch?, HOUR).await?;
        sent.extend(messages.iter().map(|m| m.id));
    }
    let told = bench.told_of_tasks().await?;
    assert_eq!(told.len(), sent.len());
    let told: BTreeSet<_> = told.iter().map(|t| t.id).collect();
    assert_eq!(told, sent);
    Ok(())
}

/// Who waits for events is woken by one.
pub async fn an_event_wakes_a_waiting_reader(bench: Bench) -> Result<(), Error> {
    let oldest = EventPosition::oldest();
    bench.send(1).await?;
    let (page, sent) = tokio::join!(bench.broker.events(&oldest, HOUR), bench.send_told(1));
    assert_eq!(ids(&page?.events), sent?);
    Ok(())
}

/// A worker's life is told: online when it registers, a heartbeat when it does so again, offline when it withdraws.
pub async fn a_workers_life_is_told(bench: Bench) -> Result<(), Error> {
    use WorkerEventKind::{Heartbeat, Offline, Online};
    let mut card = card(&bench, "id-1", "w1@host", &[]);
    bench.broker.register(&card, &[], TTL).await?;
    card.active = 3;
    card.processed = 40;
    bench.broker.register(&card, &[], TTL).await?;
    bench.broker.withdraw("id-1").await?;
    bench.broker.withdraw("id-1").await?;
    let told = bench.told_of_workers().await?;
    let life: Vec<_> = told
        .iter()
        .map(|t| (t.kind, t.active, t.processed))
        .collect();
    assert_eq!(life, [(Online, 0, 0), (Heartbeat, 3, 40), (Offline, 3, 40)]);
    for event in &told {
        assert_eq!((&*event.node, event.pid), ("w1@host", card.pid));
        assert_eq!(&*event.version, card.version);
    }
    Ok(())
}

/// A worker that falls silent is told offline, once, whoever notices it; told again, it is online again.
pub async fn a_lapsed_worker_is_told_offline_once(bench: Bench) -> Result<(), Error> {
    use WorkerEventKind::{Offline, Online};
    let (silent, other) = (
        card(&bench, "id-1", "w1@host", &[]),
        card(&bench, "id-2", "w2@host", &[]),
    );
    bench.broker.register(&silent, &[], TTL).await?;
    bench.advance(TTL * 2).await?;
    let consumer = bench.consumer().await?;
    for _ in 0..3 {
        bench.broker.register(&other, &[], TTL).await?;
        assert_eq!(bench.broker.workers().await?.len(), 1);
        consumer.beat().await?;
        consumer.sweep().await?;
    }
    bench.broker.register(&silent, &[], TTL).await?;
    let told = bench.told_of_workers().await?;
    let of_silent = told.iter().filter(|t| &*t.node == "w1@host");
    let life: Vec<_> = of_silent.map(|t| t.kind).collect();
    assert_eq!(life, [Online, Offline, Online]);
    Ok(())
}

//! Every answer, from its facts.

use serde_json::json;
use taskq_client::Place;
use taskq_core::broker::Paused;
use taskq_core::control::{ActiveTask, ReservedTask};
use taskq_core::fleet::WorkerCard;
use taskq_core::{Failure, Message, QueueName, Record, State, TaskId};

use super::answer::{Answer, answer};
use super::facts::{Facts, Lies, Run};

const ID: &str = "0198c0de-0000-7000-8000-000000000000";
/// 2026-01-01T00:00:00Z
const NOW: u64 = 1_767_225_600_000;
const BROKER: &str = "redis://h:6379/0";

fn id() -> TaskId {
    ID.parse().unwrap()
}

fn geo() -> QueueName {
    "geo".parse().unwrap()
}

fn message() -> Message {
    let mut message = Message::new("geo.distance");
    message.id = id();
    message
}

fn worker(node: &str, queues: &[&str], tasks: &[&str]) -> WorkerCard {
    let card = json!({
        "id": node, "node": node, "host": "h", "pid": 1, "queues": queues, "slots": 20, "tasks": tasks, "started": 0,
        "version": "0", "active": 20,
    });
    serde_json::from_value(card).unwrap()
}

/// A message that lies there, in a queue that one worker takes from.
fn lies(place: Place) -> Facts {
    Facts {
        id: Some(id()),
        broker: BROKER.to_owned(),
        now: NOW,
        looked_in: vec![geo()],
        workers: vec![worker("w1@bar", &["geo"], &["geo.distance"])],
        lies: Some(Lies {
            queue: geo(),
            place,
            message: Some(message()),
        }),
        ..Facts::default()
    }
}

fn record(state: State) -> Record {
    let mut record = Record::new(id(), "geo.distance", &geo(), state);
    record.attempts = 2;
    record.worker = Some("w1@bar".into());
    record.finished = state.is_final().then_some(NOW - 5_000);
    record
}

fn recorded(record: Record) -> Facts {
    Facts {
        id: Some(id()),
        broker: BROKER.to_owned(),
        now: NOW,
        looked_in: vec![geo()],
        record: Some(record),
        ..Facts::default()
    }
}

fn says(facts: &Facts, kind: &str, sentences: &[&str]) -> Answer {
    let answer = answer(facts);
    assert_eq!(
        (answer.kind, &answer.sentences[..]),
        (
            kind,
            &sentences
                .iter()
                .map(|s| (*s).to_owned())
                .collect::<Vec<_>>()[..]
        )
    );
    answer
}

const NEXT: &str = "it is the next to be claimed from the queue geo";

#[test]
fn what_is_next_is_said_to_be() {
    let answer = says(&lies(Place::Waiting { ahead: 0 }), "waiting", &[NEXT]);
    assert_eq!(answer.ahead, Some(0));
}

#[test]
fn a_line_is_told_with_its_length_in_time() {
    let mut facts = lies(Place::Waiting { ahead: 12_040 });
    facts.rate = Some(800.2);
    says(
        &facts,
        "waiting",
        &["12,040 are ahead of it in the queue geo; at 800/s that is about 16 s"],
    );
    facts.rate = Some(2.5);
    says(
        &facts,
        "waiting",
        &["12,040 are ahead of it in the queue geo; at 2.5/s that is about 1h20m"],
    );
    facts.rate = Some(0.0);
    facts.busy = Some((19, 20));
    says(
        &facts,
        "waiting",
        &[
            "12,040 are ahead of it in the queue geo; none ended within the second that was looked at (19 of 20 slots are busy)",
        ],
    );
}

#[test]
fn a_delay_is_told_with_its_time() {
    let due = NOW + 300_000;
    let mut facts = lies(Place::Delayed { due });
    let words = "due in 5m00s (2026-01-01T00:05:00.000Z): it waits for that in the queue geo";
    assert_eq!(says(&facts, "delayed", &[words]).due, Some(due));
    // What stands in its way then is told now.
    facts.workers.clear();
    says(
        &facts,
        "delayed",
        &[
            words,
            "no worker listens to the queue geo of redis://h:6379/0: no worker runs there at all",
        ],
    );
    let facts = lies(Place::Delayed { due: NOW - 1_000 });
    says(
        &facts,
        "delayed",
        &[
            "due since 2025-12-31T23:59:59.000Z, and joins those that wait with the next claim: it waits for that in the queue geo",
        ],
    );
}

#[test]
fn a_retry_is_told_with_the_error_before_it() {
    let mut facts = lies(Place::Delayed { due: NOW + 12_000 });
    if let Some(Lies {
        message: Some(message),
        ..
    }) = &mut facts.lies
    {
        message.retries = 2;
    }
    says(
        &facts,
        "retry",
        &["retry 2 is due in 12.0s (2026-01-01T00:00:12.000Z): attempt 2 failed"],
    );
    let mut record = record(State::Retry);
    record.error = Some(Failure::new("Timeout", "the bank is away"));
    facts.record = Some(record);
    says(
        &facts,
        "retry",
        &[
            "retry 2 is due in 12.0s (2026-01-01T00:00:12.000Z): attempt 2 failed: Timeout: the bank is away",
        ],
    );
}

#[test]
fn a_pause_is_told_with_who_and_why() {
    let mut facts = lies(Place::Waiting { ahead: 0 });
    facts.depth.paused = Some(Paused {
        by: "ana@bar".into(),
        reason: "stock taking".into(),
        since: NOW - 60_000,
    });
    says(
        &facts,
        "paused",
        &[
            "the queue geo was paused by ana@bar 1m00s ago (2025-12-31T23:59:00.000Z), because: stock taking; \
             `taskq control resume geo` goes on",
            NEXT,
        ],
    );
    // Written by hand.
    facts.depth.paused = Some(Paused {
        by: String::new(),
        reason: String::new(),
        since: 0,
    });
    says(
        &facts,
        "paused",
        &[
            "the queue geo was paused; `taskq control resume geo` goes on",
            NEXT,
        ],
    );
}

#[test]
fn a_queue_without_a_worker_is_told_with_those_there_are() {
    let mut facts = lies(Place::Waiting { ahead: 0 });
    facts.workers = vec![
        worker("w1@bar", &["celery", "mail"], &["mail.send"]),
        worker("w2@bar", &["mail"], &[]),
    ];
    says(
        &facts,
        "no_worker",
        &[
            "no worker listens to the queue geo of redis://h:6379/0; these live: w1@bar at celery,mail, w2@bar at mail",
            NEXT,
        ],
    );
}

#[test]
fn a_worker_that_stops_listens_to_nothing() {
    let mut facts = lies(Place::Waiting { ahead: 0 });
    facts.workers[0].stopping = true;
    says(
        &facts,
        "no_worker",
        &[
            "no worker listens to the queue geo of redis://h:6379/0; these live: w1@bar at geo (it stops)",
            NEXT,
        ],
    );
    // Beside one that goes on it is no reason.
    facts
        .workers
        .push(worker("w2@bar", &["geo"], &["geo.distance"]));
    says(&facts, "waiting", &[NEXT]);
}

#[test]
fn a_task_that_no_worker_offers_is_told() {
    let mut facts = lies(Place::Waiting { ahead: 0 });
    facts.workers = vec![
        worker("w1@bar", &["geo"], &["mail.send"]),
        // It offers the task, at another queue.
        worker("w2@bar", &["mail"], &["geo.distance"]),
    ];
    says(
        &facts,
        "no_task",
        &[
            "no live worker at the queue geo of redis://h:6379/0 offers the task geo.distance (no worker has published it within 7 days): \
             w1@bar will end it as DEAD (unknown task)",
            NEXT,
        ],
    );
}

#[test]
fn what_will_end_unrun_is_told() {
    let mut facts = lies(Place::Waiting { ahead: 0 });
    facts.is_revoked = true;
    says(
        &facts,
        "revoked",
        &[
            "it is revoked: it ends as REVOKED as soon as a worker claims it",
            NEXT,
        ],
    );
    facts.is_revoked = false;
    if let Some(Lies {
        message: Some(message),
        ..
    }) = &mut facts.lies
    {
        message.expires = Some(NOW - 2_000);
    }
    says(
        &facts,
        "expired",
        &[
            "it expired 2.0s ago (2025-12-31T23:59:58.000Z): it ends as REVOKED as soon as a worker claims it",
            NEXT,
        ],
    );
}

#[test]
fn what_is_held_back_is_told_why() {
    says(
        &lies(Place::Suspect { ahead: 1 }),
        "suspect",
        &[
            "it is held back: its process died 2 of 3 times while it ran, so each worker runs one such task at a time",
            "1 is ahead of it in the queue geo",
        ],
    );
}

#[test]
fn a_run_is_told_by_its_worker() {
    let mut facts = lies(Place::Held);
    let mut active = ActiveTask {
        id: ID.into(),
        name: "geo.distance".into(),
        args: json!([]),
        kwargs: json!({}),
        queue: "geo".into(),
        attempt: 2,
        time_start: 0.0,
        runtime_s: 3.04,
        progress: None,
    };
    let run = Run::Active(active.clone());
    facts.runs.insert("w1@bar".into(), run);
    says(
        &facts,
        "running",
        &["running on w1@bar for 3.0s, attempt 2"],
    );
    let told = json!({"done": 3, "total": 8, "note": "Cali", "at": NOW});
    active.progress = serde_json::from_value(told).unwrap();
    facts.runs.insert("w1@bar".into(), Run::Active(active));
    says(
        &facts,
        "running",
        &["running on w1@bar for 3.0s, attempt 2; it says 3 of 8 (Cali)"],
    );
    let held = ReservedTask {
        id: Some(ID.into()),
        name: "geo.distance".into(),
        queue: "geo".into(),
        priority: 0,
        time_claimed: NOW as f64 / 1e3 - 2.0,
    };
    facts.runs.insert("w1@bar".into(), Run::Reserved(held));
    says(
        &facts,
        "claimed",
        &[
            "claimed by w1@bar 2.0s ago and not started: it waits for a thread, or for another that may crash the worker to end",
        ],
    );
}

#[test]
fn a_claim_that_nobody_speaks_for_is_told_so() {
    let mut facts = lies(Place::Held);
    says(
        &facts,
        "held",
        &[
            "claimed from the queue geo, and none of the workers has it: it has just ended, or its worker was lost and it \
           comes back within a lease; ask again",
        ],
    );
    facts.silent = vec!["w1@bar".into()];
    facts.record = Some(record(State::Started));
    says(
        &facts,
        "held",
        &[
            "claimed from the queue geo by w1@bar; no answer from w1@bar: if it was lost, the message comes back when its \
           lease is over",
        ],
    );
    facts.workers.clear();
    says(
        &facts,
        "held",
        &[
            "claimed from the queue geo by a worker that is gone; it comes back once a worker has listened there for one lease (10 s unless --lease says otherwise)",
            "no worker listens to the queue geo of redis://h:6379/0: no worker runs there at all",
        ],
    );
    says(
        &lies(Place::Returning),
        "returning",
        &["on its way back to the queue geo: the worker that held it was lost"],
    );
}

/// Over a file nobody waits for the lease of a process that has ended.
#[test]
fn what_the_killed_held_comes_back_at_once_over_a_file() {
    let mut facts = lies(Place::Held);
    facts.broker = "sqlite:///srv/taskq.db".to_owned();
    facts.silent = vec!["w1@bar".into()];
    says(
        &facts,
        "held",
        &[
            "claimed from the queue geo; no answer from w1@bar: if its process has ended, the message comes back as soon as \
             another worker listens there, or before that by the sweep of any other over this file; else, if it was lost, when \
             its lease is over",
        ],
    );
    facts.workers.clear();
    says(
        &facts,
        "held",
        &[
            "claimed from the queue geo by a worker that is gone; it comes back as soon as a worker listens there, or before \
             that by the sweep of any other over this file; if its process still lives, once one has listened there for one lease (10 s unless --lease says otherwise)",
            "no worker listens to the queue geo of sqlite:///srv/taskq.db: no worker runs there at all",
        ],
    );
}

#[test]
fn the_dead_are_told_with_their_reason() {
    let dead = |state| Place::Dead {
        state,
        reason: "the bank is away".into(),
        at: NOW - 5_000,
    };
    let replay = "`taskq dead replay 0198c0de-0000-7000-8000-000000000000` runs it anew";
    says(
        &lies(dead(State::Dead)),
        "dead",
        &[
            "dead 5.0s ago (2025-12-31T23:59:55.000Z) in the queue geo, because: the bank is away",
            replay,
        ],
    );
    let mut facts = lies(dead(State::Failure));
    facts.record = Some(record(State::Failure));
    says(
        &facts,
        "failed",
        &[
            "failed for good 5.0s ago (2025-12-31T23:59:55.000Z) in the queue geo, because: the bank is away",
            replay,
        ],
    );
    let mut facts = lies(dead(State::Dead));
    if let Some(lies) = &mut facts.lies {
        lies.message = None;
    }
    let answer = answer(&facts);
    assert!(
        answer.sentences[1].contains("no worker could read it"),
        "{answer:?}"
    );
}

#[test]
fn what_is_over_is_told_with_its_end() {
    says(
        &recorded(record(State::Success)),
        "succeeded",
        &["it is over: it succeeded 5.0s ago (2025-12-31T23:59:55.000Z) on w1@bar, attempt 2"],
    );
    let mut failed = record(State::Failure);
    failed.error = Some(Failure::new("Timeout", "the bank is away"));
    says(
        &recorded(failed),
        "failed",
        &[
            "it is over: it failed for good 5.0s ago (2025-12-31T23:59:55.000Z) on w1@bar, attempt 2: Timeout: the bank is away",
            "its message is not in the dead set any more (dropped, or older than 7 days): it can not be replayed",
        ],
    );
    let mut revoked = record(State::Revoked);
    for (error, words) in [
        (None, ": its time was over before it ran"),
        (Some(Failure::new("Revoked", "")), ""),
        (Some(Failure::new("Purged", "")), ": its queue was purged"),
        (
            Some(Failure::new("Terminated", "")),
            ": it was revoked while it ran, and cut off",
        ),
    ] {
        revoked.error = error;
        let words =
            format!("it is over: it was revoked 5.0s ago (2025-12-31T23:59:55.000Z){words}");
        says(&recorded(revoked.clone()), "revoked", &[&words]);
    }
    // Its message is still there, to be dropped when it is claimed.
    let mut facts = lies(Place::Waiting { ahead: 3 });
    facts.record = Some(revoked);
    let mut there = |is_revoked| {
        facts.is_revoked = is_revoked;
        let answer = answer(&facts);
        assert_eq!((answer.kind, answer.sentences.len()), ("revoked", 2));
        answer.sentences[1].clone()
    };
    assert_eq!(
        there(true),
        "its message still waits in the queue geo: it does not run, and goes when a worker claims it"
    );
    assert!(there(false).contains("it was sent twice"));
}

#[test]
fn what_is_not_found_is_told_with_how_far_was_looked() {
    says(
        &recorded(record(State::Queued)),
        "not_found",
        &[
            "its record says QUEUED, and its message was not found in the queue geo: it moved while it was looked for, or its \
           queue was deleted by hand; ask again",
        ],
    );
    let mut facts = Facts {
        id: Some(id()),
        broker: BROKER.to_owned(),
        looked_in: vec!["celery".parse().unwrap(), geo()],
        ..Facts::default()
    };
    let words = "0198c0de-0000-7000-8000-000000000000 is unknown to redis://h:6379/0, or has expired: no record, and no message of this id in \
                 celery, geo";
    says(&facts, super::answer::UNKNOWN, &[words]);
    facts.partly = vec![geo()];
    says(
        &facts,
        super::answer::UNKNOWN,
        &[
            words,
            "not every message of geo was looked at: of each place 50,000 messages and 64 MiB at most",
        ],
    );
}

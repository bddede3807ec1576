//! Which facts a step stands for, and how they read in Celery's words.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::broker::{End, RevokeCause};
use crate::state::State;

const AT: u64 = 1_755_582_431_500;

fn message() -> Message {
    let wire = br#"{"id":"0198c0de-0000-7000-8000-000000000000","task":"math.add","args":[2,3],
        "kwargs":{"k":"v"},"retries":1,"eta":1755582432000,"expires":1755582433000,
        "root_id":"0198c0de-0000-7000-8000-000000000001","parent_id":"0198c0de-0000-7000-8000-000000000002"}"#;
    Message::decode(wire).unwrap()
}

/// A run that was received and started, and has something to say.
fn run() -> Attempt {
    Attempt {
        message: Arc::new(message()),
        received: Some(AT - 1_500),
        started: Some(AT - 1_000),
        runtime: Some(Duration::from_millis(1_000)),
        said: Some("said".into()),
        traceback: Some("cause".into()),
    }
}

/// The same run, when its beginning was told before.
fn told_before() -> Attempt {
    Attempt {
        received: None,
        started: None,
        ..run()
    }
}

fn dead(state: State) -> End {
    End::Dead {
        state,
        reason: "reason".into(),
    }
}

fn ends() -> [(&'static str, End); 9] {
    let retry = End::Retry {
        after: Duration::from_secs(1),
        body: bytes::Bytes::new(),
    };
    [
        ("done", End::Done),
        ("retry", retry),
        ("snooze", End::Snooze(Duration::from_secs(1))),
        ("return", End::Return),
        ("failure", dead(State::Failure)),
        ("dead", dead(State::Dead)),
        ("revoked", End::Revoked(RevokeCause::Requested)),
        ("expired", End::Revoked(RevokeCause::Expired)),
        ("terminated", End::Revoked(RevokeCause::Terminated)),
    ]
}

fn events(told: Told) -> Vec<Event> {
    told.expand(AT, &QueueName::default(), Some(&Arc::from("w1@host")))
}

fn fact(event: &Event) -> &TaskEvent {
    match &event.fact {
        Fact::Task(task) => task,
        Fact::Worker(worker) => panic!("no task: {worker:?}"),
    }
}

fn kinds(told: Told) -> Vec<&'static str> {
    events(told).iter().map(Event::kind).collect()
}

/// The last event of an end, for what it says.
fn ended(attempt: &Attempt, end: &End) -> TaskEvent {
    let events = events(Told::ended(attempt, end));
    fact(events.last().unwrap()).clone()
}

#[test]
fn each_end_has_its_kind() {
    let kinds: Vec<_> = ends()
        .iter()
        .map(|(name, end)| (*name, ended(&run(), end).kind.as_str()))
        .collect();
    let expected = [
        ("done", "task-succeeded"),
        ("retry", "task-retried"),
        ("snooze", "task-retried"),
        ("return", "task-rejected"),
        ("failure", "task-failed"),
        ("dead", "task-rejected"),
        ("revoked", "task-revoked"),
        ("expired", "task-revoked"),
        ("terminated", "task-revoked"),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn what_was_told_before_is_not_told_again() {
    let whole = Told::ended(&run(), &End::Done);
    assert_eq!(
        kinds(whole),
        ["task-received", "task-started", "task-succeeded"]
    );
    let end = Told::ended(&told_before(), &End::Done);
    assert_eq!(kinds(end), ["task-succeeded"]);
    assert_eq!(
        kinds(Told::began(&run())),
        ["task-received", "task-started"]
    );
    let received = Attempt {
        started: None,
        ..run()
    };
    assert_eq!(kinds(Told::began(&received)), ["task-received"]);
    assert!(kinds(Told::began(&told_before())).is_empty());
}

#[test]
fn the_beginning_has_its_workers_times_and_the_end_the_brokers() {
    let events = events(Told::ended(&run(), &End::Done));
    let at: Vec<_> = events.iter().map(|e| e.at).collect();
    assert_eq!(at, [AT - 1_500, AT - 1_000, AT]);
}

#[test]
fn an_end_says_what_went_wrong_or_what_came_out() {
    let said = |end: &End| {
        let event = ended(&run(), end);
        (event.result, event.exception, event.traceback)
    };
    let text = |text: &str| Some(Box::from(text));
    assert_eq!(said(&End::Done), (text("said"), None, None));
    for end in [dead(State::Failure), dead(State::Dead)] {
        assert_eq!(said(&end), (None, text("said"), text("cause")));
    }
    let snoozed = said(&End::Snooze(Duration::ZERO));
    assert_eq!((snoozed.0, snoozed.1), (None, text("Snoozed")));
    assert_eq!(
        said(&End::Revoked(RevokeCause::Expired)),
        (None, None, None)
    );
}

#[test]
fn the_dead_without_a_word_have_their_reason() {
    let silent = Attempt {
        said: None,
        ..told_before()
    };
    for end in [dead(State::Failure), dead(State::Dead)] {
        assert_eq!(ended(&silent, &end).exception.as_deref(), Some("reason"));
    }
    assert_eq!(ended(&silent, &End::Return).exception, None);
}

#[test]
fn only_a_return_waits_again_and_revocations_tell_their_causes_apart() {
    for (name, end) in ends() {
        let event = ended(&run(), &end);
        assert_eq!(event.requeued, name == "return", "{name}");
        assert_eq!(event.expired, name == "expired", "{name}");
        assert_eq!(event.terminated, name == "terminated", "{name}");
        assert!(!event.crashed, "{name}");
    }
}

#[test]
fn what_is_given_back_tells_of_the_crash_and_of_the_end() {
    let event =
        |crashed, reason| fact(&events(Told::given_back(&message(), crashed, reason))[0]).clone();
    let (crash, stop, dead) = (
        event(true, None),
        event(false, None),
        event(true, Some("too often")),
    );
    assert_eq!((crash.crashed, crash.requeued), (true, true));
    assert_eq!((stop.crashed, stop.requeued), (false, true));
    assert_eq!((dead.crashed, dead.requeued), (true, false));
    assert_eq!(dead.exception.as_deref(), Some("too often"));
    assert_eq!(
        kinds(Told::given_back(&message(), true, None)),
        ["task-rejected"]
    );
}

#[test]
fn arguments_are_told_once() {
    let arguments = |told| {
        let told: Vec<_> = events(told);
        told.iter()
            .map(|e| fact(e).args.is_some() && fact(e).root_id.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(arguments(Told::sent(&message())), [true]);
    // Pushed by another program: nobody told of it before.
    assert_eq!(
        arguments(Told::ended(&run(), &End::Done)),
        [true, false, false]
    );
    let mut known = message();
    known.enqueued_at = Some(AT - 2_000);
    let known = Attempt {
        message: Arc::new(known),
        ..run()
    };
    assert_eq!(arguments(Told::ended(&known, &End::Done)), [false; 3]);
}

#[test]
fn long_texts_are_cut() {
    let long = "ñ".repeat(5_000);
    let mut message = message();
    message.args = serde_json::value::to_raw_value(&[&long]).ok();
    let sent = events(Told::sent(&message)).remove(0);
    let args = fact(&sent).args.clone().unwrap();
    assert_eq!(args.chars().count(), MAX_CHARS);
    assert!(args.starts_with("[\"ñ") && args.ends_with('…'));
    let end = End::Dead {
        state: State::Dead,
        reason: long.clone(),
    };
    let silent = Attempt {
        said: None,
        ..told_before()
    };
    let reason = ended(&silent, &end).exception.unwrap();
    assert_eq!(reason.chars().count(), MAX_CHARS);
    let given = fact(&events(Told::given_back(&message, true, Some(&long)))[0]).clone();
    assert_eq!(given.exception.unwrap().chars().count(), MAX_CHARS);
    let fits = "ñ".repeat(MAX_CHARS);
    assert_eq!(&*cut_text(&fits), fits);
}

/// All that an event reads as, kept: monitors written for Celery read these names.
#[test]
fn events_read_as_celerys() {
    let mut read: Vec<Value> = Vec::new();
    let mut put = |told: Told| read.extend(events(told).iter().map(Event::to_json));
    put(Told::sent(&Message {
        eta: None,
        root_id: None,
        ..message()
    }));
    put(Told::began(&run()));
    for (_, end) in ends() {
        put(Told::ended(&told_before(), &end));
    }
    put(Told::given_back(&message(), true, None));
    for kind in WorkerEventKind::ALL {
        let worker = WorkerEvent {
            kind,
            node: "w1@host".into(),
            pid: 4_711,
            active: 2,
            processed: 40,
            version: "0.1.0".into(),
        };
        let event = Event {
            at: AT,
            queue: None,
            fact: Fact::Worker(Box::new(worker)),
        };
        read.push(event.to_json());
    }
    assert_eq!(read[0]["timestamp"], json!(1_755_582_431.5));
    insta::assert_json_snapshot!(read);
}

#[test]
fn every_kind_has_a_word_of_its_own() {
    let task = TaskEventKind::ALL.map(TaskEventKind::as_str);
    let worker = WorkerEventKind::ALL.map(WorkerEventKind::as_str);
    let words: std::collections::BTreeSet<_> = task.into_iter().chain(worker).collect();
    assert_eq!(words.len(), 11);
}

fn at(streams: &[(&str, &str)]) -> EventPosition {
    let owned = |(stream, entry): &(&str, &str)| ((*stream).to_owned(), (*entry).to_owned());
    EventPosition {
        read: streams.iter().map(owned).collect(),
        from_oldest: true,
    }
}

#[test]
fn the_end_is_reached_by_number_in_every_stream_of_the_same_writer() {
    let end = at(&[("a", "900-2"), ("b", "0-0")]);
    for (streams, reached) in [
        (&[("a", "900-2"), ("b", "0-0")][..], true),
        (&[("a", "1000-0"), ("b", "7-0"), ("c", "0-0")], true),
        (&[("a", "900-1"), ("b", "7-0")], false),
        (&[("a", "89-9"), ("b", "7-0")], false),
        (&[("a", "900-2")], false),
        (&[("a", "900"), ("b", "0-0")], false),
        (&[], false),
    ] {
        assert_eq!(at(streams).has_reached(&end), reached, "{streams:?}");
    }
    let end = at(&[("sqlite", "w-1/10/900/0")]);
    for (entry, reached) in [
        ("w-1/10/900/0", true),
        ("w-1/11/1/3", true),
        ("w-1/9/901/0", false),
        ("w-2/11/901/0", false),
        ("w-1/x/901/0", false),
    ] {
        assert_eq!(
            at(&[("sqlite", entry)]).has_reached(&end),
            reached,
            "{entry}"
        );
    }
}

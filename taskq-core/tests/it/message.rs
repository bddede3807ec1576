//! Messages: what is written is read again, what is broken is told, nothing panics.

use proptest::prelude::*;
use taskq_core::message::{MAX_BYTES, MAX_TASK_BYTES, OnCrash};
use taskq_core::{ErrorKind, Message, TaskId};

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

fn raw(json: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}

fn with(tail: &str) -> Vec<u8> {
    format!(r#"{{"id":"{ID}","task":"t"{tail}}}"#).into_bytes()
}

fn encoded(message: &Message) -> String {
    String::from_utf8(message.encode().unwrap()).unwrap()
}

fn named(task: &str) -> Message {
    let mut message = Message::new(task);
    message.id = ID.parse().unwrap();
    message
}

#[test]
fn what_we_write() {
    let mut message = named("math.add");
    insta::assert_snapshot!("minimal", encoded(&message));
    message.args = Some(raw("[2,3]"));
    message.retries = 1;
    message.headers.insert("tenant".into(), "acme".into());
    insta::assert_snapshot!("retried", encoded(&message));
    message.kwargs = Some(raw(r#"{"z":1,"a":18446744073709551616}"#));
    message.on_crash = OnCrash::Dead;
    message.max_crashes = Some(9);
    message.ignore_result = true;
    message.priority = 4;
    message.eta = Some(1_767_225_600_000);
    message.parent_id = Some(message.id);
    insta::assert_snapshot!("with_options", encoded(&message));
}

#[test]
fn the_limit_is_one_mebibyte_exactly() {
    let frame = with(r#","args":[""]"#).len();
    let filled = |bytes: usize| with(&format!(r#","args":["{}"]"#, "x".repeat(bytes - frame)));
    assert_eq!(filled(MAX_BYTES).len(), 1 << 20);
    assert!(Message::decode(&filled(MAX_BYTES)).is_ok());
    let refused = Message::decode(&filled(MAX_BYTES + 1)).unwrap_err();
    assert_eq!(refused.reason, "1048577 bytes, the limit is 1048576");
    assert_eq!(
        (refused.id, refused.task.as_deref()),
        (ID.parse().ok(), Some("t"))
    );
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let mut message = named("t");
    let frame = encoded(&message).len() + r#","args":[""]"#.len();
    let mut sized = |bytes: usize| {
        message.args = Some(raw(&format!(r#"["{}"]"#, "x".repeat(bytes - frame))));
        message.encode()
    };
    assert_eq!(sized(MAX_BYTES).unwrap().len(), MAX_BYTES);
    let refused = sized(MAX_BYTES + 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert!(
        refused
            .to_string()
            .contains("1048577 bytes, the limit is 1048576"),
        "{refused}"
    );
}

#[test]
fn what_no_worker_could_decode_is_not_sent() {
    let broken: [fn(&mut Message); 7] = [
        |m| m.task.clear(),
        |m| m.task = "t".repeat(MAX_TASK_BYTES + 1),
        |m| m.args = Some(raw("5")),
        |m| m.kwargs = Some(raw("[]")),
        |m| m.priority = 10,
        |m| m.max_crashes = Some(0),
        |m| m.max_crashes = Some(10),
    ];
    for spoil in broken {
        let mut message = named("t");
        spoil(&mut message);
        let refused = message.encode().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        assert!(Message::decode(format!("{message:?}").as_bytes()).is_err());
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = "[".repeat(100_000);
    let shut = "]".repeat(100_000);
    for field in ["args", "x"] {
        let message = Message::decode(&with(&format!(r#","{field}":{deep}{shut}"#))).unwrap();
        assert!(message.encode().unwrap().len() > 200_000);
    }
    for broken in [
        deep.clone(),
        format!(r#"{{"id":{deep}{shut},"task":{deep}{shut}}}"#),
        String::from_utf8(with(&format!(r#","headers":{deep}{shut}"#))).unwrap(),
        String::from_utf8(with(&format!(r#","retries":{deep}"#))).unwrap(),
        r#"{"x":"#.repeat(100_000),
    ] {
        assert!(Message::decode(broken.as_bytes()).is_err());
    }
}

/// As many as fit; a search through all earlier names for each would take 10¹⁰ steps and the run's time limit.
#[test]
fn a_doubled_name_is_found_among_a_hundred_thousand() {
    let fields: String = (0..100_000).map(|n| format!(r#","{n:x}":1"#)).collect();
    let wire = with(&fields);
    assert!(wire.len() <= MAX_BYTES);
    let message = Message::decode(&wire).unwrap();
    assert_eq!(
        message.encode().unwrap().len(),
        wire.len() + r#","v":1"#.len()
    );
    let doubled = Message::decode(&with(&format!(r#"{fields},"ff":1"#))).unwrap_err();
    assert!(
        doubled
            .reason
            .starts_with("the field `ff` stands there twice"),
        "{doubled}"
    );
}

#[test]
fn a_reason_never_carries_the_whole_message() {
    let long = "ñ".repeat(400_000);
    for tail in [
        format!(r#","retries":"{long}""#),
        format!(r#","{long}":1,"{long}":2"#),
    ] {
        let refused = Message::decode(&with(&tail)).unwrap_err();
        assert!(
            refused.reason.len() <= 1 << 10,
            "{} bytes",
            refused.reason.len()
        );
        assert_eq!(refused.id, ID.parse().ok());
    }
}

#[test]
fn crash_limits() {
    let limit = |tail| Message::decode(&with(tail)).unwrap().crash_limit();
    assert_eq!(limit(""), 3);
    assert_eq!(limit(r#","max_crashes":9"#), 9);
    assert_eq!(limit(r#","max_crashes":9,"on_crash":"dead""#), 1);
}

/// JSON of any shape, as text with spaces kept.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<u128>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("1.50e+3".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,")))
    })
}

prop_compose! {
    fn options()(
        retries: u32, max_retries: Option<u32>, eta: Option<u64>, expires: Option<u64>,
        limits: (Option<u64>, Option<u64>), priority in 0..=9_u8, flags: (bool, bool, bool),
        max_crashes in prop::option::of(1..=9_u8), ids: (Option<u128>, Option<u128>), enqueued_at: Option<u64>,
    ) -> Message {
        let id = |bits: u128| uuid::Uuid::from_u128(bits).to_string().parse::<TaskId>().unwrap();
        let mut m = Message::new("t");
        (m.retries, m.max_retries, m.eta, m.expires) = (retries, max_retries, eta, expires);
        // The soft limit is under the hard one, and neither is nothing.
        m.time_limit = limits.0.filter(|hard| *hard > 1);
        m.soft_time_limit = limits.1.map(|soft| 1 + soft % (m.time_limit.unwrap_or(u64::MAX) - 1));
        (m.ignore_result, m.track_started) = (flags.0, flags.1);
        m.on_crash = if flags.2 { OnCrash::Dead } else { OnCrash::Requeue };
        (m.priority, m.max_crashes, m.enqueued_at) = (priority, max_crashes, enqueued_at);
        (m.root_id, m.parent_id) = (ids.0.map(id), ids.1.map(id));
        m
    }
}

prop_compose! {
    fn messages()(
        mut m in options(), task in ".{1,40}", args in prop::option::of(prop::collection::vec(json(), 0..4)),
        kwargs in prop::option::of(prop::collection::btree_map(any::<String>(), json(), 0..4)),
        headers in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) -> Message {
        m.task = task;
        m.args = args.map(|items| raw(&format!("[{}]", items.join(" , "))));
        m.kwargs = kwargs.map(|entries| {
            let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{}: {v}", serde_json::to_string(k).unwrap())).collect();
            raw(&format!("{{{}}}", entries.join(",")))
        });
        m.headers = headers;
        m
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(message in messages()) {
        let wire = message.encode().unwrap();
        let read = Message::decode(&wire).unwrap();
        // Field by field: equal text alone would not see a field that is never written.
        prop_assert_eq!(read.id, message.id);
        prop_assert_eq!(&read.task, &message.task);
        prop_assert_eq!(read.args.as_ref().map(|j| j.get()), message.args.as_ref().map(|j| j.get()));
        prop_assert_eq!(read.kwargs.as_ref().map(|j| j.get()), message.kwargs.as_ref().map(|j| j.get()));
        prop_assert_eq!(
            (read.retries, read.max_retries, read.eta, read.expires, read.time_limit, read.soft_time_limit),
            (message.retries, message.max_retries, message.eta, message.expires, message.time_limit, message.soft_time_limit)
        );
        prop_assert_eq!(
            (read.priority, read.ignore_result, read.track_started, read.max_crashes, read.on_crash),
            (message.priority, message.ignore_result, message.track_started, message.max_crashes, message.on_crash)
        );
        prop_assert_eq!((read.root_id, read.parent_id, read.enqueued_at), (message.root_id, message.parent_id, message.enqueued_at));
        prop_assert_eq!(&read.headers, &message.headers);
        prop_assert_eq!(read.encode().unwrap(), wire);
    }

    #[test]
    fn any_bytes_are_a_message_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(refused) = Message::decode(&bytes) {
            prop_assert!(!refused.reason.is_empty());
        }
    }

    /// Nearly right messages reach further in than noise does.
    #[test]
    fn any_damage_is_a_message_or_a_reason(message in messages(), at: prop::sample::Index, byte: u8, cut: bool) {
        let mut wire = message.encode().unwrap();
        let at = at.index(wire.len());
        wire[at] = byte;
        if cut { wire.truncate(at + 1); }
        match Message::decode(&wire) {
            Ok(message) => prop_assert!(message.encode().is_ok()),
            Err(refused) => prop_assert!(!refused.reason.is_empty()),
        }
    }
}

//! `taskq result --follow`, and what `taskq call --wait` shows on a terminal.

use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;
use taskq_cli::{Console, Exit, run};
use taskq_core::broker::{Backend, Consumer, Delivery, End, Start, Verdict};
use taskq_core::event::Attempt;
use taskq_core::{Failure, Message, Progress, QueueName, Record, State};
use tokio::task::JoinHandle;

use crate::stage::{Stage, words};

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

/// A stream that somebody reads while it is written.
#[derive(Clone, Default)]
struct Seen(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// All of it once it holds `text`.
    async fn shows(&self, text: &str) -> String {
        for _ in 0..2_000 {
            let shown = self.text();
            if shown.contains(text) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{text:?} never came: {}", self.text());
    }
}

/// A command line under way.
struct Typed {
    out: Seen,
    err: Seen,
    ended: JoinHandle<Exit>,
}

impl Typed {
    fn start(stage: &Stage, line: &[&str], terminal: bool) -> Self {
        let (out, err) = (Seen::default(), Seen::default());
        let (mut to, mut and_to) = (out.clone(), err.clone());
        let (words, backend): (_, Arc<dyn Backend>) = (words(line), stage.0.clone());
        // A console stays on its thread.
        let ended = tokio::task::spawn_blocking(move || {
            let mut console = Console::new(&mut to, &mut and_to)
                .terminal(terminal)
                .err_terminal(terminal);
            let ran = run(words, &mut console, |_| async { Ok(backend) });
            tokio::runtime::Handle::current().block_on(ran)
        });
        Self { out, err, ended }
    }

    async fn ends(self) -> (Exit, String, String) {
        let exit = self.ended.await.unwrap();
        (exit, self.out.text(), self.err.text())
    }
}

/// A run of the call that the test steers.
struct Run {
    consumer: Arc<dyn Consumer>,
    delivery: Delivery,
    message: Message,
}

impl Run {
    async fn of_the_next(stage: &Stage) -> Self {
        let (consumer, delivery, message) = stage.claim("celery").await;
        Self {
            consumer,
            delivery,
            message,
        }
    }

    fn record(&self, state: State) -> Record {
        let mut record = Record::new(self.message.id, "t", &QueueName::default(), state);
        record.attempts = self.message.attempt();
        record.worker = Some("w1@bar".into());
        record.created = Some(1_767_225_600_000);
        record.started = Some(1_767_225_600_250);
        record
    }

    async fn gets(&self, done: u64, total: u64, note: &str) {
        let mut record = self.record(State::Started);
        record.progress = Some(Progress {
            done,
            total,
            note: (!note.is_empty()).then(|| note.into()),
            at: 1_767_225_600_300,
        });
        let start = Start {
            receipt: self.delivery.receipt,
            record: Some(record),
            event: Attempt {
                message: Arc::new(self.message.clone()),
                received: None,
                started: None,
                runtime: None,
                said: None,
                traceback: None,
            },
        };
        let queue = &self.delivery.queue;
        self.consumer.started(queue, vec![start]).await.unwrap();
    }

    async fn ends(self, end: End, record: Record) {
        let verdict = Verdict {
            receipt: self.delivery.receipt,
            end,
            record: Some(record),
            event: None,
        };
        let queue = &self.delivery.queue;
        self.consumer.finish(queue, vec![verdict]).await.unwrap();
    }

    async fn succeeds(self) {
        let mut record = self.record(State::Success);
        record.finished = Some(1_767_225_601_500);
        self.ends(End::Done, record).await;
    }
}

async fn sent(stage: &Stage) {
    let said = stage.run(&["call", "t", "--id", ID]).await;
    assert_eq!(said.exit, Exit::Done, "{said}");
}

#[tokio::test]
async fn each_change_is_a_line_and_the_record_comes_last() {
    let stage = Stage::new();
    sent(&stage).await;
    let typed = Typed::start(&stage, &["result", ID, "--follow"], false);
    typed.out.shows("QUEUED\n").await;
    let run = Run::of_the_next(&stage).await;
    run.gets(3, 10, "day 4").await;
    typed.out.shows("3/10").await;
    run.gets(4, 10, "").await;
    typed.out.shows("4/10").await;
    let mut record = run.record(State::Retry);
    record.error = Some(Failure::new("Flop", "it\u{7}fell"));
    record.due = Some(1_767_225_602_000);
    let body = run.message.encode().unwrap().into();
    let retry = End::Retry {
        after: Duration::ZERO,
        body,
    };
    run.ends(retry, record).await;
    typed.out.shows("RETRY").await;
    Run::of_the_next(&stage).await.succeeds().await;
    let (exit, out, err) = typed.ends().await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_snapshot!(out, @r#"
    QUEUED
    STARTED attempt 1 on w1@bar: 3/10 (30 %), day 4
    STARTED attempt 1 on w1@bar: 4/10 (40 %)
    RETRY after attempt 1: Flop: it\u{7}fell, due 2026-01-01T00:00:02.000Z
    SUCCESS
    task      t
    id        0198c0de-0000-7000-8000-000000000000
    queue     celery
    attempts  1
    worker    w1@bar
    created   2026-01-01T00:00:00.000Z
    started   2026-01-01T00:00:00.250Z
    finished  2026-01-01T00:00:01.500Z
    "#);
}

#[tokio::test]
async fn as_json_each_change_is_a_record_and_so_is_the_last() {
    let stage = Stage::new();
    sent(&stage).await;
    let typed = Typed::start(&stage, &["result", ID, "-f", "--json"], false);
    typed.out.shows("QUEUED").await;
    let run = Run::of_the_next(&stage).await;
    run.gets(1, 0, "").await;
    typed.out.shows(r#""done":1"#).await;
    let mut record = run.record(State::Failure);
    record.error = Some(Failure::new("Flop", "it fell"));
    let dead = End::Dead {
        state: State::Failure,
        reason: "it fell".into(),
    };
    run.ends(dead, record).await;
    let (exit, out, err) = typed.ends().await;
    assert_eq!((exit, err.as_str()), (Exit::Failed, ""));
    let states = out.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["id"], ID);
        (record["state"].to_string(), record["progress"].to_string())
    });
    let states: Vec<_> = states.map(|(s, p)| format!("{s} {p}")).collect();
    assert_snapshot!(states.join("\n"), @r#"
    "QUEUED" null
    "STARTED" {"at":"2026-01-01T00:00:00.300Z","done":1,"note":null,"total":0}
    "FAILURE" null
    "#);
}

#[tokio::test]
async fn on_a_terminal_one_line_is_drawn_again_and_gone_at_the_end() {
    let stage = Stage::new();
    sent(&stage).await;
    let typed = Typed::start(&stage, &["result", ID, "--follow"], true);
    typed.out.shows("QUEUED").await;
    let run = Run::of_the_next(&stage).await;
    run.gets(3, 10, &"long ".repeat(40)).await;
    typed.out.shows("3/10 (30 %), long").await;
    run.succeeds().await;
    let (exit, out, err) = typed.ends().await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let (drawn, last) = out.rsplit_once("\r\x1b[2K").unwrap();
    assert!(
        last.starts_with("SUCCESS\nprogress") || last.starts_with("SUCCESS\ntask"),
        "{last}"
    );
    assert!(!drawn.contains('\n'), "{drawn}");
    for line in drawn.split("\r\x1b[2K") {
        assert!(line.chars().count() < 80, "{line}");
    }
}

#[tokio::test]
async fn a_wait_on_a_terminal_shows_how_far_it_is_on_stderr() {
    let stage = Stage::new();
    let line = ["call", "t", "--id", ID, "--wait", "--json"];
    let typed = Typed::start(&stage, &line, true);
    typed.err.shows("QUEUED").await;
    let run = Run::of_the_next(&stage).await;
    run.gets(3, 10, "").await;
    typed.err.shows("3/10 (30 %)").await;
    run.succeeds().await;
    let (exit, out, err) = typed.ends().await;
    assert_eq!(exit, Exit::Done);
    assert!(err.ends_with("\r\x1b[2K"), "{err}");
    let record: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(record["state"], "SUCCESS");
}

#[tokio::test]
async fn what_has_ended_is_shown_at_once() {
    let stage = Stage::new();
    for (state, exit) in [
        (State::Success, Exit::Done),
        (State::Failure, Exit::Failed),
        (State::Dead, Exit::Failed),
        (State::Revoked, Exit::Failed),
    ] {
        let queue = QueueName::default();
        let record = Record::new(taskq_core::TaskId::random(), "t", &queue, state);
        let id = record.id.to_string();
        stage.keep(record).await;
        let said = stage.run(&["result", &id, "--follow"]).await;
        assert_eq!((said.exit, said.err.as_str()), (exit, ""));
        assert!(said.out.starts_with(state.as_str()), "{said}");
        // Unfollowed, the question was answered.
        assert_eq!(stage.run(&["result", &id]).await.exit, Exit::Done);
    }
}

#[tokio::test]
async fn following_has_its_end_and_its_limits() {
    let stage = Stage::new();
    sent(&stage).await;
    let line = ["result", ID, "--follow", "--timeout", "30ms"];
    let said = stage.run(&line).await;
    assert_eq!(said.exit, Exit::TimedOut, "{said}");
    assert!(
        said.err.contains("has not ended within 30ms: it is QUEUED"),
        "{said}"
    );
    let unknown = "0198c0de-0000-7000-8000-00000000ffff";
    let said = stage.run(&["result", unknown, "--follow"]).await;
    assert_eq!(said.exit, Exit::Failed, "{said}");
    let said = stage.run(&["result", ID, "--timeout", "1"]).await;
    assert_eq!(said.exit, Exit::Usage, "{said}");
}

#[tokio::test]
async fn who_waits_for_what_nobody_offers_is_told_soon() {
    let stage = Stage::new();
    let line = ["call", "t", "--id", ID, "--wait", "--json"];
    let typed = Typed::start(&stage, &line, false);
    typed.err.shows(&format!(
        "taskq: no worker listens to the queue celery of memory://: no worker runs there at all; it waits on, `taskq why {ID}` says more"
    ))
    .await;
    Run::of_the_next(&stage).await.succeeds().await;
    let (exit, out, _) = typed.ends().await;
    assert_eq!(exit, Exit::Done, "{out}");
}

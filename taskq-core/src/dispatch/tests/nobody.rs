//! Who sends by name what no live worker offers is told, once in a while.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use super::fake::Fake;
use super::{Dispatcher, LONG, known};
use crate::fleet::PublishedTask;
use crate::signature::Signature;

/// The warnings that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// This thread logs to `log` while the guard lives.
fn logging(log: &Log) -> impl Drop + use<> {
    // Of a single log, what another test's thread is the first to tell would stay untold here: it asks its own, and has none.
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Log::default()));
    LazyLock::force(&SECOND);
    tracing::subscriber::set_default(log.clone())
}

/// How often each of these was told, after a send of each.
async fn sent(dispatcher: &Dispatcher, log: &Log) -> [usize; 3] {
    for name in ["gone", "idle", "live"] {
        let call: Signature<()> = Signature::by_name(name);
        dispatcher.send(call).await.unwrap();
    }
    // What is sent from its definition asks nothing, so nothing is known of it.
    let call: Signature<()> = Signature::of(&known("defined"));
    dispatcher.send(call).await.unwrap();
    let lines = log.0.lock().unwrap();
    assert!(!lines.iter().any(|l| l.contains("defined")), "{lines:?}");
    let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    [
        told(r#"calls of "gone" are sent and wait: no worker has published it within 7 days"#),
        told(r#"calls of "idle" are sent and wait: no live worker offers it now"#),
        told("live\" are sent"),
    ]
}

#[tokio::test(start_paused = true)]
async fn of_a_task_that_no_live_worker_offers_is_told_once_in_ten_minutes() {
    let fake = Fake::open();
    let (idle, live) = (known("idle"), known("live"));
    *fake.published.lock().unwrap() = vec![
        PublishedTask::from(&idle),
        PublishedTask {
            live: true,
            ..PublishedTask::from(&live)
        },
    ];
    let log = Log::default();
    let _guard = logging(&log);
    let dispatcher = Dispatcher::new(fake, LONG);
    assert_eq!(sent(&dispatcher, &log).await, [1, 1, 0]);
    // Read again, and known to be told.
    tokio::time::advance(Duration::from_secs(590)).await;
    assert_eq!(sent(&dispatcher, &log).await, [1, 1, 0]);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(sent(&dispatcher, &log).await, [2, 2, 0]);
}

/// Sends one call each of so many tasks that nobody knows, none of which was sent before; how many of them were named, and
/// how often was told that there are more.
async fn of_new_names(
    dispatcher: &Dispatcher,
    log: &Log,
    names: std::ops::Range<usize>,
) -> [usize; 2] {
    log.0.lock().unwrap().clear();
    for n in names {
        let call: Signature<()> = Signature::by_name(format!("from.outside.{n}"));
        dispatcher.send(call).await.unwrap();
    }
    let lines = log.0.lock().unwrap();
    let named = lines.iter().filter(|l| l.contains("from.outside")).count();
    let more = "calls of more than 1024 tasks that no live worker offers are sent";
    let more = lines.iter().filter(|l| l.starts_with(more)).count();
    assert_eq!(lines.len(), named + more, "{:?}", lines.last());
    [named, more]
}

#[tokio::test(start_paused = true)]
async fn names_from_outside_do_not_fill_the_log() {
    let log = Log::default();
    let _guard = logging(&log);
    let dispatcher = Dispatcher::new(Fake::open(), LONG);
    assert_eq!(of_new_names(&dispatcher, &log, 0..1_024).await, [1_024, 0]);
    assert_eq!(of_new_names(&dispatcher, &log, 1_024..1_100).await, [0, 1]);
    tokio::time::advance(Duration::from_secs(590)).await;
    // Those that were named are still known to be told.
    assert_eq!(of_new_names(&dispatcher, &log, 0..1_200).await, [0, 0]);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(
        of_new_names(&dispatcher, &log, 2_000..3_100).await,
        [1_024, 1]
    );
}

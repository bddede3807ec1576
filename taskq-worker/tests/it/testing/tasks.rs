//! The tasks of these tests.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use taskq_client::{Client, TaskHandle};
use taskq_worker::retry::Fixed;
use taskq_worker::task::{Registry, TaskDef};
use taskq_worker::{Builder, Context, Outcome, TaskError, task};

/// What the tasks did, in their order.
#[derive(Debug, Default)]
pub(crate) struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[task(name = "kit.add")]
pub(crate) async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task(name = "kit.note", queue = "notes")]
pub(crate) async fn note(
    context: Context,
    what: String,
    to: Option<String>,
) -> Result<(), TaskError> {
    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
    context.state::<Diary>()?.note(format!("{what}{to}"));
    Ok(())
}

/// Fails until its third attempt.
#[task(name = "kit.third", max_retries = 3, retry = Fixed(Duration::from_secs(60)))]
pub(crate) async fn third(context: Context) -> Result<u32, String> {
    match context.attempt() {
        3.. => Ok(context.attempt()),
        _ => Err("not yet".to_owned()),
    }
}

#[task(name = "kit.order")]
pub(crate) async fn order(context: Context, what: String) -> Result<(), TaskError> {
    context.state::<Diary>()?.note("order");
    context.send(note::call(what, None)).await?;
    context.state::<Diary>()?.note("ordered");
    Ok(())
}

#[task(name = "kit.sleep", track_started)]
pub(crate) async fn sleep(context: Context, seconds: u64) -> Result<(), TaskError> {
    context.state::<Diary>()?.note("begins");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    context.state::<Diary>()?.note("ends");
    Ok(())
}

/// Ends itself when it is told to.
#[task(
    name = "kit.patient",
    soft_time_limit = "30s",
    time_limit = "1h",
    max_retries = 0
)]
pub(crate) async fn patient(context: Context) -> Result<String, TaskError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(7_200)) => Ok("slept".to_owned()),
        () = context.cancellation().cancelled() => Ok(format!("{:?}", context.cancelled_by())),
    }
}

#[task(name = "kit.plain")]
pub(crate) fn plain(context: Context, what: String) -> Result<usize, TaskError> {
    context.state::<Diary>()?.note(what.clone());
    Ok(what.len())
}

#[task(name = "kit.later")]
pub(crate) async fn later(context: Context) -> Outcome<bool> {
    match context.state::<Diary>().is_ok_and(|d| d.read().is_empty()) {
        true => {
            context.state::<Diary>().unwrap().note("later");
            Outcome::Snooze(Duration::from_secs(5))
        }
        false => Outcome::Done(true),
    }
}

#[task(name = "kit.refuse")]
pub(crate) async fn refuse(how: String) -> Outcome<()> {
    match how.as_str() {
        "reject" => Outcome::Reject("it is not for us".to_owned()),
        "panic" => panic!("oh no"),
        _ => Outcome::Failed(taskq_worker::Failure::new("Broken", "for good")),
    }
}

#[task(name = "kit.quiet", ignore_result)]
pub(crate) async fn quiet() -> u32 {
    7
}

/// A service as programs have them: it sends with a client of its own.
#[derive(Debug, Default)]
pub(crate) struct Mailer(OnceLock<Client>);

impl Mailer {
    pub(crate) fn with(&self, client: Client) {
        self.0.set(client).unwrap();
    }

    async fn send(&self, what: String) -> TaskHandle<()> {
        let client = self.0.get().unwrap();
        // To the queue that `forward` came through.
        let call = note::call(what, None).queue("celery");
        client.send(call).await.unwrap()
    }
}

#[task(name = "kit.forward")]
pub(crate) async fn forward(context: Context, what: String) -> Result<(), TaskError> {
    context.state::<Diary>()?.note("forward");
    context.state::<Mailer>()?.send(what).await;
    context.state::<Diary>()?.note("forwarded");
    Ok(())
}

pub(crate) const DEFS: [&TaskDef; 11] = [
    &add::DEF,
    &note::DEF,
    &third::DEF,
    &order::DEF,
    &sleep::DEF,
    &patient::DEF,
    &plain::DEF,
    &later::DEF,
    &refuse::DEF,
    &quiet::DEF,
    &forward::DEF,
];

/// The worker of these tests: their tasks, and a diary.
pub(crate) fn kit(worker: Builder) -> Builder {
    worker
        .registry(Registry::from_defs(DEFS).unwrap())
        .state(Diary::default())
        .state(Mailer::default())
}

/// The same.
pub(crate) fn broker() -> taskq_worker::testing::TestBroker {
    let builder = taskq_worker::testing::TestBroker::builder();
    builder.worker(kit).build().unwrap()
}

//! The kit's worker in its fleet: it is found, it answers, and what it runs is cut off.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use taskq_client::{Command, Revocation, RevokeOptions, Revoked, SendOptions};
use taskq_worker::testing::{Drained, Ended, Fault, TestBroker};
use taskq_worker::{State, TaskId, task};
use tokio::time::Instant;
use tracing::Dispatch;

use super::tasks::{Diary, add, kit, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn revoke(broker: &TestBroker, id: TaskId, terminate: bool) -> Revoked {
    let options = RevokeOptions {
        terminate,
        ..RevokeOptions::default()
    };
    let what = [Revocation::Id(id)];
    broker.client().revoke(&what, options).await.unwrap()
}

/// Sends a call that takes a minute, for whoever runs it beside the test.
async fn minute(broker: &TestBroker) -> TaskId {
    broker.client().send(sleep::call(60)).await.unwrap().id()
}

#[taskq_worker::test(worker = kit)]
async fn a_step_that_is_terminated_is_cut_off(broker: TestBroker) {
    let (began, id) = (Instant::now(), minute(&broker).await);
    let beside = broker.clone();
    let step = tokio::spawn(async move { beside.step().await });
    broker.wait_for(id, State::Started, SECOND).await.unwrap();

    let revoked = revoke(&broker, id, true).await;
    assert_eq!((revoked.terminated, revoked.running), (vec![id], vec![]));
    let reason = "it was revoked while it ran, and cut off".to_owned();
    assert_eq!(
        step.await.unwrap().unwrap().ended,
        Ended::Revoked { reason }
    );
    assert_eq!(broker.record(id).await.unwrap().state, State::Revoked);
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["begins"]);
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
}

#[taskq_worker::test(worker = kit)]
async fn a_drain_goes_on_behind_what_is_terminated(broker: TestBroker) {
    let id = minute(&broker).await;
    broker.client().send(add::call(1, 1)).await.unwrap();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    broker.wait_for(id, State::Started, SECOND).await.unwrap();
    assert_eq!(revoke(&broker, id, true).await.terminated, [id]);
    let drained = Drained {
        done: 1,
        revoked: 1,
        ..Drained::default()
    };
    assert_eq!(drain.await.unwrap(), drained);
}

/// It can not be stopped. Its call has ended all the same.
#[task(name = "kit.stubborn", track_started)]
fn stubborn(context: taskq_worker::Context) -> bool {
    // A bound, so that a test that fails ends nevertheless.
    let began = std::time::Instant::now();
    while context.cancelled_by().is_none() && began.elapsed().as_secs() < 20 {
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The clock runs: one that stands waits for the function.
#[taskq_worker::test(start_paused = false)]
async fn a_plain_function_that_is_terminated_is_told(broker: TestBroker) {
    let id = broker.client().send(stubborn::call()).await.unwrap().id();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    broker.wait_for(id, State::Started, SECOND).await.unwrap();
    assert_eq!(revoke(&broker, id, true).await.terminated, [id]);
    assert_eq!(drain.await.unwrap().revoked, 1);
}

#[taskq_worker::test(worker = kit)]
async fn what_is_revoked_and_not_terminated_runs_on(broker: TestBroker) {
    let id = minute(&broker).await;
    let beside = broker.clone();
    let step = tokio::spawn(async move { beside.step().await });
    broker.wait_for(id, State::Started, SECOND).await.unwrap();
    let revoked = revoke(&broker, id, false).await;
    assert_eq!((revoked.terminated, revoked.running), (vec![], vec![id]));
    assert!(revoked.marked.is_empty(), "it runs");
    assert_eq!(step.await.unwrap().unwrap().ended, Ended::Done);
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["begins", "ends"]);
}

#[taskq_worker::test(worker = kit)]
async fn the_worker_is_of_the_fleet_until_it_is_stopped(broker: TestBroker) {
    let (client, began) = (broker.client(), Instant::now());
    assert!(client.workers().await.unwrap().is_empty(), "nothing ran");
    broker.run(add::call(1, 1)).await.value();
    let answers = client.ask(Command::Ping, &[], SECOND).await.unwrap();
    assert_eq!(answers.replies.len(), 1);
    assert!(answers.silent.is_empty() && began.elapsed().is_zero());

    // A crash and a restart are one worker, whose registration no advance lets lapse.
    let id = minute(&broker).await;
    broker.inject(Fault::CrashAfterClaim);
    broker.drain().await;
    broker.advance(100 * broker.lease()).await;
    let [card] = &client.workers().await.unwrap()[..] else {
        panic!("one worker")
    };
    assert_eq!(card.node, "test@localhost");
    let record = broker.record(id).await.unwrap();
    assert!(card.takes_from(&record.queue) && card.tasks.contains(&record.task));
    broker.stop().await;
    assert!(client.workers().await.unwrap().is_empty());
}

/// What is logged while a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn says(&self, what: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(what)
    }
}

/// Its tasks are published as those of every worker: who sends by name takes from them what was left open, and is not warned.
#[taskq_worker::test(worker = kit)]
async fn what_is_sent_by_name_is_what_the_worker_offers(broker: TestBroker) {
    // Of a single log, what another test's thread is the first to tell would stay untold here: it asks its own, and has none.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish()));
    LazyLock::force(&SECOND);
    let log = Log::default();
    let logged = log.clone();
    let logging = tracing_subscriber::fmt().with_writer(move || logged.clone());
    let _logging = tracing::subscriber::set_default(logging.with_ansi(false).finish());
    let client = broker.client();
    let send = async |task: &str| {
        let sent = client.send_by_name(task, ("a",), (), SendOptions::default());
        sent.await.unwrap()
    };
    assert!(client.tasks().await.unwrap().is_empty(), "nothing ran");

    assert_eq!(broker.drain().await, Drained::default());
    let id = send("kit.note").await.id();
    assert_eq!(broker.record(id).await.unwrap().queue.as_str(), "notes");
    assert!(!log.says("kit.note"));
    send("kit.unknown").await;
    assert!(log.says(r#"calls of "kit.unknown" are sent and wait"#));
    let drained = broker.drain().await;
    assert_eq!((drained.done, drained.dead), (1, 1));
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["a"]);

    let offered = async || client.task("kit.note").await.unwrap().unwrap().live;
    assert!(offered().await);
    broker.stop().await;
    assert!(!offered().await);
}

//! `taskq events` over the memory broker: what is shown, in which form, and when it ends.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use private_redis::RedisServer;
use serde_json::{Value, json};
use taskq_cli::{Console, Exit, run};
use taskq_client::{Client, Signature};
use taskq_core::Error;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{Backend, Inspect, Wraps};
use taskq_core::event::{EventPage, EventPosition};

use crate::stage::{Stage, words};

/// What was written so far. Once it has `most` lines, its reader is gone.
#[derive(Clone)]
struct Screen {
    text: Arc<Mutex<String>>,
    most: usize,
}

impl Screen {
    fn new(most: usize) -> Self {
        let text = Arc::default();
        Self { text, most }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.text().lines().count()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.count() >= self.most {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let text = std::str::from_utf8(bytes).unwrap();
        self.text.lock().unwrap().push_str(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows `line` on `screen` until `enough`.
async fn watch(
    stage: &Stage,
    line: &[&str],
    screen: &Screen,
    enough: impl Future<Output = ()>,
) -> (Exit, String) {
    let (mut out, mut err) = (screen.clone(), Vec::new());
    let mut enough = pin!(enough);
    let backend: Arc<dyn Backend> = stage.0.clone();
    let mut console = Console::new(&mut out, &mut err).interrupt(enough.as_mut());
    let exit = run(words(line), &mut console, |_| async { Ok(backend) }).await;
    (exit, String::from_utf8(err).unwrap())
}

/// Once `n` lines are there.
async fn lines(screen: &Screen, n: usize) {
    while screen.count() < n {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Two calls at two queues, one of which ends, and a worker.
async fn told() -> (Stage, String) {
    let stage = Stage::new();
    let first = stage
        .run(&["call", "logistica.pesar", "--queue", "logistica", "--json"])
        .await;
    let first: Value = serde_json::from_str(&first.out).unwrap();
    stage.run(&["call", "math.add", "-a", "[2,3]"]).await;
    stage.end_next("logistica", |_| {}).await;
    (stage, first["task_id"].as_str().unwrap().to_owned())
}

/// The names of the tasks that these filters leave over, of `n` events.
async fn left(stage: &Stage, filters: &[&str], n: usize) -> Vec<Value> {
    let line = [&["events", "--oldest", "--json"][..], filters].concat();
    let screen = Screen::new(100);
    let enough = lines(&screen, n);
    // A filter that keeps too much would be seen, since a page is shown as a whole.
    let (exit, err) = watch(stage, &line, &screen, enough).await;
    assert_eq!((exit, &*err), (Exit::Done, ""), "{filters:?}");
    let text = screen.text();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    events.collect()
}

#[tokio::test]
async fn filters_must_all_fit() {
    let (stage, id) = told().await;
    let names = async |filters: &[&str], n: usize| -> Vec<String> {
        let events = left(&stage, filters, n).await;
        let name = |e: &Value| e["name"].as_str().unwrap().to_owned();
        events.iter().map(name).collect()
    };
    assert_eq!(names(&[], 2).await, ["logistica.pesar", "math.add"]);
    for (filters, name) in [
        (&["--filter", "task=logistica.*"][..], "logistica.pesar"),
        (&["--filter", "task=math.ad?"], "math.add"),
        (&["--filter", "queue=celery"], "math.add"),
        (&["--filter", &format!("id={id}")], "logistica.pesar"),
        (
            &["--filter", &format!("id=…{}", &id[28..])],
            "logistica.pesar",
        ),
        (&["--filter", "type=task-s*", "queue=cel*"], "math.add"),
        (
            &["--filter", "type=task-sent", "--filter", "task=math.*"],
            "math.add",
        ),
    ] {
        assert_eq!(names(filters, 1).await, [name], "{filters:?}");
    }
}

#[tokio::test]
async fn a_line_of_json_has_celerys_fields() {
    let (stage, id) = told().await;
    let event = left(&stage, &["--filter", "task=logistica.*"], 1)
        .await
        .remove(0);
    for (field, value) in [
        ("type", json!("task-sent")),
        ("uuid", json!(id)),
        ("name", json!("logistica.pesar")),
        ("queue", json!("logistica")),
        ("retries", json!(0)),
        ("eta", Value::Null),
    ] {
        assert_eq!(event.get(field), Some(&value), "{field}: {event}");
    }
    assert!(event["timestamp"].as_f64().unwrap() > 1e9, "{event}");
}

#[tokio::test]
async fn workers_are_chosen_by_name() {
    let stage = Stage::new();
    for node in ["w1@bar", "w2@bar", "w3@bar"] {
        stage.worker(node, None).await;
    }
    for (line, nodes) in [
        (&["-d", "w2@bar"][..], &["w2@bar"][..]),
        (&["-d", "w2@bar,w3@bar"], &["w2@bar", "w3@bar"]),
        (&["--filter", "worker=w[13]@*"], &["w1@bar", "w3@bar"]),
        (
            &["-d", "w1@bar,w2@bar", "--filter", "worker=w[13]@*"],
            &["w1@bar"],
        ),
    ] {
        let events = left(&stage, line, nodes.len()).await;
        let names: Vec<_> = events.iter().map(|e| e["hostname"].clone()).collect();
        assert_eq!(names, nodes, "{line:?}");
        assert_eq!(events[0]["type"], "worker-online");
    }
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_told_and_waited_for() {
    let stage = Stage::new();
    stage.worker("w1@bar", None).await;
    let screen = Screen::new(100);
    let line = ["events", "--oldest", "-f", "-d", "w1@bar,w2@bar"];
    let enough = async {
        lines(&screen, 1).await;
        stage.worker("w2@bar", None).await;
        lines(&screen, 2).await;
    };
    let (exit, err) = watch(&stage, &line, &screen, enough).await;
    assert_eq!(
        (exit, &*err),
        (
            Exit::Done,
            "taskq: no worker `w2@bar` is registered; there are: w1@bar; what they tell once they run is shown\n"
        )
    );
}

#[tokio::test]
async fn without_oldest_it_begins_now() {
    let (stage, _) = told().await;
    for line in [
        &["events"][..],
        &["events", "--follow"],
        &["events", "--since-start"],
        &["events", "--since-start", "-f"],
    ] {
        let screen = Screen::new(100);
        let enough = async {
            // Sent again until one was sent behind the place that it found.
            while screen.count() == 0 {
                stage.run(&["call", "later", "-k", "{\"n\": 1}"]).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (exit, err) = watch(&stage, line, &screen, enough).await;
        assert_eq!((exit, &*err), (Exit::Done, ""));
        let text = screen.text();
        assert!(!text.contains("math.add"), "{text}");
        assert!(text.contains("  task-sent         later  …"), "{text}");
        assert!(
            text.contains("  {\"n\":1}\n") || text.contains("  {\"n\": 1}\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it() {
    let (stage, _) = told().await;
    let screen = Screen::new(1);
    let never = std::future::pending();
    let line = ["events", "--oldest", "--follow"];
    let (exit, err) = watch(&stage, &line, &screen, never).await;
    assert_eq!((exit, &*err), (Exit::Done, ""));
    assert_eq!(screen.count(), 1);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_though_nothing_happens() {
    let stage = Stage::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut left = pin!(std::future::ready(()));
    let backend: Arc<dyn Backend> = stage.0.clone();
    let mut console = Console::new(&mut out, &mut err).reader_left(left.as_mut());
    let exit = run(words(&["events"]), &mut console, |_| async { Ok(backend) }).await;
    assert_eq!((exit, err), (Exit::Done, Vec::new()));
}

/// A broker at which each look comes along with something new.
#[derive(Debug)]
struct Busy(Arc<MemoryBroker>);

#[async_trait]
impl Wraps for Busy {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        let client = Client::builder().over(self.0.clone());
        client.send(Signature::<()>::by_name("new")).await?;
        self.0.events(after, wait).await
    }
}

#[tokio::test]
async fn oldest_ends_with_what_is_there_however_much_is_on_its_way() {
    let (stage, _) = told().await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let backend: Arc<dyn Backend> = Arc::new(Busy(stage.0.clone()));
    let mut console = Console::new(&mut out, &mut err);
    let line = words(&["events", "--oldest"]);
    let exit = run(line, &mut console, |_| async { Ok(backend) }).await;
    let (out, err) = (String::from_utf8(out), String::from_utf8(err));
    assert_eq!((exit, err.as_deref()), (Exit::Done, Ok("")));
    let out = out.unwrap();
    let tasks: Vec<_> = out
        .lines()
        .filter_map(|l| l.split_whitespace().nth(2))
        .collect();
    assert!(tasks.starts_with(&["logistica.pesar", "math.add"]), "{out}");
    // Those that came along with the look for the end, and with the page.
    assert_eq!(tasks.len(), 4, "{out}");
}

#[tokio::test]
async fn where_nothing_is_kept_that_fits_it_says_so() {
    let (stage, _) = told().await;
    let none = Stage::new().run(&["events", "--oldest"]).await;
    let line = ["events", "--oldest", "--json", "--filter", "queue=no.such"];
    for said in [none, stage.run(&line).await] {
        assert_eq!(
            (said.exit, &*said.out, &*said.err),
            (
                Exit::Done,
                "",
                "taskq: no event that is kept fits at memory://\n"
            )
        );
    }
    let line = ["events", "--oldest", "-d", "w7@bar"];
    let said = stage.run(&line).await;
    let stranger =
        "taskq: no worker `w7@bar` is registered; none is; what they told before is shown\n";
    assert!(said.err.starts_with(stranger), "{said}");
}

/// More than a page has, at real brokers; and on from there.
#[tokio::test]
async fn all_that_is_kept_is_shown_once_and_then_what_comes() {
    const CALLS: usize = 2_345;
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}/taskq.db", folder.path().display());
    for url in [redis.url(), file] {
        let client = Client::connect(&url).await.unwrap();
        let call = |n| Signature::<()>::by_name(if n % 2 == 0 { "even" } else { "odd" });
        // Each batch is an entry of its own.
        for chunk in (0..15).map(|n| n..n + 1).chain(std::iter::once(15..CALLS)) {
            let sent = client.send_many(chunk.map(call).collect()).await;
            assert!(sent.iter().all(Result::is_ok), "{url}");
        }
        let taskq = |line: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_taskq"));
            command.args(["--broker", &url]).args(line);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let all = taskq(&["events", "--oldest", "--json"]).output().unwrap();
        assert_eq!(all.status.code(), Some(0), "{url}: {all:?}");
        assert!(all.stderr.is_empty(), "{url}: {all:?}");
        let text = String::from_utf8(all.stdout).unwrap();
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["type"], "task-sent", "{event}");
            event["uuid"].as_str().unwrap().to_owned()
        };
        let ids: BTreeSet<_> = text.lines().map(id).collect();
        assert_eq!((text.lines().count(), ids.len()), (CALLS, CALLS), "{url}");

        let line = ["events", "--oldest", "-f", "--filter", "task=odd"];
        let mut watch = taskq(&line).spawn().unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        assert_eq!(lines.by_ref().take(CALLS / 2).count(), CALLS / 2);
        client.send(call(1)).await.unwrap();
        let last = lines.next().unwrap().unwrap();
        assert!(last.contains("  odd  "), "{url}: {last}");
        // It goes on until its reader leaves.
        drop(lines);
        assert_eq!(watch.wait().unwrap().code(), Some(0), "{url}");
    }
}

#[tokio::test]
async fn a_filter_that_can_fit_nothing_is_refused() {
    let mut sentences = String::new();
    for filter in [
        "state=x",
        "task",
        "type=task-faild",
        "id=x",
        "id=abc",
        "task=",
        "task=[",
        "type=***",
    ] {
        let said = Stage::new().run(&["events", "--filter", filter]).await;
        assert_eq!((said.exit, &*said.out), (Exit::Usage, ""), "{said}");
        let sentence = said.err.lines().next().unwrap();
        sentences.push_str(&format!("{sentence}\n"));
    }
    insta::assert_snapshot!(sentences, @r#"
    error: invalid value 'state=x' for '--filter <KEY=PATTERN>...': `state` is no key of a filter: there are type, task, id, queue and worker
    error: invalid value 'task' for '--filter <KEY=PATTERN>...': a filter is KEY=PATTERN, such as type=task-failed
    error: invalid value 'type=task-faild' for '--filter <KEY=PATTERN>...': no event has the type `task-faild`: there are task-sent, task-received, task-started, task-succeeded, task-failed, task-retried, task-rejected, task-revoked, worker-online, worker-heartbeat, worker-offline
    error: invalid value 'id=x' for '--filter <KEY=PATTERN>...': an id is needed, or its last characters, 4 at least
    error: invalid value 'id=abc' for '--filter <KEY=PATTERN>...': an id is needed, or its last characters, 4 at least
    error: invalid value 'task=' for '--filter <KEY=PATTERN>...': `task=` fits nothing; `*` fits all
    error: invalid value 'task=[' for '--filter <KEY=PATTERN>...': Pattern syntax error near position 0: invalid range pattern
    error: invalid value 'type=***' for '--filter <KEY=PATTERN>...': Pattern syntax error near position 2: wildcards are either regular `*` or recursive `**`
    "#);
}

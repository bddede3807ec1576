//! `taskq events` over the memory broker: what is shown, in which form, and when it ends.

use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use taskq_cli::{Console, Exit, run};
use taskq_core::broker::Backend;

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
    let line = ["events", "--oldest", "-d", "w1@bar,w2@bar"];
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
    for line in [&["events"][..], &["events", "--since-start"]] {
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
    let (exit, err) = watch(&stage, &["events", "--oldest"], &screen, never).await;
    assert_eq!((exit, &*err), (Exit::Done, ""));
    assert_eq!(screen.count(), 1);
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

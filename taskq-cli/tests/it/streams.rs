//! Readers that go away, disks that are full.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use serde_json::json;
use taskq_cli::{Console, Exit, run};
use taskq_core::broker::Backend;
use taskq_core::broker::memory::MemoryBroker;

use crate::stage::{Stage, words};

/// Fails every write in one way.
struct Broken(ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

async fn run_into(kind: ErrorKind) -> (Exit, String) {
    let (mut out, mut err) = (Broken(kind), Vec::new());
    let backend: Arc<dyn Backend> = Arc::new(MemoryBroker::new());
    let mut console = Console::new(&mut out, &mut err);
    let exit = run(words(&["call", "t"]), &mut console, |_| async {
        Ok(backend)
    })
    .await;
    (exit, String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_error() {
    let (exit, err) = run_into(ErrorKind::BrokenPipe).await;
    assert_eq!(exit, Exit::Done);
    assert!(!err.contains("stdout"), "{err}");
}

#[tokio::test]
async fn output_that_can_not_be_written_is_one() {
    let (exit, err) = run_into(ErrorKind::StorageFull).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("stdout can not be written"), "{err}");
}

#[tokio::test]
async fn tables_fit_a_terminal_alone() {
    let stage = Stage::new();
    let wide = "w".repeat(70);
    let answer = wide.clone();
    stage
        .answering("w1@bar", &["celery"], move |_| Some(json!([answer])))
        .await;
    for width in [None, Some(40)] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let backend: Arc<dyn Backend> = stage.0.clone();
        let mut console = Console::new(&mut out, &mut err);
        if let Some(columns) = width {
            console = console.width(columns);
        }
        let line = words(&["inspect", "registered"]);
        let exit = run(line, &mut console, |_| async { Ok(backend) }).await;
        assert_eq!(exit, Exit::Done);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains(&wide), width.is_none(), "{text}");
        assert_eq!(text.contains('…'), width.is_some(), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, width.or(Some("w1@bar  ".len() + 70)), "{text}");
    }
}

/// What is wrong goes to stderr, which may be a file while stdout is a terminal, and the other way round.
#[tokio::test]
async fn each_stream_has_its_own_width() {
    const NARROW: Option<usize> = Some(20);
    let answer = async |line: &[&str], out_width, err_width| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let backend: Arc<dyn Backend> = Arc::new(MemoryBroker::new());
        let mut console = Console::new(&mut out, &mut err);
        if let Some(columns) = out_width {
            console = console.width(columns);
        }
        if let Some(columns) = err_width {
            console = console.err_width(columns);
        }
        run(words(line), &mut console, |_| async { Ok(backend) }).await;
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    };
    // A word, an option and an argument that do not fit, and help that was not asked for.
    for line in [
        &["inspec"][..],
        &["call", "t", "--countdow", "1s"],
        &["call"],
        &["inspect"],
    ] {
        let (out, whole) = answer(line, None, None).await;
        assert_eq!((&*out, whole.is_empty()), ("", false), "{line:?}");
        let (out, shown) = answer(line, NARROW, None).await;
        assert_eq!((&*out, &*shown), ("", &*whole), "{line:?}");
        let (out, shown) = answer(line, None, NARROW).await;
        assert_eq!(out, "", "{line:?}");
        assert_ne!(shown, whole, "{line:?}");
        let usage = |text: &str| {
            let mut lines = text.lines();
            lines
                .find(|line| line.contains("Usage: "))
                .map(str::to_owned)
        };
        assert_eq!(usage(&shown), usage(&whole), "{line:?}: {shown}");
        assert!(usage(&shown).is_some_and(|usage| usage.len() > 20));
    }
    let (whole, _) = answer(&["--help"], None, None).await;
    assert_eq!(answer(&["--help"], None, NARROW).await.0, whole);
    assert_ne!(answer(&["--help"], NARROW, None).await.0, whole);
}

#[tokio::test]
async fn what_has_many_columns_fits_a_narrow_terminal() {
    let stage = Stage::new();
    let stats = serde_json::json!({
        "total": {"logistica.procesar_entrega": 1200}, "processed": 1202, "succeeded": 1190, "failed": 5, "retried": 7,
        "revoked": 0, "lost": 0, "pid": 4711, "uptime": 7620, "queues": ["celery", "logistica"],
        "pool": {"max-concurrency": 20, "running": 1, "processes": [4711]}, "prefetch_count": 20,
        "broker": {"transport": "redis", "hostname": "10.0.0.7", "port": 6379, "virtual_host": "0"},
        "rusage": {"utime": 61.25, "stime": 2.5, "maxrss": 58088}
    });
    let answer = move |_| Some(stats.clone());
    stage.answering("w1@bodega", &["celery"], answer).await;
    let backend: Arc<dyn Backend> = stage.0.clone();
    for (line, title) in [
        (&["queues"][..], "WORKERS"),
        (&["inspect", "stats"], "RUNS"),
        (&["status"], "UP"),
    ] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new(&mut out, &mut err).width(60);
        let backend = backend.clone();
        run(words(line), &mut console, |_| async { Ok(backend) }).await;
        let text = String::from_utf8(out).unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(
            widest.unwrap() <= 60 && text.contains(title),
            "{line:?}: {text}"
        );
    }
}

#[tokio::test]
async fn states_have_colours_where_they_are_wanted() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    for colours in [false, true] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let backend: Arc<dyn Backend> = stage.0.clone();
        let mut console = Console::new(&mut out, &mut err).colours(colours);
        let exit = run(words(&["status"]), &mut console, |_| async { Ok(backend) }).await;
        assert_eq!(exit, Exit::Done);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains("\u{1b}[32mOK\u{1b}[0m"), colours, "{text}");
        assert_eq!(text.contains('\u{1b}'), colours, "{text}");
        let id = taskq_core::TaskId::random();
        let queue = taskq_core::QueueName::default();
        let record = taskq_core::Record::new(id, "t", &queue, taskq_core::State::Failure);
        stage.keep(record).await;
        let id = id.to_string();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let backend: Arc<dyn Backend> = stage.0.clone();
        let mut console = Console::new(&mut out, &mut err).colours(colours);
        let line = words(&["result", &id]);
        run(line, &mut console, |_| async { Ok(backend) }).await;
        let text = String::from_utf8(out).unwrap();
        let first = if colours {
            "\u{1b}[31mFAILURE\u{1b}[0m\n"
        } else {
            "FAILURE\n"
        };
        assert!(text.starts_with(first), "{text}");
    }
}

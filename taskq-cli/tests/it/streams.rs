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
    assert_eq!(
        run_into(ErrorKind::BrokenPipe).await,
        (Exit::Done, String::new())
    );
}

#[tokio::test]
async fn output_that_can_not_be_written_is_one() {
    let (exit, err) = run_into(ErrorKind::StorageFull).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("stdout can not be written"), "{err}");
}

#[tokio::test]
async fn wide_cells_are_cut_on_a_terminal_alone() {
    let stage = Stage::new();
    let wide = "w".repeat(70);
    let answer = wide.clone();
    stage
        .answering("w1@bar", &["celery"], move |_| Some(json!([answer])))
        .await;
    for terminal in [false, true] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let backend: Arc<dyn Backend> = stage.0.clone();
        let mut console = Console::new(&mut out, &mut err).terminal(terminal);
        let line = words(&["inspect", "registered"]);
        let exit = run(line, &mut console, |_| async { Ok(backend) }).await;
        assert_eq!(exit, Exit::Done);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains(&wide), !terminal, "{text}");
        assert_eq!(text.contains('…'), terminal, "{text}");
    }
}

//! Redis at `maxmemory`, with a deep backlog.

use std::time::Duration;

use taskq_client::{Command, Error, ErrorKind};

use super::stage::{SOON, Stage, within, works};

const SECOND: Duration = Duration::from_secs(1);

/// Bytes that each call carries beside its arguments.
const BALLAST: usize = 2_000;

/// At `maxmemory` sends are refused with the remedy; claims, finishes, heartbeats, questions and even the start of a
/// worker go on, until all is drained; then there is room for sends again.
#[tokio::test]
async fn a_full_server_refuses_sends_alone_and_draining_it_recovers_them() {
    let options = ["--maxmemory", "6mb", "--maxmemory-policy", "noeviction"];
    let stage = Stage::new(&options).await;
    let first = stage.worker("first", &["-c", "2"]);
    first.logs("is ready").await;
    while stage.send("celery", 500, 20, BALLAST).await == 500 {}
    while stage.send("celery", 1, 20, BALLAST).await == 1 {}
    let error = stage.sent().errors.last().unwrap().clone();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    for part in [
        "OOM",
        "it is out of memory: drain queues, keep fewer results (ignore_result) or raise maxmemory",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let backlog = stage.sent().accepted.len() - stage.runs().ended.len();
    eprintln!("at 6 MB with {backlog} calls waiting: {error}");
    assert!(backlog > 1_000, "{backlog}");

    // Whatever is drained meanwhile, it stays full.
    stage.server.set("maxmemory", "1");
    let ended = stage.runs().ended.len();
    within(SOON, "claims and finishes go on", || {
        (stage.runs().ended.len() > ended + 50).then_some(())
    })
    .await;
    // A worker that starts now takes part; both are registered, and both answer.
    let second = stage.worker("second", &["-c", "20"]);
    within(SOON, "a worker starts", || {
        second.log().contains("is ready").then_some(())
    })
    .await;
    for command in [Command::Ping, Command::Active] {
        let both = async || {
            let answers = stage.client.ask(command.clone(), &[], SECOND).await?;
            // One that has just begun to listen may have missed the first question.
            match answers.replies.len() {
                2 => Ok(()),
                _ => Err(Error::invalid(format!("{answers:?}"))),
            }
        };
        works(SOON, "both workers answer", both).await;
    }
    assert_eq!(
        stage.send("celery", 1, 0, BALLAST).await,
        0,
        "accepted beyond the limit"
    );
    stage.all_succeed().await;
    eprintln!(
        "{} of 6 MB are in use once all have run",
        stage.server.info("used_memory_human")
    );

    stage.server.set("maxmemory", "6mb");
    assert_eq!(stage.send("celery", 100, 0, BALLAST).await, 100);
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());
    let refused = stage
        .sent()
        .errors
        .iter()
        .find(|e| e.kind() != ErrorKind::Refused)
        .cloned();
    assert!(refused.is_none(), "{refused:?}");
    for worker in [first, second] {
        let log = worker.end().await;
        for trouble in ["refuses", "session lost", "did not count"] {
            assert!(!log.contains(trouble), "{trouble}:\n{log}");
        }
    }
}

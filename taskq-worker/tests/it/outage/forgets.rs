//! Redis forgets: its scripts, its connections, everything.

use std::time::Duration;

use taskq_client::Command;
use taskq_core::broker;

use super::stage::{PATIENCE, SOON, Stage, now_ms, within, works};

const SECOND: Duration = Duration::from_secs(1);

/// Scripts are forgotten and all connections killed, forty times under load: nothing is lost, nothing runs twice.
#[tokio::test]
async fn forgotten_scripts_and_killed_connections_cost_no_run() {
    let stage = Stage::new(&[]).await;
    let workers = ["first", "second"].map(|name| stage.worker(name, &["-c", "10"]));
    let feed = stage.feed("celery", Duration::from_millis(5), 20);
    for _ in 0..40 {
        let before = stage.runs().ended.len();
        within(SOON, "work goes on", || {
            (stage.runs().ended.len() > before).then_some(())
        })
        .await;
        assert_eq!(stage.server.command("SCRIPT FLUSH"), "+OK");
        for kind in ["normal", "pubsub"] {
            let killed = stage.server.command(&format!("CLIENT KILL TYPE {kind}"));
            assert!(killed.starts_with(':'), "{killed}");
        }
    }
    feed.stop().await;
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());
    let answers = works(PATIENCE, "the workers are asked", async || {
        let answers = stage.client.ask(Command::Ping, &[], SECOND).await?;
        match answers.replies.len() {
            2 => Ok(answers),
            n => Err(taskq_client::Error::invalid(format!("{n} have answered"))),
        }
    })
    .await;
    assert!(answers.silent.is_empty(), "{answers:?}");
    for worker in workers {
        let log = worker.end().await;
        assert!(!log.contains("did not count"), "{log}");
        // A connection that broke is no trouble of the queue's own.
        assert!(!log.contains("can not be worked on"), "{log}");
    }
}

/// Everything is forgotten, three times under load: what was sent before is gone and what runs does not count; what is
/// sent after it runs once, the worker is known again, and nothing ever ended twice.
#[tokio::test]
async fn after_a_flushall_under_load_work_goes_on_and_nothing_ends_twice() {
    let stage = Stage::new(&[]).await;
    let worker = stage.worker("w", &["-c", "10"]);
    for _ in 0..3 {
        stage.send("celery", 200, 30, 0).await;
        let began = now_ms();
        let begun = || stage.runs().begun_since(began);
        within(SOON, "work goes on", begun).await;
        within(SOON, "more than one batch is under way", || {
            (stage.runs().ended_since(began).len() > 20).then_some(())
        })
        .await;
        assert_eq!(stage.server.command("FLUSHALL"), "+OK");
    }
    drop(std::mem::take(&mut *stage.sent()));
    assert_eq!(stage.send("celery", 100, 5, 0).await, 100);
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());

    let backend = broker::connect(&stage.server.url()).await.unwrap();
    let again = async || {
        let (workers, queues) = (stage.client.workers().await?, backend.queues().await?);
        let known = workers.len() == 1 && queues.len() == 1;
        known
            .then_some(())
            .ok_or_else(|| taskq_client::Error::invalid(format!("{workers:?} {queues:?}")))
    };
    works(SOON, "worker and queue are known again", again).await;
    let log = worker.end().await;
    assert!(log.contains("session lost"), "{log}");
    assert!(log.contains("runs did not count"), "{log}");
}

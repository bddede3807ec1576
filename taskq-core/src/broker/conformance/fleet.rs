//! What workers tell of themselves, and how long it stands.

use std::time::Duration;

use super::Bench;
use crate::error::Error;
use crate::fleet::{PublishedParam, PublishedTask, WorkerCard};
use crate::message::OnCrash;

const TTL: Duration = Duration::from_secs(600);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(super) fn card(bench: &Bench, id: &str, node: &str, tasks: &[&str]) -> WorkerCard {
    WorkerCard {
        id: id.into(),
        node: node.into(),
        host: "host".into(),
        pid_space: "boot/4026531836".into(),
        pid: 4_711,
        queues: vec![bench.queue.clone()],
        slots: 8,
        tasks: tasks.iter().map(|t| (*t).to_owned()).collect(),
        started: 1_700_000_000_000,
        lease_ms: 10_000,
        version: "0.1.0".into(),
        active: 0,
        processed: 0,
        stopping: false,
        renewed: 0,
    }
}

fn task(bench: &Bench, name: &str, doc: &str) -> PublishedTask {
    PublishedTask {
        name: name.into(),
        doc: doc.into(),
        params: vec![PublishedParam {
            name: "n".into(),
            kind: "integer".into(),
            required: true,
        }],
        queue: bench.queue.clone(),
        max_retries: 3,
        ignore_result: false,
        track_started: true,
        expires_ms: Some(60_000),
        max_crashes: Some(5),
        soft_time_limit_ms: None,
        time_limit_ms: None,
        priority: 0,
        on_crash: OnCrash::Dead,
        seen: 0,
        live: false,
    }
}

/// A registered worker is listed with all its card says, and its tasks with all they say.
pub async fn a_registered_worker_is_listed(bench: Bench) -> Result<(), Error> {
    assert!(bench.broker.workers().await?.is_empty());
    assert!(bench.broker.task("math.add").await?.is_none());
    let (card, add) = (
        card(&bench, "id-1", "w1@host", &["math.add"]),
        task(&bench, "math.add", "Adds."),
    );
    bench
        .broker
        .register(&card, std::slice::from_ref(&add), TTL)
        .await?;
    assert_eq!(bench.connect().await?.workers().await?, [card]);
    let Some(found) = bench.broker.task("math.add").await? else {
        panic!("the published task should be known");
    };
    assert!(found.live && found.seen > 0);
    let as_sent = PublishedTask {
        seen: 0,
        live: false,
        ..found.clone()
    };
    assert_eq!(as_sent, add);
    assert_eq!(bench.broker.tasks().await?, [found]);
    Ok(())
}

/// Workers and tasks are listed by name.
pub async fn workers_are_listed_by_name(bench: Bench) -> Result<(), Error> {
    for (id, node, name) in [
        ("1", "b@h", "t.z"),
        ("2", "c@h", "t.x"),
        ("3", "a@h", "t.y"),
    ] {
        let published = [task(&bench, name, "")];
        let card = card(&bench, id, node, &[name]);
        bench.broker.register(&card, &published, TTL).await?;
    }
    let nodes = bench.broker.workers().await?;
    let nodes: Vec<_> = nodes.iter().map(|c| c.node.as_str()).collect();
    assert_eq!(nodes, ["a@h", "b@h", "c@h"]);
    let tasks = bench.broker.tasks().await?;
    let tasks: Vec<_> = tasks.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tasks, ["t.x", "t.y", "t.z"]);
    Ok(())
}

/// A worker that stops registering is forgotten after its time; its tasks are known, but not live.
pub async fn a_registration_lapses(bench: Bench) -> Result<(), Error> {
    let card = card(&bench, "id-1", "w1@host", &["math.add"]);
    let published = [task(&bench, "math.add", "")];
    bench.broker.register(&card, &published, TTL).await?;
    bench.advance(TTL - MINUTE).await?;
    assert_eq!(bench.broker.workers().await?.len(), 1);
    bench.advance(MINUTE * 2).await?;
    assert!(bench.broker.workers().await?.is_empty());
    let live = bench.broker.task("math.add").await?.map(|t| t.live);
    assert_eq!(live, Some(false));
    Ok(())
}

/// Registering again moves the end of a registration, and the time its tasks were seen.
pub async fn a_renewed_registration_holds(bench: Bench) -> Result<(), Error> {
    let card = card(&bench, "id-1", "w1@host", &["math.add"]);
    let published = [task(&bench, "math.add", "")];
    let mut seen = Vec::new();
    for _ in 0..4 {
        bench.broker.register(&card, &published, TTL).await?;
        seen.extend(bench.broker.task("math.add").await?.map(|t| t.seen));
        bench.advance(TTL - MINUTE).await?;
        assert_eq!(bench.broker.workers().await?.len(), 1);
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.windows(2).all(|w| w[1] >= w[0] + 500_000), "{seen:?}");
    Ok(())
}

/// A worker that says goodbye is gone at once; another of the same node stays.
pub async fn a_withdrawn_worker_is_gone_at_once(bench: Bench) -> Result<(), Error> {
    let published = [task(&bench, "math.add", "")];
    let (old, new) = (
        card(&bench, "id-1", "w1@host", &["math.add"]),
        card(&bench, "id-2", "w1@host", &["math.add"]),
    );
    bench.broker.register(&old, &published, TTL).await?;
    bench.broker.register(&new, &published, TTL).await?;
    bench.broker.withdraw("id-1").await?;
    assert_eq!(bench.broker.workers().await?, [new]);
    assert!(bench.broker.tasks().await?[0].live);
    bench.broker.withdraw("id-2").await?;
    bench.broker.withdraw("never-registered").await?;
    assert!(bench.broker.workers().await?.is_empty());
    assert!(!bench.broker.tasks().await?[0].live);
    Ok(())
}

/// What was published is known for 7 days after the last worker offered it.
pub async fn a_published_task_outlives_its_worker_for_a_week(bench: Bench) -> Result<(), Error> {
    let card = card(&bench, "id-1", "w1@host", &["math.add"]);
    let published = [task(&bench, "math.add", "")];
    bench.broker.register(&card, &published, TTL).await?;
    bench.advance(DAY * 7 - MINUTE * 10).await?;
    assert_eq!(bench.broker.tasks().await?.len(), 1);
    bench.advance(MINUTE * 20).await?;
    assert!(bench.broker.tasks().await?.is_empty());
    assert!(bench.broker.task("math.add").await?.is_none());
    Ok(())
}

/// The last worker that publishes a name says what it means.
pub async fn publishing_again_replaces(bench: Bench) -> Result<(), Error> {
    let card = card(&bench, "id-1", "w1@host", &["math.add"]);
    for doc in ["Adds.", "Adds two numbers."] {
        let published = [task(&bench, "math.add", doc)];
        bench.broker.register(&card, &published, TTL).await?;
    }
    let tasks = bench.broker.tasks().await?;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].doc, "Adds two numbers.");
    Ok(())
}

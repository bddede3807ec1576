//! A Redis that throws away what it has accepted says so at a worker's start.

use taskq_core::broker;

use super::stage::Stage;

/// What a worker's start says of the server's settings.
async fn said(policy: &str, limit: &str) -> Vec<String> {
    let options = ["--maxmemory", limit, "--maxmemory-policy", policy];
    let stage = Stage::new(&options).await;
    let worker = stage.worker("w", &[]);
    worker.logs("is ready").await;
    let log = worker.end().await;
    let lines = log.lines().filter(|l| l.contains("maxmemory-policy"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_policy_that_evicts_is_reported_at_start_with_the_remedy() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let lines = said(policy, "64mb").await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "WARN",
            "redis ",
            &format!("its maxmemory-policy is {policy}"),
            "set it to noeviction",
        ] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }
    assert_eq!(said("noeviction", "64mb").await, [""; 0]);
    assert_eq!(
        said("allkeys-lru", "0").await,
        [""; 0],
        "nothing is evicted without a limit"
    );
}

/// A user who may not read the settings is told to look for himself; it costs the worker nothing else.
#[tokio::test]
async fn settings_that_can_not_be_read_are_a_warning() {
    let stage = Stage::new(&[]).await;
    let user = "ACL SETUSER narrow on >pass ~* &* +@all -info -config";
    assert_eq!(stage.server.command(user), "+OK");
    let url = format!("redis://narrow:pass@127.0.0.1:{}/0", stage.server.port());
    let server = broker::connect(&url).await.unwrap().server().await.unwrap();
    assert_eq!(server.warnings.len(), 1, "{server:?}");
    for part in ["can not be read", "NOPERM", "noeviction"] {
        assert!(server.warnings[0].contains(part), "{part}: {server:?}");
    }
    let open = broker::connect(&stage.server.url()).await.unwrap();
    let server = open.server().await.unwrap();
    assert_eq!(
        (&*server.name, server.warnings.len()),
        ("redis", 0),
        "{server:?}"
    );
    assert!(server.version.split('.').count() >= 2, "{server:?}");

    let worker = stage.worker("w", &["--broker", &url]);
    worker.logs("its settings can not be read").await;
    assert_eq!(stage.send("celery", 3, 0, 0).await, 3);
    stage.all_succeed().await;
    worker.end().await;
}

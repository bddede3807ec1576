use std::fs;
use std::time::Duration;

use taskq_core::broker::sqlite::SqliteBroker;
use taskq_core::broker::{Broker, Inspect, Results};

use super::{Place, all_ended, consume, finish, message, queue, send, work_off};
use taskq_core::TaskId;

#[tokio::test]
async fn another_file_at_the_path_is_the_broker_from_then_on() {
    let place = Place::new();
    let (broker, worker) = consume(&place.database()).await;
    let mut kept = send(&broker, 20).await.unwrap();
    let copy = place.back_up();
    let held = worker.claim(5, Duration::ZERO).await.unwrap();
    let gone = send(&broker, 5).await.unwrap();
    fs::rename(&copy, place.database()).unwrap();

    worker.beat().await.unwrap();
    assert!(held.iter().all(|d| d.lost.is_cancelled()));
    assert_eq!(finish(&*worker, &held).await.unwrap(), 0);
    // Readers follow as writers do.
    assert_eq!(broker.depth(&queue()).await.unwrap().waiting, 20);
    let record = broker.record(gone[0], Some(&queue())).await.unwrap();
    assert!(record.is_none(), "{record:?}");
    // What is accepted now is in the file that counts: who opens it later finds it.
    kept.extend(send(&broker, 3).await.unwrap());
    let late = SqliteBroker::open(place.database()).unwrap();
    assert_eq!(late.depth(&queue()).await.unwrap().waiting, 23);
    let claimed = worker.claim(4, Duration::ZERO).await.unwrap();
    assert_eq!(finish(&*worker, &claimed).await.unwrap(), 4);
    worker.close().await.unwrap();
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

#[tokio::test]
async fn several_that_have_the_old_file_open_meet_in_the_new_one() {
    let place = Place::new();
    let (a, worker) = consume(&place.database()).await;
    let b = SqliteBroker::open(place.database()).unwrap();
    let mut kept = send(&a, 3).await.unwrap();
    let copy = place.back_up();
    send(&b, 4).await.unwrap();
    fs::rename(&copy, place.database()).unwrap();
    for _ in 0..10 {
        kept.extend(send(&a, 2).await.unwrap());
        kept.extend(send(&b, 3).await.unwrap());
    }
    for broker in [&a, &b] {
        assert_eq!(broker.depth(&queue()).await.unwrap().waiting, 53);
    }
    worker.beat().await.unwrap();
    worker.close().await.unwrap();
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_of_and_not_made_anew() {
    let place = Place::new();
    let broker = SqliteBroker::open(place.database()).unwrap();
    let kept = send(&broker, 3).await.unwrap();
    let copy = place.back_up();
    fs::remove_file(place.database()).unwrap();
    let batch = [message(TaskId::random())];
    let refused = broker.enqueue(&queue(), &batch, Duration::ZERO).await;
    let error = refused.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let waited = broker.depth(&queue()).await.unwrap_err();
    assert!(waited.to_string().contains("gone"), "{waited}");
    assert!(!place.database().exists());
    fs::rename(&copy, place.database()).unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap().waiting, 3);
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

/// SQLite finds its log by name alone: the one beside the new file is of the old one, and of those who have that open.
#[tokio::test]
async fn who_opens_a_replaced_file_first_takes_nothing_of_the_old_one() {
    let place = Place::new();
    let (a, worker) = consume(&place.database()).await;
    let mut kept = send(&a, 20).await.unwrap();
    let copy = place.back_up();
    send(&a, 500).await.unwrap();
    fs::rename(&copy, place.database()).unwrap();

    let b = SqliteBroker::open(place.database()).unwrap();
    assert_eq!(b.depth(&queue()).await.unwrap().waiting, 20);
    kept.extend(send(&b, 300).await.unwrap());
    // Only now those that had the old one open look.
    kept.extend(send(&a, 5).await.unwrap());
    worker.beat().await.unwrap();
    kept.extend(send(&b, 5).await.unwrap());
    for broker in [&a, &b, &SqliteBroker::open(place.database()).unwrap()] {
        assert_eq!(broker.depth(&queue()).await.unwrap().waiting, 330);
    }
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    let sql = "PRAGMA integrity_check";
    let whole: String = connection.query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    worker.close().await.unwrap();
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

/// A log that is taken away under the open file: what is accepted then would be in no file that anybody opens.
#[tokio::test]
async fn a_file_without_its_log_is_told_of_and_loses_nothing() {
    let place = Place::new();
    let broker = SqliteBroker::open(place.database()).unwrap();
    let kept = send(&broker, 20).await.unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(place.path(&format!("taskq.db{suffix}"))).unwrap();
    }
    let batch = [message(TaskId::random())];
    let most = Duration::from_secs(1);
    broker.enqueue(&queue(), &batch, most).await.unwrap_err();
    let error = broker.depth(&queue()).await.unwrap_err().to_string();
    assert!(error.contains("without its log"), "{error}");
    // What another process finds that is started then: this one still has the file open.
    let whole = place.path("whole.db");
    fs::copy(place.database(), &whole).unwrap();
    let after = work_off(&whole).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

/// The file that a link led to before is where it was, with its log.
#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_elsewhere_leaves_the_log_of_its_old_file_alone() {
    let place = Place::new();
    let stays = SqliteBroker::open(place.database()).unwrap();
    let mut kept = send(&stays, 3).await.unwrap();
    let copy = place.back_up();
    let link = place.path("link.db");
    std::os::unix::fs::symlink(place.database(), &link).unwrap();
    let follows = SqliteBroker::open(&link).unwrap();
    kept.extend(send(&follows, 4).await.unwrap());
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&copy, &link).unwrap();

    send(&follows, 1).await.unwrap();
    assert_eq!(follows.depth(&queue()).await.unwrap().waiting, 4);
    kept.extend(send(&stays, 2).await.unwrap());
    assert_eq!(stays.depth(&queue()).await.unwrap().waiting, 9);
    assert!(!place.path("taskq.db-wal-replaced").exists());
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}

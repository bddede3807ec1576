use std::time::Duration;

use taskq_core::broker::Inspect;

use super::{Place, all_ended, consume, finish, queue, send, work_off};

/// What `.restore` of the sqlite3 program does: an older copy is written into the file that is open, in one transaction.
fn restore(place: &Place, copy: &std::path::Path) {
    let mut connection = rusqlite::Connection::open(place.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "ATTACH ?1 AS older";
    connection.execute(sql, [copy.to_str().unwrap()]).unwrap();
    let tx = connection.transaction().unwrap();
    let tables: Vec<String> = {
        let sql = "SELECT name FROM older.sqlite_schema WHERE type = 'table'";
        let mut names = tx.prepare(sql).unwrap();
        let names = names.query_map((), |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    };
    assert!(tables.iter().any(|t| t == "session"), "{tables:?}");
    for table in tables {
        let sql = format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM older.{table};"
        );
        tx.execute_batch(&sql).unwrap();
    }
    tx.commit().unwrap();
}

#[tokio::test]
async fn sessions_of_a_later_time_are_lost_and_all_in_the_older_copy_ends() {
    let place = Place::new();
    let (broker, worker) = consume(&place.database()).await;
    let mut kept = send(&broker, 20).await.unwrap();
    let held = worker.claim(5, Duration::ZERO).await.unwrap();
    assert_eq!(held.len(), 5);
    let copy = place.back_up();
    // All that comes now is of a time that will not have been.
    assert_eq!(finish(&*worker, &held[..2]).await.unwrap(), 2);
    let later = worker.claim(3, Duration::ZERO).await.unwrap();
    send(&broker, 5).await.unwrap();
    restore(&place, &copy);

    worker.beat().await.unwrap();
    assert!(held.iter().chain(&later).all(|d| d.lost.is_cancelled()));
    let late = finish(&*worker, &later).await.unwrap();
    assert_eq!(late, 0, "a verdict of a session that is lost");
    kept.extend(send(&broker, 1).await.unwrap());
    // It goes on in a new session, beside another worker.
    let claimed = worker.claim(1, Duration::ZERO).await.unwrap();
    assert_eq!(finish(&*worker, &claimed).await.unwrap(), 1);
    worker.close().await.unwrap();
    let broker = work_off(&place.database()).await;
    all_ended(&broker, &kept.into_iter().collect()).await;
    let totals = broker.totals(&queue()).await.unwrap();
    assert_eq!((totals.sent, totals.succeeded), (21, 21), "{totals:?}");
}

use std::collections::HashSet;

use taskq_core::broker::{Inspect, Results};
use taskq_core::{State, TaskId};

use super::child::Process;
use super::{Place, all_ended, eventually, queue, work_off};

/// Senders and workers are killed all at once, over and over; the file is synced as it is by default.
#[tokio::test]
async fn what_was_accepted_survives_the_death_of_every_process() {
    let place = Place::new();
    let (mut accepted, mut finished) = (HashSet::new(), HashSet::<TaskId>::new());
    for round in 0..3 {
        let start = |role, n| {
            let said = place.path(&format!("{role}-{round}-{n}"));
            Process::start(role, &place.database(), said)
        };
        let mut senders = [start("send", 0), start("send", 1)];
        let mut workers = [start("work", 0), start("work", 1)];
        let heard = |all: &[Process]| all.iter().flat_map(Process::ids).collect::<Vec<_>>();
        eventually("all of them are busy", async || {
            let each = senders.iter().chain(&workers);
            each.map(Process::ids).all(|ids| ids.len() > 50)
        })
        .await;
        let all = senders.iter_mut().chain(&mut workers);
        all.for_each(Process::kill);
        accepted.extend(heard(&senders));
        finished.extend(heard(&workers));
    }

    let broker = work_off(&place.database()).await;
    all_ended(&broker, &accepted).await;
    for id in finished {
        let record = broker.record(id, Some(&queue())).await.unwrap();
        assert_eq!(record.map(|r| r.state), Some(State::Success));
    }
    let totals = broker.totals(&queue()).await.unwrap();
    assert!(totals.sent >= accepted.len() as u64, "{totals:?}");
    assert_eq!(totals.sent, totals.succeeded, "{totals:?}");
}

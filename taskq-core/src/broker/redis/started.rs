//! Runs that began and are still under way: told once, with the STARTED records of those that ask for one or got further.

use super::endpoint::Endpoint;
use super::link::Link;
use super::records::{RETENTION_S, encode};
use super::scripts;
use super::session::Seat;
use crate::broker::Start;
use crate::clock::now_ms;
use crate::error::Error;
use crate::event::Told;
use crate::event::compact::Compact;

/// The script takes this many at most.
const MOST: usize = 999;

/// One try: what it does not tell, the verdict tells.
pub(super) async fn tell(
    endpoint: &Endpoint,
    seat: &Seat,
    runs: Vec<Start>,
    link: &mut Link,
) -> Result<(), Error> {
    if runs.len() > MOST {
        return Err(Error::invalid(format!(
            "at most {MOST} runs are told at once, not {}",
            runs.len()
        )));
    }
    let Some((session, ours)) = ours(seat, runs) else {
        return Ok(());
    };
    let told: Vec<Option<Told>> = ours.iter().map(|run| Told::begins(&run.event)).collect();
    let event = Compact::encode(told.iter().flatten(), Some(&seat.node), now_ms());
    let mut rows = event.rows.into_iter();
    let k = &seat.keys;
    let mut keys = vec![
        k.session(&session),
        k.records.clone(),
        k.meta.clone(),
        k.events.clone(),
    ];
    let mut arguments = Vec::with_capacity(ours.len());
    for run in &ours {
        let (mut bucket, mut own, mut second, mut json) = (0, 0, None, Vec::new());
        let id = run.event.message.id;
        if let Some(record) = &run.record {
            json = encode(record)?;
            second = id.created_second();
            if let Some(second) = second {
                keys.push(k.bucket(second));
                bucket = keys.len();
            }
            keys.push(k.record(id));
            own = keys.len();
        }
        arguments.push((run.receipt.tag, id, json, second, bucket, own));
    }
    let mut call = scripts::STARTED.call(&keys);
    call.arg(endpoint.offset_ms())
        .arg(RETENTION_S)
        .arg(event.header)
        .arg(arguments.len());
    for ((tag, id, json, second, bucket, own), told) in arguments.into_iter().zip(told) {
        let row = told.and_then(|_| rows.next()).unwrap_or_default();
        call.arg(tag).arg(row).arg(id.to_string()).arg(json);
        call.arg(second.map(|s| s.to_string()).unwrap_or_default())
            .arg(bucket)
            .arg(own);
    }
    link.call(&call).await.map(drop)
}

/// Those that the current session holds, and its id.
fn ours(seat: &Seat, runs: Vec<Start>) -> Option<(String, Vec<Start>)> {
    let state = seat.state();
    let session = state.session.as_ref()?;
    let held = |run: &Start| {
        run.receipt.session == session.generation && session.out.contains_key(&run.receipt.tag)
    };
    let ours: Vec<Start> = runs.into_iter().filter(held).collect();
    (!ours.is_empty()).then(|| (session.id.clone(), ours))
}

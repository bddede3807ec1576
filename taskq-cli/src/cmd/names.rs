//! Names that may be misspelt: what is said about one that nobody knows.

use std::collections::BTreeSet;

use taskq_client::nearest;
use taskq_core::QueueName;

use crate::exit::Stop;
use crate::reach::Reach;

/// A sentence names no more than these.
const NAMED_AT_MOST: usize = 20;

/// What is to be said of a queue that nobody has sent to or listened at; `None`: it is known. That is no error: a queue is
/// there once somebody uses it.
pub(super) async fn stranger(queue: &QueueName, reach: &Reach) -> Result<Option<String>, Stop> {
    let known = reach.read(reach.client.queues()).await?;
    let workers = reach.read(reach.client.workers()).await?;
    let served = workers.iter().flat_map(|card| &card.queues);
    let known: BTreeSet<&str> = known.iter().chain(served).map(QueueName::as_str).collect();
    Ok((!known.contains(queue.as_str())).then(|| {
        let meant = meant(queue.as_str(), &known);
        format!("nobody has sent to a queue {queue} or listened at it yet ({meant})")
    }))
}

/// What is to be said of a task that no worker has published within 7 days; `None`: one has. That is no error: a worker that
/// offers it may be started later.
pub(super) async fn unpublished(task: &str, reach: &Reach) -> Result<Option<String>, Stop> {
    if reach.read(reach.client.task(task)).await?.is_some() {
        return Ok(None);
    }
    let published = reach.read(reach.client.tasks()).await?;
    let known: BTreeSet<&str> = published.iter().map(|t| t.name.as_str()).collect();
    let meant = match nearest(task, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None if known.is_empty() => "none is published there".to_owned(),
        None => "`taskq list` shows those that are".to_owned(),
    };
    let broker = reach.address();
    Ok(Some(format!(
        "no worker of {broker} has published a task {task} within 7 days ({meant}); it is sent all the same"
    )))
}

/// `did you mean celery?`, where one of `known` is nearly `word`; else those there are.
pub(super) fn meant(word: &str, known: &BTreeSet<&str>) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => there(known),
    }
}

/// `there are: celery, geo`
pub(super) fn there(known: &BTreeSet<&str>) -> String {
    let mut names: Vec<&str> = known.iter().copied().take(NAMED_AT_MOST).collect();
    if known.len() > NAMED_AT_MOST {
        names.push("…");
    }
    match &*names {
        [] => "none is".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_misspells_a_name_is_told_the_nearest() {
        let known = BTreeSet::from(["celery", "geo", "mail.send", "mail.fetch"]);
        for (word, said) in [
            ("clery", "did you mean celery?"),
            ("Celery", "did you mean celery?"),
            ("goe", "did you mean geo?"),
            ("mail.snd", "did you mean mail.send?"),
            ("stock", "there are: celery, geo, mail.fetch, mail.send"),
        ] {
            assert_eq!(meant(word, &known), said, "{word}");
        }
        assert_eq!(meant("x", &BTreeSet::new()), "there are none");
    }
}

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
    let known = queues(reach).await?;
    let known: BTreeSet<&str> = known.iter().map(QueueName::as_str).collect();
    Ok((!known.contains(queue.as_str())).then(|| unheard(queue, &known)))
}

/// The queues that somebody has sent to, or listens at.
async fn queues(reach: &Reach) -> Result<BTreeSet<QueueName>, Stop> {
    let known = reach.read(reach.client.queues()).await?;
    let workers = reach.read(reach.client.workers()).await?;
    let served = workers.into_iter().flat_map(|card| card.queues);
    Ok(known.into_iter().chain(served).collect())
}

fn unheard(queue: &QueueName, known: &BTreeSet<&str>) -> String {
    let meant = meant(queue.as_str(), known);
    format!("nobody has sent to a queue {queue} or listened at it yet ({meant})")
}

/// As [`stranger`], where a new name is usual: `None` also where no queue there is has a name nearly like it.
pub(super) async fn misspelt(queue: &QueueName, reach: &Reach) -> Result<Option<String>, Stop> {
    let known = queues(reach).await?;
    let known: BTreeSet<&str> = known.iter().map(QueueName::as_str).collect();
    let is_new = !known.contains(queue.as_str());
    let near = nearest(queue.as_str(), known.iter().copied()).filter(|_| is_new);
    Ok(near.map(|_| unheard(queue, &known)))
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
        "no worker of {broker} has published a task {task} within 7 days ({meant})"
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

/// What is to be said beside a node that is not there: those that are, of more than a sentence names the nearest.
pub(super) fn nodes(name: &str, known: &BTreeSet<&str>) -> String {
    if known.len() <= NAMED_AT_MOST {
        return there(known);
    }
    let is_whole = |node: &&&str| node.split('@').next() == Some(name);
    let mut whole = known.iter().filter(is_whole).copied();
    let near = match (whole.next(), whole.next()) {
        (Some(node), None) => Some(node),
        _ => nearest(name, known.iter().copied()),
    };
    near.map_or_else(|| there(known), |node| format!("did you mean {node}?"))
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

    #[test]
    fn of_many_nodes_the_nearest_is_named() {
        let few = BTreeSet::from(["w1@bar", "w2@bar"]);
        assert_eq!(nodes("w1", &few), "there are: w1@bar, w2@bar");
        let many: Vec<String> = (10..40).map(|n| format!("worker-{n}@bodega")).collect();
        let many: BTreeSet<&str> = many.iter().map(String::as_str).collect();
        for word in ["worker-39", "worker-39@bodga"] {
            assert_eq!(nodes(word, &many), "did you mean worker-39@bodega?");
        }
        assert!(nodes("x", &many).ends_with(", worker-29@bodega, …"));
        assert_eq!(nodes("w1", &BTreeSet::new()), "none is");
    }
}

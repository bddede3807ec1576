//! What a worker says of itself when it is ready.

use std::collections::{BTreeMap, BTreeSet};

use taskq_core::broker::{Order, Served};
use taskq_core::nearest;
use taskq_core::task::Registry;

use crate::config::Config;
use crate::serving;

pub(crate) fn banner(config: &Config) {
    let names = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
    let queues = serving::shown(&config.queues);
    let order = match config.order {
        Order::Weighted => "",
        Order::Strict => ", in this order",
    };
    let tasks = names(&mut config.registry.iter().map(|d| d.name.to_owned()));
    let (node, broker, slots) = (&config.node, config.source.shown(), config.slots);
    tracing::info!(
        %node, broker, queues, concurrency = slots, tasks,
        "{node} is ready: up to {slots} tasks at once from {queues}{order}"
    );
    match elsewhere(&config.registry, &config.queues) {
        // Which queues it serves was said, so that others serve the rest.
        Some(words) if config.queues_said => tracing::info!("{words}"),
        Some(words) => tracing::warn!("{words}"),
        None => {}
    }
    if config.queues_said
        && let Some(words) = misspelt(&config.registry, &config.queues)
    {
        tracing::warn!("{words}");
    }
}

/// What is to be said of queues that this worker takes from and that are nearly one of those the program's tasks go to: a
/// misspelt one stays empty, and nothing else shows it. Others are named by calls and routes.
fn misspelt(registry: &Registry, taken: &[Served]) -> Option<String> {
    let used: BTreeSet<&str> = registry.iter().map(|def| def.queue).collect();
    let names = taken.iter().map(|served| served.queue.as_str());
    let pairs = names
        .filter(|name| !used.contains(name))
        .filter_map(|name| Some((name, nearest(name, used.iter().copied())?)));
    let words: Vec<String> = pairs
        .map(|(name, meant)| format!("to {name} (did you mean {meant}?)"))
        .collect();
    (!words.is_empty()).then(|| format!("no task of this program goes {}", words.join(", ")))
}

/// What is to be said of the queues that the program's tasks go to and this worker does not take from.
fn elsewhere(registry: &Registry, taken: &[Served]) -> Option<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for def in registry.iter() {
        if !taken
            .iter()
            .any(|served| served.queue.as_str() == def.queue)
        {
            *left.entry(def.queue).or_default() += 1;
        }
    }
    if left.is_empty() {
        return None;
    }
    let counted = left.iter().map(|(queue, tasks)| match tasks {
        1 => format!("{queue} (1 task)"),
        n => format!("{queue} ({n} tasks)"),
    });
    let counted = counted.collect::<Vec<_>>().join(", ");
    let named = taken.iter().map(|served| match served.weight {
        1 => served.queue.to_string(),
        weight => format!("{}={weight}", served.queue),
    });
    let all = named.chain(left.keys().map(|queue| (*queue).to_owned()));
    let all = all.collect::<Vec<_>>().join(",");
    Some(format!(
        "tasks of this program go to queues that this worker does not take from: {counted}; -Q {all} takes from them, too"
    ))
}

#[cfg(test)]
mod tests {
    use taskq_core::QueueName;
    use taskq_core::task::{Running, TaskDef};

    use super::*;

    const fn task(name: &'static str, queue: &'static str) -> TaskDef {
        let def = TaskDef::new(name, &[], |_, _| {
            Ok(Running::Blocking(Box::new(|| {
                taskq_core::Outcome::Reject("nobody runs it".into())
            })))
        });
        def.queue(queue)
    }

    static PING: TaskDef = task("ping", "celery");
    static BOOK: TaskDef = task("logistica.book", "logistica");
    static REPORT: TaskDef = task("logistica.report", "logistica");
    static SEND: TaskDef = task("mail.send", "mail");

    fn registry() -> Registry {
        Registry::from_defs([&PING, &BOOK, &REPORT, &SEND]).unwrap()
    }

    fn served(taken: &[(&str, u32)]) -> Vec<Served> {
        let taken = taken.iter().map(|(queue, weight)| Served {
            queue: QueueName::new(queue).unwrap(),
            weight: *weight,
        });
        taken.collect()
    }

    fn said(taken: &[(&str, u32)]) -> Option<String> {
        elsewhere(&registry(), &served(taken))
    }

    #[test]
    fn a_queue_that_is_nearly_one_of_its_tasks_is_told_with_that() {
        let said = |taken| misspelt(&registry(), &served(taken));
        let words = "no task of this program goes to logistca (did you mean logistica?), to mial (did you mean mail?)";
        assert_eq!(
            said(&[("logistca", 1), ("mial", 2), ("mail", 1)]),
            Some(words.into())
        );
        // A call or a route may name it.
        assert_eq!(said(&[("logistica", 1), ("urgent", 2)]), None);
        let none = Registry::from_defs([]).unwrap();
        assert_eq!(misspelt(&none, &served(&[("mail", 1)])), None);
    }

    #[test]
    fn queues_that_are_left_out_are_named_with_the_flag_that_takes_them_in() {
        let words = "tasks of this program go to queues that this worker does not take from: ";
        for (taken, rest) in [
            (
                &[("celery", 1)][..],
                "logistica (2 tasks), mail (1 task); -Q celery,logistica,mail takes from them, too",
            ),
            (
                &[("logistica", 3), ("mail", 1)],
                "celery (1 task); -Q logistica=3,mail,celery takes from them, too",
            ),
        ] {
            assert_eq!(said(taken), Some(format!("{words}{rest}")));
        }
        assert_eq!(said(&[("mail", 1), ("celery", 1), ("logistica", 1)]), None);
    }
}

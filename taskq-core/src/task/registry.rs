//! All tasks of one process: collected, checked and sorted once, at start.

use std::collections::BTreeMap;

use super::{Registered, TaskDef};
use crate::error::Error;
use crate::id::QueueName;

/// The tasks a process can run, by name.
///
/// ```
/// use taskq_core::task::{Registry, Running, TaskDef};
/// use taskq_core::Outcome;
///
/// static PING: TaskDef = TaskDef::new("ping", &[], |_context, arguments| {
///     arguments.bind(&[])?;
///     Ok(Running::Async(Box::pin(async { Outcome::Done(serde_json::value::to_raw_value("pong").unwrap()) })))
/// });
/// let registry = Registry::from_defs([&PING]).unwrap();
/// assert!(registry.get("ping").is_some());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Registry {
    tasks: BTreeMap<&'static str, &'static TaskDef>,
}

impl Registry {
    /// Every task that `#[task]` registered in the crates this binary links.
    ///
    /// # Errors
    /// An empty registry (with how to mend it), a name that is defined twice (with both places), and what
    /// [`from_defs`](Self::from_defs) finds.
    pub fn collect() -> Result<Self, Error> {
        let registry = Self::from_defs(inventory::iter::<Registered>.into_iter().map(|r| r.0))?;
        if registry.tasks.is_empty() {
            return Err(Error::invalid(
                "no task is registered: a crate whose tasks are never named is not linked; \
                 write `use my_tasks as _;` in the binary for each crate of tasks",
            ));
        }
        Ok(registry)
    }

    /// The tasks given, with the same checks; may be empty.
    ///
    /// # Errors
    /// A name that is defined twice, an empty name, a bad queue name, a crash limit that is not 1 to 9, an expiry of
    /// nothing, a time limit of nothing, a soft one that is not under the hard one, a priority over 9.
    pub fn from_defs(defs: impl IntoIterator<Item = &'static TaskDef>) -> Result<Self, Error> {
        let mut tasks: BTreeMap<&'static str, &'static TaskDef> = BTreeMap::new();
        for def in defs {
            let place = format!("{}:{}", def.file, def.line);
            if def.name.is_empty() || def.name.len() > 256 {
                return Err(Error::invalid(format!(
                    "{place}: a task name has 1 to 256 bytes"
                )));
            }
            QueueName::new(def.queue)
                .map_err(|e| Error::invalid(format!("{place}: task {}: {e}", def.name)))?;
            if let Some(n) = def.max_crashes.filter(|n| !(1..=9).contains(n)) {
                return Err(Error::invalid(format!(
                    "{place}: task {}: `max_crashes` is {n}, it goes from 1 to 9",
                    def.name
                )));
            }
            if def.expires.is_some_and(|after| after.as_millis() == 0) {
                return Err(Error::invalid(format!(
                    "{place}: task {}: its calls would expire as they are sent; `expires` is at least 1 ms",
                    def.name
                )));
            }
            for (name, limit) in [
                ("time_limit", def.time_limit),
                ("soft_time_limit", def.soft_time_limit),
            ] {
                if limit.is_some_and(|limit| limit.as_millis() == 0) {
                    return Err(Error::invalid(format!(
                        "{place}: task {}: its `{name}` is over as it begins; it is at least 1 ms",
                        def.name
                    )));
                }
            }
            if let (Some(soft), Some(hard)) = (def.soft_time_limit, def.time_limit)
                && soft >= hard
            {
                return Err(Error::invalid(format!(
                    "{place}: task {}: its `soft_time_limit` is {soft:?}, it must be under its `time_limit`, {hard:?}",
                    def.name
                )));
            }
            if def.priority > 9 {
                return Err(Error::invalid(format!(
                    "{place}: task {}: its `priority` is {}, it goes from 0 to 9",
                    def.name, def.priority
                )));
            }
            if let Some(first) = tasks.insert(def.name, def) {
                return Err(Error::invalid(format!(
                    "the task {} is defined twice: at {}:{} and at {place}; rename one",
                    def.name, first.file, first.line
                )));
            }
        }
        Ok(Self { tasks })
    }

    /// The task called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static TaskDef> {
        self.tasks.get(name).copied()
    }

    /// All tasks, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static TaskDef> {
        self.tasks.values().copied()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

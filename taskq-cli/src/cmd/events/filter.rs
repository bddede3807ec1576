//! Which events are shown.

use glob::Pattern;
use taskq_core::event::{Event, Fact, TaskEventKind, WorkerEventKind};

/// The end of an id that tells calls apart: an id begins with its time, so its first characters do not.
const SHORTEST_ID: usize = 4;

/// One condition.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    Type(Pattern),
    Task(Pattern),
    /// How the id ends.
    Id(String),
    Queue(Pattern),
    Worker(Pattern),
}

/// Reads `KEY=PATTERN`.
pub(super) fn read(text: &str) -> Result<Filter, String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("a filter is KEY=PATTERN, such as type=task-failed".into());
    };
    let pattern = || match value {
        "" => Err(format!("`{key}=` fits nothing; `*` fits all")),
        value => Pattern::new(value).map_err(|e| e.to_string()),
    };
    match key {
        "type" => kind(pattern()?),
        "task" => pattern().map(Filter::Task),
        "id" => id(value),
        "queue" => pattern().map(Filter::Queue),
        "worker" => pattern().map(Filter::Worker),
        key => Err(format!(
            "`{key}` is no key of a filter: there are type, task, id, queue and worker"
        )),
    }
}

fn kind(pattern: Pattern) -> Result<Filter, String> {
    let words: Vec<_> = kinds().collect();
    if words.iter().any(|word| pattern.matches(word)) {
        return Ok(Filter::Type(pattern));
    }
    Err(format!(
        "no event has the type `{pattern}`: there are {}",
        words.join(", ")
    ))
}

/// All types of events.
fn kinds() -> impl Iterator<Item = &'static str> {
    let tasks = TaskEventKind::ALL.iter().map(|kind| kind.as_str());
    tasks.chain(WorkerEventKind::ALL.iter().map(|kind| kind.as_str()))
}

fn id(value: &str) -> Result<Filter, String> {
    let end = value.trim_start_matches('…').to_ascii_lowercase();
    let is_one = |c: char| c.is_ascii_hexdigit() || c == '-';
    if end.len() < SHORTEST_ID || !end.chars().all(is_one) {
        return Err(format!(
            "an id is needed, or its last characters, {SHORTEST_ID} at least"
        ));
    }
    Ok(Filter::Id(end))
}

impl Filter {
    fn fits(&self, event: &Event) -> bool {
        let task = match &event.fact {
            Fact::Task(task) => Some(task),
            Fact::Worker(_) => None,
        };
        match self {
            Self::Type(pattern) => pattern.matches(event.kind()),
            Self::Task(pattern) => task.is_some_and(|task| pattern.matches(&task.task)),
            Self::Id(end) => task.is_some_and(|task| task.id.to_string().ends_with(end)),
            Self::Queue(pattern) => {
                let queue = event.queue.as_ref();
                queue.is_some_and(|queue| pattern.matches(queue.as_str()))
            }
            Self::Worker(pattern) => node(event).is_some_and(|node| pattern.matches(node)),
        }
    }
}

/// The worker that tells it, or that it is about.
pub(super) fn node(event: &Event) -> Option<&str> {
    match &event.fact {
        Fact::Task(task) => task.worker.as_deref(),
        Fact::Worker(worker) => Some(&worker.node),
    }
}

/// All conditions.
pub(super) struct Sieve {
    filters: Vec<Filter>,
    /// Any of these, or whoever.
    nodes: Vec<String>,
}

impl Sieve {
    pub(super) fn new(filters: Vec<Filter>, nodes: Vec<String>) -> Self {
        Self { filters, nodes }
    }

    pub(super) fn keeps(&self, event: &Event) -> bool {
        let is_named = |nodes: &[String]| {
            node(event).is_some_and(|node| nodes.iter().any(|named| named == node))
        };
        (self.nodes.is_empty() || is_named(&self.nodes))
            && self.filters.iter().all(|filter| filter.fits(event))
    }
}

//! The fleet: who runs, until when, and which tasks were published.

use std::collections::BTreeMap;

use super::stream::{Stream, Tale};
use crate::error::{Error, ErrorKind};
use crate::event::{WorkerEvent, WorkerEventKind};
use crate::fleet::{PUBLISHED_FOR_MS, PublishedTask, WorkerCard};

const MAX_WORKERS: usize = 10_000;
const MAX_TASKS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// By id, each with the end of its registration.
    workers: BTreeMap<String, (WorkerCard, u64)>,
    /// By name.
    tasks: BTreeMap<String, PublishedTask>,
    pub(super) stream: Stream,
}

impl Fleet {
    pub(super) fn register(
        &mut self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl_ms: u64,
        now: u64,
    ) -> Result<(), Error> {
        self.expire(now);
        let known = self.workers.contains_key(&card.id);
        let new_tasks = tasks.iter().filter(|t| !self.tasks.contains_key(&t.name));
        if (!known && self.workers.len() >= MAX_WORKERS)
            || self.tasks.len() + new_tasks.count() > MAX_TASKS
        {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the memory broker keeps at most {MAX_WORKERS} workers and {MAX_TASKS} tasks"
                ),
            ));
        }
        let kind = if known {
            WorkerEventKind::Heartbeat
        } else {
            WorkerEventKind::Online
        };
        self.tell(kind, card, now);
        let until = now.saturating_add(ttl_ms);
        self.workers.insert(card.id.clone(), (card.clone(), until));
        for task in tasks {
            let task = PublishedTask {
                seen: now,
                live: false,
                ..task.clone()
            };
            self.tasks.insert(task.name.clone(), task);
        }
        Ok(())
    }

    pub(super) fn withdraw(&mut self, worker: &str, now: u64) {
        self.expire(now);
        if let Some((card, _)) = self.workers.remove(worker) {
            self.tell(WorkerEventKind::Offline, &card, now);
        }
    }

    pub(super) fn workers(&mut self, now: u64) -> Vec<WorkerCard> {
        self.expire(now);
        let mut cards: Vec<_> = self
            .workers
            .values()
            .map(|(card, _)| card.clone())
            .collect();
        cards.sort_by(|a, b| a.node.cmp(&b.node));
        cards
    }

    pub(super) fn tasks(&mut self, now: u64) -> Vec<PublishedTask> {
        self.expire(now);
        self.tasks.values().map(|t| self.judged(t)).collect()
    }

    pub(super) fn task(&mut self, name: &str, now: u64) -> Option<PublishedTask> {
        self.expire(now);
        self.tasks.get(name).map(|t| self.judged(t))
    }

    fn judged(&self, task: &PublishedTask) -> PublishedTask {
        let offers = |card: &WorkerCard| card.tasks.contains(&task.name);
        PublishedTask {
            live: self.workers.values().any(|(card, _)| offers(card)),
            ..task.clone()
        }
    }

    /// Drops what is past its time; a worker whose registration has lapsed is told offline.
    pub(super) fn expire(&mut self, now: u64) {
        let lapsed: Vec<WorkerCard> = self
            .workers
            .extract_if(.., |_, (_, until)| *until <= now)
            .map(|(_, (card, _))| card)
            .collect();
        for card in &lapsed {
            self.tell(WorkerEventKind::Offline, card, now);
        }
        self.tasks
            .retain(|_, task| task.seen.saturating_add(PUBLISHED_FOR_MS) > now);
        self.stream.expire(now);
    }

    fn tell(&mut self, kind: WorkerEventKind, card: &WorkerCard, now: u64) {
        let event = WorkerEvent {
            kind,
            node: card.node.as_str().into(),
            pid: card.pid,
            active: card.active,
            processed: card.processed,
            version: card.version.as_str().into(),
        };
        self.stream.tell(Tale::Worker(Box::new(event)), now);
    }
}

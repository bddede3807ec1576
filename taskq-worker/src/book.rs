//! The book: the ledger's entries in numbered places, and in which order their runs are to be told of.
//!
//! Every step takes the same short time however many entries there are, for it is taken under the ledger's lock: a run
//! that nobody was told of yet is a link of a list that runs through the places.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use taskq_core::broker::{Receipt, Verdict};
use taskq_core::revocation::Revocations;
use taskq_core::task::RunKey;
use taskq_core::{Message, QueueName, TaskId};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::cutoff::{Cutoff, Leash, Stray};
use crate::ledger::Run;
use crate::revoking::Late;
use crate::timeline::{Step, Timeline};

/// The progress of one run is told at most so often.
pub(crate) const PACE: Duration = Duration::from_millis(500);

/// A delivery that has no verdict yet, or one that waits for its run to be told of.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) receipt: Receipt,
    pub(crate) queue: QueueName,
    pub(crate) lost: CancellationToken,
    pub(crate) cancelled: CancellationToken,
    pub(crate) room: OwnedSemaphorePermit,
    /// What was claimed, until the function starts.
    pub(crate) claim: Option<Claim>,
    /// Where it runs, until it has ended.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    /// The function under way.
    pub(crate) run: Option<Run>,
    pub(crate) telling: Telling,
    /// What became of it while it was being told of: so that nothing is told twice, it waits until that is over.
    pub(crate) parked: Option<Box<Verdict>>,
    /// It is cut off: why.
    pub(crate) cutoff: Option<Cutoff>,
    /// When it stands in the timeline.
    step: Option<Instant>,
    /// What is to run, once it waits for something before it may begin.
    pub(crate) message: Option<Arc<Message>>,
    /// It was revoked since it was claimed, while it had not begun.
    pub(crate) revoked: bool,
    /// It must not begin any more: its pipeline has given it up.
    given_up: bool,
    links: Option<Links>,
    /// Before then its progress is not told again.
    paced_until: Option<Instant>,
}

/// A message that has not started.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Its wire form.
    pub(crate) body: Bytes,
    pub(crate) priority: u8,
    /// When it was claimed, by the broker's clock: ms since the epoch.
    pub(crate) at: u64,
}

/// Whether the broker was told that the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Not yet: its verdict tells it, if that comes first.
    No,
    /// The call is under way.
    UnderWay,
    /// Yes.
    Done,
    /// It could not be told: its verdict tells it.
    Failed,
}

impl Entry {
    pub(crate) fn new(
        receipt: Receipt,
        queue: QueueName,
        lost: CancellationToken,
        room: OwnedSemaphorePermit,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            receipt,
            queue,
            cancelled: lost.child_token(),
            lost,
            room,
            claim: None,
            slot: Some(slot),
            run: None,
            telling: Telling::No,
            parked: None,
            cutoff: None,
            step: None,
            message: None,
            revoked: false,
            given_up: false,
            links: None,
            paced_until: None,
        }
    }

    /// Whether what has not begun is covered. What can not be read never begins.
    pub(crate) fn is_covered(&self, revoked: &Revocations) -> bool {
        match (&self.message, &self.claim) {
            (Some(message), _) => revoked.covers(message),
            (None, Some(claim)) => {
                Message::decode(&claim.body).is_ok_and(|message| revoked.covers(&message))
            }
            (None, None) => false,
        }
    }
}

/// Where an entry stands. A place is given again; the receipt tells whether it still is the same entry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    place: usize,
    receipt: Receipt,
}

impl Key {
    pub(crate) fn receipt(self) -> Receipt {
        self.receipt
    }
}

impl From<Key> for RunKey {
    fn from(key: Key) -> Self {
        Self {
            place: key.place,
            receipt: key.receipt,
        }
    }
}

impl From<RunKey> for Key {
    fn from(key: RunKey) -> Self {
        Self {
            place: key.place,
            receipt: key.receipt,
        }
    }
}

/// When a run is to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At once: its record says STARTED, or it has got further.
    AtOnce,
    /// When it turns out to be a longer one.
    IfLong,
    /// Its progress was told a moment ago: what it says meanwhile waits, and is told if there is something then.
    Paced,
}

/// What is to be told of next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Something at once.
    AtOnce,
    /// Something later, unless it ends before.
    Later {
        /// Since when the longest of those runs that are told of when they are longer ones.
        long: Option<Instant>,
        /// When the first of those that told their progress may tell more.
        paced: Option<Instant>,
    },
    /// Nothing: who asked is rung.
    Nothing,
}

/// Before and after an entry in the list it is in.
#[derive(Debug, Clone, Copy)]
struct Links {
    list: When,
    before: Option<usize>,
    after: Option<usize>,
}

#[derive(Debug, Default)]
struct List {
    first: Option<usize>,
    last: Option<usize>,
}

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) places: Vec<Option<Entry>>,
    free: Vec<usize>,
    at_once: List,
    if_long: List,
    /// In the order in which their progress was told.
    paced: List,
    timeline: Timeline,
    /// Settled, and not ended; those that are so longest first.
    strays: Vec<(Receipt, Stray)>,
    /// What was revoked while a claim is under way: what it brings may not know of it.
    pub(crate) late: Option<Late>,
    /// Nothing was to be told of when the teller looked last.
    idle: bool,
    running: usize,
    processed: u64,
    /// Rings when so many have ended.
    enough: Option<(u64, Arc<Notify>)>,
}

impl Book {
    /// As many as have room in the ledger: places are used again.
    pub(crate) fn enter(&mut self, mut entry: Entry) -> Key {
        entry.revoked = self.late.as_ref().is_some_and(|late| late.covers(&entry));
        let receipt = entry.receipt;
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(empty) => *empty = Some(entry),
            None => self.places.push(Some(entry)),
        }
        Key { place, receipt }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.places
            .get_mut(key.place)?
            .as_mut()
            .filter(|e| e.receipt == key.receipt)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Entry> {
        let runs = self.get_mut(key)?.run.is_some();
        if runs {
            self.count_end();
        }
        self.unlink(key.place);
        self.no_step(key.place);
        self.free.push(key.place);
        self.places[key.place].take()
    }

    /// Everything, and nothing is left.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        let keys: Vec<_> = self
            .iter()
            .map(|(place, e)| Key {
                place,
                receipt: e.receipt,
            })
            .collect();
        keys.into_iter().filter_map(|k| self.remove(k)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.iter().map(|(_, entry)| entry)
    }

    /// How many functions are under way.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// How many have ended.
    pub(crate) fn processed(&self) -> u64 {
        self.processed
    }

    /// Rings `bell` once `n` have ended.
    pub(crate) fn ring_after(&mut self, n: u64, bell: Arc<Notify>) {
        if self.processed >= n {
            bell.notify_one();
        }
        self.enough = Some((n, bell));
    }

    /// A function begins. Answers whether the teller is to be rung: a short run wakes it only if it has nothing to wait for.
    /// `None`: its entry was taken out, or it was given up, lost or revoked: it must not begin.
    pub(crate) fn begins(&mut self, key: Key, run: Run, when: When) -> Option<bool> {
        let entry = self.get_mut(key)?;
        if entry.given_up || entry.cancelled.is_cancelled() || entry.revoked {
            return None;
        }
        (entry.run, entry.claim, entry.message) = (Some(run), None, None);
        self.running += 1;
        let idle = std::mem::take(&mut self.idle);
        let first = self.list(when).first.is_none();
        self.link(key.place, when);
        Some(idle || (first && when == When::AtOnce))
    }

    /// A function that has not begun never does; false: it has, as all may have that are settled already.
    pub(crate) fn never_begins(&mut self, key: Key) -> bool {
        let Some(entry) = self.get_mut(key) else {
            return false;
        };
        entry.given_up |= entry.run.is_none();
        entry.given_up
    }

    /// A function has ended.
    pub(crate) fn ends(&mut self, key: Key) {
        let run = self.get_mut(key).and_then(|entry| entry.run.take());
        if run.is_some() {
            self.count_end();
            self.no_step(key.place);
        }
    }

    /// Something is to be done about it then, in place of what was. True when nothing is due before that.
    pub(crate) fn step_at(&mut self, key: Key, at: Instant, step: Step) -> bool {
        self.no_step(key.place);
        let Some(entry) = self.get_mut(key) else {
            return false;
        };
        entry.step = Some(at);
        self.timeline.enter(at, key.place, step)
    }

    /// When something is to be done next.
    pub(crate) fn next_step(&self) -> Option<Instant> {
        self.timeline.first()
    }

    /// Takes what is to be done out of the timeline, once its time has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Key, Step)> {
        let (place, step) = self.timeline.take_due(now)?;
        let entry = self.places.get_mut(place)?.as_mut()?;
        entry.step = None;
        let receipt = entry.receipt;
        Some((Key { place, receipt }, step))
    }

    /// Marks a run as cut off; `None`: it does not run any more, or is so already.
    pub(crate) fn cut(&mut self, key: Key, why: Cutoff) -> Option<(Leash, CancellationToken)> {
        let entry = self.get_mut(key)?;
        let leash = entry.run.as_ref()?.leash.clone();
        if entry.cutoff.is_some() {
            return None;
        }
        entry.cutoff = Some(why);
        Some((leash, entry.cancelled.clone()))
    }

    /// A run that is cut off and has no verdict.
    pub(crate) fn cut_and_running(&mut self, key: Key) -> Option<(Run, Cutoff)> {
        let entry = self.get_mut(key)?;
        Some((entry.run.clone()?, entry.cutoff?))
    }

    /// The runs that are meant.
    pub(crate) fn runs(&self, is_meant: impl Fn(&Run) -> bool) -> Vec<(Key, TaskId)> {
        let meant = self.iter().filter_map(|(place, entry)| {
            let run = entry.run.as_ref().filter(|run| is_meant(run))?;
            let receipt = entry.receipt;
            Some((Key { place, receipt }, run.message.id))
        });
        meant.collect()
    }

    /// A run is settled and goes on.
    pub(crate) fn strays_off(&mut self, key: Key, stray: Stray) {
        self.strays.push((key.receipt, stray));
    }

    /// It has ended; `None`: it was no stray.
    pub(crate) fn stray_ends(&mut self, key: Key) -> Option<Stray> {
        let place = self.strays.iter().position(|s| s.0 == key.receipt)?;
        Some(self.strays.remove(place).1)
    }

    /// Those that go on, longest first.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &Stray> {
        self.strays.iter().map(|(_, stray)| stray)
    }

    fn no_step(&mut self, place: usize) {
        let entry = self.places.get_mut(place).and_then(Option::as_mut);
        if let Some(at) = entry.and_then(|entry| entry.step.take()) {
            self.timeline.remove(at, place);
        }
    }

    /// It could not be told, and is to be again.
    pub(crate) fn again(&mut self, key: Key) {
        if self.get_mut(key).is_some_and(|e| e.run.is_some()) {
            self.link(key.place, When::AtOnce);
        }
    }

    /// What is to be told of next.
    pub(crate) fn look(&mut self) -> Next {
        self.idle = false;
        if self.at_once.first.is_some() {
            return Next::AtOnce;
        }
        let (long, paced) = (self.longest(), self.paced());
        if long.is_none() && paced.is_none() {
            self.idle = true;
            return Next::Nothing;
        }
        Next::Later { long, paced }
    }

    /// Whether something is to be told of at once.
    pub(crate) fn any_at_once(&self) -> bool {
        self.at_once.first.is_some()
    }

    /// Since when the longest of those that nobody was told of runs.
    fn longest(&self) -> Option<Instant> {
        let entry = self.places.get(self.if_long.first?)?.as_ref()?;
        entry.run.as_ref().map(|run| run.began.at)
    }

    /// A run has got further. Answers whether the teller is to be rung.
    pub(crate) fn has_news(&mut self, key: Key) -> bool {
        let Some(entry) = self.get_mut(key) else {
            return false;
        };
        let waits = entry.links.is_some_and(|l| l.list != When::IfLong);
        // What it said before it began is told when it begins; without a record there is nothing to write.
        let stored = |run: &Run| !run.message.ignore_result;
        if waits || !entry.run.as_ref().is_some_and(stored) {
            return false;
        }
        let first = self.at_once.first.is_none();
        self.link(key.place, When::AtOnce);
        std::mem::take(&mut self.idle) || first
    }

    /// Takes the next to be told of out of its list; of the long ones, one that runs since `until` or longer, and of those
    /// that told their progress, one that has more to tell and waited until `now`.
    pub(crate) fn next_untold(
        &mut self,
        until: Instant,
        now: Instant,
    ) -> Option<(Key, &mut Entry)> {
        let place = match (self.at_once.first, self.if_long.first) {
            (Some(place), _) => place,
            (None, Some(place)) if self.longest().is_some_and(|since| since <= until) => place,
            (None, _) => self.next_paced(now)?,
        };
        self.unlink(place);
        let run = self.places.get(place)?.as_ref()?.run.as_ref();
        if run.is_some_and(Run::takes_progress) {
            self.link(place, When::Paced);
        }
        let entry = self.places.get_mut(place)?.as_mut()?;
        entry.paced_until = now.checked_add(PACE);
        let receipt = entry.receipt;
        Some((Key { place, receipt }, entry))
    }

    /// When the first of those that told their progress may tell more.
    fn paced(&self) -> Option<Instant> {
        self.places.get(self.paced.first?)?.as_ref()?.paced_until
    }

    /// The first whose wait is over and that has more to tell; those that have not may tell it at once from now on.
    fn next_paced(&mut self, now: Instant) -> Option<usize> {
        while self.paced()? <= now {
            let place = self.paced.first?;
            let run = self.places.get(place)?.as_ref()?.run.as_ref();
            if run.is_some_and(|run| run.leash.context.take_news()) {
                return Some(place);
            }
            self.unlink(place);
        }
        None
    }

    fn count_end(&mut self) {
        self.running -= 1;
        self.processed += 1;
        if let Some((n, bell)) = &self.enough
            && self.processed >= *n
        {
            bell.notify_one();
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }

    fn list(&mut self, when: When) -> &mut List {
        match when {
            When::AtOnce => &mut self.at_once,
            When::IfLong => &mut self.if_long,
            When::Paced => &mut self.paced,
        }
    }

    /// Puts a place last in a list.
    fn link(&mut self, place: usize, list: When) {
        self.unlink(place);
        let before = self.list(list).last.replace(place);
        if let Some(entry) = &mut self.places[place] {
            entry.links = Some(Links {
                list,
                before,
                after: None,
            });
        }
        match before {
            Some(before) => self.set_after(before, Some(place)),
            None => self.list(list).first = Some(place),
        }
    }

    /// Takes a place out of the list it is in.
    fn unlink(&mut self, place: usize) {
        let links = self.places[place].as_mut().and_then(|e| e.links.take());
        let Some(links) = links else { return };
        match links.before {
            Some(before) => self.set_after(before, links.after),
            None => self.list(links.list).first = links.after,
        }
        match links.after {
            Some(after) => self.set_before(after, links.before),
            None => self.list(links.list).last = links.before,
        }
    }

    fn set_after(&mut self, place: usize, after: Option<usize>) {
        if let Some(links) = self.places[place].as_mut().and_then(|e| e.links.as_mut()) {
            links.after = after;
        }
    }

    fn set_before(&mut self, place: usize, before: Option<usize>) {
        if let Some(links) = self.places[place].as_mut().and_then(|e| e.links.as_mut()) {
            links.before = before;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

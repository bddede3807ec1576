//! The other processes at the same file: striking their bells, and listening for ours.
//!
//! The first that waits starts a thread, which sleeps until the kernel tells it of a struck bell. Only bells that
//! somebody waits for are watched: an idle worker is not woken by each finished task. Four times a second the thread
//! compares the eight bytes of the watched bells with those it saw last. A bell that was struck without a word from the
//! kernel, three times running, is on a mount where notifications do not work: from then on the bells are looked at.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::ears::{Ears, Sounds};
use super::mark::Mark;
use super::{Rings, Topic, Tower};
use crate::error::Error;

/// How often watched bells are looked at where the kernel tells of them.
const CHECK: Duration = Duration::from_millis(250);

/// How often where it does not.
const SLOW: Duration = Duration::from_millis(50);

/// Rings that come closer to each other wake this process once.
const GAP: Duration = Duration::from_millis(1);

/// So many rings without a word from the kernel, one after the other, mean that none will come.
const MISSES: u32 = 3;

#[derive(Debug)]
pub(super) struct Others {
    marks: [Mark; 3],
    desk: Mutex<Desk>,
}

/// Who waits for what, and how it is heard.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) waiting: [usize; 3],
    pub(super) watches: [Option<i32>; 3],
    /// What stood in each bell when it was last looked at.
    seen: [u64; 3],
    /// `None`: not open yet, or of no use here.
    pub(super) ears: Option<Arc<Ears>>,
    pub(super) attended: bool,
    misses: u32,
}

impl Others {
    pub(super) fn beside(database: &Path) -> Self {
        // A link to the file is the file: SQLite names its own files so, too.
        let database = database
            .canonicalize()
            .unwrap_or_else(|_| database.to_owned());
        Self {
            marks: Topic::ALL.map(|topic| Mark::new(&database, topic.name())),
            desk: Mutex::default(),
        }
    }

    /// The first of its files that can not be written to, and why.
    pub(super) fn refusal(&self) -> Option<(&Path, &io::Error)> {
        self.marks.iter().find_map(Mark::refusal)
    }

    pub(super) fn strike(&self, rings: Rings) {
        for topic in Topic::ALL {
            if rings.has(topic) {
                self.marks[topic as usize].strike();
            }
        }
    }

    pub(super) fn alone<T>(&self, what: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.marks[0].alone(what)
    }

    /// One waiter less. Its watch stays until it brings something that nobody waits for.
    pub(super) fn leave(&self, topic: Topic) {
        let waiting = &mut self.desk().waiting[topic as usize];
        *waiting = waiting.saturating_sub(1);
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the bell of `topic` watched, if it is not.
    fn watch(&self, desk: &mut Desk, topic: Topic) {
        let at = topic as usize;
        if desk.watches[at].is_some() {
            return;
        }
        let Some(ears) = &desk.ears else { return };
        let mark = &self.marks[at];
        match ears.watch(mark.path()) {
            Ok(watch) => desk.watches[at] = Some(watch),
            Err(error) => desk.go_slow(mark.path(), &error),
        }
        // Only now: what is struck from here on is told by the kernel, and what was struck before is found by the look
        // that the waiter still has to make.
        desk.seen[at] = mark.read();
    }

    /// Whether another process struck the bell since it was last looked at.
    ///
    /// What we wrote ourselves counts as no change, though another's ring may lie under it: ours was followed by the
    /// direct ring of all who wait here, and theirs by ours.
    fn changed(&self, desk: &mut Desk, topic: Topic) -> bool {
        let at = topic as usize;
        let stands = self.marks[at].read();
        let before = std::mem::replace(&mut desk.seen[at], stands);
        stands != before && !self.marks[at].is_own(stands)
    }

    /// What this process is to be woken for after `sounds`; `check`: bells without a sound are looked at, too.
    pub(super) fn hear(&self, sounds: &Sounds, check: bool) -> Rings {
        let mut rings = Rings::default();
        let desk = &mut *self.desk();
        for topic in Topic::ALL {
            let at = topic as usize;
            let is_here = |watches: &[i32]| desk.watches[at].is_some_and(|w| watches.contains(&w));
            let moved = sounds.overflow || is_here(&sounds.moved);
            let struck = sounds.overflow || is_here(&sounds.struck);
            if moved && self.marks[at].renew() {
                if let (Some(watch), Some(ears)) = (desk.watches[at].take(), &desk.ears) {
                    ears.forget(watch);
                }
                rings.add(topic);
            }
            if desk.waiting[at] == 0 {
                if struck && let (Some(watch), Some(ears)) = (desk.watches[at].take(), &desk.ears) {
                    ears.forget(watch);
                }
                continue;
            }
            self.watch(desk, topic);
            if struck {
                desk.misses = 0;
            } else if !check {
                continue;
            }
            if self.changed(desk, topic) {
                rings.add(topic);
                if !struck && desk.ears.is_some() {
                    desk.missed(self.marks[at].path());
                }
            }
        }
        rings
    }
}

impl Desk {
    fn missed(&mut self, path: &Path) {
        self.misses += 1;
        if self.misses >= MISSES {
            let error = io::Error::other("it was written to, and no notification came");
            self.go_slow(path, &error);
        }
    }

    fn go_slow(&mut self, path: &Path, error: &io::Error) {
        let file = path.display();
        if error.kind() == io::ErrorKind::Unsupported {
            tracing::debug!(%file, "looking every {SLOW:?} whether other processes rang");
        } else {
            tracing::warn!(
                %file,
                %error,
                "no file notifications here: this process looks every {SLOW:?} whether others rang. If they are used \
                 up, raise fs.inotify.max_user_instances and max_user_watches; if the disk has none, take a local one"
            );
        }
        self.ears = None;
        self.watches = [None; 3];
    }
}

/// One waiter more for `topic`: from here on, rings of others are heard.
pub(super) fn listen(tower: &Arc<Tower>, topic: Topic) {
    let Some(others) = &tower.others else { return };
    let desk = &mut *others.desk();
    desk.waiting[topic as usize] += 1;
    if !desk.attended {
        begin(tower, others, desk);
    }
    others.watch(desk, topic);
}

/// Starts the thread.
fn begin(tower: &Arc<Tower>, others: &Others, desk: &mut Desk) {
    let path = others.marks[0].path();
    match Ears::open() {
        Ok(ears) => desk.ears = Some(Arc::new(ears)),
        Err(error) => desk.go_slow(path, &error),
    }
    let weak = Arc::downgrade(tower);
    let run = move || attend(&weak);
    match thread::Builder::new()
        .name("taskq-sqlite-b".into())
        .spawn(run)
    {
        Ok(_) => desk.attended = true,
        // The next who waits tries again; this one looks by itself.
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "no thread to hear other processes")
        }
    }
}

/// Listens for as long as there is a bell.
fn attend(tower: &Weak<Tower>) {
    let mut checked = Instant::now();
    loop {
        let ears = match tower.upgrade() {
            Some(tower) => tower.others.as_ref().and_then(|o| o.desk().ears.clone()),
            None => return,
        };
        let sounds = match ears {
            Some(ears) => ears.wait(CHECK).unwrap_or_else(|_| {
                // Not to be expected. The look below finds what was missed.
                thread::sleep(CHECK);
                Sounds::default()
            }),
            None => {
                thread::sleep(SLOW);
                Sounds::default()
            }
        };
        let Some(tower) = tower.upgrade() else { return };
        let Some(others) = &tower.others else { return };
        let check = sounds.is_empty() || checked.elapsed() >= CHECK;
        if check {
            checked = Instant::now();
        }
        tower.wake(others.hear(&sounds, check));
        drop(tower);
        if !sounds.is_empty() {
            thread::sleep(GAP);
        }
    }
}

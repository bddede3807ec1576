//! Waking those who wait, in this process and in the others that have the same file open.
//!
//! Waiters of this process are rung directly. For the others three small files lie beside the database, one a topic:
//! who commits strikes them, and the kernel wakes the processes in which somebody waits for that topic. A bell carries
//! nothing but "look again": what is there to be done is in the database, so a ring too many costs one look, and a ring
//! that was lost (its process died between commit and ring) costs the waiter's own next look.

mod ears;
mod mark;
mod others;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::others::Others;
use crate::error::Error;

/// What one may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Something may be claimed now, or sooner than was known.
    Work,
    /// A record became final, or something was told.
    News,
    /// A question to workers, or an answer to one.
    Talk,
}

impl Topic {
    const ALL: [Self; 3] = [Self::Work, Self::News, Self::Talk];

    fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::News => "news",
            Self::Talk => "talk",
        }
    }
}

/// Topics that a transaction rings once it is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rings {
    rung: [bool; 3],
}

impl Rings {
    pub(super) fn add(&mut self, topic: Topic) {
        self.rung[topic as usize] = true;
    }

    pub(super) fn has(self, topic: Topic) -> bool {
        self.rung[topic as usize]
    }
}

/// The bell of one open file. Without other processes (`default`) it rings in this one alone.
#[derive(Debug, Default)]
pub(super) struct Bell {
    tower: Arc<Tower>,
}

#[derive(Debug, Default)]
struct Tower {
    waiting: [Notify; 3],
    /// `None`: what is in memory has no others.
    others: Option<Others>,
}

impl Tower {
    /// Wakes who waits here.
    fn wake(&self, rings: Rings) {
        for topic in Topic::ALL {
            if rings.has(topic) {
                self.waiting[topic as usize].notify_waiters();
            }
        }
    }
}

impl Bell {
    /// The bell of the database at `path`, which is there: shared with all processes that have it open.
    pub(super) fn beside(path: &Path) -> Self {
        Self::with(Others::beside(path))
    }

    fn with(others: Others) -> Self {
        let tower = Tower {
            waiting: Default::default(),
            others: Some(others),
        };
        Self {
            tower: Arc::new(tower),
        }
    }

    /// Tells, once for all of its files, that no other process hears it. For who has the database open: before that it would
    /// be told at each try.
    pub(super) fn tell_if_unheard(&self) {
        let others = self.tower.others.as_ref();
        if let Some((file, error)) = others.and_then(Others::refusal) {
            tracing::warn!(
                file = %file.display(),
                %error,
                "other processes at this broker are not woken from here and find new work only by looking, \
                 up to 1 s later: let this user write to that file and its folder"
            );
        }
    }

    /// Wakes all that wait for one of these, here and in other processes.
    pub(super) fn ring(&self, rings: Rings) {
        // The others first: what `Others::changed` leaves out relies on it.
        if let Some(others) = &self.tower.others {
            others.strike(rings);
        }
        self.tower.wake(rings);
    }

    /// Runs `what` while no other process at this file runs something so.
    pub(super) fn alone<T>(&self, what: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        match &self.tower.others {
            Some(others) => others.alone(what),
            None => what(),
        }
    }

    /// Completes at the next ring after this call, also at one that comes before it is awaited. To be called before the
    /// look that it covers.
    pub(super) fn heard(&self, topic: Topic) -> Heard<'_> {
        let notified = Box::pin(self.tower.waiting[topic as usize].notified());
        others::listen(&self.tower, topic);
        Heard {
            notified,
            tower: &self.tower,
            topic,
        }
    }
}

/// Somebody who waits for a ring; while there is one, rings of other processes are listened to.
pub(super) struct Heard<'b> {
    notified: Pin<Box<Notified<'b>>>,
    tower: &'b Tower,
    topic: Topic,
}

impl Heard<'_> {
    /// Whether it rang already; from here on one that waits is told apart from those who come later.
    pub(super) fn enable(self: Pin<&mut Self>) -> bool {
        self.get_mut().notified.as_mut().enable()
    }
}

impl Future for Heard<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().notified.as_mut().poll(cx)
    }
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        if let Some(others) = &self.tower.others {
            others.leave(self.topic);
        }
    }
}

impl fmt::Debug for Heard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("topic", &self.topic).finish()
    }
}

#[cfg(test)]
mod tests;

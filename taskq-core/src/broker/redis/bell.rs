//! The bells of a process' queues: which are listened to, which one rang, and ringing on.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, cmd};

use super::link::Answer;
use super::session::{At, Seat};
use super::value::{array, text};

/// The bells that one block listens to.
#[derive(Debug)]
pub(super) struct Bells {
    /// Which seat each key belongs to.
    keys: Vec<(usize, String)>,
}

impl Bells {
    /// Those of all seats that can hear; of a paused queue only the one that its resumption rings.
    ///
    /// Its other bell is rung by every send, and nothing could be claimed then.
    pub(super) fn of(seats: &[Arc<Seat>], is_paused: impl Fn(usize) -> bool) -> Self {
        let hears = |seat: &Seat| !seat.rests() && seat.hears();
        let key = |i: usize, seat: &Seat| match is_paused(i) {
            true => seat.keys.resumed.clone(),
            false => seat.keys.bell.clone(),
        };
        Self {
            keys: seats
                .iter()
                .enumerate()
                .filter(|(_, seat)| hears(seat))
                .map(|(i, seat)| (i, key(i, seat)))
                .collect(),
        }
    }

    /// The wait for any of them, for so long at most; `None` if none can be heard.
    pub(super) fn wait(&self, block: Duration) -> Option<Cmd> {
        if self.keys.is_empty() {
            return None;
        }
        let mut wait = cmd("BZPOPMIN");
        for (_, key) in &self.keys {
            wait.arg(key);
        }
        // Zero would block for ever, and older servers cut what is not quite a millisecond down to it.
        wait.arg(block.max(Duration::from_millis(2)).as_secs_f64());
        Some(wait)
    }

    /// Which seat's bell ended the wait. One that can not ring is told of; its queue is still asked, only later.
    pub(super) fn rang(&self, seats: &[Arc<Seat>], answer: Answer) -> Option<usize> {
        match answer {
            Ok(answer) => {
                self.keys
                    .iter()
                    .for_each(|(i, _)| seats[*i].works(At::Bell));
                let words = array(answer)?;
                let rung = words.first().and_then(text)?;
                let (seat, _) = self.keys.iter().find(|(_, key)| key == rung)?;
                Some(*seat)
            }
            Err(error) => {
                let told = error.to_string();
                let named = |(_, key): &&(usize, String)| told.contains(key);
                let (seat, _) = self.keys.iter().find(named).or(self.keys.first())?;
                seats[*seat].troubled(At::Bell, &error);
                None
            }
        }
    }
}

/// Rings a queue's bell for somebody else.
pub(super) fn ring(seat: &Seat) -> Cmd {
    let mut ring = cmd("ZADD");
    ring.arg(&seat.keys.bell).arg(0).arg(1);
    ring
}

/// Leaves it to somebody else to wake for what is due next.
pub(super) fn unwatch(seat: &Seat) -> Cmd {
    let mut unwatch = cmd("HDEL");
    unwatch.arg(&seat.keys.meta).arg("watch");
    unwatch
}

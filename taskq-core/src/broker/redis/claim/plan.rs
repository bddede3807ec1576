//! Which queues a round of claims asks, and for how many messages.

use redis::Cmd;

use super::{Arc, Claimer, MAX_BYTES, MAX_CLAIM, Mood, Order, Seat};
use crate::broker::redis::endpoint::Endpoint;
use crate::broker::redis::scripts;
use crate::broker::shares::{self, Claimant};

/// One claim of a round.
pub(super) struct Planned {
    pub(super) seat: usize,
    pub(super) generation: u64,
    pub(super) n: usize,
    pub(super) call: Cmd,
}

impl Claimer {
    /// Shares `room` among some of the queues in `which`, and takes those out of it: at least one.
    ///
    /// By weight: one that had less than it was asked for is looked into once in each claim that has room for all, and the
    /// others share the rest. In strict order: all of it to the first.
    pub(super) fn plan(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        room: usize,
        which: &mut Vec<usize>,
        first: Option<usize>,
    ) -> Vec<Planned> {
        // A claim of large messages ends at its byte bound anyway; what it popped beyond would be pushed back.
        let most = |mood: &Mood| MAX_CLAIM.min((2 * MAX_BYTES / mood.mean.max(1)).max(1));
        let shares: Vec<(usize, usize)> = match self.order {
            Order::Strict => {
                let next = which.first();
                let share = |&i: &usize| (i, room.min(most(&self.moods[i])));
                next.map(share).into_iter().collect()
            }
            Order::Weighted => {
                let any_hungry = which.iter().any(|&i| self.moods[i].hungry);
                let room_for_all = room >= which.len();
                let claimant = |&i: &usize| {
                    let mood = &self.moods[i];
                    Claimant {
                        weight: seats[i].weight(),
                        pass: mood.pass,
                        least: usize::from(first == Some(i) || room_for_all && !mood.hungry),
                        most: match any_hungry && !mood.hungry {
                            true => 1,
                            false => most(mood),
                        },
                    }
                };
                let claimants: Vec<Claimant> = which.iter().map(claimant).collect();
                let shares = shares::divide(room, &claimants);
                which.iter().copied().zip(shares).collect()
            }
        };
        let shares: Vec<(usize, usize)> = shares.into_iter().filter(|(_, n)| *n > 0).collect();
        which.retain(|i| shares.iter().all(|(planned, _)| planned != i));
        // Of those asked, the one that was not allowed a suspect for the longest time.
        let permit = if seats.iter().all(|s| s.suspects_out() == 0) {
            let asked = || shares.iter().map(|(i, _)| *i);
            let longest = asked().min_by_key(|&i| self.moods[i].permitted);
            asked().find(|&i| first == Some(i)).or(longest)
        } else {
            None
        };
        if let Some(i) = permit {
            self.permits += 1;
            self.moods[i].permitted = self.permits;
        }
        shares
            .into_iter()
            .filter_map(|(i, n)| self.claim_of(endpoint, seats, i, n, permit == Some(i)))
            .collect()
    }

    /// The claim of up to `n` messages of one queue.
    pub(super) fn claim_of(
        &self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        i: usize,
        n: usize,
        suspect: bool,
    ) -> Option<Planned> {
        let seat = &seats[i];
        let mut state = seat.state();
        let session = state.session.as_mut()?;
        session.asked = true;
        let k = &seat.keys;
        let fixed = [&k.delayed, &k.suspects, &k.bell];
        let mut call = scripts::CLAIM.call(
            std::iter::once(&k.session(&session.id))
                .chain(fixed)
                .chain(&k.ready)
                .chain([&k.meta]),
        );
        call.arg(endpoint.offset_ms())
            .arg(session.claimed + 1)
            .arg(n);
        call.arg(u8::from(suspect)).arg(MAX_BYTES);
        Some(Planned {
            seat: i,
            generation: session.generation,
            n,
            call,
        })
    }
}

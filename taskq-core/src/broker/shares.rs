//! Whose turn it is: the slots of claims, shared among queues that all have messages, by their weights.
//!
//! Each queue has a pass, which grows with each of its messages, the slower the larger its weight; the next slot is for
//! the queue whose pass is the smallest. What one claim can not share out evenly the next ones make up for, so claims of
//! one slot keep the shares too. Who has nothing saves up no turns.

/// How much the pass of a queue with the weight 1 grows with each message.
const TURN: u64 = 1 << 32;

/// A queue that may get some of a claim's slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant {
    pub(super) weight: u32,
    pub(super) pass: u64,
    /// As many it gets whatever its turn.
    pub(super) least: usize,
    /// And so many at most.
    pub(super) most: usize,
}

/// What a claim came to at one queue.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) weight: u32,
    pub(super) pass: &'a mut u64,
    pub(super) asked: bool,
    pub(super) got: usize,
    /// It was known to have messages.
    pub(super) hungry: bool,
}

/// How much the pass of a queue grows with each message.
pub(super) fn stride(weight: u32) -> u64 {
    TURN / u64::from(weight.max(1))
}

/// Shares `room` slots: how many each of the claimants gets; of several whose turn it is, the first.
pub(super) fn divide(room: usize, claimants: &[Claimant]) -> Vec<usize> {
    let mut shares: Vec<usize> = claimants.iter().map(|c| c.least.min(c.most)).collect();
    let mut passes: Vec<u64> = claimants.iter().map(|c| c.pass).collect();
    for (i, claimant) in claimants.iter().enumerate() {
        passes[i] += stride(claimant.weight) * shares[i] as u64;
    }
    let mut left = room.saturating_sub(shares.iter().sum());
    while left > 0 {
        let mut open = (0..claimants.len()).filter(|&i| shares[i] < claimants[i].most);
        let Some(first) = open.next() else { break };
        let next = open.fold(first, |best, i| match passes[i] < passes[best] {
            true => i,
            false => best,
        });
        shares[next] += 1;
        passes[next] += stride(claimants[next].weight);
        left -= 1;
    }
    shares
}

/// Moves the passes on after a claim.
///
/// Those that had messages before go on from where they are. A queue that had none joins them where they are now: what
/// it did not use is not made up for, nor is it late for having been asked in vain.
pub(super) fn settle(turns: &mut [Turn<'_>]) {
    for turn in turns.iter_mut().filter(|turn| turn.asked) {
        let used = turn.got.max(1) as u64;
        *turn.pass = turn.pass.saturating_add(stride(turn.weight) * used);
    }
    let any_hungry = turns.iter().any(|turn| turn.hungry);
    let competes = |turn: &Turn<'_>| match any_hungry {
        true => turn.hungry,
        false => turn.got > 0,
    };
    // Where the last message stood that was served: who joins there is next.
    let stood = |turn: &Turn<'_>| match turn.asked {
        true => turn.pass.saturating_sub(stride(turn.weight)),
        false => *turn.pass,
    };
    let Some(floor) = turns.iter().filter(|turn| competes(turn)).map(stood).min() else {
        turns.iter_mut().for_each(|turn| *turn.pass = 0);
        return;
    };
    for turn in turns {
        if !competes(turn) {
            let late = floor.saturating_add(stride(turn.weight));
            *turn.pass = (*turn.pass).clamp(floor, late);
        }
        *turn.pass -= floor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues by weight, how many messages each has, and how many each has given.
    struct Queues {
        weights: Vec<u32>,
        waiting: Vec<usize>,
        hungry: Vec<bool>,
        passes: Vec<u64>,
        given: Vec<usize>,
    }

    impl Queues {
        fn new(weights: &[u32], waiting: &[usize]) -> Self {
            Self {
                weights: weights.to_vec(),
                waiting: waiting.to_vec(),
                hungry: vec![false; weights.len()],
                passes: vec![0; weights.len()],
                given: vec![0; weights.len()],
            }
        }

        /// One claim, as the Redis broker makes it.
        fn claim(&mut self, room: usize) {
            let any_hungry = self.hungry.contains(&true);
            let claimants: Vec<Claimant> = (0..self.weights.len())
                .map(|i| Claimant {
                    weight: self.weights[i],
                    pass: self.passes[i],
                    least: usize::from(!self.hungry[i] && room >= self.weights.len()),
                    most: if any_hungry && !self.hungry[i] {
                        1
                    } else {
                        room
                    },
                })
                .collect();
            let shares = divide(room, &claimants);
            assert!(shares.iter().sum::<usize>() <= room);
            let before = self.hungry.clone();
            let mut got = vec![0; shares.len()];
            for (i, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0) {
                got[i] = share.min(self.waiting[i]);
                self.waiting[i] -= got[i];
                self.given[i] += got[i];
                self.hungry[i] = got[i] == share;
            }
            let mut passes = std::mem::take(&mut self.passes);
            let mut turns: Vec<Turn<'_>> = passes
                .iter_mut()
                .enumerate()
                .map(|(i, pass)| Turn {
                    weight: self.weights[i],
                    pass,
                    asked: shares[i] > 0,
                    got: got[i],
                    hungry: before[i],
                })
                .collect();
            settle(&mut turns);
            self.passes = passes;
        }
    }

    /// Off by one claim at most, however large it is.
    fn are_shared(queues: &Queues, room: usize) {
        let total: usize = queues.given.iter().sum();
        let weights: u32 = queues.weights.iter().sum();
        for (given, weight) in queues.given.iter().zip(&queues.weights) {
            let share = total as f64 * f64::from(*weight) / f64::from(weights);
            let off = (*given as f64 - share).abs();
            assert!(off <= room as f64 + 1.0, "{:?}: {given}", queues.given);
        }
    }

    #[test]
    fn shares_hold_whatever_the_room() {
        for weights in [&[3, 1][..], &[1, 1], &[1000, 1], &[5, 3, 2], &[7, 1, 1, 1]] {
            for rooms in [&[1][..], &[40], &[999], &[1, 7, 2], &[2]] {
                let mut queues = Queues::new(weights, &vec![10_000_000; weights.len()]);
                for turn in 0..2_000 {
                    queues.claim(rooms[turn % rooms.len()]);
                }
                are_shared(&queues, *rooms.iter().max().expect("some"));
            }
        }
    }

    #[test]
    fn what_has_nothing_gives_its_share_away_and_saves_nothing_up() {
        for room in [1, 3, 40] {
            let mut queues = Queues::new(&[1, 1], &[1_000_000, 0]);
            let mut claims = 0;
            while queues.given[0] < 1_000 {
                queues.claim(room);
                claims += 1;
            }
            // One of two probes in vain at most.
            assert!(claims <= 2 * 1_000 / room + 3, "{claims} claims of {room}");
            queues.waiting[1] = 1_000_000;
            queues.given = vec![0, 0];
            for _ in 0..1_000 {
                queues.claim(room);
            }
            are_shared(&queues, room + 1);
        }
    }

    #[test]
    fn who_was_asked_in_vain_is_not_late_for_it() {
        let mut queues = Queues::new(&[1, 1_000], &[0, 1_000_000]);
        for _ in 0..1_000 {
            queues.claim(40);
        }
        queues.waiting[0] = 1_000;
        for _ in 0..100 {
            queues.claim(40);
        }
        // Of 4,000 messages.
        assert!((3..=5).contains(&queues.given[0]), "{:?}", queues.given);
    }

    #[test]
    fn bounds_are_kept_and_what_they_leave_goes_to_the_others() {
        let claimant = |weight, least, most| Claimant {
            weight,
            pass: 0,
            least,
            most,
        };
        let all = [claimant(9, 0, 2), claimant(1, 1, 5), claimant(1, 0, 1)];
        assert_eq!(divide(10, &all), [2, 5, 1]);
        assert_eq!(divide(3, &all), [1, 1, 1]);
        assert_eq!(divide(0, &all[..1]), [0]);
        assert!(divide(5, &[]).is_empty());
    }
}

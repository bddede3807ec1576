//! The fault test: the real broker code, with processes that pause, die and stop on purpose, outages around the lease, and
//! a broker that goes back to an older copy. Over a private Redis, through a wire that lies and falls silent; and over one
//! file, with processes that are killed with -9 and stopped by SIGSTOP.
//!
//! What must hold, whatever happens: nothing accepted is lost, nothing is finished twice, nothing is left held,
//! and nobody stays deaf. Where somebody revokes, purges and replays as well: what was claimed after its revocation was
//! answered does not run, unless it is replayed.
//! `TASKQ_FAULT_SECONDS` and `TASKQ_FAULT_SEED` make it longer, or other; both are printed.

mod acks;
mod books;
mod child;
mod life;
mod operator;
mod place;
mod process;
mod produce;
mod proxy;
mod reckon;
mod site;
mod world;

use std::time::Duration;

use place::Kind;
use serde::{Deserialize, Serialize};
use world::World;

/// Which faults a run has.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Mix {
    /// Requests and replies are lost, and requests carried out late.
    pub(crate) reply: bool,
    /// Connections fall silent without closing, and calls are given up from outside.
    pub(crate) mute: bool,
    /// Processes stand still for longer than a lease.
    pub(crate) pause: bool,
    /// Processes die.
    pub(crate) kill: bool,
    /// Processes stop on purpose; where there are pauses, also right after one past the lease.
    pub(crate) warm: bool,
    /// The broker can not be reached, for shorter and longer than a lease: away or locked, or all processes stand still.
    pub(crate) outage: bool,
    /// The broker is as it was some time ago.
    pub(crate) rollback: bool,
    /// Processes die in the middle of a sweep.
    pub(crate) sweeper: bool,
    /// Over a file: lifelines are taken away as soon as they are made, so that the lease alone decides. Elsewhere that
    /// happens now and then.
    pub(crate) lease: bool,
    /// Processes leave their queues and take from them again.
    pub(crate) leave: bool,
    /// Somebody revokes, purges and replays.
    pub(crate) meddle: bool,
    /// So many messages kill the process that runs them.
    pub(crate) poison: usize,
    /// So many messages are there at once, so that what one process holds is given back in several steps.
    pub(crate) flood: usize,
}

impl Mix {
    /// No process is ever away from the broker for a lease while another is in touch with it, so no crash may be charged.
    ///
    /// Outages of any length hit all processes alike, and are spaced so that each is heard between two of them.
    /// A connection that falls silent twice in a row takes one process alone out for more than a lease: by design it
    /// is then charged. A rollback may bring back the lease of a process that stopped meanwhile.
    pub(crate) fn is_chargeless(self) -> bool {
        !(self.kill || self.pause || self.rollback || self.mute || self.sweeper || self.poison > 0)
    }
}

#[expect(clippy::print_stdout, reason = "a failing run must tell its seed")]
async fn run(kind: Kind, mix: Mix, salt: u64) {
    let seed = number("TASKQ_FAULT_SEED").unwrap_or(20_261_122) ^ (salt << 32);
    let seconds = number("TASKQ_FAULT_SECONDS").unwrap_or(4);
    println!("seed {seed}, {seconds} s of {mix:?} over a {kind:?}");
    let span = Duration::from_secs(seconds);
    let mut world = World::start(kind, mix, seed, span).await;
    world.suffer(span).await;
    let tally = world.settle().await;
    println!("{tally:?}");
    assert!(
        tally.acknowledged > 0,
        "the run was too idle to mean anything: {tally:?}"
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

macro_rules! mixes {
    ($kind:expr; $($name:ident: $($fault:ident = $value:expr),*;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let salt = stringify!($name).bytes().fold(0, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 4096);
            let mix = $crate::faults::Mix { $($fault: $value,)* ..Default::default() };
            $crate::faults::run($kind, mix, salt).await;
        }
    )*};
}

mixes! {
    Kind::Server;
    no_faults: ;
    lost_replies: reply = true;
    silences: mute = true;
    pauses: pause = true;
    kills: kill = true;
    warm_stops: warm = true;
    warm_stops_after_pauses: warm = true, pause = true;
    rollbacks: rollback = true;
    leaves: leave = true;
    leaves_and_lost_replies: leave = true, reply = true, mute = true;
    leaves_and_everything: leave = true, reply = true, mute = true, pause = true, kill = true, warm = true, outage = true, rollback = true;
    leaves_and_poison: leave = true, poison = 1;
    outages: outage = true;
    replies_pauses_kills: reply = true, pause = true, kill = true;
    replies_silences_warm_stops: reply = true, mute = true, warm = true;
    replies_outages_rollbacks: reply = true, outage = true, rollback = true;
    everything: reply = true, mute = true, pause = true, kill = true, warm = true, outage = true, rollback = true;
    meddling: meddle = true;
    meddling_kills_and_lost_replies: meddle = true, reply = true, kill = true;
    meddling_and_everything_but_rollbacks: meddle = true, leave = true, reply = true, mute = true, pause = true, kill = true, warm = true, outage = true;
    poison_alone: poison = 1;
    poison_and_lost_replies: reply = true, poison = 1;
}

/// Where the broker is a file.
mod file {
    use super::place::Kind;

    mixes! {
        Kind::File;
        no_faults_at_a_file: ;
        kills_at_a_file: kill = true;
        pauses_at_a_file: pause = true, lease = true;
        sweepers_that_die_at_a_file: kill = true, sweeper = true, flood = 3_000, lease = true;
        warm_stops_at_a_file: warm = true;
        warm_stops_after_pauses_at_a_file: warm = true, pause = true, lease = true;
        outages_of_a_file: outage = true;
        older_copies_of_a_file: rollback = true;
        older_copies_of_a_file_and_kills_and_pauses: rollback = true, kill = true, pause = true;
        leaves_and_kills_at_a_file: leave = true, kill = true;
        meddling_at_a_file: meddle = true;
        meddling_kills_and_pauses_at_a_file: meddle = true, leave = true, kill = true, pause = true, warm = true, outage = true;
        poison_at_a_file: poison = 1;
        everything_at_a_file: leave = true, pause = true, kill = true, warm = true, outage = true, rollback = true, sweeper = true;
    }
}

//! The fault test: the real broker code on a private Redis, through a wire that lies and falls silent, with processes
//! that pause, die and stop on purpose, outages around the lease, and a server that comes back with an older dump.
//!
//! What must hold, whatever happens: nothing accepted is lost, nothing is finished twice, nothing is left held,
//! and nobody stays deaf. Where somebody revokes, purges and replays as well: what was claimed after its revocation was
//! answered does not run, unless it is replayed.
//! `TASKQ_FAULT_SECONDS` and `TASKQ_FAULT_SEED` make it longer, or other; both are printed.

mod acks;
mod life;
mod operator;
mod process;
mod proxy;
mod world;

use std::time::Duration;

use world::World;

/// Which faults a run has.
#[derive(Debug, Clone, Copy, Default)]
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
    /// Redis can not be reached, for shorter and longer than a lease.
    pub(crate) outage: bool,
    /// Redis comes back as it was some time ago.
    pub(crate) rollback: bool,
    /// Processes leave their queues and take from them again.
    pub(crate) leave: bool,
    /// Somebody revokes, purges and replays.
    pub(crate) meddle: bool,
    /// So many messages kill the process that runs them.
    pub(crate) poison: usize,
}

impl Mix {
    /// No process is ever away from Redis for a lease while another is in touch with it, so no crash may be charged.
    ///
    /// Outages of any length hit all processes alike, and are spaced so that each is heard between two of them.
    /// A connection that falls silent twice in a row takes one process alone out for more than a lease: by design it
    /// is then charged. A rollback may bring back the lease of a process that stopped meanwhile.
    pub(crate) fn is_chargeless(self) -> bool {
        !(self.kill || self.pause || self.rollback || self.mute || self.poison > 0)
    }
}

#[expect(clippy::print_stdout, reason = "a failing run must tell its seed")]
async fn run(mix: Mix, salt: u64) {
    let seed = number("TASKQ_FAULT_SEED").unwrap_or(20_261_122) ^ (salt << 32);
    let seconds = number("TASKQ_FAULT_SECONDS").unwrap_or(4);
    println!("seed {seed}, {seconds} s of {mix:?}");
    let span = Duration::from_secs(seconds);
    let mut world = World::start(mix, seed, span).await;
    world.suffer(span).await;
    let tally = world.settle().await;
    println!("{tally:?}");
    assert!(
        tally.accepted > 20 && tally.acknowledged > 0,
        "the run was too idle to mean anything: {tally:?}"
    );
    if mix.reply {
        assert!(
            tally.lies.lost_replies + tally.lies.late_requests > 2,
            "the wire did not lie: {tally:?}"
        );
    }
    if mix.mute {
        assert!(tally.lies.muted > 0, "the wire was never silent: {tally:?}");
    }
    if mix.leave {
        assert!(tally.leaves > 2, "no queue was left: {tally:?}");
    }
    if mix.meddle {
        let came = tally.came;
        assert!(
            came.heard + came.purged + came.replayed > 2,
            "next to nothing was revoked, purged or replayed: {tally:?}"
        );
    }
    if mix.warm {
        assert!(tally.warm_stops > 0, "nobody stopped: {tally:?}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

macro_rules! mixes {
    ($($name:ident: $($fault:ident = $value:expr),*;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let salt = stringify!($name).bytes().fold(0, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 4096);
            run(Mix { $($fault: $value,)* ..Mix::default() }, salt).await;
        }
    )*};
}

mixes! {
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

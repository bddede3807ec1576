//! The fault test: the real broker code on a private Redis, through a wire that lies, with processes that pause and die,
//! outages around the lease, and a server that comes back with an older dump.
//!
//! What must hold, whatever happens: nothing accepted is lost, nothing is finished twice, nothing is left held.
//! `TASKQ_FAULT_SECONDS` and `TASKQ_FAULT_SEED` make it longer, or other; both are printed.

mod life;
mod proxy;
mod world;

use std::time::Duration;

use world::World;

/// Which faults a run has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mix {
    /// Requests and replies are lost, and requests carried out late.
    pub(crate) reply: bool,
    /// Processes stand still for longer than a lease.
    pub(crate) pause: bool,
    /// Processes die.
    pub(crate) kill: bool,
    /// Redis can not be reached, for shorter and longer than a lease.
    pub(crate) outage: bool,
    /// Redis comes back as it was some time ago.
    pub(crate) rollback: bool,
    /// So many messages kill the process that runs them.
    pub(crate) poison: usize,
}

#[expect(clippy::print_stdout, reason = "a failing run must tell its seed")]
async fn run(mix: Mix, salt: u64) {
    let seed = number("TASKQ_FAULT_SEED").unwrap_or(20_261_122) ^ (salt << 32);
    let seconds = number("TASKQ_FAULT_SECONDS").unwrap_or(4);
    let span = Duration::from_secs(seconds);
    let mut world = World::start(mix, seed, span).await;
    world.suffer(span).await;
    let tally = world.settle().await;
    println!("seed {seed}, {seconds} s of {mix:?}: {tally:?}");
    assert!(
        tally.accepted > 50,
        "the run was too idle to mean anything: {tally:?}"
    );
    if mix.reply {
        assert!(
            tally.lost_replies + tally.late_requests > 10,
            "the wire did not lie: {tally:?}"
        );
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
    pauses: pause = true;
    kills: kill = true;
    rollbacks: rollback = true;
    outages: outage = true;
    replies_pauses_kills: reply = true, pause = true, kill = true;
    replies_outages_rollbacks: reply = true, outage = true, rollback = true;
    everything: reply = true, pause = true, kill = true, outage = true, rollback = true;
    poison_alone: poison = 1;
    poison_and_lost_replies: reply = true, poison = 2;
}

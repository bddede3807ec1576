use std::time::Duration;
use taskq_core::retry::Fixed;
use taskq_core::task;

fn wait() -> Duration {
    Duration::from_secs(1)
}

#[task(retry = Fixed(wait()))]
async fn at_run_time() {}

fn main() {}

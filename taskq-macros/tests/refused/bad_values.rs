use taskq_core::task;

#[task(name = "")]
async fn nameless() {}

#[task(name = 5)]
async fn number() {}

#[task(queue = "no spaces")]
async fn queue() {}

#[task(queue)]
async fn flag() {}

#[task(max_retries = -1)]
async fn negative() {}

#[task(ignore_result = "yes")]
async fn not_a_bool() {}

#[task(track_started = 1)]
async fn not_a_flag() {}

#[task(expires = 60)]
async fn no_unit() {}

#[task(max_crashes = 10)]
async fn immortal() {}

#[task(on_crash = "ignore")]
async fn careless() {}

#[task(ignore_result, track_started)]
async fn nowhere_to_write() {}

fn main() {}

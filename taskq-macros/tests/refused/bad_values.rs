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

#[task(time_limit = 30)]
async fn celerys_seconds() {}

#[task(time_limit = "30")]
async fn seconds_perhaps() {}

#[task(expires = "soon")]
async fn no_number() {}

#[task(time_limit = "0s")]
async fn over_at_once() {}

#[task(soft_time_limit = "0ms", time_limit = "1s")]
async fn told_at_once() {}

#[task(soft_time_limit = "30s", time_limit = "30s")]
async fn never_told() {}

#[task(time_limit = "1m", soft_time_limit = "2m")]
async fn told_too_late() {}

#[task(priority = 10)]
async fn most_urgent() {}

#[task(priority)]
async fn urgent() {}

fn main() {}

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

fn main() {}

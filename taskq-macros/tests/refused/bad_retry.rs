use taskq_core::task;

#[task(retry = 5)]
async fn number() {}

fn main() {}

use taskq_core::task;

#[task(name = "a", que = "mail")]
async fn misspelt() {}

#[task(bind, acks_late, default_retry_delay = 10, autoretry_for = OSError, time_limit = 30, priority = 9)]
async fn from_celery() {}

fn main() {}

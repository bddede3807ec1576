use taskq_core::task;

#[task(name = "a", que = "mail")]
async fn misspelt() {}

#[task(bind, acks_late, default_retry_delay = 10, autoretry_for = OSError, rate_limit = 30, aliases = 9)]
async fn from_celery() {}

fn main() {}

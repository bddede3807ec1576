use taskq_core::task;

#[task(queue = "mail", max_retries = 3, queue = "post")]
async fn twice() {}

fn main() {}

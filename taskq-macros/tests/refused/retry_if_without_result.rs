use taskq_core::task;

fn always(_: &std::fmt::Error) -> bool {
    true
}

#[task(retry_if = always)]
async fn no_result() -> u8 {
    1
}

#[task(retry_if = always)]
async fn another_error() -> Result<u8, String> {
    Ok(1)
}

fn main() {}

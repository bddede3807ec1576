use taskq_core::task;

pub struct Trouble;

#[task]
async fn pay() -> Result<u8, Trouble> {
    Err(Trouble)
}

fn main() {}

use taskq_core::task;

pub struct Receipt;

#[task]
async fn pay() -> Result<Receipt, std::fmt::Error> {
    Ok(Receipt)
}

fn main() {}

use taskq_core::task;

#[task]
struct Payment;

#[task]
mod tasks {}

fn main() {}

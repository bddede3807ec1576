use taskq_core::task;

pub struct Parcel;

#[task]
async fn send(parcel: Parcel) {
    let _ = parcel;
}

fn main() {}

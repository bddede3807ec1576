#![allow(unused_variables)]

use taskq_core::task;

#[task]
const fn constant() {}

#[task]
unsafe fn dangerous() {}

#[task]
extern "C" fn foreign() {}

#[task]
async fn generic<T: Send>(value: T) {}

#[task]
async fn borrowing<'a>(value: Vec<&'a str>) {}

struct Shop;

impl Shop {
    #[task]
    async fn method(&self) {}
}

fn main() {}

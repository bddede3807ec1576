#![allow(unused_variables)]

use taskq_core::{Context, task};

#[task]
async fn late_context(id: u64, context: Context) {}

#[task]
async fn borrowed_context(context: &Context) {}

#[task]
async fn borrowed(name: &str) {}

#[task]
async fn borrowed_inside(names: Vec<&'static str>) {}

#[task]
async fn pattern((a, b): (u8, u8)) {}

#[task]
async fn unnamed(_: u8) {}

#[task]
async fn opaque(names: impl Iterator<Item = u8>) {}

#[task]
async fn opaque_result() -> impl Sized {}

#[task]
#[rustfmt::skip]
async fn seventeen(
    a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8,
    j: u8, k: u8, l: u8, m: u8, n: u8, o: u8, p: u8, q: u8,
) {}

fn main() {}

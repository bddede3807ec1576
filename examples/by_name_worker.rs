//! The worker of the lesson `by_name`: a whole program, with the command line that all workers have.
//!
//! `cargo run --example by_name_worker -- -Q lessons.names`

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use taskq_core::{TaskError, task};

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    lat: f64,
    lon: f64,
}

/// The way between two places in kilometres, as the crow flies.
#[task(name = "lessons.distance", queue = "lessons.names")]
async fn distance(from: Place, to: Place) -> Result<f64, TaskError> {
    let valid = |p: &Place| p.lat.abs() <= 90.0 && p.lon.abs() <= 180.0;
    if !valid(&from) || !valid(&to) {
        return Err(TaskError::permanent("that is no place on earth"));
    }
    let (a, b) = (from.lat.to_radians(), to.lat.to_radians());
    let east = (to.lon - from.lon).to_radians();
    let h = ((b - a) / 2.0).sin().powi(2) + a.cos() * b.cos() * (east / 2.0).sin().powi(2);
    Ok((2.0 * 6_371.0 * h.sqrt().asin() * 10.0).round() / 10.0)
}

fn main() -> ExitCode {
    taskq_worker::cli::main()
}

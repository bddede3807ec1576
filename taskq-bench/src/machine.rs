//! The machine that was measured, as far as it tells.

use std::fs;

use serde::Serialize;

/// What a reader needs to judge the figures.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processors: usize,
    processor: Option<String>,
    kernel: Option<String>,
    broker: String,
    /// Mean number of processes that wanted to run in the last minute, before anything was measured.
    load_before: Option<f64>,
    /// An unoptimised build measures nothing.
    optimised: bool,
}

impl Machine {
    pub(crate) fn new(broker: String) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|all| {
            let line = all.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor,
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            broker,
            load_before: read("/proc/loadavg")
                .and_then(|text| text.split_whitespace().next()?.parse().ok()),
            optimised: !cfg!(debug_assertions),
        }
    }

    pub(crate) fn shown(&self) -> String {
        let unknown = || "unknown".to_owned();
        let load = self.load_before.map_or_else(unknown, |l| l.to_string());
        let build = if self.optimised {
            ""
        } else {
            "; NOT an optimised build"
        };
        format!(
            "{} x {}, kernel {}, {}, load before {load}{build}",
            self.processors,
            self.processor.clone().unwrap_or_else(unknown),
            self.kernel.clone().unwrap_or_else(unknown),
            self.broker,
        )
    }
}

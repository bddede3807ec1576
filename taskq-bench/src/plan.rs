//! What is measured in which order, and against which bars.

use crate::args::{Options, What};
use crate::drain::Drain;
use crate::error::Error;
use crate::row::{Bar, Row, Run, Told, Unit};
use crate::server::Server;
use crate::statistics::percentile;
use crate::{latency, limit, paced, send};

/// The slots of the drains that have a bar.
const SLOTS: u32 = 512;
/// Drains: the least share of the limit, without records and with them.
const UNTRACKED: f64 = 0.45;
const TRACKED: f64 = 0.28;
/// Pickup: the most of a paced LPUSH of the same run.
const PICKUP_P50: f64 = 2.2;
const PICKUP_P99: f64 = 2.5;
/// Accepted sends per second.
const SENDS: f64 = 50_000.0;

/// Hears what is under way.
type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// The rows, and what is measured for them in each run.
#[derive(Debug)]
pub(crate) struct Plan {
    what: What,
    options: Options,
    limit: Row,
    pushes: [Row; 2],
    drains: [(Row, Drain); 4],
    pickups: [Row; 2],
    sends: [(Row, bool); 2],
}

impl Plan {
    pub(crate) fn new(what: What) -> Self {
        let options = what.options();
        let drain = |name, slots, tracked, bar: Option<f64>| {
            let row = Row::new(name, Unit::PerSecond).with_ratio_of("limit");
            let row = match bar {
                Some(bar) => row.with_bar(Bar::RatioAtLeast(bar)),
                None => row,
            };
            let drain = Drain {
                slots,
                tracked,
                tasks: options.tasks,
                patience: options.patience(),
            };
            (row, drain)
        };
        let pickup = |name, of, bar| {
            let row = Row::new(name, Unit::Micros).with_ratio_of(of);
            row.with_bar(Bar::RatioAtMost(bar))
        };
        let sends = |name, tracked| {
            let row = Row::new(name, Unit::PerSecond).with_bar(Bar::FigureAtLeast(SENDS));
            (row, tracked)
        };
        Self {
            what,
            options,
            limit: Row::new("limit: LPUSH + LMOVE + LREM", Unit::PerSecond),
            pushes: [
                Row::new("paced LPUSH, p50", Unit::Micros),
                Row::new("paced LPUSH, p99", Unit::Micros),
            ],
            drains: [
                drain("drain -c 512", Some(SLOTS), false, Some(UNTRACKED)),
                drain("drain -c 512, results", Some(SLOTS), true, Some(TRACKED)),
                drain("drain, default -c", None, false, None),
                drain("drain, default -c, results", None, true, None),
            ],
            pickups: [
                pickup("idle pickup, p50", "LPUSH p50", PICKUP_P50),
                pickup("idle pickup, p99", "LPUSH p99", PICKUP_P99),
            ],
            sends: [
                sends("64 senders", false),
                sends("64 senders, results", true),
            ],
        }
    }

    /// Measures everything once; `tell` hears what is under way.
    pub(crate) async fn run(&mut self, server: &mut Server, tell: Tell<'_>) -> Result<(), Error> {
        let Options { tasks, .. } = self.options;
        let (drains, pickups) = (
            self.what.includes(What::Drain),
            self.what.includes(What::Latency),
        );
        if drains || self.what.includes(What::Limit) {
            let mut before = self.limit(server, tasks, tell).await?;
            for (row, drain) in self.drains.iter_mut().filter(|_| drains) {
                tell(row.name);
                let mut run = drain.run(server).await?;
                tell(self.limit.name);
                let after = measure_limit(server, tasks, &mut self.limit).await?;
                run.ratio = Some(run.figure / f64::midpoint(before, after));
                row.runs.push(run);
                before = after;
            }
        }
        if pickups || self.what.includes(What::Limit) {
            self.latency(server, pickups, tell).await?;
        }
        if self.what.includes(What::Send) {
            for (row, tracked) in &mut self.sends {
                tell(row.name);
                let run = send::accepted(server, self.options.sends(), *tracked).await?;
                row.runs.push(run);
            }
        }
        Ok(())
    }

    async fn limit(
        &mut self,
        server: &mut Server,
        tasks: u32,
        tell: Tell<'_>,
    ) -> Result<f64, Error> {
        tell(self.limit.name);
        measure_limit(server, tasks, &mut self.limit).await
    }

    /// Half of the bare pushes come before the probes, half of them after.
    async fn latency(
        &mut self,
        server: &mut Server,
        with_probes: bool,
        tell: Tell<'_>,
    ) -> Result<(), Error> {
        let probes = self.options.probes();
        tell("paced LPUSH");
        let mut pushes = paced::pushes(server, probes.div_ceil(2)).await?;
        let mut pickups = Vec::new();
        if with_probes {
            tell("idle pickup");
            pickups = latency::pickups(server, probes, self.options.patience()).await?;
        }
        tell("paced LPUSH");
        pushes.extend(paced::pushes(server, probes.div_ceil(2)).await?);
        for (i, percent) in [50, 99].into_iter().enumerate() {
            let push = percentile(&pushes, percent);
            self.pushes[i].runs.push(Run {
                figure: push,
                ..Run::default()
            });
            if with_probes {
                let figure = percentile(&pickups, percent);
                self.pickups[i].runs.push(Run {
                    figure,
                    ratio: Some(figure / push),
                    cpu: None,
                });
            }
        }
        Ok(())
    }

    /// The rows that were measured.
    pub(crate) fn told(&self) -> Vec<Told> {
        let rows = std::iter::once(&self.limit)
            .chain(self.drains.iter().map(|(row, _)| row))
            .chain(&self.pushes)
            .chain(&self.pickups)
            .chain(self.sends.iter().map(|(row, _)| row));
        rows.filter(|row| !row.runs.is_empty())
            .map(Row::told)
            .collect()
    }
}

async fn measure_limit(server: &mut Server, tasks: u32, row: &mut Row) -> Result<f64, Error> {
    server.clear().await?;
    let figure = limit::cycles_per_second(&server.url(), tasks).await?;
    row.runs.push(Run {
        figure,
        ..Run::default()
    });
    Ok(figure)
}

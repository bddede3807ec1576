//! What is measured in which order, and against which bars.

use crate::args::{Kind, Options, What};
use crate::drain::Drain;
use crate::error::Error;
use crate::row::{Bar, Row, Run, Told, Unit};
use crate::server::{Server, Store};
use crate::statistics::percentile;
use crate::{latency, limit, paced, send, sqlite};

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
/// Over a file: tasks per second, the most of a pickup in µs, and accepted sends per second.
const FILE_DRAIN: f64 = 30_000.0;
const FILE_PICKUP: f64 = 5_000.0;
const FILE_SENDS: f64 = 2_000.0;

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
    sends: Vec<(Row, Sends)>,
}

/// How calls are sent.
#[derive(Debug, Clone, Copy)]
struct Sends {
    tracked: bool,
    senders: usize,
}

/// What the rows of a broker are called, and their bars.
struct Names {
    limit: &'static str,
    pushes: [&'static str; 2],
    of: [&'static str; 2],
    drains: [Option<Bar>; 2],
    pickups: [Option<Bar>; 2],
    sends: f64,
}

impl Names {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Redis => Self {
                limit: "limit: LPUSH + LMOVE + LREM",
                pushes: ["paced LPUSH, p50", "paced LPUSH, p99"],
                of: ["LPUSH p50", "LPUSH p99"],
                drains: [UNTRACKED, TRACKED].map(|bar| Some(Bar::RatioAtLeast(bar))),
                pickups: [PICKUP_P50, PICKUP_P99].map(|bar| Some(Bar::RatioAtMost(bar))),
                sends: SENDS,
            },
            Kind::Sqlite => Self {
                limit: "limit: insert + move + delete",
                pushes: ["paced insert, p50", "paced insert, p99"],
                of: ["insert p50", "insert p99"],
                drains: [Some(Bar::FigureAtLeast(FILE_DRAIN)), None],
                pickups: [Some(Bar::FigureAtMost(FILE_PICKUP)), None],
                sends: FILE_SENDS,
            },
        }
    }
}

impl Plan {
    pub(crate) fn new(what: What) -> Self {
        let options = what.options();
        let names = Names::of(options.broker);
        let drain = |name, slots, tracked, bar: Option<Bar>| {
            let row = Row::new(name, Unit::PerSecond).with_ratio_of("limit");
            let row = row.with_bar(bar);
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
            row.with_bar(bar)
        };
        let sends = |name, tracked, senders| {
            let bar = Bar::FigureAtLeast(names.sends);
            let row = Row::new(name, Unit::PerSecond).with_bar(Some(bar));
            (row, Sends { tracked, senders })
        };
        let mut all_sends = vec![
            sends("64 senders", false, send::SENDERS),
            sends("64 senders, results", true, send::SENDERS),
        ];
        if options.broker == Kind::Sqlite {
            all_sends.push(sends("1 sender", false, 1));
        }
        Self {
            what,
            options,
            limit: Row::new(names.limit, Unit::PerSecond),
            pushes: names.pushes.map(|name| Row::new(name, Unit::Micros)),
            drains: [
                drain("drain -c 512", Some(SLOTS), false, names.drains[0]),
                drain("drain -c 512, results", Some(SLOTS), true, names.drains[1]),
                drain("drain, default -c", None, false, None),
                drain("drain, default -c, results", None, true, None),
            ],
            pickups: [
                pickup("idle pickup, p50", names.of[0], names.pickups[0]),
                pickup("idle pickup, p99", names.of[1], names.pickups[1]),
            ],
            sends: all_sends,
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
            for (row, how) in &mut self.sends {
                tell(row.name);
                let Sends { tracked, senders } = *how;
                // Who waits for each answer is slower by as much.
                let count = match senders {
                    1 => (self.options.sends() / 10).max(50),
                    _ => self.options.sends(),
                };
                let run = send::accepted(server, count, tracked, senders).await?;
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
        tell(self.pushes[0].name);
        let mut pushes = paced::pushes(server, probes.div_ceil(2)).await?;
        let mut pickups = Vec::new();
        if with_probes {
            tell("idle pickup");
            pickups = latency::pickups(server, probes, self.options.patience()).await?;
        }
        tell(self.pushes[0].name);
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
    let figure = match &server.store {
        Store::Redis { redis, .. } => limit::cycles_per_second(&redis.url(), tasks).await?,
        Store::Sqlite(file) => sqlite::cycles_per_second(file, tasks).await?,
    };
    row.runs.push(Run {
        figure,
        ..Run::default()
    });
    Ok(figure)
}

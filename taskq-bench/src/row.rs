//! A row of the answer: a figure, its ratio, its bar.

use serde::Serialize;

use crate::statistics::{median, range};

/// The word for a row that misses its bar. It stands nowhere else in what this program prints.
const MISSES: &str = "short";

/// One thing measured in several runs.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// What the ratios are of.
    pub(crate) of: Option<&'static str>,
    pub(crate) bar: Option<Bar>,
    pub(crate) runs: Vec<Run>,
}

/// What one run came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) figure: f64,
    pub(crate) ratio: Option<f64>,
    /// CPU time per task, µs: of Redis, and of the process that is measured.
    pub(crate) cpu: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "per_second")]
    PerSecond,
    #[serde(rename = "us")]
    Micros,
}

/// What a row is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    FigureAtLeast(f64),
    FigureAtMost(f64),
}

/// A row of the JSON document.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    name: &'static str,
    unit: Unit,
    /// The median of the runs.
    figure: f64,
    lowest: f64,
    highest: f64,
    /// The median of the runs' ratios, and what they are of.
    ratio: Option<f64>,
    ratio_of: Option<&'static str>,
    ratio_lowest: Option<f64>,
    ratio_highest: Option<f64>,
    bar: Option<String>,
    /// `met`, or the word for a miss; null without a bar.
    verdict: Option<&'static str>,
    redis_cpu_us_per_task: Option<f64>,
    process_cpu_us_per_task: Option<f64>,
    runs: usize,
}

impl Row {
    pub(crate) fn new(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            of: None,
            bar: None,
            runs: Vec::new(),
        }
    }

    pub(crate) fn with_ratio_of(mut self, of: &'static str) -> Self {
        self.of = Some(of);
        self
    }

    pub(crate) fn with_bar(mut self, bar: Option<Bar>) -> Self {
        self.bar = bar;
        self
    }

    pub(crate) fn told(&self) -> Told {
        let all =
            |of: fn(&Run) -> Option<f64>| -> Vec<f64> { self.runs.iter().filter_map(of).collect() };
        let middle = |values: &[f64]| (!values.is_empty()).then(|| median(values));
        let figures = all(|run| Some(run.figure));
        let ratios = all(|run| run.ratio);
        let (lowest, highest) = range(&figures);
        let ratio_range = (!ratios.is_empty()).then(|| range(&ratios));
        let (figure, ratio) = (median(&figures), middle(&ratios));
        Told {
            name: self.name,
            unit: self.unit,
            figure: digits(figure, 1),
            lowest: digits(lowest, 1),
            highest: digits(highest, 1),
            ratio: ratio.map(|r| digits(r, 3)),
            ratio_of: self.of,
            ratio_lowest: ratio_range.map(|r| digits(r.0, 3)),
            ratio_highest: ratio_range.map(|r| digits(r.1, 3)),
            bar: self.bar.map(|bar| bar.shown()),
            verdict: self.bar.map(|bar| match bar.is_met(figure, ratio) {
                true => "met",
                false => MISSES,
            }),
            redis_cpu_us_per_task: middle(&all(|run| run.cpu.map(|c| c.0))).map(|c| digits(c, 2)),
            process_cpu_us_per_task: middle(&all(|run| run.cpu.map(|c| c.1))).map(|c| digits(c, 2)),
            runs: self.runs.len(),
        }
    }
}

impl Bar {
    fn shown(self) -> String {
        match self {
            Self::RatioAtLeast(bar) => format!(">= {bar:.2} x"),
            Self::RatioAtMost(bar) => format!("<= {bar:.2} x"),
            Self::FigureAtLeast(bar) => format!(">= {}", thousands(bar)),
            Self::FigureAtMost(bar) => format!("<= {}", thousands(bar)),
        }
    }

    /// A ratio that could not be measured meets nothing.
    fn is_met(self, figure: f64, ratio: Option<f64>) -> bool {
        match (self, ratio) {
            (Self::RatioAtLeast(bar), Some(ratio)) => ratio >= bar,
            (Self::RatioAtMost(bar), Some(ratio)) => ratio <= bar,
            (Self::RatioAtLeast(_) | Self::RatioAtMost(_), None) => false,
            (Self::FigureAtLeast(bar), _) => figure >= bar,
            (Self::FigureAtMost(bar), _) => figure <= bar,
        }
    }
}

/// The rows as a table for people.
pub(crate) fn table(rows: &[Told]) -> String {
    let mut lines = vec![
        [
            "ROW", "FIGURE", "RANGE", "RATIO", "RANGE", "BAR", "CPU/TASK", "",
        ]
        .map(str::to_owned),
    ];
    for row in rows {
        let unit = match row.unit {
            Unit::PerSecond => "/s",
            Unit::Micros => " us",
        };
        let ratios = row.ratio_lowest.zip(row.ratio_highest);
        let cpu = row.redis_cpu_us_per_task.zip(row.process_cpu_us_per_task);
        let missed = row.verdict.filter(|&verdict| verdict == MISSES);
        lines.push([
            row.name.to_owned(),
            format!("{}{unit}", thousands(row.figure)),
            format!("{}-{}", thousands(row.lowest), thousands(row.highest)),
            row.ratio.map_or_else(String::new, |ratio| {
                format!("{ratio:.2} x {}", row.ratio_of.unwrap_or_default())
            }),
            ratios.map_or_else(String::new, |(low, high)| format!("{low:.2}-{high:.2}")),
            row.bar.clone().unwrap_or_default(),
            cpu.map_or_else(String::new, |(redis, own)| {
                format!("{redis:.1} + {own:.1} us")
            }),
            missed.unwrap_or_default().to_owned(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..8).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (cell, &width) in line.iter().zip(&widths) {
            shown.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

fn digits(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

fn thousands(value: f64) -> String {
    let plain = format!("{value:.0}");
    let mut shown = String::new();
    for (i, digit) in plain.chars().enumerate() {
        if i > 0 && (plain.len() - i) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bar: Option<Bar>, runs: &[(f64, Option<f64>)]) -> Told {
        let mut row = Row::new("a row", Unit::PerSecond).with_ratio_of("limit");
        row.bar = bar;
        row.runs = runs
            .iter()
            .map(|&(figure, ratio)| Run {
                figure,
                ratio,
                cpu: None,
            })
            .collect();
        row.told()
    }

    #[test]
    fn medians_are_held_against_the_bar() {
        let runs = [(100.0, Some(0.2)), (300.0, Some(0.5)), (200.0, Some(0.44))];
        for (bar, verdict) in [
            (Bar::RatioAtLeast(0.44), "met"),
            (Bar::RatioAtLeast(0.45), MISSES),
            (Bar::RatioAtMost(0.44), "met"),
            (Bar::RatioAtMost(0.43), MISSES),
            (Bar::FigureAtLeast(200.0), "met"),
            (Bar::FigureAtLeast(201.0), MISSES),
            (Bar::FigureAtMost(200.0), "met"),
            (Bar::FigureAtMost(199.0), MISSES),
        ] {
            assert_eq!(row(Some(bar), &runs).verdict, Some(verdict), "{bar:?}");
        }
        assert_eq!(row(None, &runs).verdict, None);
        let unmeasured = row(Some(Bar::RatioAtMost(1.0)), &[(1.0, None)]);
        assert_eq!(unmeasured.verdict, Some(MISSES));
    }

    #[test]
    fn only_a_row_that_misses_carries_the_word() {
        let runs = [(123_456.0, Some(0.5))];
        let met = row(Some(Bar::RatioAtLeast(0.4)), &runs);
        let missed = row(Some(Bar::RatioAtLeast(0.6)), &runs);
        let text = table(&[met, missed]);
        assert_eq!(text.matches(MISSES).count(), 1, "{text}");
        assert!(text.lines().nth(2).unwrap().ends_with(MISSES), "{text}");
        assert!(text.contains("123,456/s"), "{text}");
        assert!(text.contains("0.50 x limit"), "{text}");
        let json = |row| serde_json::to_string(&row).unwrap();
        assert!(!json(row(Some(Bar::RatioAtLeast(0.4)), &runs)).contains(MISSES));
        assert!(json(row(Some(Bar::RatioAtLeast(0.6)), &runs)).contains(MISSES));
    }
}

//! What is seen meanwhile: live bars on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use taskq_client::Progress;
use taskq_examples::Fault;

use crate::out::note;
use crate::seen::Seen;

/// The time between two looks.
pub(crate) const PACE: Duration = Duration::from_millis(50);
/// The time between two lines.
const LINES: Duration = Duration::from_millis(500);

/// Where it is drawn: on stderr, since the table goes to stdout.
pub(crate) enum Screen {
    Bars {
        deliveries: ProgressBar,
        notices: ProgressBar,
        report: ProgressBar,
    },
    Lines {
        deliveries: usize,
        notices: usize,
        began: Instant,
        next: Duration,
    },
}

impl Screen {
    pub(crate) fn new(deliveries: usize, notices: usize) -> Result<Self, Fault> {
        if !std::io::stderr().is_terminal() {
            return Ok(Self::Lines {
                deliveries,
                notices,
                began: Instant::now(),
                next: Duration::ZERO,
            });
        }
        let style =
            // What a terminal of 50 columns has room for; the bar takes the rest.
            ProgressStyle::with_template("{prefix:<10} {wide_bar} {pos:>4} of {len:<4} {msg:15!}")?
                .progress_chars("█▉▊▋▌▍▎▏ ");
        let all = MultiProgress::new();
        let bar = |name: &'static str, length: usize| {
            let bar = ProgressBar::new(length as u64).with_style(style.clone());
            all.add(bar.with_prefix(name))
        };
        Ok(Self::Bars {
            deliveries: bar("deliveries", deliveries),
            notices: bar("notices", notices),
            report: bar("report", 0),
        })
    }

    pub(crate) fn draw(&mut self, seen: &Seen, report: Option<&Progress>) {
        let (delivered, _) = seen.counts("quickstart.deliver");
        let (told, again) = seen.counts("quickstart.notify");
        let (part, parts) = report.map_or((0, 0), |p| (p.done, p.total));
        match self {
            Self::Bars {
                deliveries,
                notices,
                report: bar,
            } => {
                deliveries.set_position(delivered);
                notices.set_position(told);
                notices.set_message(format!("{again} tried again"));
                bar.set_length(parts);
                bar.set_position(part);
                let note = report.and_then(|p| p.note.clone());
                bar.set_message(note.unwrap_or_default());
            }
            Self::Lines {
                deliveries,
                notices,
                began,
                next,
            } => {
                let now = began.elapsed();
                if now < *next {
                    return;
                }
                *next = now + LINES;
                note(&format!(
                    "{:.1} s: deliveries {delivered} of {deliveries}, notices {told} of {notices} \
                     ({again} tried again), report {part} of {parts}",
                    now.as_secs_f64()
                ));
            }
        }
    }

    /// The last picture stays.
    pub(crate) fn finish(&mut self, seen: &Seen, report: Option<&Progress>) {
        if let Self::Lines { next, .. } = self {
            *next = Duration::ZERO;
        }
        self.draw(seen, report);
        if let Self::Bars {
            deliveries,
            notices,
            report,
        } = self
        {
            for bar in [deliveries, notices, report] {
                bar.abandon();
            }
        }
    }
}

//! What became of it all.

use std::time::Duration;

use taskq_client::{Record, State};

use crate::seen::Seen;
use crate::tasks::{deliver, notify, report};

/// A line for each task, and what failed.
pub(crate) fn table(ends: &[Record], seen: &Seen, took: Duration) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "{:<20} {:>6} {:>8} {:>5} {:>9} {:>9} {:>7}",
            "TASK", "DONE", "RETRIED", "DEAD", "P50", "P95", "PER S"
        ),
    ];
    for task in [deliver::DEF.name, notify::DEF.name, report::DEF.name] {
        let of_it = || ends.iter().filter(|record| record.task == task);
        let done = of_it().filter(|r| r.state == State::Success).count();
        let dead = of_it().count() - done;
        let retried: u32 = of_it().map(|r| r.attempts.saturating_sub(1)).sum();
        let attempts = seen.of(task);
        let mut sorted = attempts.took;
        sorted.sort_unstable();
        let quantile = |q: f64| {
            let place = (sorted.len() as f64 * q) as usize;
            sorted.get(place).or(sorted.last()).map(milliseconds)
        };
        lines.push(format!(
            "{task:<20} {done:>6} {retried:>8} {dead:>5} {:>9} {:>9} {:>7}",
            quantile(0.5).unwrap_or_default(),
            quantile(0.95).unwrap_or_default(),
            rate(done as f64 / took.as_secs_f64()),
        ));
    }
    lines.push(format!(
        "\n{} calls in {:.2} s",
        ends.len(),
        took.as_secs_f64()
    ));
    for record in ends.iter().filter(|r| r.state != State::Success) {
        let why = record.error.as_ref().map_or("", |e| e.message.as_str());
        lines.push(format!("{} {}: {why}", record.task, record.state));
    }
    whole(&lines)
}

/// The commands that show the same.
pub(crate) fn where_to_look(ends: &[Record], broker: &str, stays: bool) -> String {
    if broker.starts_with("memory:") || broker.starts_with("sqlite::memory:") {
        return whole(&[
            "\nIt ran over a broker inside this program, and is gone with it. On one that others reach:\n",
            "cargo run --release --example quickstart -- --broker redis://127.0.0.1:6379/0",
        ]);
    }
    let id = |task: &str, state: State| {
        let fits = |record: &&Record| record.task == task && record.state == state;
        ends.iter().find(fits).map(|record| record.id)
    };
    let stored = [
        Some(("what lies in the queues", "queues".to_owned())),
        Some(("what failed for good", "dead list".to_owned())),
        id(deliver::DEF.name, State::Failure).map(|id| ("why it did", format!("why {id}"))),
        id(report::DEF.name, State::Success)
            .map(|id| ("what the report says", format!("result {id}"))),
    ];
    let taskq = |what: &str, command: &str| {
        format!("# {what}\ncargo run --release -p taskq-cli -- {command}")
    };
    let how = match stays {
        true => {
            "\nThe worker stays until Ctrl-C. `taskq` asks it, and shows what is stored, in another terminal:\n"
        }
        false => "\nWhat is stored of it stays, and `taskq` shows it:\n",
    };
    let mut lines = vec![how.to_owned(), format!("export TASKQ_BROKER_URL={broker}")];
    let stored = stored.into_iter().flatten();
    lines.extend(stored.map(|(what, command)| taskq(what, &command)));
    if stays {
        lines.push(taskq("what the worker has done", "inspect stats"));
        lines.push(taskq("what runs now", "inspect active"));
    } else {
        lines.extend([
            "\nThe worker is gone. One that stays can be asked as well, and says how:\n".to_owned(),
            "cargo run --release --example quickstart -- --stay".to_owned(),
        ]);
    }
    whole(&lines)
}

fn whole(lines: &[impl AsRef<str>]) -> String {
    let ended = |line: &_| -> String { [AsRef::as_ref(line), "\n"].concat() };
    lines.iter().map(ended).collect()
}

/// The broker's address without a password.
pub(crate) fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

fn milliseconds(time: &Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn rate(per_second: f64) -> String {
    let decimals = if per_second < 10.0 { 1 } else { 0 };
    format!("{per_second:.decimals$}")
}

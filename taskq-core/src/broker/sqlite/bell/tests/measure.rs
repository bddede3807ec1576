use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{NEVER, Place, rings};
use crate::broker::sqlite::bell::{Bell, Topic};

const FILE: &str = "TASKQ_BELL_OF";

/// The other process: answers each ring for work with one for news.
#[tokio::test]
#[ignore = "the other half of `between_processes`"]
async fn echo() {
    let Some(database) = std::env::var_os(FILE) else {
        return;
    };
    let bell = Bell::beside(database.as_ref());
    loop {
        let heard = bell.heard(Topic::Work);
        bell.ring(rings(Topic::News));
        heard.await;
    }
}

#[tokio::test]
#[ignore = "measures: to be run alone"]
async fn between_processes() {
    let place = Place::new();
    let bell = place.bell();
    let heard = bell.heard(Topic::News);
    let mut child = start(&place);
    timeout(NEVER, heard).await.unwrap();

    let mut took = Vec::new();
    for _ in 0..500 {
        sleep(Duration::from_millis(5)).await;
        let heard = bell.heard(Topic::News);
        let start = Instant::now();
        bell.ring(rings(Topic::Work));
        timeout(NEVER, heard).await.unwrap();
        took.push(start.elapsed() / 2);
    }
    took.sort_unstable();
    println!("one way: p50 {:?}, p99 {:?}", took[249], took[494]);

    for (rate, what) in [
        (0, "nothing rings"),
        (1_000, "1,000 rings/s of another topic"),
    ] {
        let (cpu, start) = (cpu_ticks(&child), Instant::now());
        while start.elapsed() < Duration::from_secs(10) {
            if rate == 0 {
                sleep(Duration::from_secs(1)).await;
            } else {
                bell.ring(rings(Topic::Talk));
                sleep(Duration::from_secs(1) / rate).await;
            }
        }
        // A tick is 10 ms.
        let share = (cpu_ticks(&child) - cpu) as f64 / start.elapsed().as_secs_f64();
        println!("CPU of who waits while {what}: {share:.2} %");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn start(place: &Place) -> Child {
    let echo = "broker::sqlite::bell::tests::measure::echo";
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", echo])
        .env(FILE, place.database())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn cpu_ticks(child: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    fields[11..13]
        .iter()
        .map(|n| n.parse::<u64>().unwrap())
        .sum()
}

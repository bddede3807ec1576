//! When a worker has done enough: it stops, warm, and whatever supervises it starts a new process.

use std::time::Duration;

use taskq_core::Error;

use crate::error::RunError;
use crate::ledger::Ledger;
use crate::worker::Builder;

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Builder {
    /// The worker begins its warm stop after so many runs have ended, repeated attempts included; what it has claimed by
    /// then still runs. [`Worker::run`](crate::Worker::run) then answers `Ok`. Default: no limit.
    ///
    /// For tasks that leak. Whatever supervises the process starts it again: also after exit status 0, which is systemd's
    /// `Restart=always`.
    pub fn max_tasks(mut self, runs: u64) -> Self {
        self.draft.enough.max_tasks = Some(runs);
        self
    }

    /// The worker begins its warm stop when its process has more than so many bytes resident. Looked at once a second.
    /// Otherwise as [`max_tasks`](Self::max_tasks). Default: no limit.
    ///
    /// [`build`](Self::build) refuses it where the system does not tell, and when the process is larger already.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.draft.enough.max_memory = Some(bytes);
        self
    }
}

/// What is enough.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Enough {
    pub(crate) max_tasks: Option<u64>,
    pub(crate) max_memory: Option<u64>,
}

impl Enough {
    /// Whether it can be kept to at all.
    pub(crate) fn check(self) -> Result<Self, Error> {
        if self.max_tasks == Some(0) {
            return Err(Error::invalid(
                "a worker that is to end after 0 tasks does nothing: --max-tasks is at least 1",
            ));
        }
        if let Some(most) = self.max_memory {
            let now = resident().ok_or_else(|| {
                Error::invalid(
                    "this system does not tell how much memory a process has (there is no VmRSS in /proc/self/status): \
                     leave --max-memory out",
                )
            })?;
            if now > most {
                return Err(Error::invalid(format!(
                    "this process has {} resident before its first task, and is to end at {}: raise --max-memory",
                    shown(now),
                    shown(most)
                )));
            }
        }
        Ok(self)
    }

    /// Returns when it is enough, and says why.
    pub(crate) async fn reached(self, ledger: &Ledger) -> Result<String, RunError> {
        tokio::select! {
            why = runs(self.max_tasks, ledger) => Ok(why),
            why = memory(self.max_memory) => Ok(why),
        }
    }
}

async fn runs(most: Option<u64>, ledger: &Ledger) -> String {
    let Some(most) = most else {
        return std::future::pending().await;
    };
    ledger.have_ended(most).await;
    format!("{most} runs have ended, which is --max-tasks")
}

async fn memory(most: Option<u64>) -> String {
    let Some(most) = most else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(now) = resident().filter(|now| *now > most) {
            return format!(
                "the process has {} resident, --max-memory is {}",
                shown(now),
                shown(most)
            );
        }
    }
}

/// How many bytes of this process are in memory; `None` where the system does not tell.
///
/// Not from `statm`, which counts in pages: `status` tells in kB, whatever a page is.
pub(crate) fn resident() -> Option<u64> {
    resident_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn shown(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read_from_its_own_line() {
        let status =
            "Name:\tVmRSS: 7 kB\nVmHWM:\t    9999 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_in(status), Some(1234 * 1024));
        assert_eq!(resident_in("Name:\tx\n"), None);
        assert_eq!(resident_in("VmRSS:\t many kB\n"), None);
    }

    #[test]
    fn what_can_not_be_kept_to_is_refused() {
        let refused = |enough: Enough| enough.check().map(drop).unwrap_err().to_string();
        let none = Enough {
            max_tasks: Some(0),
            max_memory: None,
        };
        assert!(refused(none).contains("--max-tasks is at least 1"));
        let little = Enough {
            max_tasks: Some(1),
            max_memory: Some(1),
        };
        assert!(refused(little).contains("raise --max-memory"));
        let plenty = Enough {
            max_tasks: Some(1),
            max_memory: Some(u64::MAX),
        };
        assert!(plenty.check().is_ok());
    }
}

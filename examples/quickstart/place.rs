//! Which broker it runs over, and that no other quickstart does.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use taskq_client::{Client, QueueName, SendOptions, TaskId, WorkerCard};
use taskq_core::broker::ChosenBroker;
use taskq_core::broker::sqlite::SqliteBroker;
use taskq_examples::Fault;

/// The broker when none is named: this file in the user's data folder.
const OWN: &str = "taskq/quickstart.db";
/// Held by the one that runs over it.
const LOCK: &str = "taskq/quickstart.lock";
/// What to do about another one.
const REMEDY: &str = "wait for its end or stop it with Ctrl-C, or give this one a file of its own with --broker sqlite:///path/to/file";

/// A quickstart that has begun is seen by its worker within this, unless it ended before.
pub(crate) const BEGINS: Duration = Duration::from_secs(60);

/// A broker for one quickstart alone.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// As long as it is open no other one takes the file; the system lets it go whatever ends the process.
    _lock: Option<File>,
}

impl Place {
    /// The broker that is named, else a file of its own, made anew.
    pub(crate) fn find(named: Option<String>) -> Result<Self, Fault> {
        let folder = ChosenBroker::data_folder(|name| std::env::var_os(name));
        match named.filter(|url| !url.is_empty()) {
            Some(url) => Self::named(url, folder.as_deref()),
            None => Self::made_anew(folder.as_deref()),
        }
    }

    /// `url`, which may be that of the own file: the output of an earlier run names it.
    fn named(url: String, data: Option<&Path>) -> Result<Self, Fault> {
        let own = data.map(|data| SqliteBroker::url(&data.join(OWN)));
        let lock = match data {
            Some(data) if own.as_deref() == Some(&*url) => Some(lock(data)?),
            _ => None,
        };
        Ok(Self { url, _lock: lock })
    }

    /// The own file, in which an earlier run has not left anything.
    pub(crate) fn made_anew(data: Option<&Path>) -> Result<Self, Fault> {
        let data =
            data.ok_or("no place for the broker's file: set HOME, or name one with --broker")?;
        let lock = lock(data)?;
        let file = data.join(OWN);
        // With its journal: one of them left behind would not fit the new file.
        for ending in ["", "-wal", "-shm"] {
            let mut path = file.clone().into_os_string();
            path.push(ending);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("{} can not be taken away: {e}", path.display()).into());
                }
                _ => {}
            }
        }
        Ok(Self {
            url: SqliteBroker::url(&file),
            _lock: Some(lock),
        })
    }
}

/// Takes the broker for this run, or fails since another one has it: one that runs is seen by its worker, and of those that
/// begin together the first to send under one idempotency key goes on.
///
/// That key names what was sent to the first of the queues until now. Only a run sends there, and not before its worker is
/// seen: who finds more has a key of its own, and finds that worker if the run is not over. What was sent for the key is
/// nobody's task, and goes with what earlier runs have left. The key is held for as long as a run `begins` at most.
pub(crate) async fn take(
    client: &Client,
    url: &str,
    queues: &[&str],
    begins: Duration,
) -> Result<(), Fault> {
    let [first, .., last] = queues else {
        return Err("a run needs two queues".into());
    };
    // Before the look for a worker, not after it: then a run might begin and send in between.
    let sent = client.totals(&first.parse()?).await?.sent;
    if let Some(w) = taker(client, queues).await? {
        return Err(format!(
            "another quickstart runs over {url}: {} (process {} on {}). {REMEDY}. If it was killed, it is forgotten {} s \
             after its last heartbeat",
            w.node,
            w.pid,
            w.host,
            (w.lease_ms + 2_000).div_ceil(1_000),
        )
        .into());
    }
    let id = TaskId::random();
    let key = format!("quickstart behind {sent}");
    let options = SendOptions::default()
        .id(id)
        .queue(*last)
        .ignore_result(true)
        .idempotency_key(key, begins);
    let holder = client
        .send_by_name("quickstart.begin", (), (), options)
        .await?;
    if holder.id() == id {
        return Ok(());
    }
    Err(format!(
        "another quickstart has just begun over {url}. {REMEDY}. If it was killed, or ended before it sent anything, it is \
         forgotten {} s after its start",
        begins.as_secs()
    )
    .into())
}

/// The worker that takes from these queues: it would take the calls of this run, and count them as its own.
pub(crate) async fn taker(client: &Client, queues: &[&str]) -> Result<Option<WorkerCard>, Fault> {
    let takes = |queue: &QueueName| queues.contains(&queue.as_str());
    let mut workers = client.workers().await?.into_iter();
    Ok(workers.find(|w| !w.stopping && w.queues.iter().any(takes)))
}

/// Takes the lock, or says which process has it.
fn lock(data: &Path) -> Result<File, Fault> {
    let path = data.join(LOCK);
    let refused = |e: &dyn std::fmt::Display| {
        let path = path.display();
        format!("{path} can not be locked: {e}; mend that, or name a broker with --broker")
    };
    if let Some(folder) = path.parent() {
        let mut make = fs::DirBuilder::new();
        make.recursive(true);
        // The services' files may follow, and are nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.create(folder).map_err(|e| refused(&e))?;
    }
    let open = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let mut file = open.map_err(|e| refused(&e))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(|e| refused(&e))?;
            file.rewind().map_err(|e| refused(&e))?;
            write!(file, "{}", std::process::id()).map_err(|e| refused(&e))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // It may not have written it yet.
            drop(file.take(20).read_to_string(&mut pid));
            let process = match pid.parse::<u32>() {
                Ok(pid) => format!(" (process {pid})"),
                Err(_) => String::new(),
            };
            let file = data.join(OWN);
            Err(format!(
                "another quickstart{process} runs over {}: {REMEDY}",
                file.display()
            )
            .into())
        }
        Err(TryLockError::Error(e)) => Err(refused(&e).into()),
    }
}

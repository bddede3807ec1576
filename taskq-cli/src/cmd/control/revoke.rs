//! `taskq control revoke|terminate`: the broker keeps it, every worker heeds it.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use taskq_client::{RevokeOptions, Revoked};
use taskq_core::revocation::Revocation;
use taskq_core::{QueueName, State, TaskId};

use super::refusal;
use crate::args::Whom;
use crate::cmd::names::{meant, stranger};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;
use crate::table::Table;

const FOR_ALL: &str =
    "It is for all workers, those that are started later included: -d is refused.";

#[derive(Debug, Args)]
#[command(after_help = FOR_ALL)]
pub(super) struct Revoke {
    /// The calls' ids; needed unless `--task` or `--header` says which
    #[arg(value_name = "ID", required_unless_present_any = ["task", "header"])]
    ids: Vec<TaskId>,
    /// Cut off those that run, too
    #[arg(long)]
    terminate: bool,
    /// The calls of this task that were sent until now; may be repeated
    #[arg(long, value_name = "NAME")]
    task: Vec<String>,
    /// The calls with this header that were sent until now; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<Revocation>,
    /// They are in this queue; else ids are looked for in all, and tasks and headers count in all
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
}

#[derive(Debug, Args)]
#[command(after_help = FOR_ALL)]
pub(super) struct Terminate {
    /// The calls' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<TaskId>,
    /// They are in this queue; else they are looked for in all
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
}

impl From<Terminate> for Revoke {
    fn from(terminate: Terminate) -> Self {
        Self {
            ids: terminate.ids,
            terminate: true,
            task: Vec::new(),
            header: Vec::new(),
            queue: terminate.queue,
        }
    }
}

impl Revoke {
    pub(super) async fn run(
        self,
        whom: &Whom,
        json: bool,
        reach: &Reach,
        console: &mut Console<'_>,
    ) -> Result<Exit, Stop> {
        if !whom.destination.is_empty() {
            return Err(Stop::new(
                Exit::Usage,
                "what is revoked is revoked for all workers: leave -d out; --queue names the queue",
            ));
        }
        // The command line is right, there is just nothing that it could be about.
        if self.queue.is_none() && reach.read(reach.client.queues()).await?.is_empty() {
            return Err(Stop::new(
                Exit::Failed,
                "no queue is known at this broker, so there is nothing to revoke: name the queue with --queue",
            ));
        }
        warn_of_strangers(&self, reach, console).await?;
        let options = RevokeOptions {
            queue: self.queue,
            terminate: self.terminate,
            timeout: whom.timeout,
        };
        let ids = self.ids;
        let groups: Vec<_> = self.task.into_iter().map(Revocation::Task).collect();
        let groups = [groups, self.header].concat();
        let what: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
        let what = [what, groups.clone()].concat();
        let revoking = reach.client.revoke(&what, options);
        let revoked = reach.work(patience(whom, what.len()), revoking).await?;
        if json {
            console.json(&revoked.answers.replies);
        } else {
            console.table(&table(&ids, &groups, &revoked));
        }
        Ok(conclude(&revoked, json, console))
    }
}

/// Names that nobody knows can be revoked; more likely they are misspelt.
async fn warn_of_strangers(
    revoke: &Revoke,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<(), Stop> {
    if let Some(queue) = &revoke.queue
        && let Some(stranger) = stranger(queue, reach).await?
    {
        console.notice(&stranger);
    }
    if revoke.task.is_empty() {
        return Ok(());
    }
    let tasks = reach.read(reach.client.tasks()).await?;
    let known: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    for task in revoke.task.iter().filter(|t| !known.contains(t.as_str())) {
        let meant = meant(task, &known);
        console.notice(&format!(
            "no worker has published a task {task} within 7 days ({meant})"
        ));
    }
    Ok(())
}

/// Records are read and written one after the other, whatever their number.
fn patience(whom: &Whom, calls: usize) -> Duration {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    whom.timeout + Duration::from_millis(10).saturating_mul(calls)
}

fn table(ids: &[TaskId], groups: &[Revocation], revoked: &Revoked) -> Table {
    let mut table = Table::new(&["REVOKED", "OUTCOME"]);
    for id in ids {
        table.row([id.to_string(), outcome(*id, revoked)]);
    }
    for group in groups {
        let name = match group {
            Revocation::Id(id) => id.to_string(),
            Revocation::Task(task) => format!("task:{task}"),
            Revocation::Header { name, value } => format!("header:{name}={value}"),
        };
        table.row([name, "what was sent until now will not run".to_owned()]);
    }
    table
}

fn outcome(id: TaskId, revoked: &Revoked) -> String {
    if revoked.marked.contains(&id) {
        "it will not run".to_owned()
    } else if revoked.terminated.contains(&id) {
        "it ran and is cut off".to_owned()
    } else if revoked.running.contains(&id) {
        "it runs and goes on; `taskq control terminate` cuts it off".to_owned()
    } else if let Some(state) = revoked.over.get(&id) {
        match state {
            State::Revoked => "it was REVOKED before".to_owned(),
            state => format!("it had ended before: {state}"),
        }
    } else {
        "it has no record; if it waits, it will not run".to_owned()
    }
}

/// What is to be said beside the answer. Too late is a failure, twice is not.
fn conclude(revoked: &Revoked, json: bool, console: &mut Console<'_>) -> Exit {
    let mut exit = Exit::Done;
    let ended = |state: &State| *state != State::Revoked;
    for (id, state) in revoked.over.iter().filter(|(_, state)| ended(state)) {
        exit = Exit::Failed;
        if json {
            console.notice(&format!("{id} had ended before: {state}"));
        }
    }
    let answers = &revoked.answers;
    for (node, body) in &answers.replies {
        if let Some(sentence) = refusal(body) {
            exit = Exit::Failed;
            if !json {
                console.notice(&format!("{node}: {sentence}"));
            }
        }
    }
    if !answers.silent.is_empty() {
        let silent = answers.silent.join(", ");
        console.notice(&format!(
            "no answer from {silent}: what it runs is not known, what it claims from now on will not run; `-t` waits longer"
        ));
        if answers.replies.is_empty() {
            exit = Exit::Unreachable;
        }
    }
    exit
}

fn header(text: &str) -> Result<Revocation, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Revocation::Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("write it as NAME=VALUE, such as tenant=acme".into()),
    }
}

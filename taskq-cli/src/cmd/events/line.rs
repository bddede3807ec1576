//! One event, one line.

use taskq_core::event::{Event, Fact, TaskEvent, TaskEventKind, WorkerEvent, WorkerEventKind};

use super::filter::node;
use crate::console::plain;
use crate::paint::Look;
use crate::quantity::{rfc3339, span};

/// The longest type of an event.
const KIND: usize = "worker-heartbeat".len();

/// Names of tasks and workers stand in columns of at most this width; longer ones push the rest of their line aside.
const WIDEST: usize = 32;

/// The end of an id: its beginning is the time, which those of one minute share.
const ID: usize = 8;

/// Lines whose columns grow with what has been seen, since what comes is not known.
pub(super) struct Lines {
    look: Look,
    task: usize,
    worker: usize,
}

impl Lines {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            task: 0,
            worker: 0,
        }
    }

    pub(super) fn line(&mut self, event: &Event) -> String {
        let (task, id) = match &event.fact {
            Fact::Task(task) => (plain(&task.task), ending(&task.id.to_string())),
            Fact::Worker(_) => ("-".to_owned(), "-".to_owned()),
        };
        let worker = node(event).map_or_else(|| "-".to_owned(), plain);
        self.task = self.task.max(task.chars().count().min(WIDEST));
        self.worker = self.worker.max(worker.chars().count().min(WIDEST));
        let at = rfc3339(event.at).unwrap_or_else(|| event.at.to_string());
        let kind = event.kind();
        let (task_width, worker_width, id_width) = (self.task, self.worker, ID + 1);
        let said = plain(&said(event));
        let line = format!(
            "{at}  {kind:<KIND$}  {task:<task_width$}  {id:<id_width$}  {worker:<worker_width$}  {said}"
        );
        let line = self.look.fit(line.trim_end());
        // The colour comes last: it takes no room.
        let line = match line.split_once(kind) {
            Some((before, behind)) => {
                format!("{before}{}{behind}", self.look.state(kind, kind))
            }
            None => line,
        };
        line + "\n"
    }
}

fn ending(id: &str) -> String {
    let (_, end) = id
        .split_at_checked(id.len().saturating_sub(ID))
        .unwrap_or(("", id));
    format!("…{end}")
}

/// What an event says beyond its type.
fn said(event: &Event) -> String {
    let words = match &event.fact {
        Fact::Task(task) => of_task(task),
        Fact::Worker(worker) => of_worker(worker),
    };
    words.join("  ")
}

fn of_task(task: &TaskEvent) -> Vec<String> {
    use TaskEventKind as Kind;
    let text = |text: &Option<Box<str>>, empty: &str| {
        text.as_deref()
            .filter(|text| *text != empty)
            .map(str::to_owned)
    };
    let after = || {
        task.runtime
            .map(|t| format!("after {}", span(t.as_secs_f64())))
    };
    let went_wrong = || text(&task.exception, "");
    let words = match task.kind {
        Kind::Sent | Kind::Received => vec![
            text(&task.args, "[]"),
            text(&task.kwargs, "{}"),
            task.eta
                .and_then(rfc3339)
                .map(|at| format!("not before {at}")),
            task.expires
                .and_then(rfc3339)
                .map(|at| format!("not after {at}")),
        ],
        Kind::Started => vec![(task.retries > 0).then(|| format!("attempt {}", task.retries + 1))],
        Kind::Succeeded => vec![after(), text(&task.result, "null")],
        Kind::Failed | Kind::Retried => vec![after(), went_wrong()],
        Kind::Rejected => vec![
            after(),
            went_wrong(),
            task.crashed.then(|| "its process died".to_owned()),
            task.requeued.then(|| "waits in its queue again".to_owned()),
        ],
        Kind::Revoked => vec![
            went_wrong(),
            task.expired.then(|| "its time was over".to_owned()),
            task.terminated.then(|| "while it ran".to_owned()),
        ],
    };
    words.into_iter().flatten().collect()
}

fn of_worker(worker: &WorkerEvent) -> Vec<String> {
    let WorkerEvent {
        pid,
        active,
        processed,
        version,
        ..
    } = worker;
    match worker.kind {
        WorkerEventKind::Online => vec![format!("taskq {version}, pid {pid}")],
        WorkerEventKind::Heartbeat => vec![format!("{active} running, {processed} processed")],
        // Of one whose registration lapsed only the name is known.
        WorkerEventKind::Offline if *pid == 0 => vec!["is not heard of any more".to_owned()],
        WorkerEventKind::Offline => vec![format!("{processed} processed")],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskq_core::TaskId;

    use super::*;

    const AT: u64 = 1_767_225_600_250;

    fn task(kind: TaskEventKind) -> TaskEvent {
        TaskEvent {
            kind,
            id: "0198c0de-0000-7000-8000-00000000beef"
                .parse()
                .unwrap_or(TaskId::NIL),
            task: "logistica.procesar_entrega".into(),
            worker: Some("w1@bar".into()),
            retries: 1,
            args: Some("[1]".into()),
            kwargs: Some("{}".into()),
            eta: Some(AT),
            expires: None,
            root_id: None,
            parent_id: None,
            runtime: Some(Duration::from_millis(400)),
            result: Some("{\"km\":3}".into()),
            exception: Some("Timeout: no\nanswer".into()),
            traceback: None,
            requeued: true,
            crashed: true,
            expired: true,
            terminated: true,
        }
    }

    fn worker(kind: WorkerEventKind, pid: u32) -> Event {
        let fact = Fact::Worker(Box::new(WorkerEvent {
            kind,
            node: "w1@bar".into(),
            pid,
            active: 2,
            processed: 3,
            version: "0.1.0".into(),
        }));
        Event {
            at: AT,
            queue: None,
            fact,
        }
    }

    fn all() -> Vec<Event> {
        let tasks = TaskEventKind::ALL.map(|kind| Event {
            at: AT,
            queue: None,
            fact: Fact::Task(Box::new(task(kind))),
        });
        let workers = WorkerEventKind::ALL.map(|kind| worker(kind, 7));
        let lapsed = worker(WorkerEventKind::Offline, 0);
        tasks.into_iter().chain(workers).chain([lapsed]).collect()
    }

    fn shown(look: Look) -> String {
        let mut lines = Lines::new(look);
        all().iter().map(|event| lines.line(event)).collect()
    }

    #[test]
    fn each_kind_says_what_it_knows() {
        insta::assert_snapshot!(shown(Look::default()), @r#"
        2026-01-01T00:00:00.250Z  task-sent         logistica.procesar_entrega  …0000beef  w1@bar  [1]  not before 2026-01-01T00:00:00.250Z
        2026-01-01T00:00:00.250Z  task-received     logistica.procesar_entrega  …0000beef  w1@bar  [1]  not before 2026-01-01T00:00:00.250Z
        2026-01-01T00:00:00.250Z  task-started      logistica.procesar_entrega  …0000beef  w1@bar  attempt 2
        2026-01-01T00:00:00.250Z  task-succeeded    logistica.procesar_entrega  …0000beef  w1@bar  after 0.4s  {"km":3}
        2026-01-01T00:00:00.250Z  task-failed       logistica.procesar_entrega  …0000beef  w1@bar  after 0.4s  Timeout: no\nanswer
        2026-01-01T00:00:00.250Z  task-retried      logistica.procesar_entrega  …0000beef  w1@bar  after 0.4s  Timeout: no\nanswer
        2026-01-01T00:00:00.250Z  task-rejected     logistica.procesar_entrega  …0000beef  w1@bar  after 0.4s  Timeout: no\nanswer  its process died  waits in its queue again
        2026-01-01T00:00:00.250Z  task-revoked      logistica.procesar_entrega  …0000beef  w1@bar  Timeout: no\nanswer  its time was over  while it ran
        2026-01-01T00:00:00.250Z  worker-online     -                           -          w1@bar  taskq 0.1.0, pid 7
        2026-01-01T00:00:00.250Z  worker-heartbeat  -                           -          w1@bar  2 running, 3 processed
        2026-01-01T00:00:00.250Z  worker-offline    -                           -          w1@bar  3 processed
        2026-01-01T00:00:00.250Z  worker-offline    -                           -          w1@bar  is not heard of any more
        "#);
    }

    #[test]
    fn lines_fit_a_terminal_and_types_have_colours_there() {
        let narrow = Look {
            width: Some(60),
            colours: false,
        };
        for line in shown(narrow).lines() {
            assert!(line.chars().count() <= 60, "{line}");
        }
        let painted = shown(Look {
            colours: true,
            ..Look::default()
        });
        assert!(
            painted.contains("  \u{1b}[32mtask-succeeded\u{1b}[0m    "),
            "{painted}"
        );
        assert!(
            painted.contains("  \u{1b}[31mtask-failed\u{1b}[0m       "),
            "{painted}"
        );
        assert!(painted.contains("  worker-heartbeat  "), "{painted}");
    }
}

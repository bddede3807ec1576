//! Events in the shape that Celery gives them: a flat JSON object with `type`, `timestamp` in seconds and `uuid`.

use serde_json::{Map, Value, json};

use super::{Event, Fact, TaskEvent, TaskEventKind, WorkerEvent, WorkerEventKind};

impl TaskEventKind {
    /// All kinds, in the order of a task's life.
    pub const ALL: [Self; 8] = [
        Self::Sent,
        Self::Received,
        Self::Started,
        Self::Succeeded,
        Self::Failed,
        Self::Retried,
        Self::Rejected,
        Self::Revoked,
    ];

    /// Celery's word.
    ///
    /// ```
    /// use taskq_core::event::TaskEventKind;
    /// assert_eq!(TaskEventKind::Succeeded.as_str(), "task-succeeded");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "task-sent",
            Self::Received => "task-received",
            Self::Started => "task-started",
            Self::Succeeded => "task-succeeded",
            Self::Failed => "task-failed",
            Self::Retried => "task-retried",
            Self::Rejected => "task-rejected",
            Self::Revoked => "task-revoked",
        }
    }
}

impl WorkerEventKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Online, Self::Heartbeat, Self::Offline];

    /// Celery's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "worker-online",
            Self::Heartbeat => "worker-heartbeat",
            Self::Offline => "worker-offline",
        }
    }
}

impl Event {
    /// Celery's word for what happened.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.fact {
            Fact::Task(task) => task.kind.as_str(),
            Fact::Worker(worker) => worker.kind.as_str(),
        }
    }

    /// The event as Celery would tell it. `queue`, `retries`, `name` and, with rejected, `exception` and `crashed` stand
    /// in more kinds than there.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("type".into(), self.kind().into());
        fields.insert("timestamp".into(), seconds(self.at));
        if let Some(queue) = &self.queue {
            fields.insert("queue".into(), queue.as_str().into());
        }
        match &self.fact {
            Fact::Task(task) => task_fields(task, &mut fields),
            Fact::Worker(worker) => worker_fields(worker, &mut fields),
        }
        Value::Object(fields)
    }
}

fn task_fields(task: &TaskEvent, fields: &mut Map<String, Value>) {
    use TaskEventKind::{Received, Rejected, Revoked, Sent};
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("uuid", task.id.to_string().into());
    put("name", task.task.as_ref().into());
    put("retries", task.retries.into());
    if let Some(worker) = &task.worker {
        put("hostname", worker.as_ref().into());
    }
    let mut text = |name: &str, value: &Option<Box<str>>| {
        if let Some(value) = value {
            put(name, value.as_ref().into());
        }
    };
    text("args", &task.args);
    text("kwargs", &task.kwargs);
    text("result", &task.result);
    text("exception", &task.exception);
    text("traceback", &task.traceback);
    if let Some(runtime) = task.runtime {
        put("runtime", json!(runtime.as_secs_f64()));
    }
    if matches!(task.kind, Sent | Received) {
        put("eta", task.eta.map_or(Value::Null, seconds));
        put("expires", task.expires.map_or(Value::Null, seconds));
        put("root_id", json!(task.root_id.map(|id| id.to_string())));
        put("parent_id", json!(task.parent_id.map(|id| id.to_string())));
    }
    if task.kind == Rejected {
        put("requeue", task.requeued.into());
        put("crashed", task.crashed.into());
    }
    if task.kind == Revoked {
        put("expired", task.expired.into());
        put("terminated", task.terminated.into());
        put("signum", Value::Null);
    }
}

fn worker_fields(worker: &WorkerEvent, fields: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("hostname", worker.node.as_ref().into());
    put("pid", worker.pid.into());
    put("active", worker.active.into());
    put("processed", worker.processed.into());
    put("sw_ident", "taskq".into());
    put("sw_ver", worker.version.as_ref().into());
}

/// Celery's timestamps are seconds.
fn seconds(ms: u64) -> Value {
    json!(ms as f64 / 1000.0)
}

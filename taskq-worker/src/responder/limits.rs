//! The order `time_limit`: other limits for the runs of one task.

use std::time::Duration;

use taskq_core::control::Done;

use super::Responder;
use crate::limits::TimeLimits;

/// Runs of `task` that begin from now on have these limits, in ms; `None`: none.
pub(super) fn order(
    responder: &Responder,
    task: &str,
    soft_ms: Option<u64>,
    hard_ms: Option<u64>,
) -> Done {
    let Some(def) = responder.registry.get(task) else {
        return Done::Error(format!(
            "this worker has no task `{task}`; `taskq inspect registered` lists what it has"
        ));
    };
    let ordered = TimeLimits {
        soft: soft_ms.map(Duration::from_millis),
        hard: hard_ms.map(Duration::from_millis),
    };
    match ordered.check() {
        Err(error) => Done::Error(error.to_string()),
        Ok(ordered) => {
            responder.limits.order(def, ordered);
            tracing::info!(task, soft_ms, hard_ms, "{task} has other time limits now");
            Done::Ok(format!(
                "time limits of {task}: soft {}, hard {}",
                shown(ordered.soft),
                shown(ordered.hard)
            ))
        }
    }
}

fn shown(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:?}"))
}

//! The order `revoke`: what was revoked does not begin here any more.

use serde_json::{Value, json};
use taskq_core::QueueName;
use taskq_core::revocation::Revocation;

use super::{Responder, refused};
use crate::revoking::Met;

/// What runs is named, and cut off if `terminate` says so.
pub(super) fn order(
    responder: &Responder,
    what: &[Revocation],
    queue: Option<&QueueName>,
    terminate: bool,
) -> Value {
    let Some(met) = responder.ledger.revoke(what, queue, terminate) else {
        return refused("too much is being revoked at once: ask again in a moment".to_owned());
    };
    let Met {
        running,
        terminated,
    } = met;
    if !what.is_empty() {
        tracing::info!(
            revoked = what.len(),
            running = running.len(),
            terminated = terminated.len(),
            "told what is revoked"
        );
    }
    let ids = |ids: std::collections::BTreeSet<taskq_core::TaskId>| -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    };
    let sentence = match (running.len(), terminated.len()) {
        (0, 0) => "none of them runs here, and none will".to_owned(),
        (on, 0) => format!("{on} of them run on; no other begins here"),
        (0, off) => format!("{off} of them were cut off; no other begins here"),
        (on, off) => format!("{off} of them were cut off, {on} run on; no other begins here"),
    };
    json!({"ok": sentence, "running": ids(running), "terminated": ids(terminated)})
}

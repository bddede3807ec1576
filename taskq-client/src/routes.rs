//! Routes: which queue the calls of a task go to, by its name.

use glob::Pattern;
use taskq_core::{Error, QueueName, Signature};

/// Patterns and their queues, in the order given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes(Vec<(Pattern, QueueName)>);

impl Routes {
    pub(crate) fn add(&mut self, pattern: &str, queue: &str) -> Result<(), Error> {
        let refused = |why: &dyn std::fmt::Display| {
            Error::invalid(format!("the route {pattern:?} → {queue:?} is none: {why}"))
        };
        if pattern.is_empty() {
            return Err(refused(
                &"an empty pattern fits no task's name; `*` fits all",
            ));
        }
        let glob = Pattern::new(pattern).map_err(|e| refused(&e))?;
        let queue = QueueName::new(queue).map_err(|e| refused(&e))?;
        self.0.push((glob, queue));
        Ok(())
    }

    /// Sends a call that names no queue itself to that of the first route that fits.
    pub(crate) fn lead<R>(&self, call: Signature<R>) -> Signature<R> {
        if call.chosen_queue().is_some() {
            return call;
        }
        let fitting = self.0.iter().find(|(glob, _)| glob.matches(call.task()));
        match fitting {
            Some((_, queue)) => call.queue(queue.as_str()),
            None => call,
        }
    }
}

//! Runs a task's definition as a worker would.

use taskq_core::task::{
    Arguments, BadSignature, Context, Running, State, Surroundings, TaskDef, TaskResult,
};
use taskq_core::{Message, Outcome, QueueName};

/// Runs `def` with `arguments`, the tail of a message such as `"args":[1]`.
pub(crate) async fn run(def: &TaskDef, arguments: &str) -> Result<TaskResult, BadSignature> {
    let message = message(def, arguments);
    let mut around = Surroundings::new(QueueName::default(), "w1@here");
    around.state = State::default().with(7_u16);
    let context = Context::new(&message, around);
    Ok(match (def.run)(context, Arguments::of(&message))? {
        Running::Async(future) => future.await,
        Running::Blocking(function) => tokio::task::spawn_blocking(function).await.unwrap(),
    })
}

/// The JSON a run must have ended with.
pub(crate) async fn done(def: &TaskDef, arguments: &str) -> String {
    match run(def, arguments).await.unwrap() {
        Outcome::Done(json) => json.get().to_owned(),
        other => panic!("{} ended with {other:?}", def.name),
    }
}

/// Why the arguments do not fit.
pub(crate) async fn misfit(def: &TaskDef, arguments: &str) -> String {
    run(def, arguments).await.unwrap_err().0
}

pub(crate) fn message(def: &TaskDef, arguments: &str) -> Message {
    let wire = format!(
        r#"{{"id":"0198c0de-0000-7000-8000-000000000000","task":"{}",{arguments}}}"#,
        def.name
    );
    Message::decode(wire.as_bytes()).unwrap()
}

//! Tasks as code: their definition, the registry of all of them, and the context of one run.

mod args;
mod cancelled;
mod context;
mod def;
mod progress;
mod registry;
pub(crate) mod returned;

pub use args::{Arguments, BadSignature};
pub use cancelled::{Cancelled, SoftTimeLimit};
pub use context::{Context, State, Surroundings};
#[doc(hidden)]
pub use def::Registered;
pub use def::{Param, Running, TaskDef, TaskResult};
pub use progress::{Heard, ProgressSink, RunKey};
pub use registry::Registry;

//! Tasks as code: their definition, the registry of all of them, and the context of one run.

mod args;
mod context;
mod def;
mod registry;

pub use args::{Arguments, BadSignature};
pub use context::{Context, State};
pub use def::{Param, Running, TaskDef, TaskResult};
pub use registry::Registry;

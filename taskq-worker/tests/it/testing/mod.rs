//! The test kit, used as its users use it.

mod asserting;
mod attribute;
mod faults;
mod fleet;
mod guide;
mod inline;
mod running;
mod tasks;
mod time;
mod waiting;

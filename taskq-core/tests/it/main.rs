//! The tests of taskq-core, in one binary.

mod conformance;
mod faults;

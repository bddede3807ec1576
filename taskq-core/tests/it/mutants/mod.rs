//! The conformance suite is itself under test: a broker that breaks a promise must fail a case.
//!
//! Each [`Flaw`] is one thing that a broken broker does. [`Mutant`] is the memory broker with one flaw; the matrix runs
//! every case over every mutant. A mutant that no case kills shows a promise without a case; a case that kills nobody
//! can not fail.
//!
//! To add a flaw: name it in `flaw.rs` with a sentence, among those that show at the same calls, and give it its arm in
//! the method it breaks.

mod broker;
mod consumer;
mod control;
mod events;
mod find;
mod finish;
mod flaw;
mod keys;
mod matrix;
mod mutant;
mod purge;
mod reads;
mod replay;
mod revoke;
mod started;
mod trial;
mod watch;

use flaw::Flaw;
use mutant::Mutant;

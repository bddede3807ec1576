//! What it says beside its figures.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to stderr. With nobody behind it there is nobody to tell, and what is measured goes on.
pub(crate) fn say(line: &dyn Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

//! How the program ends.

use std::process::ExitCode;

/// The exit codes, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: it was tried, and what was asked for failed, or the broker refused it.
    Failed,
    /// 2: the command line can not be carried out as it stands.
    Usage,
    /// 69: the broker or a worker can not be reached.
    Unreachable,
    /// 75: it was not over in time; trying again may help.
    TimedOut,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::TimedOut => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The end of a command that can not go on, and the sentence that says why.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    /// It may go by itself: the same may be asked again.
    pub(crate) passes: bool,
}

impl Stop {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            passes: false,
        }
    }
}

//! Why a measurement ends without a figure, and the exit status for it.

/// It was tried, and failed.
const FAILED: u8 = 1;
/// A program or server that is needed is not there.
const UNAVAILABLE: u8 = 69;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something that is needed is not there.
    #[error("{0}")]
    Unavailable(String),
    /// A measurement did not come to its end, or its result is wrong.
    #[error("{0}")]
    Failed(String),
    /// The private Redis, spoken to directly.
    #[error("the private Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// The file, read directly.
    #[error("the private file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// taskq.
    #[error(transparent)]
    Taskq(#[from] taskq_core::Error),
}

impl Error {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The exit status.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Unavailable(_) => UNAVAILABLE,
            Self::Failed(_) | Self::Redis(_) | Self::Sqlite(_) | Self::Taskq(_) => FAILED,
        }
    }
}

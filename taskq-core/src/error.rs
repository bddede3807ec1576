//! The one error of the library: a kind to branch on, a sentence to read, a cause to follow.

use std::fmt;
use std::sync::Arc;

type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The broker could not be reached, or the connection broke and did not come back in time.
    Unreachable,
    /// The broker answered that it can not serve now: out of memory, read only, loading.
    Refused,
    /// A key of ours holds something else than it should; the text names the key.
    WrongType,
    /// The broker answered something that this version does not understand.
    Protocol,
    /// A message or result is over its size limit.
    TooLarge,
    /// What was asked for is malformed; the text says what and how to mend it.
    Invalid,
    /// What was asked for needs something that is not built.
    Unsupported,
}

impl ErrorKind {
    /// The exit status of a program that can not go on for an error of this kind: the same for all programs of taskq.
    ///
    /// 2: it was started the wrong way, and the same start fails again. 69: the broker was not reached. 1: it was, and
    /// refuses, or holds what can not be read.
    ///
    /// # Example
    /// ```
    /// use taskq_core::ErrorKind;
    /// assert_eq!(ErrorKind::Invalid.exit_status(), 2);
    /// assert_eq!(ErrorKind::Unreachable.exit_status(), 69);
    /// ```
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Invalid | Self::Unsupported => 2,
            Self::Unreachable => 69,
            Self::Refused | Self::WrongType | Self::Protocol | Self::TooLarge => 1,
        }
    }
}

/// An error of taskq: cheap to clone, never tied to one broker's types.
///
/// # Example
/// ```
/// use taskq_core::{QueueName, ErrorKind};
/// let error = QueueName::new("no spaces").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert!(error.to_string().contains("no spaces"));
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    text: Arc<str>,
    cause: Option<Cause>,
}

impl Error {
    /// An error of `kind` that says `text`: what failed and what to do about it.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into().into(),
            cause: None,
        }
    }

    /// Malformed input.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, text)
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// What to branch on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True when the same call may succeed later, unchanged.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::Refused | ErrorKind::WrongType
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("text", &self.text)
            .field("cause", &self.cause)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|c| &**c as _)
    }
}

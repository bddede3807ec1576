//! Names and ids: validated once, passed by value ever after.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::Error;

/// The identity of one task call: a UUID. Ours are version 7, so they sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(Uuid);

impl TaskId {
    /// The id of no task.
    pub const NIL: Self = Self(Uuid::nil());

    /// A new id, unique and later than those before it.
    ///
    /// ```
    /// use taskq_core::TaskId;
    /// let (a, b) = (TaskId::random(), TaskId::random());
    /// assert!(a < b);
    /// ```
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }

    /// The second of its creation (since the epoch), for ids of version 7; others tell none.
    #[must_use]
    pub fn created_second(&self) -> Option<u64> {
        self.created_ms().map(|ms| ms / 1_000)
    }

    /// The millisecond of its creation (since the epoch), for ids of version 7; others tell none.
    #[must_use]
    pub fn created_ms(&self) -> Option<u64> {
        let at = (self.0.get_version_num() == 7).then(|| self.0.get_timestamp());
        let (seconds, nanos) = at.flatten()?.to_unix();
        Some(seconds * 1_000 + u64::from(nanos) / 1_000_000)
    }
}

impl TaskId {
    /// Its 16 bytes.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for TaskId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::try_parse(text).map(Self).map_err(|e| {
            Error::invalid(format!(
                "{:?} is no task id: {e}; an id is a UUID",
                Cut(text)
            ))
        })
    }
}

/// The name of a queue: 1 to 128 characters out of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// The queue of messages and workers that name none, as in Celery.
    pub const DEFAULT: &'static str = "celery";

    /// Checks `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name outside the allowed characters or length.
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
            return Err(Error::invalid(format!(
                "{:?} is no queue name: use 1 to 128 of the characters A-Z a-z 0-9 . _ -",
                Cut(name)
            )));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for QueueName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl Serialize for QueueName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for QueueName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// Shows at most 60 characters of text that came from outside.
struct Cut<'a>(&'a str);

impl fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

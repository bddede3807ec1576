//! JSON → message. Strict about the fields it knows, faithful to those it does not.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{MAX_BYTES, MAX_TASK_BYTES, Message, OnCrash};
use crate::id::TaskId;
use crate::outcome::cut;

/// A reason quotes what it found; of that, this many bytes are enough.
const MAX_REASON_BYTES: usize = 1 << 10;

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// The reason, for the dead set; at most 1 KiB.
    pub reason: String,
    /// The id, when at least that could be read.
    pub id: Option<TaskId>,
    /// The task's name, when it could be read.
    pub task: Option<String>,
}

pub(super) fn decode(wire: &[u8]) -> Result<Message, Undecodable> {
    if wire.len() > MAX_BYTES {
        let reason = format!("{} bytes, the limit is {MAX_BYTES}", wire.len());
        return Err(undecodable(wire, reason));
    }
    let fields: Fields =
        serde_json::from_slice(wire).map_err(|e| undecodable(wire, e.to_string()))?;
    fields.check().map_err(|reason| undecodable(wire, reason))
}

fn undecodable(wire: &[u8], reason: String) -> Undecodable {
    let mut identity = Identity::default();
    let readable = &wire[..wire.len().min(MAX_BYTES)];
    let mut json = serde_json::Deserializer::from_slice(readable);
    // It ends in an error as often as not; what was read before it counts.
    drop(identity.deserialize(&mut json));
    Undecodable {
        reason: cut(reason, MAX_REASON_BYTES),
        id: identity.id,
        task: identity.task,
    }
}

/// Who a broken message is, as far as it can be read.
#[derive(Default)]
struct Identity {
    id: Option<TaskId>,
    task: Option<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Identity {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Identity {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "id" if self.id.is_none() => {
                    let id: &RawValue = map.next_value()?;
                    self.id = serde_json::from_str(id.get()).ok();
                }
                "task" if self.task.is_none() => {
                    let task: &RawValue = map.next_value()?;
                    self.task = serde_json::from_str(task.get())
                        .ok()
                        .filter(|task: &String| task.len() <= MAX_TASK_BYTES);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The fields as they came; `check` makes a message of them.
struct Fields {
    message: Message,
    has_id: bool,
    version: u64,
}

impl Fields {
    fn check(self) -> Result<Message, String> {
        let m = self.message;
        if !self.has_id {
            return Err("the field `id` is missing".into());
        }
        if self.version != 1 {
            return Err(format!(
                "version {} of the wire form is not known, only 1 is",
                self.version
            ));
        }
        m.check()?;
        Ok(m)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with at least `id` and `task`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut m = Message::new("");
        let (mut has_id, mut version) = (false, 1);
        // Of the known fields a bit each; the unknown ones may be many.
        let mut seen = 0_u32;
        let mut unknown: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(Key(key)) = map.next_key()? {
            let is_new = match Message::FIELDS.iter().position(|known| *known == key) {
                Some(position) => {
                    let before = seen;
                    seen |= 1 << position;
                    seen != before
                }
                None => unknown.insert(key.clone()),
            };
            if !is_new {
                return Err(A::Error::custom(format!(
                    "the field `{key}` stands there twice"
                )));
            }
            let mut field = Field {
                map: &mut map,
                name: &key,
            };
            match &*key {
                "id" => {
                    m.id = field.read()?;
                    has_id = true;
                }
                "task" => m.task = field.read()?,
                "v" => version = field.or(1)?,
                "args" => m.args = field.raw(b'[', "an array")?,
                "kwargs" => m.kwargs = field.raw(b'{', "an object")?,
                "retries" => m.retries = field.or(0)?,
                "max_retries" => m.max_retries = field.read()?,
                "eta" => m.eta = field.read()?,
                "expires" => m.expires = field.read()?,
                "time_limit" => m.time_limit = field.read()?,
                "soft_time_limit" => m.soft_time_limit = field.read()?,
                "priority" => m.priority = field.or(0)?,
                "ignore_result" => m.ignore_result = field.or(false)?,
                "track_started" => m.track_started = field.or(false)?,
                "max_crashes" => m.max_crashes = field.read()?,
                "on_crash" => {
                    m.on_crash = match field.read::<Option<Cow<'de, str>>>()?.as_deref() {
                        None | Some("requeue") => OnCrash::Requeue,
                        Some("dead") => OnCrash::Dead,
                        Some(_) => {
                            return Err(A::Error::custom("`on_crash` is \"requeue\" or \"dead\""));
                        }
                    }
                }
                "root_id" => m.root_id = field.read()?,
                "parent_id" => m.parent_id = field.read()?,
                "headers" => m.headers = field.read::<Option<_>>()?.unwrap_or_default(),
                "enqueued_at" => m.enqueued_at = field.read()?,
                _ => m.extra.push((key.to_string(), field.read()?)),
            }
        }
        Ok(Fields {
            message: m,
            has_id,
            version,
        })
    }
}

/// A key, borrowed from the input where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        d.deserialize_str(KeyVisitor)
    }
}

/// One value, read with an error that names its field.
struct Field<'a, A> {
    map: &'a mut A,
    name: &'a str,
}

impl<'de, A: MapAccess<'de>> Field<'_, A> {
    fn read<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        self.map
            .next_value()
            .map_err(|e| A::Error::custom(format!("`{}`: {e}", self.name)))
    }

    /// `null` counts as absent.
    fn or<T: Deserialize<'de>>(&mut self, default: T) -> Result<T, A::Error> {
        Ok(self.read::<Option<T>>()?.unwrap_or(default))
    }

    fn raw(&mut self, first: u8, what: &str) -> Result<Option<Box<RawValue>>, A::Error> {
        let raw: Box<RawValue> = self.read()?;
        match raw.get().as_bytes().first() {
            Some(b'n') => Ok(None),
            Some(&b) if b == first => Ok(Some(raw)),
            _ => Err(A::Error::custom(format!("`{}` must be {what}", self.name))),
        }
    }
}

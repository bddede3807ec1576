//! From a message's `args` and `kwargs` to typed parameters, as Python binds them.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Param;
use crate::message::Message;
use crate::outcome::cut;

/// The arguments of one call, not yet typed.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    args: Option<&'a RawValue>,
    kwargs: Option<&'a RawValue>,
}

/// Arguments that do not fit the task's parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSignature(pub String);

/// What does not fit is quoted; of that, 1 KiB is enough.
fn misfit(text: String) -> BadSignature {
    BadSignature(cut(text, 1 << 10))
}

impl<'a> Arguments<'a> {
    /// The arguments of `message`.
    #[must_use]
    pub fn of(message: &'a Message) -> Self {
        Self {
            args: message.args.as_deref(),
            kwargs: message.kwargs.as_deref(),
        }
    }

    /// Binds them to `params`: positional first, the rest by name.
    ///
    /// # Errors
    /// [`BadSignature`] for too many, unknown, doubled or missing arguments.
    pub fn bind(self, params: &'static [Param]) -> Result<Bound<'a>, BadSignature> {
        let mut values: Vec<Option<&'a RawValue>> = vec![None; params.len()];
        let args: Vec<&'a RawValue> = match self.args {
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|e| misfit(format!("args: {e}")))?
            }
            None => Vec::new(),
        };
        if args.len() > params.len() {
            return Err(misfit(format!(
                "{} positional arguments for {} parameters",
                args.len(),
                params.len()
            )));
        }
        for (slot, value) in values.iter_mut().zip(args) {
            *slot = Some(value);
        }
        if let Some(raw) = self.kwargs {
            let kwargs: Keywords<'a> =
                serde_json::from_str(raw.get()).map_err(|e| misfit(format!("kwargs: {e}")))?;
            for (name, value) in kwargs.0 {
                let Some(i) = params.iter().position(|p| p.name == name) else {
                    return Err(misfit(format!("unknown argument `{name}`")));
                };
                if values[i].replace(value).is_some() {
                    return Err(misfit(format!("the argument `{name}` is given twice")));
                }
            }
        }
        Ok(Bound { params, values })
    }
}

/// Arguments bound to parameters, to be read one by one.
#[derive(Debug)]
pub struct Bound<'a> {
    params: &'static [Param],
    values: Vec<Option<&'a RawValue>>,
}

impl Bound<'_> {
    /// Reads parameter `index` as `T`; a missing optional one reads as `null`.
    ///
    /// # Errors
    /// [`BadSignature`] names the parameter that is missing or of the wrong type.
    pub fn get<T: DeserializeOwned>(&self, index: usize) -> Result<T, BadSignature> {
        let param = &self.params[index];
        let json = match self.values[index] {
            Some(value) => value.get(),
            None if !param.required => "null",
            None => {
                return Err(misfit(format!("the argument `{}` is missing", param.name)));
            }
        };
        serde_json::from_str(json).map_err(|e| {
            misfit(format!(
                "the argument `{}` ({}): {e}",
                param.name, param.kind
            ))
        })
    }
}

/// An object's entries in order, doubled keys included.
struct Keywords<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Keywords<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Keywords<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Keywords(entries))
            }
        }
        d.deserialize_map(Entries)
    }
}

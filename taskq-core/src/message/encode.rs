//! Message → JSON: required fields first, options only when they differ from their default.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Message, OnCrash};

pub(super) fn encode(message: &Message) -> serde_json::Result<Vec<u8>> {
    let mut wire = Vec::with_capacity(256);
    serde_json::to_writer(&mut wire, message)?;
    Ok(wire)
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("task", &self.task)?;
        map.serialize_entry("v", &1)?;
        let mut put = Options(&mut map);
        put.some("args", self.args.as_ref())?;
        put.some("kwargs", self.kwargs.as_ref())?;
        put.some("retries", (self.retries > 0).then_some(self.retries))?;
        put.some("max_retries", self.max_retries)?;
        put.some("eta", self.eta)?;
        put.some("expires", self.expires)?;
        put.some("time_limit", self.time_limit)?;
        put.some("soft_time_limit", self.soft_time_limit)?;
        put.some("priority", (self.priority > 0).then_some(self.priority))?;
        put.some("ignore_result", self.ignore_result.then_some(true))?;
        put.some("track_started", self.track_started.then_some(true))?;
        put.some("max_crashes", self.max_crashes)?;
        put.some(
            "on_crash",
            (self.on_crash == OnCrash::Dead).then_some("dead"),
        )?;
        put.some("root_id", self.root_id)?;
        put.some("parent_id", self.parent_id)?;
        put.some(
            "headers",
            (!self.headers.is_empty()).then_some(&self.headers),
        )?;
        put.some("enqueued_at", self.enqueued_at)?;
        for (name, value) in &self.extra {
            put.some(name, Some(value))?;
        }
        map.end()
    }
}

struct Options<'a, M>(&'a mut M);

impl<M: SerializeMap> Options<'_, M> {
    fn some<T: Serialize>(&mut self, name: &str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.0.serialize_entry(name, &value),
            None => Ok(()),
        }
    }
}

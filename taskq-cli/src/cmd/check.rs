//! `--check`: a call against what workers published of its task.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use taskq_client::{PublishedParam, PublishedTask};

use super::names::unpublished;
use crate::args::Call;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

/// Refuses a name that nobody published within 7 days, and arguments that the task can not take.
pub(super) async fn check(call: &Call, reach: &Reach) -> Result<(), Stop> {
    let name = &call.task;
    let Some(task) = reach.read(reach.client.task(name)).await? else {
        let stranger = unpublished(name, reach).await?;
        let stranger = stranger.unwrap_or_else(|| format!("no worker had published a task {name}"));
        return Err(Stop::new(
            Exit::Usage,
            format!("{stranger}; without --check it is sent all the same"),
        ));
    };
    let args: Vec<&RawValue> = parts(call.args.as_deref(), name)?;
    let kwargs: BTreeMap<String, &RawValue> = parts(call.kwargs.as_deref(), name)?;
    fits(&task, &args, &kwargs).map_err(|why| {
        let params: Vec<_> = task.params.iter().map(shown).collect();
        let takes = match params.as_slice() {
            [] => "no arguments".to_owned(),
            params => params.join(", "),
        };
        Stop::new(Exit::Usage, format!("{why}; {name} takes {takes}"))
    })
}

/// The values of an array or an object, each as it was typed.
fn parts<'a, T: Default + serde::Deserialize<'a>>(
    json: Option<&'a RawValue>,
    name: &str,
) -> Result<T, Stop> {
    let Some(json) = json else {
        return Ok(T::default());
    };
    serde_json::from_str(json.get())
        .map_err(|e| Stop::new(Exit::Usage, format!("the arguments of {name}: {e}")))
}

fn fits(
    task: &PublishedTask,
    args: &[&RawValue],
    kwargs: &BTreeMap<String, &RawValue>,
) -> Result<(), String> {
    let params = &task.params;
    if args.len() > params.len() {
        return Err(format!("too many positional arguments ({})", args.len()));
    }
    let names: BTreeSet<&str> = params.iter().map(|p| p.name.as_str()).collect();
    if let Some(unknown) = kwargs.keys().find(|name| !names.contains(name.as_str())) {
        return Err(format!("the argument `{unknown}` is unknown"));
    }
    for (place, param) in params.iter().enumerate() {
        let name = &param.name;
        let value = match (args.get(place), kwargs.get(name)) {
            (Some(_), Some(_)) => {
                return Err(format!(
                    "the argument `{name}` is given by place and by name"
                ));
            }
            (Some(value), None) | (None, Some(value)) => value,
            (None, None) if param.required => {
                return Err(format!("the argument `{name}` is missing"));
            }
            (None, None) => continue,
        };
        let kind = kind(value.get());
        if !takes(param, kind) {
            return Err(format!(
                "the argument `{name}` is of type {kind}, not {}",
                param.kind
            ));
        }
    }
    Ok(())
}

/// A published type that is no JSON type (`any`, or a Rust type) takes anything here.
fn takes(param: &PublishedParam, kind: &str) -> bool {
    match (param.kind.as_str(), kind) {
        (_, "null") if !param.required => true,
        ("number", "integer") => true,
        ("string" | "integer" | "number" | "boolean" | "array" | "object", kind) => {
            param.kind == kind
        }
        _ => true,
    }
}

/// The type of a JSON value.
fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ if json.contains(['.', 'e', 'E']) => "number",
        _ => "integer",
    }
}

/// A parameter as a signature has it; `?` marks one that may be left out.
fn shown(param: &PublishedParam) -> String {
    let mark = if param.required { "" } else { "?" };
    format!("{}{mark}: {}", param.name, param.kind)
}

//! `taskq inspect conf`: how each worker is set up, by the names of its flags.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::understood;
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let mut table = Table::new(&["WORKER", "SETTING", "VALUE"]);
    let (answers, exit) = understood::<Map<String, Value>>(replies, console);
    for (node, settings) in answers {
        for (name, value) in settings {
            table.row([node.to_owned(), name, shown(&value)]);
        }
    }
    console.table(&table);
    exit
}

/// A list as a flag takes it, text without quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

//! `taskq inspect ping`: which workers answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let mut table = Table::new(&["WORKER", "ANSWER"]);
    for (node, body) in replies {
        let word = body.get("ok").and_then(Value::as_str);
        let answer = word.map_or_else(|| body.to_string(), str::to_owned);
        table.row([node.clone(), answer]);
    }
    console.table(&table);
    Exit::Done
}

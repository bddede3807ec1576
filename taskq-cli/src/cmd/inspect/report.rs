//! `taskq inspect report`: all that a bug report needs, as text.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::Done;

use super::understood;
use crate::console::{Console, plain};
use crate::exit::Exit;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let (answers, exit) = understood::<Done>(replies, console);
    for (place, (node, done)) in answers.into_iter().enumerate() {
        // Who could not answer was named.
        let Done::Ok(text) = done else { continue };
        let gap = if place > 0 { "\n" } else { "" };
        let lines: Vec<_> = text.lines().map(|line| plain(line) + "\n").collect();
        console.print(&format!("{gap}{}:\n{}", plain(node), lines.concat()));
    }
    exit
}

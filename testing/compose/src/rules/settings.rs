//! The example file of settings tells each one that the compose file takes up, with what holds without it.

use std::collections::BTreeMap;

use crate::settings::{Settings, taken_up};

pub(super) fn faults(compose: &str, example: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    let told: BTreeMap<&str, &str> = example.iter().collect();
    let taken = taken_up(compose);
    for (name, default) in &taken {
        match told.get(name) {
            None => faults.push(format!("the example settings do not tell {name}")),
            Some(value) if value != default => faults.push(format!(
                "{name} is {default} without a setting, and {value} in the example"
            )),
            Some(_) => {}
        }
    }
    for name in told.keys().filter(|n| !taken.iter().any(|(t, _)| t == *n)) {
        faults.push(format!("nothing takes up the setting {name}"));
    }
    faults
}

//! What the compose file must say, each rule with the sentence that names what is missing.

mod everywhere;
mod redis;
mod services;
mod settings;
mod worker;

use crate::document::{Compose, Service};
use crate::settings::Settings;

/// What `compose` (the text of a compose file) must say and does not, with the settings of `example` (the text of its example
/// file) filled in; nothing when all is well.
#[must_use]
pub fn faults(compose: &str, example: &str) -> Vec<String> {
    let read = Settings::read(example)
        .map_err(|e| format!("the settings: {e}"))
        .and_then(|settings| Ok((Compose::read(compose, &settings)?, settings)));
    let (document, given) = match read {
        Ok(read) => read,
        Err(error) => return vec![error],
    };
    let mut faults = settings::faults(compose, &given);
    faults.extend(document.order().err());
    faults.extend(services::faults(&document));
    for (name, service) in &document.services {
        let found = everywhere::faults(service).into_iter();
        faults.extend(found.map(|fault| format!("{name}: {fault}")));
    }
    let mut of = |name: &str, rules: fn(&Service) -> Vec<String>| {
        let found = document.services.get(name).map(rules);
        let found = found.unwrap_or_default().into_iter();
        faults.extend(found.map(|fault| format!("{name}: {fault}")));
    };
    of("redis", redis::faults);
    of("worker", worker::faults);
    faults
}

/// The sentences of those rules that are not kept.
fn broken<'a>(rules: impl IntoIterator<Item = (bool, &'a str)>) -> Vec<String> {
    let broken = rules.into_iter().filter(|(kept, _)| !kept);
    broken.map(|(_, sentence)| sentence.to_owned()).collect()
}

/// What follows `option` in a command.
fn option<'a>(command: &'a [String], option: &str) -> Option<&'a str> {
    let at = command.iter().position(|word| word == option)?;
    command.get(at + 1).map(String::as_str)
}

//! Which broker it runs over.

use std::path::Path;
use std::{fs, io};

use taskq_core::broker::ChosenBroker;
use taskq_core::broker::sqlite::SqliteBroker;
use taskq_examples::Fault;

/// The broker when none is named: this file in the user's data folder.
const OWN: &str = "taskq/quickstart.db";

/// The one that is named, else one of its own.
pub(crate) fn broker(named: Option<String>) -> Result<String, Fault> {
    if let Some(url) = named.filter(|url| !url.is_empty()) {
        return Ok(url);
    }
    let folder = ChosenBroker::data_folder(|name| std::env::var_os(name));
    made_anew(folder.as_deref())
}

/// The URL of the file, which an earlier run has not left anything in.
pub(crate) fn made_anew(data: Option<&Path>) -> Result<String, Fault> {
    let data = data.ok_or("no place for the broker's file: set HOME, or name one with --broker")?;
    let file = data.join(OWN);
    // With its journal: one of them left behind would not fit the new file.
    for ending in ["", "-wal", "-shm"] {
        let mut path = file.clone().into_os_string();
        path.push(ending);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(format!("{} can not be taken away: {e}", path.display()).into());
            }
            _ => {}
        }
    }
    Ok(SqliteBroker::url(&file))
}

//! Which broker it runs over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use taskq_examples::Fault;

/// The broker when none is named. `{data}` stands for the user's data folder; a file there is made anew.
const OWN: &str = "memory://";

/// The one that is named, else one of its own.
pub(crate) fn broker(named: Option<String>) -> Result<String, Fault> {
    if let Some(url) = named.filter(|url| !url.is_empty()) {
        return Ok(url);
    }
    let folder = data_folder(std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"));
    made_anew(OWN, folder.as_deref())
}

/// `$XDG_DATA_HOME`, which must be absolute to count, else `~/.local/share`.
pub(crate) fn data_folder(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let given = |value: Option<OsString>| value.filter(|v| !v.is_empty()).map(PathBuf::from);
    given(xdg)
        .filter(|path| path.is_absolute())
        .or_else(|| given(home).map(|home| home.join(".local/share")))
}

/// The URL with its folder, which is there, and without the file of an earlier run.
pub(crate) fn made_anew(url: &str, data: Option<&Path>) -> Result<String, Fault> {
    let Some((scheme, rest)) = url.split_once("{data}") else {
        return Ok(url.to_owned());
    };
    let data = data.ok_or("no place for the broker's file: set HOME, or name one with --broker")?;
    let data = data.to_str().ok_or("the data folder's name is no text")?;
    let file = format!("{data}{rest}");
    if let Some(folder) = Path::new(&file).parent() {
        let why = |e| format!("{} can not be made: {e}", folder.display());
        fs::create_dir_all(folder).map_err(why)?;
    }
    // With its journal: one of them left behind would not fit the new file.
    for ending in ["", "-wal", "-shm"] {
        match fs::remove_file(format!("{file}{ending}")) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(format!("{file}{ending} can not be taken away: {e}").into());
            }
            _ => {}
        }
    }
    Ok(format!("{scheme}{file}"))
}

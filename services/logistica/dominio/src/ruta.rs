//! Where the stock file lives.

use std::ffi::OsString;
use std::path::PathBuf;

/// No variable says where the stock file should live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place for the stock file: set LOGISTICA_DB to its path, or HOME")]
pub struct RutaDesconocida;

/// The stock file's path: `LOGISTICA_DB`, else `taskq/logistica.db` in the user's data folder.
///
/// The arguments are the values of `LOGISTICA_DB`, `XDG_DATA_HOME` and `HOME`; the program's main
/// reads them. An empty value counts as unset, and so does a relative `XDG_DATA_HOME`, as its
/// specification demands.
///
/// # Errors
/// [`RutaDesconocida`] if all three are unset.
pub fn ruta(
    logistica_db: Option<OsString>,
    xdg: Option<OsString>,
    home: Option<OsString>,
) -> Result<PathBuf, RutaDesconocida> {
    let puesta = |v: Option<OsString>| v.filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(ruta) = puesta(logistica_db) {
        return Ok(ruta);
    }
    let datos = puesta(xdg)
        .filter(|p| p.is_absolute())
        .or_else(|| puesta(home).map(|h| h.join(".local/share")))
        .ok_or(RutaDesconocida)?;
    Ok(datos.join("taskq").join("logistica.db"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{RutaDesconocida, ruta};

    fn con(db: &str, xdg: &str, home: &str) -> Result<PathBuf, RutaDesconocida> {
        let v = |t: &str| Some(OsString::from(t));
        ruta(v(db), v(xdg), v(home))
    }

    #[test]
    fn the_most_specific_value_wins_and_empty_is_unset() {
        let en = |p: &str| Ok(PathBuf::from(p));
        assert_eq!(con("/x.db", "/xdg", "/h"), en("/x.db"));
        assert_eq!(con("", "/xdg", "/h"), en("/xdg/taskq/logistica.db"));
        assert_eq!(
            con("", "rel", "/h"),
            en("/h/.local/share/taskq/logistica.db")
        );
        assert_eq!(con("", "", ""), Err(RutaDesconocida));
        assert_eq!(ruta(None, None, None), Err(RutaDesconocida));
    }
}

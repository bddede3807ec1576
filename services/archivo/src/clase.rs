//! Kinds of files, and where a user's lie.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A kind of file: what it is called, where it lies, and which tables this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clase {
    /// What people call it, such as `stock file`.
    pub que: &'static str,
    /// The variable that names its path, such as `LOGISTICA_DB`.
    pub variable: &'static str,
    /// Its name in the user's data folder, such as `logistica.db`.
    pub nombre: &'static str,
    /// What tells it from other kinds, kept in the file as `application_id`; 0 for a kind that has none.
    pub marca: i32,
    /// The version of its tables, 1 or more, kept in the file as `user_version`.
    pub version: i64,
}

impl Clase {
    /// The path of the user's file: that of its variable, else its name below `taskq` in `$XDG_DATA_HOME`, or in
    /// `$HOME/.local/share`.
    ///
    /// `valor` reads a variable: a program's main gives `std::env::var_os`. An empty value counts as unset, and so does a
    /// relative `XDG_DATA_HOME`, as its specification demands.
    ///
    /// # Errors
    /// [`RutaDesconocida`] if all three are unset.
    pub fn ruta(
        &'static self,
        valor: impl Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, RutaDesconocida> {
        let puesta = |nombre| {
            let valor = valor(nombre).filter(|v| !v.is_empty());
            valor.map(PathBuf::from)
        };
        if let Some(ruta) = puesta(self.variable) {
            return Ok(ruta);
        }
        let datos = puesta("XDG_DATA_HOME")
            .filter(|p| p.is_absolute())
            .or_else(|| Some(puesta("HOME")?.join(".local/share")))
            .ok_or(RutaDesconocida { clase: self })?;
        Ok(datos.join("taskq").join(self.nombre))
    }
}

/// No variable says where the file should live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RutaDesconocida {
    /// Which kind of file.
    pub clase: &'static Clase,
}

impl fmt::Display for RutaDesconocida {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clase { que, variable, .. } = self.clase;
        write!(
            f,
            "no place for the {que}: set {variable} to its path, or HOME"
        )
    }
}

impl std::error::Error for RutaDesconocida {}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Clase, RutaDesconocida};

    static CLASE: Clase = Clase {
        que: "test file",
        variable: "PRUEBA_DB",
        nombre: "prueba.db",
        marca: 0,
        version: 1,
    };

    fn con(valores: [&str; 3]) -> Result<PathBuf, RutaDesconocida> {
        let nombres = ["PRUEBA_DB", "XDG_DATA_HOME", "HOME"];
        CLASE.ruta(|nombre| {
            let n = nombres.iter().position(|n| *n == nombre)?;
            Some(valores[n].into())
        })
    }

    #[test]
    fn the_most_specific_value_wins_and_empty_is_unset() {
        let en = |p: &str| Ok(PathBuf::from(p));
        assert_eq!(con(["/x.db", "/xdg", "/h"]), en("/x.db"));
        assert_eq!(con(["", "/xdg", "/h"]), en("/xdg/taskq/prueba.db"));
        assert_eq!(
            con(["", "rel", "/h"]),
            en("/h/.local/share/taskq/prueba.db")
        );
        let error = con(["", "", ""]).unwrap_err().to_string();
        assert!(
            error.contains("test file") && error.contains("PRUEBA_DB"),
            "{error}"
        );
        assert!(CLASE.ruta(|_| None).is_err());
    }
}

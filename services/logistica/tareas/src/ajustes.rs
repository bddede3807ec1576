//! Settings of the tasks, read from text.

use std::ffi::OsString;
use std::str::FromStr;

use logistica_dominio::{AlmacenError, RutaDesconocida};

/// Why the tasks cannot be given what they share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AjusteInvalido {
    /// A setting has a value outside its range, or none that can be read.
    #[error("{nombre} is {valor:?}: set it to {rango}, or leave it out")]
    Valor {
        /// The setting.
        nombre: &'static str,
        /// What it is set to.
        valor: OsString,
        /// What it may be.
        rango: &'static str,
    },
    /// No setting says where the stock file is.
    #[error(transparent)]
    Ruta(#[from] RutaDesconocida),
    /// The stock file cannot be opened.
    #[error(transparent)]
    Almacen(#[from] AlmacenError),
}

/// The value of a setting, or `otro` where it is not set or empty; `vale` is its range.
pub(crate) fn leer<T: FromStr>(
    nombre: &'static str,
    valor: &impl Fn(&str) -> Option<OsString>,
    otro: T,
    rango: &'static str,
    vale: impl Fn(&T) -> bool,
) -> Result<T, AjusteInvalido> {
    let Some(texto) = valor(nombre).filter(|v| !v.is_empty()) else {
        return Ok(otro);
    };
    let leido = texto.to_str().and_then(|t| t.trim().parse().ok());
    leido.filter(vale).ok_or(AjusteInvalido::Valor {
        nombre,
        valor: texto,
        rango,
    })
}

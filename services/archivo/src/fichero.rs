//! Which file lies at a path: the open one, or another that took its place.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Causa, ErrorArchivo};
use crate::transaccion::Fallo;

/// A file, whatever it is called. The number of one that is open is given to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fichero {
    dispositivo: u64,
    numero: u64,
}

impl Fichero {
    /// The file at `ruta`; one look at the folder, about a microsecond.
    pub(crate) fn en(ruta: &Path) -> Result<Self, Fallo<ErrorArchivo>> {
        match fs::metadata(ruta) {
            Ok(datos) => Ok(Self::de(&datos)),
            Err(fuente) if fuente.kind() == ErrorKind::NotFound => {
                Err(Fallo::Archivo(Causa::Desaparecido))
            }
            Err(fuente) => Err(Fallo::Archivo(Causa::Vista(fuente))),
        }
    }

    #[cfg(unix)]
    fn de(datos: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            dispositivo: datos.dev(),
            numero: datos.ino(),
        }
    }

    /// Elsewhere an open file can neither be removed nor replaced.
    #[cfg(not(unix))]
    fn de(_datos: &fs::Metadata) -> Self {
        Self {
            dispositivo: 0,
            numero: 0,
        }
    }
}

//! What the services' SQLite files share: where they lie, how they are opened, and what can go wrong with them.
//!
//! A domain says what [class](Clase) of file it keeps and how its tables are made; an [`Archivo`] is one such file, which
//! several processes may have open. All calls block; in async code use `spawn_blocking`.
//!
//! ```
//! use archivo::{Archivo, Clase, ErrorArchivo};
//!
//! static CUADERNO: Clase = Clase {
//!     que: "notebook",
//!     variable: "NOTAS_DB",
//!     nombre: "notas.db",
//!     marca: 0x6e6f_7461,
//!     version: 1,
//! };
//!
//! let carpeta = tempfile::tempdir()?;
//! let ruta = CUADERNO.ruta(|nombre| (nombre == "XDG_DATA_HOME").then(|| carpeta.path().into()))?;
//! assert!(ruta.ends_with("taskq/notas.db"));
//! let archivo = Archivo::abrir(&CUADERNO, ruta, |tx, _desde| tx.execute_batch("CREATE TABLE nota (texto TEXT) STRICT"))?;
//! archivo.escribir::<_, ErrorArchivo>(|tx| Ok(tx.execute("INSERT INTO nota VALUES ('hola')", [])?))?;
//! let notas: i64 = archivo.leer::<_, ErrorArchivo>(|tx| Ok(tx.query_row("SELECT count(*) FROM nota", [], |f| f.get(0))?))?;
//! assert_eq!(notas, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abrir;
mod clase;
mod derechos;
mod error;
mod fichero;
mod junto;
mod transaccion;

pub use abrir::{Archivo, Preparar};
pub use clase::{Clase, RutaDesconocida};
pub use error::{Causa, ErrorArchivo};
pub use transaccion::Fallo;

//! The activity log: the newest notes, each of one call.

use archivo::{ErrorArchivo, Fallo};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::Value;

use super::{Bitacora, columna, numero};
use crate::instante::Instante;

/// So many notes are kept; the oldest leave.
pub const ACTIVIDADES_MAX: u32 = 10_000;

/// So many are read at once at most.
pub const PAGINA_MAX: u32 = 1_000;

/// Longest event, in characters.
const EVENTO_MAX: usize = 200;

/// Longest detail, in bytes of JSON.
const DETALLE_MAX: usize = 8 * 1024;

/// What is to be noted, valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Nota {
    evento: String,
    detalle: Option<Value>,
}

/// A note that breaks a rule; sending it again unchanged cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid activity: field `{campo}`: {motivo}")]
pub struct NotaInvalida {
    /// The offending field: `evento` or `detalle`.
    pub campo: &'static str,
    /// What is wrong and what to send instead.
    pub motivo: String,
}

/// A note that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anotada {
    /// Its number; later notes have higher ones.
    pub id: i64,
    /// When it was noted first.
    pub cuando: Instante,
}

/// A note as it is read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Actividad {
    /// Its number; later notes have higher ones.
    pub id: i64,
    /// When it was noted.
    pub cuando: Instante,
    /// What happened.
    pub evento: String,
    /// More about it.
    pub detalle: Option<Value>,
    /// The call that noted it.
    pub task_id: String,
    /// The worker that ran the call.
    pub worker: String,
}

impl Nota {
    /// A note of `evento`, with `detalle` if there is more to say.
    ///
    /// # Errors
    /// [`NotaInvalida`] for an event that is blank or has more than 200 characters, and for a detail of more than 8 KiB.
    pub fn nueva(evento: impl Into<String>, detalle: Option<Value>) -> Result<Self, NotaInvalida> {
        let evento = evento.into();
        let mala = |campo, motivo| Err(NotaInvalida { campo, motivo });
        if evento.trim().is_empty() {
            return mala("evento", "is blank: send some text".to_owned());
        }
        let largo = evento.chars().count();
        if largo > EVENTO_MAX {
            let motivo = format!("has {largo} characters: send at most {EVENTO_MAX}");
            return mala("evento", motivo);
        }
        let largo = detalle.as_ref().map_or(0, |d| d.to_string().len());
        if largo > DETALLE_MAX {
            let motivo = format!("has {largo} bytes as JSON: send at most {DETALLE_MAX}");
            return mala("detalle", motivo);
        }
        Ok(Self { evento, detalle })
    }
}

impl Bitacora {
    /// Notes what the call `tarea` said, at `cuando` (ms since the epoch); a repeat of that call notes nothing, and is
    /// answered as the first time.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn anotar(
        &self,
        tarea: &str,
        worker: &str,
        cuando: u64,
        nota: &Nota,
    ) -> Result<Anotada, ErrorArchivo> {
        self.archivo.escribir::<_, ErrorArchivo>(|tx| {
            if let Some(anotada) = buscar(tx, tarea)? {
                return Ok(anotada);
            }
            tx.prepare_cached(
                "INSERT INTO actividad (tarea, worker, cuando, evento, detalle)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                tarea,
                worker,
                columna(cuando),
                nota.evento,
                nota.detalle.as_ref().map(Value::to_string),
            ])?;
            let id = tx.last_insert_rowid();
            tx.prepare_cached("DELETE FROM actividad WHERE id <= ?1")?
                .execute([id - i64::from(ACTIVIDADES_MAX)])?;
            Ok(Anotada {
                id,
                cuando: Instante(cuando),
            })
        })
    }

    /// The newest `limite` notes (at most [`PAGINA_MAX`]), newest first; with `antes`, of those before that number.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn actividad(
        &self,
        limite: u32,
        antes: Option<i64>,
    ) -> Result<Vec<Actividad>, ErrorArchivo> {
        self.archivo.leer::<_, ErrorArchivo>(|tx| {
            let leidas = tx
                .prepare_cached(
                    "SELECT id, cuando, evento, detalle, tarea, worker FROM actividad
                     WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
                )?
                .query_map(params![antes, limite.min(PAGINA_MAX)], |fila| {
                    let detalle: Option<String> = fila.get(3)?;
                    Ok(Actividad {
                        id: fila.get(0)?,
                        cuando: Instante(numero(fila.get(1)?)),
                        evento: fila.get(2)?,
                        // It was written as JSON; what is none any more is shown as it is.
                        detalle: detalle
                            .map(|d| serde_json::from_str(&d).unwrap_or(Value::String(d))),
                        task_id: fila.get(4)?,
                        worker: fila.get(5)?,
                    })
                })?
                .collect::<Result<_, _>>();
            leidas.map_err(Fallo::from)
        })
    }
}

fn buscar(tx: &Transaction<'_>, tarea: &str) -> Result<Option<Anotada>, rusqlite::Error> {
    tx.prepare_cached("SELECT id, cuando FROM actividad WHERE tarea = ?1")?
        .query_row([tarea], |fila| {
            Ok(Anotada {
                id: fila.get(0)?,
                cuando: Instante(numero(fila.get(1)?)),
            })
        })
        .optional()
}

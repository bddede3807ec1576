//! Samples of the queues' totals, and how far the events were read with them.

use std::collections::BTreeMap;

use archivo::{ErrorArchivo, Fallo};
use rusqlite::{OptionalExtension, Row, params};

use super::{Bitacora, columna, numero};
use crate::instante::Instante;
use crate::metrica::Totales;

/// The samples of so many runs are kept; the oldest leave.
pub const CORRIDAS_MAX: u32 = 100;

/// One run that took samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrida {
    /// The call it belongs to; a repeat of the call takes the place of its earlier run.
    pub tarea: String,
    /// Before the first total was read.
    pub inicio: Instante,
    /// After the last one.
    pub fin: Instante,
    /// Where the next run goes on reading events.
    pub posicion: String,
    /// Events up to this time were read.
    pub leidos_hasta: Instante,
}

/// What is known from the runs before one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Muestra {
    /// The newest earlier sample of each queue, and when it was taken.
    pub colas: BTreeMap<String, (Instante, Totales)>,
    /// Where the newest earlier run left the events, and up to which time it had read them.
    pub eventos: Option<(String, Instante)>,
}

impl Bitacora {
    /// What was sampled by runs that had ended before `inicio`; runs of the call `tarea` itself do not count.
    ///
    /// A run that was still under way then may have read its totals after this one: it would look like a reset.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn muestra_antes(&self, tarea: &str, inicio: Instante) -> Result<Muestra, ErrorArchivo> {
        self.archivo.leer::<_, ErrorArchivo>(|tx| {
            let antes = params![tarea, columna(inicio.0)];
            // Runs may have ended in the same millisecond: the later one counts.
            let colas = tx
                .prepare_cached(
                    "SELECT cola, sent, succeeded, failed, retried, dead, revoked, crashed,
                            returned, fin
                     FROM (SELECT muestra.*, fin, row_number() OVER
                               (PARTITION BY cola ORDER BY fin DESC, corrida DESC) AS lugar
                           FROM muestra JOIN corrida ON corrida.id = corrida
                           WHERE tarea <> ?1 AND fin <= ?2)
                     WHERE lugar = 1",
                )?
                .query_map(antes, leer_muestra)?
                .collect::<Result<_, _>>()?;
            let eventos = tx
                .prepare_cached(
                    "SELECT posicion, leidos_hasta FROM corrida
                     WHERE tarea <> ?1 AND fin <= ?2 ORDER BY fin DESC, id DESC LIMIT 1",
                )?
                .query_row(antes, |fila| {
                    Ok((fila.get(0)?, Instante(numero(fila.get(1)?))))
                })
                .optional()?;
            Ok(Muestra { colas, eventos })
        })
    }

    /// Keeps a run with its samples, in the place of an earlier run of the same call.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn guardar(
        &self,
        corrida: &Corrida,
        colas: &BTreeMap<String, Totales>,
    ) -> Result<(), ErrorArchivo> {
        self.archivo.escribir::<_, ErrorArchivo>(|tx| {
            tx.execute("DELETE FROM corrida WHERE tarea = ?1", [&corrida.tarea])?;
            tx.execute(
                "INSERT INTO corrida (tarea, inicio, fin, posicion, leidos_hasta)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    corrida.tarea,
                    columna(corrida.inicio.0),
                    columna(corrida.fin.0),
                    corrida.posicion,
                    columna(corrida.leidos_hasta.0),
                ],
            )?;
            let id = tx.last_insert_rowid();
            let mut poner = tx.prepare_cached(
                "INSERT INTO muestra (corrida, cola, sent, succeeded, failed, retried, dead,
                                      revoked, crashed, returned)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            for (cola, t) in colas {
                poner.execute(params![
                    id,
                    cola,
                    columna(t.sent),
                    columna(t.succeeded),
                    columna(t.failed),
                    columna(t.retried),
                    columna(t.dead),
                    columna(t.revoked),
                    columna(t.crashed),
                    columna(t.returned),
                ])?;
            }
            tx.execute(
                "DELETE FROM corrida WHERE id NOT IN
                     (SELECT id FROM corrida ORDER BY id DESC LIMIT ?1)",
                [CORRIDAS_MAX],
            )?;
            Ok::<_, Fallo<ErrorArchivo>>(())
        })
    }
}

fn leer_muestra(fila: &Row<'_>) -> Result<(String, (Instante, Totales)), rusqlite::Error> {
    let cuenta = |n| Ok::<_, rusqlite::Error>(numero(fila.get(n)?));
    let totales = Totales {
        sent: cuenta(1)?,
        succeeded: cuenta(2)?,
        failed: cuenta(3)?,
        retried: cuenta(4)?,
        dead: cuenta(5)?,
        revoked: cuenta(6)?,
        crashed: cuenta(7)?,
        returned: cuenta(8)?,
    };
    Ok((fila.get(0)?, (Instante(cuenta(9)?), totales)))
}

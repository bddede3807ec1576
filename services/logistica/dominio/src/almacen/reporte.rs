//! What was booked in some days, by warehouse.

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::types::Type;
use serde::{Serialize, Serializer};

use super::Almacen;
use crate::error::AlmacenError;
use crate::fecha;
use crate::lugar::Lugar;
use crate::periodo::Periodo;

/// What was booked from one day to another, by warehouse; it is filled day by day.
///
/// ```
/// use logistica_dominio::{Almacen, Periodo};
///
/// # let carpeta = tempfile::tempdir()?;
/// let almacen = Almacen::abrir(carpeta.path().join("logistica.db"))?;
/// let periodo = Periodo::nuevo(Some("2026-11-01"), Some("2026-11-07"), "2026-11-22".parse()?)?;
/// let mut reporte = almacen.empezar_reporte(&periodo)?;
/// while let Some(dia) = reporte.dia_siguiente() {
///     almacen.sumar_dia(&mut reporte, dia)?;
/// }
/// assert_eq!((reporte.dias, reporte.entregas), (7, 0));
/// assert_eq!(reporte.dias, reporte.dias_en_total());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reporte {
    /// The first day.
    #[serde(with = "fecha")]
    pub desde: Date,
    /// The last day.
    #[serde(with = "fecha")]
    pub hasta: Date,
    /// Days that are in it.
    pub dias: u32,
    /// Deliveries booked.
    pub entregas: i64,
    /// Units booked.
    pub unidades: i64,
    /// The distances of all deliveries together.
    pub kilometros: Kilometros,
    /// The share of each warehouse, by its id; one that has nothing booked is there too.
    pub bodegas: Vec<BodegaReporte>,
}

/// The share of one warehouse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BodegaReporte {
    /// The warehouse.
    pub bodega: Lugar,
    /// Deliveries booked from it.
    pub entregas: i64,
    /// Units booked from it.
    pub unidades: i64,
    /// The distances of its deliveries together.
    pub kilometros: Kilometros,
}

/// A distance to 2 decimals, kept in hundredths of a km so that sums are exact; it serialises as
/// a number of km.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kilometros {
    centesimas: i64,
}

impl Kilometros {
    /// The distance in km.
    #[must_use]
    pub fn km(self) -> f64 {
        self.centesimas as f64 / 100.0
    }
}

impl Serialize for Kilometros {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.km())
    }
}

impl Reporte {
    /// The day to add next; `None` once all are in.
    #[must_use]
    pub fn dia_siguiente(&self) -> Option<Date> {
        // After the calendar's last day there is none.
        let dia = self.desde.checked_add(i64::from(self.dias).days()).ok()?;
        (dia <= self.hasta).then_some(dia)
    }

    /// How many days it has once all are in.
    #[must_use]
    pub fn dias_en_total(&self) -> u32 {
        let entre = (self.hasta - self.desde).get_days();
        u32::try_from(entre).map_or(0, |entre| entre + 1)
    }
}

impl Almacen {
    /// A report of `periodo` in which no day is yet.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn empezar_reporte(&self, periodo: &Periodo) -> Result<Reporte, AlmacenError> {
        self.leer(|tx| {
            let primero: Option<String> =
                tx.query_row("SELECT min(fecha_reserva) FROM reservas", [], |fila| {
                    fila.get(0)
                })?;
            let primero = primero.map(|texto| leer_dia(&texto)).transpose()?;
            let bodegas: Result<Vec<_>, _> = tx
                .prepare_cached(
                    "SELECT DISTINCT bodega, ciudad, lat, lon FROM existencias ORDER BY bodega",
                )?
                .query_map([], |fila| {
                    Ok(BodegaReporte {
                        bodega: Lugar::guardado(
                            fila.get(0)?,
                            fila.get(1)?,
                            fila.get(2)?,
                            fila.get(3)?,
                        ),
                        entregas: 0,
                        unidades: 0,
                        kilometros: Kilometros::default(),
                    })
                })?
                .collect();
            Ok(Reporte {
                desde: periodo.desde(primero),
                hasta: periodo.hasta(),
                dias: 0,
                entregas: 0,
                unidades: 0,
                kilometros: Kilometros::default(),
                bodegas: bodegas?,
            })
        })
    }

    /// Adds what was booked on `dia`, the report's [`dia_siguiente`](Reporte::dia_siguiente).
    ///
    /// Each day is one read of its own, so that bookings go on in between.
    ///
    /// # Errors
    /// Only the database's failures; the report is as before then.
    pub fn sumar_dia(&self, reporte: &mut Reporte, dia: Date) -> Result<(), AlmacenError> {
        let partes: Vec<(u32, i64, i64, i64)> = self.leer(|tx| {
            let filas: Result<_, rusqlite::Error> = tx
                .prepare_cached(
                    "SELECT bodega, count(*), sum(cantidad),
                            sum(CAST(round(distancia_km * 100) AS INTEGER))
                     FROM reservas WHERE fecha_reserva = ?1 GROUP BY bodega",
                )?
                .query_map([dia.to_string()], |fila| {
                    Ok((fila.get(0)?, fila.get(1)?, fila.get(2)?, fila.get(3)?))
                })?
                .collect();
            Ok(filas?)
        })?;
        for (id, entregas, unidades, centesimas) in partes {
            reporte.entregas += entregas;
            reporte.unidades += unidades;
            reporte.kilometros.centesimas += centesimas;
            // Each booking's warehouse has its stock lines: the tables say so.
            let suya = |b: &&mut BodegaReporte| b.bodega.geonameid() == id;
            if let Some(bodega) = reporte.bodegas.iter_mut().find(suya) {
                bodega.entregas += entregas;
                bodega.unidades += unidades;
                bodega.kilometros.centesimas += centesimas;
            }
        }
        reporte.dias += 1;
        Ok(())
    }
}

fn leer_dia(texto: &str) -> Result<Date, rusqlite::Error> {
    fecha::leer(texto).ok_or_else(|| {
        let motivo = format!("fecha_reserva {texto:?} is no date");
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, motivo.into())
    })
}

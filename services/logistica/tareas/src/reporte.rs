//! Reporting what was booked.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logistica_dominio::{Periodo, Reporte};
use taskq_core::{Context, TaskError, task};

use crate::entrega::juzgar;
use crate::logistica::Logistica;

/// Suma las entregas, las unidades y los kilómetros de cada bodega, por el día de su reserva, desde un día hasta otro.
///
/// Days are `YYYY-MM-DD` in UTC and both count, at most 366 of them. Without `hasta` the last one
/// is today, without `desde` the first one is that of the first booking, as far as the bound
/// allows. Each day is a step of its progress. Between two days a run that no longer counts ends.
#[task(name = "logistica.generar_reporte", queue = "logistica")]
pub fn generar_reporte(
    context: Context,
    desde: Option<String>,
    hasta: Option<String>,
) -> Result<Reporte, TaskError> {
    let hoy = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let periodo =
        Periodo::nuevo(desde.as_deref(), hasta.as_deref(), hoy).map_err(TaskError::permanent)?;
    let almacen = &context.state::<Logistica>()?.almacen;
    let mut reporte = almacen.empezar_reporte(&periodo).map_err(juzgar)?;
    while let Some(dia) = reporte.dia_siguiente() {
        if context.cancellation().is_cancelled() {
            return Err(TaskError::retry(format!("cancelled before {dia}")));
        }
        let total = reporte.dias_en_total();
        context.progress(reporte.dias.into(), total.into(), &dia.to_string());
        almacen.sumar_dia(&mut reporte, dia).map_err(juzgar)?;
    }
    let dias = u64::from(reporte.dias);
    context.progress(dias, dias, "");
    Ok(reporte)
}

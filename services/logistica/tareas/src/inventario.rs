//! Checking the stock.

use logistica_dominio::Informe;
use taskq_core::{Context, TaskError, task};

use crate::entrega::juzgar;
use crate::logistica::Logistica;

/// Comprueba que ninguna existencia es negativa y que lo reservado cuadra con lo tomado, de un
/// producto o de todos.
///
/// Answers the counts and the findings; numbers that don't add up are findings, not a failure.
#[task(name = "logistica.validar_inventario", queue = "logistica")]
pub fn validar_inventario(context: Context, sku: Option<String>) -> Result<Informe, TaskError> {
    let logistica = context.state::<Logistica>()?;
    logistica.almacen.validar(sku.as_deref()).map_err(juzgar)
}

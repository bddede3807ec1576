//! Working off one delivery.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logistica_dominio::{AlmacenError, Entrega, Resultado};
use serde_json::{Value, json};
use taskq_core::retry::{Exponential, Jitter};
use taskq_core::{Context, TaskError, task};
use tokio::task::spawn_blocking;

use crate::logistica::Logistica;

const REINTENTOS: Exponential = Exponential {
    base: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_secs(2),
    jitter: Jitter::Full,
};

/// Reserva las existencias de una entrega y estima el día en que llega.
///
/// A repeat of a booked delivery books nothing and answers the same. What another attempt cannot
/// mend (a delivery that breaks a rule, too little stock, an id booked with other content) fails
/// for good; an unreachable warehouse system and a busy stock file are tried again.
#[task(
    name = "logistica.procesar_entrega",
    queue = "logistica",
    max_retries = 15,
    retry = REINTENTOS
)]
#[expect(
    clippy::too_many_arguments,
    reason = "the eight fields of a delivery are the keyword arguments"
)]
pub async fn procesar_entrega(
    context: Context,
    entrega_id: String,
    sku: String,
    producto: String,
    cantidad: u32,
    peso_kg: f64,
    origen: BTreeMap<String, Value>,
    destino: BTreeMap<String, Value>,
    fecha_promesa: String,
) -> Result<Resultado, TaskError> {
    let campos = json!({
        "entrega_id": entrega_id, "sku": sku, "producto": producto, "cantidad": cantidad,
        "peso_kg": peso_kg, "origen": origen, "destino": destino, "fecha_promesa": fecha_promesa,
    });
    let entrega = Entrega::desde_valor(&campos).map_err(TaskError::permanent)?;
    let logistica = context.state::<Logistica>()?;
    logistica.bodega.anunciar().await?;
    let hoy = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let almacen = logistica.almacen.clone();
    let reserva = spawn_blocking(move || almacen.reservar(&entrega, hoy)).await?;
    reserva.map_err(juzgar)
}

pub(crate) fn juzgar(error: AlmacenError) -> TaskError {
    if error.is_transient() {
        TaskError::retry(error)
    } else {
        TaskError::permanent(error)
    }
}

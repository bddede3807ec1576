//! `POST /tareas`: sends one task, after checking that it can run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use logistica_dominio::{Entrega, Periodo};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use servicio::{CuerpoJson, ErrorHttp, en_plazo};
use taskq_client::{Client, SendOptions, State as Estado, TaskId, nearest};

use crate::firma::comprobar;
use crate::logistica::Logistica;

/// The task whose arguments are a delivery.
const PROCESAR_ENTREGA: &str = "logistica.procesar_entrega";
/// The task whose arguments are the two ends of a stretch of days.
const GENERAR_REPORTE: &str = "logistica.generar_reporte";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pedido {
    tarea: String,
    #[serde(default = "sin_parametros")]
    parametros: Value,
}

fn sin_parametros() -> Value {
    Value::Object(serde_json::Map::new())
}

/// JSON that is no request is most often the parameters without what goes around them.
fn con_remedio(error: ErrorHttp) -> ErrorHttp {
    if error.status != StatusCode::UNPROCESSABLE_ENTITY {
        return error;
    }
    ErrorHttp::nuevo(
        error.status,
        format!(
            r#"{}: send {{"tarea": …, "parametros": {{…}}}}"#,
            error.mensaje
        ),
    )
}

#[derive(Serialize)]
pub(crate) struct Enviada {
    task_id: TaskId,
    estado: Estado,
}

pub(crate) async fn enviar(
    State(logistica): State<Arc<Logistica>>,
    pedido: Result<CuerpoJson<Pedido>, ErrorHttp>,
) -> Result<(StatusCode, Json<Enviada>), ErrorHttp> {
    let CuerpoJson(pedido) = pedido.map_err(con_remedio)?;
    // The domain's rules first: they hold whatever a worker published, and need no broker.
    comprobar_dominio(&pedido)?;
    let enviada = en_plazo(mandar(&logistica, pedido)).await?;
    Ok((StatusCode::ACCEPTED, Json(enviada)))
}

fn comprobar_dominio(pedido: &Pedido) -> Result<(), ErrorHttp> {
    let invalida = |motivo: String| ErrorHttp::peticion_invalida(motivo);
    match pedido.tarea.as_str() {
        PROCESAR_ENTREGA => {
            Entrega::desde_valor(&pedido.parametros).map_err(|e| invalida(e.to_string()))?;
        }
        GENERAR_REPORTE => {
            // What is no text is refused by the published signature.
            let dia = |campo| pedido.parametros.get(campo).and_then(Value::as_str);
            let hoy = Timestamp::now().to_zoned(TimeZone::UTC).date();
            Periodo::nuevo(dia("desde"), dia("hasta"), hoy).map_err(|e| invalida(e.to_string()))?;
        }
        _ => {}
    }
    Ok(())
}

async fn mandar(logistica: &Logistica, pedido: Pedido) -> Result<Enviada, ErrorHttp> {
    let Pedido { tarea, parametros } = pedido;
    let publicada = logistica.cliente.task(&tarea).await?;
    let Some(publicada) = publicada else {
        return Err(sin_publicar(&logistica.cliente, &tarea).await?);
    };
    comprobar(&publicada, &parametros)?;
    let opciones = SendOptions::default().queue(publicada.queue.as_str());
    let llamada = logistica
        .cliente
        .send_by_name(&tarea, (), parametros, opciones)
        .await?;
    Ok(Enviada {
        task_id: llamada.id(),
        estado: Estado::Queued,
    })
}

/// 503, with the name that was probably meant.
async fn sin_publicar(cliente: &Client, tarea: &str) -> Result<ErrorHttp, ErrorHttp> {
    let publicadas = cliente.tasks().await?;
    let nombres = publicadas.iter().map(|publicada| publicada.name.as_str());
    let parecida = match nearest(tarea, nombres) {
        Some(otra) => format!("did you mean {otra}? See"),
        None => "see".to_owned(),
    };
    let nombre: String = tarea.chars().take(100).collect();
    Ok(ErrorHttp::no_disponible(format!(
        "no worker has published the task {nombre:?}: {parecida} GET /tareas for those that exist, or start a worker that \
         offers it"
    )))
}

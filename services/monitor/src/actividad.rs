//! `GET /monitor/actividad`: what was noted, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use monitor_dominio::{Actividad, ErrorArchivo, PAGINA_MAX};
use serde::{Deserialize, Serialize};
use servicio::ErrorHttp;
use tokio::task::spawn_blocking;

use crate::monitor::Monitor;

/// So many notes are told unless asked otherwise.
const PAGINA: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consulta {
    /// How many notes at most.
    limite: Option<u32>,
    /// Only notes before this number.
    antes: Option<i64>,
}

#[derive(Serialize)]
pub(crate) struct Pagina {
    actividad: Vec<Actividad>,
}

pub(crate) async fn consultar(
    State(monitor): State<Arc<Monitor>>,
    consulta: Result<Query<Consulta>, QueryRejection>,
) -> Result<Json<Pagina>, ErrorHttp> {
    let Query(Consulta { limite, antes }) = consulta?;
    let limite = limite.unwrap_or(PAGINA);
    if !(1..=PAGINA_MAX).contains(&limite) {
        return Err(ErrorHttp::peticion_invalida(format!(
            "field `limite`: is {limite}: send 1 to {PAGINA_MAX}"
        )));
    }
    let bitacora = monitor.bitacora.clone();
    let leida = spawn_blocking(move || bitacora.actividad(limite, antes))
        .await
        .map_err(|error| interno(&format!("reading the activity log: {error}")))?;
    let actividad = leida.map_err(|error| de_archivo(&error))?;
    Ok(Json(Pagina { actividad }))
}

fn de_archivo(error: &ErrorArchivo) -> ErrorHttp {
    if error.is_transient() {
        ErrorHttp::no_disponible(error.to_string())
    } else {
        interno(&error.to_string())
    }
}

/// 500, with the cause in the log alone: it may name paths of this machine.
fn interno(causa: &str) -> ErrorHttp {
    tracing::error!("{causa}");
    ErrorHttp::nuevo(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the activity log cannot be read: see the service's log",
    )
}

//! `GET /monitor/actividad`: what was noted, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use monitor_dominio::{Actividad, ErrorArchivo, PAGINA_MAX};
use serde::Serialize;
use servicio::{Consulta, ErrorHttp};
use tokio::task::spawn_blocking;

use crate::monitor::Monitor;

/// So many notes are told unless asked otherwise.
const PAGINA: u32 = 100;

#[derive(Serialize)]
pub(crate) struct Pagina {
    actividad: Vec<Actividad>,
}

pub(crate) async fn consultar(
    State(monitor): State<Arc<Monitor>>,
    consulta: Consulta,
) -> Result<Json<Pagina>, ErrorHttp> {
    consulta.solo(&["limite", "antes"])?;
    let limites = 1..=PAGINA_MAX;
    let permitido = format!("1 to {PAGINA_MAX}");
    let limite = consulta.numero("limite", &permitido, |n| limites.contains(n))?;
    let limite = limite.unwrap_or(PAGINA);
    let antes = consulta.numero("antes", "the `id` of a note", |n: &i64| *n >= 0)?;
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

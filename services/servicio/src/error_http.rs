//! Errors as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Characters kept of each end of a rejection's message, which can repeat the client's input: the
/// start says what was being read, the end why it failed.
const EXTREMO_MAX: usize = 149;

/// How much of what a client sent an answer repeats, in characters.
const CITA_MAX: usize = 40;

/// An error answer: its status and, as the body, `{"error": "<message>"}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {mensaje}")]
pub struct ErrorHttp {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong and what to do about it, for the client's reader.
    pub mensaje: String,
}

impl ErrorHttp {
    /// An error with any status.
    pub fn nuevo(status: StatusCode, mensaje: impl Into<String>) -> Self {
        Self {
            status,
            mensaje: mensaje.into(),
        }
    }

    /// 400: the request is malformed.
    pub fn peticion_invalida(mensaje: impl Into<String>) -> Self {
        Self::nuevo(StatusCode::BAD_REQUEST, mensaje)
    }

    /// 404: there is no such thing.
    pub fn no_encontrado(mensaje: impl Into<String>) -> Self {
        Self::nuevo(StatusCode::NOT_FOUND, mensaje)
    }

    /// 503: something the service depends on is away; the same request may succeed later.
    pub fn no_disponible(mensaje: impl Into<String>) -> Self {
        Self::nuevo(StatusCode::SERVICE_UNAVAILABLE, mensaje)
    }

    pub(crate) fn de_rechazo(status: StatusCode, texto: &str) -> Self {
        let sobran = texto.chars().count().saturating_sub(2 * EXTREMO_MAX);
        if sobran == 0 {
            return Self::nuevo(status, texto);
        }
        let inicio: String = texto.chars().take(EXTREMO_MAX).collect();
        let fin: String = texto.chars().skip(EXTREMO_MAX + sobran).collect();
        Self::nuevo(status, format!("{inicio}…{fin}"))
    }
}

impl IntoResponse for ErrorHttp {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.mensaje }))).into_response()
    }
}

/// What a client sent, shortened and with nothing in it that is no text.
pub(crate) fn citar(texto: &str) -> String {
    let corto: String = texto.chars().take(CITA_MAX).collect();
    let resto = if corto.len() < texto.len() { "…" } else { "" };
    format!("{}{resto}", corto.escape_debug())
}

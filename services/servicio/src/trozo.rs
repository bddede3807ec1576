//! The part of a path that a route leaves open, `/tareas/{id}`.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::error_http::ErrorHttp;

/// Extracts the one part of the path that the route leaves open, as text.
///
/// Refuses what is no UTF-8 with a JSON error: 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trozo(
    /// The text, with what was sent as `%…` decoded.
    pub String,
);

impl<S: Send + Sync> FromRequestParts<S> for Trozo {
    type Rejection = ErrorHttp;

    async fn from_request_parts(partes: &mut Parts, estado: &S) -> Result<Self, ErrorHttp> {
        let leido = Path::from_request_parts(partes, estado).await;
        let Path(texto) = leido.map_err(|rechazo| {
            let ruta: String = partes.uri.path().chars().take(100).collect();
            let status = rechazo.status();
            ErrorHttp::nuevo(
                status,
                format!("{ruta} is no text: send its parts as UTF-8, percent-encoded"),
            )
        })?;
        Ok(Self(texto))
    }
}

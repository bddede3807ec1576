//! Request bodies as JSON.

use axum::Json;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::error_http::ErrorHttp;

/// Extracts a JSON body like [`axum::Json`], and refuses with a JSON error.
///
/// 400 for text that is no JSON (or nested deeper than 127), 413 above
/// [`CUERPO_MAX`](crate::CUERPO_MAX), 415 without `Content-Type: application/json`, 422 for JSON of
/// another shape than `T`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CuerpoJson<T>(
    /// The parsed body.
    pub T,
);

impl<S, T> FromRequest<S> for CuerpoJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ErrorHttp;

    async fn from_request(peticion: Request, estado: &S) -> Result<Self, ErrorHttp> {
        let Json(valor) = Json::from_request(peticion, estado).await?;
        Ok(Self(valor))
    }
}

//! Request bodies as JSON objects.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::aplicacion::CUERPO_MAX;
use crate::error_http::{ErrorHttp, citar};
use crate::repetida::clave_repetida;

/// Extracts a JSON object from the body like [`axum::Json`], and refuses with a JSON error.
///
/// 400 for text that is no JSON (or nested deeper than 127) and for a name that an object gives
/// twice, 413 above [`CUERPO_MAX`], 415 without `Content-Type: application/json`, 422 for JSON that
/// is no object, or one of another shape than `T`.
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
        let texto = Json::<Box<RawValue>>::from_request(peticion, estado).await;
        let Json(texto) = texto.map_err(rechazo)?;
        leer(texto.get()).map(Self)
    }
}

fn leer<T: DeserializeOwned>(texto: &str) -> Result<T, ErrorHttp> {
    // A struct would be read from an array too, its fields by their order.
    if !texto.starts_with('{') {
        return Err(ErrorHttp::nuevo(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the body is no JSON object: send one, {…}",
        ));
    }
    if let Some(clave) = clave_repetida(texto) {
        return Err(ErrorHttp::peticion_invalida(format!(
            "field `{}`: given twice: send it once",
            citar(&clave)
        )));
    }
    serde_json::from_str(texto).map_err(|error| match error.classify() {
        Category::Data => ErrorHttp::de_rechazo(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("the body is not what is expected here: {error}"),
        ),
        _ => ilegible(&error.to_string()),
    })
}

fn ilegible(motivo: &str) -> ErrorHttp {
    ErrorHttp::de_rechazo(
        StatusCode::BAD_REQUEST,
        &format!("the body is no JSON that can be read: {motivo}"),
    )
}

/// What axum refuses, in words for people who know neither axum nor Rust.
fn rechazo(rechazo: JsonRejection) -> ErrorHttp {
    let status = rechazo.status();
    match (&rechazo, status) {
        (JsonRejection::MissingJsonContentType(_), _) => ErrorHttp::nuevo(
            status,
            "send the body with `Content-Type: application/json`",
        ),
        (_, StatusCode::PAYLOAD_TOO_LARGE) => ErrorHttp::nuevo(
            status,
            format!("the body is larger than {CUERPO_MAX} bytes, which is the limit: send less"),
        ),
        (JsonRejection::BytesRejection(_), _) => ErrorHttp::nuevo(
            status,
            "the body could not be read to its end: send it again",
        ),
        _ => {
            let causa = std::error::Error::source(&rechazo).map(ToString::to_string);
            ilegible(&causa.unwrap_or_else(|| "check its syntax".to_owned()))
        }
    }
}

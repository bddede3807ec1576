//! A service's routes with what all services add to theirs.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::cors::{self, OrigenCors};
use crate::error_http::ErrorHttp;

/// Largest request body, in bytes: 1 MiB.
pub const CUERPO_MAX: usize = 1024 * 1024;

/// Longest time from a request's headers to its answer's: 10 s. A streamed body may take longer.
pub const ESPERA_MAX: Duration = Duration::from_secs(10);

/// Completes `rutas` to the service `nombre`.
///
/// Adds `GET /health` (200, `{"status": "ok", "service": nombre}`), JSON answers for unknown paths
/// (404) and methods (405), the limits [`CUERPO_MAX`] (413) and [`ESPERA_MAX`] (503), and CORS for
/// the pages of `origenes`. `rutas` must not have fallbacks or a `/health` of its own.
pub fn aplicacion(nombre: &'static str, rutas: Router, origenes: &[OrigenCors]) -> Router {
    rutas
        .route("/health", get(move || async move { salud(nombre) }))
        .fallback(sin_ruta)
        .method_not_allowed_fallback(sin_metodo)
        .layer(DefaultBodyLimit::max(CUERPO_MAX))
        .layer(middleware::from_fn(|peticion, resto| {
            limitar_espera(ESPERA_MAX, peticion, resto)
        }))
        // Outermost, so that a page may also read the errors made above.
        .layer(cors::capa(origenes))
}

fn salud(nombre: &str) -> Json<Value> {
    Json(json!({ "status": "ok", "service": nombre }))
}

async fn sin_ruta(uri: Uri) -> ErrorHttp {
    let ruta: String = uri.path().chars().take(100).collect();
    ErrorHttp::no_encontrado(format!("nothing at {ruta}: check the path"))
}

async fn sin_metodo(metodo: Method) -> ErrorHttp {
    let mensaje = format!("{metodo} is not allowed here: use one of the Allow header");
    ErrorHttp::nuevo(StatusCode::METHOD_NOT_ALLOWED, mensaje)
}

async fn limitar_espera(espera: Duration, peticion: Request, resto: Next) -> Response {
    tokio::time::timeout(espera, resto.run(peticion))
        .await
        .unwrap_or_else(|_| {
            let segundos = espera.as_secs_f32();
            ErrorHttp::no_disponible(format!("no answer within {segundos} s: try again later"))
                .into_response()
        })
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tower::ServiceExt;

    use super::limitar_espera;

    #[tokio::test]
    async fn a_handler_that_hangs_is_answered_for() {
        let espera = Duration::from_millis(20);
        let app = Router::new()
            .route("/", get(|| async { pending::<()>().await }))
            .layer(middleware::from_fn(move |peticion, resto| {
                limitar_espera(espera, peticion, resto)
            }));
        let peticion = Request::new(Body::empty());
        let respuesta = app.oneshot(peticion).await.unwrap();
        assert_eq!(respuesta.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

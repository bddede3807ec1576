//! A service in this process, asked without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use serde_json::Value;
use tower::ServiceExt;

use crate::respuesta::partes;

/// Asks `app` for `que`, as `GET /health`, or `POST /tareas text/plain` where the body is not to be sent as JSON; status and
/// body of the answer.
///
/// # Panics
/// When `que` is no request, or the answer is no JSON.
pub async fn pedir(app: &Router, que: &str, cuerpo: &str) -> (StatusCode, Value) {
    let (metodo, ruta, tipo) = partes(que);
    let peticion = Request::builder().method(metodo).uri(ruta);
    let peticion = peticion.header("content-type", tipo);
    let peticion = peticion.body(Body::from(cuerpo.to_owned()));
    let respuesta = app.clone().oneshot(peticion.expect("a request")).await;
    let Ok(respuesta) = respuesta;
    let (cabeza, cuerpo) = respuesta.into_parts();
    let bytes = to_bytes(cuerpo, usize::MAX).await.expect("a body");
    let valor = serde_json::from_slice(&bytes);
    let valor = valor.unwrap_or_else(|_| {
        let texto = String::from_utf8_lossy(&bytes);
        panic!("{que} is answered {} with no JSON: {texto}", cabeza.status)
    });
    (cabeza.status, valor)
}

//! Calling the application without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde_json::Value;
use servicio::{CuerpoJson, OrigenCors, aplicacion};
use tower::ServiceExt;

#[derive(Deserialize)]
pub(crate) struct Suma {
    a: i64,
    b: i64,
}

/// A service with one endpoint, called from pages of `origen`.
pub(crate) fn app(origen: &str) -> Router {
    let sumar = |CuerpoJson(suma): CuerpoJson<Suma>| async move { (suma.a + suma.b).to_string() };
    let crudo = |CuerpoJson(_): CuerpoJson<Value>| async { "ok" };
    let rutas = Router::new()
        .route("/suma", post(sumar))
        .route("/crudo", post(crudo));
    let origenes: Vec<OrigenCors> = origen.split(',').map(|o| o.parse().unwrap()).collect();
    aplicacion("prueba", rutas, &origenes)
}

pub(crate) async fn llamar(peticion: Request) -> Response {
    app("http://localhost:4200")
        .oneshot(peticion)
        .await
        .unwrap()
}

/// Status, headers and JSON body of the answer.
pub(crate) async fn json(peticion: Request) -> (StatusCode, HeaderMap, Value) {
    let (partes, cuerpo) = llamar(peticion).await.into_parts();
    let bytes = to_bytes(cuerpo, usize::MAX).await.unwrap();
    let valor = serde_json::from_slice(&bytes).unwrap();
    (partes.status, partes.headers, valor)
}

pub(crate) fn pedir(metodo: &str, ruta: &str) -> Request {
    Request::builder()
        .method(metodo)
        .uri(ruta)
        .body(Body::empty())
        .unwrap()
}

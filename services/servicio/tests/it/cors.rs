//! Which pages may call.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use tower::ServiceExt;

use crate::peticion::app;

/// Headers of the answer to a page of `origen` when the service allows `permitidos`.
async fn desde(permitidos: &str, origen: &str, metodo: &str, ruta: &str) -> HeaderMap {
    let peticion = Request::builder()
        .method(metodo)
        .uri(ruta)
        .header("origin", origen)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .body(Body::empty())
        .unwrap();
    let respuesta = app(permitidos).oneshot(peticion).await.unwrap();
    respuesta.headers().clone()
}

const PERMITIDO: &str = "access-control-allow-origin";
const FRONTEND: &str = "http://localhost:4200";

#[tokio::test]
async fn the_frontend_may_call_and_read_errors() {
    let previa = desde(FRONTEND, FRONTEND, "OPTIONS", "/suma").await;
    assert_eq!(previa[PERMITIDO], FRONTEND);
    assert!(previa.contains_key("access-control-allow-methods"));
    let error = desde(FRONTEND, FRONTEND, "GET", "/nada").await;
    assert_eq!(error[PERMITIDO], FRONTEND);
}

#[tokio::test]
async fn other_sites_may_not() {
    let ajena = desde(FRONTEND, "http://otro.example", "OPTIONS", "/suma").await;
    assert!(!ajena.contains_key(PERMITIDO));
}

#[tokio::test]
async fn a_star_among_others_allows_all() {
    let todas = desde("http://a.co,*", "http://otro.example", "GET", "/health").await;
    assert_eq!(todas[PERMITIDO], "*");
}

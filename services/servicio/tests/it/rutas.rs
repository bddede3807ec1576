//! What every service answers besides its own endpoints.

use axum::http::StatusCode;
use serde_json::json;

use crate::peticion::{self, pedir};

#[tokio::test]
async fn health_names_the_service() {
    let (status, _, cuerpo) = peticion::json(pedir("GET", "/health")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(cuerpo, json!({"status": "ok", "service": "prueba"}));
}

#[tokio::test]
async fn an_unknown_path_is_a_json_404() {
    let (status, _, cuerpo) = peticion::json(pedir("GET", "/nada")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(cuerpo, json!({"error": "nothing at /nada: check the path"}));
}

#[tokio::test]
async fn a_wrong_method_is_a_json_405_that_says_which_are_right() {
    let (status, cabeceras, cuerpo) = peticion::json(pedir("DELETE", "/suma")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(cabeceras["allow"], "POST");
    assert!(cuerpo["error"].as_str().unwrap().contains("DELETE"));
    let (status, ..) = peticion::json(pedir("POST", "/health")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

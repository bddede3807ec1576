//! Which bodies are taken, and how the others are refused.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use servicio::CUERPO_MAX;

use crate::peticion::{self, llamar};

fn enviar(ruta: &str, tipo: &str, cuerpo: impl Into<Body>) -> Request {
    Request::post(ruta)
        .header("content-type", tipo)
        .body(cuerpo.into())
        .unwrap()
}

/// Sends a body that must be refused and returns status and message.
async fn rechazo(ruta: &str, tipo: &str, cuerpo: impl Into<Body>) -> (StatusCode, String) {
    let (status, _, valor) = peticion::json(enviar(ruta, tipo, cuerpo)).await;
    let mensaje = valor["error"].as_str().unwrap().to_owned();
    assert_eq!(valor.as_object().unwrap().len(), 1);
    assert!(
        !mensaje.is_empty() && mensaje.chars().count() <= 300,
        "{mensaje}"
    );
    (status, mensaje)
}

#[tokio::test]
async fn a_good_body_reaches_the_handler() {
    let peticion = enviar(
        "/suma",
        "application/json; charset=utf-8",
        r#"{"a":1,"b":2}"#,
    );
    assert_eq!(llamar(peticion).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_fault_has_its_status_and_says_what_it_is() {
    let json = "application/json";
    let (status, mensaje) = rechazo("/suma", json, "not json").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(mensaje.contains("JSON"), "{mensaje}");
    let (status, _) = rechazo("/suma", json, "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, mensaje) = rechazo("/suma", "text/plain", "{}").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(mensaje.contains("Content-Type"), "{mensaje}");
    let (status, mensaje) = rechazo("/suma", json, r#"{"a":1}"#).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(mensaje.contains("`b`"), "{mensaje}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_one_at_it_is_not() {
    let texto = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
    let (status, mensaje) = rechazo("/crudo", "application/json", texto(CUERPO_MAX + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(mensaje.contains(&CUERPO_MAX.to_string()), "{mensaje}");
    let justa = enviar("/crudo", "application/json", texto(CUERPO_MAX));
    assert_eq!(llamar(justa).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn deep_nesting_is_an_error_not_a_crash() {
    let cerrado = |abre: &str, dentro: &str, cierra: &str, veces: usize| {
        format!(
            r#"{{"a":{}{dentro}{}}}"#,
            abre.repeat(veces),
            cierra.repeat(veces)
        )
    };
    for cuerpo in [
        cerrado("[", "", "]", 500_000),
        cerrado(r#"{"a":"#, "1", "}", 150_000),
    ] {
        let (status, mensaje) = rechazo("/crudo", "application/json", cuerpo).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(mensaje.contains("recursion limit"), "{mensaje}");
    }
    for cuerpo in ["[".repeat(500_000), r#"{"a":"#.repeat(150_000)] {
        let (status, _) = rechazo("/crudo", "application/json", cuerpo).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn only_an_object_will_do() {
    for cuerpo in ["[1,2]", "[]", "null", "\"x\"", " 3"] {
        for ruta in ["/suma", "/crudo"] {
            let (status, mensaje) = rechazo(ruta, "application/json", cuerpo).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{cuerpo}");
            assert!(mensaje.contains("JSON object"), "{mensaje}");
        }
    }
}

#[tokio::test]
async fn a_name_given_twice_is_named_at_any_depth() {
    for cuerpo in [r#"{"a":1,"b":2,"a":3}"#, r#"{"b":[{"a":1,"a":1}]}"#] {
        let (status, mensaje) = rechazo("/crudo", "application/json", cuerpo).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(mensaje.contains("field `a`: given twice"), "{mensaje}");
    }
}

//! `POST /tareas`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::datos::{entregas, malas, pedido};
use crate::escenario::Escenario;

fn validar(parametros: &Value) -> String {
    json!({"tarea": "logistica.validar_inventario", "parametros": parametros}).to_string()
}

#[tokio::test]
async fn a_delivery_is_accepted_and_lies_in_the_published_queue() {
    let escenario = Escenario::publicado().await;
    let (estado, cuerpo) = escenario.post(&pedido(entregas().next().unwrap())).await;
    assert_eq!(
        (estado, &cuerpo["estado"]),
        (StatusCode::ACCEPTED, &json!("QUEUED"))
    );
    assert_eq!(cuerpo.as_object().unwrap().len(), 2, "{cuerpo}");
    assert_eq!(escenario.en_cola().await, 1);
}

#[tokio::test]
async fn a_task_is_accepted_while_no_worker_lives_but_not_before_one_ever_did() {
    let escenario = Escenario::publicado().await;
    escenario.retirar().await;
    escenario
        .aceptada(&pedido(entregas().next().unwrap()))
        .await;

    let escenario = Escenario::nuevo();
    let (estado, cuerpo) = escenario.post(&pedido(entregas().next().unwrap())).await;
    assert_eq!(estado, StatusCode::SERVICE_UNAVAILABLE);
    let error = cuerpo["error"].as_str().unwrap();
    assert!(
        error.contains("logistica.procesar_entrega") && error.contains("start a worker"),
        "{error}"
    );
    assert_eq!(escenario.en_cola().await, 0);
}

#[tokio::test]
async fn each_bad_line_is_refused_and_sends_nothing() {
    let escenario = Escenario::publicado().await;
    for linea in malas() {
        let (estado, cuerpo) = escenario.post(&pedido(linea)).await;
        assert!(
            estado.is_client_error(),
            "{estado} {cuerpo} for {linea:.80}"
        );
        assert!(!cuerpo["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(escenario.en_cola().await, 0);
}

#[tokio::test]
async fn a_delivery_that_breaks_a_rule_is_refused_by_the_name_of_its_field() {
    let escenario = Escenario::publicado().await;
    let buena: Value = serde_json::from_str(entregas().next().unwrap()).unwrap();
    let malas = [
        ("sku", json!("PROD999")),
        ("cantidad", json!(0)),
        ("cantidad", json!(10_001)),
        ("peso_kg", json!("2")),
        ("fecha_promesa", json!("2026-02-29")),
        ("extra", json!(1)),
    ];
    for (campo, valor) in malas {
        let mut entrega = buena.clone();
        entrega[campo] = valor;
        campo_malo(&escenario, &pedido(&entrega.to_string()), campo).await;
    }
    for (lugar, campo) in [("origen", "lat"), ("destino", "lon")] {
        let mut entrega = buena.clone();
        entrega[lugar][campo] = json!(400);
        campo_malo(
            &escenario,
            &pedido(&entrega.to_string()),
            &format!("{lugar}.{campo}"),
        )
        .await;
    }
    assert_eq!(escenario.en_cola().await, 0);
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_published_signature_are_refused_by_name() {
    let escenario = Escenario::publicado().await;
    campo_malo(&escenario, &validar(&json!({"sku": 5})), "sku").await;
    campo_malo(
        &escenario,
        &validar(&json!({"sku": "PROD001", "otro": 1})),
        "otro",
    )
    .await;
    campo_malo(&escenario, &validar(&json!([])), "parametros").await;
    assert_eq!(escenario.en_cola().await, 0);
    for buenos in [json!({}), json!({"sku": null}), json!({"sku": "PROD001"})] {
        escenario.aceptada(&validar(&buenos)).await;
    }
    escenario
        .aceptada(r#"{"tarea":"logistica.validar_inventario"}"#)
        .await;
    assert_eq!(escenario.en_cola().await, 4);
}

#[tokio::test]
async fn days_that_no_report_can_cover_are_refused_by_the_name_of_their_field() {
    let escenario = Escenario::publicado().await;
    let reporte = |parametros: Value| {
        json!({"tarea": "logistica.generar_reporte", "parametros": parametros}).to_string()
    };
    for (parametros, campo) in [
        (json!({"desde": "2026-02-29"}), "desde"),
        (json!({"desde": 20_260_201}), "desde"),
        (json!({"hasta": "mañana"}), "hasta"),
        (
            json!({"desde": "2026-11-02", "hasta": "2026-11-01"}),
            "desde",
        ),
        (
            json!({"desde": "2024-01-01", "hasta": "2026-01-01"}),
            "desde",
        ),
        (json!({"mes": "2026-11"}), "mes"),
    ] {
        campo_malo(&escenario, &reporte(parametros), campo).await;
    }
    assert_eq!(escenario.en_cola().await, 0);
    for buenos in [json!({}), json!({"desde": null, "hasta": "2026-11-01"})] {
        escenario.aceptada(&reporte(buenos)).await;
    }
    assert_eq!(escenario.en_cola().await, 2);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let escenario = Escenario::publicado().await;
    for (cuerpo, esperado) in [
        ("", StatusCode::BAD_REQUEST),
        ("{", StatusCode::BAD_REQUEST),
        ("[]", StatusCode::UNPROCESSABLE_ENTITY),
        (
            r#"["logistica.validar_inventario",{}]"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            r#"{"entrega_id":"ENT-000001"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (r#"{"parametros":{}}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (
            r#"{"tarea":"logistica.validar_inventario","cola":"x"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let (estado, respuesta) = escenario.post(cuerpo).await;
        assert_eq!(estado, esperado, "{cuerpo}: {respuesta}");
        let error = respuesta["error"].as_str().unwrap();
        assert!(!error.contains("Pedido"), "{error}");
        assert_eq!(
            error.contains(r#"send {"tarea": …, "parametros": {…}}"#),
            esperado == StatusCode::UNPROCESSABLE_ENTITY,
            "{error}"
        );
    }
    assert_eq!(escenario.en_cola().await, 0);
}

#[tokio::test]
async fn a_parameter_given_twice_is_refused_by_name() {
    let escenario = Escenario::publicado().await;
    let doble = r#"{"tarea":"logistica.validar_inventario","parametros":{"sku":"PROD001","sku":"PROD002"}}"#;
    campo_malo(&escenario, doble, "sku").await;
    assert_eq!(escenario.en_cola().await, 0);
}

/// The answer is 400, and says which field is wrong.
async fn campo_malo(escenario: &Escenario, cuerpo: &str, campo: &str) {
    let (estado, respuesta) = escenario.post(cuerpo).await;
    assert_eq!(estado, StatusCode::BAD_REQUEST, "{cuerpo}: {respuesta}");
    let error = respuesta["error"].as_str().unwrap();
    assert!(error.contains(&format!("field `{campo}`")), "{error}");
}

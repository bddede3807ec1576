//! `GET /tareas/{id}`.

use axum::http::StatusCode;
use logistica_dominio::Entrega;
use serde_json::{Value, json};

use crate::datos::{entregas, pedido};
use crate::escenario::Escenario;

/// The answer with its id and its times replaced, after checking that they are times.
fn sin_azar(mut tarea: Value) -> Value {
    for campo in ["creada", "iniciada", "terminada"] {
        if let Some(texto) = tarea[campo].as_str() {
            let vale = texto.len() == 24
                && texto.ends_with('Z')
                && texto.parse::<jiff::Timestamp>().is_ok();
            assert!(vale, "{campo} is no RFC 3339 time in UTC: {texto}");
            tarea[campo] = json!("[time]");
        }
    }
    if tarea["resultado"]["fecha_estimada"].is_string() {
        tarea["resultado"]["fecha_estimada"] = json!("[date]");
    }
    tarea["task_id"] = json!("[id]");
    tarea
}

#[tokio::test]
async fn a_task_that_waits() {
    let escenario = Escenario::publicado().await;
    let id = escenario
        .aceptada(&pedido(entregas().next().unwrap()))
        .await;
    let (estado, tarea) = escenario.get(&format!("/tareas/{id}")).await;
    assert_eq!(
        (estado, tarea["task_id"].as_str()),
        (StatusCode::OK, Some(id.as_str()))
    );
    insta::assert_json_snapshot!(sin_azar(tarea));
}

#[tokio::test]
async fn a_delivery_that_was_booked() {
    let escenario = Escenario::publicado().await;
    let id = escenario
        .aceptada(&pedido(entregas().next().unwrap()))
        .await;
    let tarea = escenario.terminada(&id).await;
    insta::assert_json_snapshot!(sin_azar(tarea));
    assert_eq!(escenario.almacen.validar(None).unwrap().reservas, 1);
}

#[tokio::test]
async fn a_report_of_some_days() {
    let escenario = Escenario::publicado().await;
    for linea in entregas().take(3) {
        let entrega = Entrega::desde_valor(&serde_json::from_str(linea).unwrap()).unwrap();
        escenario
            .almacen
            .reservar(&entrega, jiff::civil::date(2026, 11, 2))
            .unwrap();
    }
    let pedido = json!({
        "tarea": "logistica.generar_reporte",
        "parametros": {"desde": "2026-11-01", "hasta": "2026-11-03"},
    });
    let id = escenario.aceptada(&pedido.to_string()).await;
    let tarea = escenario.terminada(&id).await;
    insta::assert_json_snapshot!(sin_azar(tarea));
}

#[tokio::test]
async fn a_delivery_that_can_not_be_booked_fails_at_once_and_says_why() {
    let escenario = Escenario::publicado().await;
    let mut entrega: Value = serde_json::from_str(entregas().next().unwrap()).unwrap();
    entrega["cantidad"] = json!(10_000);
    let id = escenario.aceptada(&pedido(&entrega.to_string())).await;
    let tarea = escenario.terminada(&id).await;
    insta::assert_json_snapshot!(sin_azar(tarea));
    assert_eq!(escenario.almacen.validar(None).unwrap().reservas, 0);
}

#[tokio::test]
async fn an_id_that_nobody_knows_is_404_and_what_is_no_id_is_400() {
    let escenario = Escenario::publicado().await;
    let (estado, cuerpo) = escenario
        .get("/tareas/0193f3a0-0000-7000-8000-000000000000")
        .await;
    assert_eq!(estado, StatusCode::NOT_FOUND);
    assert!(
        cuerpo["error"]
            .as_str()
            .unwrap()
            .starts_with("unknown or expired"),
        "{cuerpo}"
    );
    for ruta in [
        "/tareas/7",
        "/tareas/%FF",
        "/tareas/0193f3a0-0000-7000-8000-00000000000g",
    ] {
        let (estado, cuerpo) = escenario.get(ruta).await;
        assert_eq!(estado, StatusCode::BAD_REQUEST, "{ruta}");
        assert!(cuerpo["error"].is_string(), "{cuerpo}");
    }
}

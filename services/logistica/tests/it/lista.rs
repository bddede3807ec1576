//! `GET /tareas`.

use axum::http::StatusCode;
use serde_json::json;

use crate::escenario::Escenario;

#[tokio::test]
async fn what_workers_published_is_listed() {
    let (estado, cuerpo) = Escenario::publicado().await.get("/tareas").await;
    assert_eq!(estado, StatusCode::OK);
    insta::assert_json_snapshot!(cuerpo);
}

#[tokio::test]
async fn before_any_worker_the_list_is_empty() {
    let (estado, cuerpo) = Escenario::nuevo().get("/tareas").await;
    assert_eq!((estado, cuerpo), (StatusCode::OK, json!({"tareas": []})));
}

#[tokio::test]
async fn a_task_whose_workers_are_gone_stays_listed_as_not_live() {
    let escenario = Escenario::publicado().await;
    escenario.retirar().await;
    let (_, cuerpo) = escenario.get("/tareas").await;
    let vivas: Vec<_> = cuerpo["tareas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["viva"])
        .collect();
    assert_eq!(vivas, [false, false, false]);
}

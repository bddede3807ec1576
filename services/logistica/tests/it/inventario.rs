//! `GET /inventario/{sku}`.

use axum::http::StatusCode;

use crate::datos::inventario;
use crate::escenario::Escenario;

#[tokio::test]
async fn a_product_is_shown_with_its_warehouses() {
    let (estado, cuerpo) = Escenario::nuevo().get("/inventario/PROD001").await;
    assert_eq!(estado, StatusCode::OK);
    insta::assert_json_snapshot!(cuerpo);
    let lineas = inventario();
    let cuantas = lineas.iter().filter(|l| l["sku"] == "PROD001").count();
    assert_eq!(cuerpo["bodegas"].as_array().unwrap().len(), cuantas);
}

#[tokio::test]
async fn an_unknown_product_is_404_and_what_is_no_text_is_400() {
    let escenario = Escenario::nuevo();
    let (estado, cuerpo) = escenario.get("/inventario/PROD999").await;
    assert_eq!(estado, StatusCode::NOT_FOUND);
    assert!(
        cuerpo["error"].as_str().unwrap().contains("PROD999"),
        "{cuerpo}"
    );
    let (estado, _) = escenario.get("/inventario/%FF").await;
    assert_eq!(estado, StatusCode::BAD_REQUEST);
}

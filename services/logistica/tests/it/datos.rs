//! The data files, as they are sent.

use serde_json::Value;

/// 5,000 deliveries, one JSON object a line.
pub(crate) fn entregas() -> impl Iterator<Item = &'static str> {
    include_str!("../../dominio/data/entregas.jsonl").lines()
}

/// 15 lines that must each be refused, most of them no JSON or no delivery.
pub(crate) fn malas() -> Vec<&'static str> {
    let lineas: Vec<_> = include_str!("../../dominio/data/entregas_malas.jsonl")
        .lines()
        .collect();
    assert_eq!(lineas.len(), 15);
    lineas
}

/// The stock lines a new stock file starts with.
pub(crate) fn inventario() -> Vec<Value> {
    include_str!("../../dominio/data/inventario.jsonl")
        .lines()
        .map(|linea| serde_json::from_str(linea).unwrap())
        .collect()
}

/// The body that sends `linea` as a delivery; not JSON if `linea` is not.
pub(crate) fn pedido(linea: &str) -> String {
    format!(r#"{{"tarea":"logistica.procesar_entrega","parametros":{linea}}}"#)
}

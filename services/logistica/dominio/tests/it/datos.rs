//! What the tests share: the data files, a fresh stock, a valid delivery to alter.

use jiff::civil::Date;
use logistica_dominio::{Almacen, Entrega};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ENTREGAS: &str = include_str!("../../data/entregas.jsonl");
pub(crate) const MALAS: &str = include_str!("../../data/entregas_malas.jsonl");

pub(crate) const HOY: Date = jiff::civil::date(2026, 11, 1);
/// Kennedy's warehouse and what it starts with of PROD001.
pub(crate) const KENNEDY: (u32, u32) = (7_033_318, 265);

pub(crate) fn nuevo() -> (TempDir, Almacen) {
    let carpeta = tempfile::tempdir().unwrap();
    let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
    (carpeta, almacen)
}

pub(crate) fn valida() -> Value {
    json!({
        "entrega_id": "ENT-1", "sku": "PROD001", "producto": "panela orgánica 500 g",
        "cantidad": 2, "peso_kg": 1.5,
        "origen": {"geonameid": 7033318, "ciudad": "Kennedy", "lat": 4.6165, "lon": -74.14597},
        "destino": {"geonameid": 3687925, "ciudad": "Cali", "lat": 3.43054, "lon": -76.5199},
        "fecha_promesa": "2026-11-03",
    })
}

pub(crate) fn entrega(id: &str, cantidad: u32) -> Entrega {
    let mut valor = valida();
    valor["entrega_id"] = json!(id);
    valor["cantidad"] = json!(cantidad);
    Entrega::desde_valor(&valor).unwrap()
}

//! Which deliveries are accepted, and what refusals say.

use logistica_dominio::{Entrega, EntregaInvalida};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::datos::{ENTREGAS, MALAS, valida};

fn con(puntero: &str, valor: Value) -> Result<Entrega, EntregaInvalida> {
    let mut entrega = valida();
    let (padre, campo) = puntero.rsplit_once('/').unwrap();
    entrega.pointer_mut(padre).unwrap()[campo] = valor;
    Entrega::desde_valor(&entrega)
}

#[test]
fn every_delivery_of_the_file_serialises_back_to_itself() {
    for linea in ENTREGAS.lines() {
        let valor: Value = serde_json::from_str(linea).unwrap();
        let entrega = Entrega::desde_valor(&valor).unwrap();
        assert_eq!(serde_json::to_value(&entrega).unwrap(), valor);
        assert_eq!(serde_json::from_value::<Entrega>(valor).unwrap(), entrega);
    }
}

#[test]
fn every_bad_line_is_refused_with_a_short_error_that_names_a_field() {
    assert_eq!(MALAS.lines().count(), 15);
    let mut con_campo = 0;
    for linea in MALAS.lines() {
        let Ok(valor) = serde_json::from_str::<Value>(linea) else {
            continue;
        };
        let error = Entrega::desde_valor(&valor).unwrap_err();
        assert!(!error.campo.is_empty());
        assert!(error.to_string().len() < 250, "{error}");
        con_campo += 1;
    }
    assert_eq!(con_campo, 9, "the other six are not JSON");
}

#[test]
fn each_rule_names_its_field() {
    let largo = "ñ".repeat(201);
    let tabla = [
        ("/entrega_id", json!("")),
        ("/entrega_id", json!("a b")),
        ("/entrega_id", json!("A".repeat(65))),
        ("/sku", json!("PROD999")),
        ("/producto", json!(largo)),
        ("/producto", json!(7)),
        ("/cantidad", json!(0)),
        ("/cantidad", json!(10_001)),
        ("/cantidad", json!(1.5)),
        ("/cantidad", json!("2")),
        ("/peso_kg", json!(0.0)),
        ("/peso_kg", json!(-1)),
        ("/peso_kg", Value::Null),
        ("/origen", json!([])),
        ("/origen/geonameid", json!(1)),
        ("/origen/ciudad", json!(" ")),
        ("/destino/lat", json!(90.001)),
        ("/destino/lon", json!(-180.001)),
        ("/destino/barrio", json!("x")),
        ("/fecha_promesa", json!("2026-02-29")),
        ("/fecha_promesa", json!(20_261_103)),
        ("/prioridad", json!(1)),
    ];
    for (puntero, valor) in tabla {
        let error = con(puntero, valor.clone()).expect_err(puntero);
        let campo = puntero[1..].replace('/', ".");
        assert!(
            error.campo.starts_with(&campo),
            "{puntero} = {valor}: {error}"
        );
    }
}

#[test]
fn the_bounds_themselves_are_accepted() {
    let tabla = [
        ("/entrega_id", json!("a.B_9-".repeat(11)[..64])),
        ("/producto", json!("ñ".repeat(200))),
        ("/cantidad", json!(10_000)),
        ("/peso_kg", json!(1)),
        ("/destino/lat", json!(-90)),
        ("/destino/lon", json!(180.0)),
    ];
    for (puntero, valor) in tabla {
        con(puntero, valor).unwrap();
    }
}

#[test]
fn every_field_is_required() {
    let campos: Vec<String> = valida().as_object().unwrap().keys().cloned().collect();
    for campo in campos {
        let mut entrega = valida();
        entrega.as_object_mut().unwrap().remove(&campo);
        let error = Entrega::desde_valor(&entrega).unwrap_err();
        assert_eq!(error.campo, campo);
        assert!(error.motivo.contains("missing"), "{error}");
    }
}

#[test]
fn an_error_reads_as_a_sentence_with_a_remedy() {
    let error = con("/cantidad", json!(-3)).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid delivery: field `cantidad`: -3 is not a whole number from 1 to 10000; send one"
    );
}

proptest! {
    #[test]
    fn any_text_in_any_place_is_answered(texto in ".{0,300}", campo in 0..8usize) {
        let mut entrega = valida();
        let objeto = entrega.as_object_mut().unwrap();
        let clave = objeto.keys().nth(campo).unwrap().clone();
        objeto.insert(clave, Value::String(texto.clone()));
        if let Err(error) = Entrega::desde_valor(&entrega) {
            prop_assert!(!error.to_string().contains('\n'));
        }
        entrega[texto] = Value::Null;
        prop_assert!(Entrega::desde_valor(&entrega).is_err());
    }
}

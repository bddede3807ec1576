//! Samples of totals.

use std::collections::BTreeMap;

use monitor_dominio::{Bitacora, CORRIDAS_MAX, Corrida, Instante, Muestra, Totales};
use tempfile::TempDir;

fn nueva() -> (TempDir, Bitacora) {
    let carpeta = tempfile::tempdir().unwrap();
    let bitacora = Bitacora::abrir(carpeta.path().join("monitor.db")).unwrap();
    (carpeta, bitacora)
}

fn corrida(tarea: &str, inicio: u64, fin: u64) -> Corrida {
    Corrida {
        tarea: tarea.to_owned(),
        inicio: Instante(inicio),
        fin: Instante(fin),
        posicion: format!("hasta {tarea}"),
        leidos_hasta: Instante(fin),
    }
}

fn totales(sent: u64) -> Totales {
    Totales {
        sent,
        returned: sent + 1,
        ..Totales::default()
    }
}

fn guardar(bitacora: &Bitacora, corrida: &Corrida, colas: &[(&str, u64)]) {
    let colas: BTreeMap<_, _> = colas
        .iter()
        .map(|(cola, sent)| ((*cola).to_owned(), totales(*sent)))
        .collect();
    bitacora.guardar(corrida, &colas).unwrap();
}

#[test]
fn each_queue_is_compared_with_its_newest_earlier_sample() {
    let (_carpeta, bitacora) = nueva();
    let nada = bitacora.muestra_antes("t9", Instante(99)).unwrap();
    assert_eq!(nada, Muestra::default());
    guardar(&bitacora, &corrida("t1", 1, 2), &[("a", 10), ("b", 1)]);
    guardar(&bitacora, &corrida("t2", 3, 4), &[("a", 20)]);
    let antes = bitacora.muestra_antes("t9", Instante(99)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(4), totales(20)));
    assert_eq!(antes.colas["b"], (Instante(2), totales(1)));
    assert_eq!(antes.eventos, Some(("hasta t2".to_owned(), Instante(4))));
    // One that ended in the same millisecond.
    guardar(&bitacora, &corrida("t3", 4, 4), &[("a", 15)]);
    let antes = bitacora.muestra_antes("t9", Instante(99)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(4), totales(15)));
    assert_eq!(antes.eventos, Some(("hasta t3".to_owned(), Instante(4))));
}

/// It may have been told to run twice: the second run is about the same span as the first, unless another one ended in
/// between.
#[test]
fn a_repeat_of_a_call_is_not_compared_with_itself_and_takes_its_place() {
    let (_carpeta, bitacora) = nueva();
    guardar(&bitacora, &corrida("t1", 1, 2), &[("a", 10)]);
    guardar(&bitacora, &corrida("t2", 3, 4), &[("a", 20)]);
    let antes = bitacora.muestra_antes("t2", Instante(99)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(2), totales(10)));
    assert_eq!(antes.eventos.unwrap().0, "hasta t1");
    guardar(&bitacora, &corrida("t2", 5, 6), &[("a", 25)]);
    let antes = bitacora.muestra_antes("t3", Instante(99)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(6), totales(25)));
    guardar(&bitacora, &corrida("t3", 7, 8), &[("a", 30)]);
    let antes = bitacora.muestra_antes("t2", Instante(99)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(8), totales(30)));
    assert_eq!(antes.eventos.unwrap().0, "hasta t3");
}

#[test]
fn a_run_that_was_still_under_way_does_not_count() {
    let (_carpeta, bitacora) = nueva();
    guardar(&bitacora, &corrida("t1", 1, 2), &[("a", 10)]);
    guardar(&bitacora, &corrida("t2", 3, 9), &[("a", 20)]);
    let antes = bitacora.muestra_antes("t3", Instante(5)).unwrap();
    assert_eq!(antes.colas["a"], (Instante(2), totales(10)));
    assert_eq!(antes.eventos.unwrap().0, "hasta t1");
}

#[test]
fn the_samples_are_bounded() {
    let (_carpeta, bitacora) = nueva();
    guardar(&bitacora, &corrida("vieja", 0, 0), &[("sola", 1)]);
    for n in 1..=u64::from(CORRIDAS_MAX) {
        guardar(&bitacora, &corrida(&format!("t{n}"), n, n), &[("a", n)]);
    }
    let antes = bitacora.muestra_antes("t0", Instante(9_999)).unwrap();
    assert_eq!(antes.colas.keys().collect::<Vec<_>>(), ["a"]);
    let directa = rusqlite::Connection::open(bitacora.ruta()).unwrap();
    let cuantas = |tabla: &str| -> u32 {
        let sql = format!("SELECT count(*) FROM {tabla}");
        directa.query_row(&sql, [], |f| f.get(0)).unwrap()
    };
    assert_eq!(
        (cuantas("corrida"), cuantas("muestra")),
        (CORRIDAS_MAX, CORRIDAS_MAX)
    );
}

//! The activity log.

use monitor_dominio::{ACTIVIDADES_MAX, Bitacora, Instante, Nota, PAGINA_MAX};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

fn nueva() -> (TempDir, Bitacora) {
    let carpeta = tempfile::tempdir().unwrap();
    let bitacora = Bitacora::abrir(carpeta.path().join("monitor.db")).unwrap();
    (carpeta, bitacora)
}

fn nota(evento: &str) -> Nota {
    Nota::nueva(evento, None).unwrap()
}

#[test]
fn notes_are_read_newest_first_and_page_by_page() {
    let (_carpeta, bitacora) = nueva();
    let detalle = json!({"pedido": 7, "quien": ["ana"]});
    let con = Nota::nueva("primera", Some(detalle.clone())).unwrap();
    bitacora.anotar("t1", "w1@x", 1_000, &con).unwrap();
    bitacora
        .anotar("t2", "w1@x", 2_000, &nota("segunda"))
        .unwrap();
    bitacora
        .anotar("t3", "w2@x", 3_000, &nota("tercera"))
        .unwrap();

    let pagina = bitacora.actividad(2, None).unwrap();
    let eventos: Vec<_> = pagina.iter().map(|a| &*a.evento).collect();
    assert_eq!(eventos, ["tercera", "segunda"]);
    let resto = bitacora.actividad(2, Some(pagina[1].id)).unwrap();
    assert_eq!(resto.len(), 1);
    assert_eq!(
        (&resto[0].detalle, resto[0].cuando, &*resto[0].task_id),
        (&Some(detalle), Instante(1_000), "t1")
    );
}

#[test]
fn a_repeat_of_a_call_notes_nothing_and_is_answered_as_the_first_time() {
    let (_carpeta, bitacora) = nueva();
    let primera = bitacora.anotar("t1", "w1@x", 1_000, &nota("una")).unwrap();
    let otra = Bitacora::abrir(bitacora.ruta()).unwrap();
    assert_eq!(
        otra.anotar("t1", "w2@x", 2_000, &nota("una")).unwrap(),
        primera
    );
    assert_eq!(bitacora.actividad(10, None).unwrap().len(), 1);
}

#[test]
fn the_log_is_bounded_and_so_is_what_is_read_of_it() {
    let (_carpeta, bitacora) = nueva();
    let directa = Connection::open(bitacora.ruta()).unwrap();
    let llenar = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACTIVIDADES_MAX})
         INSERT INTO actividad (tarea, worker, cuando, evento) SELECT 'n' || i, 'w', i, 'e' FROM n"
    );
    directa.execute_batch(&llenar).unwrap();
    bitacora
        .anotar("t1", "w1@x", 1, &nota("la última"))
        .unwrap();
    let (cuantas, primera): (u32, i64) = directa
        .query_row("SELECT count(*), min(id) FROM actividad", [], |f| {
            Ok((f.get(0)?, f.get(1)?))
        })
        .unwrap();
    assert_eq!((cuantas, primera), (ACTIVIDADES_MAX, 2));
    let pagina = bitacora.actividad(u32::MAX, None).unwrap();
    assert_eq!(pagina.len(), PAGINA_MAX as usize);
    assert_eq!(pagina[0].evento, "la última");
}

#[test]
fn what_is_too_long_or_blank_is_refused_by_its_field() {
    for (evento, detalle, campo) in [
        (" ".to_owned(), None, "evento"),
        ("é".repeat(201), None, "evento"),
        ("x".to_owned(), Some(json!("x".repeat(8 * 1024))), "detalle"),
    ] {
        assert_eq!(Nota::nueva(evento, detalle).unwrap_err().campo, campo);
    }
    let justa = Nota::nueva("é".repeat(200), Some(json!("x".repeat(8 * 1024 - 2))));
    justa.unwrap();
}

#[test]
fn a_file_of_logistica_is_no_monitor_file() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("logistica.db");
    let ajena = Connection::open(&ruta).unwrap();
    ajena
        .execute_batch("CREATE TABLE existencias (sku TEXT); PRAGMA user_version = 1")
        .unwrap();
    let error = Bitacora::abrir(&ruta).unwrap_err().to_string();
    assert!(
        error.contains("another program's") && error.contains("MONITOR_DB"),
        "{error}"
    );
}

//! Opening: new, damaged, foreign and newer files, and many openers at once.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use logistica_dominio::{Almacen, AlmacenError, Causa};
use rusqlite::Connection;

use crate::datos::{HOY, entrega, nuevo};

/// Set for the copies of this test binary that act as another process.
const RUTA_HIJO: &str = "LOGISTICA_TEST_HIJO";

/// What is wrong with the file.
fn causa(error: &AlmacenError) -> &Causa {
    match error {
        AlmacenError::Archivo(error) => &error.causa,
        otro => panic!("it is not about the file: {otro}"),
    }
}

#[test]
fn a_new_file_gets_its_folder_and_the_whole_inventory() {
    let carpeta = tempfile::tempdir().unwrap();
    let almacen = Almacen::abrir(carpeta.path().join("a/b/logistica.db")).unwrap();
    let informe = almacen.validar(None).unwrap();
    assert_eq!(
        (informe.lineas, informe.existencias, informe.reservas),
        (120, 49_685, 0)
    );
}

#[test]
fn opening_again_keeps_the_bookings() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 3), HOY).unwrap();
    let otra = Almacen::abrir(almacen.ruta()).unwrap();
    assert_eq!(otra.validar(None).unwrap().unidades_reservadas, 3);
}

#[test]
fn threads_that_open_at_once_seed_once() {
    for _ in 0..40 {
        let carpeta = tempfile::tempdir().unwrap();
        let ruta = carpeta.path().join("logistica.db");
        let salida = Barrier::new(8);
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    salida.wait();
                    let informe = Almacen::abrir(&ruta).unwrap().validar(None).unwrap();
                    assert_eq!(informe.lineas, 120);
                });
            }
        });
    }
}

#[test]
fn processes_that_open_and_book_at_once_lose_nothing() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("logistica.db");
    let hijos: Vec<_> = (0..3)
        .map(|n| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "abrir::proceso_hijo", "--ignored"])
                .env(RUTA_HIJO, &ruta)
                .env("LOGISTICA_TEST_N", n.to_string())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut hijo in hijos {
        assert!(hijo.wait().unwrap().success());
    }
    let informe = Almacen::abrir(&ruta).unwrap().validar(None).unwrap();
    assert_eq!((informe.reservas, informe.unidades_reservadas), (40, 40));
    assert!(informe.hallazgos.is_empty());
}

/// Books ten deliveries of its own and ten that the other processes book too.
#[test]
#[ignore = "run by processes_that_open_and_book_at_once_lose_nothing"]
fn proceso_hijo() {
    let Some(ruta) = env::var_os(RUTA_HIJO) else {
        return;
    };
    let n = env::var("LOGISTICA_TEST_N").unwrap();
    let almacen = Almacen::abrir(ruta).unwrap();
    for i in 0..10 {
        almacen
            .reservar(&entrega(&format!("P{n}-{i}"), 1), HOY)
            .unwrap();
        almacen
            .reservar(&entrega(&format!("COMUN-{i}"), 1), HOY)
            .unwrap();
    }
}

#[test]
fn a_corrupt_file_is_named_and_left_alone() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("logistica.db");
    fs::write(&ruta, "no es una base de datos ".repeat(500)).unwrap();
    let antes = fs::read(&ruta).unwrap();
    let error = Almacen::abrir(&ruta).unwrap_err();
    assert!(matches!(causa(&error), Causa::Inservible(_)), "{error}");
    assert!(!error.is_transient());
    assert!(error.to_string().contains(ruta.to_str().unwrap()));
    assert_eq!(fs::read(&ruta).unwrap(), antes);
}

#[test]
fn another_programs_database_is_refused() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("otra.db");
    let ajena = Connection::open(&ruta).unwrap();
    ajena.execute_batch("CREATE TABLE clientes (id)").unwrap();
    let error = Almacen::abrir(&ruta).unwrap_err();
    assert!(error.to_string().contains("another program's"), "{error}");
}

#[test]
fn a_newer_schema_asks_for_an_upgrade() {
    let (_carpeta, almacen) = nuevo();
    let otra = Connection::open(almacen.ruta()).unwrap();
    otra.pragma_update(None, "user_version", 7).unwrap();
    let error = Almacen::abrir(almacen.ruta()).unwrap_err();
    assert!(matches!(causa(&error), Causa::EsquemaNuevo(7)), "{error}");
    let texto = error.to_string();
    assert!(texto.contains(almacen.ruta().to_str().unwrap()) && texto.contains("upgrade"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let carpeta = tempfile::tempdir().unwrap();
    fs::write(carpeta.path().join("fichero"), "").unwrap();
    let error = Almacen::abrir(carpeta.path().join("fichero/logistica.db")).unwrap_err();
    assert!(matches!(causa(&error), Causa::Carpeta(_)), "{error}");
    assert!(error.to_string().contains("LOGISTICA_DB"));
    assert!(
        error
            .to_string()
            .contains("fichero is a file, not a folder"),
        "{error}"
    );
}

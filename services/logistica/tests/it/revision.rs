//! `logistica --check`: the health check of images that have no curl.

use std::fs;
use std::process::{Command, Output};

use programas::Proceso;
use tempfile::TempDir;

/// The program with no settings but these.
fn logistica(argumentos: &[&str]) -> Command {
    let mut orden = Command::new(env!("CARGO_BIN_EXE_logistica"));
    orden.args(argumentos).env_clear();
    orden
}

/// The service in `carpeta`, listening on `host`; and its port.
fn arrancar(carpeta: &TempDir, host: &str) -> (Proceso, String) {
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let mut orden = logistica(&["--port", "0", "--host", host, "--broker", &broker]);
    orden.env("LOGISTICA_DB", carpeta.path().join("logistica.db"));
    let mut servicio = Proceso::arrancar(&mut orden, carpeta.path().join("registro"));
    let direccion = servicio.direccion();
    let (_, puerto) = direccion.rsplit_once(':').unwrap();
    (servicio, puerto.to_owned())
}

/// Its exit status, and the one line that it said.
fn dicho(salida: &Output) -> (Option<i32>, String) {
    let todo = [&*salida.stdout, &*salida.stderr].concat();
    let todo = String::from_utf8(todo).unwrap();
    assert_eq!(todo.lines().count(), 1, "{todo:?}");
    (salida.status.code(), todo)
}

#[test]
fn check_tells_whether_the_service_is_well() {
    let carpeta = tempfile::tempdir().unwrap();
    let (mut servicio, puerto) = arrancar(&carpeta, "0.0.0.0");
    // As a container's health check runs: the same variables, and nothing else.
    let salida = logistica(&["--check"])
        .env("PORT", &puerto)
        .output()
        .unwrap();
    let (estado, linea) = dicho(&salida);
    assert_eq!(estado, Some(0), "{linea}");
    let sitio = format!("healthy: http://127.0.0.1:{puerto}/health answers 200");
    assert!(linea.starts_with(&sitio), "{linea}");

    servicio.senal("-STOP");
    let salida = logistica(&["--check", "--port", &puerto]).output().unwrap();
    let (estado, linea) = dicho(&salida);
    assert_eq!(estado, Some(1), "{linea}");
    assert!(linea.contains("has not answered within 2 s"), "{linea}");
    servicio.senal("-CONT");
    let salida = logistica(&["--check", "--port", &puerto]).output().unwrap();
    assert_eq!(dicho(&salida).0, Some(0));

    servicio.matar();
    let salida = logistica(&["--check", "--port", &puerto]).output().unwrap();
    let (estado, linea) = dicho(&salida);
    assert_eq!(estado, Some(1), "{linea}");
    assert!(linea.starts_with("unhealthy: "), "{linea}");
}

#[test]
fn check_asks_the_host_that_is_listened_on() {
    let carpeta = tempfile::tempdir().unwrap();
    let (_servicio, puerto) = arrancar(&carpeta, "127.0.0.7");
    let revisar = |host: &str| {
        let orden = ["--check", "--port", &puerto, "--host", host];
        dicho(&logistica(&orden).output().unwrap())
    };
    let (estado, linea) = revisar("127.0.0.7");
    assert_eq!(estado, Some(0), "{linea}");
    assert!(linea.contains("http://127.0.0.7:"), "{linea}");
    // There it does not listen.
    assert_eq!(revisar("127.0.0.1").0, Some(1));
    assert_eq!(revisar("0.0.0.0").0, Some(1));
}

#[test]
fn check_starts_nothing() {
    let carpeta = tempfile::tempdir().unwrap();
    let salida = logistica(&["--check", "--port", "0", "--broker", "memory://"])
        .env("HOME", carpeta.path())
        .output()
        .unwrap();
    let (estado, linea) = dicho(&salida);
    assert_eq!(estado, Some(1));
    assert!(linea.contains("--port"), "{linea}");
    assert_eq!(fs::read_dir(carpeta.path()).unwrap().count(), 0);
}

//! The program at its start: what it refuses, and what it only warns of.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use programas::{Conexion, Proceso, esperar, termina, termina_sin_lector};
use tempfile::TempDir;

/// The program in `carpeta`, with nothing of the tester's own settings.
fn logistica(carpeta: &TempDir, argumentos: &[&str]) -> Command {
    let mut orden = Command::new(env!("CARGO_BIN_EXE_logistica"));
    orden
        .args(argumentos)
        .env_clear()
        .env("LOGISTICA_DB", carpeta.path().join("logistica.db"));
    orden
}

#[test]
fn a_broker_it_cannot_use_is_refused() {
    let carpeta = tempfile::tempdir().unwrap();
    for (url, motivo) in [
        ("memory://", "redis://"),
        ("memory://casa", "redis://"),
        ("sqlite::memory:", "redis://"),
        ("sqlite:///", "names no file"),
        ("sqlite://localhost/q.db", "has no host"),
        ("nonsense", "scheme"),
        ("amqp://h", "not built yet"),
    ] {
        termina(
            &mut logistica(&carpeta, &["--port", "0", "-b", url]),
            2,
            &[motivo],
        );
    }
}

/// As the worker and the `taskq` command.
#[test]
fn a_file_that_is_no_broker_ends_it_with_the_status_of_its_kind() {
    let carpeta = tempfile::tempdir().unwrap();
    let notas = carpeta.path().join("notas.txt");
    fs::write(&notas, "no database\n".repeat(1_000)).unwrap();
    let ajena = carpeta.path().join("ajena.db");
    let otra = rusqlite::Connection::open(&ajena).unwrap();
    otra.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
    for (ruta, estado, motivo) in [
        (notas.as_path(), 1, "move it away"),
        (ajena.as_path(), 2, "of another program"),
        (carpeta.path(), 2, "is a folder"),
    ] {
        let url = format!("sqlite://{}", ruta.display());
        let mut orden = logistica(&carpeta, &["--port", "0", "-b", &url]);
        termina(&mut orden, estado, &[motivo]);
    }
}

#[test]
fn a_stock_file_it_cannot_open_is_refused() {
    let carpeta = tempfile::tempdir().unwrap();
    let mut orden = logistica(&carpeta, &["--port", "0"]);
    orden
        .env("LOGISTICA_DB", carpeta.path())
        .env("XDG_DATA_HOME", carpeta.path());
    termina(&mut orden, 2, &[&carpeta.path().display().to_string()]);
}

/// Another process may let it go before the next start: not the status that keeps a supervisor from trying.
#[test]
fn a_stock_file_that_is_busy_may_be_tried_again() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("logistica.db");
    let otro = rusqlite::Connection::open(&ruta).unwrap();
    otro.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let mut orden = logistica(&carpeta, &["--port", "0", "-b", &broker]);
    termina(&mut orden, 1, &["busy"]);
}

#[test]
fn it_starts_without_its_broker_and_warns_and_empty_variables_are_unset() {
    let carpeta = tempfile::tempdir().unwrap();
    let broker = format!("redis://:s3cret@127.0.0.1:{}/0", private_redis::free_port());
    let puerto = private_redis::free_port().to_string();
    let mut orden = logistica(&carpeta, &["--broker", &broker, "--port", &puerto]);
    orden
        .env("PORT", "")
        .env("HOST", "")
        .env("CORS_ORIGIN", "")
        .env("LOGLEVEL", "")
        .env("TASKQ_BROKER_URL", "");
    let servicio = Proceso::arrancar(&mut orden, carpeta.path().join("registro"));
    let texto = esperar("it warns and listens", || {
        let texto = servicio.registro();
        (texto.contains("the broker cannot be reached") && texto.contains("listening on"))
            .then_some(texto)
    });
    assert_eq!(texto.matches("WARN").count(), 1, "{texto}");
    assert!(texto.contains("http://0.0.0.0:"), "{texto}");
    assert!(!texto.contains("s3cret"), "{texto}");
    let (estado, _) = Conexion::nueva(&format!("127.0.0.1:{puerto}")).get("/health");
    assert_eq!(estado, 200);
}

#[test]
fn without_a_reader_of_stderr_the_status_is_the_same() {
    let carpeta = tempfile::tempdir().unwrap();
    let mal = ["--port", "0", "--broker", "memory://"];
    termina_sin_lector(&mut logistica(&carpeta, &mal), 2);
    let otro = TcpListener::bind("127.0.0.1:0").unwrap();
    let puerto = otro.local_addr().unwrap().port().to_string();
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let ocupado = ["--host", "127.0.0.1", "--port", &puerto, "-b", &broker];
    termina_sin_lector(&mut logistica(&carpeta, &ocupado), 1);
}

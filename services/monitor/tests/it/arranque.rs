//! The program at its start: what it refuses, and what it only warns of.

use std::net::TcpListener;
use std::process::Command;

use programas::{Conexion, Proceso, construido, esperar, termina, termina_sin_lector};
use tempfile::TempDir;

/// The program in `carpeta`, with nothing of the tester's own settings.
fn monitor(carpeta: &TempDir, argumentos: &[&str]) -> Command {
    en(
        carpeta,
        Command::new(env!("CARGO_BIN_EXE_monitor")),
        argumentos,
    )
}

fn en(carpeta: &TempDir, mut orden: Command, argumentos: &[&str]) -> Command {
    orden
        .args(argumentos)
        .env_clear()
        .env("XDG_DATA_HOME", carpeta.path());
    orden
}

#[test]
fn a_broker_or_a_flag_it_can_not_use_is_refused() {
    let carpeta = tempfile::tempdir().unwrap();
    for (argumentos, motivo) in [
        (["-b", "memory://"], "redis://"),
        (["-b", "amqp://h"], "not built yet"),
        (["--puerto", "1"], "--puerto"),
        (["--cors-origin", "localhost"], "no origin"),
    ] {
        termina(&mut monitor(&carpeta, &argumentos), 2, &[motivo]);
    }
}

#[test]
fn a_service_it_can_not_ask_is_refused_by_its_entry_and_so_does_the_worker() {
    let carpeta = tempfile::tempdir().unwrap();
    let worker = || Command::new(construido("worker"));
    for (servicios, motivo) in [
        ("logistica=http://127.0.0.1:5002,otro", "\"otro\""),
        ("otro=https://127.0.0.1:5002", "https is not built"),
    ] {
        let dice = [motivo, "name=http://host:port"];
        termina(
            &mut monitor(&carpeta, &["--servicios", servicios]),
            2,
            &dice,
        );
        for mut orden in [monitor(&carpeta, &[]), en(&carpeta, worker(), &[])] {
            termina(orden.env("SERVICIOS", servicios), 2, &dice);
        }
    }
    assert!(
        !carpeta.path().join("taskq/monitor.db").exists(),
        "a wrong setting leaves a file behind"
    );
}

#[test]
fn a_monitor_file_it_can_not_open_is_refused() {
    let carpeta = tempfile::tempdir().unwrap();
    let mut orden = monitor(&carpeta, &["--port", "0"]);
    orden.env("MONITOR_DB", carpeta.path());
    termina(&mut orden, 2, &[&carpeta.path().display().to_string()]);
}

/// Another process may let it go before the next start: not the status that keeps a supervisor from trying.
#[test]
fn a_monitor_file_that_is_busy_may_be_tried_again() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("monitor.db");
    let otro = rusqlite::Connection::open(&ruta).unwrap();
    otro.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut orden = monitor(&carpeta, &["--port", "0"]);
    termina(orden.env("MONITOR_DB", &ruta), 1, &["busy"]);
}

#[test]
fn a_port_in_use_ends_it_with_the_remedy() {
    let carpeta = tempfile::tempdir().unwrap();
    let otro = TcpListener::bind("127.0.0.1:0").unwrap();
    let puerto = otro.local_addr().unwrap().port().to_string();
    let mut orden = monitor(&carpeta, &["--host", "127.0.0.1", "--port", &puerto]);
    termina(&mut orden, 1, &[&puerto, "--port"]);
}

#[test]
fn it_starts_without_its_broker_and_warns_and_empty_variables_are_unset() {
    let carpeta = tempfile::tempdir().unwrap();
    let broker = format!("redis://:s3cret@127.0.0.1:{}/0", private_redis::free_port());
    let puerto = private_redis::free_port().to_string();
    let mut orden = monitor(&carpeta, &["--broker", &broker, "--port", &puerto]);
    orden
        .env("PORT", "")
        .env("HOST", "")
        .env("CORS_ORIGIN", "")
        .env("LOGLEVEL", "")
        .env("SERVICIOS", "")
        .env("MONITOR_DB", "");
    let servicio = Proceso::arrancar(&mut orden, carpeta.path().join("registro"));
    let texto = esperar("it warns and listens", || {
        let texto = servicio.registro();
        (texto.contains("the broker cannot be reached") && texto.contains("listening on"))
            .then_some(texto)
    });
    assert_eq!(texto.matches("WARN").count(), 1, "{texto}");
    let mut aqui = Conexion::nueva(&format!("127.0.0.1:{puerto}"));
    assert_eq!(aqui.get("/health").0, 200);
    let (estado, cuerpo) = aqui.get("/monitor/status");
    assert_eq!((estado, &cuerpo["broker"]["ok"]), (200, &false.into()));
    let dicho = format!("{cuerpo}{}", servicio.registro());
    assert!(!dicho.contains("s3cret"), "{dicho}");
    assert!(carpeta.path().join("taskq/monitor.db").exists());
}

#[test]
fn without_a_reader_of_stderr_the_status_is_the_same() {
    let carpeta = tempfile::tempdir().unwrap();
    let mal = ["--port", "0", "--broker", "memory://"];
    termina_sin_lector(&mut monitor(&carpeta, &mal), 2);
    let otro = TcpListener::bind("127.0.0.1:0").unwrap();
    let puerto = otro.local_addr().unwrap().port().to_string();
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let ocupado = ["--host", "127.0.0.1", "--port", &puerto, "-b", &broker];
    termina_sin_lector(&mut monitor(&carpeta, &ocupado), 1);
}

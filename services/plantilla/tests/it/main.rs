//! The template runs: the service as a program, and a worker of its tasks.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

use std::fs;
use std::net::TcpListener;
use std::process::Command;

// A crate of tasks that is never named is not linked.
use plantilla_tareas as _;
use programas::{Conexion, Proceso, es_error, esperar, termina, termina_sin_lector};
use serde_json::{Value, json};
use taskq_worker::{CancellationToken, Worker};

/// The program, with nothing of the tester's own settings.
fn plantilla(argumentos: &[&str]) -> Command {
    let mut orden = Command::new(env!("CARGO_BIN_EXE_plantilla"));
    orden.args(argumentos).env_clear();
    orden
}

/// What became of the greeting of `nombre`.
fn saludar(servicio: &mut Conexion, nombre: &str) -> Value {
    let (estado, cuerpo) = servicio.post("/saludos", &json!({ "nombre": nombre }).to_string());
    assert_eq!(estado, 202, "{cuerpo}");
    let ruta = format!("/saludos/{}", cuerpo["task_id"].as_str().unwrap());
    esperar("the greeting has ended", || {
        let (estado, cuerpo) = servicio.get(&ruta);
        assert_eq!(estado, 200, "{cuerpo}");
        let abierta = ["QUEUED", "STARTED"].contains(&cuerpo["estado"].as_str().unwrap());
        (!abierta).then_some(cuerpo)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_name_is_greeted_by_a_worker() {
    let carpeta = tempfile::tempdir().unwrap();
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let parada = CancellationToken::new();
    let worker = Worker::builder()
        .url(&broker)
        .queues(["plantilla"])
        .stop(parada.clone())
        .build()
        .unwrap();
    let worker = tokio::spawn(worker.run());
    let argumentos = ["--port", "0", "--host", "127.0.0.1", "--broker", &broker];
    let registro = carpeta.path().join("registro");
    let mut programa = Proceso::arrancar(&mut plantilla(&argumentos), registro);
    let direccion = programa.direccion();
    let mut servicio = Conexion::nueva(&direccion);

    let salud = servicio.get("/health");
    assert_eq!(
        salud,
        (200, json!({ "status": "ok", "service": "plantilla" }))
    );
    let hola = saludar(&mut servicio, "Ana");
    let esperado = json!({ "estado": "SUCCESS", "resultado": "Hola, Ana", "error": null });
    assert_eq!(hola, esperado);
    let nadie = saludar(&mut servicio, " ");
    assert_eq!(nadie["estado"], "FAILURE", "{nadie}");
    assert!(
        nadie["error"].as_str().unwrap().contains("nobody to greet"),
        "{nadie}"
    );

    for (que, cuerpo, estado, dice) in [
        ("GET /saludos/x", "", 400, ["\"x\"", "an id is a UUID"]),
        ("GET /saludos/%FF", "", 400, ["/saludos/%FF", "as UTF-8"]),
        ("GET /saludo", "", 404, ["/saludo", "check the path"]),
        ("GET /saludos", "", 405, ["GET", "Allow"]),
        (
            "POST /saludos",
            "{}",
            422,
            ["missing field `nombre`", "line 1"],
        ),
        (
            "POST /saludos text/plain",
            "{}",
            415,
            ["send", "application/json"],
        ),
    ] {
        let (recibido, respuesta) = servicio.pedir(que, cuerpo);
        es_error(que, (recibido, &respuesta), estado, &dice);
    }
    let (_, puerto) = direccion.rsplit_once(':').unwrap();
    let revisar = plantilla(&["--check", "--host", "127.0.0.1", "--port", puerto]).status();
    assert!(revisar.unwrap().success());
    parada.cancel();
    worker.await.unwrap().unwrap();
}

#[test]
fn a_broker_it_cannot_use_ends_it_with_the_status_of_its_kind() {
    let carpeta = tempfile::tempdir().unwrap();
    let notas = carpeta.path().join("notas.txt");
    fs::write(&notas, "no database\n".repeat(1_000)).unwrap();
    let notas = format!("sqlite://{}", notas.display());
    for (broker, estado, motivo) in [("memory://", 2, "redis://"), (&notas, 1, "move it away")] {
        let mut orden = plantilla(&["--port", "0", "--broker", broker]);
        termina(&mut orden, estado, &[motivo]);
    }
}

#[test]
fn without_a_reader_of_stderr_the_status_is_the_same() {
    let carpeta = tempfile::tempdir().unwrap();
    termina_sin_lector(&mut plantilla(&["--broker", "memory://"]), 2);
    let otro = TcpListener::bind("127.0.0.1:0").unwrap();
    let puerto = otro.local_addr().unwrap().port().to_string();
    let broker = format!("sqlite://{}/taskq.db", carpeta.path().display());
    let ocupado = ["--host", "127.0.0.1", "--port", &puerto, "-b", &broker];
    termina_sin_lector(&mut plantilla(&ocupado), 1);
}

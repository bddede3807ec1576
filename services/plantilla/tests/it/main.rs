//! The template runs: the service as a program, and a worker of its tasks.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

// A crate of tasks that is never named is not linked.
use plantilla_tareas as _;
use serde_json::{Value, json};
use taskq_worker::{CancellationToken, Worker};
use tempfile::TempDir;

const PACIENCIA: Duration = Duration::from_secs(60);

struct Servicio {
    hijo: Child,
    direccion: String,
}

impl Servicio {
    async fn arrancar(carpeta: &TempDir, broker: &str) -> Self {
        let registro = carpeta.path().join("registro");
        let hijo = Command::new(env!("CARGO_BIN_EXE_plantilla"))
            .args(["--port", "0", "--host", "127.0.0.1", "--broker", broker])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(File::create(&registro).unwrap())
            .spawn()
            .unwrap();
        let mut servicio = Self {
            hijo,
            direccion: String::new(),
        };
        servicio.direccion = esperar("it listens", || {
            let texto = fs::read_to_string(&registro).unwrap();
            let (_, resto) = texto.split_once("listening on http://")?;
            let (direccion, _) = resto.split_once('\n')?;
            Some(direccion.trim().to_owned())
        })
        .await;
        servicio
    }

    /// Status and body of the answer.
    fn pedir(&self, metodo: &str, ruta: &str, cuerpo: &Value) -> (u16, Value) {
        let cuerpo = cuerpo.to_string();
        let mut socket = TcpStream::connect(&self.direccion).unwrap();
        socket.set_read_timeout(Some(PACIENCIA)).unwrap();
        write!(
            socket,
            "{metodo} {ruta} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{cuerpo}",
            cuerpo.len()
        )
        .unwrap();
        let mut dicho = String::new();
        socket.read_to_string(&mut dicho).unwrap();
        let (cabeza, cuerpo) = dicho.split_once("\r\n\r\n").unwrap();
        let estado = cabeza.split(' ').nth(1).unwrap().parse().unwrap();
        (estado, serde_json::from_str(cuerpo).unwrap())
    }

    /// What became of the greeting of `nombre`.
    async fn saludar(&self, nombre: &str) -> Value {
        let (estado, cuerpo) = self.pedir("POST", "/saludos", &json!({ "nombre": nombre }));
        assert_eq!(estado, 202, "{cuerpo}");
        let ruta = format!("/saludos/{}", cuerpo["task_id"].as_str().unwrap());
        esperar("the greeting has ended", || {
            let (estado, cuerpo) = self.pedir("GET", &ruta, &Value::Null);
            assert_eq!(estado, 200, "{cuerpo}");
            let abierta = ["QUEUED", "STARTED"].contains(&cuerpo["estado"].as_str().unwrap());
            (!abierta).then_some(cuerpo)
        })
        .await
    }
}

impl Drop for Servicio {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        drop(self.hijo.kill());
        drop(self.hijo.wait());
    }
}

/// Asks until `condicion` has an answer; the worker goes on meanwhile.
async fn esperar<T>(que: &str, mut condicion: impl FnMut() -> Option<T>) -> T {
    let hasta = Instant::now() + PACIENCIA;
    loop {
        if let Some(valor) = condicion() {
            return valor;
        }
        assert!(Instant::now() < hasta, "waited in vain: {que}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
    let servicio = Servicio::arrancar(&carpeta, &broker).await;

    let salud = servicio.pedir("GET", "/health", &Value::Null);
    assert_eq!(
        salud,
        (200, json!({ "status": "ok", "service": "plantilla" }))
    );
    let hola = servicio.saludar("Ana").await;
    let esperado = json!({ "estado": "SUCCESS", "resultado": "Hola, Ana", "error": null });
    assert_eq!(hola, esperado);
    let nadie = servicio.saludar(" ").await;
    assert_eq!(nadie["estado"], "FAILURE", "{nadie}");
    assert!(
        nadie["error"].as_str().unwrap().contains("nobody to greet"),
        "{nadie}"
    );

    let (estado, _) = servicio.pedir("GET", "/saludos/x", &Value::Null);
    assert_eq!(estado, 400);
    let revisar = Command::new(env!("CARGO_BIN_EXE_plantilla"))
        .arg("--check")
        .env("HOST", "127.0.0.1")
        .env("PORT", servicio.direccion.rsplit_once(':').unwrap().1)
        .status();
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
        let salida = Command::new(env!("CARGO_BIN_EXE_plantilla"))
            .args(["--port", "0", "--broker", broker])
            .env_clear()
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&salida.stderr);
        assert_eq!(salida.status.code(), Some(estado), "{error}");
        assert!(error.contains(motivo), "{error}");
    }
}

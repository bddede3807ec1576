//! The life of a service process: start, running requests, stop.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use servicio::{Nivel, Parada, aplicacion, escuchar, iniciar_registro, servir};

/// Set for the copy of this test binary that acts as the service.
const HIJO: &str = "SERVICIO_TEST_HIJO";

/// The service: `/lenta` answers after half a second, `/colgada` never.
#[tokio::test]
#[ignore = "run by the other tests of this file"]
async fn proceso_hijo() {
    if env::var_os(HIJO).is_none() {
        return;
    }
    iniciar_registro(Nivel::Info);
    let parada = Parada::por_senales().unwrap();
    let lenta = || async {
        tracing::info!("request arrived");
        tokio::time::sleep(Duration::from_millis(500)).await;
        "lista"
    };
    let colgada = || async {
        tracing::info!("request arrived");
        std::future::pending::<()>().await;
    };
    let rutas = Router::new()
        .route("/lenta", get(lenta))
        .route("/colgada", get(colgada));
    let app = aplicacion("hijo", rutas, &[]);
    let escucha = escuchar("127.0.0.1", 0).await.unwrap();
    servir(escucha, app, &parada).await.unwrap();
}

struct Servicio {
    hijo: Child,
    registro: BufReader<ChildStderr>,
    direccion: String,
}

impl Servicio {
    fn arrancar() -> Self {
        let mut hijo = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "proceso::proceso_hijo",
                "--ignored",
                "--nocapture",
            ])
            .env(HIJO, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let registro = BufReader::new(hijo.stderr.take().unwrap());
        let mut servicio = Self {
            hijo,
            registro,
            direccion: String::new(),
        };
        let linea = servicio.esperar("listening on http://");
        servicio.direccion = linea.rsplit_once("//").unwrap().1.trim().to_owned();
        servicio
    }

    /// Reads the log up to a line that contains `texto`.
    fn esperar(&mut self, texto: &str) -> String {
        let mut linea = String::new();
        while !linea.contains(texto) {
            linea.clear();
            assert_ne!(
                self.registro.read_line(&mut linea).unwrap(),
                0,
                "no {texto:?}"
            );
        }
        linea
    }

    fn pedir(&self, ruta: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.direccion).unwrap();
        write!(
            socket,
            "GET {ruta} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        socket
    }

    fn senal(&self, nombre: &str) {
        let pid = self.hijo.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([nombre, &pid]).status().unwrap().success());
    }

    fn termino_bien(mut self) {
        assert!(self.hijo.wait().unwrap().success());
    }
}

#[test]
fn port_0_logs_the_real_port_and_sigterm_lets_a_running_request_finish() {
    let mut servicio = Servicio::arrancar();
    assert!(
        !servicio.direccion.ends_with(":0"),
        "{}",
        servicio.direccion
    );
    let mut lenta = servicio.pedir("/lenta");
    servicio.esperar("request arrived");
    servicio.senal("-TERM");
    let mut respuesta = String::new();
    lenta.read_to_string(&mut respuesta).unwrap();
    assert!(
        respuesta.starts_with("HTTP/1.1 200") && respuesta.ends_with("lista"),
        "{respuesta}"
    );
    servicio.termino_bien();
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut servicio = Servicio::arrancar();
    let _colgada = servicio.pedir("/colgada");
    servicio.esperar("request arrived");
    servicio.senal("-INT");
    servicio.esperar("asked to stop");
    servicio.senal("-INT");
    servicio.esperar("stopped at once");
    servicio.termino_bien();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_remedy() {
    let primera = escuchar("127.0.0.1", 0).await.unwrap();
    let puerto = primera.local_addr().unwrap().port();
    let error = escuchar("127.0.0.1", puerto).await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{puerto}")), "{error}");
    assert!(error.contains("--port"), "{error}");
}

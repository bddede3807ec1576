//! The built programs as processes around one broker and one folder of files.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::Value;
use tempfile::TempDir;

/// No wait of a test is longer; what takes longer has failed.
pub(crate) const PACIENCIA: Duration = Duration::from_secs(120);

/// A broker, a folder with the services' files and the logs, the service of logistics and the monitor that asks it.
///
/// All programs end with the value.
pub(crate) struct Planta {
    /// `host:port` of the monitor.
    pub(crate) monitor: String,
    pub(crate) corredor: String,
    pub(crate) servicios: String,
    redis: Option<RedisServer>,
    carpeta: TempDir,
    servicio: Proceso,
    _monitor: Proceso,
}

/// A program that is killed when it is let go.
pub(crate) struct Proceso(pub(crate) Child);

impl Planta {
    /// Over a Redis of its own.
    pub(crate) fn sobre_redis() -> Self {
        let redis = RedisServer::start();
        let corredor = redis.url();
        Self::nueva(tempfile::tempdir().unwrap(), corredor, Some(redis))
    }

    /// Over a SQLite file in its folder.
    pub(crate) fn sobre_un_archivo() -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let corredor = format!("sqlite://{}/taskq.db", carpeta.path().display());
        Self::nueva(carpeta, corredor, None)
    }

    fn nueva(carpeta: TempDir, corredor: String, redis: Option<RedisServer>) -> Self {
        let argumentos = ["--port", "0", "--host", "127.0.0.1", "--broker", &corredor];
        let programa = construido("logistica");
        let servicio = arrancar(&programa, &argumentos, carpeta.path(), "logistica", "");
        let logistica = direccion(carpeta.path(), "logistica");
        let servicios = format!("logistica=http://{logistica}");
        let programa = Path::new(env!("CARGO_BIN_EXE_monitor"));
        let proceso = arrancar(programa, &argumentos, carpeta.path(), "monitor", &servicios);
        Self {
            monitor: direccion(carpeta.path(), "monitor"),
            corredor,
            servicios,
            redis,
            carpeta,
            servicio,
            _monitor: proceso,
        }
    }

    /// Starts a worker of all queues, named `nombre`.
    pub(crate) fn worker(&self, nombre: &str) -> Proceso {
        let mut argumentos = vec!["-Q", "celery,logistica,monitor", "-c", "4", "-n", nombre];
        argumentos.extend(["--loglevel", "warning", "--broker", &self.corredor]);
        let (carpeta, servicios) = (self.carpeta.path(), &self.servicios);
        arrancar(
            &construido("worker"),
            &argumentos,
            carpeta,
            nombre,
            servicios,
        )
    }

    /// SIGKILL to the service of logistics.
    pub(crate) fn matar_logistica(&mut self) {
        self.servicio.matar();
    }

    /// The Redis server ends; false when there is none.
    pub(crate) fn matar_corredor(&mut self) -> bool {
        self.redis.as_mut().map(RedisServer::kill).is_some()
    }
}

impl Proceso {
    /// SIGKILL.
    pub(crate) fn matar(&mut self) {
        // It may have ended by itself; either way it is gone.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Proceso {
    fn drop(&mut self) {
        self.matar();
    }
}

/// Asks until `condicion` has an answer.
pub(crate) fn esperar<T>(que: &str, mut condicion: impl FnMut() -> Option<T>) -> T {
    let hasta = Instant::now() + PACIENCIA;
    loop {
        if let Some(valor) = condicion() {
            return valor;
        }
        assert!(Instant::now() < hasta, "waited in vain: {que}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One request on a connection of its own.
pub(crate) fn get(direccion: &str, ruta: &str) -> (u16, Value) {
    let mut socket = TcpStream::connect(direccion).unwrap();
    socket.set_read_timeout(Some(PACIENCIA)).unwrap();
    write!(
        socket,
        "GET {ruta} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut texto = String::new();
    socket.read_to_string(&mut texto).unwrap();
    let (cabecera, cuerpo) = texto.split_once("\r\n\r\n").unwrap();
    let estado = cabecera.split(' ').nth(1).unwrap().parse().unwrap();
    (estado, serde_json::from_str(cuerpo).unwrap())
}

/// The program of another package, which `cargo test` of this one does not build.
pub(crate) fn construido(nombre: &str) -> PathBuf {
    let prueba = env::current_exe().unwrap();
    // target/<profile>/deps/it-… → target/<profile>/<name>
    let programa = prueba.ancestors().nth(2).unwrap().join(nombre);
    assert!(
        programa.is_file(),
        "there is no {}: run `cargo build --workspace --bins` first, with the profile of this test",
        programa.display()
    );
    programa
}

/// Where a service says that it listens.
fn direccion(carpeta: &Path, nombre: &str) -> String {
    let registro = carpeta.join(format!("{nombre}.log"));
    esperar("the service listens", || {
        let texto = fs::read_to_string(&registro).unwrap();
        let (_, resto) = texto.split_once("listening on http://")?;
        let (direccion, _) = resto.split_once('\n')?;
        Some(direccion.trim().to_owned())
    })
}

fn arrancar(
    programa: &Path,
    argumentos: &[&str],
    carpeta: &Path,
    nombre: &str,
    servicios: &str,
) -> Proceso {
    let registro = File::create(carpeta.join(format!("{nombre}.log"))).unwrap();
    // Nothing of the tester's own settings reaches the program; its files lie in the folder.
    let hijo = Command::new(programa)
        .args(argumentos)
        .env_clear()
        .env("XDG_DATA_HOME", carpeta)
        .env("SERVICIOS", servicios)
        .stdout(Stdio::null())
        .stderr(registro)
        .spawn()
        .unwrap();
    Proceso(hijo)
}

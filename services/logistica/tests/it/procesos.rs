//! The built programs as processes around one broker and one stock file.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use tempfile::TempDir;

/// No wait of a test is longer; what takes longer has failed.
pub(crate) const PACIENCIA: Duration = Duration::from_secs(120);

/// A broker, a folder with the stock file and the logs, and the service.
///
/// All programs end with the value.
pub(crate) struct Planta {
    /// `host:port` of the service.
    pub(crate) direccion: String,
    corredor: String,
    _redis: Option<RedisServer>,
    carpeta: TempDir,
    _servicio: Proceso,
}

/// A program that is killed when it is let go.
pub(crate) struct Proceso(Child);

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
        let servicio = Path::new(env!("CARGO_BIN_EXE_logistica"));
        let servicio = arrancar(servicio, &argumentos, carpeta.path(), "logistica", "0");
        let registro = carpeta.path().join("logistica.log");
        let direccion = esperar("the service listens", || {
            let texto = fs::read_to_string(&registro).unwrap();
            let (_, resto) = texto.split_once("listening on http://")?;
            let (direccion, _) = resto.split_once('\n')?;
            Some(direccion.trim().to_owned())
        });
        Self {
            direccion,
            corredor,
            _redis: redis,
            carpeta,
            _servicio: servicio,
        }
    }

    /// The stock file that service and workers share.
    pub(crate) fn almacen(&self) -> PathBuf {
        almacen(self.carpeta.path())
    }

    /// Starts a worker of the deliveries, named `nombre`, whose warehouse system takes `latencia_ms`.
    pub(crate) fn worker(&self, nombre: &str, latencia_ms: &str) -> Proceso {
        let mut argumentos = vec!["-Q", "celery,logistica,monitor", "-c", "20", "-n", nombre];
        argumentos.extend([
            "--lease",
            "2",
            "--loglevel",
            "warning",
            "--broker",
            &self.corredor,
        ]);
        arrancar(
            &construido("worker"),
            &argumentos,
            self.carpeta.path(),
            nombre,
            latencia_ms,
        )
    }

    /// Runs the operators' command to its end.
    pub(crate) fn taskq(&self, argumentos: &[&str]) -> Output {
        Command::new(construido("taskq"))
            .args(["--broker", &self.corredor])
            .args(argumentos)
            .output()
            .unwrap()
    }
}

impl Proceso {
    /// SIGSTOP: it holds what it has and does nothing.
    pub(crate) fn detener(&self) {
        self.senal("-STOP");
    }

    /// SIGCONT.
    pub(crate) fn seguir(&self) {
        self.senal("-CONT");
    }

    fn senal(&self, nombre: &str) {
        let pid = self.0.id().to_string();
        let hecho = Command::new("kill").args([nombre, &pid]).status().unwrap();
        assert!(hecho.success());
    }

    /// SIGKILL: it gets no chance to give anything back.
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
        thread::sleep(Duration::from_millis(10));
    }
}

fn arrancar(
    programa: &Path,
    argumentos: &[&str],
    carpeta: &Path,
    nombre: &str,
    latencia_ms: &str,
) -> Proceso {
    let registro = File::create(carpeta.join(format!("{nombre}.log"))).unwrap();
    let mut orden = Command::new(programa);
    // Nothing of the tester's own settings reaches the program.
    let ajenas = env::vars_os().map(|(nombre, _)| nombre).filter(|nombre| {
        let nombre = nombre.to_string_lossy();
        let ajenas = ["TASKQ_", "LOGISTICA_", "MONITOR_", "SERVICIOS"];
        ajenas.iter().any(|ajena| nombre.starts_with(ajena))
    });
    for nombre in ajenas {
        orden.env_remove(nombre);
    }
    let hijo = orden
        .args(argumentos)
        .env("LOGISTICA_DB", almacen(carpeta))
        .env("MONITOR_DB", carpeta.join("monitor.db"))
        .env("LOGISTICA_FAULT_RATE", "0.2")
        .env("LOGISTICA_LATENCY_MS", latencia_ms)
        .stdout(Stdio::null())
        .stderr(registro)
        .spawn()
        .unwrap();
    Proceso(hijo)
}

fn almacen(carpeta: &Path) -> PathBuf {
    carpeta.join("logistica.db")
}

/// The program of another package, which `cargo test` of this one does not build.
fn construido(nombre: &str) -> PathBuf {
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

//! The built programs as processes around one broker and one stock file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use private_redis::RedisServer;
use programas::{Proceso, construido};
use tempfile::TempDir;

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
        let orden = Command::new(env!("CARGO_BIN_EXE_logistica"));
        let mut servicio = arrancar(orden, &argumentos, carpeta.path(), "logistica", "0");
        let direccion = servicio.direccion();
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
        let orden = Command::new(construido("worker"));
        arrancar(orden, &argumentos, self.carpeta.path(), nombre, latencia_ms)
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

fn arrancar(
    mut orden: Command,
    argumentos: &[&str],
    carpeta: &Path,
    nombre: &str,
    latencia_ms: &str,
) -> Proceso {
    // Nothing of the tester's own settings reaches the program.
    orden
        .args(argumentos)
        .env_clear()
        .env("LOGISTICA_DB", almacen(carpeta))
        .env("MONITOR_DB", carpeta.join("monitor.db"))
        .env("LOGISTICA_FAULT_RATE", "0.2")
        .env("LOGISTICA_LATENCY_MS", latencia_ms);
    Proceso::arrancar(&mut orden, carpeta.join(format!("{nombre}.log")))
}

fn almacen(carpeta: &Path) -> PathBuf {
    carpeta.join("logistica.db")
}

//! The built programs as processes around one broker and one folder of files.

use std::path::Path;
use std::process::Command;

use private_redis::RedisServer;
use programas::{Proceso, construido};
use tempfile::TempDir;

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
        let orden = Command::new(construido("logistica"));
        let mut servicio = arrancar(orden, &argumentos, carpeta.path(), "logistica", "");
        let servicios = format!("logistica=http://{}", servicio.direccion());
        let orden = Command::new(env!("CARGO_BIN_EXE_monitor"));
        let mut monitor = arrancar(orden, &argumentos, carpeta.path(), "monitor", &servicios);
        Self {
            monitor: monitor.direccion(),
            corredor,
            servicios,
            redis,
            carpeta,
            servicio,
            _monitor: monitor,
        }
    }

    /// Starts a worker of all queues, named `nombre`.
    pub(crate) fn worker(&self, nombre: &str) -> Proceso {
        let mut argumentos = vec!["-Q", "celery,logistica,monitor", "-c", "4", "-n", nombre];
        argumentos.extend(["--loglevel", "warning", "--broker", &self.corredor]);
        let (carpeta, servicios) = (self.carpeta.path(), &self.servicios);
        let orden = Command::new(construido("worker"));
        arrancar(orden, &argumentos, carpeta, nombre, servicios)
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

fn arrancar(
    mut orden: Command,
    argumentos: &[&str],
    carpeta: &Path,
    nombre: &str,
    servicios: &str,
) -> Proceso {
    // Nothing of the tester's own settings reaches the program; its files lie in the folder.
    orden
        .args(argumentos)
        .env_clear()
        .env("XDG_DATA_HOME", carpeta)
        .env("SERVICIOS", servicios);
    Proceso::arrancar(&mut orden, carpeta.join(format!("{nombre}.log")))
}

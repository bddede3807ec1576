//! The services as their tests start and ask them: as programs, and in the test's own process.
//!
//! ```no_run
//! use std::process::Command;
//! use programas::{Conexion, Proceso};
//!
//! let orden = &mut Command::new(programas::construido("logistica"));
//! let mut servicio = Proceso::arrancar(orden.args(["--port", "0"]), "/tmp/logistica.log");
//! let (estado, salud) = Conexion::nueva(&servicio.direccion()).get("/health");
//! assert_eq!((estado, &salud["status"]), (200, &"ok".into()));
//! ```

mod aplicacion;
mod conexion;
mod proceso;
mod respuesta;

pub use aplicacion::pedir;
pub use conexion::Conexion;
pub use proceso::{Proceso, construido, termina, termina_sin_lector};
pub use respuesta::es_error;

use std::thread;
use std::time::{Duration, Instant};

/// No wait of a test is longer; what takes longer has failed.
pub const PACIENCIA: Duration = Duration::from_secs(120);

/// Asks until `condicion` has an answer.
///
/// # Panics
/// When it has none within [`PACIENCIA`].
pub fn esperar<T>(que: &str, mut condicion: impl FnMut() -> Option<T>) -> T {
    let hasta = Instant::now() + PACIENCIA;
    loop {
        if let Some(valor) = condicion() {
            return valor;
        }
        assert!(Instant::now() < hasta, "waited in vain: {que}");
        thread::sleep(Duration::from_millis(10));
    }
}

//! The built programs.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::esperar;

/// A running program; killed when it is let go.
#[derive(Debug)]
pub struct Proceso {
    hijo: Child,
    registro: PathBuf,
}

impl Proceso {
    /// Starts it; what it says goes to the file `registro`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn arrancar(orden: &mut Command, registro: impl Into<PathBuf>) -> Self {
        let registro = registro.into();
        let fichero = File::create(&registro).expect("a file for its log");
        let hijo = orden.stdout(Stdio::null()).stderr(fichero).spawn();
        Self {
            hijo: hijo.expect("a program that starts"),
            registro,
        }
    }

    /// What it has said so far.
    ///
    /// # Panics
    /// When its log is gone.
    #[must_use]
    pub fn registro(&self) -> String {
        fs::read_to_string(&self.registro).expect("its log")
    }

    /// Waits until it listens: `host:port`.
    #[must_use]
    pub fn direccion(&self) -> String {
        esperar("the service listens", || {
            let texto = self.registro();
            let (_, resto) = texto.split_once("listening on http://")?;
            let (direccion, _) = resto.split_once('\n')?;
            Some(direccion.trim().to_owned())
        })
    }

    /// Sends it a signal, as `-STOP`: it holds what it has and does nothing.
    ///
    /// # Panics
    /// When it has ended.
    pub fn senal(&self, nombre: &str) {
        let pid = self.hijo.id().to_string();
        let hecho = Command::new("kill").args([nombre, &pid]).status();
        assert!(hecho.is_ok_and(|s| s.success()), "it is gone");
    }

    /// SIGKILL: it gets no chance to give anything back.
    pub fn matar(&mut self) {
        // It may have ended by itself; either way it is gone.
        drop(self.hijo.kill());
        drop(self.hijo.wait());
    }
}

impl Drop for Proceso {
    fn drop(&mut self) {
        self.matar();
    }
}

/// The program ends by itself with this status, says each of `dice`, and never listened.
///
/// # Panics
/// When it does not.
pub fn termina(orden: &mut Command, estado: i32, dice: &[&str]) {
    let salida = orden.stdout(Stdio::null()).output();
    let salida = salida.expect("a program that starts");
    let error = String::from_utf8_lossy(&salida.stderr);
    assert_eq!(salida.status.code(), Some(estado), "{error}");
    assert!(!error.contains("listening"), "{error}");
    for parte in dice {
        assert!(error.contains(parte), "{parte:?} is not said: {error}");
    }
}

/// The program of another package, which `cargo test` of one does not build.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn construido(nombre: &str) -> PathBuf {
    let prueba = env::current_exe().expect("the path of this test");
    // target/<profile>/deps/it-… → target/<profile>/<name>
    let carpeta = prueba.ancestors().nth(2).expect("the built programs");
    let programa = carpeta.join(nombre);
    assert!(
        programa.is_file(),
        "there is no {}: run `cargo build --workspace --bins` first, with the profile of this test",
        programa.display()
    );
    programa
}

//! The built programs.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{PACIENCIA, esperar};

/// What a service says once it has started.
const ESCUCHA: &str = "listening on http://";

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
    ///
    /// # Panics
    /// When it has ended, with what it said.
    #[must_use]
    pub fn direccion(&mut self) -> String {
        esperar("the service listens", || {
            // Looked at first: what it said before its end is in the log by then.
            let acabado = self.hijo.try_wait().expect("its status");
            let texto = self.registro();
            let direccion = texto
                .split_once(ESCUCHA)
                .and_then(|(_, resto)| resto.split_once('\n'))
                .map(|(direccion, _)| direccion.trim().to_owned());
            assert!(
                direccion.is_some() || acabado.is_none(),
                "it ended ({acabado:?}) and never listened: {texto}"
            );
            direccion
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
    let (acabado, error) = fin(orden, PACIENCIA);
    assert!(!error.contains("listening"), "it listens: {error}");
    let codigo = acabado.map(|acabado| acabado.code());
    assert_eq!(codigo, Some(Some(estado)), "`None` was killed: {error}");
    for parte in dice {
        assert!(error.contains(parte), "{parte:?} is not said: {error}");
    }
}

/// The program ends by itself with this status though nobody reads its stderr.
///
/// # Panics
/// When it does not.
pub fn termina_sin_lector(orden: &mut Command, estado: i32) {
    let (lector, nadie) = io::pipe().expect("a pipe");
    drop(lector);
    let mut hijo = lanzar(orden.stderr(nadie));
    let acabado = acabar(&mut hijo, Instant::now() + PACIENCIA);
    let codigo = acabado.map(|acabado| acabado.code());
    assert_eq!(codigo, Some(Some(estado)), "`None` was killed");
}

/// How the program ended and what it said; no status if it had to be killed, for it listened, or went on for `plazo`.
fn fin(orden: &mut Command, plazo: Duration) -> (Option<ExitStatus>, String) {
    let mut hijo = lanzar(orden.stderr(Stdio::piped()));
    let dicho = hijo.stderr.take().expect("its stderr");
    let (manda, lineas) = mpsc::channel();
    thread::spawn(move || {
        let lineas = BufReader::new(dicho).split(b'\n');
        lineas
            .map_while(Result::ok)
            .try_for_each(|linea| manda.send(linea))
    });
    let hasta = Instant::now() + plazo;
    let mut texto = String::new();
    while let Ok(linea) = lineas.recv_timeout(hasta.saturating_duration_since(Instant::now())) {
        texto.push_str(&String::from_utf8_lossy(&linea));
        texto.push('\n');
        if texto.contains(ESCUCHA) {
            acabar(&mut hijo, Instant::now());
            return (None, texto);
        }
    }
    (acabar(&mut hijo, hasta), texto)
}

fn lanzar(orden: &mut Command) -> Child {
    let hijo = orden.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    hijo.expect("a program that starts")
}

/// How it ends until then; after that it is killed.
fn acabar(hijo: &mut Child, hasta: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(acabado) = hijo.try_wait().expect("its status") {
            return Some(acabado);
        }
        if Instant::now() >= hasta {
            // It may have ended by itself; either way it is gone.
            drop(hijo.kill());
            drop(hijo.wait());
            return None;
        }
        thread::sleep(Duration::from_millis(10));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn orden(guion: &str) -> Command {
        let mut orden = Command::new("sh");
        orden.args(["-c", guion]);
        orden
    }

    #[test]
    fn one_that_ends_is_told_with_all_it_said() {
        let (acabado, dicho) = fin(&mut orden("echo broken >&2; exit 3"), PACIENCIA);
        assert_eq!(acabado.and_then(|a| a.code()), Some(3), "{dicho}");
        assert_eq!(dicho, "broken\n");
        termina(&mut orden("echo broken >&2; exit 3"), 3, &["broken"]);
        termina_sin_lector(&mut orden("trap '' PIPE; echo broken >&2; exit 3"), 3);
    }

    /// Nobody waits for a program that goes on for ever.
    #[test]
    #[should_panic(expected = "it listens: listening on http://h:1")]
    fn one_that_listens_fails_at_once() {
        let guion = "echo listening on http://h:1 >&2; exec sleep 600";
        termina(&mut orden(guion), 2, &[]);
    }

    #[test]
    fn one_that_goes_on_is_killed() {
        let sordo = &mut orden("exec sleep 600");
        assert_eq!(fin(sordo, Duration::ZERO), (None, String::new()));
    }

    #[test]
    #[should_panic(expected = "never listened: broken")]
    fn where_one_listens_that_has_ended_is_answered_by_its_log() {
        let carpeta = tempfile::tempdir().expect("a folder");
        let registro = carpeta.path().join("registro");
        let mut proceso = Proceso::arrancar(&mut orden("echo broken >&2; exit 3"), registro);
        drop(proceso.direccion());
    }
}

//! A copy that is put in the place of a file whose log still lies there: nothing of that log gets into the copy.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use archivo::{Archivo, Causa, ErrorArchivo, Fallo};
use rusqlite::Connection;
use tempfile::TempDir;

use super::UNA;

/// A file with a copy of it, to which more was written after the copy was made.
struct Banco {
    carpeta: TempDir,
    archivo: Archivo,
}

/// What the copy knows.
const COPIADOS: i64 = 3;
/// What only the file knows: enough for pages that the copy does not have.
const POSTERIORES: i64 = 400;

impl Banco {
    fn nuevo() -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let banco = Self {
            archivo: abrir(&carpeta.path().join("x.db")),
            carpeta,
        };
        escribir(&banco.archivo, COPIADOS);
        let copia = banco.en("copia.db");
        let otra = Connection::open(banco.en("x.db")).unwrap();
        otra.execute("VACUUM INTO ?1", [copia.to_str()]).unwrap();
        escribir(&banco.archivo, POSTERIORES);
        // What is written next is the log's first again: played into the copy it lacks what was taken over before.
        otra.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
            .unwrap();
        escribir(&banco.archivo, POSTERIORES);
        banco
    }

    fn en(&self, nombre: &str) -> PathBuf {
        self.carpeta.path().join(nombre)
    }

    fn matar(self) -> TempDir {
        let Self { carpeta, archivo } = self;
        matar(archivo);
        carpeta
    }
}

/// Ends the one that has it open as `kill -9` does: the log stays, with all that is in it.
fn matar(archivo: Archivo) {
    let junto = |sufijo: &str| PathBuf::from(format!("{}{sufijo}", archivo.ruta().display()));
    let (diario, guardado) = (junto("-wal"), junto("-guardado"));
    fs::hard_link(&diario, &guardado).unwrap();
    drop(archivo);
    assert!(!diario.exists(), "the last one to close it removes the log");
    fs::rename(&guardado, &diario).unwrap();
    assert!(fs::metadata(&diario).unwrap().len() > 0);
}

fn abrir(ruta: &Path) -> Archivo {
    Archivo::abrir(&UNA, ruta, |tx, _| {
        tx.execute_batch("CREATE TABLE t (n INTEGER, s TEXT) STRICT")
    })
    .unwrap()
}

fn insertar(tx: &rusqlite::Transaction<'_>, cuantos: i64) -> Result<(), rusqlite::Error> {
    (0..cuantos).try_for_each(|n| {
        let texto = "x".repeat(200);
        tx.execute("INSERT INTO t (n, s) VALUES (?1, ?2)", (n, texto))?;
        Ok(())
    })
}

fn escribir(archivo: &Archivo, cuantos: i64) {
    archivo
        .escribir::<_, ErrorArchivo>(|tx| Ok(insertar(tx, cuantos)?))
        .unwrap();
}

/// How many it holds; it is sound.
fn cuantos(archivo: &Archivo) -> i64 {
    let leido = archivo.leer::<_, ErrorArchivo>(|tx| {
        let sano: String = tx.query_row("PRAGMA integrity_check", [], |f| f.get(0))?;
        assert_eq!(sano, "ok");
        Ok(tx.query_row("SELECT count(*) FROM t", [], |f| f.get(0))?)
    });
    leido.unwrap()
}

#[test]
fn the_log_of_who_was_killed_is_not_played_into_a_copy() {
    let carpeta = Banco::nuevo().matar();
    let en = |nombre: &str| carpeta.path().join(nombre);
    fs::rename(en("copia.db"), en("x.db")).unwrap();
    let archivo = abrir(&en("x.db"));
    assert_eq!(cuantos(&archivo), COPIADOS);
    escribir(&archivo, 1);
    assert_eq!(cuantos(&abrir(&en("x.db"))), COPIADOS + 1);
    // It is all that is left of what was written last.
    assert!(fs::metadata(en("x.db-wal-replaced")).unwrap().len() > 0);
}

#[test]
fn what_a_log_holds_is_there_again_when_its_own_file_is_opened() {
    let carpeta = Banco::nuevo().matar();
    let archivo = abrir(&carpeta.path().join("x.db"));
    assert_eq!(cuantos(&archivo), COPIADOS + 2 * POSTERIORES);
    assert!(!carpeta.path().join("x.db-wal-replaced").exists());
}

#[test]
fn who_has_the_old_file_open_goes_on_in_the_copy() {
    let banco = Banco::nuevo();
    let (ruta, apartada) = (banco.en("x.db"), banco.en("x.db.antes"));
    let otro = abrir(&ruta);
    fs::rename(&ruta, &apartada).unwrap();
    fs::rename(banco.en("copia.db"), &ruta).unwrap();

    escribir(&banco.archivo, 1);
    escribir(&otro, 1);
    let nuevo = abrir(&ruta);
    escribir(&nuevo, 1);
    for quien in [&banco.archivo, &otro, &nuevo] {
        assert_eq!(cuantos(quien), COPIADOS + 3);
    }
    // The old one is whole without its log.
    assert_eq!(cuantos(&abrir(&apartada)), COPIADOS + 2 * POSTERIORES);
}

#[test]
fn a_log_that_came_along_with_its_file_stays() {
    let (banco, otro) = (Banco::nuevo(), Banco::nuevo());
    escribir(&otro.archivo, 1);
    // As it is without what only the log holds.
    fs::copy(otro.en("x.db"), otro.en("sin.db")).unwrap();
    let otra = otro.matar();
    for (nombre, aqui) in [("x.db-wal", "x.db-wal"), ("sin.db", "x.db")] {
        fs::rename(otra.path().join(nombre), banco.en(aqui)).unwrap();
    }
    let todos = COPIADOS + 2 * POSTERIORES + 1;
    assert_eq!(cuantos(&banco.archivo), todos);
    assert_eq!(cuantos(&abrir(&banco.en("x.db"))), todos);
}

/// The transaction ends in the file that it began in, which nobody finds any more.
#[test]
fn what_was_written_while_the_file_was_replaced_is_not_told_as_done() {
    let banco = Banco::nuevo();
    let escrito = banco.archivo.escribir::<_, ErrorArchivo>(|tx| {
        insertar(tx, 1)?;
        fs::rename(banco.en("copia.db"), banco.en("x.db")).unwrap();
        Ok::<_, Fallo<ErrorArchivo>>(())
    });
    let error = escrito.unwrap_err();
    assert!(matches!(error.causa, Causa::Reemplazado), "{error}");
    assert!(
        error.is_transient() && error.to_string().contains("try again"),
        "{error}"
    );
    escribir(&banco.archivo, 1);
    assert_eq!(cuantos(&banco.archivo), COPIADOS + 1);
}

#[test]
fn a_file_without_its_log_is_not_written_to() {
    for (nombre, otro) in [("x.db-wal", false), ("x.db-shm", false), ("x.db-wal", true)] {
        let banco = Banco::nuevo();
        fs::remove_file(banco.en(nombre)).unwrap();
        if otro {
            fs::write(banco.en(nombre), "").unwrap();
        }
        for _ in 0..2 {
            let escrito = banco.archivo.escribir::<_, ErrorArchivo>(|_| Ok(()));
            let error = escrito.unwrap_err();
            assert!(matches!(error.causa, Causa::SinDiario), "{error}");
            let texto = error.to_string();
            assert!(
                texto.contains("x.db") && texto.contains("start them again"),
                "{texto}"
            );
        }
        if !otro {
            // Nothing of what was written before is lost.
            let Banco { carpeta, archivo } = banco;
            drop(archivo);
            let todos = cuantos(&abrir(&carpeta.path().join("x.db")));
            assert_eq!(todos, COPIADOS + 2 * POSTERIORES, "{nombre}");
        }
    }
}

/// The file at another path has a log of its own there.
#[test]
fn a_link_that_leads_elsewhere_leaves_the_log_of_its_old_file_alone() {
    let banco = Banco::nuevo();
    let enlace = banco.en("enlace.db");
    std::os::unix::fs::symlink(banco.en("x.db"), &enlace).unwrap();
    let archivo = abrir(&enlace);
    escribir(&archivo, 1);
    fs::remove_file(&enlace).unwrap();
    std::os::unix::fs::symlink(banco.en("copia.db"), &enlace).unwrap();
    assert_eq!(cuantos(&archivo), COPIADOS);
    escribir(&banco.archivo, 1);
    assert_eq!(cuantos(&banco.archivo), COPIADOS + 2 * POSTERIORES + 2);
}

/// Who undoes a mistake finds all that was written before it.
#[test]
fn a_log_that_is_put_aside_takes_the_place_of_no_other() {
    let carpeta = Banco::nuevo().matar();
    let en = |nombre: &str| carpeta.path().join(nombre);
    let primero = fs::read(en("x.db-wal")).unwrap();
    fs::rename(en("x.db"), en("bueno.db")).unwrap();
    fs::rename(en("copia.db"), en("x.db")).unwrap();
    let archivo = abrir(&en("x.db"));
    escribir(&archivo, 1);
    matar(archivo);
    let segundo = fs::read(en("x.db-wal")).unwrap();
    fs::copy(en("bueno.db"), en("x.db.nuevo")).unwrap();
    fs::rename(en("x.db.nuevo"), en("x.db")).unwrap();
    abrir(&en("x.db"));

    assert_eq!(fs::read(en("x.db-wal-replaced")).unwrap(), primero);
    assert_eq!(fs::read(en("x.db-wal-replaced-2")).unwrap(), segundo);
    fs::rename(en("x.db-wal-replaced"), en("bueno.db-wal")).unwrap();
    let bueno = abrir(&en("bueno.db"));
    assert_eq!(cuantos(&bueno), COPIADOS + 2 * POSTERIORES);
}

/// Whoever may write to the folder may lay one: nobody can be kept out by the note then.
#[test]
fn without_the_note_nothing_is_put_aside() {
    let banco = Banco::nuevo();
    fs::remove_file(banco.en("x.db-diario-de")).unwrap();
    std::os::unix::fs::symlink(banco.en("otro"), banco.en("x.db-diario-de")).unwrap();
    fs::rename(banco.en("copia.db"), banco.en("x.db")).unwrap();
    let escrito = banco.archivo.escribir::<_, ErrorArchivo>(|_| Ok(()));
    let error = escrito.unwrap_err();
    assert!(matches!(error.causa, Causa::DiarioAjeno(..)), "{error}");
    assert!(error.to_string().contains("diario-de"), "{error}");
    assert!(banco.en("x.db-wal").exists() && !banco.en("x.db-wal-replaced").exists());
    fs::remove_file(banco.en("x.db-diario-de")).unwrap();
    assert_eq!(cuantos(&banco.archivo), COPIADOS);
}

thread_local! {
    /// What another process does while a file is opened for the first time, and has open since.
    static OTRO: RefCell<Option<Archivo>> = const { RefCell::new(None) };
}

/// Nobody holds the note yet: others may have opened the new one by the time that it is had.
#[test]
fn a_file_that_is_replaced_while_it_is_first_opened_leaves_the_log_of_the_new_one_alone() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("x.db");
    let archivo = Archivo::abrir(&UNA, &ruta, |tx, _| {
        let ruta = PathBuf::from(tx.path().unwrap());
        let carpeta = ruta.parent().unwrap();
        for junto in ["", "-wal", "-shm"] {
            let [de, a] = ["x", "y"].map(|n| carpeta.join(format!("{n}.db{junto}")));
            fs::rename(de, a).unwrap();
        }
        let otro = abrir(&ruta);
        escribir(&otro, 1);
        OTRO.set(Some(otro));
        tx.execute_batch("CREATE TABLE t (n INTEGER, s TEXT) STRICT")
    });
    let otro = OTRO.take().unwrap();
    escribir(&otro, 1);
    for quien in [&archivo.unwrap(), &otro] {
        assert_eq!(cuantos(quien), 2);
    }
    assert!(!carpeta.path().join("x.db-wal-replaced").exists());
}

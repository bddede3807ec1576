//! Files of one kind among files of others.

#[cfg(unix)]
mod reemplazo;

use archivo::{Archivo, Causa, Clase, ErrorArchivo};
use tempfile::TempDir;

static UNA: Clase = Clase {
    que: "first file",
    variable: "UNA_DB",
    nombre: "una.db",
    marca: 1_001,
    version: 1,
};

fn abrir(carpeta: &TempDir, clase: &'static Clase) -> Result<Archivo, ErrorArchivo> {
    Archivo::abrir(clase, carpeta.path().join("x.db"), |tx, desde| {
        assert_eq!(desde, 0, "an existing file is not prepared again");
        tx.execute_batch("CREATE TABLE t (n INTEGER) STRICT")
    })
}

#[test]
fn a_file_of_another_kind_is_refused_whatever_its_version() {
    let carpeta = tempfile::tempdir().unwrap();
    abrir(&carpeta, &UNA).unwrap();
    for (marca, version) in [(2_002, 1), (2_002, 9), (0, 1)] {
        let otra = Box::leak(Box::new(Clase {
            que: "other file",
            variable: "OTRA_DB",
            marca,
            version,
            ..UNA
        }));
        let error = abrir(&carpeta, otra).unwrap_err();
        assert!(matches!(error.causa, Causa::Inservible(_)), "{error}");
        let texto = error.to_string();
        assert!(
            texto.contains("other file") && texto.contains("OTRA_DB"),
            "{texto}"
        );
    }
    abrir(&carpeta, &UNA).unwrap();
}

#[test]
fn an_earlier_version_is_brought_to_this_one_and_a_later_one_is_left_alone() {
    let carpeta = tempfile::tempdir().unwrap();
    abrir(&carpeta, &UNA).unwrap();
    static DOS: Clase = Clase {
        version: 2,
        que: "first file",
        variable: "UNA_DB",
        nombre: "una.db",
        marca: 1_001,
    };
    let ruta = carpeta.path().join("x.db");
    let archivo = Archivo::abrir(&DOS, &ruta, |tx, desde| {
        assert_eq!(desde, 1);
        tx.execute_batch("ALTER TABLE t ADD COLUMN m INTEGER")
    });
    let escrito = archivo.unwrap().escribir::<_, ErrorArchivo>(|tx| {
        Ok(tx.execute("INSERT INTO t (n, m) VALUES (1, 2)", [])?)
    });
    assert_eq!(escrito.unwrap(), 1);
    let error = abrir(&carpeta, &UNA).unwrap_err();
    assert!(matches!(error.causa, Causa::EsquemaNuevo(2)), "{error}");
}

#[test]
fn tables_that_can_not_be_made_leave_the_file_empty() {
    let carpeta = tempfile::tempdir().unwrap();
    let ruta = carpeta.path().join("x.db");
    let error = Archivo::abrir(&UNA, &ruta, |tx, _| {
        tx.execute_batch("CREATE TABLE t (n INTEGER) STRICT; no sql")
    });
    assert!(matches!(error.unwrap_err().causa, Causa::Base(_)));
    abrir(&carpeta, &UNA).unwrap();
}

#[cfg(unix)]
#[expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]
mod derechos {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use archivo::{Archivo, ErrorArchivo};

    use super::UNA;

    /// Opens it and writes, so that all that `SQLite` lays beside it is there.
    fn en_uso(ruta: &Path) -> Archivo {
        let preparar = |tx: &rusqlite::Transaction<'_>, _| {
            tx.execute_batch("CREATE TABLE t (n INTEGER) STRICT")
        };
        let archivo = Archivo::abrir(&UNA, ruta, preparar).unwrap();
        let escrito = archivo
            .escribir::<_, ErrorArchivo>(|tx| Ok(tx.execute("INSERT INTO t (n) VALUES (1)", [])?));
        assert_eq!(escrito.unwrap(), 1);
        archivo
    }

    fn modo(ruta: &Path) -> u32 {
        fs::metadata(ruta).unwrap().permissions().mode() & 0o777
    }

    /// The modes of the file and of those beside it.
    fn modos(carpeta: &Path) -> [u32; 4] {
        ["", "-wal", "-shm", "-diario-de"].map(|junto| modo(&carpeta.join(format!("x.db{junto}"))))
    }

    #[test]
    fn what_is_made_is_this_users_alone() {
        let carpeta = tempfile::tempdir().unwrap();
        fs::set_permissions(carpeta.path(), Permissions::from_mode(0o777)).unwrap();
        let dentro = carpeta.path().join("a/b");
        let _archivo = en_uso(&dentro.join("x.db"));
        assert_eq!(modos(&dentro), [0o600; 4]);
        let carpetas = [carpeta.path(), &carpeta.path().join("a"), &dentro].map(modo);
        assert_eq!(carpetas, [0o777, 0o700, 0o700]);
    }

    #[test]
    fn a_link_to_no_file_yet_leads_to_one_that_is_this_users_alone() {
        let carpeta = tempfile::tempdir().unwrap();
        symlink("lejos.db", carpeta.path().join("x.db")).unwrap();
        let _archivo = en_uso(&carpeta.path().join("x.db"));
        assert_eq!(modo(&carpeta.path().join("lejos.db")), 0o600);
    }

    #[test]
    fn a_file_that_was_made_for_several_users_stays_so() {
        let carpeta = tempfile::tempdir().unwrap();
        let ruta = carpeta.path().join("x.db");
        fs::write(&ruta, "").unwrap();
        fs::set_permissions(&ruta, Permissions::from_mode(0o666)).unwrap();
        let _archivo = en_uso(&ruta);
        assert_eq!(modos(carpeta.path()), [0o666; 4]);
    }
}

//! Who may read and write what is made here: this user alone. What is there already keeps its rights.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::error::Causa;
use crate::fichero::Fichero;
use crate::transaccion::Fallo;

/// Makes the folder of a new file, and those above it that are missing.
pub(crate) fn crear_carpeta(ruta: &Path) -> Result<(), io::Error> {
    let Some(carpeta) = ruta.parent().filter(|c| !c.as_os_str().is_empty()) else {
        return Ok(());
    };
    let mut crear = fs::DirBuilder::new();
    crear.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut crear, 0o700);
    crear.create(carpeta)
}

/// Makes the file where none is, empty; `SQLite` would leave its rights to the umask, and gives those of the file to what
/// it lays beside it. Where it can not be made, `SQLite` says why.
pub(crate) fn crear_fichero(ruta: &Path) {
    if !matches!(Fichero::en(ruta), Err(Fallo::Archivo(Causa::Desaparecido))) {
        return;
    }
    // Not opened for it where that can be avoided: closing it, this process would lose the locks that SQLite has on it by
    // then for another thread.
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let modo = Mode::RUSR | Mode::WUSR;
        if mknodat(CWD, ruta, FileType::RegularFile, modo, 0).is_ok() || ruta.exists() {
            return;
        }
    }
    let mut crear = OpenOptions::new();
    crear.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut crear, 0o600);
    drop(crear.open(ruta));
}

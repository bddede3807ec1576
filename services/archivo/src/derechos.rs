//! Who may read and write what is made here: this user alone. What is there already keeps its rights.

use std::fs::{self, File, OpenOptions};
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

/// Makes a file beside `base` and opens it, for whoever may use that one: as `SQLite` does with its own.
pub(crate) fn crear_junto(ruta: &Path, base: &Path) -> io::Result<File> {
    let base = fs::metadata(base)?;
    let mut abrir = OpenOptions::new();
    abrir.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut abrir, 0o600);
    match abrir.open(ruta) {
        Ok(fichero) => {
            pertenecer(&fichero, &base)?;
            Ok(fichero)
        }
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => abrir_junto(ruta),
        Err(error) => Err(error),
    }
}

/// Opens a file beside the database that is there. No link, and nothing that is waited for: whoever may write to the folder
/// could have it lead to any file of this user.
pub(crate) fn abrir_junto(ruta: &Path) -> io::Result<File> {
    let mut abrir = OpenOptions::new();
    abrir.read(true).write(true);
    #[cfg(unix)]
    {
        let sin_enlace = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut abrir, sin_enlace);
    }
    let fichero = abrir.open(ruta).map_err(|error| {
        if fs::symlink_metadata(ruta).is_ok_and(|hay| hay.is_symlink()) {
            return io::Error::other("it is a link, which is not followed: remove it");
        }
        error
    })?;
    if !fichero.metadata()?.is_file() {
        return Err(io::Error::other("it is no file: remove it"));
    }
    Ok(fichero)
}

/// Whether `ruta` leads to `fichero`.
#[cfg(unix)]
pub(crate) fn esta_en(fichero: &File, ruta: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let numeros = |datos: fs::Metadata| (datos.dev(), datos.ino());
    let (abierto, hay) = (fichero.metadata(), fs::symlink_metadata(ruta));
    abierto.is_ok_and(|abierto| hay.is_ok_and(|hay| numeros(hay) == numeros(abierto)))
}

#[cfg(not(unix))]
pub(crate) fn esta_en(_fichero: &File, ruta: &Path) -> bool {
    ruta.exists()
}

/// The open file, not what its name leads to by now: whoever may write to the folder could have root give away any other.
#[cfg(unix)]
fn pertenecer(fichero: &File, base: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let hecho = fichero.metadata()?;
    if (hecho.uid(), hecho.gid()) != (base.uid(), base.gid()) {
        // Only root may give files away, others to groups of their own; else the rights have to do.
        let grupo = Some(base.gid());
        drop(fchown(fichero, Some(base.uid()), grupo).or_else(|_| fchown(fichero, None, grupo)));
    }
    fichero.set_permissions(PermissionsExt::from_mode(base.mode() & 0o666))
}

#[cfg(not(unix))]
fn pertenecer(_fichero: &File, _base: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

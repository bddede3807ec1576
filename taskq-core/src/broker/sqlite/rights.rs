//! Who may read and write what is made here: this user alone, unless the database was made for others as well.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes the folder of a new database, and those above it that are missing, for this user alone.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut make = fs::DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder)
}

/// How a file is made that was not there: for this user alone, whatever the umask allows to others.
pub(super) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file beside the database, which is not there yet: for whoever may use that one.
pub(super) fn create_beside(path: &Path, database: &Path) -> io::Result<File> {
    let database = fs::metadata(database)?;
    let file = new_file().read(true).open(path)?;
    belong(&file, path, &database)?;
    Ok(file)
}

/// Gives a new file the permissions and, as far as this user may, the owner of the database: as SQLite does with its own.
#[cfg(unix)]
fn belong(file: &File, path: &Path, database: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (database.uid(), database.gid()) {
        // Only root may give files away, others to groups of their own; else the permissions have to do.
        let group = Some(database.gid());
        drop(chown(path, Some(database.uid()), group).or_else(|_| chown(path, None, group)));
    }
    file.set_permissions(PermissionsExt::from_mode(database.mode() & 0o666))
}

#[cfg(not(unix))]
fn belong(_file: &File, _path: &Path, _database: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Whether `path` leads to `file`.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
pub(super) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

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
    belong(&file, &database)?;
    Ok(file)
}

/// Opens a file beside the database that is there, for reading and writing. No link: whoever may write to the folder could
/// have it lead to any file of this user.
pub(super) fn open_beside(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_link);
    }
    options.open(path).map_err(|error| {
        if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
            return io::Error::other("it is a link, which is not followed: remove it");
        }
        error
    })
}

/// Gives a new file the permissions and, as far as this user may, the owner of the database: as SQLite does with its own.
/// The open file, not what its name leads to by now: whoever may write to the folder could have root give away any other.
#[cfg(unix)]
fn belong(file: &File, database: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (database.uid(), database.gid()) {
        // Only root may give files away, others to groups of their own; else the permissions have to do.
        let group = Some(database.gid());
        drop(fchown(file, Some(database.uid()), group).or_else(|_| fchown(file, None, group)));
    }
    file.set_permissions(PermissionsExt::from_mode(database.mode() & 0o666))
}

#[cfg(not(unix))]
fn belong(_file: &File, _database: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Whether `path` leads to `file`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    leads_to(path, file).unwrap_or(false)
}

/// Whether `path` is known to lead elsewhere, or nowhere. An error of the disk says nothing.
pub(super) fn is_away(file: &File, path: &Path) -> bool {
    match leads_to(path, file) {
        Ok(there) => !there,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether any name leads to it. Without one it does not come back to any.
#[cfg(unix)]
pub(super) fn has_name(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map_or(true, |there| there.nlink() > 0)
}

#[cfg(not(unix))]
pub(super) fn has_name(_file: &File) -> bool {
    true
}

#[cfg(unix)]
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, there) = (file.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn leads_to(path: &Path, _file: &File) -> io::Result<bool> {
    path.try_exists()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    use super::*;

    /// Only root gives files away: for others there is nothing to be seen here.
    #[test]
    fn a_link_that_was_put_in_the_place_of_a_new_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("q.db"), "").unwrap();
        fs::write(at("secret"), "").unwrap();
        if chown(at("q.db"), Some(12_345), Some(12_345)).is_err() {
            return;
        }
        let database = fs::metadata(at("q.db")).unwrap();
        let before = fs::metadata(at("secret")).unwrap();
        let file = new_file().read(true).open(at("new")).unwrap();
        fs::rename(at("new"), at("elsewhere")).unwrap();
        symlink(at("secret"), at("new")).unwrap();
        belong(&file, &database).unwrap();
        let after = fs::metadata(at("secret")).unwrap();
        assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
        let given = file.metadata().unwrap();
        assert_eq!((given.uid(), given.gid()), (12_345, 12_345));
    }
}

//! Who may read and write what is made here: this user alone, unless the database was made for others as well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
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
    open_no_link(path, OpenOptions::new().read(true).write(true))
}

/// Up to `most` bytes of what a small file beside the database says. No link is followed here either, and what is no file
/// is not read: neither need ever end.
pub(super) fn read_beside(path: &Path, most: u64) -> io::Result<String> {
    let file = open_no_link(path, OpenOptions::new().read(true))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file: remove it"));
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text)?;
    Ok(text)
}

fn open_no_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // Not waiting: opening a pipe alone would, for whoever opens its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    /// A new file whose name leads elsewhere by the time it is given the rights of the database.
    struct Scene {
        folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let scene = Self { folder };
            for (name, mode) in [("q.db", 0o664), ("secret", 0o600)] {
                fs::write(scene.at(name), "").unwrap();
                let mode = PermissionsExt::from_mode(mode);
                fs::set_permissions(scene.at(name), mode).unwrap();
            }
            scene
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        /// User, group and mode.
        fn rights(there: &fs::Metadata) -> (u32, u32, u32) {
            (there.uid(), there.gid(), there.mode() & 0o777)
        }

        /// What became of the new file, and of the one that its name leads to.
        fn given(&self) -> [(u32, u32, u32); 2] {
            let database = fs::metadata(self.at("q.db")).unwrap();
            let file = new_file().read(true).open(self.at("new")).unwrap();
            fs::rename(self.at("new"), self.at("elsewhere")).unwrap();
            symlink(self.at("secret"), self.at("new")).unwrap();
            belong(&file, &database).unwrap();
            let secret = fs::metadata(self.at("secret")).unwrap();
            [file.metadata().unwrap(), secret].map(|there| Self::rights(&there))
        }
    }

    #[test]
    fn a_link_that_was_put_in_the_place_of_a_new_file_is_not_followed() {
        let scene = Scene::new();
        let before = fs::metadata(scene.at("secret")).unwrap();
        let [(.., mode), secret] = scene.given();
        assert_eq!(mode, 0o664);
        assert_eq!(secret, Scene::rights(&before));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_need_not_end_is_not_read() {
        let scene = Scene::new();
        fs::write(scene.at("note"), "1 2 3").unwrap();
        assert_eq!(read_beside(&scene.at("note"), 99).unwrap(), "1 2 3");
        assert_eq!(read_beside(&scene.at("note"), 3).unwrap(), "1 2");
        symlink(scene.at("note"), scene.at("link")).unwrap();
        let error = read_beside(&scene.at("link"), 99).unwrap_err();
        assert!(error.to_string().contains("a link"), "{error}");
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, scene.at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for other in [scene.at("pipe"), scene.at("."), "/dev/zero".into()] {
            let error = read_beside(&other, 99).unwrap_err();
            assert!(error.to_string().contains("no file"), "{error}");
        }
    }

    /// Only root gives files away.
    #[test]
    fn a_link_does_not_have_root_give_away_what_it_leads_to() {
        let scene = Scene::new();
        let before = fs::metadata(scene.at("secret")).unwrap();
        if chown(scene.at("q.db"), Some(12_345), Some(12_345)).is_err() {
            eprintln!("this user gives no files away: that was not tried");
            return;
        }
        let [given, secret] = scene.given();
        assert_eq!(given, (12_345, 12_345, 0o664));
        assert_eq!(secret, Scene::rights(&before));
    }
}

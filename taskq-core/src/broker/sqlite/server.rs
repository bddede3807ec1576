//! What the broker is, and where its file lies as no such file should.

use std::path::Path;
use std::time::Instant;

use super::beside::Beside;
use super::link::Link;
use super::log::LONG;
use super::tx::View;
use crate::broker::ServerInfo;
use crate::error::Error;

/// File systems on another machine, by the names that Linux gives them: locks there do not keep processes apart, and memory
/// that they share is not shared.
const REMOTE: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb2",
    "smb3",
    "smbfs",
];

/// What Linux tells of its mounts.
const MOUNTS: &str = "/proc/self/mountinfo";

pub(super) async fn read(link: &Link) -> Result<ServerInfo, Error> {
    let asked = Instant::now();
    link.read(|_| Ok(())).await?;
    let round_trip = asked.elapsed();
    let path = link.path().to_owned();
    // On the thread that reads: a disk that hangs is waited for there.
    let (sync, warnings) = link
        .read(move |view| Ok((synchronous(view)?, warnings(view, &path)?)))
        .await?;
    Ok(ServerInfo {
        name: "sqlite".into(),
        version: format!("{} (synchronous={sync})", rusqlite::version()),
        round_trip,
        warnings,
    })
}

/// When a commit reaches the disk.
fn synchronous(view: &View<'_>) -> Result<&'static str, Error> {
    let mode: i64 = view.one("PRAGMA synchronous", (), |row| row.get(0))?;
    Ok(match mode {
        0 => "off",
        1 => "normal",
        2 => "full",
        _ => "extra",
    })
}

fn warnings(view: &View<'_>, path: &Path) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let file = path.display();
    let journal: String = view.one("PRAGMA journal_mode", (), |row| row.get(0))?;
    if journal != "wal" && journal != "memory" {
        warnings.push(format!(
            "{file} has no write-ahead log (its journal is {journal}): processes wait for each other. Put it on a local \
             disk"
        ));
    }
    let log = Beside::new(path).log_size();
    if log > LONG {
        warnings.push(format!(
            "the log beside {file} has grown to {} MiB: somebody has been reading from it without a break. End shells and \
             programs that hold a transaction open on it",
            log >> 20
        ));
    }
    // Systems that tell nothing, and what is in memory, are not warned of.
    let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
    if let Ok(place) = path.canonicalize()
        && let Some(kind) = mounted_as(&mounts, &place)
        && REMOTE.contains(&kind)
    {
        warnings.push(format!(
            "{file} lies on a network file system ({kind}), whose locks may let two processes write at once: take a local \
             disk, or a Redis broker for several machines"
        ));
    }
    Ok(warnings)
}

/// The kind of file system that `place` lies on, out of what Linux tells of its mounts.
fn mounted_as<'a>(mounts: &'a str, place: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        // Fields of a mount and, behind a dash, those of its file system; the fifth is where it is.
        let (mount, system) = line.split_once(" - ")?;
        let at = unescaped(mount.split(' ').nth(4)?);
        place
            .starts_with(&at)
            .then(|| (at.len(), system.split(' ').next()))
    });
    // The innermost, and of those at one place the last: it hides the others.
    mounts.max_by_key(|(length, _)| *length)?.1
}

/// A space and its like stand as `\040`.
fn unescaped(text: &str) -> String {
    let parts = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    parts
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        40 22 0:50 / /srv/team\\040files rw - nfs4 nas:/team rw,vers=4.2\n\
        41 40 252:1 / /srv/team\\040files/local rw - xfs /dev/vdb rw\n\
        42 22 0:51 / /mnt rw - tmpfs none rw\n\
        43 22 0:52 / /mnt rw - fuse.sshfs host: rw\n";

    #[test]
    fn the_innermost_mount_tells_the_file_system() {
        let kind = |path: &str| mounted_as(MOUNTS, Path::new(path));
        assert_eq!(kind("/var/lib/taskq.db"), Some("ext4"));
        assert_eq!(kind("/srv/team files/taskq.db"), Some("nfs4"));
        assert_eq!(kind("/srv/team files/local/taskq.db"), Some("xfs"));
        assert_eq!(kind("/srv/team files too/taskq.db"), Some("ext4"));
        assert_eq!(kind("/mnt/taskq.db"), Some("fuse.sshfs"));
        assert_eq!(mounted_as("nonsense", Path::new("/")), None);
    }
}

//! The kernel's word that a file was written to.

use std::io;
use std::path::Path;
use std::time::Duration;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Sounds {
    /// Watches whose file was written to.
    pub(super) struck: Vec<i32>,
    /// Watches whose file was removed, replaced or given other permissions.
    pub(super) moved: Vec<i32>,
    /// There was more than the kernel keeps: anything may have been written to.
    pub(super) overflow: bool,
}

impl Sounds {
    pub(super) fn is_empty(&self) -> bool {
        self.struck.is_empty() && self.moved.is_empty() && !self.overflow
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Ears;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Ears;

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;

    use super::{Duration, Path, Sounds, io};

    /// An inotify instance.
    #[derive(Debug)]
    pub(in super::super) struct Ears {
        fd: OwnedFd,
    }

    impl Ears {
        pub(in super::super) fn open() -> io::Result<Self> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            Ok(Self { fd })
        }

        pub(in super::super) fn watch(&self, path: &Path) -> io::Result<i32> {
            let flags = WatchFlags::MODIFY
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF;
            Ok(inotify::add_watch(&self.fd, path, flags)?)
        }

        pub(in super::super) fn forget(&self, watch: i32) {
            // Gone already where its file is.
            inotify::remove_watch(&self.fd, watch).ok();
        }

        /// What is heard within `most`; nothing: that time is over.
        pub(in super::super) fn wait(&self, most: Duration) -> io::Result<Sounds> {
            let most = Timespec {
                tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: most.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&most)) {
                Ok(0) | Err(Errno::INTR) => Ok(Sounds::default()),
                Ok(_) => self.read(),
                Err(e) => Err(e.into()),
            }
        }

        fn read(&self) -> io::Result<Sounds> {
            let mut sounds = Sounds::default();
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&self.fd, &mut buffer);
            loop {
                let event = match reader.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN | Errno::INTR) => return Ok(sounds),
                    Err(e) => return Err(e.into()),
                };
                let (watch, what) = (event.wd(), event.events());
                if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                    sounds.overflow = true;
                } else if what.contains(ReadFlags::MODIFY) {
                    sounds.struck.push(watch);
                } else {
                    sounds.moved.push(watch);
                }
                if reader.is_buffer_empty() {
                    return Ok(sounds);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{Duration, Path, Sounds, io};

    /// This system has none that taskq knows: bells are looked at.
    #[derive(Debug)]
    pub(in super::super) struct Ears;

    impl Ears {
        pub(in super::super) fn open() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn watch(&self, _path: &Path) -> io::Result<i32> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn forget(&self, _watch: i32) {}

        pub(in super::super) fn wait(&self, most: Duration) -> io::Result<Sounds> {
            std::thread::sleep(most);
            Ok(Sounds::default())
        }
    }
}

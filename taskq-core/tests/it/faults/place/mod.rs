//! Where the broker of a run lives, and what can be done to it.

mod file;
mod server;

use std::path::PathBuf;

use self::file::File;
pub(crate) use self::file::Halves;
use self::server::Server;
use super::proxy::Lies;

pub(crate) enum Place {
    /// A Redis of its own, behind a wire that lies.
    Server(Server),
    /// A file, with nothing between it and those who use it.
    File(File),
}

/// Where a run is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    File,
}

/// What was there at one moment.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) at: u64,
    path: PathBuf,
}

impl Place {
    pub(crate) async fn start(kind: Kind, seed: u64) -> Self {
        match kind {
            Kind::Server => Self::Server(Server::start(seed).await),
            Kind::File => Self::File(File::make()),
        }
    }

    /// The URL for those who suffer.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.proxy.url(),
            Self::File(file) => file.url(),
        }
    }

    /// The URL for who looks at what came of it.
    pub(crate) fn direct_url(&self) -> String {
        match self {
            Self::Server(server) => server.redis.url(),
            Self::File(file) => file.url(),
        }
    }

    /// Requests and replies are lost, and connections fall silent, so often of a thousand.
    pub(crate) fn faulty(&self, permille: u64, muting: u64) {
        if let Self::Server(server) = self {
            server.proxy.faulty(permille, muting);
        }
    }

    /// Nobody can reach it, or it is over.
    pub(crate) fn outage(&mut self, on: bool) {
        match self {
            Self::Server(server) => server.proxy.outage(on),
            Self::File(file) => file.lock(on),
        }
    }

    pub(crate) fn copy(&mut self) -> Copy {
        let at = taskq_core::clock::now_ms();
        let path = match self {
            Self::Server(server) => server.redis.dump(),
            Self::File(file) => file.copy(),
        };
        Copy { at, path }
    }

    pub(crate) fn go_back_to(&mut self, copy: &Copy) {
        match self {
            Self::Server(server) => server.redis.restart_from(&copy.path),
            Self::File(file) => file.go_back_to(&copy.path),
        }
    }

    /// Takes away the lifelines of all processes: how many there were.
    pub(crate) fn cut(&self) -> u64 {
        match self {
            Self::Server(_) => 0,
            Self::File(file) => file.cut(),
        }
    }

    pub(crate) fn lies(&self) -> Lies {
        match self {
            Self::Server(server) => server.proxy.lies(),
            Self::File(_) => Lies::default(),
        }
    }

    /// Whether something is still on its way to be carried out later.
    pub(crate) fn holds_requests(&self) -> bool {
        matches!(self, Self::Server(server) if server.proxy.holds_requests())
    }

    /// What is held at the end, though nothing may be. Asked of the keys or tables themselves, because the broker's own
    /// view goes by the leases and does not see what has none.
    pub(crate) fn held(&self) -> Option<String> {
        match self {
            Self::Server(server) => server.held(),
            Self::File(file) => file.held(),
        }
    }

    /// What is wrong with how it lies there.
    pub(crate) fn audit(&self) -> Vec<String> {
        match self {
            Self::Server(_) => Vec::new(),
            Self::File(file) => file.audit(),
        }
    }
}

//! The embedded broker: one SQLite file that several processes of one machine share, and no server.
//!
//! Everything is in one file ([schema](https://sqlite.org/fileformat.html): `schema.sql` beside this module). What is
//! one step for a caller is one step in a transaction, so nothing has to be numbered or repeated as on a network: it is
//! committed and answered, or undone. Steps that are asked for at the same time share one transaction. Sessions count
//! their claims and finishes all the same: so they tell an older copy of the file, put back under them, from their own.

mod bell;
mod beside;
mod lifeline;
mod link;
mod log;
mod moves;
mod open;
mod opened;
mod place;
mod records;
mod rights;
mod schema;
mod shared;
mod stream;
mod trouble;
mod tx;
pub(in crate::broker) mod url;

mod dead;
mod find;
mod janitor;
mod pause;
mod purge;
mod replay;
mod revoked;

mod claim;
mod consumer;
mod enqueue;
mod finish;
mod give;
mod gone;
mod once;
mod seat;
mod session;
mod started;
mod sweep;

mod depth;
mod events;
mod fleet;
mod server;
mod talk;
mod watch;

mod control;
mod hot;
mod inspect;
mod results;

#[cfg(test)]
mod counted;
#[cfg(test)]
mod fences;
#[cfg(test)]
mod harm;
#[cfg(test)]
mod plans;
#[cfg(feature = "testing")]
mod testing;

use std::path::Path;
use std::sync::Arc;

use self::link::Link;
use self::open::{Location, Settings};
use crate::error::Error;

/// A broker in one file, or in the memory of this process. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct SqliteBroker {
    link: Arc<Link>,
}

impl SqliteBroker {
    /// A broker in the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// What is the matter with the file or its folder, and what to do about it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::at(&Location::File(Settings {
            path: path.as_ref().to_path_buf(),
            full_sync: false,
        }))
    }

    /// The URL that names the file at `path`, for [`connect`](super::connect) and for other programs.
    #[must_use]
    pub fn url(path: &Path) -> String {
        url::of(path)
    }

    fn at(location: &Location) -> Result<Self, Error> {
        let link = Arc::new(Link::open(location)?);
        Ok(Self { link })
    }
}

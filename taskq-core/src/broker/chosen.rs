//! Which broker a program takes: the one that is named, or a file of the user's own.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::Error;

/// The broker a program takes.
///
/// For mains: libraries read no environment and print nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenBroker {
    /// The URL for [`connect`](super::connect).
    pub url: String,
    /// What the user is to be told on stderr, once: nobody named a broker, and this is the one.
    pub notice: Option<String>,
}

impl ChosenBroker {
    /// The broker that was `named` on the command line or in the environment; else `taskq/taskq.db` in the user's data
    /// folder: `$XDG_DATA_HOME`, or `$HOME/.local/share`. `variable` reads the environment: [`std::env::var_os`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where none is named and there is no data folder, or no
    /// embedded broker in this program.
    ///
    /// # Example
    /// ```
    /// use taskq_core::broker::ChosenBroker;
    ///
    /// let home = |name: &str| (name == "HOME").then(|| "/home/ana".into());
    /// # #[cfg(feature = "sqlite")] {
    /// let chosen = ChosenBroker::from(None, home)?;
    /// assert_eq!(chosen.url, "sqlite:///home/ana/.local/share/taskq/taskq.db");
    /// # }
    /// let chosen = ChosenBroker::from(Some("redis://127.0.0.1:6379/0".to_owned()), home)?;
    /// assert_eq!(chosen.notice, None);
    /// # Ok::<(), taskq_core::Error>(())
    /// ```
    pub fn from(
        named: Option<String>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        if let Some(url) = named {
            return Ok(Self { url, notice: None });
        }
        let url = own_file(variable)?;
        let notice =
            format!("no broker is named, taking {url} (-b/--broker or TASKQ_BROKER_URL names one)");
        Ok(Self {
            url,
            notice: Some(notice),
        })
    }

    /// The user's data folder: `$XDG_DATA_HOME`, or `$HOME/.local/share`. `None`: neither is set to an absolute path.
    ///
    /// # Example
    /// ```
    /// use taskq_core::broker::ChosenBroker;
    ///
    /// let home = |name: &str| (name == "HOME").then(|| "/home/ana".into());
    /// let folder = ChosenBroker::data_folder(home).ok_or("no folder")?;
    /// assert_eq!(folder, std::path::Path::new("/home/ana/.local/share"));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn data_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        // One that is not absolute is to be ignored, as the XDG base directory specification says.
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))
    }
}

#[cfg(feature = "sqlite")]
fn own_file(variable: impl Fn(&str) -> Option<OsString>) -> Result<String, Error> {
    let folder = ChosenBroker::data_folder(variable)
        .ok_or_else(|| {
            Error::invalid(
                "no broker is named, and there is no folder for one: neither XDG_DATA_HOME nor HOME is set to an \
                 absolute path; name a broker with -b/--broker or TASKQ_BROKER_URL, such as sqlite:///var/lib/taskq.db",
            )
        })?;
    Ok(super::sqlite::url::of(&folder.join("taskq/taskq.db")))
}

#[cfg(not(feature = "sqlite"))]
fn own_file(_variable: impl Fn(&str) -> Option<OsString>) -> Result<String, Error> {
    Err(Error::invalid(
        "no broker is named, and this program was built without the embedded one: name one with -b/--broker or \
         TASKQ_BROKER_URL, such as redis://127.0.0.1:6379/0, or build taskq-core with feature `sqlite`",
    ))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> Result<ChosenBroker, Error> {
        ChosenBroker::from(None, |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_data_folder_is_the_users() {
        for (variables, url) in [
            (
                &[("XDG_DATA_HOME", "/data"), ("HOME", "/home/ana")][..],
                "sqlite:///data/taskq/taskq.db",
            ),
            (
                &[("HOME", "/home/ana maría")],
                "sqlite:///home/ana%20mar%C3%ADa/.local/share/taskq/taskq.db",
            ),
            (
                &[("XDG_DATA_HOME", ""), ("HOME", "/home/luz")],
                "sqlite:///home/luz/.local/share/taskq/taskq.db",
            ),
            (
                &[("XDG_DATA_HOME", "here"), ("HOME", "/home/luz")],
                "sqlite:///home/luz/.local/share/taskq/taskq.db",
            ),
        ] {
            let chosen = chosen(variables).unwrap();
            assert_eq!(chosen.url, url);
            assert!(chosen.notice.unwrap().contains(url));
        }
    }

    #[test]
    fn without_a_home_a_broker_has_to_be_named() {
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "rel")]] {
            let error = chosen(variables).unwrap_err().to_string();
            assert!(error.contains("neither XDG_DATA_HOME nor HOME"), "{error}");
        }
        let named = ChosenBroker::from(Some("memory://".to_owned()), |_| None).unwrap();
        assert_eq!((&*named.url, named.notice), ("memory://", None));
    }
}

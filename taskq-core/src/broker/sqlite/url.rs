//! The broker's URL: to a place on disk and back.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use url::form_urlencoded;

use super::open::{Location, Settings};
use crate::error::Error;

const FORMS: &str = "sqlite:///folder/file.db (from the root), sqlite://file.db (from the working directory), each with \
                     ?sync=full or ?sync=normal if need be, or sqlite::memory:";

fn malformed(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the broker URL does not read as {FORMS}: {why}"))
}

/// Reads what stands behind `sqlite:`.
pub(super) fn parse(rest: &str) -> Result<Location, Error> {
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    if place == ":memory:" {
        return match query {
            None => Ok(Location::Memory),
            Some(_) => Err(malformed("what lies in memory has no options")),
        };
    }
    if is_memory(place) {
        let why = "in memory is sqlite::memory:, without slashes and with one colon on either side";
        return Err(malformed(why));
    }
    let Some(path) = place.strip_prefix("//") else {
        return Err(malformed(
            "behind `sqlite:` come two slashes and a path; one from the root begins with a slash of its own",
        ));
    };
    let full_sync = query.map_or(Ok(false), full_sync)?;
    let path = std::path::absolute(path_of(path)?).map_err(malformed)?;
    Ok(Location::File(Settings { path, full_sync }))
}

/// Whether it is what somebody writes who means a broker in memory. `memory` alone is a file.
fn is_memory(place: &str) -> bool {
    let name = place.trim_matches(['/', ':']);
    name.eq_ignore_ascii_case("memory") && place.contains(':')
        || place.eq_ignore_ascii_case("memory")
}

/// Whether a path from the working directory begins with what other URLs have there: a host.
fn begins_with_host(path: &str) -> bool {
    let Some((first, _)) = path.split_once('/') else {
        return false;
    };
    first.eq_ignore_ascii_case("localhost")
        || first.contains(['@', ':'])
        || first.parse::<std::net::IpAddr>().is_ok()
}

fn full_sync(query: &str) -> Result<bool, Error> {
    let mut full = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "sync" {
            return Err(malformed(format_args!(
                "the option `{}` is not known, only `sync` is",
                name.chars().take(32).collect::<String>().escape_debug()
            )));
        }
        let wanted = match &*value {
            "full" => true,
            "normal" => false,
            _ => return Err(malformed("`sync` is full or normal")),
        };
        if full.replace(wanted).is_some() {
            return Err(malformed("`sync` is there twice"));
        }
    }
    Ok(full.unwrap_or(false))
}

fn path_of(encoded: &str) -> Result<PathBuf, Error> {
    if encoded.is_empty() || encoded.ends_with('/') {
        return Err(malformed("it names no file"));
    }
    if encoded == "~" || encoded.starts_with("~/") {
        return Err(malformed("`~` means nothing here: write the path in full"));
    }
    if begins_with_host(encoded) {
        return Err(malformed(
            "a file has no host: a path from the root has three slashes, and a folder of such a name in the working \
             directory is written sqlite://./name",
        ));
    }
    if encoded.contains('#') {
        return Err(malformed("a `#` in a path is written %23"));
    }
    let bytes = decoded(encoded)
        .ok_or_else(|| malformed("a `%` is followed by two digits, 0-9 A-F, or written %25"))?;
    if bytes.contains(&0) {
        return Err(malformed("a path has no %00 in it"));
    }
    native(bytes).map(PathBuf::from)
}

/// Without its percent signs; `None`: one of them has no two digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(unix)]
fn native(bytes: Vec<u8>) -> Result<OsString, Error> {
    Ok(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn native(bytes: Vec<u8>) -> Result<OsString, Error> {
    String::from_utf8(bytes)
        .map(OsString::from)
        .map_err(|_| malformed("the path is no UTF-8"))
}

/// The URL of the file at `path`.
pub(in crate::broker) fn of(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' | b'~' | b'+' | b'@' | b':' | b',' | b'=' => {
                url.push(char::from(byte));
            }
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            // Into a String it can not fail.
            byte => drop(write!(url, "%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn file(rest: &str) -> (PathBuf, bool) {
        match parse(rest) {
            Ok(Location::File(settings)) => (settings.path, settings.full_sync),
            other => panic!("{rest}: {other:?}"),
        }
    }

    #[test]
    fn a_path_is_absolute_or_from_the_working_directory() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(file("///var/lib/q.db"), ("/var/lib/q.db".into(), false));
        for rest in ["//q.db", "//./q.db"] {
            assert_eq!(file(rest), (here.join("q.db"), false), "{rest}");
        }
        let folder = here.join("local/q.db");
        assert_eq!(file("//local/q.db"), (folder, false));
        // Names, where what other URLs have there is not meant.
        for name in ["localhost", "memory", "a@b:c"] {
            assert_eq!(file(&format!("//{name}")), (here.join(name), false));
        }
        let host = here.join("localhost/q.db");
        assert_eq!(file("//./localhost/q.db"), (host, false));
        assert_eq!(file("//a/b%20c.db"), (here.join("a/b c.db"), false));
        assert_eq!(parse(":memory:").unwrap(), Location::Memory);
    }

    #[test]
    fn how_it_is_synced_may_be_said() {
        assert_eq!(file("///q?sync=full"), ("/q".into(), true));
        assert_eq!(file("///q?sync=normal"), ("/q".into(), false));
        assert_eq!(file("///q?"), ("/q".into(), false));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (rest, why) in [
            ("", "two slashes"),
            ("/q.db", "two slashes"),
            ("q.db", "two slashes"),
            ("//", "names no file"),
            ("///", "names no file"),
            ("///var/lib/", "names no file"),
            ("//:memory:", "in memory is sqlite::memory:"),
            ("///:memory:", "in memory is sqlite::memory:"),
            ("memory:", "in memory is sqlite::memory:"),
            (":memory::", "in memory is sqlite::memory:"),
            ("::memory:", "in memory is sqlite::memory:"),
            (":memory", "in memory is sqlite::memory:"),
            ("memory", "in memory is sqlite::memory:"),
            ("//memory:", "in memory is sqlite::memory:"),
            (":MEMORY:", "in memory is sqlite::memory:"),
            ("//localhost/q.db", "has no host"),
            ("//LOCALHOST/var/q.db", "has no host"),
            ("//127.0.0.1/q.db", "has no host"),
            ("//user:s3cret@host/q.db", "has no host"),
            ("//host:80/q.db", "has no host"),
            ("//~/q.db", "in full"),
            ("///a#b", "%23"),
            ("///a%", "%25"),
            ("///a%2", "%25"),
            ("///a%2x", "%25"),
            ("///a%+2", "%25"),
            ("///a%00", "%00"),
            ("///q?mode=ro", "`mode` is not known, only `sync` is"),
            ("///q?sync", "full or normal"),
            ("///q?sync=off", "full or normal"),
            ("///q?sync=full&sync=full", "twice"),
            ("///q?sync=full&x", "`x` is not known"),
            (":memory:?sync=full", "no options"),
        ] {
            let error = parse(rest).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{rest}");
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("s3cret"), "{text}");
            assert!(text.contains(FORMS), "{text}");
        }
    }

    proptest::proptest! {
        #[cfg(unix)]
        #[test]
        fn each_path_has_a_url_that_leads_there(name in "[^/\0]{1,20}") {
            proptest::prop_assume!(name != "." && name != "..");
            let path = PathBuf::from("/folder").join(name);
            let url = of(&path);
            proptest::prop_assert_eq!(file(url.strip_prefix("sqlite:").unwrap()), (path, false));
        }
    }
}

//! The files at the repository's top.

use std::fs;

use compose::{Compose, Fleet, Image, Settings, repository};

pub(crate) fn file(name: &str) -> String {
    let path = repository().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(crate) fn example() -> Settings {
    Settings::read(&file(".env.example")).unwrap()
}

pub(crate) fn compose(settings: &Settings) -> Compose {
    Compose::read(&file("docker-compose.yml"), settings).unwrap()
}

/// The services of the file, with the settings of the example.
pub(crate) fn fleet() -> Fleet {
    Fleet::new(compose(&example()))
}

pub(crate) fn image() -> Image {
    Image::read(&file("Dockerfile"), &file(".dockerignore")).unwrap()
}

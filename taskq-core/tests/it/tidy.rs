//! The house rules that a compiler does not check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file below `folder` that ends so, with its path from the root of the project.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() {
                if !name.ends_with("target") && !name.starts_with(".git") {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push((name, fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending} below {folder}");
    found
}

/// The arrows between the library crates: these and no others.
#[test]
fn crates_import_only_what_they_may() {
    let allowed: [(&str, &[&str]); 5] = [
        ("taskq-macros", &[]),
        ("taskq-core", &["taskq-macros"]),
        ("taskq-client", &["taskq-core"]),
        ("taskq-worker", &["taskq-client", "taskq-core"]),
        ("taskq-cli", &["taskq-client", "taskq-core"]),
    ];
    for (name, may) in allowed {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let normal = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let normal = normal.split("\n[").next().unwrap_or_default();
        let does: BTreeSet<&str> = normal
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|d| d.starts_with("taskq-"))
            .collect();
        assert!(
            does.iter().all(|d| may.contains(d)),
            "{name} imports {does:?}, it may import {may:?}"
        );
        // The worker's test kit has both ends; a worker has not.
        let optional = |line: &str| !line.starts_with("taskq-client") || line.contains("optional");
        assert!(
            name != "taskq-worker" || normal.lines().all(optional),
            "taskq-worker imports taskq-client without its feature `testing`"
        );
    }
}

/// Nobody imports what is a program, a service or a test's own.
#[test]
fn services_are_imported_by_services_only() {
    for (name, manifest) in files(".", "Cargo.toml") {
        if name.starts_with("taskq-") {
            for service in ["archivo", "servicio", "logistica-", "monitor-"] {
                assert!(
                    !manifest.contains(&format!("\n{service}")),
                    "{name} imports {service}"
                );
            }
        }
    }
}

#[test]
fn only_the_redis_broker_names_redis() {
    for (name, text) in files("taskq-core/src", ".rs")
        .into_iter()
        .chain(files("taskq-client/src", ".rs"))
        .chain(files("taskq-worker/src", ".rs"))
        .chain(files("taskq-cli/src", ".rs"))
    {
        if name.starts_with("taskq-core/src/broker/redis/") {
            continue;
        }
        for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
            let line = line
                .replace("broker::redis", "")
                .replace("super::redis", "");
            assert!(
                !line.contains("redis::") && !line.contains("deadpool"),
                "{name}: {line}"
            );
        }
    }
}

/// `keys.rs` spells the keys, `scripts.rs` runs the scripts.
#[test]
fn keys_and_scripts_have_one_place() {
    for (name, text) in files("taskq-core/src/broker/redis", ".rs") {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        if !name.ends_with("/keys.rs") {
            for spelled in [
                ":ready",
                ":session:",
                ":leases",
                ":records",
                ":bell",
                "taskq:{",
            ] {
                let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
                // What stands between quotes.
                let mut texts = lines.flat_map(|l| l.split('"').skip(1).step_by(2));
                assert!(
                    !texts.any(|t| t.contains(spelled)),
                    "{name} spells a key: {spelled}"
                );
            }
        }
        if !name.ends_with("/scripts.rs") {
            assert!(
                !code.contains("cmd(\"EVAL") && !code.contains("Script::new"),
                "{name} runs a script by itself"
            );
        }
    }
}

/// A file has one duty; above this length it has more.
#[test]
fn no_file_is_long() {
    for (name, text) in files(".", ".rs") {
        if name.contains("/tests/") || name.contains("/tests.rs") {
            continue;
        }
        let lines = text.lines().count();
        assert!(lines <= 600, "{name} has {lines} lines");
    }
}

/// Every decision is found from the page that lists them.
#[test]
fn every_decision_is_listed() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, _) in files("docs/adr", ".md") {
        assert!(page.contains(&name), "ARCHITECTURE.md does not link {name}");
    }
}

/// A promise names the test that proves it; the test must be there.
#[test]
fn promises_name_tests_that_exist() {
    let code: String = files(".", ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for page in ["README.md", "docs/reliability.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for named in text
            .split("test `")
            .skip(1)
            .filter_map(|rest| rest.split('`').next())
        {
            let function = named.rsplit("::").next().unwrap();
            let there = code.contains(&format!("fn {function}("))
                || code.contains(&format!("    {function}: "));
            assert!(there, "{page} names the test {named}, which is not there");
        }
    }
}

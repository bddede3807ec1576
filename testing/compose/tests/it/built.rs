//! The Dockerfile: every file that the build needs reaches it, and every program that a service runs is in the image.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use compose::{Image, Instruction, Service, repository};
use serde_json::Value;

use crate::files::{compose, example, file, image};

/// What the Dockerfile must say and does not.
fn faults(image: &Image) -> Vec<String> {
    let stages = image.stages();
    let [build, last] = stages[..] else {
        return vec![format!("{} stages instead of two", stages.len())];
    };
    let rest = |stage: &[Instruction], name: &str| {
        let found = stage.iter().find(|i| i.name == name);
        found.map(|i| i.rest.clone()).unwrap_or_default()
    };
    let run = rest(build, "RUN");
    let run_last = rest(last, "RUN");
    let user = rest(last, "USER");
    let debian = |from: &str| from.contains("bookworm");
    let cached = |at: &str| run.contains(&format!("--mount=type=cache,target={at},sharing=locked"));
    let compose = compose(&example());
    let own = compose.services.values().filter(|s| s.is_ours());
    let same_user = own.clone().all(|s| s.user.as_deref() == Some(&user));
    let (uid, gid) = user.split_once(':').unwrap_or_default();
    let mut faults: Vec<String> = [
        (
            build[0].rest == format!("rust:{}-bookworm AS build", rust_version()),
            "not the workspace's Rust",
        ),
        (
            debian(&build[0].rest) && last[0].rest == "debian:bookworm-slim",
            "another C library",
        ),
        (
            rest(build, "WORKDIR") == "/src",
            "it builds elsewhere than the cache lies",
        ),
        (
            rest(build, "COPY") == ". .",
            "the sources do not reach the build",
        ),
        (
            cached("/usr/local/cargo/registry"),
            "dependencies are fetched each time",
        ),
        (cached("/src/target"), "dependencies are built each time"),
        (
            run.contains("-path ./target -prune -o -type f -exec touch {} +"),
            "sources may seem older than the cache",
        ),
        (
            run.contains("cargo build --release --locked --bins "),
            "it builds no programs, or other versions",
        ),
        (
            run.contains("install -D -t /programas "),
            "no program leaves the cache",
        ),
        (
            rest(last, "COPY") == "--from=build /programas/ /usr/local/bin/",
            "no program reaches the image",
        ),
        (
            same_user && uid != "0" && !uid.is_empty(),
            "the user is another than in the compose file",
        ),
        (
            run_last.contains(&format!("groupadd --gid {gid} ")),
            "there is no such group",
        ),
        (
            run_last.contains(&format!("useradd --uid {uid} --gid {gid} ")),
            "there is no such user",
        ),
        (
            rest(last, "WORKDIR") == "/datos",
            "it runs elsewhere than on its volume",
        ),
        (
            run_last.contains("install -d -o taskq -g taskq -m 0750 /datos"),
            "a new volume would be root's",
        ),
        (
            rest(last, "STOPSIGNAL") == "SIGTERM",
            "it is not told how to stop",
        ),
        (
            rest(last, "CMD") == r#"["worker", "--help"]"#,
            "without a command it says nothing",
        ),
    ]
    .into_iter()
    .filter(|(kept, _)| !kept)
    .map(|(_, sentence)| sentence.to_owned())
    .collect();
    let there = installed(&run);
    let needed: BTreeSet<&str> = own.flat_map(programs).collect();
    assert!(needed.len() >= 4, "{needed:?}");
    let missing = needed.iter().filter(|p| !there.contains(**p));
    faults.extend(missing.map(|p| format!("{p} is not in the image")));
    faults
}

/// The programs that a service runs: that of its command, and that of its health check.
fn programs(service: &Service) -> impl Iterator<Item = &str> {
    let checks = service.healthcheck.iter().filter_map(|check| {
        let command = check.test.get(1)?;
        let command = command.strip_prefix("exec ").unwrap_or(command);
        command.split(' ').next()
    });
    let first = service.command.first().map(String::as_str);
    first.into_iter().chain(checks)
}

/// The programs that the build puts aside for the image.
fn installed(run: &str) -> BTreeSet<String> {
    let words = run.split_whitespace();
    let programs = words.filter_map(|w| w.strip_prefix("target/release/"));
    programs.map(str::to_owned).collect()
}

fn rust_version() -> String {
    let manifest = file("Cargo.toml");
    let (_, rest) = manifest.split_once("\nrust-version = \"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn the_dockerfile_says_what_it_must() {
    let found = faults(&image());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_line_of_the_dockerfile_can_be_taken_out() {
    let text = file("Dockerfile");
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let kept: Vec<&str> = [&lines[..at], &lines[at + 1..]].concat();
        let read = Image::read(&kept.join("\n"), &file(".dockerignore"));
        let missed = read.map_or(true, |image| !faults(&image).is_empty());
        assert!(missed, "nobody misses line {}: {line}", at + 1);
        tried += 1;
    }
    assert!(tried > 14, "{tried} lines");
}

/// The build runs on what `.dockerignore` lets through and nothing else.
#[test]
fn the_context_is_a_whole_workspace_with_the_programs_of_the_image() {
    let image = image();
    let context = image.context(&repository());
    let folder = tempfile::tempdir().unwrap();
    for path in &context {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(repository().join(path), to).unwrap();
    }
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked"])
        .args(["--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{why}");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let run = image.stages()[0].iter().find(|i| i.name == "RUN").unwrap();
    let mut built = BTreeSet::new();
    let mut words = run.rest.split_whitespace();
    while let Some(word) = words.next() {
        if word != "-p" {
            continue;
        }
        let name = words.next().unwrap();
        let package = packages.iter().find(|p| p["name"] == name);
        let package = package.unwrap_or_else(|| panic!("there is no package {name}"));
        for target in package["targets"].as_array().unwrap() {
            let source = target["src_path"].as_str().unwrap();
            assert!(
                fs::exists(source).unwrap(),
                "{source} is not in the context"
            );
            if target["kind"][0] == "bin" {
                built.insert(target["name"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(built, installed(&run.rest));
    // What is no part of the build makes no image anew.
    for path in ["README.md", "docs/guides/docker.md", ".git/HEAD", ".env"] {
        assert!(!context.iter().any(|p| p.as_os_str() == path), "{path}");
    }
}

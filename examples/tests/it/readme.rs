//! What a reader types: the commands of the pages, run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{binary, end_of, folder, interrupt, lines_until, program, run};

/// Commands that the README shows and these tests do not run, and why.
const NOT_RUN: [&str; 1] = [
    // What runs these tests.
    "scripts/test",
];

fn page(path: &str) -> String {
    let path = folder().join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines of the fenced blocks in these languages.
fn blocks<'a>(page: &'a str, languages: &[&str]) -> Vec<&'a str> {
    let mut open = None;
    let mut lines = Vec::new();
    for line in page.lines() {
        match (open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some(languages.contains(&language)),
            (Some(_), Some(_)) => open = None,
            (Some(true), None) => lines.push(line),
            _ => {}
        }
    }
    lines
}

/// What is typed: without the prompt, and without what is said about it.
fn typed(line: &str) -> &str {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    line.split(" #").next().unwrap_or_default().trim()
}

/// The program that a `cargo run` builds, with its arguments; these are built already.
fn built(line: &str) -> Option<Command> {
    let mut words = line.strip_prefix("cargo run ")?.split_whitespace();
    let mut command = None;
    while let Some(word) = words.next() {
        match word {
            "--release" => {}
            "--example" => command = Some(program(words.next()?)),
            "-p" => {
                let name = match words.next()? {
                    "taskq-cli" => "taskq",
                    name => name,
                };
                let mut program = Command::new(binary(name));
                program
                    .env_remove("TASKQ_BROKER_URL")
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                command = Some(program);
            }
            "--" => break,
            other => panic!("{line}: what is {other}?"),
        }
    }
    let mut command = command?;
    command.args(words);
    Some(command)
}

/// A reader's terminal: what was exported, and where their data lies.
struct Terminal<'a> {
    data: &'a Path,
    exported: Vec<(String, String)>,
}

impl Terminal<'_> {
    fn ready(&self, line: &str) -> Option<Command> {
        let mut command = built(line)?;
        command.env("XDG_DATA_HOME", self.data);
        command.envs(self.exported.iter().cloned());
        Some(command)
    }

    /// Types these lines; answers what the commands among them said, each with its line.
    fn types(&mut self, lines: &[String]) -> Vec<(String, String)> {
        let mut said = Vec::new();
        for line in lines {
            if let Some(export) = line.strip_prefix("export ") {
                let (name, value) = export.split_once('=').expect("NAME=value");
                self.exported.push((name.to_owned(), value.to_owned()));
            } else if line.ends_with("--stay") {
                // It stays: the caller's.
            } else if let Some(command) = self.ready(line) {
                let ended = run(command);
                assert_eq!(ended.status, Some(0), "{line}: {}", ended.stderr);
                said.push((line.clone(), ended.stdout));
            }
        }
        said
    }
}

/// What the answer to the command with these words holds.
fn says(said: &[(String, String)], words: &str, parts: &[&str]) {
    let (line, answer) = said
        .iter()
        .find(|(line, _)| line.contains(words))
        .unwrap_or_else(|| panic!("nobody typed {words}: {said:?}"));
    for part in parts {
        assert!(answer.contains(part), "{line}: {part} is not in {answer}");
    }
}

/// That it prints what the README shows is tested beside the quickstart; here a reader goes on from there.
#[test]
fn what_the_quickstart_tells_to_type_can_be_typed() {
    let data = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal {
        data: data.path(),
        exported: Vec::new(),
    };
    let readme = page("README.md");
    let shown = blocks(&readme, &["console"]);
    let first = shown.iter().find(|line| line.starts_with("$ "));
    let first = typed(first.expect("a command"));
    let output = terminal.types(&[first.to_owned()]).remove(0).1;
    let lines: Vec<String> = output.lines().map(str::to_owned).collect();

    let said = terminal.types(&lines);
    says(
        &said,
        "queues",
        &["quickstart.deliveries", "quickstart.reports"],
    );
    says(&said, "dead list", &["ENT-001235 has nothing to deliver"]);
    says(&said, " why ", &["ENT-001235 has nothing to deliver"]);
    says(
        &said,
        " result ",
        &["SUCCESS", "quickstart.report", "30/30"],
    );
    assert_eq!(said.len(), 4, "{said:?}");

    // And in a second terminal, beside one that stays.
    let stay = lines.iter().find(|line| line.ends_with("-- --stay"));
    let mut staying = terminal
        .ready(stay.expect("its command"))
        .expect("a command");
    let mut staying = staying.spawn().expect("it starts");
    let lines = lines_until(&mut staying, "inspect active");
    let mut second = Terminal {
        data: data.path(),
        exported: Vec::new(),
    };
    let said = second.types(&lines);
    says(
        &said,
        "inspect stats",
        &["quickstart.deliver", "quickstart.notify"],
    );
    says(&said, " why ", &["ENT-001235 has nothing to deliver"]);
    says(&said, " result ", &["SUCCESS"]);
    assert_eq!(said.len(), 6, "{said:?}");
    interrupt(&staying);
    assert_eq!(end_of(staying).status, Some(0));
}

/// Commands stand in blocks and within sentences.
#[test]
fn every_command_of_the_readme_is_there_to_be_run() {
    let readme = page("README.md");
    let lines = blocks(&readme, &["console", "sh"]);
    let in_blocks = lines
        .into_iter()
        .filter(|line| {
            line.starts_with("$ ") || line.starts_with("cargo ") || line.starts_with("scripts/")
        })
        .map(typed);
    let within = readme.split('`').skip(1).step_by(2);
    let within = within.filter(|code| code.starts_with("cargo "));
    let commands: BTreeSet<&str> = in_blocks.chain(within).collect();
    let mut seen = 0;
    for line in commands {
        // Panics where there is no such program.
        if NOT_RUN.contains(&line) {
            assert!(folder().join("..").join(line).exists(), "{line}");
        } else {
            assert!(built(line).is_some(), "{line} runs nothing");
        }
        seen += 1;
    }
    assert!(seen > 6, "{seen} commands");
}

/// The guides show what was typed at brokers of their own. Here each line meets none: `taskq` understands it (69: nobody is
/// there), or refuses it (2) in the words that the page shows.
#[test]
fn every_taskq_line_of_the_guides_is_understood() {
    let nowhere = tempfile::tempdir().expect("a folder");
    let nowhere = format!("sqlite://{}/", nowhere.path().display());
    let none = format!("{nowhere}none.db");
    let programs = binary("taskq");
    let programs = programs.parent().expect("its folder");
    let mut seen = 0;
    let guides = fs::read_dir(folder().join("../docs/guides")).expect("a folder");
    for guide in guides {
        let name = guide.expect("an entry").file_name();
        let name = format!("docs/guides/{}", name.to_string_lossy());
        let page = page(&name);
        let lines = blocks(&page, &["console", ""]);
        for (at, line) in lines.iter().enumerate() {
            let Some(line) = line.strip_prefix("$ taskq ") else {
                continue;
            };
            // Whoever runs this test may have one there.
            assert!(!line.contains(":6379"), "{name}: {line}");
            let typed = line.replace("sqlite:///", &nowhere);
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", &format!("taskq {typed}")])
                .env("PATH", programs)
                .env("TASKQ_BROKER_URL", &none)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let ended = run(shell);
            match ended.status {
                Some(69) => {}
                Some(2) => {
                    let shown = lines.get(at + 1).copied();
                    assert_eq!(ended.stderr.lines().next(), shown, "{name}: {line}");
                }
                _ => panic!("{name}: {line}: {ended:?}"),
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} lines");
}

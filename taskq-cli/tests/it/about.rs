//! Completions and manual pages: they name what there is, and those they are for accept them.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use taskq_cli::{Console, Exit, run};
use taskq_core::broker::Backend;

use crate::stage::{Stage, words};

/// Every command line that help tells of, as words.
pub(crate) async fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(path) = open.pop() {
        let mut line: Vec<&str> = path.iter().map(String::as_str).collect();
        line.push("--help");
        let help = Stage::new().run(&line).await.out;
        let below = help
            .split_once("\nCommands:\n")
            .map_or("", |(_, rest)| rest);
        let below = below.lines().take_while(|line| !line.is_empty());
        for word in below.filter_map(|line| line.strip_prefix("  ")) {
            // A description may go on in a line of its own, further in.
            let Some(word) = word
                .split(' ')
                .next()
                .filter(|w| !w.is_empty() && *w != "help")
            else {
                continue;
            };
            let path: Vec<String> = path.iter().cloned().chain([word.to_owned()]).collect();
            found.push(path.clone());
            open.push(path);
        }
    }
    found
}

#[tokio::test]
async fn help_is_walked_to_its_leaves() {
    let commands = commands().await;
    for path in [&["events"][..], &["inspect", "ping"], &["control", "pause"]] {
        assert!(commands.iter().any(|c| c == path), "{path:?}: {commands:?}");
    }
}

/// The help of `path` on a terminal of so many columns.
async fn help(path: &[String], columns: Option<usize>) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let backend: Arc<dyn Backend> = Stage::new().0;
    let mut console = Console::new(&mut out, &mut err);
    if let Some(columns) = columns {
        console = console.width(columns);
    }
    let path = path.iter().map(String::as_str).chain(["--help"]);
    let line = words(&path.collect::<Vec<_>>());
    let exit = run(line, &mut console, |_| async { Ok(backend) }).await;
    assert_eq!(exit, Exit::Done);
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn help_fits_a_terminal_and_says_the_same_there() {
    let all = commands().await;
    for path in all.iter().chain([&Vec::new()]) {
        let whole = help(path, None).await;
        for columns in [100, 80, 40] {
            let shown = help(path, Some(columns)).await;
            // What is typed is not broken, nor is a word.
            let breaks = |line: &str| !line.contains("taskq ") && line.trim().contains(' ');
            for line in shown.lines().filter(|line| breaks(line)) {
                assert!(line.chars().count() <= columns, "{path:?}: {line}");
            }
            let said = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(said(&shown), said(&whole), "{path:?} in {columns} columns");
        }
        assert_eq!(help(path, Some(100)).await, help(path, Some(1_000)).await);
    }
}

#[tokio::test]
async fn help_says_what_each_argument_is() {
    for path in commands().await {
        let help = help(&path, None).await;
        for line in help
            .lines()
            .filter(|line| line.starts_with("  <") || line.starts_with("  ["))
        {
            let (_, said) = line.trim().split_once("  ").unwrap_or_default();
            assert!(
                !said.trim().is_empty() && !said.trim().starts_with('['),
                "{path:?}: {line}"
            );
        }
    }
}

/// What `shell` says against `script`; `None`: it is not installed.
fn complaint(shell: &str, script: &str) -> Option<String> {
    let started = Command::new(shell)
        .arg("-n")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{shell}: {error}"),
    };
    let mut input = child.stdin.take().unwrap();
    // One that has seen enough reads no further.
    drop(input.write_all(script.as_bytes()));
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() {
        said
    } else {
        format!("refused: {said}")
    })
}

#[tokio::test]
async fn each_shell_accepts_its_script_which_names_every_command() {
    let commands = commands().await;
    for shell in ["bash", "zsh", "fish"] {
        let said = Stage::new().run(&["completions", shell]).await;
        assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
        for word in commands.iter().flatten() {
            assert!(said.out.contains(word.as_str()), "{shell}: {word}");
        }
        assert!(
            !said.out.contains("--app"),
            "{shell} offers what is refused"
        );
        if let Some(said_of_it) = complaint(shell, &said.out) {
            assert_eq!(said_of_it, "", "{shell}");
            let broken = format!("{}\nif (", said.out);
            assert_ne!(complaint(shell, &broken).unwrap(), "", "{shell}");
        }
    }
    let said = Stage::new().run(&["completions", "tcsh"]).await;
    assert_eq!(said.exit, Exit::Usage);
    assert!(said.err.contains("bash, zsh, fish"), "{said}");
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("man1");
    let said = Stage::new().run(&["man", place.to_str().unwrap()]).await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, ""), "{said}");
    let mut expected: Vec<String> = commands().await.iter().map(|c| page_of(c)).collect();
    expected.push("taskq.1".to_owned());
    expected.sort_unstable();
    let mut written: Vec<String> = std::fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort_unstable();
    assert_eq!(written, expected);
    let page = std::fs::read_to_string(place.join("taskq-control-pause.1")).unwrap();
    for part in [
        ".TH taskq-control-pause 1",
        ".SH NAME",
        "\\-\\-reason",
        "for those who wonder",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("\\-\\-app"), "{page}");

    let said = Stage::new().run(&["man"]).await;
    assert_eq!(said.exit, Exit::Done);
    let top = std::fs::read_to_string(place.join("taskq.1")).unwrap();
    assert_eq!(said.out, top);
    assert!(top.contains("taskq\\-inspect(1)"), "{top}");
}

fn page_of(command: &[String]) -> String {
    format!("taskq-{}.1", command.join("-"))
}

#[tokio::test]
async fn pages_that_can_not_be_written_are_told() {
    let said = Stage::new().run(&["man", "/dev/null/man1"]).await;
    assert_eq!(said.exit, Exit::Failed);
    assert!(
        said.err.contains("/dev/null/man1 can not be written"),
        "{said}"
    );
}

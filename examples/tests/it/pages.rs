//! What the pages say is what the code does.

use std::collections::BTreeSet;
use std::fs;

use taskq_core::State;

use crate::run::{folder, program, run};

fn page(path: &str) -> String {
    let path = folder().join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn state(word: &str) -> State {
    word.parse().expect("a state")
}

#[test]
fn the_page_of_states_tells_what_the_code_allows() {
    let page = page("docs/states.md");
    let (_, moves) = page.split_once("\n## All moves\n").expect("a section");
    let rows = moves.lines().filter_map(|line| {
        let (from, to) = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split_once(" | ")?;
        let from = from.parse::<State>().ok()?;
        let to = to.split(", ").filter(|word| *word != "nothing");
        Some((from, to.map(state).collect::<Vec<_>>()))
    });
    let told: Vec<_> = rows.collect();
    let allowed = State::ALL.map(|from| {
        let to = State::ALL.into_iter().filter(|to| from.can_become(*to));
        (from, to.collect::<Vec<_>>())
    });
    assert_eq!(told, allowed);

    // The diagram shows some of them, and each state.
    let arrows = page.lines().filter_map(|line| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        Some((from, rest.split(' ').next()?))
    });
    let mut seen = BTreeSet::new();
    for (from, to) in arrows {
        seen.extend([from, to]);
        if from != "[*]" && to != "[*]" {
            assert!(state(from).can_become(state(to)), "{from} --> {to}");
        }
    }
    assert_eq!(seen.len(), State::ALL.len() + 1, "{seen:?}");
}

/// The pages that a user reads.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "services/README.md".to_owned()];
    for part in ["docs", "docs/guides"] {
        let entries = fs::read_dir(folder().join("..").join(part)).expect("a folder");
        let names = entries.map(|e| e.expect("an entry").file_name());
        let names = names.map(|n| format!("{part}/{}", n.to_string_lossy()));
        pages.extend(names.filter(|name| name.ends_with(".md")));
    }
    pages
}

/// Pages whose Rust is shown from files that are compiled and run where they lie: parts of them, which are no programs.
/// Each with the test that finds every Rust block of the page in such a file.
const SHOWN: [(&str, &str, &str); 1] = [(
    // The template of a service is a package of its own: it belongs to the containers, not to the lessons.
    "docs/guides/adding-a-service.md",
    "testing/compose/tests/it/guide.rs",
    "every_rust_block_of_the_guide_stands_in_the_template",
)];

/// Rust on a page is compiled and run: as a doctest of this package, or by a test that reads the page.
#[test]
fn rust_on_every_page_is_run() {
    let doctests = page("examples/build.rs");
    let kit = page("taskq-worker/tests/it/testing/guide.rs");
    for (name, tests, test) in SHOWN {
        let text = page(tests);
        let begins = format!("\n#[test]\nfn {test}() {{\n    let page = file(\"{name}\");\n");
        assert!(
            text.contains(&begins),
            "{tests} has no test {test} of {name}"
        );
        assert!(page(name).contains("\n```rust"), "{name} has no Rust");
    }
    let mut seen = 0;
    for name in pages() {
        if !page(&name).contains("\n```rust") {
            continue;
        }
        let runs = doctests.contains(&format!("\"{name}\""))
            || kit.contains(&format!("include_str!(\"../../../../{name}\")"))
            || SHOWN.iter().any(|(shown, ..)| *shown == name);
        assert!(runs, "nothing runs the Rust of {name}: name it in build.rs");
        seen += 1;
    }
    assert!(seen > 4, "{seen} pages");
}

/// A link to a page or a file that is not there helps nobody.
#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for name in pages() {
        let text = page(&name);
        let base = folder().join("..").join(&name);
        let base = base.parent().expect("its folder");
        for link in text.split("](").skip(1).filter_map(|l| l.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let path = link.split('#').next().unwrap_or_default();
            assert!(base.join(path).exists(), "{name} links {link}");
            links += 1;
        }
    }
    assert!(links > 20, "{links} links");
}

/// Flags and variables in the units of the production guide are those of a worker.
#[test]
fn the_production_guide_knows_the_flags_of_a_worker() {
    let mut worker = program("by_name_worker");
    worker.arg("--help");
    let help = run(worker).stdout;
    let between = |c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c));
    let known: BTreeSet<&str> = help.split(between).collect();
    let page = page("docs/guides/production.md");
    let mut seen = 0;
    for block in page
        .split("\n```")
        .filter(|b| b.starts_with("ini\n") || b.starts_with("yaml\n"))
    {
        for word in block.split(between) {
            if word.starts_with("--") || word.starts_with("TASKQ_") {
                assert!(known.contains(word), "a worker knows no {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 6, "{seen} flags");
}

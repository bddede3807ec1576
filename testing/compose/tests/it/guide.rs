//! The guides: what they show of a file stands in it, and what they tell to type can be typed.

use std::fs;
use std::process::Command;

use compose::repository;
use serde_json::Value;

use crate::files::{file, image};

/// The blocks of a page, each with the line of text before it and its language.
fn blocks(page: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut before = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().take_while(|l| l.trim() != "```");
            let inside: Vec<&str> = inside.map(|l| l.get(indent..).unwrap_or("")).collect();
            found.push((before.clone(), language.to_owned(), inside.join("\n")));
        } else if !line.trim().is_empty() {
            before = line.trim().to_owned();
        }
    }
    found
}

/// What ends in `` `path`: `` is shown as it stands there. What is to be written for the new service is what links the
/// template's tasks, under the template's name. So all of it is compiled; examples/tests/it/pages.rs relies on that.
#[test]
fn every_rust_block_of_the_guide_stands_in_the_template() {
    let page = file("docs/guides/adding-a-service.md");
    let (mut shown, mut written) = (0, 0);
    for (before, language, block) in blocks(&page) {
        let path = before.strip_suffix("`:").and_then(|b| b.rsplit('`').next());
        let named = path.filter(|p| p.starts_with("services/plantilla/"));
        let (path, block) = match named {
            Some(path) => (path, block),
            None if language.starts_with("rust") => {
                written += 1;
                let block = block.replace("pedidos", "plantilla");
                ("services/plantilla/tests/it/main.rs", block)
            }
            None => continue,
        };
        let text = file(path);
        let stands = text.contains(&format!("\n{block}\n"));
        assert!(stands && !block.is_empty(), "{path} does not say:\n{block}");
        shown += 1;
    }
    assert!(shown >= 4 && written == 1, "{shown} blocks, {written}");
}

/// The guide's first step, typed in a copy of the repository, gives the packages of a new service.
#[test]
fn the_first_step_of_the_guide_makes_a_service() {
    let top = tempfile::tempdir().unwrap();
    for path in image().context(&repository()) {
        let to = top.path().join(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(repository().join(&path), to).unwrap();
    }
    // Who has followed the guide has one already.
    drop(fs::remove_dir_all(top.path().join("services/pedidos")));
    let page = file("docs/guides/adding-a-service.md");
    let steps = blocks(&page);
    let (_, _, typed) = steps.iter().find(|(_, l, _)| l == "sh").unwrap();
    let done = Command::new("sh")
        .args(["-e", "-c", typed])
        .current_dir(top.path())
        .status();
    assert!(done.unwrap().success());
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(top.path())
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap().iter();
    let names: Vec<&str> = packages.map(|p| p["name"].as_str().unwrap()).collect();
    for name in ["pedidos", "pedidos-tareas", "plantilla", "plantilla-tareas"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let task = fs::read_to_string(top.path().join("services/pedidos/tareas/src/lib.rs")).unwrap();
    assert!(task.contains(r#"#[task(name = "pedidos.saludar", queue = "pedidos")]"#));
    let tests = fs::read_to_string(top.path().join("services/pedidos/tests/it/main.rs")).unwrap();
    assert!(!tests.contains("plantilla") && tests.contains("use pedidos_tareas as _;"));
}

/// Services, settings and options that the guide names are there.
#[test]
fn the_guide_of_the_containers_names_what_there_is() {
    let page = file("docs/guides/docker.md");
    let compose = file("docker-compose.yml");
    let example = file(".env.example");
    let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || "_".contains(c)));
    let settings = words.filter(|w| {
        w.contains('_') && w.len() > 6 && w.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    });
    let mut seen = 0;
    for name in settings {
        let there =
            example.contains(&format!("\n{name}=")) || compose.contains(&format!(" {name}: "));
        assert!(there, "there is no setting {name}");
        seen += 1;
    }
    assert!(seen >= 4, "{seen} settings");
    for value in [
        "stop_grace_period: 40s",
        "max-size: 10m",
        "max-file: \"3\"",
        "10001:10001",
    ] {
        assert!(compose.contains(value), "{value}");
    }
}

//! The golden files: what arrives, and what it must be when it is written again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use taskq_core::Message;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/v1")
        .join(name)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn golden_messages_are_written_again_to_the_byte() {
    let names = files(&folder(""));
    assert_eq!(
        names,
        files(&folder("encoded")),
        "each message needs its partner"
    );
    for name in &names {
        let wire = fs::read(folder("").join(name)).unwrap();
        let expected = fs::read_to_string(folder("encoded").join(name)).unwrap();
        let message = Message::decode(&wire).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = String::from_utf8(message.encode().unwrap()).unwrap();
        assert_eq!(written, expected.trim_end_matches('\n'), "{name}");
        // Once written by us it never changes again.
        let again = Message::decode(written.as_bytes())
            .unwrap()
            .encode()
            .unwrap();
        assert_eq!(written.as_bytes(), again, "{name}");
    }
    assert!(names.len() >= 13, "golden files were removed: {names:?}");
}

#[test]
fn golden_refusals_keep_their_reasons() {
    let folder = folder("undecodable");
    let names = files(&folder);
    let (expected, wires): (Vec<_>, Vec<_>) = names.iter().partition(|n| n.ends_with(".expected"));
    assert_eq!(
        expected.len(),
        wires.len(),
        "each refusal needs its reason: {names:?}"
    );
    for name in &wires {
        let wire = fs::read(folder.join(name)).unwrap();
        let expected = fs::read_to_string(folder.join(format!("{name}.expected"))).unwrap();
        let refused = Message::decode(&wire).expect_err(name);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let (reason, identity) = expected.split_once('\n').unwrap();
        assert!(
            !reason.is_empty() && refused.reason.starts_with(reason),
            "{name}: {refused}"
        );
        let told = format!(
            "{}\n{}\n",
            or_none(refused.id.map(|id| id.to_string())),
            or_none(refused.task)
        );
        assert_eq!(told, identity, "{name}");
    }
    assert!(wires.len() >= 37, "golden files were removed: {wires:?}");
}

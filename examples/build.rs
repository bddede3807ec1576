//! Makes tests of the Rust in the project's pages: a block gets around it what a reader does not need to see.

use std::path::Path;
use std::{env, fs};

/// The pages whose Rust is compiled and run.
const PAGES: [&str; 4] = [
    "README.md",
    "docs/guides/choosing-a-broker.md",
    "docs/guides/tasks-and-retries.md",
    "docs/guides/workers.md",
];

/// What stands before statements: a client beside a worker that offers `my_tasks`.
const BEFORE: &str = r#"
mod my_tasks {
    /// Adds two numbers.
    #[taskq_core::task(name = "math.add")]
    pub async fn add(a: i64, b: i64) -> i64 { a + b }
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = taskq_core::broker::connect("memory://").await?;
    let registry = taskq_core::task::Registry::from_defs([&my_tasks::add::DEF])?;
    let worker = taskq_worker::Worker::builder().backend(broker.clone()).queues(["celery", "urgent"]);
    tokio::spawn(worker.registry(registry).build()?.run());
    let client = taskq_client::Client::builder().over(broker);
"#;
const AFTER: &str = "Ok(()) }";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = env::var_os("OUT_DIR").expect("cargo says where");
    let mut all = String::new();
    for page in PAGES {
        let path = root.join(page);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{} can not be read: {e}", path.display()));
        all.push_str(&tests_of(&text));
    }
    fs::write(Path::new(&out).join("pages.md"), all).expect("the folder takes a file");
}

/// The Rust blocks of a page, each as a test.
fn tests_of(page: &str) -> String {
    let blocks = page.split("\n```rust").skip(1);
    let code = blocks.filter_map(|block| block.split_once('\n')?.1.split_once("\n```"));
    code.map(|(code, _)| test_of(code)).collect()
}

fn test_of(code: &str) -> String {
    // Blocks are linked into one program, but that one with a registry of its own is not to see the others' tasks.
    let (how, before, after) = if code.contains("cli::main") {
        ("no_run", String::new(), "")
    } else if code.contains("fn main") {
        ("standalone_crate", String::new(), "")
    } else if code.contains("#[task") {
        ("rust", String::new(), "# fn main() {}")
    } else {
        ("rust", hidden(BEFORE), "# ")
    };
    let after = match after {
        "# " => hidden(AFTER),
        other => other.to_owned(),
    };
    format!("```{how}\n{before}{code}\n{after}\n```\n\n")
}

fn hidden(lines: &str) -> String {
    lines.lines().map(|line| format!("# {line}\n")).collect()
}

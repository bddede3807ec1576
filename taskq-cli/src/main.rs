//! `taskq`: see the library.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use taskq_cli::{Console, run};
use taskq_core::Error;
use taskq_core::broker::Backend;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
    let mut input = std::io::stdin().lock();
    let has_person = input.is_terminal() && err_terminal;
    let mut console = Console::new(&mut out, &mut err)
        .terminal(out_terminal)
        .err_terminal(err_terminal)
        .operator(operator());
    if has_person {
        console = console.person(&mut input);
    }
    run(std::env::args_os(), &mut console, connect).await.into()
}

/// Who types, as others know them: `ana@desk`.
fn operator() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.is_empty());
    let host = gethostname::gethostname();
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    format!("{user}@{}", host.to_string_lossy())
}

async fn connect(url: String) -> Result<Arc<dyn Backend>, Error> {
    // What is sent there would be gone with this process.
    if url.starts_with("memory:") {
        return Err(Error::invalid(
            "a memory:// broker lives inside one process, and no worker runs in this one: use redis://host:6379/0",
        ));
    }
    taskq_core::broker::connect(&url).await
}

//! `taskq`: see the library.

use std::process::ExitCode;

use taskq_cli::{Console, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut console = Console::new(&mut out, &mut err);
    let connect = |url: String| async move { taskq_core::broker::connect(&url).await };
    run(std::env::args_os(), &mut console, connect).await.into()
}

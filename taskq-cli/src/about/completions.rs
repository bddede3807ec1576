//! `taskq completions SHELL`.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

use super::shown;
use crate::console::Console;
use crate::exit::{Exit, Stop};

const WHERE: &str = "\
Where shells look for it:
  bash  taskq completions bash > ~/.local/share/bash-completion/completions/taskq
  zsh   taskq completions zsh > \"${fpath[1]}/_taskq\"
  fish  taskq completions fish > ~/.config/fish/completions/taskq.fish";

#[derive(Debug, Args)]
#[command(after_help = WHERE)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self, console: &mut Console<'_>) -> Result<Exit, Stop> {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut shown(), "taskq", &mut script);
        console.print(&String::from_utf8_lossy(&script));
        Ok(Exit::Done)
    }
}

//! `taskq man [DIR]`: pages made of the same command line that is read, so that none is ever older than the program.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;

use super::shown;
use crate::console::Console;
use crate::exit::{Exit, Stop};

const HOW: &str = "\
taskq man | man -l -                    reads the page of taskq
taskq man ~/.local/share/man/man1       installs all: man taskq-inspect-active";

#[derive(Debug, Args)]
#[command(after_help = HOW)]
pub(crate) struct Man {
    /// Write a page for each command there, such as taskq-inspect-active.1; else that of taskq goes to stdout
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, console: &mut Console<'_>) -> Result<Exit, Stop> {
        let mut command = shown().disable_help_subcommand(true);
        command.build();
        let Some(directory) = self.directory else {
            let (_, page) = page(&command, "taskq")?;
            console.print(&String::from_utf8_lossy(&page));
            return Ok(Exit::Done);
        };
        let refused = |path: &Path, error: std::io::Error| {
            let path = path.display();
            Stop::new(
                Exit::Failed,
                format!("{path} can not be written: {error}; name a directory that can"),
            )
        };
        std::fs::create_dir_all(&directory).map_err(|error| refused(&directory, error))?;
        let mut pages = Vec::new();
        all(&command, "taskq", &mut pages)?;
        let written = pages.len();
        for (name, page) in pages {
            let path = directory.join(name);
            std::fs::write(&path, page).map_err(|error| refused(&path, error))?;
        }
        let directory = directory.display();
        console.notice(&format!("{written} pages are in {directory}"));
        Ok(Exit::Done)
    }
}

/// The pages of a command and of those below it.
fn all(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Stop> {
    pages.push(page(command, name)?);
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        all(below, &format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}

/// The page's file name, and the page.
fn page(command: &Command, name: &str) -> Result<(String, Vec<u8>), Stop> {
    let page = Page::new(command.clone()).title(name);
    let mut text = Vec::new();
    page.render(&mut text)
        .map_err(|error| Stop::new(Exit::Failed, format!("the page {name}: {error}")))?;
    Ok((format!("{name}.1"), text))
}

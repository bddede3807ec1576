//! Help on a terminal: lines broken at words, what is said of an option under itself.

/// Lines that are longer read badly, however wide the terminal is.
const WIDEST: usize = 100;
/// What is said of an option has at least so many columns; with fewer left it begins below it.
const LEAST: usize = 24;
/// There it stands further in by this.
const BELOW: usize = 4;

/// `text` in lines of `width` columns, as far as its words are shorter. What is to be typed stays whole.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let width = width.min(WIDEST);
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        if columns(line) <= width || is_typed(line) {
            lines.push_str(line);
            lines.push('\n');
            continue;
        }
        let lead = line.len() - line.trim_start().len();
        // `  -j, --json  Answer …` has two parts, a sentence has one.
        let (head, said) = match line[lead..].split_once("  ") {
            Some((head, said)) => (&line[..lead + head.len()], said.trim_start()),
            None => ("", line.trim_start()),
        };
        // Options and their places are ASCII: bytes are columns up to here.
        let place = line.len() - said.len();
        let (mut filled, indent) = match head {
            "" => (" ".repeat(lead), lead),
            _ if place + LEAST <= width => (line[..place].to_owned(), place),
            _ => {
                lines.push_str(head);
                lines.push('\n');
                (" ".repeat(lead + BELOW), lead + BELOW)
            }
        };
        let mut is_empty = true;
        for word in said.split(' ').filter(|word| !word.is_empty()) {
            if !is_empty && columns(&filled) + 1 + columns(word) > width {
                lines.push_str(&filled);
                lines.push('\n');
                filled = " ".repeat(indent);
                is_empty = true;
            }
            if !is_empty {
                filled.push(' ');
            }
            filled.push_str(word);
            is_empty = false;
        }
        lines.push_str(&filled);
        lines.push('\n');
    }
    lines
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Broken it could not be copied.
fn is_typed(line: &str) -> bool {
    let typed = ["taskq ", "Usage: "];
    typed.iter().any(|word| line.trim_start().starts_with(word)) || line.contains("  taskq ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
See what task workers do, send a task, read what became of it

Options:
  -b, --broker <URL>  Where the broker is, such as redis://host:6379/0 [env: TASKQ_BROKER_URL]
  -j, --json          Answer with one line of JSON on stdout

A filter is KEY=PATTERN; events that fit all filters are shown:
  id      the call's id, or how it ends, as the lines show it
  bash  taskq completions bash > ~/.local/share/bash-completion/completions/taskq
";

    #[test]
    fn what_fits_is_left_as_it_is() {
        assert_eq!(wrapped(HELP, 1_000), HELP);
    }

    #[test]
    fn what_is_said_of_an_option_stays_under_itself() {
        insta::assert_snapshot!(wrapped(HELP, 60));
    }

    #[test]
    fn where_there_is_no_room_beside_an_option_it_is_said_below() {
        insta::assert_snapshot!(wrapped(HELP, 40));
    }
}

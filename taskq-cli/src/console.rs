//! Where output goes: answers to stdout, notices to stderr, and nobody there to read is no error.

use std::fmt;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::pin::Pin;

use serde::Serialize;

use crate::exit::Exit;
use crate::paint::Look;
use crate::table::Table;

/// A line that is drawn again must not be broken: a terminal has at least so many columns.
const WIDEST: usize = 79;
/// An answer to a question is not read beyond this many bytes.
const MOST_TYPED: u64 = 256;

/// Comes when the operator has seen enough, or has gone away.
type Interrupt<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// When `interrupt` comes; where there is none, never.
pub(crate) async fn coming(interrupt: Option<Interrupt<'_>>) {
    match interrupt {
        Some(interrupt) => interrupt.await,
        None => std::future::pending().await,
    }
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The streams of the program.
pub struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    terminal: bool,
    look: Look,
    err_width: Option<usize>,
    interrupt: Option<Interrupt<'a>>,
    left: Option<Interrupt<'a>>,
    err_terminal: bool,
    person: Option<&'a mut dyn BufRead>,
    operator: String,
    trouble: Option<std::io::Error>,
}

impl<'a> Console<'a> {
    /// Answers go to `out`, notices and errors to `err`; neither is taken for a terminal.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self {
            out,
            err,
            terminal: false,
            look: Look::default(),
            err_width: None,
            interrupt: None,
            left: None,
            err_terminal: false,
            person: None,
            operator: "somebody".to_owned(),
            trouble: None,
        }
    }

    /// Somebody sits there and answers questions, a line each. Else there is nobody to ask.
    #[must_use]
    pub fn person(mut self, answers: &'a mut dyn BufRead) -> Self {
        self.person = Some(answers);
        self
    }

    /// Who gives the commands, such as `ana@desk`: others are told who paused a queue.
    #[must_use]
    pub fn operator(mut self, name: impl Into<String>) -> Self {
        self.operator = name.into();
        self
    }

    /// Whether `out` is a terminal.
    #[must_use]
    pub fn terminal(mut self, is_one: bool) -> Self {
        self.terminal = is_one;
        self
    }

    /// How many columns `out` has. Only with a width are tables and lines cut: what is piped on must be whole.
    #[must_use]
    pub fn width(mut self, columns: usize) -> Self {
        self.look.width = Some(columns);
        self
    }

    /// How many columns `err` has. Only with a width is the usage that answers a wrong command line broken into lines.
    #[must_use]
    pub fn err_width(mut self, columns: usize) -> Self {
        self.err_width = Some(columns);
        self
    }

    /// Whether states are shown in colours.
    #[must_use]
    pub fn colours(mut self, shown: bool) -> Self {
        self.look.colours = shown;
        self
    }

    /// What goes on for ever ends, with exit 0, when `interrupt` comes. It is polled by such commands alone.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt<'a>) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Nobody reads `out` any more once `left` comes, which the next write alone would tell: what shows changes as they
    /// come ends then, with exit 0. It is polled by such commands alone.
    #[must_use]
    pub fn reader_left(mut self, left: Interrupt<'a>) -> Self {
        self.left = Some(left);
        self
    }

    /// How text is shown.
    pub(crate) fn look(&self) -> Look {
        self.look
    }

    /// How many columns `stream` has; `None`: nothing there is broken or cut.
    pub(crate) fn columns(&self, stream: Stream) -> Option<usize> {
        match stream {
            Stream::Out => self.look.width,
            Stream::Err => self.err_width,
        }
    }

    /// What ends a command that goes on for ever, once.
    pub(crate) fn take_interrupt(&mut self) -> Option<Interrupt<'a>> {
        self.interrupt.take()
    }

    /// What tells that nobody reads what is printed any more, once.
    pub(crate) fn take_reader_left(&mut self) -> Option<Interrupt<'a>> {
        self.left.take()
    }

    /// Whether nobody reads what is printed any more, or it can not be written.
    pub(crate) fn is_closed(&self) -> bool {
        self.trouble.is_some()
    }

    /// Whether `err` is a terminal. Only there a wait shows how far it has got, in a line that is drawn again and again.
    #[must_use]
    pub fn err_terminal(mut self, is_one: bool) -> Self {
        self.err_terminal = is_one;
        self
    }

    /// Whether `stream` is a terminal.
    pub(crate) fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => self.terminal,
            Stream::Err => self.err_terminal,
        }
    }

    /// Puts `line` in the place of the one that was drawn last; an empty one wipes it.
    pub(crate) fn redraw(&mut self, stream: Stream, line: &str) {
        let line = plain(line);
        let cut = line.char_indices().nth(WIDEST).map(|(end, _)| &line[..end]);
        let text = format!("\r\x1b[2K{}", cut.unwrap_or(&line));
        match stream {
            Stream::Out => {
                self.print(&text);
                self.flush();
            }
            Stream::Err => self.complain(&text),
        }
    }

    /// Writes what is there to stdout: somebody waits for it.
    pub(crate) fn flush(&mut self) {
        if self.trouble.is_none() {
            self.trouble = self.out.flush().err();
        }
    }

    /// Who gives the commands.
    pub(crate) fn who(&self) -> &str {
        &self.operator
    }

    /// Whether there is somebody to ask.
    pub(crate) fn asks(&self) -> bool {
        self.person.is_some()
    }

    /// Asks `question`, to be answered by yes or no; `None` when there is nobody to ask. Anything but a yes is a no.
    pub(crate) fn confirm(&mut self, question: &str) -> Option<bool> {
        self.person.as_ref()?;
        self.complain(&format!("taskq: {} [y/N] ", plain(question)));
        drop(self.err.flush());
        let mut line = String::new();
        let person = self.person.as_mut()?;
        // Whoever hangs up says no.
        drop(person.take(MOST_TYPED).read_line(&mut line));
        let answer = line.trim().to_lowercase();
        Some(answer == "y" || answer == "yes")
    }

    /// Writes text to stdout as it is.
    pub(crate) fn print(&mut self, text: &str) {
        if self.trouble.is_none() {
            self.trouble = self.out.write_all(text.as_bytes()).err();
        }
    }

    /// Writes a table to stdout, unless it has no rows.
    pub(crate) fn table(&mut self, table: &Table) {
        if !table.is_empty() {
            self.print(&table.render(self.look));
        }
    }

    /// Writes one line of JSON to stdout.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.print(&(line + "\n")),
            Err(error) => self.trouble = Some(error.into()),
        }
    }

    /// Says one sentence on stderr.
    pub(crate) fn notice(&mut self, sentence: &str) {
        self.complain(&format!("taskq: {}\n", plain(sentence)));
    }

    /// Writes text to stderr as it is.
    pub(crate) fn complain(&mut self, text: &str) {
        // There is no one left to tell that stderr can not be written.
        drop(self.err.write_all(text.as_bytes()));
    }

    /// Ends the output. A reader that went away (`| head`) has what it wanted; a full disk has not.
    pub(crate) fn finish(&mut self, exit: Exit) -> Exit {
        let trouble = self.trouble.take().or_else(|| self.out.flush().err());
        match trouble {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.complain(&format!("taskq: stdout can not be written: {error}\n"));
                if exit == Exit::Done {
                    Exit::Failed
                } else {
                    exit
                }
            }
            _ => exit,
        }
    }
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Text from outside, made harmless for a terminal: control characters are shown, not obeyed.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

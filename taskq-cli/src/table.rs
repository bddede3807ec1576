//! Tables for people: columns as wide as their content, two spaces between; on a terminal as wide as it is.

use crate::console::plain;
use crate::paint::{Look, cut};

/// Between two columns.
const GAP: usize = 2;

/// A cell that is cut keeps so many characters, or those of its title if they are more.
const NARROWEST: usize = 8;

/// Columns that name things are cut after those that say something.
const NAMES: &[&str] = &["WORKER", "TASK", "QUEUE", "QUEUES"];
/// Ids are there to be copied: they are whole, and other columns follow below.
const IDS: &[&str] = &["ID"];
/// An id's characters; what stands in its place and is longer is cut.
const ID_LENGTH: usize = 36;

/// Columns whose words have colours.
const STATES: &[&str] = &["STATE", "STATUS"];

pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(|&t| t.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Whether it has nothing but its titles.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Its lines. Where they are wider than there is room, the widest columns are cut until they fit; those for which there
    /// is no room even so follow in a part of their own, behind the first column.
    pub(crate) fn render(&self, look: Look) -> String {
        let parts = self.parts(look.width);
        let parts = parts.iter().map(|columns| self.part(columns, look));
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The columns that stand side by side.
    fn parts(&self, room: Option<usize>) -> Vec<Vec<usize>> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut parts = vec![Vec::new()];
        let mut used = 0;
        for column in 0..columns {
            let needs = self.widest(column).min(self.least(column)) + GAP;
            if let (Some(room), Some([_, _, ..])) = (room, parts.last().map(Vec::as_slice))
                && used + needs > room + GAP
            {
                parts.push(vec![0]);
                used = self.widest(0).min(self.least(0)) + GAP;
            }
            if let Some(part) = parts.last_mut() {
                part.push(column);
            }
            used += needs;
        }
        parts
    }

    fn part(&self, columns: &[usize], look: Look) -> String {
        let widths = self.widths(columns, look.width);
        let mut text = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            for (&column, &width) in columns.iter().zip(&widths) {
                let Some(cell) = row.get(column) else { break };
                let shown = cut(cell, width);
                let room = width.saturating_sub(length(&shown)) + GAP;
                if n > 0 && STATES.contains(&self.title(column)) {
                    text.push_str(&look.state(cell, &shown));
                } else {
                    text.push_str(&shown);
                }
                text.extend(std::iter::repeat_n(' ', room));
            }
            // The last cells of a line may be empty.
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    fn title(&self, column: usize) -> &str {
        self.rows[0].get(column).map_or("", String::as_str)
    }

    fn widest(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| length(cell)).max().unwrap_or(0)
    }

    /// A column that is wider is not cut to less than this.
    fn least(&self, column: usize) -> usize {
        let title = self.title(column);
        if IDS.contains(&title) {
            ID_LENGTH
        } else {
            length(title).max(NARROWEST)
        }
    }

    /// How wide each of these columns is shown.
    fn widths(&self, columns: &[usize], room: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = columns.iter().map(|&c| self.widest(c)).collect();
        let Some(room) = room else { return widths };
        let gaps = GAP * columns.len().saturating_sub(1);
        let least = |place: usize| self.least(columns[place]);
        for (place, width) in widths.iter_mut().enumerate() {
            *width = (*width).min(room.max(least(place)));
        }
        for rank in 0..=2 {
            // One character at a time from the widest, so that columns of a rank end alike.
            while widths.iter().sum::<usize>() + gaps > room {
                let widest = (0..columns.len())
                    .filter(|&place| {
                        self.rank(columns[place]) == rank && widths[place] > least(place)
                    })
                    .max_by_key(|&place| widths[place]);
                match widest {
                    Some(place) => widths[place] -= 1,
                    None => break,
                }
            }
        }
        widths
    }

    /// When a column is cut, compared with the others.
    fn rank(&self, column: usize) -> u8 {
        let title = self.title(column);
        if IDS.contains(&title) {
            2
        } else {
            u8::from(NAMES.contains(&title))
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198c0de-0000-7000-8000-000000000000";

    fn wide(width: usize) -> Look {
        Look {
            width: Some(width),
            ..Look::default()
        }
    }

    fn running() -> Table {
        let mut table = Table::new(&["WORKER", "ID", "ARGS", "FOR"]);
        table.row([
            "worker-with-a-name@bar".to_owned(),
            ID.to_owned(),
            "[\"a long text, and longer than the name\"]".to_owned(),
            "0.4s".to_owned(),
        ]);
        table
    }

    /// The line of the row, and how wide it is.
    fn shown(width: usize) -> (String, usize) {
        let text = running().render(wide(width));
        let line = text.lines().nth(1).unwrap_or_default().to_owned();
        let widest = text.lines().map(length).max().unwrap_or(0);
        (line, widest)
    }

    #[test]
    fn columns_fit_and_what_comes_from_outside_stays_harmless() {
        let mut table = Table::new(&["A", "LONGER"]);
        table.row(["ñandú".to_owned(), "x".to_owned()]);
        table.row(["\u{1b}[31m\n".to_owned(), "y".repeat(100)]);
        table.row(["z".to_owned(), String::new()]);
        let all = "y".repeat(100);
        let lines = [
            "A             LONGER",
            "ñandú         x",
            &format!("\\u{{1b}}[31m\\n  {all}"),
            "z",
        ]
        .join("\n");
        assert_eq!(table.render(Look::default()), lines + "\n");
    }

    #[test]
    fn a_table_that_fits_is_whole() {
        let whole = running().render(Look::default());
        let width = whole.lines().map(length).max().unwrap_or(0);
        assert_eq!(running().render(wide(width)), whole);
        assert!(running().render(wide(width - 1)).contains('…'));
    }

    #[test]
    fn texts_are_cut_before_names_and_names_before_ids() {
        let (line, width) = shown(76);
        assert_eq!(width, 76);
        assert!(
            line.contains("worker-with-a-name@bar") && line.contains(ID),
            "{line}"
        );
        assert!(line.contains("[\"a lon…  0.4s"), "{line}");
        let (line, width) = shown(66);
        assert_eq!(width, 66);
        assert!(
            line.starts_with("worker-with…  ") && line.contains(ID),
            "{line}"
        );
    }

    #[test]
    fn columns_without_room_follow_below_behind_the_first() {
        let lines = r#"WORKER        ID
worker-with…  0198c0de-0000-7000-8000-000000000000

WORKER                  ARGS                  FOR
worker-with-a-name@bar  ["a long text, and …  0.4s
"#;
        assert_eq!(running().render(wide(50)), lines);
        // Below its least width a line is wider than the terminal, and not nothing.
        let least = running().render(wide(1));
        assert_eq!(least.matches("worker-…").count(), 3, "{least}");
        assert!(least.contains(ID), "{least}");
    }

    #[test]
    fn states_have_colours_and_the_columns_behind_them_stay_in_place() {
        let mut table = Table::new(&["WORKER", "STATUS", "UP"]);
        for (word, up) in [("OK", "1.0s"), ("silent", "-")] {
            table.row(["w1@bar", word, up].map(str::to_owned));
        }
        let painted = table.render(Look {
            colours: true,
            ..Look::default()
        });
        let bare = table.render(Look::default());
        assert!(
            painted.contains("\u{1b}[32mOK\u{1b}[0m      1.0s"),
            "{painted}"
        );
        assert!(
            painted.contains("\u{1b}[31msilent\u{1b}[0m  -"),
            "{painted}"
        );
        let mut washed = painted;
        for code in ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[0m"] {
            washed = washed.replace(code, "");
        }
        assert_eq!(washed, bare);
    }
}

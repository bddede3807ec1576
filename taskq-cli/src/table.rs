//! Tables for people: columns as wide as their content, two spaces between.

use crate::console::plain;

/// A cell on a terminal shows at most this many characters.
const WIDEST: usize = 60;

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

    /// Its lines; with `narrow`, wide cells are cut.
    pub(crate) fn render(&self, narrow: bool) -> String {
        let shown = |cell: &String| if narrow { cut(cell) } else { cell.clone() };
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cut(cell: &str) -> String {
    match cell.char_indices().nth(WIDEST) {
        Some(_) => cell.chars().take(WIDEST - 1).chain(['…']).collect(),
        None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_what_comes_from_outside_stays_harmless() {
        let mut table = Table::new(&["A", "LONGER"]);
        table.row(["ñandú".to_owned(), "x".to_owned()]);
        table.row(["\u{1b}[31m\n".to_owned(), "y".repeat(100)]);
        let wide = format!("{}…", "y".repeat(59));
        let lines = [
            "A             LONGER",
            "ñandú         x",
            &format!("\\u{{1b}}[31m\\n  {wide}"),
        ]
        .join("\n");
        assert_eq!(table.render(true), lines + "\n");
        assert!(table.render(false).contains(&"y".repeat(100)));
    }
}

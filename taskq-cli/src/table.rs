//! Tables for people: columns as wide as their content, two spaces between.

use crate::console::plain;

/// A cell shows at most this many characters.
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
            .push(cells.into_iter().map(|cell| cut(&plain(&cell))).collect());
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
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
        assert_eq!(table.render(), lines + "\n");
    }
}

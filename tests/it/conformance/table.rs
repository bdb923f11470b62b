//! Tables of the suites `regions` and `sizes`: CSV with a header.

use std::fs;
use std::path::Path;

use super::report::Fault;

/// A whole file.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One line under the header.
pub(crate) struct Row<'a> {
    header: &'a [String],
    values: &'a [String],
}

impl Table {
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let text = fs::read_to_string(path).map_err(|error| Fault::new(path, 0, error.to_string()))?;
        let mut lines = text.lines();
        let header = cells(lines.next().ok_or_else(|| Fault::new(path, 1, "no header"))?);
        let rows: Vec<_> = lines.map(cells).collect();
        if let Some(index) = rows.iter().position(|row| row.len() != header.len()) {
            let message = format!("{} cells, the header has {}", rows[index].len(), header.len());
            return Err(Fault::new(path, index + 2, message));
        }
        if rows.is_empty() {
            return Err(Fault::new(path, 0, "no lines under the header"));
        }
        Ok(Self { header, rows })
    }

    /// The lines with their numbers in the file.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, Row<'_>)> {
        self.rows.iter().enumerate().map(|(index, values)| (index + 2, Row { header: &self.header, values }))
    }
}

impl Row<'_> {
    pub(crate) fn get(&self, column: &str) -> Result<&str, String> {
        let at = self.header.iter().position(|name| name == column);
        at.map(|at| self.values[at].as_str()).ok_or_else(|| format!("missing column `{column}`"))
    }

    /// A number; `None` when the cell is empty.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, String> {
        let text = self.get(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| format!("`{text}` in column `{column}` is no number"))
    }
}

/// Splits a line of CSV; a quoted cell may have commas and doubled quotes.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().expect("there is always a cell");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

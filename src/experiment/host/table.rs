//! A measured table: CSV with a header, every cell asked for by the name of its column. What is wrong with a table is told
//! with file, line, column, value and what would be valid. Nothing is known here of what the columns mean.

use std::io;

use ::csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use thiserror::Error;

/// What is wrong with a table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("{file}: {cause}")]
    Unreadable {
        /// File name.
        file: String,
        /// Why not.
        cause: io::Error,
    },
    /// The file cannot be read as CSV.
    #[error("{file}, line {line}: {why}")]
    Csv {
        /// File name.
        file: String,
        /// Line of the file, the header being 1.
        line: u64,
        /// What is wrong there.
        why: String,
    },
    /// The header lacks columns.
    #[error("{file}, line 1: no column {}; the table needs {}", .missing.join(", "), .needed.join(", "))]
    Columns {
        /// File name.
        file: String,
        /// Columns that are not there.
        missing: Vec<String>,
        /// All columns that the table must have.
        needed: Vec<String>,
    },
    /// A cell cannot be used.
    #[error("{file}, line {line}, column {column}: `{value}` is not valid; valid: {valid}")]
    Cell {
        /// File name.
        file: String,
        /// Line of the file, the header being 1.
        line: u64,
        /// Column.
        column: String,
        /// What stands there.
        value: String,
        /// What could stand there.
        valid: String,
    },
    /// There is a header and nothing below.
    #[error("{file}: no row below the header")]
    NoRows {
        /// File name.
        file: String,
    },
}

/// A table in memory.
#[derive(Debug)]
pub struct Table {
    file: String,
    columns: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

impl Table {
    /// Reads a table that must have the columns `needed`; it may have more. `file` is its name for errors.
    ///
    /// # Errors
    ///
    /// Text that is no CSV, missing columns, no rows.
    pub fn read(file: &str, mut input: impl io::Read, needed: &[&str]) -> Result<Self, TableError> {
        let mut text = Vec::new();
        input
            .read_to_end(&mut text)
            .map_err(|cause| TableError::Unreadable { file: file.to_owned(), cause })?;
        let fault = |cause: ::csv::Error| {
            let why = match cause.kind() {
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} cells, where the header has {expected_len}")
                }
                ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
                _ => cause.to_string(),
            };
            TableError::Csv { file: file.to_owned(), line: line_at(&text, cause.position()), why }
        };
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(&text[..]);
        let columns: Vec<String> = reader.headers().map_err(fault)?.iter().map(str::to_owned).collect();
        let missing: Vec<String> = needed
            .iter()
            .filter(|name| !columns.iter().any(|column| column == *name))
            .map(|name| (*name).to_owned())
            .collect();
        if !missing.is_empty() {
            let needed = needed.iter().map(|name| (*name).to_owned()).collect();
            return Err(TableError::Columns { file: file.to_owned(), missing, needed });
        }
        let mut rows = Vec::new();
        for row in reader.into_records() {
            let row = row.map_err(fault)?;
            rows.push((line_at(&text, row.position()), row));
        }
        if rows.is_empty() {
            return Err(TableError::NoRows { file: file.to_owned() });
        }
        Ok(Self { file: file.to_owned(), columns, rows })
    }

    /// The rows from top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, cells)| Row { table: self, line: *line, cells })
    }
}

/// The line of a record. The reader's own count is one short where lines end in CRLF, as RFC 4180 has them.
pub fn line_at(text: &[u8], position: Option<&::csv::Position>) -> u64 {
    let start = position.map_or(0, |position| position.byte() as usize).min(text.len());
    let skipped = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    text[..start + skipped].split(|byte| *byte == b'\n').count() as u64
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a Table,
    line: u64,
    cells: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The text in `column`; empty too where the table has no such column.
    pub fn text(&self, column: &str) -> &'a str {
        let at = self.table.columns.iter().position(|name| name == column);
        at.and_then(|at| self.cells.get(at)).unwrap_or("")
    }

    /// The number in `column`, if one stands there.
    ///
    /// # Errors
    ///
    /// Text that is no finite number of 0 or more.
    pub fn optional(&self, column: &str) -> Result<Option<f64>, TableError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            _ => Err(self.fault(column, "a number of 0 or more, or nothing")),
        }
    }

    /// The number in `column`.
    ///
    /// # Errors
    ///
    /// Nothing there, or text that is no finite number of 0 or more.
    pub fn number(&self, column: &str) -> Result<f64, TableError> {
        match self.optional(column) {
            Ok(Some(number)) => Ok(number),
            _ => Err(self.fault(column, "a number of 0 or more")),
        }
    }

    /// The number in `column`, which must be above 0.
    ///
    /// # Errors
    ///
    /// Nothing there, or anything but a finite number above 0.
    pub fn positive(&self, column: &str) -> Result<f64, TableError> {
        match self.optional(column) {
            Ok(Some(number)) if number > 0.0 => Ok(number),
            _ => Err(self.fault(column, "a number above 0")),
        }
    }

    /// The share in `column`.
    ///
    /// # Errors
    ///
    /// Nothing there, or anything but a number from 0 to 1.
    pub fn share(&self, column: &str) -> Result<f64, TableError> {
        match self.optional(column) {
            Ok(Some(number)) if number <= 1.0 => Ok(number),
            _ => Err(self.fault(column, "a number from 0 to 1")),
        }
    }

    /// The choice that `column` names.
    ///
    /// # Errors
    ///
    /// A word that is none of `choices`.
    pub fn one_of<T: Copy>(&self, column: &str, choices: &[(&str, T)]) -> Result<T, TableError> {
        let text = self.text(column);
        choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(column, &words.join(", "))
        })
    }

    /// Says that what stands in `column` cannot be used and what could.
    pub fn fault(&self, column: &str, valid: &str) -> TableError {
        TableError::Cell {
            file: self.table.file.clone(),
            line: self.line,
            column: column.to_owned(),
            value: self.text(column).to_owned(),
            valid: valid.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, ask: impl Fn(Row<'_>) -> Result<f64, TableError>) -> String {
        let answer: Result<f64, TableError> = Table::read("gc.csv", text.as_bytes(), &["id", "heap_mb"])
            .and_then(|table| table.rows().map(ask).sum());
        match answer {
            Ok(sum) => format!("{sum}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn faults_name_file_line_column_value_and_what_is_valid() {
        let heap = |row: Row<'_>| row.positive("heap_mb");
        assert_eq!(fault("id,heap_mb\na,512\nb,1024\n", heap), "1536");
        assert_eq!(
            fault("id,heap_mb\na,512\nb,0\n", heap),
            "gc.csv, line 3, column heap_mb: `0` is not valid; valid: a number above 0"
        );
        assert_eq!(fault("id\na\n", heap), "gc.csv, line 1: no column heap_mb; the table needs id, heap_mb");
        assert_eq!(fault("id,heap_mb\n", heap), "gc.csv: no row below the header");
        let word = |row: Row<'_>| row.one_of("id", &[("G1", 1.0), ("Serial", 2.0)]);
        assert_eq!(
            fault("id,heap_mb\nZGC,512\n", word),
            "gc.csv, line 2, column id: `ZGC` is not valid; valid: G1, Serial"
        );
        for text in ["id,heap_mb\nb,1\na\n", "id,heap_mb\r\nb,1\r\na\r\n"] {
            assert_eq!(fault(text, heap), "gc.csv, line 3: 1 cells, where the header has 2");
        }
        assert!(fault("id,heap_mb\r\na,1\r\nb,x\r\n", heap).starts_with("gc.csv, line 3, column heap_mb"));
        assert!(fault("id,heap_mb\na,nan\n", heap).contains("`nan`"));
    }
}

//! What was compared and what differed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Mismatches shown in full; the rest is only counted.
const SHOWN: usize = 20;

/// A trace file that cannot be replayed: it is damaged or says what nobody understands.
#[derive(Debug)]
pub(crate) struct Fault {
    file: PathBuf,
    line: usize,
    message: String,
}

impl Fault {
    /// `line` counts from 1; 0 means the whole file.
    pub(crate) fn new(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// One field that came out differently.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) file: PathBuf,
    /// Trace or case.
    pub(crate) trace: String,
    /// Line of the file, from 1.
    pub(crate) line: usize,
    pub(crate) operation: String,
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, trace, line, operation, field, expected, found } = self;
        let file = file.display();
        write!(f, "{file}:{line}: {trace}: {operation}: {field}: expected {expected}, found {found}")
    }
}

#[derive(Default)]
struct Suite {
    files: usize,
    traces: usize,
    lines: usize,
}

/// Counts by suite and the mismatches.
#[derive(Default)]
pub(crate) struct Report {
    suites: BTreeMap<String, Suite>,
    current: String,
    shown: Vec<Mismatch>,
    mismatches: usize,
}

impl Report {
    /// A file of this suite comes next.
    pub(crate) fn begin(&mut self, suite: &str) {
        suite.clone_into(&mut self.current);
        self.suite().files += 1;
    }

    /// A trace, or a case, was begun.
    pub(crate) fn count_trace(&mut self) {
        self.suite().traces += 1;
    }

    /// A line was compared.
    pub(crate) fn count_line(&mut self) {
        self.suite().lines += 1;
    }

    pub(crate) fn mismatch(&mut self, mismatch: Mismatch) {
        self.mismatches += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(mismatch);
        }
    }

    pub(crate) fn lines(&self) -> usize {
        self.suites.values().map(|suite| suite.lines).sum()
    }

    pub(crate) fn mismatches(&self) -> usize {
        self.mismatches
    }

    fn suite(&mut self) -> &mut Suite {
        self.suites.entry(self.current.clone()).or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Suite { files, traces, lines }) in &self.suites {
            writeln!(f, "{name:<10} {files:>3} files {traces:>6} traces {lines:>8} lines")?;
        }
        for mismatch in &self.shown {
            writeln!(f, "MISMATCH {mismatch}")?;
        }
        if self.mismatches > self.shown.len() {
            writeln!(f, "and {} more", self.mismatches - self.shown.len())?;
        }
        write!(f, "{} lines compared, {} mismatches", self.lines(), self.mismatches)
    }
}

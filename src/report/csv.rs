//! A run as CSV: RFC 4180 (commas, quotes where needed, CR LF), one header row, the columns of
//! [`crate::record::columns`] in their order, rows in the order of the record.
//!
//! Numbers are plain decimals without thousands separators; an absent value is an empty field.

use std::borrow::Borrow;
use std::io;

use ::csv::{ByteRecord, Terminator, Writer, WriterBuilder};

use crate::record::columns::{self, Table, Value};
use crate::record::{ErrorRecord, RunRecord};

/// A file of the output directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// One row: the run.
    Summary,
    /// Stage attempts.
    Stages,
    /// Task attempts.
    Tasks,
    /// Executors.
    Executors,
    /// Cached datasets.
    Datasets,
    /// Memory events.
    Events,
    /// Memory by region over time.
    Timeline,
    /// Neighbours.
    Tenants,
    /// Memory of hosts by process over time.
    HostTimeline,
}

impl File {
    /// All files, the shortest first.
    pub const ALL: [Self; 9] = [
        Self::Summary,
        Self::Stages,
        Self::Tasks,
        Self::Executors,
        Self::Datasets,
        Self::Events,
        Self::Timeline,
        Self::Tenants,
        Self::HostTimeline,
    ];

    /// File name, as `stages.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary.csv",
            Self::Stages => "stages.csv",
            Self::Tasks => "tasks.csv",
            Self::Executors => "executors.csv",
            Self::Datasets => "datasets.csv",
            Self::Events => "events.csv",
            Self::Timeline => "timeline.csv",
            Self::Tenants => "tenants.csv",
            Self::HostTimeline => "host_timeline.csv",
        }
    }

    /// Writes this file's part of `run` with its header.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn write(self, run: &RunRecord, out: impl io::Write) -> io::Result<()> {
        match self {
            Self::Summary => rows(&columns::SUMMARY, run, [run], out),
            Self::Stages => rows(&columns::STAGES, run, &run.stages, out),
            Self::Tasks => rows(&columns::TASKS, run, &run.tasks, out),
            Self::Executors => rows(&columns::EXECUTORS, run, &run.executors, out),
            Self::Datasets => rows(&columns::DATASETS, run, &run.datasets, out),
            Self::Events => rows(&columns::EVENTS, run, &run.events, out),
            Self::Timeline => rows(&columns::TIMELINE, run, &run.timeline, out),
            Self::Tenants => rows(&columns::TENANTS, run, &run.tenants, out),
            Self::HostTimeline => rows(&columns::HOST_TIMELINE, run, &run.host_timeline, out),
        }
    }
}

/// Writes the errors of predictions with their header.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_errors<'a>(lines: impl Iterator<Item = &'a ErrorRecord>, out: impl io::Write) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(columns::ERRORS.columns().map(|column| column.0)).map_err(io_error)?;
    let (mut record, no_run) = (ByteRecord::new(), RunRecord::default());
    for line in lines {
        record.clear();
        push(&mut record, columns::ERRORS.cells(&no_run, line).map(|cell| cell.1));
        writer.write_byte_record(&record).map_err(io_error)?;
    }
    writer.flush()
}

fn rows<R: 'static>(
    table: &Table<R>,
    run: &RunRecord,
    rows: impl IntoIterator<Item = impl Borrow<R>>,
    out: impl io::Write,
) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(table.columns().map(|column| column.0)).map_err(io_error)?;
    let mut record = ByteRecord::new();
    for row in rows {
        record.clear();
        push(&mut record, table.cells(run, row.borrow()).map(|cell| cell.1));
        writer.write_byte_record(&record).map_err(io_error)?;
    }
    writer.flush()
}

pub(super) fn writer<W: io::Write>(out: W) -> Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out)
}

pub(super) fn push<'a>(record: &mut ByteRecord, cells: impl Iterator<Item = Value<'a>>) {
    for value in cells {
        match value {
            Value::Int(number) => record.push_field(number.to_string().as_bytes()),
            Value::Float(number) => record.push_field(number.to_string().as_bytes()),
            Value::Text(text) => record.push_field(text.as_bytes()),
            Value::Absent => record.push_field(b""),
        }
    }
}

pub(super) fn io_error(error: ::csv::Error) -> io::Error {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn text(file: File, run: &RunRecord) -> String {
        let mut out = Vec::new();
        file.write(run, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn headers_are_the_declared_columns_even_without_rows() {
        let empty = RunRecord::default();
        let header = |file| text(file, &empty).split("\r\n").next().unwrap().to_string();
        let declared = |names: Vec<&str>| names.join(",");
        assert_eq!(header(File::Stages), declared(columns::STAGES.columns().map(|c| c.0).collect()));
        assert_eq!(header(File::Tasks), declared(columns::TASKS.columns().map(|c| c.0).collect()));
        assert_eq!(header(File::Timeline), declared(columns::TIMELINE.columns().map(|c| c.0).collect()));
        assert_eq!(text(File::Events, &empty).matches("\r\n").count(), 1);
        assert_eq!(text(File::Summary, &empty).matches("\r\n").count(), 2);
    }

    #[test]
    fn absent_is_empty_and_text_is_quoted_where_it_must_be() {
        let mut run = fixture::tiny();
        run.totals.jvm_gc_time_ns = None;
        run.stages[0].name = "collect at \"App\", line 3".into();
        let summary = text(File::Summary, &run);
        let mut lines = summary.split("\r\n").map(|line| line.split(',').collect::<Vec<_>>());
        let (header, row) = (lines.next().unwrap(), lines.next().unwrap());
        let at = header.iter().position(|name| *name == "jvmGcTime").unwrap();
        assert_eq!(row[at], "");
        assert_eq!(row[at + 1], "40", "executorRunTime follows");
        assert!(text(File::Stages, &run).contains("\"collect at \"\"App\"\", line 3\""));
    }

    #[test]
    fn golden() {
        let run = fixture::failing();
        for file in File::ALL {
            fixture::check_golden(file.name(), &text(file, &run));
        }
    }
}

//! A study as files: `sweep.csv` (a row a run), `sweep-summary.csv` (a row a point), and each run as a line of JSON, the
//! form in which runs are kept while a study is under way and handed between machines.

use std::io;

use ::csv::{ByteRecord, Writer};
use serde_json::{Map, Value as Json};

use super::csv::{io_error, push, writer};
use crate::record::RunRecord;
use crate::record::columns::{SUMMARY, SWEEP, SWEEP_SUMMARY, Unit, Value};
use crate::record::study::{PointSummary, SweepRow};

/// A CSV file of a study, row by row.
pub struct Rows<W: io::Write> {
    writer: Writer<W>,
    record: ByteRecord,
    /// No cell of these tables reads the run that it is given.
    no_run: RunRecord,
}

impl<W: io::Write> Rows<W> {
    /// Starts `sweep.csv` of a study that varies `keys`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn runs(keys: &[String], out: W) -> io::Result<Self> {
        let lead = SWEEP.columns().map(|column| column.0).take(2);
        let rest = SWEEP.columns().map(|column| column.0).skip(2);
        let names = lead.chain(keys.iter().map(String::as_str)).chain(rest);
        Self::start(names.chain(SUMMARY.columns().map(|column| column.0)), out)
    }

    /// Starts `sweep-summary.csv` of a study that varies `keys`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn points(keys: &[String], out: W) -> io::Result<Self> {
        let lead = SWEEP_SUMMARY.columns().map(|column| column.0).take(1);
        let rest = SWEEP_SUMMARY.columns().map(|column| column.0).skip(1);
        Self::start(lead.chain(keys.iter().map(String::as_str)).chain(rest), out)
    }

    fn start<'a>(names: impl Iterator<Item = &'a str>, out: W) -> io::Result<Self> {
        let mut writer = writer(out);
        writer.write_record(names).map_err(io_error)?;
        Ok(Self { writer, record: ByteRecord::new(), no_run: RunRecord::default() })
    }

    /// Adds a run, with the values of its point.
    ///
    /// # Errors
    /// Those of the output.
    pub fn run(&mut self, row: &SweepRow, values: &[&str]) -> io::Result<()> {
        self.record.clear();
        let cells = || SWEEP.cells(&self.no_run, row).map(|cell| cell.1);
        push(&mut self.record, cells().take(2));
        for value in values {
            self.record.push_field(value.as_bytes());
        }
        push(&mut self.record, cells().skip(2));
        push(&mut self.record, row.summary.iter().cloned());
        self.writer.write_byte_record(&self.record).map_err(io_error)
    }

    /// Adds a point, with its values.
    ///
    /// # Errors
    /// Those of the output.
    pub fn point(&mut self, point: &PointSummary, values: &[&str]) -> io::Result<()> {
        self.record.clear();
        let cells = || SWEEP_SUMMARY.cells(&self.no_run, point).map(|cell| cell.1);
        push(&mut self.record, cells().take(1));
        for value in values {
            self.record.push_field(value.as_bytes());
        }
        push(&mut self.record, cells().skip(1));
        self.writer.write_byte_record(&self.record).map_err(io_error)
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A run as one JSON object; what is absent has no key.
pub fn row_to_json(row: &SweepRow) -> Map<String, Json> {
    let mut map = Map::new();
    let no_run = RunRecord::default();
    let names = SUMMARY.columns().map(|column| column.0);
    let cells = SWEEP.cells(&no_run, row).chain(names.zip(row.summary.iter().cloned()));
    for (name, value) in cells {
        let json = match value {
            Value::Int(number) => number.into(),
            Value::Float(number) => number.into(),
            Value::Text(text) => text.into_owned().into(),
            Value::Absent => continue,
        };
        map.insert(name.to_owned(), json);
    }
    map
}

/// The run that [`row_to_json`] wrote.
///
/// # Errors
/// The key that is missing or holds something else than it should.
pub fn row_from_json(map: &Map<String, Json>) -> Result<SweepRow, String> {
    let whole = |name: &str| {
        let value = map.get(name).ok_or_else(|| format!("has no '{name}'"))?;
        value.as_u64().ok_or_else(|| format!("'{name}' is {value}, not a whole number"))
    };
    let mut summary = Vec::new();
    for (name, unit, _) in SUMMARY.columns() {
        let wrong = |value: &Json| format!("'{name}' is {value}");
        summary.push(match map.get(name) {
            None => Value::Absent,
            Some(Json::String(text)) if unit == Unit::None => Value::Text(text.clone().into()),
            Some(value @ Json::Number(number)) => match number.as_u64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().ok_or_else(|| wrong(value))?),
            },
            Some(value) => return Err(wrong(value)),
        });
    }
    let replication = whole("replication")?;
    Ok(SweepRow {
        point: whole("point")?,
        replication: u32::try_from(replication).map_err(|_| format!("'replication' is {replication}"))?,
        allocated_memory: map.get("allocatedMemory").and_then(Json::as_u64),
        summary,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_run_survives_json_and_reads_the_same_in_csv() {
        let row = SweepRow::of(3, 1, Some(1 << 30), &fixture::failing());
        let text = serde_json::to_string(&row_to_json(&row)).expect("a map of numbers and texts");
        let back = row_from_json(&serde_json::from_str(&text).expect("an object")).expect("a run");
        assert_eq!(back, row);
        let keys = ["spark.executor.memory".to_owned()];
        let csv = |row: &SweepRow| {
            let mut out = Vec::new();
            let mut rows = Rows::runs(&keys, &mut out).expect("memory");
            rows.run(row, &["512m"]).expect("memory");
            rows.finish().expect("memory");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(csv(&back), csv(&row));
        assert!(csv(&row).starts_with("point,replication,spark.executor.memory,allocatedMemory,name,"));
        assert!(csv(&row).contains("\r\n3,1,512m,1073741824,"));
    }

    #[test]
    fn what_is_no_run_is_refused() {
        let parse = |text: &str| row_from_json(&serde_json::from_str(text).expect("an object"));
        assert!(parse("{}").is_err_and(|error| error.contains("has no 'replication'")));
        let error = parse("{\"point\":0,\"replication\":0,\"wallMs\":true}").expect_err("a flag");
        assert_eq!(error, "'wallMs' is true");
    }

    #[test]
    fn points_have_a_header_of_their_own() {
        let mut out = Vec::new();
        let mut rows = Rows::points(&["k".to_owned()], &mut out).expect("memory");
        rows.point(
            &PointSummary {
                runs: 2,
                outcomes: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                ..PointSummary::default()
            },
            &["v"],
        )
        .expect("memory");
        rows.finish().expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("point,k,runs,okShare,"), "{text}");
        assert!(text.contains("\r\n0,v,2,0.5,"), "{text}");
    }
}

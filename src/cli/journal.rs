//! The runs of a study while it is under way, one line each, as they come. A line is a checksum and a JSON object; lines are
//! only ever added, so that a process may die at any moment: what it wrote last may be half a line, which the next one takes
//! away. Two processes never write to one journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value};
use twox_hash::XxHash32;

use super::input::count;
use crate::experiment::RunKey;
use crate::record::study::{SweepRow, summary_column};
use crate::report::sweep::{row_from_json, row_to_json};

/// Name of the file.
pub(super) const NAME: &str = "sweep.journal";
/// Characters of a checksum and the blank behind it.
const HEAD: usize = 9;

/// A journal that rows are added to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
    /// What is in it, in the order of arrival.
    pub(super) runs: Vec<RunKey>,
    columns: Columns,
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    wall: usize,
    outcome: usize,
}

impl Journal {
    /// Opens the journal of a folder, new or with what an earlier process left.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let name = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("{name}: cannot write here"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{name}: another spillcast is at work in this folder"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{name}: cannot be locked"));
            }
        }
        let columns = Columns {
            wall: summary_column("wallMs").expect("wallMs is a column of the summary"),
            outcome: summary_column("outcome").expect("outcome is a column of the summary"),
        };
        let mut journal = Self { path, file, end: 0, runs: Vec::new(), columns };
        journal.read_back()?;
        Ok(journal)
    }

    /// Opens the journal of a folder; `None` where whoever worked in it died before the first run.
    pub(super) fn open_there(folder: &Path) -> anyhow::Result<Option<Self>> {
        if folder.join(NAME).is_file() { Self::open(folder).map(Some) } else { Ok(None) }
    }

    /// Reads what is there, up to the first line that is not whole.
    fn read_back(&mut self) -> anyhow::Result<()> {
        let name = self.path.display().to_string();
        self.file.seek(SeekFrom::Start(0)).with_context(|| format!("{name}: cannot be read"))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        let (mut end, mut runs) = (0, Vec::new());
        loop {
            line.clear();
            let read =
                reader.read_until(b'\n', &mut line).with_context(|| format!("{name}: cannot be read"))?;
            let Some(row) = parse(&line) else { break };
            runs.push(self.key(&row, end));
            end += read as u64;
        }
        drop(reader);
        self.file.set_len(end).with_context(|| format!("{name}: cannot write here"))?;
        runs.sort_unstable_by_key(|run| (run.point, run.replication));
        runs.dedup_by_key(|run| (run.point, run.replication));
        (self.end, self.runs) = (end, runs);
        Ok(())
    }

    fn key(&self, row: &SweepRow, offset: u64) -> RunKey {
        let wall = (row.text(self.columns.outcome) == "ok").then(|| row.number(self.columns.wall)).flatten();
        RunKey {
            point: row.point as u32,
            replication: row.replication,
            offset,
            wall_ms: wall.unwrap_or(f64::NAN),
            allocated_memory: row.allocated_memory.unwrap_or(0),
        }
    }

    /// Adds a run. It is there for the next process once this returns.
    pub(super) fn add(&mut self, row: &SweepRow) -> anyhow::Result<()> {
        let json = serde_json::to_string(&row_to_json(row)).context("a run cannot be written as JSON")?;
        let line = format!("{:08x} {json}\n", XxHash32::oneshot(0, json.as_bytes()));
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // Half a line would hide what another worker may still get in behind it.
            let _ = self.file.set_len(self.end);
            return Err(error).with_context(|| {
                let kept = count(self.runs.len(), "run");
                format!(
                    "{}: cannot write; {kept} are kept, and the same command goes on from there",
                    self.path.display()
                )
            });
        }
        let key = self.key(row, self.end);
        self.runs.push(key);
        self.end += line.len() as u64;
        Ok(())
    }

    /// Puts the runs into the order of points and replications.
    pub(super) fn sort(&mut self) {
        self.runs.sort_unstable_by_key(|run| (run.point, run.replication));
    }

    /// Calls `each` with every row, in the order of [`Self::runs`].
    pub(super) fn rows(&self, mut each: impl FnMut(SweepRow) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 18, &self.file);
        let broken = || anyhow!("{}: was changed while it was read", self.path.display());
        let mut at = reader.seek(SeekFrom::Start(0))?;
        let mut line = Vec::new();
        for run in &self.runs {
            // Workers finish nearly in order: most of the time this stays within the buffer.
            reader.seek_relative(run.offset as i64 - at as i64)?;
            line.clear();
            at = run.offset + reader.read_until(b'\n', &mut line)? as u64;
            each(parse(&line).ok_or_else(broken)?)?;
        }
        Ok(())
    }
}

/// A whole line whose checksum fits.
fn parse(line: &[u8]) -> Option<SweepRow> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (checksum, json) = (line.get(..HEAD)?, line.get(HEAD..)?);
    let checksum = u32::from_str_radix(checksum.strip_suffix(' ')?, 16).ok()?;
    if checksum != XxHash32::oneshot(0, json.as_bytes()) {
        return None;
    }
    let map: Map<String, Value> = serde_json::from_str(json).ok()?;
    row_from_json(&map).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RunRecord;

    fn row(point: u64, wall_ms: u64) -> SweepRow {
        let run = RunRecord { wall_ns: wall_ms * 1_000_000, ..RunRecord::default() };
        SweepRow::of(point, 0, None, &run)
    }

    fn bytes(path: &Path) -> Vec<u8> {
        std::fs::read(path).expect("readable")
    }

    #[test]
    fn a_torn_line_and_what_follows_it_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(folder.path()).expect("new");
        journal.add(&row(1, 20)).expect("added");
        journal.add(&row(0, 10)).expect("added");
        let path = folder.path().join(NAME);
        let whole = bytes(&path);
        drop(journal);
        for cut in [whole.len() - 1, whole.len() - 40] {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let mut journal = Journal::open(folder.path()).expect("old");
            assert_eq!(journal.runs.iter().map(|run| run.point).collect::<Vec<_>>(), [1], "cut at {cut}");
            journal.add(&row(0, 10)).expect("added");
            assert_eq!(bytes(&path), whole);
            journal.sort();
            let mut walls = Vec::new();
            let each = |row: SweepRow| {
                walls.push((row.point, row.replication));
                Ok(())
            };
            journal.rows(each).expect("rows");
            assert_eq!(walls, [(0, 0), (1, 0)]);
        }
        let mut changed = whole.clone();
        changed[20] ^= 1;
        std::fs::write(&path, &changed).expect("written");
        assert!(Journal::open(folder.path()).expect("old").runs.is_empty());
    }

    #[test]
    fn two_processes_do_not_share_a_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = Journal::open(folder.path()).expect("new");
        let error = Journal::open(folder.path()).expect_err("taken").to_string();
        assert!(error.contains("another spillcast is at work"), "{error}");
    }
}

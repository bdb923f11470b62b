//! Replays what real Spark memory classes did and demands the same result, eviction, spill call and byte of state
//! after every operation.
//!
//! The traces lie in `tests/data/memory-manager/`, whole traces of every suite and version cut down to a size fit for a
//! repository. The variable `SPILLCAST_TRACES` names another directory of such files instead. Formats are described in
//! `tests/data/memory-manager/README.md`.

mod blocks;
mod faults;
mod operators;
mod pools;
mod regions;
mod report;
mod sizes;
mod spills;
mod store;
mod table;
mod task;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};

use report::{Fault, Report};

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a reader of this test wants to see")]
fn real_spark_did_the_same() {
    let directory = std::env::var_os("SPILLCAST_TRACES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/memory-manager"),
        PathBuf::from,
    );
    match replay_directory(&directory) {
        Ok(report) => {
            println!("{report}");
            assert_eq!(report.mismatches(), 0, "spillcast and Spark differ, see above");
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// Replays every trace file of a directory.
fn replay_directory(directory: &Path) -> Result<Report, Fault> {
    let fault = |message: String| Fault::new(directory, 0, message);
    let entries = fs::read_dir(directory).map_err(|error| fault(error.to_string()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fault(error.to_string()))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if matches!(path.extension().and_then(|end| end.to_str()), Some("gz" | "csv")) {
            files.push((name, path));
        }
    }
    if files.is_empty() {
        return Err(fault("no trace files (*.jsonl.gz, *.csv) here".to_owned()));
    }
    files.sort();
    let mut report = Report::default();
    for (name, path) in files {
        let suite = name.split('-').next().unwrap_or_default();
        report.begin(suite);
        match suite {
            "unified" | "unmanaged" | "legacy" => trace::replay::<pools::Pools>(&path, &mut report)?,
            "store" => trace::replay::<store::Store>(&path, &mut report)?,
            "task" => trace::replay::<task::Tasks>(&path, &mut report)?,
            "regions" => regions::replay(&path, &mut report)?,
            "sizes" => sizes::replay(&path, &mut report)?,
            "operators" => operators::replay(&path, &mut report)?,
            other => return Err(Fault::new(&path, 0, format!("unknown suite `{other}`"))),
        }
    }
    if report.lines() == 0 {
        return Err(fault("the trace files have no lines to compare".to_owned()));
    }
    Ok(report)
}

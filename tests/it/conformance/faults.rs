//! A damaged or foreign file must not pass for a replay that found nothing.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use spillcast::memory::operators::{GroupCurve, OperatorSpec, SpillLimits};

use super::operators::Run;
use super::replay_directory;
use super::trace::Op;

const HEADER: &str = r#"{"trace":"t","suite":"unified","spark":"4.1.4","lines":1,"params":{"maxHeap":100,"storageRegion":50,"offHeapSize":0,"offHeapStorage":0},"st":{"onS":[50,0],"onX":[50,0],"offS":[0,0],"offX":[0,0],"tOn":{},"tOff":{},"b":[]}}"#;
const STATE: &str =
    r#""st":{"onS":[50,0],"onX":[50,0],"offS":[0,0],"offX":[0,0],"tOn":{},"tOff":{},"b":[]}}"#;

fn compressed(lines: &[&str]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn replay(contents: &[u8]) -> Result<String, String> {
    replay_file("unified-test.jsonl.gz", contents)
}

/// Replays a directory with one file and returns what was said about it.
fn replay_file(name: &str, contents: &[u8]) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), contents).unwrap();
    replay_directory(directory.path()).map(|report| report.to_string()).map_err(|fault| fault.to_string())
}

fn check_fault(lines: &[&str], line: usize, message: &str) {
    let fault = replay(&compressed(lines)).expect_err("the file is faulty");
    let place = format!("unified-test.jsonl.gz:{line}: ");
    assert!(fault.contains(&place) && fault.contains(message), "{fault}");
}

#[test]
fn a_whole_file_passes() {
    let line = format!(r#"{{"i":0,"op":"get","b":"rdd_0_0","r":false,{STATE}"#);
    let report = replay(&compressed(&[HEADER, &line])).unwrap();
    assert!(report.ends_with("\n1 lines compared, 0 mismatches"), "{report}");
}

#[test]
fn an_empty_or_missing_directory_fails() {
    let directory = tempfile::tempdir().unwrap();
    let fault = replay_directory(directory.path()).err().unwrap().to_string();
    assert!(fault.ends_with("no trace files (*.jsonl.gz, *.csv) here"), "{fault}");
    assert!(replay_directory(Path::new("no/such/directory")).is_err());
}

#[test]
fn faulty_lines_fail_with_their_number() {
    check_fault(&[HEADER, "nonsense"], 2, "no JSON");
    check_fault(&[HEADER, "[]"], 2, "no JSON object");
    check_fault(&[HEADER, r#"{"i":0,"op":"dance"}"#], 2, "unknown op `dance`");
    check_fault(&[HEADER, r#"{"i":0,"op":"acqX","t":0,"m":"on"}"#], 2, "missing field `n`");
    check_fault(&[HEADER, r#"{"i":0,"op":"get","b":"rdd_0_0","r":false}"#], 2, "missing field `st`");
    check_fault(&[r#"{"i":0,"op":"get"}"#], 1, "an operation before any trace");
    check_fault(&[HEADER, r#"{"i":0,"op":"wake","of":7}"#], 2, "no operation waits since line 7");
}

#[test]
fn a_truncated_file_fails() {
    let lines: Vec<String> =
        (0..200).map(|i| format!(r#"{{"i":{i},"op":"get","b":"rdd_0_{i}","r":false,{STATE}"#)).collect();
    let mut all = vec![HEADER];
    all.extend(lines.iter().map(String::as_str));
    let whole = compressed(&all);
    let fault = replay(&whole[..whole.len() / 2]).expect_err("half a file");
    assert!(fault.contains("unified-test.jsonl.gz:"), "{fault}");
}

#[test]
fn a_wrong_byte_is_named() {
    let line = format!(r#"{{"i":0,"op":"get","b":"rdd_0_0","r":true,{STATE}"#);
    let report = replay(&compressed(&[HEADER, &line])).unwrap();
    assert!(report.contains("unified-test.jsonl.gz:2: t: get: r: expected true, found false"), "{report}");
    assert!(report.ends_with("\n1 lines compared, 1 mismatches"), "{report}");
}

#[test]
fn missing_lines_are_named() {
    let report = replay(&compressed(&[HEADER])).map_err(|fault| fault.clone());
    assert!(report.unwrap_err().contains("no lines to compare"));
}

#[test]
fn tables_have_no_lines_that_are_skipped() {
    let check = |name: &str, text: &str, message: &str| {
        let said = replay_file(name, text.as_bytes()).unwrap_or_else(|fault| fault);
        assert!(said.contains(message), "{said}");
    };
    check("sizes-4.1.4.csv", "input,asBytes\n1,1,1\n", "sizes-4.1.4.csv:2: 3 cells, the header has 2");
    check("sizes-4.1.4.csv", "input,asBytes\n1,1\n", "sizes-4.1.4.csv:2: missing column `asKb`");
    check("sizes-4.1.4.csv", "", "sizes-4.1.4.csv:1: no header");
    check("sizes-4.1.4.csv", "input,asBytes\n", "sizes-4.1.4.csv: no lines under the header");
    let wrong =
        "input,asBytes,asKb,asMb,asGb,utilsByteStringAsBytes,utilsMemoryStringToMb\n1k,1024,1,0,0,1000,0\n";
    check("sizes-4.1.4.csv", wrong, "\"1k\": utilsByteStringAsBytes: expected 1000, found 1024");
    check("regions-5.0.0-G1.csv", "gc\nG1\n", "`5.0.0` is no known Spark version");
    check("other-4.1.4.csv", "gc\nG1\n", "unknown suite `other`");
}

const SORTER: &str = r#"{"case":"s","class":"UnsafeExternalSorter","maxHeap":8388608,"pageSize":1048576,"initialSize":512,"recordBytes":64,"records":3,"radix":true,"spillRecords":100}"#;

#[test]
fn faulty_operators_fail_with_their_number() {
    let check = |lines: &[&str], message: &str| {
        let said = replay_file("operators-4.1.4.jsonl.gz", &compressed(lines)).unwrap_or_else(|fault| fault);
        assert!(said.contains(message), "{said}");
    };
    let start = r#"{"n":0,"mem":8192}"#;
    let page = r#"{"n":1,"mem":1056768}"#;
    let end = r#"{"end":"all","n":3,"peak":1056768,"after":0}"#;
    check(&[SORTER, start, page, end], "3 lines compared, 0 mismatches");
    check(&[SORTER, start, end], "operators-4.1.4.jsonl.gz:3: s: insert: changes left: expected 0, found 1");
    check(&[SORTER, start, page], "operators-4.1.4.jsonl.gz:3: the case has no end");
    check(&[SORTER, start, r#"{"n":1}"#, end], "operators-4.1.4.jsonl.gz:3: missing field `mem`");
    check(&[SORTER, start, r#"{"n":2,"mem":1056768}"#, end], "gz:3: s: insert: n: expected 2, found 1");
    check(&[SORTER, "{"], "operators-4.1.4.jsonl.gz:2: no JSON");
    check(&[start], "operators-4.1.4.jsonl.gz:1: a change before any case");
    check(&[r#"{"case":"s","class":"Quicksort","records":1}"#, end], "gz:1: unknown class `Quicksort`");
}

/// What the model of a map that spills by its estimated size did, written down as a trace.
fn spilling_map() -> Vec<String> {
    let header = r#"{"case":"m","class":"ExternalAppendOnlyMap","maxHeap":1000000,"records":20000,"distinctKeys":20000,"valueKnownSize":64,"initialMemoryThreshold":100000}"#;
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(header).unwrap();
    let spec = OperatorSpec::ExternalAppendOnlyMap {
        entry_bytes: 80,
        serialized_bytes: 0,
        keys: GroupCurve::even(20_000, 20_000),
        initial_memory_threshold: 100_000,
        limits: SpillLimits::default(),
    };
    let mut run = Run::new(&Op(&parsed), spec).unwrap();
    run.one_by_one(20_000);
    let spills = run.changes.iter().filter(|change| change.2 > 0).count();
    assert_eq!(spills, 1);
    let line = |(n, mem, spilled): &(u64, u64, u64)| match spilled {
        0 => format!(r#"{{"n":{n},"mem":{mem}}}"#),
        spilled => format!(r#"{{"n":{n},"mem":{mem},"spilled":{spilled},"disk":1}}"#),
    };
    let mut lines = vec![header.to_owned()];
    lines.extend(run.changes.iter().map(line));
    let (held, spilled) = (run.changes.last().unwrap().1, run.spilled);
    lines.push(format!(
        r#"{{"end":"all","n":20000,"mem":{held},"spills":{spills},"spilledMemory":{spilled},"spilledDisk":1}}"#
    ));
    lines
}

#[test]
fn a_map_that_spills_by_estimates_is_followed() {
    let replay = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        replay_file("operators-4.1.4.jsonl.gz", &compressed(&lines)).unwrap()
    };
    let lines = spilling_map();
    let said = replay(&lines);
    assert!(said.ends_with(&format!("{} lines compared, 0 mismatches", lines.len() - 1)), "{said}");
    // A request that was not made, and a spill that was not one.
    for (line, field) in [(2, "mem"), (lines.len() - 2, "mem")] {
        let mut lines = lines.clone();
        lines.remove(line);
        let said = replay(&lines);
        assert!(said.contains(&format!("insert: {field}: ")), "{line}: {said}");
    }
}

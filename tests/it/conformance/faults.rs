//! A damaged or foreign file must not pass for a replay that found nothing.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::replay_directory;

const HEADER: &str = r#"{"trace":"t","suite":"unified","spark":"4.1.4","lines":1,"params":{"maxHeap":100,"storageRegion":50,"offHeapSize":0,"offHeapStorage":0},"st":{"onS":[50,0],"onX":[50,0],"offS":[0,0],"offX":[0,0],"tOn":{},"tOff":{},"b":[]}}"#;
const STATE: &str =
    r#""st":{"onS":[50,0],"onX":[50,0],"offS":[0,0],"offX":[0,0],"tOn":{},"tOff":{},"b":[]}}"#;

fn compressed(lines: &[&str]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Replays a directory with one file and returns what was said about it.
fn replay(contents: &[u8]) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("unified-test.jsonl.gz"), contents).unwrap();
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

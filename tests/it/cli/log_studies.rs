//! Studies of a real log: its replications differ as real runs of one configuration do, and a single run is the log's.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::studies::tables;
use super::{LOG, done, program, ran, scratch, text};

fn walls(csv: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column =
        reader.headers().expect("a header").iter().position(|name| name == "wallMs").expect("wallMs");
    reader.records().map(|row| row.expect("a row")[column].parse().expect("a number")).collect()
}

#[test]
fn replications_of_a_log_differ_as_real_runs_do() {
    let folder = scratch();
    let vary = format!("sweep {LOG} --vary spark.sql.shuffle.partitions=2");
    let out = folder.path().join("many");
    done(&format!("{vary} --replications 200 --out {}", text(&out)));
    let many = walls(&tables(&out)[0]);
    let mean = many.iter().sum::<f64>() / many.len() as f64;
    let squares: f64 = many.iter().map(|wall| (wall / mean - 1.0).powi(2)).sum();
    let deviation = (squares / (many.len() - 1) as f64).sqrt();
    // Repeated runs of public logs: 13.6 %, with 12 degrees of freedom 10 to 22 %.
    assert!((0.09..0.22).contains(&deviation), "{deviation}");

    // One run is the log's: the same as `run` answers, and the middle of the others.
    let out = folder.path().join("one");
    done(&format!("{vary} --replications 1 --out {}", text(&out)));
    let single = walls(&tables(&out)[0])[0];
    let answer: serde_json::Value =
        serde_json::from_str(&done(&format!("run {LOG} --conf spark.sql.shuffle.partitions=2 --json")).out)
            .expect("JSON");
    assert_eq!(answer["wallMs"].as_f64(), Some(single));
    assert!((mean / single - 1.0).abs() < 0.05, "{mean} and {single}");
}

#[test]
fn a_pipe_gives_a_log_the_same_luck() {
    let folder = scratch();
    let study = format!("sweep {LOG} --vary spark.sql.shuffle.partitions=2,5 --replications 3");
    let whole = folder.path().join("whole");
    done(&format!("{study} --out {} --threads 2", text(&whole)));
    let listed = done(&format!("{study} --list-points")).out;
    let mut worker = program()
        .args(["sweep", LOG, "--points", "-", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    worker.stdin.take().expect("piped").write_all(listed.as_bytes()).expect("taken");
    let worker = ran(&worker.wait_with_output().expect("ended"));
    assert_eq!(worker.code, Some(0), "{}", worker.err);
    let runs = folder.path().join("runs.jsonl");
    fs::write(&runs, worker.out).expect("written");
    let piped = folder.path().join("piped");
    done(&format!("merge {} --out {}", text(&runs), text(&piped)));
    assert_eq!(tables(&piped), tables(&whole));
}

#[test]
fn compare_says_what_somebody_sees_who_tries_both_once() {
    let ran = done(&format!("compare {LOG} --conf-b spark.master=local[1] --replications 20"));
    for part in ["WORSE B takes ", "pairs share the luck of the machine", "B is the slower one in "] {
        assert!(
            ran.out.split_whitespace().collect::<Vec<_>>().join(" ").contains(part.trim()),
            "{}",
            ran.out
        );
    }
    let once = done(&format!("compare {LOG} --conf-b spark.master=local[1] --replications 1"));
    assert!(!once.out.contains("luck of the machine"), "{}", once.out);
}

//! Studies: the same runs and the same bytes however they came about, and nothing lost or mixed up on the way.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{done, program, ran, refused, scratch, spillcast, text};

/// Hot keys fall together or apart by the seed, so that replications differ.
const JOB: &str = r#"
name = "hot"
[conf]
"spark.master" = "local[2]"
"spark.driver.memory" = "512m"
"spark.sql.adaptive.enabled" = "false"
"spark.sql.shuffle.partitions" = 8
[[table]]
name = "events"
rows = 3_000_000
row_bytes = 40
size = "90m"
files = 4
[[query]]
name = "per user"
from = "events"
steps = [
  { op = "repartition", keys = { hot = [0.2, 0.15, 0.1], distinct = 600_000 } },
  { op = "aggregate", groups = 600_000, keys = { hot = [0.2, 0.15, 0.1] }, entry_bytes = 56, exchange = false },
  { op = "collect" },
]
[[variant]]
name = "large"
conf = { "spark.driver.memory" = "2g" }
"#;
pub(super) const VARY: &str =
    "--vary spark.driver.memory=480m,512m,1g --vary spark.sql.shuffle.partitions=2..8:log:3 --replications 4";
const TABLES: [&str; 2] = ["sweep.csv", "sweep-summary.csv"];

pub(super) fn job(folder: &Path) -> PathBuf {
    let job = folder.join("job.toml");
    fs::write(&job, JOB).expect("written");
    job
}

pub(super) fn tables(out: &Path) -> Vec<String> {
    TABLES.iter().map(|name| fs::read_to_string(out.join(name)).expect("a table")).collect()
}

/// Runs the whole study into a folder of its own.
pub(super) fn whole(folder: &Path) -> (String, Vec<String>) {
    let command = format!("sweep {} {VARY}", text(&job(folder)));
    let out = folder.join("whole");
    done(&format!("{command} --out {} --threads 2", text(&out)));
    (command, tables(&out))
}

#[test]
fn an_answer_without_a_folder_shows_every_point_and_keeps_nothing() {
    let command = "sweep scenarios/python-overhead.toml --vary spark.executor.memoryOverhead=384m,2g";
    let ran = done(&format!("{command} --vary spark.executor.cores=1,2 --replications 1"));
    for line in ["  384m  1  1 min 51 s, nothing spilled", "  384m  2  dies: container_killed"] {
        assert!(ran.out.contains(line), "no {line:?} in {}", ran.out);
    }
    assert!(ran.err.contains("4 runs, not kept; --out DIR keeps"), "{}", ran.err);
    refused(&format!("{command} --shard 1/2"), &["--shard needs --out DIR"]);
}

#[test]
fn threads_change_no_byte() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    let out = folder.path().join("one");
    done(&format!("{command} --out {} --threads 1", text(&out)));
    assert_eq!(tables(&out), expected);
    let rows: Vec<&str> = expected[0].split("\r\n").collect();
    assert_eq!(rows.len(), 1 + 9 * 4 + 1, "a header, a row a run, and the end");
    assert!(
        rows[0].starts_with(
            "point,replication,spark.driver.memory,spark.sql.shuffle.partitions,allocatedMemory,"
        )
    );
    assert!(rows[1].starts_with("0,0,480m,2,"), "{}", rows[1]);
    assert!(rows[36].starts_with("8,3,1g,8,"), "{}", rows[36]);
    let walls: Vec<&str> = (33..37).map(|row| rows[row].split(',').nth(10).expect("wallMs")).collect();
    assert!(walls.iter().any(|wall| *wall != walls[0]), "keys fall by the seed: {walls:?}");
}

#[test]
fn a_study_that_is_killed_goes_on_and_ends_in_the_same_bytes() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    for (number, lines) in [1, 7, 20].into_iter().enumerate() {
        let out = folder.path().join(format!("killed-{number}"));
        let journal = out.join("sweep.journal");
        let mut child = program()
            .args(format!("{command} --out {} --threads 1", text(&out)).split_whitespace())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let done_lines =
            || fs::read(&journal).map_or(0, |bytes| String::from_utf8_lossy(&bytes).matches('\n').count());
        while done_lines() < lines && child.try_wait().expect("a child").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        // What a process writes last may be half a line.
        let mut torn = fs::OpenOptions::new().append(true).open(&journal).expect("a journal");
        torn.write_all(b"0badcafe {\"point\":3,\"repl").expect("written");
        drop(torn);
        let again = done(&format!("{command} --out {}", text(&out)));
        assert!(again.err.contains("runs of this study are there already") || lines == 1, "{}", again.err);
        assert_eq!(tables(&out), expected, "killed after {lines}");
    }
}

#[test]
fn shards_and_pipes_give_the_same_study() {
    let folder = scratch();
    let (command, expected) = whole(folder.path());
    let mut parts = Vec::new();
    for shard in 1..=3 {
        let out = folder.path().join(format!("part-{shard}"));
        done(&format!("{command} --shard {shard}/3 --out {}", text(&out)));
        parts.push(text(&out).to_owned());
    }
    let merged = folder.path().join("merged");
    refused(
        &format!("merge {} {} --out {}", parts[0], parts[2], text(&merged)),
        &[
            "runs are missing of 3 points among 9 (1, 4, 7)",
            "shard 2/3 is missing; this makes it: spillcast sweep ",
        ],
    );
    done(&format!("merge {} --out {}", parts.join(" "), text(&merged)));
    assert_eq!(tables(&merged), expected);

    let listed = done(&format!("{command} --list-points")).out;
    assert_eq!(listed.lines().count(), 1 + 36);
    let mut lines: Vec<&str> = listed.lines().collect();
    lines.reverse();
    let mut runs = String::new();
    for half in lines.chunks(19) {
        let job = folder.path().join("job.toml");
        let mut worker = program()
            .args(["sweep", text(&job), "--points", "-", "--jsonl"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        worker.stdin.take().expect("piped").write_all((half.join("\n") + "\n").as_bytes()).expect("taken");
        let worker = ran(&worker.wait_with_output().expect("ended"));
        assert_eq!(worker.code, Some(0), "{}", worker.err);
        runs.push_str(&worker.out);
    }
    let file = folder.path().join("runs.jsonl");
    fs::write(&file, runs).expect("written");
    let piped = folder.path().join("piped");
    done(&format!("merge {} --out {}", text(&file), text(&piped)));
    assert_eq!(tables(&piped), expected);

    // The same points under another configuration are another study.
    let other = done(&format!("{command} --conf spark.memory.fraction=0.5 --list-points")).out;
    fs::write(&file, other).expect("written");
    let job = folder.path().join("job.toml");
    let refusal = spillcast(["sweep", text(&job), "--points", text(&file), "--jsonl"]);
    assert_eq!(refusal.code, Some(2));
    assert!(refusal.err.contains("another version, application, configuration or seed"), "{}", refusal.err);
}

#[test]
fn a_list_of_points_is_a_study_too() {
    let folder = scratch();
    let points = folder.path().join("points.jsonl");
    fs::write(&points, "{\"spark.driver.memory\": \"1g\"}\n\n{\"spark.sql.shuffle.partitions\": 4}\n")
        .expect("written");
    let out = folder.path().join("out");
    let command = format!("sweep {} --points {} --replications 1", text(&job(folder.path())), text(&points));
    done(&format!("{command} --out {}", text(&out)));
    let rows = &tables(&out)[0];
    assert!(rows.contains("\r\n0,0,1g,,") && rows.contains("\r\n1,0,,4,"), "{rows}");
    let lines = done(&format!("{command} --jsonl")).out;
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.contains("\"wallMs\":"), "{lines}");
}

#[test]
fn precision_adds_runs_where_they_are_wanted() {
    let folder = scratch();
    let out = folder.path().join("out");
    let command = format!("sweep {} --vary spark.sql.shuffle.partitions=1,8", text(&job(folder.path())));
    done(&format!("{command} --precision 2% --max-replications 60 --threads 2 --out {}", text(&out)));
    let rows = &tables(&out)[1];
    let runs: Vec<u32> = rows
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(2).expect("runs").parse().expect("a number"))
        .collect();
    assert_eq!(runs[0], 5, "one partition leaves nothing to chance");
    assert!(runs[1] > 5 && runs[1] <= 60, "{runs:?}");
    let again = folder.path().join("again");
    done(&format!("{command} --precision 2% --max-replications 60 --threads 1 --out {}", text(&again)));
    assert_eq!(tables(&again), tables(&out));
}

#[test]
fn variants_and_levels_are_axes() {
    let folder = scratch();
    let out = folder.path().join("out");
    done(&format!(
        "sweep {} --vary spillcast.variant=base,large --vary spillcast.dataScale=1,2 --replications 1 --out {}",
        text(&job(folder.path())),
        text(&out)
    ));
    let rows = &tables(&out)[0];
    assert!(
        rows.contains("\r\n0,0,base,1,536870912,") && rows.contains("\r\n3,0,large,2,2147483648,"),
        "{rows}"
    );
}

#[test]
fn what_makes_no_study_is_refused() {
    let folder = scratch();
    let path = job(folder.path());
    let (job, out) = (text(&path), folder.path().join("out"));
    let sweep = |rest: &str| format!("sweep {job} {rest} --out {}", text(&out));
    for (rest, parts) in [
        ("", vec!["nothing is varied"]),
        (
            "--vary spark.driver.memroy=1g,2g",
            vec!["--vary spark.driver.memroy", "did you mean spark.driver.memory?"],
        ),
        ("--vary spark.driver.memory=2g..1g:1g", vec!["2g..1g:1g is reversed"]),
        ("--vary spark.driver.memory=1g,abc", vec!["spark.driver.memory=abc", "valid:"]),
        (
            "--vary spark.sql.shuffle.partitions=1..1000:1 --vary spark.task.cpus=1..1001:1",
            vec!["1001000 points", "--yes"],
        ),
        ("--vary spillcast.variant=base,lagre", vec!["there is no such variant; valid: base, large"]),
        ("--vary spillcast.host.memory=1g,2g", vec!["has no [[host]]"]),
        ("--vary spillcast.storageLevel.x=DISK_ONLY", vec!["there is no cached dataset 'x'"]),
        ("--vary spark.driver.memory=1g --shard 4/3", vec!["--shard '4/3' is no shard"]),
        ("--vary spark.driver.memory=1g --precision 0%", vec!["is no precision"]),
        ("--vary spark.driver.memory=1g --confidence 100", vec!["is no confidence"]),
        ("--vary spark.driver.memory=1g --vary spark.driver.memory=2g", vec!["is varied twice"]),
    ] {
        refused(&sweep(rest), &parts);
        assert!(!out.exists(), "{rest}");
    }
    done(&sweep("--vary spark.driver.memory=1g,2g --replications 1"));
    refused(
        &sweep("--vary spark.driver.memory=1g,3g --replications 1"),
        &["holds another study: it has other values"],
    );
    refused(&sweep("--vary spark.driver.memory=1g,2g --replications 2"), &["it has other replications"]);
    refused(
        &sweep("--vary spark.driver.memory=1g,2g --replications 1 --conf spark.memory.fraction=0.5"),
        &["its application, configuration or seed differ"],
    );
    refused(
        &sweep("--vary spark.driver.memory=1g,2g --replications 1 --shard 1/2"),
        &["holds the whole of this study"],
    );
    let other = folder.path().join("other");
    done(&format!("sweep {job} --vary spark.driver.memory=1g,3g --replications 1 --out {}", text(&other)));
    let both = format!("merge {} {} --out {}", text(&out), text(&other), text(&folder.path().join("both")));
    refused(&both, &["is a part of another study than"]);
    refused(&format!("merge {} --out {}", text(folder.path()), text(&other)), &["holds no study"]);
}

#[test]
fn a_sweep_says_what_is_best_and_draws_it() {
    let folder = scratch();
    let out = folder.path().join("out");
    let measured = folder.path().join("real.csv");
    fs::write(&measured, "spark.sql.shuffle.partitions,wallMs\n4,9000\n8,\n").expect("written");
    let sweep = format!(
        "sweep {} --vary spark.sql.shuffle.partitions=1..64:log:4 --replications 3 --out {}",
        text(&job(folder.path())),
        text(&out)
    );
    let ran = done(&format!("{sweep} --measured {}", text(&measured)));
    for part in ["BEST  ", "Safe band", "  spark.sql.shuffle.partitions: ", "    before it, 1: ", " slower; "]
    {
        assert!(ran.out.contains(part), "no {part:?} in {}", ran.out);
    }
    assert!(fs::read_to_string(out.join("curve.svg")).expect("a picture").contains("real Spark"));
    assert!(fs::read(out.join("curve.png")).expect("a picture").starts_with(b"\x89PNG"));
    // A finished study is told again without a run, and as JSON.
    let again = done(&format!("{sweep} --json"));
    let answer: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(answer["points"], 4);
    assert!(answer["best"]["wallMs"].as_f64().is_some_and(|wall| wall > 0.0), "{answer}");
    assert!(again.err.contains("12 runs of this study are there already"), "{}", again.err);
    fs::write(&measured, "partitions,wallMs\n4,9000\n").expect("written");
    refused(
        &format!("{sweep} --measured {}", text(&measured)),
        &["has no column spark.sql.shuffle.partitions; it has partitions, wallMs"],
    );
}

#[test]
fn two_sides_are_compared_with_their_bounds() {
    let folder = scratch();
    let path = job(folder.path());
    let job = text(&path);
    let ran = done(&format!("compare {job} --conf-b spark.sql.shuffle.partitions=1 --replications 4"));
    for part in [
        "WORSE  B takes ",
        "  A: as INPUT says",
        "  B: spark.sql.shuffle.partitions=1",
        "wallMs",
        "Stage 1, per user",
        "Why B differs",
        "  memory without end: A ",
        "4 pairs of runs",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in {}", ran.out);
    }
    let json = done(&format!("compare {job} --variant-b large --replications 3 --json")).out;
    let answer: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(answer["sides"][1]["name"], "spillcast.variant=large");
    assert_eq!(answer["totals"]["wallMs"]["pairs"], 3);
    let [bound, wall] = ["/sides/0/bounds/endlessMemoryWallMs", "/totals/wallMs/a"]
        .map(|path| answer.pointer(path).and_then(serde_json::Value::as_f64).expect(path));
    assert!(bound <= wall, "{bound} is no bound of {wall}");
    refused(&format!("compare {job}"), &["both sides are the same"]);
    refused(
        &format!("compare {job} --conf-b spark.driver.memroy=1g"),
        &["did you mean spark.driver.memory?"],
    );
    refused(&format!("compare {job} --conf-b spark.driver.memory=x"), &["side B", "spark.driver.memory=x"]);
    refused(&format!("compare {job} --conf-b spark.driver.memory"), &["--conf-b"]);
}

#[test]
fn tuning_gives_lines_to_paste() {
    let folder = scratch();
    let path = job(folder.path());
    let job = text(&path);
    let tune = format!(
        "tune {job} --vary spark.driver.memory=480m..2g:log:13 --vary spark.sql.shuffle.partitions=2,8,32"
    );
    let ran = done(&format!("{tune} --minimize memory --subject-to memoryBytesSpilled<=0 --data-scale 1,3"));
    for part in [
        "Least memory\n  spark.driver.memory=",
        "Runner-up\n",
        "  3 times the data: ",
        " of 39 points simulated, 3 runs each; ",
        "To paste: spark-submit\n  --conf spark.",
        "To paste: spark-defaults.conf\n  spark.",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in {}", ran.out);
    }
    // Both blocks are taken as they are, and give what was promised.
    let block = |title: &str| -> Vec<&str> {
        let from = ran.out.split(title).nth(1).expect("a block").lines().skip(1);
        from.take_while(|line| line.starts_with("  ")).map(str::trim).collect()
    };
    let file = folder.path().join("spark-defaults.conf");
    fs::write(&file, block("To paste: spark-defaults.conf").join("\n")).expect("written");
    let by_file = done(&format!("run {job} --json --properties-file {}", text(&file))).out;
    let flags = block("To paste: spark-submit").join(" ");
    assert_eq!(done(&format!("run {job} --json {flags}")).out, by_file);
    let promised: serde_json::Value = serde_json::from_str(&by_file).expect("JSON");
    assert_eq!((&promised["outcome"], &promised["totals"]["memoryBytesSpilled"]), (&"ok".into(), &0.into()));
    let json = done(&format!("{tune} --minimize time --json")).out;
    let answer: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let [fast, frugal] = ["best", "leastMemoryNearby"].map(|name| answer[name]["allocatedMemory"].as_u64());
    assert!(frugal.is_none_or(|frugal| Some(frugal) < fast), "{answer}");
    assert!(answer["best"]["feasible"].as_bool().is_some_and(|feasible| feasible), "{answer}");
    refused(
        &format!("{tune} --subject-to wallMs<=1"),
        &["nothing meets wallMs<=1", "the nearest miss is spark."],
    );
    refused(&format!("{tune} --subject-to wall<=1"), &["--subject-to wall<=1: there is no column 'wall'"]);
    refused(&format!("{tune} --subject-to outcome=heap_oom"), &["valid of the outcome: outcome=ok"]);
    refused(&format!("{tune} --data-scale 0"), &["'0' for '--data-scale <FACTORS>': valid: numbers above 0"]);
}

#[test]
fn every_knob_of_a_small_host_can_be_swept() {
    let folder = scratch();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/small-host.toml");
    let axes = [
        ("spark.driver.memory", "512m,1g,2g"),
        ("spark.master", "local[1],local[*]"),
        ("spark.sql.shuffle.partitions", "1,200"),
        ("spillcast.host.swap", "0,2g,4g"),
        ("spillcast.host.memory", "4g,8g"),
        ("spillcast.tenants", "all,none,airflow+postgres,kafka+postgres,kafka+airflow"),
        ("spillcast.copies", "1,2"),
    ];
    for (number, (key, values)) in axes.into_iter().enumerate() {
        let out = folder.path().join(number.to_string());
        done(&format!(
            "sweep {scenario} --driver-memory 2g --replications 1 --vary {key}={values} --out {}",
            text(&out)
        ));
        let [rows, points] = tables(&out).try_into().expect("two tables");
        let points: Vec<&str> = points.lines().skip(1).collect();
        assert_eq!(points.len(), values.split(',').count(), "{key}");
        assert!(!rows.contains("refused"), "{key}: {rows}");
        // Each of them changes something.
        let (header, first) = rows.split_once("\r\n").expect("a header");
        let at = header.split(',').position(|name| name == "wallMs").expect("a time");
        let walls: BTreeSet<&str> = first.lines().filter_map(|row| row.split(',').nth(at)).collect();
        assert!(walls.len() > 1, "{key}");
    }
}

//! Values that mean nothing, are too large, or are of something that a run does not have: each is refused by name, before
//! anything is written.

use std::fs;

use super::{LOG, refused, scratch, spillcast, text};

const JOB: &str = "scenarios/skewed-aggregation.toml";

#[test]
fn numbers_are_refused_with_what_would_be_valid() {
    let memory = "--vary spark.driver.memory=1g";
    for (args, part) in [
        (
            format!("run {JOB} --seed -1"),
            "'-1' for '--seed <N>': valid: a whole number from 0 to 18446744073709551615",
        ),
        (format!("why {JOB} --seed 1.5"), "'1.5' for '--seed <N>': valid: a whole number"),
        (format!("run {JOB} --trace-task -1"), "--trace-task -1: is neither a task id"),
        (
            format!("sweep {JOB} {memory} --replications -1"),
            "'-1' for '--replications <N>': valid: a whole number from 1",
        ),
        (
            format!("sweep {JOB} {memory} --threads 0"),
            "'0' for '--threads <N>': valid: a whole number from 1 to 1024",
        ),
        (format!("sweep {JOB} {memory} --max-replications 3"), "valid: a whole number from 5 to 1000000"),
        (
            format!("compare {JOB} --conf-b spark.driver.memory=1g --confidence -3"),
            "valid: 50 to 99.99 percent",
        ),
        (
            format!("tune {JOB} --data-scale 1,-1"),
            "'-1' for '--data-scale <FACTORS>': valid: numbers above 0",
        ),
        (format!("tune {JOB} --subject-to wallMs<=-5"), "'-5' is no limit; valid: a time"),
        ("layout --python --row-bytes 0".to_owned(), "valid: a whole number from 1 to 2147483647"),
    ] {
        refused(&args, &[part]);
    }
}

#[test]
fn a_run_too_large_to_be_simulated_says_which_setting_makes_it_so() {
    let decided_by = |setting: &str, words: &str| {
        refused(
            &format!("run {JOB} --conf {setting}"),
            &[words, "tasks are more than can be simulated (ten million)"],
        );
    };
    decided_by(
        "spark.sql.shuffle.partitions=2147483647",
        "spark.sql.shuffle.partitions = 2147483647 decides",
    );
    decided_by(
        "spark.sql.adaptive.coalescePartitions.initialPartitionNum=2147483647 --conf spark.sql.adaptive.enabled=true",
        "spark.sql.adaptive.coalescePartitions.initialPartitionNum = 2147483647 decides",
    );
    decided_by("spark.sql.files.maxPartitionBytes=1", "spark.sql.files.maxPartitionBytes = 1 decides");
    refused(
        &format!("run {JOB} --conf spillcast.dataScale=1e300"),
        &["valid: a factor above 0, up to 1000000"],
    );
    // In a study it is a point that does not start.
    let ran = spillcast([
        "sweep",
        JOB,
        "--vary",
        "spark.sql.shuffle.partitions=16,2147483647",
        "--replications",
        "1",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("2147483647  dies: refused"), "{}", ran.out);
    // Containers of exabytes are asked for and not granted; sums of their parts do not overflow.
    for overhead in
        ["spark.executor.memoryOverheadFactor=1e300", "spark.executor.memoryOverhead=9223372036854775807"]
    {
        let ran = spillcast(["layout", "--master", "yarn", "--conf", overhead]);
        assert_eq!(ran.code, Some(0), "{overhead}: {}", ran.err);
    }
}

/// A condition that nobody can check neither holds nor fails.
#[test]
fn conditions_on_what_is_not_modelled_are_refused_with_what_is() {
    let ran = spillcast(["run", JOB, "--fail-on", "swapInBytes>0"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let words = "--fail-on swapInBytes>0: swapInBytes is not modelled here; valid: wallMs, ";
    assert!(ran.err.contains(words) && ran.out.is_empty(), "{}{}", ran.out, ran.err);
    refused(
        &format!("tune {JOB} --subject-to swapInBytes<=0 --vary spark.driver.memory=700m,1g"),
        &["--subject-to: swapInBytes is not modelled here; valid: wallMs, "],
    );
    let host = "scenarios/small-host.toml";
    let ran = spillcast(["run", host, "--fail-on", "swapOutBytes>1k", "--driver-memory", "2g"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
}

#[test]
fn points_are_told_by_their_line() {
    let folder = scratch();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        text(&path).to_owned()
    };
    let good = "{\"spark.driver.memory\": \"1g\"}\n";
    let runs = "{\"conf\": {\"spark.driver.memory\": \"1g\"}, \"replication\": 3}\n";
    let negative = "{\"conf\": {\"spark.driver.memory\": \"1g\"}, \"replication\": -1}\n";
    for (name, content, jsonl, part) in [
        ("unknown", format!("{good}{{\"foo\": 1}}\n"), false, "unknown:2: foo: no property of this name"),
        (
            "value",
            format!("{good}{{\"spark.driver.memory\": \"x\"}}\n"),
            false,
            "value:2: spark.driver.memory=x (--points)",
        ),
        ("runs", format!("{good}{runs}"), false, "runs:2: is of a list of runs"),
        ("negative", negative.to_owned(), true, "negative:1: replication is -1; valid: a whole number"),
    ] {
        let path = write(name, &content);
        let jsonl = if jsonl { "--jsonl" } else { "--replications 1" };
        refused(&format!("sweep {JOB} --points {path} {jsonl}"), &[part]);
    }
    let path = write("points", good);
    refused(
        &format!("sweep {JOB} --points {path} --jsonl --shard 1/2"),
        &["--shard and --precision have no meaning"],
    );
    // As an editor of Windows writes it.
    let path = write("windows", "\u{feff}{\"spark.driver.memory\": \"1g\"}\r\n");
    let ran = spillcast(["sweep", JOB, "--points", path.as_str(), "--replications", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn real_runs_that_lie_on_no_axis_are_told_by_their_line() {
    let folder = scratch();
    let out = folder.path().join("study");
    let sweep = |input: &str, vary: &str, csv: &str| {
        let path = folder.path().join("measured.csv");
        fs::write(&path, csv).expect("written");
        let (measured, out) = (text(&path), text(&out));
        format!("sweep {input} --vary {vary} --replications 1 --out {out} --measured {measured}")
    };
    let memory = sweep(JOB, "spark.driver.memory=700m,1g", "spark.driver.memory,wallMs\n1g,2000\nabc,3\n");
    refused(
        &memory,
        &["measured.csv:3: spark.driver.memory is 'abc'; valid: a value as --vary takes it, as 700m"],
    );
    let vary = "spillcast.storageLevel=MEMORY_ONLY,DISK_ONLY";
    let level = sweep("scenarios/cache-thrash.toml", vary, "spillcast.storageLevel,wallMs\nNONE,3\n");
    refused(&level, &["measured.csv:2: spillcast.storageLevel is 'NONE'; valid: MEMORY_ONLY, DISK_ONLY"]);
    assert!(!out.exists(), "nothing is begun");
}

#[test]
fn names_of_tenants_that_nobody_has_are_no_point_that_fails() {
    refused(
        &format!("sweep {JOB} --vary spillcast.tenants=kafka"),
        &["no tenant `kafka`; valid: all, none; the scenario has none"],
    );
    let host = "scenarios/small-host.toml";
    refused(
        &format!("sweep {host} --vary spillcast.tenants=all,kafak"),
        &["no tenant `kafak`; valid: all, none, kafka, "],
    );
}

#[test]
fn a_side_that_changes_nothing_is_told() {
    let ran = spillcast(["compare", JOB, "--conf-b", "spark.foo.bar=1", "--replications", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("side B: spark.foo.bar: nothing here depends on this property"), "{}", ran.err);
    // 32 % of two runs that differ by more: nobody would call that equal.
    let ran = spillcast(["compare", JOB, "--conf-b", "spark.master=yarn", "--replications", "2"]);
    assert!(ran.out.starts_with("UNSURE  B takes "), "{}", ran.out);
    refused(
        &format!("compare {JOB} --conf-b spark.driver.memory=abc"),
        &["side B: spark.driver.memory=abc (of one side): ", "valid: a size"],
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named_before_any_work() {
    let folder = scratch();
    let blocked = folder.path().join("out");
    fs::create_dir_all(blocked.join("tasks.csv")).expect("made");
    let out = text(&blocked);
    for force in ["", "--force"] {
        refused(
            &format!("run {JOB} --out {out} {force}"),
            &["tasks.csv: is a folder, in the place of a file"],
        );
    }
    assert_eq!(fs::read_dir(&blocked).expect("listed").count(), 1, "nothing was written beside it");
    refused(&format!("validate {LOG} --csv -"), &["-: this goes into a file"]);
    let nowhere = folder.path().join("nowhere/errors.csv");
    refused(
        &format!("validate {LOG} --csv {}", text(&nowhere)),
        &["errors.csv: cannot write here: there is no folder "],
    );
}

#[test]
fn properties_in_another_encoding() {
    let folder = scratch();
    let path = folder.path().join("spark.conf");
    let name = text(&path);
    fs::write(&path, b"spark.driver.memory 1g\n# caf\xe9\n").expect("written");
    refused(
        &format!("run {JOB} --properties-file {name}"),
        &["spark.conf:2: byte 28 is not UTF-8 text; valid: lines of KEY VALUE"],
    );
    fs::write(&path, "\u{feff}spark.driver.memory 1g\n").expect("written");
    let ran = spillcast(["layout", JOB, "--properties-file", name]);
    assert!(ran.err.contains("spark.driver.memory behind a byte order mark"), "{}", ran.err);
}

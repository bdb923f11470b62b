//! What users get wrong, one case after the other.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::{LOG, done, listing, refused, scratch, spillcast, text};

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    text(&path).to_owned()
}

#[test]
fn files_that_are_none_of_ours() {
    let folder = scratch();
    let folder = folder.path();
    refused("run nowhere.zstd", &["nowhere.zstd: no such file or folder"]);
    let cases: [(&str, &[u8], &str); 6] = [
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "is neither a scenario (TOML) nor a Spark event log, but a PNG picture",
        ),
        ("notes.txt", b"hello, world\n", "but text that begins with \"hello, world\""),
        (
            "some.json",
            b"{\"a\": 1}\n",
            "some.json: not a Spark event log: line 1 is JSON without an \"Event\" name",
        ),
        ("some.toml", b"{\"Event\":\"x\"}\n", "not a Spark event log"),
        ("void", b"", "the log is empty"),
        ("latin1.toml", b"# caf\xe9\nname = \"x\"\n", "latin1.toml:1: byte 5 is not UTF-8 text"),
    ];
    for (name, content, part) in cases {
        let path = write(folder, name, content);
        if name == "some.toml" {
            // An event all the same: content decides, and a log of one unknown event has no task.
            refused(&format!("run {path}"), &[&path, "no task ended"]);
        } else {
            refused(&format!("run {path}"), &[&path, part]);
        }
    }
    refused(&format!("import {}", write(folder, "is.toml", "name = \"x\"\n")), &["is a scenario already"]);
    refused(&format!("check {LOG}"), &["is an event log; check reads scenario files"]);
}

#[test]
fn folders_without_a_log_or_with_several() {
    let folder = scratch();
    let path = text(folder.path()).to_owned();
    refused(&format!("run {path}"), &[&path, "no event log here", "an empty directory"]);
    write(folder.path(), "a.csv", "x");
    write(folder.path(), "b.csv", "x");
    refused(&format!("run {path}"), &["2 other files such as a.csv"]);
    write(folder.path(), "app-1.zstd", "x");
    write(folder.path(), "app-2.zstd", "x");
    refused(&format!("run {path}"), &["2 event logs here, name one of them: app-1.zstd, app-2.zstd"]);
}

/// A cut log runs as far as it goes, with a warning; one cut before its first event does not, and neither does a corrupt
/// one. All say where.
#[test]
fn cut_and_corrupt_streams_of_each_codec() {
    let folder = scratch();
    for codec in ["gz", "zstd", "lz4", "snappy", "lzf"] {
        let whole = fs::read(format!("tests/data/eventlog/codecs/app.{codec}")).expect("a log");
        let cut = write(folder.path(), &format!("start.{codec}"), &whole[..200]);
        refused(&format!("run {cut}"), &[&cut, "ends too early"]);

        let cut = write(folder.path(), &format!("cut.{codec}"), &whole[..whole.len() - 60]);
        let ran = spillcast(["run", cut.as_str(), "--json"]);
        if ran.code == Some(0) {
            assert!(
                ran.err.contains(&format!("warning: {cut}: ends too early after")),
                "{codec}: {}",
                ran.err
            );
        } else {
            // A single block holds the whole log: nothing of it can be read.
            assert!(ran.err.contains("ends too early"), "{codec}: {}", ran.err);
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{codec}");
        }

        let mut corrupt = whole.clone();
        let middle = corrupt.len() / 2;
        for byte in &mut corrupt[middle..middle + 64] {
            *byte = !*byte;
        }
        let corrupt = write(folder.path(), &format!("corrupt.{codec}"), &corrupt);
        refused(&format!("run {corrupt} --out {}", text(&folder.path().join("out"))), &[&corrupt]);
        assert!(!folder.path().join("out").exists(), "{codec}");
    }
}

#[test]
fn a_log_without_tasks() {
    let folder = scratch();
    let events = "{\"Event\":\"SparkListenerLogStart\",\"Spark Version\":\"4.1.4\"}\n\
                  {\"Event\":\"SparkListenerApplicationStart\",\"App Name\":\"x\",\"App ID\":\"app-1\",\"Timestamp\":1,\"User\":\"u\"}\n";
    let path = write(folder.path(), "app-1", events);
    refused(&format!("run {path}"), &[&path, "application app-1: no task ended before the log ends"]);
}

/// Read line by line: a line of 50 MB is no reason to fail, or to hold more than that.
#[test]
fn a_line_of_fifty_megabytes() {
    let folder = scratch();
    let path = folder.path().join("app-1");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).expect("created"));
    writeln!(file, "{{\"Event\":\"SparkListenerLogStart\",\"Spark Version\":\"4.1.4\"}}").expect("written");
    write!(file, "{{\"Event\":\"SparkListenerEnvironmentUpdate\",\"System Properties\":{{\"x\":\"")
        .expect("written");
    for _ in 0..50 {
        file.write_all(&vec![b'y'; 1 << 20]).expect("written");
    }
    writeln!(file, "\"}}}}").expect("written");
    drop(file);
    refused(&format!("run {}", text(&path)), &[text(&path), "no task ended"]);
}

#[test]
fn sizes_that_spark_does_not_read() {
    for size in ["1.5g", "4 g", "-1m", "10q", "g", ""] {
        for key in ["spark.executor.memory", "spark.driver.memory", "spark.memory.offHeap.size"] {
            let pair = format!("{key}={size}");
            let ran = spillcast([
                "run",
                LOG,
                "--conf",
                pair.as_str(),
                "--conf",
                "spark.memory.offHeap.enabled=true",
            ]);
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{pair}: {}", ran.err);
            for part in [key, size, "from:  --conf", "valid: "] {
                assert!(ran.err.contains(part), "{pair}: no {part:?} in {}", ran.err);
            }
        }
    }
}

#[test]
fn every_fault_of_the_command_line_is_told_at_once() {
    let ran =
        spillcast(["layout", "--executor-memory", "1.5g", "--driver-memory", "10q", "--executor-cores", "0"]);
    assert_eq!(ran.code, Some(2));
    for part in ["--executor-memory 1.5g", "--driver-memory 10q", "--executor-cores 0"] {
        assert!(ran.err.contains(&format!("from:  {part}")), "{part}: {}", ran.err);
    }
}

/// HEAP-4 and HEAP-5, word for word.
#[test]
fn a_heap_below_450_mib_is_refused_in_sparks_words() {
    let words = "[INVALID_DRIVER_MEMORY] System memory 419430400 must be at least 471859200. Please increase heap size \
                 using the --driver-memory option or \"spark.driver.memory\" in Spark configuration.";
    refused(&format!("run {LOG} --driver-memory 400m"), &[words, "valid: 450m or more"]);
    refused(
        "layout --executor-memory 400m",
        &["[INVALID_EXECUTOR_MEMORY] Executor memory 419430400 must be"],
    );
    // Scripts get the outcome beside the exit code.
    let ran = spillcast(["run", LOG, "--driver-memory", "400m", "--json", "--quiet"]);
    assert_eq!(ran.code, Some(2));
    let answer: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer["outcome"], "refused");
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.starts_with(words)), "{answer}");
}

#[test]
fn zero_partitions() {
    refused(
        &format!("run {LOG} --conf spark.sql.shuffle.partitions=0"),
        &["spark.sql.shuffle.partitions = 0", "must be positive", "valid: "],
    );
}

#[test]
fn flags_and_commands_that_do_not_exist() {
    refused("layot", &["unrecognized subcommand 'layot'", "'layout'"]);
    refused(&format!("run {LOG} --executor-memroy 1g"), &["--executor-memory"]);
    refused("run", &["<INPUT>"]);
    refused(&format!("run {LOG} --conf spark.x"), &["Spark config without '=': spark.x"]);
    refused(&format!("run {LOG} --spark-version 4.9"), &["'4.9' is not a Spark version", "from 2.4 to 4.1"]);
    refused(
        &format!("run {LOG} --master here"),
        &["spark.master = here", "from:  --master here", "local[N]"],
    );
    refused(&format!("run {LOG} --conf spillcast.evictionPolicy=best"), &["spillcast.evictionPolicy", "lru"]);
    refused(&format!("run {LOG} --conf spillcast.storagelevel=NONE"), &["spillcast.storageLevel"]);
    refused(&format!("run {LOG} --properties-file none.conf"), &["none.conf: cannot be read"]);
}

#[test]
fn slips_in_names_are_pointed_at() {
    let ran = spillcast(["layout", "--conf", "spark.executor.memroy=3g"]);
    assert_eq!(ran.code, Some(0), "Spark takes any name: {}", ran.err);
    assert!(ran.err.contains("did you mean spark.executor.memory?"), "{}", ran.err);
    let ran = spillcast(["layout", "--unset", "spark.executor.memroy"]);
    assert!(
        ran.err.contains("nothing sets this property; did you mean spark.executor.memory?"),
        "{}",
        ran.err
    );
}

/// Faults of the text and of the properties, of every file, in one go.
#[test]
fn check_tells_every_fault_of_every_file() {
    let folder = scratch();
    let first = write(
        folder.path(),
        "first.toml",
        "[conf]\n\"spark.executor.memory\" = \"400m\"\n\"spark.executor.memroy\" = \"1g\"\n\n[[tabel]]\nname = \"x\"\n",
    );
    let second =
        write(folder.path(), "second.toml", "name = \"y\"\n[conf]\n\"spark.memory.fraction\" = \"many\"\n");
    let third = text(&folder.path().join("third.toml")).to_owned();
    refused(
        &format!("check {first} {second} {third}"),
        &[
            &format!("{first}:5:3"),
            "did you mean `table`?",
            &format!("{first}:2:1"),
            "Executor memory 419430400 must be at least 471859200",
            &format!("{first}:3:1"),
            "did you mean `spark.executor.memory`?",
            &format!("{second}:3:1"),
            "spark.memory.fraction = many",
            &format!("{third}: no such file or folder"),
            "in 3 files",
        ],
    );
    let ran = spillcast(["check", "--json", first.as_str(), second.as_str()]);
    assert_eq!(ran.code, Some(2));
    let list: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("JSON");
    let places: Vec<_> = list.iter().map(|found| (&found["line"], &found["severity"])).collect();
    assert!(places.contains(&(&2.into(), &"error".into())), "{}", ran.out);
    assert!(places.contains(&(&3.into(), &"warning".into())), "{}", ran.out);
    assert!(list.iter().all(|found| found["column"].as_u64() >= Some(1)), "{}", ran.out);
}

#[test]
fn a_run_shows_the_line_of_a_scenario_that_is_wrong() {
    let folder = scratch();
    let bad = write(folder.path(), "bad.toml", "naem = \"x\"\n");
    refused(
        &format!("run {bad} --out {}", text(&folder.path().join("out"))),
        &["SC002", &format!("{bad}:1:1"), "did you mean `name`?"],
    );
    assert_eq!(listing(folder.path()).len(), 1, "nothing but the scenario");
}

#[test]
fn an_unknown_command_names_those_there_are() {
    refused("frobnicate", &["'frobnicate'", "valid commands: run, ", "sweep", "layout, check, import"]);
}

#[test]
fn a_negative_size_is_told_with_its_property() {
    refused("layout --executor-memory -1m", &["spark.executor.memory = -1m", "valid: a size such as 512m"]);
    refused(
        &format!("run {LOG} --conf spark.sql.shuffle.partitions=0"),
        &["spark.sql.shuffle.partitions = 0", "valid: a whole number, from 1 up"],
    );
    let ran = spillcast(format!("run {LOG} --conf spillcast.storageLevl=NONE").split(' '));
    assert_eq!(ran.err.matches("spillcast.storageLevel").count(), 1, "{}", ran.err);
}

#[test]
fn damage_is_told_once() {
    let folder = scratch();
    let log = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(LOG)).expect("the log");
    let mut damaged = log.clone();
    damaged[log.len() / 4..log.len() / 2].fill(0x5a);
    let path = write(folder.path(), "app.zstd", damaged);
    let ran = spillcast(["run", &path]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert_eq!(ran.err.matches("corrupt zstd data").count(), 1, "{}", ran.err);
}

#[test]
fn a_host_has_no_less_than_no_swap() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/small-host.toml");
    refused(
        &format!("run {scenario} --conf spillcast.host.swap=-2g"),
        &["spillcast.host.swap = -2g", "valid: a size of 0 or more"],
    );
}

#[test]
fn containers_swap_only_where_there_are_containers_and_swap() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/container-swap.toml");
    let cases: [(&str, &[&str]); 5] = [
        (
            "--conf spillcast.containerSwap=-1g",
            &["spillcast.containerSwap = -1g", "valid: a size of 0 or more"],
        ),
        ("--conf spillcast.containerHigh=0", &["spillcast.containerHigh = 0", "valid: a size above 0"]),
        (
            "--conf spillcast.containerSwap=1g --unset spillcast.containerLimit",
            &["spillcast.containerSwap: 1.0 GiB", "no container", "valid with spillcast.containerLimit"],
        ),
        (
            "--conf spillcast.containerHigh=2g",
            &["spillcast.containerHigh: 2.0 GiB is not below the container's limit (1.2 GiB)", "valid: less"],
        ),
        (
            "--conf spillcast.containerSwap=1g --conf spillcast.host.swap=0",
            &["spillcast.containerSwap: 1.0 GiB, but host `node` has no swap", "valid with `swap`"],
        ),
    ];
    for (flags, words) in cases {
        refused(&format!("run {scenario} {flags}"), words);
    }
}

#[test]
fn requests_and_stolen_processors_are_possible_ones() {
    let folder = tempfile::tempdir().expect("a directory");
    let shipped = include_str!("../../../scenarios/small-host.toml");
    let cases: [(&str, &str, &[&str]); 6] = [
        ("request_block = \"16k\"", "request_block = \"0\"", &["`request_block` is 0, but must be more"]),
        (
            "request_memory = \"4m\"\nrequest_block = \"16k\"",
            "request_block = \"16k\"",
            &["`request_block` without `request_memory`", "add `request_memory`"],
        ),
        (
            "request_time = \"3ms\"",
            "request_time = \"3ms\"\nrequest_every = \"0ms\"",
            &["`request_every` is 0, but must be more"],
        ),
        (
            "request_time = \"3ms\"",
            "request_time = \"3ms\"\nrequest_every = \"2ms\"",
            &["`request_every` is no longer than `request_time`", "queue for ever"],
        ),
        ("cores = 2", "cores = 2\nstolen_cores = 2", &["`stolen_cores` is 2, but the host has 2"]),
        ("cores = 2", "cores = 2\nstolen_cores = -1", &["`stolen_cores` is -1"]),
    ];
    for (from, to, words) in cases {
        assert!(shipped.contains(from), "{from}");
        let path = write(folder.path(), "host.toml", shipped.replacen(from, to, 1));
        refused(&format!("run {path}"), words);
    }
}

/// What a scenario file says wrongly is in `scenario::faults`.
#[test]
fn a_heap_does_not_lie_in_a_smaller_container() {
    let folder = scratch();
    let scenario = "[[table]]\nname = \"t\"\nrows = 10\nrow_bytes = 8\n[[query]]\nname = \"q\"\nfrom = \"t\"\nsteps = [{ op = \"count\" }]\n";
    let local = format!(
        "name = \"x\"\n[conf]\n\"spark.master\" = \"local[2]\"\n\"spillcast.containerLimit\" = \"600m\"\n{scenario}"
    );
    let file = write(folder.path(), "x.toml", &local);
    let parts = [
        "x.toml:4:1",
        "spillcast.containerLimit = 600m",
        "600.0 MiB is no more than the heap",
        "spark.driver.memory of 1.0 GiB",
        "valid: more than 1024m",
    ];
    refused(&format!("run {file}"), &parts);
    refused(&format!("why {file}"), &parts[1..]);
    refused(&format!("check {file}"), &parts);
    // A study may cross the line: such a run starts and dies.
    let study = format!("--vary spillcast.containerLimit=900m,2g --out {}", text(&folder.path().join("out")));
    done(&format!("sweep {file} {study} --quiet"));
    // The heap alone is too much as well, since nothing is left beside it; more is not for a check to judge.
    refused(&format!("run {file} --conf spillcast.containerLimit=1g"), &["1.0 GiB is no more than the heap"]);
    done(&format!("run {file} --conf spillcast.containerLimit=1500m --quiet"));
    let cluster = "--master local-cluster[2,1,1024] --executor-memory 1g --conf spillcast.containerLimit=1g";
    refused(&format!("run {file} {cluster}"), &["spark.executor.memory of 1.0 GiB"]);
    // No swap said is no swap, and a cluster manager's container has the manager's limit.
    refused(&format!("run {file} --conf spillcast.containerSwap=0"), &["600.0 MiB is no more than the heap"]);
    done(&format!("run {file} --master yarn --executor-memory 1g --quiet"));
}

#[test]
fn a_collector_that_nobody_has_is_refused() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/small-host.toml");
    refused(
        &format!("run {scenario} --conf spillcast.collector=ZGC"),
        &["spillcast.collector = ZGC", "valid: one of G1, Parallel, Serial"],
    );
    refused(
        &format!("run {scenario} --conf spark.driver.extraJavaOptions=-XX:+UseFastGC"),
        &["spark.driver.extraJavaOptions", "Unrecognized VM option 'UseFastGC'", "valid: -XX:+UseG1GC"],
    );
    // One that the JVM has and that is not simulated is told, not passed over.
    let ran = done(&format!("run {scenario} --conf spark.driver.extraJavaOptions=-XX:+UseZGC"));
    assert!(ran.err.contains("-XX:+UseZGC: this collector is not simulated"), "{}", ran.err);
    let quiet = done(&format!("run {scenario} --conf spark.driver.extraJavaOptions=-XX:+UseSerialGC"));
    assert!(!quiet.err.contains("not simulated"), "{}", quiet.err);
}

#[test]
fn a_host_smaller_than_its_tenants_is_refused_wherever_it_is_said() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/small-host.toml");
    refused(
        &format!("run {scenario} --conf spillcast.host.memory=1g --conf spillcast.host.swap=0"),
        &["spillcast.host.memory", "less than its tenants and the kernel hold at rest"],
    );
    refused(
        &format!("run {scenario} --conf spillcast.tenants=kafka,nobody"),
        &["no tenant `nobody`", "kafka"],
    );
}

//! Reading real event logs. The figures come from the table of runs that these logs belong to, which was computed from
//! the logs by an independent program and from Spark's own executor logs.

use std::fs;
use std::path::{Path, PathBuf};

use spillcast::eventlog::app_log::{BlockName, JobResult, PeakSource, TaskEndState, TaskMetrics};
use spillcast::eventlog::{
    AppLog, Codec, DirectoryLog, EventLogError, LogPart, Missing, ReadNotes, import, look_at_directory,
    read_app_log,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/eventlog").join(name)
}

/// Opens the log in a directory as the command line does.
fn parts(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = match look_at_directory("dir", &names).unwrap() {
        DirectoryLog::Directory(name) => return parts(&directory.join(name)),
        DirectoryLog::File(name) => vec![name],
        DirectoryLog::Rolling(log) => log.parts,
    };
    names.into_iter().map(|name| (name.clone(), fs::read(directory.join(name)).unwrap())).collect()
}

fn read_bytes(parts: &[(String, Vec<u8>)]) -> Result<(AppLog, ReadNotes), EventLogError> {
    read_app_log(parts.iter().map(|(name, bytes)| LogPart::new(name.clone(), &bytes[..])))
}

fn read_run(name: &str) -> (AppLog, ReadNotes) {
    read_bytes(&parts(&data(name))).unwrap()
}

fn read_text(text: impl Into<Vec<u8>>) -> Result<(AppLog, ReadNotes), EventLogError> {
    read_bytes(&[("app".to_owned(), text.into())])
}

fn sum(log: &AppLog, metric: impl Fn(&TaskMetrics) -> u64) -> u64 {
    log.tasks.iter().filter_map(|task| task.metrics.as_ref()).map(metric).sum()
}

/// The plain text of a log file.
fn text_of(run: &str) -> Vec<u8> {
    use std::io::Read;
    let (_, bytes) = parts(&data(run)).remove(0);
    let mut text = Vec::new();
    spillcast::eventlog::codec::LogStream::open(Box::new(&bytes[..]))
        .unwrap()
        .read_to_end(&mut text)
        .unwrap();
    text
}

struct Expected {
    run: &'static str,
    spark: &'static str,
    tasks: usize,
    failed: usize,
    killed: usize,
    jobs: usize,
    memory_bytes_spilled: u64,
    disk_bytes_spilled: u64,
    peak_max: u64,
    run_ms: u64,
    shuffle_read: u64,
    shuffle_write: u64,
    result_bytes: u64,
    pool_on_heap: u64,
    application_ms: u64,
}

#[test]
fn totals_equal_the_independent_ones() {
    let runs = [
        Expected {
            run: "w2-h512-plain35",
            spark: "3.5.9",
            tasks: 53,
            failed: 0,
            killed: 0,
            jobs: 3,
            memory_bytes_spilled: 377_484_480,
            disk_bytes_spilled: 322_778_915,
            peak_max: 58_719_936,
            run_ms: 16_245,
            shuffle_read: 353_336_965,
            shuffle_write: 353_336_965,
            result_bytes: 138_943,
            pool_on_heap: 133_378_867,
            application_ms: 12_301,
        },
        Expected {
            run: "w6h-lc21cont",
            spark: "4.1.4",
            tasks: 9,
            failed: 7,
            killed: 1,
            jobs: 2,
            memory_bytes_spilled: 0,
            disk_bytes_spilled: 0,
            peak_max: 0,
            run_ms: 5_770,
            shuffle_read: 0,
            shuffle_write: 0,
            result_bytes: 2_359,
            pool_on_heap: 133_378_867,
            application_ms: 52_639,
        },
        Expected {
            run: "w8c-mr16",
            spark: "4.1.4",
            tasks: 7,
            failed: 0,
            killed: 3,
            jobs: 2,
            memory_bytes_spilled: 0,
            disk_bytes_spilled: 0,
            peak_max: 0,
            run_ms: 641,
            shuffle_read: 0,
            shuffle_write: 0,
            result_bytes: 7_937,
            pool_on_heap: 455_501_414,
            application_ms: 6_667,
        },
        Expected {
            run: "w9-base-rolling",
            spark: "4.1.4",
            tasks: 96,
            failed: 0,
            killed: 0,
            jobs: 6,
            memory_bytes_spilled: 0,
            disk_bytes_spilled: 0,
            peak_max: 34_209_728,
            run_ms: 3_818,
            shuffle_read: 57_033,
            shuffle_write: 29_463,
            result_bytes: 595_895,
            pool_on_heap: 455_501_414,
            application_ms: 10_608,
        },
    ];
    for expected in runs {
        let (log, notes) = read_run(expected.run);
        let run = expected.run;
        assert_eq!(log.spark_version, expected.spark, "{run}");
        assert_eq!(log.tasks.len(), expected.tasks, "{run} tasks");
        let count =
            |wanted: fn(&TaskEndState) -> bool| log.tasks.iter().filter(|task| wanted(&task.end)).count();
        assert_eq!(count(|end| matches!(end, TaskEndState::Failed(_))), expected.failed, "{run} failed");
        assert_eq!(count(|end| matches!(end, TaskEndState::Killed(_))), expected.killed, "{run} killed");
        assert_eq!(log.jobs.len(), expected.jobs, "{run} jobs");
        assert_eq!(
            sum(&log, |task| task.totals.memory_bytes_spilled),
            expected.memory_bytes_spilled,
            "{run}"
        );
        assert_eq!(sum(&log, |task| task.totals.disk_bytes_spilled), expected.disk_bytes_spilled, "{run}");
        assert_eq!(sum(&log, |task| task.totals.run_ms), expected.run_ms, "{run}");
        let read = sum(&log, |task| task.shuffle_read.local_bytes + task.shuffle_read.remote_bytes);
        assert_eq!(read, expected.shuffle_read, "{run}");
        assert_eq!(sum(&log, |task| task.shuffle_write.bytes), expected.shuffle_write, "{run}");
        assert_eq!(sum(&log, |task| task.totals.result_bytes), expected.result_bytes, "{run}");
        let peaks = log.tasks.iter().filter_map(|task| task.metrics.as_ref());
        let peak = peaks.map(|metrics| metrics.totals.peak_execution_memory).max();
        assert_eq!(peak, Some(expected.peak_max), "{run}");
        assert!(log.executors.iter().any(|e| e.max_on_heap == Some(expected.pool_on_heap)), "{run} pool");
        assert_eq!(log.end_ms.unwrap() - log.start_ms.unwrap(), expected.application_ms, "{run}");
        assert!(notes.broken.is_empty() && notes.truncated.is_empty() && !notes.in_progress, "{run}");
        assert!(notes.unknown_events.is_empty() && log.running_tasks.is_empty(), "{run}");
    }
}

#[test]
fn lost_executors_say_why() {
    let (log, _) = read_run("w6h-lc21cont");
    let lost: Vec<_> = log.executors.iter().filter(|executor| executor.removed_ms.is_some()).collect();
    assert_eq!(lost.len(), 8);
    assert!(lost.iter().all(|e| e.removed_reason.as_deref() == Some("Command exited with code 137")));
    let TaskEndState::Failed(failure) = &log.tasks.iter().find(|task| !task.succeeded()).unwrap().end else {
        panic!("killed before any failed")
    };
    assert_eq!(failure.reason, "ExecutorLostFailure");
    assert_eq!(failure.message, "Command exited with code 137");
    assert_eq!(failure.exit_caused_by_app, Some(true));
    let JobResult::Failed(reason) = &log.jobs[1].result else { panic!("{:?}", log.jobs[1]) };
    assert!(
        reason.starts_with("Job aborted due to stage failure: Task 1 in stage 1.0 failed 4 times"),
        "{reason}"
    );
    assert_eq!(log.jobs[1].sql_execution, Some(0));
}

#[test]
fn drops_are_counted_from_block_updates() {
    let (log, notes) = read_run("w4-h800");
    assert!(!notes.missing.contains(&Missing::BlockUpdates));
    let drops = log.block_updates.iter().filter(|update| {
        matches!(update.block, BlockName::Rdd { .. }) && !update.storage.use_memory && update.memory_bytes > 0
    });
    let sizes: Vec<u64> = drops.map(|drop| drop.memory_bytes).collect();
    assert_eq!(sizes.len(), 45, "as many as the executor's own log tells of");
    assert_eq!(sizes.iter().sum::<u64>(), 721_396_440);
    let peak = log.peaks.iter().map(|peak| peak.peaks.on_heap_storage).max();
    assert_eq!(peak, Some(313_606_913));
    assert!(log.peaks.iter().any(|peak| peak.source == PeakSource::Stage));
}

#[test]
fn tasks_carry_the_metrics_of_plan_nodes() {
    let (log, _) = read_run("w2-h512-plain35");
    let plan = log.sql[0].final_plan().unwrap();
    let sort = plan.nodes.iter().find(|node| node.name == "Sort").unwrap();
    let spill = sort.metrics.iter().find(|metric| metric.name == "spill size").unwrap();
    let spilled: i64 = log.tasks.iter().filter_map(|task| task.accumulator(spill.accumulator)).sum();
    assert_eq!(spilled, 377_484_480, "the operator's spill size is the tasks' memoryBytesSpilled");
    let exchange = plan.nodes.iter().position(|node| node.name == "Exchange").unwrap();
    assert!(plan.nodes[exchange].parent.is_some() && !plan.nodes[exchange].children.is_empty());
}

#[test]
fn a_log_split_into_parts_is_the_same_log() {
    let text = text_of("w9-base-rolling");
    let whole = read_text(text.clone()).unwrap().0;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let parts: Vec<(String, Vec<u8>)> = lines
        .chunks(100)
        .enumerate()
        .map(|(at, chunk)| (format!("events_{}_app", at + 1), chunk.concat()))
        .collect();
    assert_eq!(parts.len(), 4);
    let (split, notes) = read_bytes(&parts).unwrap();
    assert_eq!(notes.files.len(), 4);
    assert_eq!(format!("{split:?}"), format!("{whole:?}"));
}

#[test]
fn codecs_as_spark_writes_them() {
    let names = ["app.gz", "app.lz4", "app.snappy", "app.lzf", "app.zstd"];
    let codecs = [Codec::Gzip, Codec::Lz4, Codec::Snappy, Codec::Lzf, Codec::Zstd];
    let mut first: Option<String> = None;
    for (name, codec) in names.into_iter().zip(codecs) {
        let bytes = fs::read(data("codecs").join(name)).unwrap();
        let (log, notes) = read_bytes(&[(name.to_owned(), bytes)]).unwrap();
        assert_eq!((notes.files[0].codec, notes.files[0].named), (codec, None));
        assert!(notes.truncated.is_empty(), "{name}: {:?}", notes.truncated);
        assert_eq!(notes.lines, 76, "{name}");
        let facts = format!("{log:?}");
        assert!(*first.get_or_insert(facts.clone()) == facts, "{name} differs from app.gz");
    }
}

#[test]
fn logs_of_running_applications_give_what_is_there() {
    // lzf is absent: Spark's parallel encoder had written nothing by then.
    for name in ["app.lz4.inprogress", "app.snappy.inprogress", "app.zstd.inprogress"] {
        let bytes = fs::read(data("codecs").join(name)).unwrap();
        let (log, notes) = read_bytes(&[(name.to_owned(), bytes)]).unwrap();
        assert!(notes.in_progress, "{name}");
        assert!(notes.lines >= 20 && notes.lines <= 61, "{name}: {} lines", notes.lines);
        assert_eq!(log.spark_version, "4.1.4", "{name}");
        assert!(notes.broken.is_empty(), "{name}: {:?}", notes.broken);
    }
}

/// A real log of several compressed blocks and frames, cut anywhere: never an error except at its very beginning,
/// never a task too many.
#[test]
fn a_cut_log_gives_its_beginning() {
    for name in ["app.gz", "app.lz4", "app.snappy", "app.lzf", "app.zstd"] {
        let bytes = fs::read(data("codecs").join(name)).unwrap();
        let whole = read_bytes(&[(name.to_owned(), bytes.clone())]).unwrap().0;
        let mut last = 0;
        for length in (0..bytes.len()).step_by(97) {
            let cut = read_bytes(&[(name.to_owned(), bytes[..length].to_vec())]);
            match cut {
                Ok((log, notes)) => {
                    assert_eq!(log.tasks[..], whole.tasks[..log.tasks.len()], "{name} cut at {length}");
                    assert!(notes.lines >= last, "{name} cut at {length}");
                    assert!(notes.broken.is_empty());
                    last = notes.lines;
                }
                Err(EventLogError::Empty { .. }) => assert_eq!(last, 0, "{name} cut at {length}"),
                Err(error) => panic!("{name} cut at {length}: {error}"),
            }
        }
        assert!(last >= 25, "{name}: {last} lines");
    }
}

#[test]
fn what_is_no_log_is_refused_with_line_and_reason() {
    let cases = [
        ("", "app: the log is empty: no event was written before the application stopped or was killed"),
        (
            "a,b\n1,2\n",
            "app: neither JSON text nor a known compression (gzip, zstd, lz4, snappy, lzf): starts with bytes \
             61 2c 62 0a 31 2c 32 0a",
        ),
        (
            "{\"a\":1}\n",
            "app: not a Spark event log: line 1 is JSON without an \"Event\" name (missing field `Event` at line 1 \
             column 7)",
        ),
        (
            "{\"a\":1}",
            "app: not a Spark event log: line 1 is JSON without an \"Event\" name (missing field `Event` at line 1 \
             column 7)",
        ),
        ("{\"Ev", "app: the log is empty: no event was written before the application stopped or was killed"),
        (
            "{\n  \"a\": 1\n}\n",
            "app: not a Spark event log: line 1 is not JSON (EOF while parsing an object at line 1 column 1)",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(read_text(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn damaged_lines_are_skipped_up_to_one_percent() {
    let text = String::from_utf8(text_of("w9-base-rolling")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 304);
    for at in [100, 200, 300] {
        lines[at] = "{\"Event\":\"SparkListenerTaskEnd\",\"Stage ID\":";
    }
    let (_, notes) = read_text(lines.join("\n")).unwrap();
    let places: Vec<u64> = notes.broken.iter().map(|line| line.line).collect();
    assert_eq!(places, [101, 201, 301]);
    lines[50] = "\0\0\0\0";
    let error = read_text(lines.join("\n")).unwrap_err().to_string();
    assert_eq!(
        error,
        "app: 4 of 304 lines cannot be read (at most 1 % is accepted); the first is line 51: is not JSON (expected \
         value at line 1 column 1)"
    );
}

#[test]
fn last_line_cut_is_a_note() {
    let text = text_of("w9-base-rolling");
    let (log, notes) = read_text(text[..text.len() - 10].to_vec()).unwrap();
    assert!(notes.in_progress && log.end_ms.is_none());
    assert_eq!(notes.truncated.len(), 1);
    assert_eq!(notes.truncated[0].to_string(), "app: ends too early after 303 whole lines");
    assert_eq!(log.tasks.len(), 96);
}

#[test]
fn strangers_are_counted_by_name() {
    let mut text = text_of("w8c-mr16");
    text.extend(b"{\"Event\":\"com.vendor.Telemetry\",\"x\":{\"y\":[1,2]}}\n");
    text.extend(b"{\"Event\": \"com.vendor.Telemetry\"}\n");
    text.extend(b"{\"x\":1,\"Event\":\"SparkListenerNodeExcludedForStage\"}\n");
    text.extend(b"{\"Event\":\"org.apache.spark.sql.streaming.StreamingQueryListener$QueryStartedEvent\"}\n");
    let (log, notes) = read_text(text).unwrap();
    assert_eq!(
        notes.unknown_events.into_iter().collect::<Vec<_>>(),
        [("com.vendor.Telemetry".to_owned(), 2)]
    );
    assert_eq!(log.exclusions["SparkListenerNodeExcludedForStage"], 1);
    assert!(notes.skipped_events.keys().any(|name| name.ends_with("QueryStartedEvent")));
}

#[test]
fn two_applications_are_refused() {
    let mut text = text_of("w8c-mr16");
    text.extend(text_of("w9-base-rolling"));
    let error = read_text(text).unwrap_err().to_string();
    assert_eq!(
        error,
        "app: line 45 starts application \"local-1795260719569\", but the files before belong to \
         \"local-1795259517125\"; read one application at a time"
    );
}

/// Fields of Spark 2.4 as `JsonProtocol` wrote them then: no partition id, no resource profile, the peak only among the
/// accumulables.
#[test]
fn logs_of_spark_2_4_are_read() {
    let text = r#"{"Event":"SparkListenerLogStart","Spark Version":"2.4.8"}
{"Event":"SparkListenerBlockManagerAdded","Block Manager ID":{"Executor ID":"1","Host":"h","Port":1},"Maximum Memory":384093388,"Timestamp":10,"Maximum Onheap Memory":384093388,"Maximum Offheap Memory":0}
{"Event":"SparkListenerApplicationStart","App Name":"a","App ID":"app-1","Timestamp":9,"User":"u"}
{"Event":"SparkListenerTaskStart","Stage ID":0,"Stage Attempt ID":0,"Task Info":{"Task ID":6,"Index":4,"Attempt":0,"Launch Time":12,"Executor ID":"1","Host":"h","Locality":"NODE_LOCAL","Speculative":false}}
{"Event":"SparkListenerTaskEnd","Stage ID":0,"Stage Attempt ID":0,"Task Type":"ShuffleMapTask","Task End Reason":{"Reason":"Success"},"Task Info":{"Task ID":5,"Index":3,"Attempt":0,"Launch Time":11,"Executor ID":"1","Host":"h","Locality":"NODE_LOCAL","Speculative":false,"Getting Result Time":0,"Finish Time":20,"Failed":false,"Killed":false,"Accumulables":[{"ID":9,"Name":"internal.metrics.peakExecutionMemory","Update":4456448,"Value":4456448,"Internal":true,"Count Failed Values":true},{"ID":3,"Name":"spill size","Update":"77","Value":"77","Internal":true,"Count Failed Values":true,"Metadata":"sql"}]},"Task Metrics":{"Executor Run Time":8,"Memory Bytes Spilled":77,"Shuffle Read Metrics":{"Local Bytes Read":5}}}
{"Event":"SparkListenerExecutorBlacklisted","time":1,"executorId":"1","taskFailures":2}
"#;
    let (log, notes) = read_text(text).unwrap();
    let task = &log.tasks[0];
    let metrics = task.metrics.as_ref().unwrap();
    assert_eq!((task.partition, task.launch_ms, task.finish_ms), (3, 11, 20));
    assert_eq!(metrics.totals.peak_execution_memory, 4_456_448);
    assert_eq!(metrics.shuffle_read.local_bytes, 5);
    assert_eq!(task.accumulators.iter().collect::<Vec<_>>(), [(3, 77)]);
    assert_eq!(log.executors[0].max_on_heap, Some(384_093_388));
    assert_eq!(log.running_tasks.len(), 1);
    assert_eq!((log.running_tasks[0].task_id, log.running_tasks[0].index), (6, 4));
    assert_eq!(log.exclusions["SparkListenerExecutorBlacklisted"], 1);
    assert_eq!(notes.missing, [Missing::Environment, Missing::ExecutorPeaks]);
}

/// A log of the lines of a real one that `keep` lets through, each changed by `change`.
fn changed(run: &str, change: impl Fn(serde_json::Value) -> Option<serde_json::Value>) -> AppLog {
    let text = String::from_utf8(text_of(run)).unwrap();
    let lines = text.lines().filter_map(|line| change(serde_json::from_str(line).unwrap()));
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    read_text(lines.join("\n")).unwrap().0
}

#[test]
fn no_stage_waits_for_one_whose_job_the_log_lost() {
    let log = changed("w9-base-rolling", |event| {
        (event["Event"] != "SparkListenerJobStart" || event["Job ID"] != 0).then_some(event)
    });
    let workload = import(&log, &ReadNotes::default()).unwrap().workload;
    let waits = workload.stages.iter().flat_map(|stage| &stage.parents);
    for parent in waits {
        assert!(workload.jobs.iter().any(|job| job.stages.contains(parent)), "stage {parent} never runs");
    }
}

#[test]
fn a_stage_of_some_partitions_has_no_more_tasks_than_ran() {
    // As under `take`, whose second job runs partitions from 1 on; and one with a number that no RDD has.
    let shift = |first: u64| {
        let log = changed("w9-base-rolling", |mut event| {
            if let Some(info) = event.get_mut("Task Info") {
                info["Partition ID"] = (info["Index"].as_u64().unwrap() + first).into();
            }
            Some(event)
        });
        let stages = import(&log, &ReadNotes::default()).unwrap().workload.stages;
        stages.iter().map(|stage| stage.partitioning.clone()).collect::<Vec<_>>()
    };
    let plain = shift(0);
    assert_eq!(shift(1), plain);
    assert_eq!(shift(4_000_000_000), plain);
}

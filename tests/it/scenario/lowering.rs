//! The short form becomes the workload that Spark would plan.

use spillcast::scenario::{parse, render};
use spillcast::workload::{Distribution, OperatorKind, Partitioning};

use super::{GOOD, scenario, shipped};

#[test]
fn a_workload_may_be_one_table_and_one_query() {
    assert!(parse(GOOD, "tiny.toml").1.is_empty());
    let (scenario, _) = parse(GOOD, "some/dir/tiny.toml");
    let scenario = scenario.expect("a scenario");
    assert_eq!((scenario.name.as_str(), scenario.seed), ("tiny", 1));
    assert_eq!((scenario.workload.jobs.len(), scenario.workload.stages.len()), (1, 1));
}

#[test]
fn properties_are_kept_as_written() {
    let text = format!(
        "{GOOD}[conf]\nspark.memory.fraction = 0.60\n\"spark.locality.wait\" = \"3s\"\n\
         \"spark.locality.wait.node\" = 1_000\nspark.ui.enabled = false\n"
    );
    let conf = scenario(&text).conf;
    let conf: Vec<_> =
        conf.iter().map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(
        conf,
        [
            (7, "spark.memory.fraction", "0.60"),
            (8, "spark.locality.wait", "3s"),
            (9, "spark.locality.wait.node", "1000"),
            (10, "spark.ui.enabled", "false"),
        ]
    );
}

#[test]
fn an_aggregation_becomes_two_stages() {
    let text = "[conf]\n\"spark.master\" = \"local[2]\"\n[[table]]\nname = \"t\"\nrows = 1_000_000\npartitions = 4\n\
                [[query]]\nfrom = \"t\"\nsteps = [{ op = \"aggregate\", groups = 1_000, entry_bytes = 56 }]\n";
    let workload = scenario(text).workload;
    let names: Vec<Vec<&str>> = workload
        .stages
        .iter()
        .map(|stage| stage.operators.iter().map(|operator| operator.name.as_str()).collect())
        .collect();
    assert_eq!(
        names,
        [vec!["Range", "HashAggregate", "Exchange"], vec!["ShuffleRead", "HashAggregate", "Output"]]
    );
    // Each of the four map tasks meets every group.
    let rows: Vec<u64> = workload.stages.iter().map(|stage| stage.operators[1].rows.total()).collect();
    assert_eq!(rows, [4_000, 1_000]);
    assert_eq!(workload.stages[1].parents, [0]);
    assert_eq!(workload.shuffles[0].keys.distinct, 1_000);
}

#[test]
fn joins_take_the_shape_of_their_kind() {
    let text = |kind: &str| {
        format!(
            "[[table]]\nname = \"l\"\nrows = 1_000_000\nrow_bytes = 40\n[[table]]\nname = \"r\"\nrows = 100_000\n\
             row_bytes = 24\n[[query]]\nfrom = \"l\"\nsteps = [{{ op = \"join\", with = \"r\"{kind} }}]\n"
        )
    };
    let broadcast = scenario(&text("")).workload;
    assert_eq!((broadcast.jobs.len(), broadcast.broadcasts.len(), broadcast.shuffles.len()), (2, 1, 0));
    assert_eq!(broadcast.jobs[1].after, [0]);
    // 100,000 rows of 32 bytes in an array that doubles from 1 MiB, and a dense index of 8 bytes a row.
    assert_eq!(broadcast.broadcasts[0].relation_bytes, (4 << 20) + 800_000);
    let sorted = scenario(&text(", kind = \"sort_merge\", keys = { hot = [0.3] }")).workload;
    assert_eq!((sorted.jobs.len(), sorted.stages.len(), sorted.shuffles.len()), (1, 3, 2));
    let last = &sorted.stages[2];
    assert_eq!((last.parents.as_slice(), last.operators[4].inputs.as_slice()), (&[0, 1][..], &[1, 3][..]));
    let [left, right] = &sorted.shuffles[..] else { panic!("two shuffles") };
    assert_eq!((left.keys.salt == right.keys.salt, left.keys.hot.as_slice()), (true, &[0.3][..]));
    assert!(right.keys.hot.is_empty());
    let popular = scenario(&text(", kind = \"sort_merge\", keys = { zipf = 1.0 }")).workload;
    // The harmonic number of the other side's 100,000 keys is 12.09.
    assert!((popular.shuffles[0].keys.hot[0] - 1.0 / 12.09).abs() < 1e-3);
    let hashed = scenario(&text(", kind = \"shuffled_hash\"")).workload;
    let kinds: Vec<bool> = hashed.stages[2]
        .operators
        .iter()
        .map(|operator| matches!(operator.kind, OperatorKind::ShuffledHashJoin { .. }))
        .collect();
    assert_eq!(kinds, [false, false, true, false]);
}

#[test]
fn rounds_over_cached_datasets_are_jobs_in_turn() {
    let (_, text) =
        shipped().into_iter().find(|(path, _)| path.ends_with("cache-thrash.toml")).expect("shipped");
    let workload = scenario(&text).workload;
    let read: Vec<_> =
        workload.jobs.iter().map(|job| workload.stages[job.stages[0]].partitioning.clone()).collect();
    let rounds: Vec<_> = (0..3).flat_map(|_| 0..4).map(Partitioning::Dataset).collect();
    assert_eq!(read, rounds);
    let bytes: u64 = workload.datasets[0].partitions.iter().map(|part| part.memory_bytes).sum();
    assert_eq!((workload.datasets.len(), workload.datasets[0].partitions.len(), bytes), (4, 6, 96_000_000));
    assert!(workload.jobs.iter().skip(1).enumerate().all(|(before, job)| job.after == [before]));
}

#[test]
fn what_a_step_caches_is_computed_once() {
    let text = "[[table]]\nname = \"t\"\nrows = 1_000_000\n[[query]]\nname = \"q\"\nfrom = \"t\"\nrepeat = 2\n\
                steps = [{ op = \"repartition\", partitions = 8 }, { op = \"cache\", name = \"c\", unpersist_after = \"r\" }]\n\
                [[query]]\nname = \"r\"\nfrom = \"c\"\n";
    let workload = scenario(text).workload;
    let stages: Vec<usize> = workload.jobs.iter().map(|job| job.stages.len()).collect();
    assert_eq!(stages, [2, 1, 1], "only the first round has the exchange");
    assert_eq!((workload.datasets[0].partitions.len(), workload.datasets[0].unpersist_after), (8, Some(2)));
}

#[test]
fn a_key_falls_into_the_same_partition_in_every_round() {
    let steps =
        "repeat = 2\nsteps = [{ op = \"aggregate\", groups = 100 }, { op = \"aggregate\", groups = 10 }]\n";
    let shuffles = scenario(&format!("{GOOD}{steps}")).workload.shuffles;
    let salts: Vec<u64> = shuffles.iter().map(|shuffle| shuffle.keys.salt).collect();
    assert_eq!(salts[..2], salts[2..]);
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn a_global_sort_samples_first() {
    let workload = scenario(&format!("{GOOD}steps = [{{ op = \"sort\" }}]\n")).workload;
    let names: Vec<&str> = workload.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["query 1: sample", "query 1"]);
    assert_eq!(workload.shuffles[0].distribution, Distribution::Range);
}

#[test]
fn one_knob_leaves_the_other_draws_alone() {
    let text = |rows: u64| {
        format!(
            "[[table]]\nname = \"a\"\nrows = {rows}\npartitions = 3\nsizes = {{ log_normal = 1.0 }}\n\
             [[table]]\nname = \"b\"\nrows = 1_000_000\npartitions = 3\nsizes = {{ log_normal = 1.0 }}\n\
             [[query]]\nfrom = [\"a\", \"b\"]\n"
        )
    };
    let rows = |text: &str, stage: usize| scenario(text).workload.stages[stage].operators[0].rows.clone();
    assert_eq!(rows(&text(1_000), 1), rows(&text(2_000), 1));
    assert_ne!(rows(&text(1_000), 0), rows(&text(2_000), 0));
    let in_front = format!(
        "[[table]]\nname = \"z\"\nrows = 9\npartitions = 2\nsizes = {{ zipf = 1.0 }}\n{}",
        text(1_000)
    );
    assert_eq!(rows(&text(1_000), 1), rows(&in_front, 1));
    let reseeded = format!("seed = 2\n{}", text(1_000));
    assert_ne!(rows(&text(1_000), 1), rows(&reseeded, 1));
}

#[test]
fn shipped_scenarios_are_right_and_say_what_to_look_for() {
    let files = shipped();
    assert!(files.len() >= 9, "{}", files.len());
    for (path, text) in files {
        let scenario = scenario(&text);
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(scenario.name, name);
        let comment: String = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.to_lowercase().contains("look"), "{name}: {comment}");
        assert!(!scenario.variants.is_empty(), "{name}");
        let (again, found) = parse(&render(&scenario), "rendered.toml");
        assert_eq!((again.as_ref(), found.len()), (Some(&scenario), 0), "{name}");
    }
}

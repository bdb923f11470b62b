//! Studies as a library: do intervals hold the truth as often as they say, and does the search find what looking everywhere
//! finds.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use spillcast::conf::{Origin, SparkConf, SparkVersion};
use spillcast::experiment::statistics::{Intervals, Sample};
use spillcast::experiment::{
    Axis, Base, Found, Goal, Limit, Objective, Prepared, Space, TOLERANCE, judge, tune,
};
use spillcast::record::study::SweepRow;
use spillcast::scenario;

fn base(text: &str, conf: &[(&str, &str)]) -> Base {
    let (parsed, diagnostics) = scenario::parse(text, "test.toml");
    let scenario = parsed.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let mut all = SparkConf::new(SparkVersion::DEFAULT);
    for entry in &scenario.conf {
        all.set(&entry.key, &entry.value, Origin::Scenario(entry.line as u32));
    }
    for (key, value) in conf {
        all.set(key, value, Origin::CommandLine("--conf".to_owned()));
    }
    Base::new(scenario, Some(text.to_owned()), all, 1)
}

fn story(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name);
    std::fs::read_to_string(path).expect("a scenario")
}

/// Keys that fall into partitions by hash: how many of these stay empty is the occupancy problem, whose mean is known.
fn occupancy(keys: u32) -> String {
    format!(
        r#"
name = "occupancy"
[conf]
"spark.master" = "local[1]"
"spark.sql.adaptive.enabled" = "false"
"spark.sql.shuffle.partitions" = 32
[[table]]
name = "events"
rows = 20_000
row_bytes = 24
partitions = 1
[[query]]
name = "per key"
from = "events"
steps = [
  {{ op = "repartition", keys = {{ distinct = {keys} }} }},
  {{ op = "aggregate", groups = {keys}, exchange = false }},
  {{ op = "collect" }},
]
"#
    )
}

#[test]
fn intervals_cover_the_known_mean_of_a_scenario() {
    const PARTITIONS: f64 = 32.0;
    const KEYS: u32 = 40;
    const STUDIES: u32 = 1_000;
    const REPLICATIONS: u32 = 10;
    // A task with keys takes a page, one without does not: both sizes come from runs in which nothing is random.
    let sum = |base: &Base, prepared: &Prepared, replication| {
        base.run(prepared, replication, false).totals.peak_execution_memory_sum as f64
    };
    let fixed = |keys, partitions: &str| {
        let base = base(&occupancy(keys), &[("spark.sql.shuffle.partitions", partitions)]);
        let prepared = base.prepare(&[], &[]).expect("a configuration");
        sum(&base, &prepared, 0)
    };
    let full = fixed(KEYS, "1");
    let empty = (fixed(1, "32") - full) / (PARTITIONS - 1.0);
    let occupied = PARTITIONS * (1.0 - (1.0 - 1.0 / PARTITIONS).powf(f64::from(KEYS)));
    let truth = PARTITIONS * empty + occupied * (full - empty);

    let base = base(&occupancy(KEYS), &[]);
    let prepared = base.prepare(&[], &[]).expect("a configuration");
    let covers = |study: u32| {
        let values = (0..REPLICATIONS).map(|r| sum(&base, &prepared, study * REPLICATIONS + r));
        let interval = Intervals::new(0.95).mean(&Sample::of(values)).expect("ten replications");
        interval.low <= truth && truth <= interval.high
    };
    let covered = (0..STUDIES).into_par_iter().filter(|study| covers(*study)).count();
    println!("{covered} of {STUDIES} intervals of 95 % hold the known mean");
    assert!((930..=970).contains(&covered), "{covered} of {STUDIES}");
}

/// A space to search: scenario, configuration, axes, what is to be least, limits.
struct Case {
    scenario: &'static str,
    conf: &'static [(&'static str, &'static str)],
    vary: &'static [&'static str],
    objective: Objective,
    limits: &'static [(&'static str, f64)],
}

const HEAPS: &str = "spark.driver.memory=480m..4g:log:24";
const PARTITIONS: &str = "spark.sql.shuffle.partitions=1,4,8,16,32,64";

const CASES: [Case; 10] = [
    Case {
        scenario: "skewed-aggregation.toml",
        conf: &[],
        vary: &[HEAPS, PARTITIONS],
        objective: Objective::Memory,
        limits: &[],
    },
    Case {
        scenario: "skewed-aggregation.toml",
        conf: &[],
        vary: &[HEAPS, PARTITIONS],
        objective: Objective::Memory,
        limits: &[("memoryBytesSpilled", 0.0)],
    },
    Case {
        scenario: "skewed-aggregation.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..4g:log:12", PARTITIONS],
        objective: Objective::Time,
        limits: &[],
    },
    Case {
        scenario: "skewed-aggregation.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..4g:log:12", PARTITIONS],
        objective: Objective::Cost,
        limits: &[],
    },
    Case {
        scenario: "cache-thrash.toml",
        conf: &[],
        vary: &[
            "spark.driver.memory=480m..4g:log:20",
            "spillcast.storageLevel=MEMORY_ONLY,MEMORY_AND_DISK,DISK_ONLY",
        ],
        objective: Objective::Memory,
        limits: &[("blocksRecomputed", 0.0)],
    },
    Case {
        scenario: "cache-thrash.toml",
        conf: &[],
        vary: &[
            "spark.driver.memory=480m..4g:log:20",
            "spillcast.storageLevel=MEMORY_ONLY,MEMORY_AND_DISK,DISK_ONLY",
        ],
        objective: Objective::Cost,
        limits: &[],
    },
    Case {
        scenario: "cache-against-execution.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..4g:log:16", "spark.memory.storageFraction=0.1..0.9:0.2"],
        objective: Objective::Time,
        limits: &[],
    },
    Case {
        scenario: "cache-against-execution.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..4g:log:32", "spark.memory.fraction=0.3..0.9:0.2"],
        objective: Objective::Memory,
        limits: &[("memoryBytesSpilled", 0.0)],
    },
    Case {
        scenario: "small-host.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..2g:log:24", PARTITIONS],
        objective: Objective::Memory,
        limits: &[("wallMs", 30_000.0)],
    },
    Case {
        scenario: "tiny-data-200-partitions.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..2g:log:10", "spark.sql.shuffle.partitions=1..400:log:12"],
        objective: Objective::Time,
        limits: &[],
    },
];

#[test]
fn the_search_finds_what_looking_everywhere_finds() {
    for (number, case) in CASES.iter().enumerate() {
        let (found, everywhere) = searched(case);
        let points =
            case.vary.iter().map(|text| Axis::parse(text).expect(text).values.len()).product::<usize>();
        let share = found.simulated.len() as f64 / points as f64;
        let Some(best) = &found.best else {
            assert_eq!(everywhere, f64::INFINITY, "case {number} found nothing");
            continue;
        };
        let worse = best.value(case.objective) / everywhere - 1.0;
        println!(
            "case {number}, {} {:?}: {:.0} % of {} points, {:.2} % above the optimum; {}",
            case.scenario,
            case.objective,
            share * 100.0,
            points,
            worse * 100.0,
            found.method
        );
        let tolerance = if case.objective == Objective::Memory { 0.0 } else { TOLERANCE };
        assert!(worse <= tolerance, "case {number}: {worse} above the optimum");
        assert!(found.whole || share < 0.75, "case {number} simulated {share} of the space");
        for verdict in found.best.iter().chain(&found.runner_up) {
            assert_eq!(
                found.simulated.get(&verdict.point),
                Some(verdict),
                "never a point that was not simulated"
            );
        }
    }
}

/// What a search found, and the least value of what it looks for that is anywhere.
fn searched(case: &Case) -> (Found, f64) {
    let base = base(&story(case.scenario), case.conf);
    let axes = case.vary.iter().map(|text| Axis::parse(text).expect(text)).collect();
    let space = Space::product(axes).expect("axes");
    let limits: Vec<Limit> = case
        .limits
        .iter()
        .map(|(column, limit)| Limit { column, at_most: true, inclusive: true, limit: *limit })
        .collect();
    let goal = Goal { objective: case.objective, limits: &limits, replications: 1 };
    let found = tune(&base, &space, goal);
    let everywhere = (0..space.len())
        .into_par_iter()
        .map(|point| {
            let prepared = base.prepare(space.keys(), &space.values(point)).expect("values");
            judge(&base, point, &prepared, goal)
        })
        .filter(|verdict| verdict.feasible)
        .map(|verdict| verdict.value(case.objective))
        .reduce(|| f64::INFINITY, f64::min);
    (found, everywhere)
}

/// Spaces in which more memory is worse somewhere: the check must find that, and the answer must be the least there is.
#[test]
fn the_search_notices_where_more_memory_is_worse() {
    // YARN grants whole GiB: 724m and an overhead of 312m get 2 GiB, of which a heap of 1g would leave too little to Python.
    let steps = Case {
        scenario: "python-overhead.toml",
        conf: &[("spark.executor.memoryOverhead", "312m")],
        vary: &["spark.executor.memory=512m..4g:log:60"],
        objective: Objective::Memory,
        limits: &[],
    };
    // A container of fixed size: too little heap spills, too much fills the container.
    let container = Case {
        scenario: "cache-against-execution.toml",
        conf: &[],
        vary: &["spark.driver.memory=480m..4g:log:30", "spillcast.containerLimit=1200m,1500m,2g"],
        objective: Objective::Memory,
        limits: &[("wallMs", 32_000.0)],
    };
    // A host without swap, shared with neighbours: the kernel kills whoever grows too large.
    let host = Case {
        scenario: "small-host.toml",
        conf: &[("spillcast.host.swap", "0")],
        vary: &["spark.driver.memory=480m..4g:log:40", "spark.sql.shuffle.partitions=1,2"],
        objective: Objective::Memory,
        limits: &[("wallMs", 29_000.0)],
    };
    for case in [steps, container, host] {
        let (found, everywhere) = searched(&case);
        let best = found.best.as_ref().expect("something is feasible");
        println!("{}: {} points; {}", case.scenario, found.simulated.len(), found.method);
        assert!(
            found.method.contains("more memory was not always enough"),
            "{}: {}",
            case.scenario,
            found.method
        );
        assert_eq!(best.value(case.objective), everywhere, "{}", case.scenario);
        let worse =
            found.simulated.values().any(|verdict| !verdict.feasible && verdict.memory >= best.memory);
        assert!(worse, "{}: nothing as large fails", case.scenario);
        assert_eq!(found.simulated.get(&best.point), Some(best));
    }
}

#[test]
fn a_goal_that_nothing_meets_gives_the_nearest_miss() {
    let base = base(&story("skewed-aggregation.toml"), &[]);
    let axis = Axis::parse("spark.driver.memory=480m,700m,4g").expect("an axis");
    let space = Space::product(vec![axis]).expect("an axis");
    let limits = [Limit { column: "wallMs", at_most: true, inclusive: true, limit: 1.0 }];
    let found = tune(&base, &space, Goal { objective: Objective::Memory, limits: &limits, replications: 1 });
    assert_eq!((found.best, found.whole), (None, true));
    let nearest = found.nearest.expect("three points were simulated");
    assert!(nearest.why.starts_with("wallMs is ") && nearest.why.ends_with("the limit 1"), "{}", nearest.why);
    let others = found.simulated.values().map(|verdict| verdict.miss);
    assert!(others.into_iter().all(|miss| miss >= nearest.miss));
}

#[test]
fn a_run_that_answers_for_others_says_what_they_would() {
    // Page sizes, heaps and task memory on both sides of what is ample; each grid forwards and backwards.
    type Axes = &'static [(&'static str, &'static [&'static str])];
    let grids: [(&str, Axes); 6] = [
        (
            "skewed-aggregation.toml",
            &[
                ("spark.driver.memory", &["1g", "8g"]),
                ("spark.memory.fraction", &["0.2", "0.3", "0.6", "0.61", "0.9"]),
            ],
        ),
        (
            "cache-against-execution.toml",
            &[
                ("spark.memory.fraction", &["0.3", "0.5", "0.6", "0.8", "0.9"]),
                ("spark.memory.storageFraction", &["0", "0.5", "1"]),
            ],
        ),
        (
            "tiny-data-200-partitions.toml",
            &[
                ("spark.memory.fraction", &["0.1", "0.4", "0.6", "0.9"]),
                ("spark.memory.storageFraction", &["0.1", "0.9"]),
            ],
        ),
        (
            "off-heap.toml",
            &[
                ("spark.memory.offHeap.size", &["256m", "1g", "2g", "4g", "4097m"]),
                ("spark.executor.memoryOverhead", &["400m", "2g"]),
            ],
        ),
        (
            "python-overhead.toml",
            &[
                ("spark.executor.memoryOverhead", &["200m", "1g", "2g", "3g", "6g", "7g"]),
                ("spark.memory.fraction", &["0.5", "0.6"]),
            ],
        ),
        (
            "container-swap.toml",
            &[
                ("spillcast.containerLimit", &["1200m", "1340m", "2g", "3g"]),
                ("spillcast.containerSwap", &["0", "64m"]),
            ],
        ),
    ];
    for (name, axes) in grids {
        let text = story(name);
        let keys: Vec<String> = axes.iter().map(|(key, _)| (*key).to_owned()).collect();
        let all: Vec<Vec<&str>> =
            axes[0].1.iter().flat_map(|&a| axes[1].1.iter().map(move |&b| vec![a, b])).collect();
        for backwards in [false, true] {
            let base = base(&text, &[]);
            let mut points: Vec<(u64, &Vec<&str>)> = (0..).zip(&all).collect();
            if backwards {
                points.reverse();
            }
            for (point, values) in points {
                let prepared = base.prepare(&keys, values).expect("a configuration");
                for replication in 0..2 {
                    let run = base.run(&prepared, replication, false);
                    let alone = SweepRow::of(point, replication, prepared.allocated_memory(), &run);
                    assert_eq!(base.row(point, &prepared, replication), alone, "{name}: {values:?}");
                }
            }
        }
    }
}

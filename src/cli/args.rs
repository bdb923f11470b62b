//! Commands and flags. Flags that `spark-submit` has are spelled and mean as there.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::compare::CompareArgs;
use super::merge::MergeArgs;
use super::sweep::SweepArgs;
use super::tune::TuneArgs;

/// Replications of a point that anybody could wait for.
const REPLICATIONS_MAX: u64 = 1_000_000;
/// Replications of a point before its precision is looked at for the first time.
pub(super) const LEAST_REPLICATIONS: u32 = 5;

const EXAMPLES: &str = "\
Examples:
  spillcast run app-20261121120700-0000.zstd
  spillcast run app-20261121120700-0000.zstd --executor-memory 512m \\
    --conf spark.sql.shuffle.partitions=400
  spillcast run scenarios/cache-thrash.toml \\
    --conf spillcast.storageLevel=MEMORY_ONLY --json
  spillcast layout --executor-memory 2g
  spillcast import eventlog_v2_app-20261121120700-0000 -o job.toml

INPUT is a scenario file, a Spark event log (plain, .zstd, .lz4, .snappy, .lzf or .gz) or the folder of a rolling event \
log; its content decides, not its name.
Exit codes: 0 done; 1 a condition of --fail-on holds; 2 bad usage or bad input.";

/// Find out what a Spark memory setting does before the cluster does.
#[derive(Debug, Parser)]
#[command(name = "spillcast", version, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// How to talk.
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct ConsoleArgs {
    /// Colours: auto looks at the terminal and at NO_COLOR.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(super) color: Color,
    /// Say nothing on standard error but errors.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(super) quiet: bool,
    /// Print every setting with where its value came from, and everything that was noted on the way.
    #[arg(long, short, global = true, conflicts_with = "quiet", help_heading = "Output")]
    pub(super) verbose: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A whole number within bounds; clap's own words leave out what would be valid.
fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("valid: a whole number from {least} to {most}"))
}

/// Reads `--seed`.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0, u64::MAX)
}

/// Reads `--replications`.
pub(super) fn replications(text: &str) -> Result<u32, String> {
    whole(text, 1, REPLICATIONS_MAX).map(|number| number as u32)
}

/// Reads `--max-replications`, which cannot be fewer than what the first look at a point's precision takes.
pub(super) fn max_replications(text: &str) -> Result<u32, String> {
    whole(text, u64::from(LEAST_REPLICATIONS), REPLICATIONS_MAX).map(|number| number as u32)
}

/// Reads `--threads`.
pub(super) fn threads(text: &str) -> Result<u32, String> {
    whole(text, 1, 1024).map(|number| number as u32)
}

/// Reads `--row-bytes`: a row of Spark is an array of bytes, which has at most so many.
fn row_bytes(text: &str) -> Result<u64, String> {
    whole(text, 1, i32::MAX as u64)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Simulate an application once: verdict, stages, cached data, where time went
    #[command(after_help = "\
Examples:
  spillcast run app-20261121120700-0000.zstd
  spillcast run app-20261121120700-0000.zstd --executor-memory 512m \\
    --unset spark.memory.fraction
  spillcast run job.toml --out out/ --plot
  spillcast run job.toml --trace-task 3:17
  spillcast run job.toml --json --fail-on outcome \\
    --fail-on 'memoryBytesSpilled>1g' --fail-on 'wallMs>5min'")]
    Run(RunArgs),
    /// Put two configurations side by side: totals, stages, intervals, causes, bounds
    #[command(after_help = "\
Examples:
  spillcast compare job.toml --conf-b spark.executor.memory=512m
  spillcast compare job.toml --variant-b '4g heap' --replications 20
  spillcast compare app-20261121120700-0000.zstd \\
    --conf-a spark.sql.shuffle.partitions=50 \\
    --conf-b spark.sql.shuffle.partitions=400 --json")]
    Compare(CompareArgs),
    /// Find out what an application dies of or loses its time to, and the smallest changes that help
    #[command(after_help = "\
Examples:
  spillcast why app-20261121120700-0000.zstd
  spillcast why job.toml --executor-memory 2g --until-clean
  spillcast why job.toml --conf spark.sql.shuffle.partitions=72 --json

Every change on the page was run. --until-clean goes on after the first fix, to the failures that come behind it.
Exit codes: 0 done, whatever the application ends as; 2 bad usage or bad input.")]
    Why(WhyArgs),
    /// Run all combinations of settings, many times each, on every core: CSV, intervals, the best point
    #[command(after_help = "\
Examples:
  spillcast sweep job.toml --vary spark.executor.memory=512m..8g:log:9 \\
    --out study
  spillcast sweep job.toml --vary spark.executor.memory=1g,2g \\
    --vary spark.sql.shuffle.partitions=50..800:log:5 --replications 20 \\
    --out study
  spillcast sweep job.toml \\
    --vary spillcast.storageLevel=MEMORY_ONLY,MEMORY_AND_DISK,DISK_ONLY \\
    --precision 5% --out study
  spillcast sweep job.toml --vary spark.executor.memory=512m..8g:log:9 \\
    --shard 1/2 --out study-1")]
    Sweep(SweepArgs),
    /// Search for the cheapest configuration under constraints, ready to paste
    #[command(after_help = "\
Examples:
  spillcast tune job.toml --minimize memory \\
    --subject-to 'wallMs<=10min' --data-scale 1,2,4
  spillcast tune app-20261121120700-0000.zstd --minimize cost \\
    --vary spark.executor.memory=512m..8g:log:17 \\
    --vary spark.executor.instances=1..8:1")]
    Tune(TuneArgs),
    /// Put the parts of a study together: shards, or runs that --jsonl wrote
    #[command(after_help = "\
Examples:
  spillcast merge study-1 study-2 --out study
  spillcast merge runs.jsonl --out study")]
    Merge(MergeArgs),
    /// Print the memory regions and container sizes of a configuration, in bytes and as the web UI shows them
    #[command(after_help = "\
Examples:
  spillcast layout --executor-memory 2g
  spillcast layout --master yarn --executor-memory 8g --executor-cores 4 \\
    --conf spark.memory.offHeap.enabled=true --conf spark.memory.offHeap.size=1g
  spillcast layout --spark-version 2.4 --executor-memory 2g \\
    --conf spillcast.collector=Parallel
  spillcast layout app-20261121120700-0000.zstd --json")]
    Layout(LayoutArgs),
    /// Check scenario files: every fault of every file at once
    #[command(after_help = "\
Examples:
  spillcast check scenarios/*.toml
  spillcast check job.toml --json")]
    Check(CheckArgs),
    /// Turn an event log into a scenario file and say what the log lacks
    #[command(after_help = "\
Examples:
  spillcast import app-20261121120700-0000.zstd -o job.toml
  spillcast import eventlog_v2_app-20261121120700-0000 > job.toml")]
    Import(ImportArgs),
    /// Hold predictions against real runs: replay logs, or predict one log from another, and print the errors
    #[command(after_help = "\
Examples:
  spillcast validate app-20261121120700-0000.zstd
  spillcast validate before.zstd after.zstd --csv errors.csv
  spillcast validate --base before.zstd --target after.zstd
  spillcast validate --host measurements/ --csv errors.csv
  spillcast validate logs/ --fail-on outcome --fail-on 'memoryBytesSpilled>10%'

A replay runs a log under its own configuration. From --base to --target, the base log runs under the configuration and \
the Spark version of the target. A folder of logs is replayed log by log, and every log is predicted from every other of \
the same application.")]
    Validate(ValidateArgs),
    /// Print the JSON Schema of scenario files, for editors
    #[command(after_help = "\
Examples:
  spillcast schema > spillcast.schema.json")]
    Schema,
    /// Print a shell's completion script
    #[command(after_help = "\
Examples:
  spillcast completions bash \\
    > ~/.local/share/bash-completion/completions/spillcast
  spillcast completions zsh > \"${fpath[1]}/_spillcast\"")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page of the program or of one command
    #[command(after_help = "\
Examples:
  spillcast man | man -l -
  spillcast man run > spillcast-run.1")]
    Man {
        /// A command, as `run`; the program itself when left out.
        command: Option<String>,
    },
    /// Explain the code of a diagnostic; without a code, list all
    #[command(after_help = "\
Examples:
  spillcast explain SC005
  spillcast explain")]
    Explain {
        /// The code, as `SC005`.
        code: Option<String>,
    },
}

/// What studies have in common: how runs are drawn, on how many threads, and what their intervals hold.
#[derive(Debug, Args)]
pub(super) struct StudyArgs {
    /// Confidence of intervals, in percent.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 95.0,
        allow_negative_numbers = true,
        help_heading = "Study"
    )]
    pub(super) confidence: f64,
    /// Seed of the first replication; the scenario's own (1 for a log) when left out. The others count up from it.
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true, help_heading = "Study")]
    pub(super) seed: Option<u64>,
    /// Threads; all processors when left out.
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Study")]
    pub(super) threads: Option<u32>,
}

/// `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Scenario file, event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub(super) conf: ConfArgs,
    /// Seed of all random draws; the scenario's own (1 for a log) when left out.
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true, help_heading = "Simulation")]
    pub(super) seed: Option<u64>,
    /// Exit with 1 when this holds: `outcome` (the application fails) or a budget on a column of summary.csv, as
    /// `memoryBytesSpilled>1g` or `wallMs>=5min`. Repeatable.
    #[arg(long, value_name = "CONDITION", help_heading = "Simulation")]
    pub(super) fail_on: Vec<String>,
    /// Follow one task: what it asks of execution memory and gets, where it waits, what it spills. A task id (`41`) or
    /// STAGE:PARTITION (`3:17`).
    #[arg(long, value_name = "TASK", allow_negative_numbers = true, help_heading = "Output")]
    pub(super) trace_task: Option<String>,
    /// Write CSV files (summary, stages, tasks, executors, datasets, events, timeline) into this folder.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub(super) out: Option<PathBuf>,
    /// Also draw memory over time and the stages as SVG.
    #[arg(long, requires = "out", help_heading = "Output")]
    pub(super) plot: bool,
    /// Replace files that are already there.
    #[arg(long, requires = "out", help_heading = "Output")]
    pub(super) force: bool,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// `why`.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// Scenario file, event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub(super) conf: ConfArgs,
    /// Seed of all random draws; the scenario's own (1 for a log) when left out.
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true, help_heading = "Simulation")]
    pub(super) seed: Option<u64>,
    /// Fix one failure after the other, each by the setting of its own limit, until the application ends well.
    #[arg(long, help_heading = "Simulation")]
    pub(super) until_clean: bool,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// `layout`.
#[derive(Debug, Args)]
pub(super) struct LayoutArgs {
    /// Scenario file or event log whose configuration to start from; Spark's defaults when left out.
    #[arg(value_name = "INPUT")]
    pub(super) input: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub(super) conf: ConfArgs,
    /// The application is a Python one: counts spark.executor.pyspark.memory and, on Kubernetes in cluster mode, the larger
    /// overhead.
    #[arg(long, help_heading = "Configuration")]
    pub(super) python: bool,
    /// Bytes of a row that goes to Python, for the size of Arrow batches.
    #[arg(long, value_name = "BYTES", requires = "python", value_parser = row_bytes, allow_negative_numbers = true, help_heading = "Configuration")]
    pub(super) row_bytes: Option<u64>,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Scenario files.
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Print the faults as a JSON list on standard output.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// `import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Event log, or folder of a rolling event log.
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,
    /// Write the scenario to this file instead of standard output.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// Replace the file if it is already there.
    #[arg(long, requires = "output", help_heading = "Output")]
    pub(super) force: bool,
}

/// `validate`.
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Event logs, folders of rolling logs, or folders of logs (looked into one folder deep).
    #[arg(value_name = "LOG", required_unless_present_any = ["base", "host"], conflicts_with = "base")]
    pub(super) logs: Vec<PathBuf>,
    /// Log to predict from.
    #[arg(long, value_name = "LOG", requires = "target")]
    pub(super) base: Option<PathBuf>,
    /// Log of the run to be predicted.
    #[arg(long, value_name = "LOG", requires = "base")]
    pub(super) target: Option<PathBuf>,
    /// Predict from base to target even where their logs show different applications.
    #[arg(long, requires = "base")]
    pub(super) any_application: bool,
    /// Exit with 1 when this holds: `outcome` (an ending was predicted wrong) or a limit on the 90th percentile of an
    /// error, as `memoryBytesSpilled>10%` or `blocksDropped>1`. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    pub(super) fail_on: Vec<String>,
    /// Folder with tables of measured physics (gc.csv and others, docs/host.md): garbage collection, memory of processes.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["logs", "base", "fail_on", "json"])]
    pub(super) host: Option<PathBuf>,
    /// Write every error to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) csv: Option<PathBuf>,
    /// Replace the file if it is already there.
    #[arg(long, requires = "csv", help_heading = "Output")]
    pub(super) force: bool,
    /// Print one JSON object instead of text.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// Where the configuration comes from, beside INPUT. Precedence as in spark-submit: flags, then `--conf`, then
/// `--properties-file`, then what the scenario or log says, then the defaults of the Spark version.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfArgs {
    /// Master URL: local, local[N], local[*], local[N,F], local-cluster[n,cores,MiB], yarn, k8s://HOST, spark://HOST:PORT.
    #[arg(long, value_name = "MASTER_URL")]
    master: Option<String>,
    /// Where the driver runs: client or cluster.
    #[arg(long, value_name = "DEPLOY_MODE")]
    deploy_mode: Option<String>,
    /// Heap of the driver, as 1000M or 2G.
    #[arg(long, value_name = "MEM", allow_hyphen_values = true)]
    driver_memory: Option<String>,
    /// Cores of the driver, in cluster mode.
    #[arg(long, value_name = "NUM", allow_hyphen_values = true)]
    driver_cores: Option<String>,
    /// Heap of each executor, as 1000M or 2G.
    #[arg(long, value_name = "MEM", allow_hyphen_values = true)]
    executor_memory: Option<String>,
    /// Cores of each executor.
    #[arg(long, value_name = "NUM", allow_hyphen_values = true)]
    executor_cores: Option<String>,
    /// Number of executors.
    #[arg(long, value_name = "NUM", allow_hyphen_values = true)]
    num_executors: Option<String>,
    /// Cores of all executors together, on a standalone cluster.
    #[arg(long, value_name = "NUM", allow_hyphen_values = true)]
    total_executor_cores: Option<String>,
    /// A Spark property, or a knob of this program under `spillcast.`. Repeatable.
    #[arg(long, short, value_name = "PROP=VALUE")]
    pub(super) conf: Vec<String>,
    /// A file of properties, in the syntax of spark-defaults.conf.
    #[arg(long, value_name = "FILE")]
    pub(super) properties_file: Option<PathBuf>,
    /// Forget what INPUT or the properties file says of this property, so that its default holds. Repeatable.
    #[arg(long, value_name = "PROP")]
    pub(super) unset: Vec<String>,
    /// Spark version whose rules and defaults hold, 2.4 to 4.1; INPUT's own, or 4.1, when left out.
    #[arg(long, value_name = "VERSION")]
    pub(super) spark_version: Option<String>,
}

impl ConfArgs {
    /// Whether any of it makes another configuration than INPUT's own.
    pub(super) fn changes_anything(&self) -> bool {
        self.flags().next().is_some()
            || !self.conf.is_empty()
            || !self.unset.is_empty()
            || self.properties_file.is_some()
            || self.spark_version.is_some()
    }

    /// The flags given that stand for one property, as typed.
    pub(super) fn flags(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("--master", &self.master),
            ("--deploy-mode", &self.deploy_mode),
            ("--driver-memory", &self.driver_memory),
            ("--driver-cores", &self.driver_cores),
            ("--executor-memory", &self.executor_memory),
            ("--executor-cores", &self.executor_cores),
            ("--num-executors", &self.num_executors),
            ("--total-executor-cores", &self.total_executor_cores),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some((flag, value.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The words of a command line as a shell cuts them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars().chain([' ']) {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted && word.is_empty() => {}
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                _ => word.push(c),
            }
        }
        words
    }

    #[test]
    fn examples_can_be_pasted() {
        let command = Cli::command();
        let mut examples = 0;
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let commands = help.split("\n\n").next().unwrap_or_default();
            assert!(
                commands.lines().all(|line| line.len() <= 80),
                "the terminal would cut a line: {commands}"
            );
            for line in commands.replace("\\\n", "").lines().filter(|line| line.starts_with("  spillcast")) {
                let typed = line.split(['>', '|']).next().filter(|_| !line.contains('\'')).unwrap_or(line);
                let parsed = Cli::try_parse_from(words(typed));
                assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("just seen"));
                examples += 1;
            }
        }
        assert!(examples > 30, "{examples}");
    }
}

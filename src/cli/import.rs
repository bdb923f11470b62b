//! `spillcast import`: an event log as a scenario file, and an honest word on what the log did not tell.

use std::fmt::Write as _;
use std::io::Write as _;

use super::Answer;
use super::args::ImportArgs;
use super::console::{Console, print, width, wrapped};
use super::input::{self, Application, count};
use super::output::Unfinished;
use super::study::for_a_shell;
use crate::eventlog::Honesty;
use crate::scenario::render;

/// Runs the command.
pub(super) fn run(args: &ImportArgs, console: Console) -> anyhow::Result<Answer> {
    // What cannot be written need not be read.
    let to_file = args.output.as_ref().filter(|file| file.as_os_str() != "-");
    let target = match to_file {
        Some(file) => Some((Unfinished::file(file, args.force)?, file)),
        None => None,
    };
    let application = input::open_log(&args.input, console)?;
    let text = scenario_file(&application);
    match target {
        None => print(text.as_bytes())?,
        Some((unfinished, file)) => {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            unfinished.write(name, |out| out.write_all(text.as_bytes()))?;
            unfinished.publish()?;
        }
    }
    let workload = &application.scenario.workload;
    console.lines(&format!(
        "{}: {}, {}, {}, {} of Spark {}",
        application.input,
        if workload.name.is_empty() { "an application without a name" } else { &workload.name },
        count(workload.jobs.len(), "job"),
        count(workload.stages.len(), "stage"),
        count(workload.datasets.len(), "cached dataset"),
        application.scenario.spark_version.as_deref().unwrap_or_default(),
    ));
    if let Some(honesty) = &application.honesty {
        console.lines(&honesty_report(honesty));
    }
    if let Some(file) = to_file {
        let word = for_a_shell(&file.to_string_lossy());
        console.note(&format!("wrote {}; next: spillcast run {word}", file.display()));
    }
    Ok(Answer::Done)
}

/// The scenario, with where it came from and what it rests on as comments.
fn scenario_file(application: &Application) -> String {
    let mut text = format!(
        "# Imported by spillcast {} from {}.\n",
        env!("CARGO_PKG_VERSION"),
        one_line(&application.input)
    );
    if let Some(honesty) = &application.honesty {
        for assumed in &honesty.assumed {
            let _ = writeln!(text, "# Assumed: {}", one_line(assumed));
        }
        for lacking in &honesty.lacking {
            let _ =
                writeln!(text, "# Not in the log: {}; {}", one_line(&lacking.what), one_line(&lacking.cost));
        }
    }
    text.push('\n');
    text.push_str(&render(&application.scenario));
    text
}

fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn honesty_report(honesty: &Honesty) -> String {
    let mut text = String::new();
    let entry = |text: &mut String, line: &str| {
        text.push('\n');
        text.push_str(&wrapped(&format!("  - {line}"), 4, width()));
    };
    if honesty.lacking.is_empty() {
        text.push_str("The log lacks no kind of event.");
    } else {
        text.push_str("The log lacks:");
        for lacking in &honesty.lacking {
            entry(&mut text, &format!("{}: {}", lacking.what, lacking.cost));
        }
    }
    if !honesty.assumed.is_empty() {
        text.push_str("\nAssumed:");
        for assumed in &honesty.assumed {
            entry(&mut text, assumed);
        }
    }
    if !honesty.better_log.is_empty() {
        text.push_str("\nFor a better log next time:");
        for setting in &honesty.better_log {
            let _ = write!(text, "\n  --conf {setting}");
        }
    }
    text
}

//! What the program says about itself: manual pages, completions, the schema of scenario files, codes explained.

use std::fmt::Write as _;

use anyhow::bail;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Answer;
use super::args::Cli;
use super::console::{print, width, wrapped};
use crate::scenario;

/// Prints the JSON Schema of scenario files.
pub(super) fn schema() -> anyhow::Result<Answer> {
    let mut text = serde_json::to_string_pretty(&scenario::schema())?;
    text.push('\n');
    print(text.as_bytes())?;
    Ok(Answer::Done)
}

/// Prints the completion script of `shell`.
pub(super) fn completions(shell: Shell) -> anyhow::Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "spillcast", &mut script);
    print(&script)?;
    Ok(Answer::Done)
}

/// Prints the manual page of `command`, or of the program.
pub(super) fn page(command: Option<&str>) -> anyhow::Result<Answer> {
    let mut cli = Cli::command();
    cli.build();
    let shown = match command {
        None => cli,
        Some(name) => match cli.find_subcommand(name) {
            Some(found) => {
                found.clone().display_name(format!("spillcast-{name}")).bin_name(format!("spillcast {name}"))
            }
            None => {
                let names: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
                bail!("there is no command '{name}'; valid: {}", names.join(", "));
            }
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(shown).render(&mut text)?;
    print(&text)?;
    Ok(Answer::Done)
}

/// Prints what a diagnostic's code means, or all codes.
pub(super) fn explain(code: Option<&str>) -> anyhow::Result<Answer> {
    let mut text = String::new();
    match code {
        None => {
            for (code, explanation) in scenario::CODES {
                let first = explanation.split_inclusive(". ").next().unwrap_or(explanation);
                writeln!(text, "{}", wrapped(&format!("{code}  {}", first.trim_end()), 7, width()))?;
            }
        }
        Some(code) => match scenario::explain(code) {
            Some(explanation) => {
                writeln!(
                    text,
                    "{}",
                    wrapped(&format!("{}: {explanation}", code.to_uppercase()), 0, width())
                )?;
            }
            None => {
                let codes: Vec<&str> = scenario::CODES.iter().map(|(code, _)| *code).collect();
                bail!("there is no code '{code}'; valid: {}", codes.join(", "));
            }
        },
    }
    print(text.as_bytes())?;
    Ok(Answer::Done)
}

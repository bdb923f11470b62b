//! The program `spillcast`: arguments, files, terminals, exit codes. Everything that touches the world outside the process
//! is here and nothing of the simulation is.
//!
//! Data goes to standard output, all else to standard error. Start at [`run`]; `input` opens what the user names,
//! `configure` makes a configuration of it, and each command has its file.

mod args;
mod check;
mod compare;
mod conclusion;
mod configure;
mod console;
mod diagnostics;
mod fail_on;
mod import;
mod input;
mod journal;
mod layout;
mod layout_python;
mod manual;
mod merge;
mod output;
mod pipe;
mod progress;
mod run;
mod study;
mod sureness;
mod sweep;
mod tune;
mod validate;
mod validate_host;
mod why;

use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::experiment::unless_broken;
use args::{Cli, Command};
use console::{Console, tell_error};

/// What a command that did its work answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Done.
    Done,
    /// Done, and a condition of `--fail-on` holds.
    No,
}

/// An error that has been told already, in more than one line.
#[derive(Debug)]
struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("see above")
    }
}

impl std::error::Error for Told {}

/// Runs the program on the arguments of the process: 0 done, 1 a condition of `--fail-on` holds, 2 bad usage or input.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            name_commands(&mut error);
            // Help and versions come here too, with code 0; a reader that went away is no error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let console = Console::new(&cli.console);
    output::clean_up_when_interrupted();
    // The panic itself has been told where it happened.
    let answered = unless_broken(|| answer(&cli.command, console)).unwrap_or_else(|said| {
        Err(anyhow::anyhow!("spillcast broke down, which is a fault of its own: {said}"))
    });
    match answered {
        Ok(Answer::Done) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => failure(&error),
    }
}

/// Adds to the refusal of an unknown command which there are.
fn name_commands(error: &mut clap::Error) {
    if error.kind() == ErrorKind::InvalidSubcommand {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let tip = format!("valid commands: {}", names.join(", "));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

fn answer(command: &Command, console: Console) -> anyhow::Result<Answer> {
    match command {
        Command::Run(args) => run::run(args, console),
        Command::Why(args) => why::run(args, console),
        Command::Sweep(args) => sweep::run(args, console),
        Command::Compare(args) => compare::run(args, console),
        Command::Tune(args) => tune::run(args, console),
        Command::Merge(args) => merge::run(args, console),
        Command::Layout(args) => layout::run(args, console),
        Command::Check(args) => check::run(args, console),
        Command::Import(args) => import::run(args, console),
        Command::Validate(args) => validate::run(args, console),
        Command::Schema => manual::schema(),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { command } => manual::page(command.as_deref()),
        Command::Explain { code } => manual::explain(code.as_deref()),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    output::wait_if_interrupted();
    let pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(pipe)) {
        return ExitCode::SUCCESS;
    }
    if !error.is::<Told>() {
        tell_error(&chain(error));
    }
    ExitCode::from(2)
}

/// An error and its causes, each once: some say their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let cause = || anyhow::anyhow!("the disk is full");
        assert_eq!(chain(&cause().context("out: cannot write")), "out: cannot write: the disk is full");
        assert_eq!(chain(&cause().context("out: the disk is full")), "out: the disk is full");
    }
}

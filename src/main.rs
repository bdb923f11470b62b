//! The program; see [`spillcast::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    spillcast::cli::run()
}

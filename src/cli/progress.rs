//! A bar on standard error while a large log is read or many runs are simulated: only on a terminal, only when it takes
//! long.

use std::io::{self, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::{Console, is_watched};

/// Logs below this are read before a bar could be looked at, bytes on disk.
const SMALL: u64 = 16 << 20;

/// Fewer steps than this are over before a bar could be looked at.
const FEW: usize = 100;

/// How much of what is to be read or done is behind.
#[derive(Clone, Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for a log of so many bytes on disk; hidden when nobody would want it.
    pub(super) fn reading(bytes: u64, console: Console) -> Self {
        if bytes < SMALL || console.quiet || !is_watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(5));
        let template = "reading the log  {wide_bar} {bytes} of {total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// A bar for so many things of which `done` are done already; hidden when nobody would want it.
    pub(super) fn of_study(all: u64, done: u64, what: &str, console: Console) -> Self {
        if console.quiet || !is_watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr_with_hz(5))
            .with_position(done);
        let template =
            format!("{{wide_bar}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// A bar for so many steps of the same kind; hidden when nobody would want it.
    pub(super) fn counting(steps: usize, what: &str, console: Console) -> Self {
        if steps < FEW || console.quiet || !is_watched() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{msg}  {wide_bar} {pos} of {len}, {eta} left") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Counts one step.
    pub(super) fn advance(&self) {
        self.0.inc(1);
    }

    /// There is more to do than was thought.
    pub(super) fn extend(&self, more: u64) {
        self.0.inc_length(more);
    }

    /// Counts what is read from `reader`.
    pub(super) fn watch<R: Read>(&self, reader: R) -> Watched<R> {
        Watched { reader, progress: self.clone() }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// A reader whose bytes are counted.
pub(super) struct Watched<R> {
    reader: R,
    progress: Progress,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress.0.inc(read as u64);
        Ok(read)
    }
}

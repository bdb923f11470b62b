//! The terminal: how wide it is, whether it takes colours, and everything said on standard error.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::args::{Color, ConsoleArgs};

/// Widest text that is still easy to read, in columns.
const WIDTH_MAX: usize = 160;
/// Width where nothing tells it.
const WIDTH_DEFAULT: usize = 80;

/// How the word `error` looks.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const BOLD: Style = Style::new().bold();

/// How to talk to the user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    /// Errors only.
    pub(super) quiet: bool,
    /// Everything.
    pub(super) verbose: bool,
}

impl Console {
    /// Takes the wishes of the command line.
    pub(super) fn new(args: &ConsoleArgs) -> Self {
        match args.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { quiet: args.quiet, verbose: args.verbose }
    }

    /// Says that an answer may not be what was meant.
    pub(super) fn warn(self, text: &str) {
        if !self.quiet {
            say(&format!("{YELLOW}warning{YELLOW:#}: {text}"));
        }
    }

    /// Says something worth knowing.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            say(&format!("{BOLD}note{BOLD:#}: {text}"));
        }
    }

    /// Prints lines as they are.
    pub(super) fn lines(self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Prints a finding, which an error is even when quiet.
    pub(super) fn finding(self, text: &str, is_error: bool) {
        if is_error || !self.quiet {
            say(text);
        }
    }
}

/// Says why nothing was done.
pub(super) fn tell_error(text: &str) {
    say(&format!("{ERROR}error{ERROR:#}: {text}"));
}

/// A standard error that went away leaves nobody to tell.
fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Whether text for standard output may carry colours.
pub(super) fn color_on_stdout() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Columns of text on standard output: of the terminal, or what `COLUMNS` says.
pub(super) fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let seen = || {
        let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
        Some(usize::from(width.0))
    };
    said.filter(|width| *width > 0).or_else(seen).unwrap_or(WIDTH_DEFAULT).min(WIDTH_MAX)
}

/// Whether somebody watches standard error.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Writes data to standard output.
pub(super) fn print(data: &[u8]) -> anyhow::Result<()> {
    use anyhow::Context;
    let mut out = io::stdout().lock();
    out.write_all(data).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Breaks `text` into lines of at most `width` characters; the later ones begin with `indent` blanks. A longer word stays
/// whole.
pub(super) fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

/// `text` in lines of at most `width` characters, the first `indent` blanks in, the later ones two more.
pub(super) fn indented(text: &str, indent: usize, width: usize) -> String {
    format!("{}{}", " ".repeat(indent), wrapped(text, indent + 2, width.saturating_sub(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("a  bc de", 2, 6), "a  bc\n  de");
        assert_eq!(wrapped("abcdefgh ij", 0, 4), "abcdefgh\nij");
        assert_eq!(wrapped("ab cd", 3, 80), "ab cd");
        assert_eq!(indented("ab cd", 2, 8), "  ab cd");
        assert_eq!(indented("abcdef gh", 2, 9), "  abcdef\n    gh");
    }
}

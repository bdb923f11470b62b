//! Plain text of a given width: wrapping, headings, entries, shortened names. Colour is added around words, never counted.

use std::fmt::Write as _;

use super::table::Style;
use crate::units::{HumanDuration, SimDuration};

/// ANSI colours of a verdict.
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";

/// Text under way.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Page {
    /// Adds a wrapped paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        wrap(&mut self.text, ["", ""], text, self.style.width);
    }

    /// Adds a wrapped paragraph that starts with a word in bold and colour.
    pub(super) fn verdict(&mut self, word: &str, color: &str, text: &str) {
        let start = self.text.len();
        self.paragraph(&format!("{word}  {text}"));
        if self.style.color {
            let colored = format!("\u{1b}[1;{color}m{word}\u{1b}[0m");
            self.text.replace_range(start..start + word.len(), &colored);
        }
    }

    /// Starts a section.
    pub(super) fn heading(&mut self, text: &str) {
        let _ = if self.style.color {
            writeln!(self.text, "\n\u{1b}[1m{text}\u{1b}[0m")
        } else {
            writeln!(self.text, "\n{text}")
        };
    }

    /// Adds an entry of a section, its later lines indented further.
    pub(super) fn entry(&mut self, text: &str) {
        wrap(&mut self.text, ["  ", "    "], text, self.style.width);
    }

    /// Says how many entries are not shown, and where they are.
    pub(super) fn rest(&mut self, all: usize, shown: usize, place: &str) {
        if all > shown {
            self.entry(&format!("and {} more: {place}", all - shown));
        }
    }
}

/// Appends `text` in lines of at most `width` characters, the first after `leads[0]`, the others after `leads[1]`. A word
/// longer than a line stays whole, so that it can be copied.
fn wrap(out: &mut String, leads: [&str; 2], text: &str, width: usize) {
    out.push_str(leads[0]);
    let mut column = leads[0].len();
    let mut fresh = true;
    for word in text.split([' ', '\n', '\r', '\t']) {
        let length = word.chars().count();
        if !fresh && column + 1 + length > width {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(leads[1]);
            column = leads[1].len();
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        fresh = false;
    }
    out.push('\n');
}

/// Shortens to `width` characters (at least 4), keeping both ends: a stage's name starts with the operation and ends with
/// the place. Control characters become spaces.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let text: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() <= width {
        return text.into_iter().collect();
    }
    let tail = (width - 1) * 2 / 5;
    let head = width - 1 - tail;
    text[..head].iter().chain(&['\u{2026}']).chain(&text[text.len() - tail..]).collect()
}

/// Characters of the longest text.
pub(super) fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A duration from nanoseconds.
pub(super) fn duration(ns: u64) -> HumanDuration {
    HumanDuration(SimDuration(ns))
}

/// A share in whole percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_string();
    }
    format!("{:.0} %", part as f64 * 100.0 / whole as f64)
}

/// A number and its noun, in the plural where English wants it.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_both_ends() {
        assert_eq!(shorten("HashAggregate(keys) at Sessions.scala:41", 20), "HashAggregat\u{2026}cala:41");
        assert_eq!(shorten("short\tname", 20), "short name");
    }

    #[test]
    fn long_words_stay_whole_and_lines_end_without_blanks() {
        let mut out = String::new();
        wrap(&mut out, ["  ", "    "], "aa bbb cccccccccccccccc d  e", 8);
        assert_eq!(out, "  aa bbb\n    cccccccccccccccc\n    d  e\n");
    }
}

//! What is wrong with a scenario's text: where, in which words, and what would be right. Every fault of a file is
//! reported in one pass; how a diagnostic looks on a terminal is the command line's matter.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be simulated.
    Error,
    /// It can be simulated, but probably not as meant.
    Warning,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Code, to be explained by [`explain`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the value.
    pub message: String,
    /// The file, as it was named to the parser.
    pub file: String,
    /// Bytes of the text at fault.
    pub span: Range<usize>,
    /// Line of the span's start, from 1.
    pub line: usize,
    /// Column of the span's start in characters, from 1.
    pub column: usize,
    /// What to write beside the span.
    pub label: String,
    /// The likely fix, or what would be valid.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Self { code, message, file, line, column, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}[{code}]: {message}")?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// The file is not TOML.
pub(super) const SYNTAX: &str = "SC001";
/// A key that means nothing here.
pub(super) const UNKNOWN_KEY: &str = "SC002";
/// A value of the wrong type.
pub(super) const WRONG_TYPE: &str = "SC003";
/// A key that must be there.
pub(super) const MISSING_KEY: &str = "SC004";
/// A size or a time that cannot be read.
pub(super) const BAD_UNIT: &str = "SC005";
/// A number outside its range.
pub(super) const OUT_OF_RANGE: &str = "SC006";
/// A word that is none of those known.
pub(super) const UNKNOWN_WORD: &str = "SC007";
/// A name given twice.
pub(super) const DUPLICATE: &str = "SC008";
/// A name or number of something that is not there.
pub(super) const UNKNOWN_REFERENCE: &str = "SC009";
/// A distribution that cannot be.
pub(super) const BAD_DISTRIBUTION: &str = "SC010";
/// Values that exclude each other.
pub(super) const IMPOSSIBLE: &str = "SC011";
/// Something that the simulation leaves out.
pub(super) const LEFT_OUT: &str = "SC012";

/// Every code with its explanation, in order.
pub const CODES: [(&str, &str); 12] = [
    (
        SYNTAX,
        "The text is not valid TOML. Texts stand in double quotes, sizes too: memory = \"4g\". A Spark property that \
         is also the prefix of another one (spark.locality.wait and spark.locality.wait.node) must stand in quotes: \
         \"spark.locality.wait\" = \"3s\".",
    ),
    (
        UNKNOWN_KEY,
        "The key has no meaning in this place, so that whatever it was meant to say would be lost. The help names the \
         key with the nearest spelling, or the keys that are valid here. `spillcast schema` prints them all.",
    ),
    (
        WRONG_TYPE,
        "The value has another type than the key needs: a text instead of a number, one value instead of a list. \
         Numbers stand without quotes (1_000_000 is fine), sizes and times are texts with a unit.",
    ),
    (
        MISSING_KEY,
        "The table lacks a key that has no default, because no default would be right for most users.",
    ),
    (
        BAD_UNIT,
        "Sizes are written as Spark reads them: a whole number and at most one of b, k, m, g, t, p (or kb, mb, gb, tb, \
         pb), all powers of 1024, without a blank, a fraction or a sign: \"1536m\", not \"1.5g\". Times are a whole \
         number and one of us, ms, s, m, min, h, d: \"200ms\".",
    ),
    (
        OUT_OF_RANGE,
        "The number lies outside what is possible: no partitions at all, a negative size, a share over 1.",
    ),
    (UNKNOWN_WORD, "The key accepts a few words only. The help names the nearest one, or all of them."),
    (DUPLICATE, "Two things of one kind have the same name, so that a reference to it could mean either."),
    (
        UNKNOWN_REFERENCE,
        "The name (or, in an imported workload, the number) refers to something that the file does not declare, or \
         that is declared after the place where it is needed.",
    ),
    (
        BAD_DISTRIBUTION,
        "The distribution cannot be: shares of hot keys that sum to more than all rows, quantiles that fall or hold \
         nothing, more shares than keys, two shapes at once, or none.",
    ),
    (
        IMPOSSIBLE,
        "Each value is fine alone, but no Spark application can have them together: a block that is kept nowhere, a \
         second replica with a single block manager, steps after the one that ends a query.",
    ),
    (
        LEFT_OUT,
        "The scenario is simulated, but a part of what it asks for is outside the model; the message says which.",
    ),
];

/// What a diagnostic's code means in general.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, text)| *text)
}

/// Collects the diagnostics of one file and turns byte offsets into lines and columns.
pub(super) struct Sink<'t> {
    text: &'t str,
    file: &'t str,
    line_starts: Vec<usize>,
    /// Lines that are not TOML: whatever the parser made of them is not worth a second complaint.
    broken: BTreeSet<usize>,
    found: Vec<Diagnostic>,
}

impl<'t> Sink<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self { text, file, line_starts, broken: BTreeSet::new(), found: Vec::new() }
    }

    /// Line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// The text of a span.
    pub(super) fn slice(&self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// Adds a fault of the TOML itself.
    pub(super) fn syntax(&mut self, span: Range<usize>, message: &str) {
        let clash = message.starts_with("cannot extend value");
        let help = clash.then(|| {
            "one key is the prefix of another: write both in quotes, as \"spark.locality.wait\" = \"3s\""
                .to_owned()
        });
        let message = if clash {
            format!("`{}` cannot be both a value and the start of a longer key", self.slice(&span))
        } else if message == "duplicate key" {
            format!("`{}` is given twice", self.slice(&span))
        } else {
            message.to_owned()
        };
        self.error(SYNTAX, span.clone(), message, "not valid TOML", help);
        self.broken.insert(self.line(span.start));
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Error, code, span, message.into(), label.into(), help);
    }

    pub(super) fn warning(&mut self, code: &'static str, span: Range<usize>, message: String, label: &str) {
        self.add(Severity::Warning, code, span, message, label.to_owned(), None);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Range<usize>,
        message: String,
        label: String,
        help: Option<String>,
    ) {
        let line = self.line(span.start);
        // What is missing may stand in the part that could not be read.
        let cascade = !self.broken.is_empty() && [MISSING_KEY, UNKNOWN_REFERENCE].contains(&code);
        if cascade || self.broken.contains(&line) {
            return;
        }
        let start = self.line_starts[line - 1];
        let column = 1 + self.text.get(start..span.start).map_or(0, |before| before.chars().count());
        let file = self.file.to_owned();
        let fault = Diagnostic { code, severity, message, file, span, line, column, label, help };
        self.found.push(fault);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// The diagnostics in the order of the text.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|fault| (fault.span.start, fault.code));
        self.found
    }
}

/// The candidate whose spelling is nearest to `word`, if any is near enough to be a slip of the fingers.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_lowercase();
    let limit = (lower.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help for a word that is none of `candidates`: the nearest, or all of them.
pub(super) fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if candidates.is_empty() => "there is none".to_owned(),
        None => format!("valid here: {}", candidates.join(", ")),
    }
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b`; O(|a| |b|).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_are_near() {
        for (word, expected) in [
            ("row_byte", Some("row_bytes")),
            ("rwos", Some("rows")),
            ("Files", Some("files")),
            ("nothing_like_it", None),
        ] {
            assert_eq!(nearest(word, ["rows", "row_bytes", "files"]), expected, "{word}");
        }
    }

    #[test]
    fn every_code_is_explained_once() {
        for (at, (code, _)) in CODES.iter().enumerate() {
            assert_eq!(*code, format!("SC{:03}", at + 1));
            assert!(explain(&code.to_lowercase()).is_some());
        }
        assert_eq!(explain("SC999"), None);
    }

    #[test]
    fn columns_count_characters() {
        let mut sink = Sink::new("a = 1\nü = \"x\"\n", "f");
        sink.error(WRONG_TYPE, 11..14, "m", "l", None);
        let found = sink.into_diagnostics();
        assert_eq!((found[0].line, found[0].column), (2, 5));
    }
}

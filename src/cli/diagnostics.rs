//! Faults as they appear on a terminal: the line of the file, the place in it, what is wrong and what would be right.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::console::{Console, ERROR, width};
use crate::conf::{ConfError, Origin};
use crate::scenario::{Diagnostic, Severity};

/// Faults of a file that are shown; more would only scroll the first ones away.
const SHOWN_MAX: usize = 50;

/// A text with faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Its file, as the user named it.
    pub(super) file: &'a str,
    /// All of it.
    pub(super) text: &'a str,
}

/// Shows diagnostics, the first ones whole; says how many more there are.
pub(super) fn show(source: Source<'_>, diagnostics: &[Diagnostic], console: Console) {
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        let is_error = diagnostic.severity == Severity::Error;
        console.finding(&render(source, diagnostic), is_error);
    }
    if diagnostics.len() > SHOWN_MAX {
        console.note(&format!("{}: {} more faults", source.file, diagnostics.len() - SHOWN_MAX));
    }
}

fn render(source: Source<'_>, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code);
    let group = title.element(snippet(source, diagnostic.span.clone(), &diagnostic.label));
    report(group, diagnostic.help.as_deref())
}

/// A fault of the configuration, with the line of the scenario where it comes from one.
pub(super) fn conf_error(source: Option<Source<'_>>, error: &ConfError) -> String {
    let title = format!("{} = {}: {}", error.key, error.value, error.message);
    if let (Origin::Scenario(line), Some(source)) = (&error.origin, source) {
        let valid = (!error.valid.is_empty()).then(|| format!("valid: {}", error.valid));
        let primary = Level::ERROR.primary_title(&title);
        return report(
            primary.element(snippet(source, line_span(source.text, *line), "set here")),
            valid.as_deref(),
        );
    }
    let origin = match error.origin {
        Origin::Default => "built-in default".to_owned(),
        _ => error.origin.to_string(),
    };
    let mut text = format!("{ERROR}error{ERROR:#}: {title}\n  from:  {origin}");
    if !error.valid.is_empty() {
        let _ = write!(text, "\n  valid: {}", error.valid);
    }
    text
}

/// A fault that belongs to no line.
pub(super) fn plain(message: &str) -> String {
    format!("{ERROR}error{ERROR:#}: {message}")
}

/// A remark on a property of the scenario.
pub(super) fn conf_warning(source: Source<'_>, line: u32, message: &str, help: &str) -> String {
    let group = Level::WARNING.primary_title(message);
    report(group.element(snippet(source, line_span(source.text, line), "set here")), Some(help))
}

fn snippet<'a>(
    source: Source<'a>,
    span: Range<usize>,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let end = span.end.min(source.text.len());
    let span = span.start.min(end)..end;
    Snippet::source(source.text)
        .path(source.file)
        .annotation(AnnotationKind::Primary.span(span).label((!label.is_empty()).then_some(label)))
}

fn report(group: Group<'_>, help: Option<&str>) -> String {
    let group = match help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    };
    Renderer::styled().term_width(width()).render(&[group])
}

/// Bytes of a line, counted from 1, without the blanks around it.
pub(super) fn line_span(text: &str, line: u32) -> Range<usize> {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line as usize {
            let from = start + content.len() - content.trim_start().len();
            return from..(start + content.trim_end().len()).max(from);
        }
        start += content.len();
    }
    text.len()..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_without_their_blanks() {
        let text = "a = 1\n  b = 2 \r\n\nc";
        let found: Vec<&str> = (1..=5).map(|line| &text[line_span(text, line)]).collect();
        assert_eq!(found, ["a = 1", "b = 2", "", "c", ""]);
    }
}

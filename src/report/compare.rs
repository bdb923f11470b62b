//! Two configurations side by side as text. What is shown comes with its interval; what noise could explain says so.

use std::fmt::Write as _;

use super::table::Style;
use super::text::{GREEN, Page, RED, YELLOW, shorten, widest};
use crate::record::columns::Unit;
use crate::units::{HumanBytes, HumanDuration, SimDuration};

/// A row of a table: what, both sides, and the difference in words.
pub type Row = [String; 4];

/// Which side is the better one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Better {
    /// The second.
    Second,
    /// The first.
    First,
    /// They are alike.
    #[default]
    Neither,
    /// Noise alone could explain the difference.
    Unsure,
}

/// What is told of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// What sets each side apart.
    pub names: [String; 2],
    /// One sentence.
    pub verdict: String,
    /// Which side is the better one.
    pub better: Better,
    /// Rows of the whole run.
    pub totals: Vec<Row>,
    /// Rows by stage, under its name.
    pub stages: Vec<(String, Vec<Row>)>,
    /// Causes in words.
    pub causes: Vec<String>,
    /// Bounds: what, both sides.
    pub bounds: Vec<[String; 3]>,
    /// What the numbers rest on.
    pub notes: Vec<String>,
}

/// Writes a comparison for a terminal.
pub fn text(sheet: &Sheet, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    let (word, color) = match sheet.better {
        Better::Second => ("BETTER", GREEN),
        Better::First => ("WORSE", RED),
        Better::Neither => ("EQUAL", GREEN),
        Better::Unsure => ("UNSURE", YELLOW),
    };
    page.verdict(word, color, &sheet.verdict);
    for (letter, name) in ["A", "B"].iter().zip(&sheet.names) {
        page.entry(&format!("{letter}: {name}"));
    }
    let mut rows: Vec<Row> = vec![["Whole run".into(), "A".into(), "B".into(), "B less A".into()]];
    rows.extend(sheet.totals.iter().cloned());
    for (stage, of_stage) in &sheet.stages {
        rows.push([stage.clone(), String::new(), String::new(), String::new()]);
        rows.extend(
            of_stage.iter().map(|[what, a, b, d]| [format!("  {what}"), a.clone(), b.clone(), d.clone()]),
        );
    }
    page.text.push('\n');
    let widths = [0, 1, 2].map(|column| widest(rows.iter().map(|row| row[column].as_str())));
    let name_width = widths[0].min(style.width.saturating_sub(widths[1] + widths[2] + 34).max(16));
    for (at, row) in rows.iter().enumerate() {
        let name = shorten(&row[0], name_width);
        let [_, first, second] = widths;
        let line = format!("{name:<name_width$}  {:>first$}  {:>second$}  {}", row[1], row[2], row[3]);
        let _ = writeln!(page.text, "{}", line.trim_end());
        if at == 0 {
            let _ = writeln!(
                page.text,
                "{}",
                "\u{2500}".repeat(style.width.min(name_width + widths[1] + widths[2] + 34))
            );
        }
    }
    if !sheet.causes.is_empty() {
        page.heading("Why B differs");
        sheet.causes.iter().for_each(|cause| page.entry(cause));
    }
    page.heading("Bounds");
    for [what, a, b] in &sheet.bounds {
        page.entry(&format!("{what}: A {a}, B {b}"));
    }
    page.heading("How sure");
    sheet.notes.iter().for_each(|note| page.entry(note));
    page.text
}

/// A number in the words of its unit.
pub fn amount(unit: Unit, value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    let duration = |ns: f64| HumanDuration(SimDuration(ns as u64)).to_string();
    let text = match unit {
        Unit::Bytes => HumanBytes(size as u64).to_string(),
        Unit::Ms => duration(size * 1e6),
        Unit::Ns => duration(size),
        Unit::None | Unit::Count if size.fract() == 0.0 => format!("{size}"),
        Unit::None | Unit::Count => format!("{size:.1}"),
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_carry_their_units_and_signs() {
        for (unit, value, text) in [
            (Unit::Ms, -1_500.0, "-1.5 s"),
            (Unit::Bytes, 1024.0, "1.0 KiB"),
            (Unit::Ns, 2e9, "2.0 s"),
            (Unit::Count, 3.0, "3"),
            (Unit::Count, 2.5, "2.5"),
        ] {
            assert_eq!(amount(unit, value), text);
        }
    }

    #[test]
    fn a_sheet_tells_both_sides_and_fits() {
        let row = |what: &str| [what.to_owned(), "1.0 s".to_owned(), "2.0 s".to_owned(), "+1.0 s".to_owned()];
        let sheet = Sheet {
            names: ["as it is".to_owned(), "spark.executor.memory=512m".to_owned()],
            verdict: "B takes 1.0 s longer.".to_owned(),
            better: Better::First,
            totals: vec![row("wallMs")],
            stages: vec![(
                "Stage 0, a name that is much longer than any terminal has room for it".to_owned(),
                vec![row("wallMs")],
            )],
            causes: vec!["spill".to_owned()],
            bounds: vec![["memory without end".to_owned(), "1 s".to_owned(), "1 s".to_owned()]],
            ..Sheet::default()
        };
        let text = text(&sheet, Style { width: 72, color: false });
        assert!(text.starts_with("WORSE  B takes 1.0 s longer.\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
        assert!(text.contains("Why B differs\n  spill"), "{text}");
    }
}

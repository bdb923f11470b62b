//! The text of a properties file (`spark-defaults.conf`), in the syntax of `java.util.Properties` with Spark's trimming of
//! values. Reading the file is `cli`'s.

use super::spark_conf::{Origin, SparkConf};

/// One property of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Line on which it begins, from 1.
    pub number: u32,
    /// Key, unescaped.
    pub key: String,
    /// Value, unescaped and trimmed.
    pub value: String,
}

/// Something to tell about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Line, from 1.
    pub number: u32,
    /// What about it.
    pub text: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Properties in order; a key may come twice, the last wins.
    pub lines: Vec<Line>,
    /// What makes the file unreadable for Java.
    pub errors: Vec<Remark>,
    /// What is accepted and hardly meant.
    pub warnings: Vec<Remark>,
}

/// Parses the text of a properties file.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for (number, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => {
                // Spark's trimExceptCRLF: line ends that were written as escapes stay.
                let value = value.trim_matches(|c: char| c <= ' ' && c != '\r' && c != '\n').to_owned();
                if parsed.lines.iter().any(|line| line.key == key) {
                    let text = format!("{key} is set twice; the last value holds");
                    parsed.warnings.push(Remark { number, text });
                }
                if !key.starts_with("spark.") && !key.starts_with("spillcast.") {
                    let text = match key.strip_prefix('\u{feff}') {
                        Some(key) => format!(
                            "Ignoring non-Spark config property: {key} behind a byte order mark, which Spark takes for a \
                             part of the name; save the file without one"
                        ),
                        None => format!("Ignoring non-Spark config property: {key}"),
                    };
                    parsed.warnings.push(Remark { number, text });
                }
                parsed.lines.push(Line { number, key, value });
            }
            (Err(text), _) | (_, Err(text)) => parsed.errors.push(Remark { number, text }),
        }
    }
    parsed
}

/// Sets the properties of a parsed file; keys that are neither Spark's nor this program's are left out, as Spark does.
pub fn apply(conf: &mut SparkConf, parsed: &Parsed, path: &str) {
    for line in &parsed.lines {
        if line.key.starts_with("spark.") || line.key.starts_with("spillcast.") {
            conf.set(&line.key, &line.value, Origin::PropertiesFile(path.to_owned(), line.number));
        }
    }
}

/// Lines without comments and blank ones, with continuations joined, and the number of their first.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    // Java ends lines at \n, \r and both together.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, natural) in text.split('\n').enumerate() {
        let natural = natural.trim_start_matches([' ', '\t', '\u{c}']);
        if !open {
            if natural.is_empty() || natural.starts_with(['#', '!']) {
                continue;
            }
            lines.push((index as u32 + 1, String::new()));
        }
        // An odd number of backslashes at the end escapes the line end.
        let backslashes = natural.bytes().rev().take_while(|b| *b == b'\\').count();
        open = backslashes % 2 == 1;
        let part = if open { &natural[..natural.len() - 1] } else { natural };
        if let Some((_, line)) = lines.last_mut() {
            line.push_str(part);
        }
    }
    lines
}

/// Splits at the first blank, `=` or `:` that no backslash escapes; one `=` or `:` may follow blanks.
fn split(line: &str) -> (&str, &str) {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\u{c}');
    let mut escaped = false;
    let end = line.char_indices().find_map(|(index, c)| {
        let ends = !escaped && (blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends.then_some(index)
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let push = |units: &mut Vec<u16>, c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut units, c);
            continue;
        }
        match chars.next() {
            Some('t') => push(&mut units, '\t'),
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('f') => push(&mut units, '\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let valid = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let unit = if valid { u16::from_str_radix(&digits, 16).ok() } else { None };
                units.push(unit.ok_or("Malformed \\uxxxx encoding; valid: \\u and four hexadecimal digits")?);
            }
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(u32, String, String)> {
        let parsed = parse(text);
        assert_eq!(parsed.errors, []);
        parsed.lines.into_iter().map(|line| (line.number, line.key, line.value)).collect()
    }

    fn check(text: &str, expected: &[(u32, &str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(number, key, value)| (*number, (*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }

    #[test]
    fn keys_end_at_blank_equals_or_colon() {
        check(
            "spark.a 1\nspark.b=2\nspark.c:3\nspark.d  =  4  \n\tspark.e\t:5\nspark.f",
            &[
                (1, "spark.a", "1"),
                (2, "spark.b", "2"),
                (3, "spark.c", "3"),
                (4, "spark.d", "4"),
                (5, "spark.e", "5"),
                (6, "spark.f", ""),
            ],
        );
        check("spark.a = = 1", &[(1, "spark.a", "= 1")]);
        check("spark.a\\ b=1", &[(1, "spark.a b", "1")]);
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        check(
            "# one\r\n  ! two\r\n\r\nspark.a 1 # not a comment\r\n",
            &[(4, "spark.a", "1 # not a comment")],
        );
    }

    #[test]
    fn a_backslash_continues_a_line() {
        check("spark.a 1,\\\n   2,\\\n   3\nspark.b 4", &[(1, "spark.a", "1,2,3"), (4, "spark.b", "4")]);
        check("spark.a 1\\\\\nspark.b 2", &[(1, "spark.a", "1\\"), (2, "spark.b", "2")]);
        // A comment sign inside a continuation is text.
        check("spark.a 1\\\n#2", &[(1, "spark.a", "1#2")]);
    }

    #[test]
    fn escapes() {
        check("spark.a \\u0041\\u00e9\\ud83d\\ude00", &[(1, "spark.a", "A\u{e9}\u{1f600}")]);
        check("spark.a \\tx\\ny\\q", &[(1, "spark.a", "x\nyq")]);
        check("spark.a x\\n", &[(1, "spark.a", "x\n")]);
        let parsed = parse("spark.a 1\nspark.b \\u00g1");
        assert_eq!(parsed.lines.len(), 1);
        assert_eq!(parsed.errors.first().map(|remark| remark.number), Some(2));
    }

    #[test]
    fn other_keys_are_ignored_with_a_warning() {
        let parsed = parse("hadoop.x 1\nspark.a 1\nspark.a 2");
        let warned: Vec<u32> = parsed.warnings.iter().map(|remark| remark.number).collect();
        assert_eq!(warned, [1, 3]);
        let mut conf = SparkConf::default();
        apply(&mut conf, &parsed, "defaults.conf");
        assert!(!conf.contains("hadoop.x"));
        assert_eq!(
            conf.entry("spark.a").map(|e| (e.value, e.origin.to_string())),
            Some(("2".into(), "defaults.conf:3".into()))
        );
    }
}

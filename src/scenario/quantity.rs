//! Sizes and times as scenario texts write them, in Spark's grammar (CONF-1..3, CONF-8) but stricter where Spark is lax
//! because a scenario has no default unit to fall back on: a time needs its unit. The messages are ours: they name the
//! value that would have been right.

/// Why a text is no quantity, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) help: String,
}

const SIZE_UNITS: [(&str, u32); 11] = [
    ("b", 0),
    ("k", 1),
    ("kb", 1),
    ("m", 2),
    ("mb", 2),
    ("g", 3),
    ("gb", 3),
    ("t", 4),
    ("tb", 4),
    ("p", 5),
    ("pb", 5),
];

const TIME_UNITS: [(&str, u64); 7] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Bytes of a size such as `512m`; a bare number is bytes.
pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    let refuse =
        |what: &str, help: String| Err(Refusal { message: format!("`{text}` is no size: {what}"), help });
    let lower = text.trim().to_lowercase();
    let (number, unit) = split(&lower);
    let known = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim());
    if lower.starts_with('-') {
        return refuse("it is negative", "a size is 0 or more".to_owned());
    }
    if let Some((whole, fraction)) = number.split_once('.')
        && let Some((_, power)) = known
        && *power > 0
        && let Ok(value) = format!("{whole}.{fraction}").parse::<f64>()
    {
        let name = SIZE_UNITS.iter().find(|(_, p)| *p == power - 1).map_or("b", |(name, _)| name);
        return refuse(
            "fractional values are not supported",
            format!("write \"{}{name}\"", (value * 1024.0).round() as u64),
        );
    }
    let Ok(count) = number.parse::<u64>() else {
        return refuse("it does not start with a whole number", "write it as \"512m\" or \"4g\"".to_owned());
    };
    if unit.starts_with(char::is_whitespace) && known.is_some() {
        return refuse("a blank stands before the unit", format!("write \"{number}{}\"", unit.trim()));
    }
    let power = match known {
        Some((_, power)) => *power,
        None if unit.is_empty() => 0,
        None => {
            return refuse(
                &format!("unknown unit `{unit}`"),
                "units are b, k, m, g, t and p, powers of 1024".to_owned(),
            );
        }
    };
    match count.checked_mul(1 << (10 * power)) {
        Some(bytes) if i64::try_from(bytes).is_ok() => Ok(bytes),
        _ => refuse("it is more than 2^63 bytes", "take a smaller one".to_owned()),
    }
}

/// Nanoseconds of a time such as `200ms`.
pub(super) fn time(text: &str) -> Result<u64, Refusal> {
    let refuse = |what: &str, help: &str| {
        Err(Refusal { message: format!("`{text}` is no time: {what}"), help: help.to_owned() })
    };
    let lower = text.trim().to_lowercase();
    let (number, unit) = split(&lower);
    if lower.starts_with('-') {
        return refuse("it is negative", "a time is 0 or more");
    }
    let Ok(count) = number.parse::<u64>() else {
        return refuse("it does not start with a whole number", "write it as \"200ms\" or \"3s\"");
    };
    let Some((_, nanos)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
        let what =
            if unit.is_empty() { "it has no unit".to_owned() } else { format!("unknown unit `{unit}`") };
        return refuse(&what, "units are us, ms, s, m, min, h and d");
    };
    count.checked_mul(*nanos).map_or_else(|| refuse("it is more than 584 years", "take a smaller one"), Ok)
}

/// The leading digits (and points), and the rest.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_spark_reads_them() {
        for (text, bytes) in
            [("512m", 512 << 20), ("4G", 4 << 30), ("7", 7), ("2kb", 2048), (" 1t ", 1 << 40), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_what_would_be() {
        for (text, message, help) in [
            ("1.5g", "`1.5g` is no size: fractional values are not supported", "write \"1536m\""),
            ("4 g", "`4 g` is no size: a blank stands before the unit", "write \"4g\""),
            ("-1m", "`-1m` is no size: it is negative", "a size is 0 or more"),
            ("10q", "`10q` is no size: unknown unit `q`", "units are b, k, m, g, t and p, powers of 1024"),
            (
                "1gib",
                "`1gib` is no size: unknown unit `gib`",
                "units are b, k, m, g, t and p, powers of 1024",
            ),
            (
                "much",
                "`much` is no size: it does not start with a whole number",
                "write it as \"512m\" or \"4g\"",
            ),
            ("9999p", "`9999p` is no size: it is more than 2^63 bytes", "take a smaller one"),
        ] {
            assert_eq!(size(text), Err(Refusal { message: message.into(), help: help.into() }), "{text}");
        }
    }

    #[test]
    fn times_need_their_unit() {
        assert_eq!(time("200ms"), Ok(200_000_000));
        assert_eq!(time("2min"), Ok(120_000_000_000));
        for (text, message) in [
            ("3", "`3` is no time: it has no unit"),
            ("1.5s", "`1.5s` is no time: it does not start with a whole number"),
            ("-1s", "`-1s` is no time: it is negative"),
            ("3 s", "`3 s` is no time: unknown unit ` s`"),
            ("99999999d", "`99999999d` is no time: it is more than 584 years"),
        ] {
            assert_eq!(time(text).map_err(|refusal| refusal.message), Err(message.to_owned()), "{text}");
        }
    }
}

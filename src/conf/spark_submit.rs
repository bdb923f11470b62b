//! Flags of `spark-submit` as properties. Reading the command line is `cli`'s; here is what each flag means.

use super::spark_conf::{Origin, SparkConf};

/// Flags that take a value and stand for one property: flag, property.
pub const FLAGS: &[(&str, &str)] = &[
    ("--master", "spark.master"),
    ("--deploy-mode", "spark.submit.deployMode"),
    ("--name", "spark.app.name"),
    ("--driver-memory", "spark.driver.memory"),
    ("--driver-cores", "spark.driver.cores"),
    ("--executor-memory", "spark.executor.memory"),
    ("--executor-cores", "spark.executor.cores"),
    ("--num-executors", "spark.executor.instances"),
    ("--total-executor-cores", "spark.cores.max"),
];

/// The property that `flag` stands for.
pub fn property_of(flag: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(name, _)| *name == flag).map(|(_, property)| *property)
}

/// Sets the property of `flag`; false when the flag stands for none.
pub fn apply_flag(conf: &mut SparkConf, flag: &str, value: &str) -> bool {
    let Some(property) = property_of(flag) else { return false };
    conf.set(property, value, Origin::CommandLine(format!("{flag} {value}")));
    true
}

/// Applies one `--conf KEY=VALUE`. As in `spark-submit`, only the first `=` separates; a flag for the same property wins
/// whatever the order, so apply `--conf` before the flags.
///
/// # Errors
/// Text without `=` or key, as a message.
pub fn apply_conf(conf: &mut SparkConf, text: &str) -> Result<(), String> {
    let (key, value) = split_conf(text)?;
    conf.set(key, value, Origin::CommandLine(format!("--conf {text}")));
    Ok(())
}

/// Splits `KEY=VALUE`; blanks around the key are dropped, and quotes around the whole as a shell may have left them.
///
/// # Errors
/// Text without `=` or key, as a message.
pub fn split_conf(text: &str) -> Result<(&str, &str), String> {
    let bare = text.trim();
    let bare = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(bare);
    match bare.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim(), value.trim())),
        _ => Err(format!("Spark config without '=': {text}; valid: --conf KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_set_their_properties() {
        let mut conf = SparkConf::default();
        for (flag, value) in [("--executor-memory", "4g"), ("--num-executors", "3"), ("--master", "yarn")] {
            assert!(apply_flag(&mut conf, flag, value), "{flag}");
        }
        assert!(!apply_flag(&mut conf, "--jars", "a.jar"));
        let got: Vec<_> = conf.iter().map(|(key, value, _)| (key, value)).collect();
        let want =
            [("spark.executor.instances", "3"), ("spark.executor.memory", "4g"), ("spark.master", "yarn")];
        assert_eq!(got, want);
        let entry = conf.entry("spark.executor.memory").expect("set");
        assert_eq!(entry.origin.to_string(), "--executor-memory 4g");
    }

    #[test]
    fn conf_pairs_split_at_the_first_equals_sign() {
        assert_eq!(split_conf("spark.a=b=c"), Ok(("spark.a", "b=c")));
        assert_eq!(split_conf("\"spark.a=b c\""), Ok(("spark.a", "b c")));
        assert_eq!(split_conf("spark.a="), Ok(("spark.a", "")));
        for text in ["spark.a", "=b", ""] {
            assert!(split_conf(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_flag_applied_after_conf_wins() {
        let mut conf = SparkConf::default();
        apply_conf(&mut conf, "spark.executor.memory=2g").expect("a pair");
        apply_flag(&mut conf, "--executor-memory", "4g");
        assert_eq!(conf.get("spark.executor.memory"), Some("4g"));
    }
}

//! How sure an answer is: what it rests on, the range of each quantity, and the endings that are as likely.

use super::Outcome;

/// What an answer rests on (design: three grades).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confidence {
    /// `exact`, `mechanistic` or `calibrated`: the weakest that the answer needs.
    pub grade: String,
    /// What had to be assumed.
    pub assumed: Vec<String>,
    /// What the replay of the log under its own configuration was off by, in words; empty without a log.
    pub replay: Vec<String>,
    /// Quantities of the summary with the range that the real run is expected in; empty without a log.
    pub ranges: Vec<Range>,
    /// Other endings that the log's uncertainty allows, each with what would bring it about.
    pub other_endings: Vec<(Outcome, String)>,
}

/// The range of a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Its column in the summary.
    pub column: &'static str,
    /// Lowest value that is expected.
    pub low: f64,
    /// Highest value that is expected; `None` where nothing bounds it.
    pub high: Option<f64>,
    /// The grade of fidelity that it rests on.
    pub grade: &'static str,
    /// What makes it uncertain, the largest first; empty where nothing does.
    pub because: Vec<String>,
}

//! Pictures of a study: time along one axis ([`curve`]), over two ([`heat`]), and time against memory ([`pareto`]).
//!
//! Failures are never left out: a point that fails has a cross in a row of its own, or a hatched cell with the outcome's
//! name. The first and the last value of an axis are always labelled.

mod chart;
pub mod curve;
pub mod heat;
pub mod pareto;
mod scale;

use super::canvas::{self, Canvas};
use crate::record::Outcome;
use crate::record::study::Spot;
use crate::units::{HumanDuration, SimDuration};

/// One thing that is varied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariedAxis {
    /// Its key.
    pub key: String,
    /// Its values, as a configuration takes them.
    pub values: Vec<String>,
    /// The values as numbers in one unit; `None` where one is a name.
    pub numbers: Option<Vec<f64>>,
    /// Unit of a value without suffix.
    pub bare_unit: Option<&'static str>,
}

impl VariedAxis {
    /// The name of the axis, with the unit of values that carry none.
    fn title(&self) -> String {
        let is_bare = |value: &String| value.parse::<f64>().is_ok();
        match self.bare_unit {
            Some(unit) if self.values.iter().all(is_bare) => format!("{}, {unit}", self.key),
            _ => self.key.clone(),
        }
    }
}

/// A run of real Spark to be shown beside the simulated ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured<'a> {
    /// Its value of the axis, as written.
    pub value: &'a str,
    /// Position on the axis: a number in the unit of the axis, or the position of a name.
    pub at: f64,
    /// Wall time, ms; not a number where the run failed.
    pub wall_ms: f64,
}

/// A picture of a study.
#[derive(Clone, Copy, Debug)]
pub enum Picture<'a> {
    /// Time along one axis.
    Curve(curve::Curve<'a>),
    /// Time over two axes.
    Heat(heat::Heat<'a>),
    /// Time against memory.
    Pareto(pareto::Pareto<'a>),
}

impl Picture<'_> {
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Curve(curve) => curve.size(),
            Self::Heat(_) => heat::SIZE,
            Self::Pareto(pareto) => pareto.size(),
        }
    }

    fn paint(&self, canvas: &Canvas) {
        match self {
            Self::Curve(curve) => curve::paint(canvas, curve),
            Self::Heat(heat) => heat::paint(canvas, heat),
            Self::Pareto(pareto) => pareto::paint(canvas, pareto),
        }
    }

    /// The picture as SVG.
    pub fn svg(&self) -> String {
        canvas::draw(self.size(), |canvas| self.paint(canvas))
    }

    /// The picture as PNG.
    pub fn png(&self) -> Vec<u8> {
        canvas::draw_png(self.size(), |canvas| self.paint(canvas))
    }
}

/// The words of a failure in a picture.
fn failure_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::HeapOom => "heap OOM",
        Outcome::GcOverhead => "GC limit",
        Outcome::SparkOom => "Spark OOM",
        Outcome::ContainerKilled => "container",
        Outcome::HostOomKilled => "host OOM",
        Outcome::MaxResultSize => "result size",
        Outcome::DriverOom => "driver OOM",
        Outcome::DiskFull => "disk full",
        Outcome::Timeout => "timeout",
        Outcome::Refused => "refused",
        Outcome::Other => "other",
    }
}

/// Nanoseconds of milliseconds, for axes.
fn ns(ms: f64) -> u64 {
    (ms.max(0.0) * 1e6) as u64
}

fn duration(ms: f64) -> String {
    HumanDuration(SimDuration(ns(ms))).to_string()
}

/// Names of the failures among `spots`, each once, for a legend.
fn failures<'a>(spots: impl IntoIterator<Item = &'a Spot>) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in spots.into_iter().filter_map(|spot| spot.failure).map(failure_words) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::check;

    fn axis(key: &str, values: &[&str], numbers: Option<&[f64]>) -> VariedAxis {
        VariedAxis {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            numbers: numbers.map(<[f64]>::to_vec),
            bare_unit: None,
        }
    }

    fn spot(point: u64, wall_ms: f64) -> Spot {
        let failed = wall_ms.is_nan();
        Spot {
            point,
            all_ok: !failed && point != 2,
            failure: (failed || point == 2).then_some(Outcome::HeapOom),
            wall_ms: (!failed).then_some(wall_ms),
            interval: (!failed).then_some((wall_ms * 0.95, wall_ms * 1.05)),
            allocated_memory: Some((point + 1) << 29),
            ..Spot::default()
        }
    }

    fn spots() -> Vec<Spot> {
        let walls = [f64::NAN, 90e3, 61e3, 50e3, 49e3, 52e3];
        walls.iter().enumerate().map(|(at, wall)| spot(at as u64, *wall)).collect()
    }

    #[test]
    fn every_picture_fits_its_sheet_and_shows_failures() {
        let spots = spots();
        let memory = axis(
            "spark.executor.memory",
            &["512m", "1g", "2g", "4g", "8g", "16g"],
            Some(&[0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
        );
        let real = |value, at, wall_ms| Measured { value, at, wall_ms };
        let measured = [real("1g", 1.0, 95e3), real("512m", 0.5, f64::NAN), real("96g", 96.0, 45e3)];
        let basis = "5 runs a point, 95 % intervals";
        let curve = curve::Curve { name: "job", axis: &memory, spots: &spots, measured: &measured, basis };
        let svg = check("sweep-curve", || Picture::Curve(curve).svg());
        assert!(svg.contains("96g"), "a real run beyond the simulated ones has its label: {svg}");
        assert!(svg.contains("heap OOM") && svg.contains("spark.executor.memory (logarithmic)"), "{svg}");
        let levels = axis("spillcast.storageLevel", &["MEMORY_ONLY", "DISK_ONLY"], None);
        let three = axis("spark.sql.shuffle.partitions", &["50", "200", "800"], Some(&[50.0, 200.0, 800.0]));
        let heat = heat::Heat { name: "job", rows: &levels, columns: &three, cells: &spots, basis };
        let svg = check("sweep-heat", || Picture::Heat(heat).svg());
        assert!(svg.contains("every run fails (heap OOM") && svg.contains("orange corner"), "{svg}");
        let front = [(spots[1], "1g".to_owned()), (spots[3], "4g".to_owned())];
        let pareto = pareto::Pareto { name: "job", spots: &spots, front: &front, basis };
        let svg = check("sweep-pareto", || Picture::Pareto(pareto).svg());
        assert!(svg.contains("memory of all executors") && svg.contains("fails: heap OOM"), "{svg}");
    }

    #[test]
    fn names_are_all_shown_and_numbers_have_their_unit() {
        const LEVELS: [&str; 6] =
            ["MEMORY_ONLY", "MEMORY_AND_DISK", "MEMORY_ONLY_SER", "MEMORY_AND_DISK_SER", "DISK_ONLY", "NONE"];
        let levels = axis("spillcast.storageLevel", &LEVELS, None);
        let spots = spots();
        let curve =
            curve::Curve { name: &"job ".repeat(60), axis: &levels, spots: &spots, measured: &[], basis: "" };
        let svg = check("sweep-names", || Picture::Curve(curve).svg());
        let many: Vec<&str> = LEVELS
            .iter()
            .chain(&["MEMORY_AND_DISK_DESER", "OFF_HEAP", "DISK_ONLY_2", "MEMORY_ONLY_2"])
            .copied()
            .collect();
        let many = axis("spillcast.storageLevel", &many, None);
        let ten: Vec<Spot> = (0..10).map(|point| Spot { point, ..spots[1] }).collect();
        let crowd = curve::Curve { name: "job", axis: &many, spots: &ten, measured: &[], basis: "" };
        let crowd = check("sweep-many-names", || Picture::Curve(crowd).svg());
        assert!(crowd.contains("DESER") && crowd.contains("OFF_HEAP"), "{crowd}");
        // Cut into lines, but whole; and nothing is drawn through them.
        for part in ["MEMORY_AND_DISK_", "SER", "NONE", "best: 49.0 s at DISK_ONLY"] {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        assert!(!svg.contains("<polygon") || !svg.contains("#56B4E9"), "no band between names");
        let overheads = VariedAxis {
            bare_unit: Some("MiB"),
            ..axis("spark.executor.memoryOverhead", &["128"], Some(&[128.0]))
        };
        let heat = heat::Heat { name: "job", rows: &levels, columns: &overheads, cells: &spots, basis: "" };
        let svg = check("sweep-unit", || Picture::Heat(heat).svg());
        assert!(svg.contains("spark.executor.memoryOverhead, MiB"), "{svg}");
        assert!(svg.contains("MEMORY_AND_DISK_SER"), "the name of a row is whole");
        let close =
            [(spots[3], "MEMORY_AND_DISK_SER, 4g".to_owned()), (spots[4], "MEMORY_ONLY, 8g".to_owned())];
        let pareto = pareto::Pareto { name: "job", spots: &spots, front: &close, basis: "" };
        check("sweep-close", || Picture::Pareto(pareto).svg());
    }

    #[test]
    fn where_no_run_ends_well_there_is_no_time_to_read() {
        let memory = axis("spark.executor.memory", &["1g", "2g"], Some(&[1.0, 2.0]));
        let failed = |point| Spot { point, failure: Some(Outcome::HeapOom), ..Spot::default() };
        let spots = [failed(0), failed(1)];
        let curve = curve::Curve { name: "job", axis: &memory, spots: &spots, measured: &[], basis: "" };
        let svg = check("sweep-none", || Picture::Curve(curve).svg());
        assert!(svg.contains("no run ends well") && svg.contains("fails: heap OOM"), "{svg}");
        assert!(!svg.contains("time of jobs") && !svg.contains("every run ends well"), "{svg}");
    }

    #[test]
    fn a_png_is_drawn_with_letters_of_its_own() {
        let memory = axis("spark.executor.memory", &["1g"], Some(&[1.0]));
        let curve = |name| curve::Curve { name, axis: &memory, spots: &[], measured: &[], basis: "" };
        let png = Picture::Curve(curve("job")).png();
        assert!(png.starts_with(b"\x89PNG"));
        assert_ne!(png, Picture::Curve(curve("another job")).png(), "the letters show");
    }
}

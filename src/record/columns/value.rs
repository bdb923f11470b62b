//! Cells of outputs and the units of their numbers. How they are written is left to `report`.

use std::borrow::Cow;

/// One cell of an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Int(u64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Not modelled, or not applicable to this row.
    Absent,
}

impl Value<'_> {
    /// The number; `None` of a text and of what is absent.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(_) | Self::Absent => None,
        }
    }
}

/// What the numbers of a column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Text, ids and the like.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Ms,
    /// Nanoseconds.
    Ns,
    /// Things.
    Count,
}

impl Unit {
    /// Word in the documentation; empty for [`Unit::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Ms => "ms",
            Self::Ns => "ns",
            Self::Count => "count",
        }
    }
}

//! Scalars as logs really hold them: numbers that are strings, -1 for "unknown", null for "none". A field of an
//! unexpected form must not cost the whole event, so these readers accept any JSON value and fall back to nothing.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads a non-negative number; whatever is not one becomes 0.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(MaybeInt::deserialize(deserializer)?.count())
}

/// A whole number, if the value is one: `5`, `"5"`, `5.0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MaybeInt(pub(super) Option<i64>);

impl MaybeInt {
    /// The number, 0 when it is absent or negative.
    pub(super) fn count(self) -> u64 {
        self.0.unwrap_or(0).max(0) as u64
    }

    /// The number as an id; ids in logs start at 0, -1 stands for none.
    pub(super) fn id(self) -> Option<u32> {
        self.0.and_then(|number| u32::try_from(number).ok())
    }

    /// The number as a point of time in milliseconds since 1970; 0 and -1 stand for "not yet".
    pub(super) fn ms(self) -> Option<u64> {
        self.0.and_then(|number| u64::try_from(number).ok()).filter(|ms| *ms > 0)
    }

    /// The number when it is present and not negative.
    pub(super) fn known(self) -> Option<u64> {
        self.0.and_then(|number| u64::try_from(number).ok())
    }
}

impl<'de> Deserialize<'de> for MaybeInt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntVisitor).map(Self)
    }
}

struct IntVisitor;

impl<'de> Visitor<'de> for IntVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value as i64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(value.trim().parse().ok())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A text, borrowed from the line where it holds no escape. Numbers and booleans become their text, null and
/// structures the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }

    /// The text unless it is empty.
    pub(super) fn non_empty(self) -> Option<String> {
        if self.0.is_empty() { None } else { Some(self.into_string()) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_form() {
        let cases = [
            ("5", Some(5)),
            ("-1", Some(-1)),
            ("\"5307\"", Some(5307)),
            ("5.0", Some(5)),
            ("18446744073709551615", Some(i64::MAX)),
            ("null", None),
            ("true", None),
            ("\"Some(x)\"", None),
            ("[{\"Block ID\":\"rdd_0_1\"}]", None),
            ("{}", None),
        ];
        for (json, value) in cases {
            assert_eq!(serde_json::from_str::<MaybeInt>(json).unwrap().0, value, "{json}");
        }
    }

    #[test]
    fn texts_in_every_form() {
        for (json, value) in
            [("\"a\\nb\"", "a\nb"), ("7", "7"), ("false", "false"), ("null", ""), ("[1]", "")]
        {
            assert_eq!(serde_json::from_str::<Text<'_>>(json).unwrap().as_str(), value, "{json}");
        }
    }
}

//! Numbers that people write in files, each kind with its limits. The limits stand in the JSON schema, so that editors show
//! them and a number outside them is a fault at its line.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tributary_stats::life_table::AGE_YEAR;

/// How long a year is, wherever days become years: one length for a whole analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum YearLength {
    /// 365.25 days.
    #[default]
    Julian,
    /// 365.241 days, as in R's life tables and `relsurv`.
    LifeTable,
}

impl YearLength {
    /// Its days.
    pub const fn days(self) -> f64 {
        match self {
            Self::Julian => 365.25,
            Self::LifeTable => AGE_YEAR,
        }
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Julian => "julian",
            Self::LifeTable => "life-table",
        }
    }

    /// Whether it is the default.
    pub fn is_julian(&self) -> bool {
        *self == Self::Julian
    }
}

/// Confidence level of an interval, as a share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct ConfidenceLevel(f64);

/// A number that is no confidence level.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "found {found}, expected a confidence level from {} to {}, such as 0.95",
    ConfidenceLevel::LEAST,
    ConfidenceLevel::MOST
)]
pub struct NoConfidenceLevel {
    found: f64,
}

impl ConfidenceLevel {
    /// Smallest level.
    pub const LEAST: f64 = 0.5;
    /// Largest level.
    pub const MOST: f64 = 0.9999;

    /// The level, if `share` is one.
    pub fn new(share: f64) -> Result<Self, NoConfidenceLevel> {
        let is_level = (Self::LEAST..=Self::MOST).contains(&share);
        if is_level { Ok(Self(share)) } else { Err(NoConfidenceLevel { found: share }) }
    }

    /// As a share, such as 0.95.
    pub fn share(self) -> f64 {
        self.0
    }
}

impl Default for ConfidenceLevel {
    fn default() -> Self {
        Self(0.95)
    }
}

impl TryFrom<f64> for ConfidenceLevel {
    type Error = NoConfidenceLevel;

    fn try_from(share: f64) -> Result<Self, NoConfidenceLevel> {
        Self::new(share)
    }
}

impl From<ConfidenceLevel> for f64 {
    fn from(level: ConfidenceLevel) -> Self {
        level.0
    }
}

impl std::str::FromStr for ConfidenceLevel {
    type Err = NoConfidenceLevel;

    fn from_str(text: &str) -> Result<Self, NoConfidenceLevel> {
        Self::new(text.trim().parse().unwrap_or(f64::NAN))
    }
}

impl std::fmt::Display for ConfidenceLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for ConfidenceLevel {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConfidenceLevel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": Self::LEAST, "maximum": Self::MOST })
    }
}

/// Kinds of number whose limits are all there is to them: fields name one by `#[schemars(with = "…")]`.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $least:literal $low:literal, $high:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    // The format keeps 2.0 out of a field of whole numbers.
                    let format = if $kind == "integer" { "int64" } else { "double" };
                    json_schema!({ "type": $kind, "format": format, $least: $low, "maximum": $high })
                }
            }
        )*
    };
}

limits! {
    /// A time after the start, in years.
    Years: "number", "exclusiveMinimum" 0, 150;
    /// A time from the start on, in years.
    YearsFromStart: "number", "minimum" 0, 150;
    /// A number of years counted whole.
    WholeYears: "integer", "minimum" 1, 150;
    /// The last day of a grid of time.
    Days: "integer", "minimum" 1, 60_000;
    /// Width of a cell of time, days.
    CellDays: "number", "minimum" 1, 3_653;
    /// A calendar year.
    CalendarYear: "integer", "minimum" 1500, 3000;
    /// A calendar year with its fraction.
    CalendarTime: "number", "minimum" 1500, 3000;
    /// An age in completed years.
    Age: "integer", "minimum" 0, 150;
    /// An age in years.
    AgeInYears: "number", "minimum" 0, 150;
    /// A share of a whole.
    Share: "number", "minimum" 0, 1;
    /// A weight or a rate.
    Weight: "number", "minimum" 0, 1_000_000_000_000_u64;
    /// So many units of something.
    Units: "number", "exclusiveMinimum" 0, 1_000_000_000;
    /// A value of a quantity.
    Quantity: "number", "minimum" -1_000_000_000, 1_000_000_000;
    /// The seed of a generator: a whole number that JSON holds exactly.
    Seed: "integer", "minimum" 0, 9_007_199_254_740_991_u64;
}

#[cfg(test)]
mod tests {
    use super::ConfidenceLevel;

    #[test]
    fn a_level_is_a_share_between_a_half_and_nearly_one() {
        for share in [0.5, 0.9, 0.95, 0.99, 0.9999] {
            assert_eq!(ConfidenceLevel::new(share).unwrap().share(), share);
        }
        for share in [95.0, 1.0, 0.0, -3.0, 0.4999, f64::NAN, f64::INFINITY] {
            assert!(ConfidenceLevel::new(share).is_err(), "{share}");
        }
        let written = serde_json::to_string(&ConfidenceLevel::default()).unwrap();
        assert_eq!(written, "0.95");
        let error = serde_json::from_str::<ConfidenceLevel>("95").unwrap_err().to_string();
        assert!(error.contains("such as 0.95"), "{error}");
    }
}

//! The schema of a result table: what each column is called, what part it plays, and in what unit its numbers are.
//!
//! A name means the same in every table: `n_event` is a count of persons, `time_years` a time, `hr_low` the lower limit of `hr`. So a
//! table is declared by its names alone, and a column whose unit depends on the model is given it, as by [`super::Table::unit`].

use serde::{Deserialize, Serialize};

/// The part that a column plays in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tells rows apart: a group, a term, a time.
    Key,
    /// A number that is the answer, or describes it.
    Estimate,
    /// Lower limit of another column.
    Lower,
    /// Upper limit of another column.
    Upper,
    /// Standard error of another column.
    StdError,
    /// A test: its statistic, degrees of freedom or p-value.
    Test,
    /// How much is behind a row: persons, events, person-years.
    Behind,
    /// What happened to the row.
    Status,
}

/// The unit of a column's numbers, which says how they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Words.
    Text,
    /// Whole numbers, such as persons, events or degrees of freedom.
    Count,
    /// Mid-year population: persons, not always a whole number.
    Population,
    /// An expected number of events.
    Expected,
    /// A proportion or probability, 0 to 1; printed in per cent.
    Share,
    /// Years of time or age.
    Years,
    /// Days.
    Days,
    /// A year of the calendar.
    CalendarYear,
    /// Person-years, or an effective number of persons.
    PersonYears,
    /// A rate or hazard per person-year.
    Rate,
    /// A p-value.
    PValue,
    /// A test statistic, deviance or log-likelihood.
    Statistic,
    /// Any other number: a ratio, a rate, a coefficient.
    Number,
}

/// One column of a result table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name, unique within the table.
    pub name: String,
    /// Its part.
    pub role: Role,
    /// Unit of its numbers.
    pub unit: Unit,
    /// The column whose limit or standard error it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Columns that tell rows apart by words.
const WORDS: [&str; 51] = [
    "ages",
    "approach",
    "band",
    "between",
    "cause",
    "chosen",
    "compared",
    "compared_with",
    "comparison",
    "component",
    "covariate",
    "drift",
    "estimator",
    "form",
    "from",
    "from_age",
    "group",
    "indicator",
    "interval",
    "kind",
    "level",
    "measure",
    "method",
    "model",
    "moderator",
    "other",
    "outcome",
    "patient",
    "quantity",
    "rating",
    "reference",
    "reference_group",
    "scale",
    "segment",
    "sex",
    "side",
    "site",
    "source",
    "stages",
    "standard",
    "state",
    "step",
    "stratum",
    "study",
    "term",
    "test",
    "to",
    "variable",
    "variance",
    "weights",
    "with",
];
/// Columns of numbers that tell rows apart.
const KEYS: [&str; 9] =
    ["time", "time_years", "year", "age", "period", "cohort", "from_year", "to_year", "duration"];
/// Columns of whole numbers that no rule of the name tells.
const COUNTS: [&str; 24] = [
    "n",
    "df",
    "observed",
    "parameters",
    "cases",
    "joinpoints",
    "k",
    "q_df",
    "test_df",
    "missing",
    "cohort",
    "period",
    "age",
    "moderators_df",
    "duration",
    "alive",
    "lost",
    "lost_alive",
    "prevalent",
    "periods",
    "groups",
    "deaths",
    "arm",
    "studies",
];

fn unit_of(name: &str) -> Unit {
    match name {
        "status" => Unit::Text,
        "year" | "from_year" | "to_year" => Unit::CalendarYear,
        "time" => Unit::Days,
        "population" => Unit::Population,
        "expected" => Unit::Expected,
        "hazard_per_year" => Unit::Rate,
        "person_years" | "effective" => Unit::PersonYears,
        "statistic"
        | "deviance"
        | "log_likelihood"
        | "log_likelihood_null"
        | "penalised_log_likelihood"
        | "aic" => Unit::Statistic,
        _ if name.ends_with("p_value") => Unit::PValue,
        _ if name.ends_with("_years") => Unit::Years,
        _ if name.ends_with("_days") => Unit::Days,
        _ if name.starts_with("n_") || name.starts_with("sites") || COUNTS.contains(&name) => {
            Unit::Count
        }
        _ if WORDS.contains(&name) || name.ends_with("_flag") => Unit::Text,
        _ => Unit::Number,
    }
}

fn role_of(name: &str, unit: Unit) -> Role {
    match name {
        "status" => Role::Status,
        "statistic" | "df" | "test_df" | "q" | "q_df" => Role::Test,
        _ if name.ends_with("_low") => Role::Lower,
        _ if name.ends_with("_high") => Role::Upper,
        _ if name.ends_with("std_error") => Role::StdError,
        _ if unit == Unit::PValue => Role::Test,
        _ if KEYS.contains(&name) || unit == Unit::Text => Role::Key,
        "n" | "population" | "person_years" => Role::Behind,
        _ if name.starts_with("n_") || name.starts_with("sites") => Role::Behind,
        _ => Role::Estimate,
    }
}

impl Field {
    /// A column whose unit is not told by its name.
    pub fn new(name: &str, unit: Unit) -> Self {
        Self { name: name.to_owned(), role: role_of(name, unit), unit, of: None }
    }

    /// Whether this column is a limit of another one.
    pub fn is_limit(&self) -> bool {
        matches!(self.role, Role::Lower | Role::Upper)
    }
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self::new(name, unit_of(name))
    }
}

/// Gives limits and standard errors the column that they belong to: the one of their stem, else the last estimate before them. Limits
/// take its unit.
pub(super) fn resolved(mut fields: Vec<Field>) -> Vec<Field> {
    for i in 0..fields.len() {
        if !matches!(fields[i].role, Role::Lower | Role::Upper | Role::StdError) {
            continue;
        }
        let stem = ["_low", "_high", "_std_error"]
            .iter()
            .find_map(|end| fields[i].name.strip_suffix(end))
            .unwrap_or_default();
        let named = fields.iter().position(|f| f.name == stem);
        let before = || fields[..i].iter().rposition(|f| f.role == Role::Estimate);
        let Some(of) = named.or_else(before) else { continue };
        if fields[i].is_limit() && fields[i].unit == Unit::Number {
            fields[i].unit = fields[of].unit;
        }
        fields[i].of = Some(fields[of].name.clone());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Vec<Field> {
        resolved(names.iter().map(|name| Field::from(*name)).collect())
    }

    #[test]
    fn limits_belong_to_the_column_of_their_stem_or_to_the_estimate_before_them() {
        let fields = table(&[
            "term",
            "estimate",
            "std_error",
            "conf_low",
            "conf_high",
            "hazard_ratio",
            "hazard_ratio_low",
            "hazard_ratio_high",
            "p_value",
            "status",
        ]);
        let of: Vec<&str> = fields.iter().map(|f| f.of.as_deref().unwrap_or("")).collect();
        let wanted = [
            "",
            "",
            "estimate",
            "estimate",
            "estimate",
            "",
            "hazard_ratio",
            "hazard_ratio",
            "",
            "",
        ];
        assert_eq!(of, wanted);
        assert_eq!(fields[0].role, Role::Key);
        assert_eq!(
            fields[8],
            Field { name: "p_value".into(), role: Role::Test, unit: Unit::PValue, of: None }
        );
    }

    #[test]
    fn limits_of_a_share_are_shares() {
        let fields = resolved(vec![
            "time_years".into(),
            Field::new("estimate", Unit::Share),
            "conf_low".into(),
        ]);
        assert_eq!(fields[2].unit, Unit::Share);
        assert_eq!(fields[0].unit, Unit::Years);
    }
}

//! Covariances of the errors of a study's outcomes, from a file of their own.

use std::collections::BTreeMap;

use super::{DataError, sheet::Sheet};

/// Covariance, and the line on which it stands, by study and pair of outcomes.
#[derive(Debug, Clone, Default)]
pub struct Covariances(BTreeMap<(String, String, String), (f64, usize)>);

fn fault(study: &str, line: Option<usize>, reason: String) -> DataError {
    let place = line.map_or_else(String::new, |line| format!(", line {line}"));
    DataError::Covariance { study: study.to_owned(), place, reason }
}

impl Covariances {
    /// Reads comma-separated text with the columns `study`, `outcome`, `with` and `covariance`: a line for each pair of outcomes of
    /// a study, in either order. The variance of an outcome, `with` itself, may be given too.
    ///
    /// # Errors
    /// If a column is missing, a covariance is no number, or two lines about a pair differ.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let sheet = Sheet::read(text)?;
        let [study, outcome, with, covariance] = ["study", "outcome", "with", "covariance"];
        let (study, covariance) = (sheet.column(study)?, sheet.column(covariance)?);
        let (outcome, with) = (sheet.column(outcome)?, sheet.column(with)?);
        let mut found = BTreeMap::new();
        for row in &sheet.rows {
            let value = sheet.number(row, covariance, "a covariance")?;
            let [study, a, b] = [study, outcome, with].map(|at| row.cell(at).to_owned());
            let pair = if a <= b { (study, a, b) } else { (study, b, a) };
            let before = found.insert(pair.clone(), (value, row.line));
            if let Some((other, _)) = before.filter(|(other, _)| *other != value) {
                let reason = format!(
                    "`{}` with `{}` has {value} here and {other} before; expected one value",
                    pair.1, pair.2
                );
                return Err(fault(&pair.0, Some(row.line), reason));
            }
        }
        Ok(Self(found))
    }

    /// The covariance of two outcomes of a study.
    pub(super) fn of(&self, study: &str, a: &str, b: &str) -> Result<f64, DataError> {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        let key = (study.to_owned(), first.to_owned(), second.to_owned());
        let missing = || {
            let reason = format!("there is no line for `{first}` with `{second}`; expected one");
            fault(study, None, reason)
        };
        self.0.get(&key).map(|(value, _)| *value).ok_or_else(missing)
    }

    /// Whether every line is about a study and outcomes of the data, and variances are the squares of the standard errors there.
    pub(super) fn check(
        &self,
        variance: &dyn Fn(&str, &str) -> Option<f64>,
    ) -> Result<(), DataError> {
        for ((study, a, b), (value, line)) in &self.0 {
            let mut own = None;
            for outcome in [a, b] {
                own = variance(study, outcome);
                if own.is_none() {
                    let reason = format!(
                        "the data have no effect of this study on `{outcome}`; take the line away, or name the study and its outcome as in the data"
                    );
                    return Err(fault(study, Some(*line), reason));
                }
            }
            let own = own.unwrap_or_default();
            // Standard errors are often written with few digits.
            if a == b && (own - value).abs() > 0.01 * own {
                let reason = format!(
                    "`{a}` with itself has {value}, but the square of its standard error is {own}; expected the same"
                );
                return Err(fault(study, Some(*line), reason));
            }
        }
        Ok(())
    }

    /// A covariance matrix that cannot be one.
    pub(super) fn impossible(study: &str) -> DataError {
        let reason = "no errors can have these covariances with their standard errors; expected correlations between −1 and 1 that go together";
        fault(study, None, reason.into())
    }
}

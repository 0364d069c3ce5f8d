//! The gate: the one way from a draft to a summary.

use serde::{Deserialize, Serialize};

use super::{
    array::{Array, Kind, Summary},
    draft::{Draft, Support},
    policy::Policy,
};

/// Who can read a site's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Nobody: only the sum over the sites is read.
    SumOnly,
    /// The hub and the readers of the report.
    EachSite,
}

/// Rule by which cells were hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HidingRule {
    /// The count is below the floor.
    MinCell,
    /// It would give away a cell below the floor.
    Complement,
}

/// Cells of one array hidden by one rule. How many is no secret: they are empty in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// Array.
    pub array: String,
    /// Rule.
    pub rule: HidingRule,
    /// Number of cells.
    pub cells: u64,
}

/// Rule by which a whole answer was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalRule {
    /// Too few persons behind a visible answer.
    MinPersons,
    /// Too few persons behind a part of a sum.
    MinPersonsInSum,
    /// Too few events behind a visible fit.
    MinEvents,
    /// Too many parameters per event in a visible fit.
    MaxParametersPerEvent,
    /// More rounds than allowed.
    MaxRounds,
    /// Answers visible per site do not leave this site.
    EachSite,
    /// A number too large to be summed under the seal.
    TooLarge,
}

/// An answer held back. It stays at the site: neither it nor its text is sent. Others see its [`PublicRefusal`].
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    rule: RefusalRule,
    found: f64,
    limit: f64,
}

/// What others are told of a refusal: the rule, and no number that it protects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicRefusal {
    /// The rule that held the answer back.
    pub rule: RefusalRule,
}

impl Refusal {
    /// The part that may be told.
    pub fn public(&self) -> PublicRefusal {
        PublicRefusal { rule: self.rule }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, found, limit } = self;
        match rule {
            RefusalRule::MinPersons => {
                write!(f, "is based on {found} persons; the policy requires {limit}")
            }
            RefusalRule::MinPersonsInSum => {
                write!(f, "is based on {found} persons; the policy requires {limit} in a sum")
            }
            RefusalRule::MinEvents => {
                write!(f, "is based on {found} events; the policy requires {limit}")
            }
            RefusalRule::MaxParametersPerEvent => {
                write!(f, "has {found:.3} parameters per event; the policy allows {limit}")
            }
            RefusalRule::MaxRounds => {
                write!(f, "would be round {found}; the policy allows {limit}")
            }
            RefusalRule::EachSite => f.write_str("would be visible; the policy allows sums only"),
            RefusalRule::TooLarge => {
                f.write_str("contains a number too large to be summed under the seal")
            }
        }
    }
}

/// Holds `draft` against `policy`. `round` counts from 0; each round is a release.
///
/// # Errors
/// A [`Refusal`] if the answer as a whole may not leave. Single cells below the floor do not refuse an answer: they leave as
/// hidden.
pub fn release(
    draft: Draft,
    policy: &Policy,
    visibility: Visibility,
    round: u32,
) -> Result<Summary, Refusal> {
    let refuse = |rule, found: f64, limit: f64| Err(Refusal { rule, found, limit });
    if round >= policy.max_rounds {
        return refuse(
            RefusalRule::MaxRounds,
            f64::from(round) + 1.0,
            f64::from(policy.max_rounds),
        );
    }
    let persons = draft.persons;
    match visibility {
        Visibility::SumOnly => {
            if persons < policy.min_persons_in_sum {
                return refuse(
                    RefusalRule::MinPersonsInSum,
                    persons as f64,
                    policy.min_persons_in_sum as f64,
                );
            }
            Ok(Summary::passed(draft, Vec::new()))
        }
        Visibility::EachSite => {
            if !policy.each_site {
                return refuse(RefusalRule::EachSite, 0.0, 0.0);
            }
            if let Some(fitted) = draft.fitted {
                if persons < policy.min_persons {
                    return refuse(
                        RefusalRule::MinPersons,
                        persons as f64,
                        policy.min_persons as f64,
                    );
                }
                if fitted.events < policy.min_events {
                    let limit = policy.min_events as f64;
                    return refuse(RefusalRule::MinEvents, fitted.events as f64, limit);
                }
                let per_event = fitted.parameters as f64 / (fitted.events.max(1)) as f64;
                if per_event > policy.max_parameters_per_event {
                    let limit = policy.max_parameters_per_event;
                    return refuse(RefusalRule::MaxParametersPerEvent, per_event, limit);
                }
            }
            let mut draft = draft;
            let mut hidden = Vec::new();
            for (array, support) in &mut draft.arrays {
                hidden.extend(hide(array, support, policy));
            }
            Ok(Summary::passed(draft, hidden))
        }
    }
}

/// Hides the cells of one array that rest on too few persons, then those that would give them away.
pub(super) fn hide(array: &mut Array, support: &Support, policy: &Policy) -> Vec<Hidden> {
    let cells = array.cells().len();
    let persons: Vec<f64> = match support {
        Support::Public => return Vec::new(),
        Support::OwnCounts => array.cells().iter().map(|c| c.unwrap_or(0.0)).collect(),
        Support::PerCell(persons) => persons.iter().map(|&n| n as f64).collect(),
        Support::Whole(persons) => vec![*persons as f64; cells],
    };
    let too_few = |n: f64| if n == 0.0 { !policy.zero_is_safe } else { n < policy.min_cell as f64 };
    let mut is_hidden: Vec<bool> = persons.iter().map(|&n| too_few(n)).collect();
    let primary = is_hidden.iter().filter(|h| **h).count();
    if policy.complementary && array.kind() == Kind::Count {
        let shape: Vec<usize> = array.axes().iter().map(|a| a.len()).collect();
        hide_complements(&mut is_hidden, &persons, &shape, policy.min_cell as f64);
    }
    let all = is_hidden.iter().filter(|h| **h).count();
    for (cell, hidden) in array.cells_mut().iter_mut().zip(&is_hidden) {
        if *hidden {
            *cell = None;
        }
    }
    let note = |rule, cells: usize| {
        (cells > 0).then(|| Hidden { array: array.name().to_owned(), rule, cells: cells as u64 })
    };
    note(HidingRule::MinCell, primary)
        .into_iter()
        .chain(note(HidingRule::Complement, all - primary))
        .collect()
}

/// In every line of the array along every axis, the hidden cells must not be had back from the line's total: a single
/// hidden cell needs a companion, and hidden cells whose sum is itself below the floor need one too.
fn hide_complements(is_hidden: &mut [bool], persons: &[f64], shape: &[usize], min_cell: f64) {
    loop {
        let mut changed = false;
        let mut stride = persons.len();
        for &length in shape {
            if length == 0 {
                return;
            }
            let block = stride;
            stride /= length;
            for start in (0..persons.len()).filter(|i| i % block < stride) {
                let line = || (0..length).map(|k| start + k * stride);
                let count = line().filter(|&i| is_hidden[i]).count();
                let sum: f64 = line().filter(|&i| is_hidden[i]).map(|i| persons[i]).sum();
                if count == 0 || (count > 1 && sum >= min_cell) {
                    continue;
                }
                // The smallest cell that says something; a shown 0 protects nothing.
                let companion = line()
                    .filter(|&i| !is_hidden[i] && persons[i] > 0.0)
                    .min_by(|&a, &b| persons[a].total_cmp(&persons[b]));
                if let Some(i) = companion {
                    is_hidden[i] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Axis, Rule};

    fn table(cells: &[f64], rows: usize) -> Draft {
        let columns = cells.len() / rows;
        let axes = vec![Axis::numbered("row", rows), Axis::numbered("column", columns)];
        let array = Array::new("t", axes, Kind::Count, Rule::Stack, cells.to_vec()).unwrap();
        Draft::new(cells.iter().sum::<f64>() as u64).with(array, Support::OwnCounts)
    }

    fn shown(cells: &[f64], rows: usize, policy: &Policy) -> Vec<Option<f64>> {
        let summary = release(table(cells, rows), policy, Visibility::EachSite, 0).unwrap();
        summary.array("t").unwrap().cells().to_vec()
    }

    #[test]
    fn a_small_cell_takes_companions_in_its_row_and_column_with_it() {
        let policy = Policy { min_cell: 5, ..Policy::default() };
        let cells = [3.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0];
        let left = shown(&cells, 3, &policy);
        let n = None;
        let s = |i: usize| Some(cells[i]);
        assert_eq!(left, [n, n, s(2), n, n, s(5), s(6), s(7), s(8)]);
    }

    #[test]
    fn a_zero_is_shown_where_it_is_safe_and_never_serves_as_companion() {
        let policy = Policy { min_cell: 5, ..Policy::default() };
        assert_eq!(shown(&[0.0, 2.0, 9.0], 1, &policy)[0], Some(0.0));
        assert_eq!(shown(&[0.0, 2.0, 9.0], 1, &policy)[1..], [None, None]);
        let wary = Policy { zero_is_safe: false, ..policy };
        assert_eq!(shown(&[0.0, 20.0, 90.0], 1, &wary), [None, None, Some(90.0)]);
    }

    #[test]
    fn a_sum_keeps_its_small_cells_and_a_visible_answer_does_not() {
        let policy = Policy::default();
        let summary = release(table(&[1.0, 40.0], 1), &policy, Visibility::SumOnly, 0).unwrap();
        assert_eq!(summary.array("t").unwrap().cells(), [Some(1.0), Some(40.0)]);
        assert_eq!(shown(&[1.0, 40.0], 1, &policy), [None, None]);
    }

    #[test]
    fn a_refusal_tells_others_the_rule_and_no_number() {
        let policy = Policy { max_rounds: 2, min_persons_in_sum: 17, ..Policy::default() };
        let refusal = release(table(&[7.0], 1), &policy, Visibility::SumOnly, 0).unwrap_err();
        assert!(refusal.to_string().contains('7'));
        let public = serde_json::to_string(&refusal.public()).unwrap();
        assert_eq!(public, r#"{"rule":"min-persons-in-sum"}"#);
        let refusal = release(table(&[70.0], 1), &policy, Visibility::SumOnly, 2).unwrap_err();
        assert_eq!(refusal.public().rule, RefusalRule::MaxRounds);
    }
}

//! Policies only tighten, and rows cannot be sent.

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use tributary::{
    cohort::{Cohort, SiteData},
    summary::{
        Array, Axis, Draft, Kind, Policy, Refusal, Rule, Summary, Support, Visibility, release,
    },
};

static_assertions::assert_not_impl_any!(Cohort: Serialize, Clone);
static_assertions::assert_not_impl_any!(SiteData: Serialize, Clone);
static_assertions::assert_not_impl_any!(Draft: Serialize, Clone);
static_assertions::assert_not_impl_any!(Refusal: Serialize);
static_assertions::assert_impl_all!(Summary: Serialize, DeserializeOwned);

fn policies() -> impl Strategy<Value = Policy> {
    let counts = (0_u64..20, any::<bool>(), any::<bool>(), 0_u64..60, 0_u64..30);
    let limits = (0.0_f64..2.0, 0_u64..60, 0_u32..5, 0_u32..5, any::<bool>());
    (counts, limits).prop_map(|(counts, limits)| Policy {
        min_cell: counts.0,
        zero_is_safe: counts.1,
        complementary: counts.2,
        min_persons: counts.3,
        min_events: counts.4,
        max_parameters_per_event: limits.0,
        min_persons_in_sum: limits.1,
        max_rounds: limits.2,
        min_sites: limits.3,
        each_site: limits.4,
    })
}

fn draft(cells: &[u64], rows: usize, fitted: Option<(u64, u64)>) -> Draft {
    let values: Vec<f64> = cells.iter().map(|&n| n as f64).collect();
    let axes = vec![Axis::numbered("row", rows), Axis::numbered("column", cells.len() / rows)];
    let array = Array::new("t", axes, Kind::Count, Rule::Stack, values).unwrap();
    let draft = Draft::new(cells.iter().sum()).with(array, Support::OwnCounts);
    match fitted {
        Some((parameters, events)) => draft.fitted(parameters, events),
        None => draft,
    }
}

type Case = (Vec<u64>, usize, Option<(u64, u64)>, u32, bool);

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..4, 1_usize..5).prop_flat_map(|(rows, columns)| {
        let cells = prop::collection::vec(0_u64..30, rows * columns);
        (cells, Just(rows), prop::option::of((0_u64..10, 0_u64..30)), 0_u32..5, any::<bool>())
    })
}

fn released((cells, rows, fitted, round, sum): &Case, policy: &Policy) -> Option<Vec<Option<f64>>> {
    let visibility = if *sum { Visibility::SumOnly } else { Visibility::EachSite };
    let summary = release(draft(cells, *rows, *fitted), policy, visibility, *round).ok()?;
    Some(summary.array("t").unwrap().cells().to_vec())
}

proptest! {
    /// What the stricter of two policies lets pass, either lets pass: primary suppression, refusals, rounds.
    #[test]
    fn a_site_cannot_loosen_the_policy(a in policies(), b in policies(), case in cases()) {
        // Companions of hidden cells depend on which cells are hidden; they are held against the law below.
        let plain = |p: &Policy| Policy { complementary: false, ..p.clone() };
        let both = released(&case, &plain(&a.stricter(&b)));
        for one in [&a, &b] {
            let alone = released(&case, &plain(one));
            match (&both, &alone) {
                (Some(both), Some(alone)) => {
                    for (tight, loose) in both.iter().zip(alone) {
                        prop_assert!(tight.is_none() || tight == loose);
                    }
                }
                (Some(_), None) => prop_assert!(false, "the stricter policy let an answer pass"),
                (None, _) => {}
            }
        }
    }

    #[test]
    fn stricter_is_commutative_and_idempotent(a in policies(), b in policies()) {
        prop_assert_eq!(a.stricter(&b), b.stricter(&a));
        prop_assert!(a.stricter(&a) == a);
        prop_assert_eq!(a.stricter(&Policy::open()), a);
    }

    /// No line of a visible table leaves exactly one hidden cell that its total would give away, unless nothing else in the
    /// line could be hidden; and no shown count lies under the floor.
    #[test]
    fn a_hidden_cell_is_never_alone(case in cases(), min_cell in 2_u64..15) {
        let policy = Policy { min_cell, complementary: true, each_site: true, ..Policy::open() };
        let (cells, rows, ..) = &case;
        let open = (cells.clone(), *rows, None, 0, false);
        let shown = released(&open, &policy).unwrap();
        let columns = cells.len() / rows;
        for (cell, n) in shown.iter().zip(cells) {
            prop_assert!(cell.is_none() || *n == 0 || *n >= min_cell);
        }
        let by_row = (0..*rows).map(|r| (0..columns).map(|c| r * columns + c).collect::<Vec<_>>());
        let by_column = (0..columns).map(|c| (0..*rows).map(|r| r * columns + c).collect::<Vec<_>>());
        for line in by_row.chain(by_column) {
            let hidden: Vec<usize> = line.iter().copied().filter(|&i| shown[i].is_none()).collect();
            let left = line.iter().any(|&i| shown[i].is_some_and(|n| n > 0.0));
            let sum: u64 = hidden.iter().map(|&i| cells[i]).sum();
            prop_assert!(hidden.is_empty() || !left || (hidden.len() > 1 && sum >= min_cell));
        }
    }
}

#[test]
fn a_summary_that_is_not_finite_cannot_be_read() {
    let text = r#"{"arrays":[{"name":"t","axes":[],"kind":"count","rule":"add","shown":false,"cells":[1e999]}],"hidden":[]}"#;
    assert!(serde_json::from_str::<Summary>(text).is_err());
    let wrong_size = text.replace("1e999", "1,2");
    let error = serde_json::from_str::<Summary>(&wrong_size).unwrap_err().to_string();
    assert!(error.contains("2 cells") && error.contains("need 1"), "{error}");
}

//! Several sites' summaries become one: cells add, or stand side by side.

use std::collections::BTreeMap;

use tributary_stats::sum::neumaier;

use super::{
    array::{Array, Axis, Kind, Layout, LayoutError, Rule, SiteId, Summary},
    draft::Support,
    policy::Policy,
    release::{Hidden, HidingRule, hide},
};

/// Why summaries cannot be pooled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// Fewer sites than the policy asks for.
    #[error("{found} sites answered; a pooled sum needs {wanted}")]
    TooFewSites {
        /// Sites that answered.
        found: usize,
        /// Sites wanted.
        wanted: u32,
    },
    /// Two sites sent arrays of different form.
    #[error("array `{array}` of site {site} has a different layout from that of site {other}")]
    Layout {
        /// Array.
        array: String,
        /// Site.
        site: SiteId,
        /// Site it was compared with.
        other: SiteId,
    },
    /// An array that stands side by side cannot be summed.
    #[error("array `{array}` is by site, so it has no sum")]
    Stacked {
        /// Array.
        array: String,
    },
    /// The pooled array is not sound.
    #[error(transparent)]
    Array(#[from] LayoutError),
}

/// Pools the answers of `sites`, in the order of their codes. A cell that any site hides is hidden in the sum. Arrays that
/// are printed as they are then meet the study's floor.
pub fn combine(
    sites: &BTreeMap<SiteId, Summary>,
    policy: &Policy,
) -> Result<Summary, CombineError> {
    let too_few = CombineError::TooFewSites { found: sites.len(), wanted: policy.min_sites };
    if sites.len() < policy.min_sites as usize {
        return Err(too_few);
    }
    let Some((first_site, first)) = sites.first_key_value() else { return Err(too_few) };
    for (site, summary) in sites {
        let differs = |array: &str| CombineError::Layout {
            array: array.to_owned(),
            site: site.clone(),
            other: first_site.clone(),
        };
        if summary.arrays().len() != first.arrays().len() {
            return Err(differs("(all)"));
        }
        for (ours, theirs) in first.arrays().iter().zip(summary.arrays()) {
            if !ours.same_layout(theirs) {
                return Err(differs(theirs.name()));
            }
        }
    }

    let mut hidden: Vec<Hidden> = Vec::new();
    let mut pooled = Vec::with_capacity(first.arrays().len());
    for (at, array) in first.arrays().iter().enumerate() {
        let parts: Vec<&Array> = sites.values().map(|s| &s.arrays()[at]).collect();
        let mut array = match array.rule() {
            Rule::Add => add(array, &parts)?,
            Rule::Stack => stack(array, sites.keys(), &parts)?,
        };
        if array.is_shown() && array.kind() == Kind::Count {
            hidden.extend(match array.rule() {
                Rule::Add => hide(&mut array, &Support::OwnCounts, policy),
                Rule::Stack if policy.complementary => hide_lonely(&mut array),
                Rule::Stack => Vec::new(),
            });
        }
        pooled.push(array);
    }
    Ok(Summary::pooled(pooled, hidden))
}

/// The summary of a sum that was formed elsewhere, under the seal: `totals` are the pooled cells of each layout. The study's
/// floor is held against what is printed, as in [`combine`].
///
/// # Errors
/// If cells and layouts do not fit, or an array does not add.
pub fn summed(
    layouts: Vec<Layout>,
    totals: Vec<Vec<f64>>,
    policy: &Policy,
) -> Result<Summary, CombineError> {
    let mut hidden = Vec::new();
    let mut arrays = Vec::with_capacity(layouts.len());
    for (layout, cells) in layouts.into_iter().zip(totals) {
        let Layout { name, axes, kind, rule, shown } = layout;
        if rule == Rule::Stack {
            return Err(CombineError::Stacked { array: name });
        }
        let cells = cells.into_iter().map(Some).collect();
        let mut array = Array::checked(name, axes, kind, rule, shown, cells)?;
        if shown && kind == Kind::Count {
            hidden.extend(hide(&mut array, &Support::OwnCounts, policy));
        }
        arrays.push(array);
    }
    Ok(Summary::pooled(arrays, hidden))
}

fn add(layout: &Array, parts: &[&Array]) -> Result<Array, LayoutError> {
    let cells = (0..layout.cells().len())
        .map(|i| {
            let terms: Option<Vec<f64>> = parts.iter().map(|a| a.cells()[i]).collect();
            terms.map(neumaier)
        })
        .collect();
    let axes = layout.axes().to_vec();
    Array::checked(
        layout.name().to_owned(),
        axes,
        layout.kind(),
        Rule::Add,
        layout.is_shown(),
        cells,
    )
}

fn stack<'a>(
    layout: &Array,
    sites: impl Iterator<Item = &'a SiteId>,
    parts: &[&Array],
) -> Result<Array, LayoutError> {
    let site_axis = Axis::new("site", sites.map(SiteId::as_str));
    let axes = std::iter::once(site_axis).chain(layout.axes().iter().cloned()).collect();
    let cells = parts.iter().flat_map(|a| a.cells().iter().copied()).collect();
    Array::checked(
        layout.name().to_owned(),
        axes,
        layout.kind(),
        Rule::Stack,
        layout.is_shown(),
        cells,
    )
}

/// A cell that one site alone hides is had back from the total of all sites, which another table may show. It takes the
/// smallest count of another site with it, and so on along every axis until no hidden cell is alone in its line.
fn hide_lonely(array: &mut Array) -> Vec<Hidden> {
    let shape: Vec<usize> = array.axes().iter().map(|a| a.len()).collect();
    let total = array.cells().len();
    let before = array.cells().iter().filter(|c| c.is_none()).count();
    let mut changed = before > 0;
    while changed {
        changed = false;
        let mut stride = total;
        for &length in &shape {
            let block = stride;
            stride /= length.max(1);
            for start in (0..total).filter(|i| i % block < stride) {
                let line = || (0..length).map(|k| start + k * stride);
                let cells = array.cells();
                if line().filter(|&i| cells[i].is_none()).count() != 1 {
                    continue;
                }
                let companion = line()
                    .filter_map(|i| Some((i, cells[i]?)))
                    .filter(|(_, n)| *n > 0.0)
                    .min_by(|a, b| a.1.total_cmp(&b.1));
                if let Some((i, _)) = companion {
                    array.cells_mut()[i] = None;
                    changed = true;
                }
            }
        }
    }
    let cells = (array.cells().iter().filter(|c| c.is_none()).count() - before) as u64;
    let note = Hidden { array: array.name().to_owned(), rule: HidingRule::Complement, cells };
    if cells > 0 { vec![note] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Draft, Visibility, release};

    fn answer(site: &str, cells: &[f64], axis: &str) -> (SiteId, Summary) {
        let axes = vec![Axis::numbered(axis, cells.len())];
        let array = Array::new("n", axes, Kind::Count, Rule::Add, cells.to_vec()).unwrap();
        let draft = Draft::new(9).with(array.shown(), Support::OwnCounts);
        let summary = release(draft, &Policy::default(), Visibility::SumOnly, 0).unwrap();
        (SiteId::new(site).unwrap(), summary)
    }

    /// Site k reports 2ᵏ: the total shows who was counted, and how often.
    #[test]
    fn every_site_is_counted_once() {
        let sites: BTreeMap<_, _> =
            (0..20).map(|k| answer(&format!("S{k:02}"), &[f64::from(1 << k)], "x")).collect();
        let pooled = combine(&sites, &Policy::default()).unwrap();
        assert_eq!(pooled.numbers("n").unwrap(), [f64::from((1 << 20) - 1)]);
    }

    #[test]
    fn pooled_cells_below_the_floor_are_not_shown() {
        let sites: BTreeMap<_, _> =
            ["A", "B", "C"].map(|s| answer(s, &[1.0, 30.0, 9.0], "x")).into_iter().collect();
        let pooled = combine(&sites, &Policy::default()).unwrap();
        assert_eq!(pooled.array("n").unwrap().cells(), [None, Some(90.0), None]);
        assert_eq!(pooled.hidden().len(), 2);
    }

    #[test]
    fn other_layouts_and_too_few_sites_are_refused() {
        let mut sites: BTreeMap<_, _> =
            ["A", "B"].map(|s| answer(s, &[1.0], "x")).into_iter().collect();
        let error = combine(&sites, &Policy::default()).unwrap_err();
        assert_eq!(error, CombineError::TooFewSites { found: 2, wanted: 3 });
        sites.extend([answer("C", &[1.0], "y")]);
        assert!(matches!(combine(&sites, &Policy::default()), Err(CombineError::Layout { .. })));
    }

    /// One site hides a count of 3; the total of all sites is known from a table of sums.
    #[test]
    fn a_cell_that_one_site_alone_hides_takes_another_site_with_it() {
        let visible = |site: &str, cells: [f64; 3]| {
            let axes = vec![Axis::numbered("x", 3)];
            let array = Array::new("n", axes, Kind::Count, Rule::Stack, cells.to_vec()).unwrap();
            let draft = Draft::new(99).with(array.shown(), Support::OwnCounts);
            let summary = release(draft, &Policy::default(), Visibility::EachSite, 0).unwrap();
            (SiteId::new(site).unwrap(), summary)
        };
        let sites = [
            visible("A", [3.0, 20.0, 50.0]),
            visible("B", [40.0, 30.0, 60.0]),
            visible("C", [45.0, 35.0, 65.0]),
        ];
        let pooled = combine(&sites.into_iter().collect(), &Policy::default()).unwrap();
        let (n, s) = (None, Some);
        let wanted = [n, n, s(50.0), n, n, s(60.0), s(45.0), s(35.0), s(65.0)];
        assert_eq!(pooled.array("n").unwrap().cells(), wanted);
        assert_eq!(pooled.hidden()[0].cells, 2);
    }
}

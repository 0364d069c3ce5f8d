//! Agreement of two ratings of the same patients, such as the local and the central reading of histology.
//!
//! *Estimates* the proportion of agreement, Cohen's kappa and, with one rating as reference, sensitivity, specificity and
//! predictive values. *A site sends* the cross-table. *Sums*: cell by cell; with `by = "site"` the tables stand side by
//! side and each site's floors hold. *The hub* computes all measures. *Differs from pooling rows*: not at all. *Not done*:
//! weighted kappa, more than two ratings. *Sources*: Cohen (1960); Fleiss, Cohen & Everitt (1969); Clopper & Pearson (1934).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::ConfidenceLevel,
    model::{Context, Exchanges, ModelCard, OneRound, Statistic},
    rows,
    spec::{Fault, suggestion},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};
use tributary_stats::{
    distribution::{clopper_pearson, normal_point, normal_two_sided},
    kappa::kappa,
};

/// The model.
#[derive(Debug)]
pub struct Agreement;

/// `by` of the agreement: nothing else makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// One table per site.
    Site,
}

/// Options of `agreement`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// First rating: the one that is judged.
    pub rating: String,
    /// Second rating: the reference.
    pub reference: String,
    /// Level that counts as positive; the last one if absent.
    #[serde(default)]
    pub positive: Option<String>,
    /// `site` for one table per site.
    #[serde(default)]
    by: Option<By>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
}

#[derive(Debug)]
pub struct Ratings {
    /// Sites, if the tables stand side by side.
    sites: Vec<String>,
    by_site: bool,
    axes: [Axis; 2],
    counts: Vec<Option<f64>>,
    missing: Option<f64>,
}

/// Cohen's kappa among the measures.
pub const KAPPA: &str = "kappa";

rows! {
    /// Patients of a group with a pair of ratings.
    pub struct Rated in "counts" {
        pub group: String,
        pub rating: String,
        pub reference: String,
        pub n: Number,
        pub status: Status,
    }

    /// A measure of agreement in a group: a proportion with its fraction, or [`KAPPA`].
    pub struct Measure in "measures" {
        pub group: String,
        pub measure: String,
        pub estimate: Number,
        pub std_error: Number,
        pub statistic: Number,
        pub p_value: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub numerator: Number,
        pub denominator: Number,
        pub status: Status,
    }
}

static CARD: ModelCard = ModelCard {
    kind: "agreement",
    title: "Agreement between two ratings",
    estimates: "agreement, Cohen's kappa, sensitivity, specificity and predictive values",
    sends: "the cross-classification of the two ratings",
    pools: "cells are summed, or shown side by side by site; measures are computed at the hub",
    differs: "none",
    not_done: "weighted kappa; more than two ratings",
    exchanges: Exchanges::One,
    sources: "Cohen 1960; Fleiss, Cohen & Everitt 1969; Clopper & Pearson 1934",
    example: "id = \"readings\"\nkind = \"agreement\"\nrating = \"x_hist_local\"\nreference = \"x_hist_central\"\npositive = \"UH\"\n",
};

impl Statistic for Ratings {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let cells: Vec<f64> = self.counts.iter().map(|c| c.unwrap_or(0.0)).collect();
        let missing = self.missing.unwrap_or(0.0);
        let persons = (cells.iter().sum::<f64>() + missing) as u64;
        let rule = if self.by_site { Rule::Stack } else { Rule::Add };
        let ratings = Array::new("ratings", self.axes.to_vec(), Kind::Count, rule, cells)?;
        let not_known = Array::new("not_known", vec![], Kind::Count, rule, vec![missing])?;
        Ok(Draft::new(persons)
            .with(ratings.shown(), Support::OwnCounts)
            .with(not_known.shown(), Support::OwnCounts))
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let array = summary.array("ratings")?;
        let by_site = array.rule() == Rule::Stack;
        let [.., first, second] = array.axes() else {
            return Err(LayoutError::Missing { array: "ratings".into() });
        };
        let missing = summary.array("not_known")?.cells().iter().copied().sum();
        Ok(Self {
            sites: array.levels("site"),
            by_site,
            axes: [first.clone(), second.clone()],
            counts: array.cells().to_vec(),
            missing,
        })
    }
}

impl OneRound for Agreement {
    type Options = Options;
    type Statistic = Ratings;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let named = [("/rating", &options.rating), ("/reference", &options.reference)];
        let faults: Vec<Fault> =
            named.iter().filter_map(|(at, name)| context.check_levels(at, name)).collect();
        if !faults.is_empty() {
            return faults;
        }
        let (first, second) = (context.levels(&options.rating), context.levels(&options.reference));
        if first != second {
            let message =
                format!("`{}` and `{}` have different levels", options.rating, options.reference);
            return vec![
                Fault::new("/reference", message).hint("the two ratings must have the same levels"),
            ];
        }
        let positive =
            options.positive.get_or_insert_with(|| first.last().cloned().unwrap_or_default());
        if first.contains(positive) {
            return Vec::new();
        }
        let message = format!("`{positive}` is not a level of `{}`", options.rating);
        vec![Fault::new("/positive", message).hint(suggestion(positive, &first))]
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        vec![ColumnNeed::levels(&options.rating), ColumnNeed::levels(&options.reference)]
    }

    fn visibility(&self, options: &Options) -> Visibility {
        if options.by.is_some() { Visibility::EachSite } else { Visibility::SumOnly }
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Ratings, CohortError> {
        let (first, levels) = data.cohort.levels(&options.rating)?;
        let (second, _) = data.cohort.levels(&options.reference)?;
        let k = levels.len();
        let mut counts = vec![0.0; k * k];
        let mut missing = 0.0;
        for (a, b) in first.iter().zip(&second) {
            match (a, b) {
                (Some(a), Some(b)) => counts[*a as usize * k + *b as usize] += 1.0,
                (None, _) | (_, None) => missing += 1.0,
            }
        }
        Ok(Ratings {
            sites: Vec::new(),
            by_site: options.by.is_some(),
            axes: [
                Axis::new(&options.rating, levels.clone()),
                Axis::new(&options.reference, levels),
            ],
            counts: counts.into_iter().map(Some).collect(),
            missing: Some(missing),
        })
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Ratings,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let mut estimate = Estimate::new(Exactness::Exact, sites);
        let Ratings { sites, axes: [first, second], counts, missing, .. } = pooled;
        let level = options.confidence_level.share();
        let k = first.len();
        estimate.line("estimator", "kappa", &[]);
        estimate.line(
            "interval",
            "kappa-and-proportions",
            &[("level", (100.0 * level).to_string())],
        );
        let (mut rated, mut rows) = (Vec::new(), Vec::new());
        let groups: Vec<(&str, Vec<Option<f64>>)> = if sites.is_empty() {
            vec![("all", counts.clone())]
        } else {
            let one = |s: usize| counts[s * k * k..(s + 1) * k * k].to_vec();
            let all = (0..k * k).map(|i| (0..sites.len()).map(|s| counts[s * k * k + i]).sum());
            let by_site = sites.iter().enumerate().map(|(s, site)| (site.as_str(), one(s)));
            by_site.chain(std::iter::once(("all", all.collect()))).collect()
        };
        for (group, cells) in &groups {
            for (i, cell) in cells.iter().enumerate() {
                let status = if cell.is_some() { Status::Ok } else { Status::Suppressed };
                rated.push(Rated {
                    group: (*group).to_owned(),
                    rating: first.level(i / k).into_owned(),
                    reference: second.level(i % k).into_owned(),
                    n: *cell,
                    status,
                });
            }
            let positive =
                options.positive.as_ref().and_then(|p| first.levels().iter().position(|l| l == p));
            rows.extend(measures(group, cells, k, positive.unwrap_or(k - 1), level));
        }
        if let Some(n) = missing.filter(|n| *n > 0.0) {
            estimate.notices.push(Notice::new(
                Status::Ok,
                "rows-not-known",
                &[("n", n.to_string())],
            ));
        }
        estimate.tables.extend([Table::of(rated), Table::of(rows)]);
        Ok(estimate)
    }
}

fn measures(
    group: &str,
    cells: &[Option<f64>],
    k: usize,
    positive: usize,
    level: f64,
) -> Vec<Measure> {
    let known: Option<Vec<f64>> = cells.iter().copied().collect();
    let names = [
        "agreement",
        KAPPA,
        "sensitivity",
        "specificity",
        "positive predictive value",
        "negative predictive value",
    ];
    let row = |name: &str, status: Status| Measure {
        group: group.to_owned(),
        measure: name.to_owned(),
        status,
        ..Measure::default()
    };
    let Some(n) = known else {
        return names.map(|name| row(name, Status::Suppressed)).into();
    };
    let cell = |i: usize, j: usize| n[i * k + j];
    let total: f64 = n.iter().sum();
    let both_positive = cell(positive, positive);
    let rated: f64 = (0..k).map(|j| cell(positive, j)).sum();
    let truly: f64 = (0..k).map(|i| cell(i, positive)).sum();
    let both_negative = total - rated - truly + both_positive;
    let agreeing: f64 = (0..k).map(|i| cell(i, i)).sum();
    let z = normal_point(level);
    let one = |name: &str| {
        let (numerator, denominator) = match name {
            "agreement" => (agreeing, total),
            "sensitivity" => (both_positive, truly),
            "specificity" => (both_negative, total - truly),
            "positive predictive value" => (both_positive, rated),
            "negative predictive value" => (both_negative, total - rated),
            _ => {
                let Some(a) = kappa(&n, k) else { return row(name, Status::NotIdentified) };
                let statistic = (a.null_std_error > 0.0).then(|| a.kappa / a.null_std_error);
                return Measure {
                    estimate: Some(a.kappa),
                    std_error: Some(a.std_error),
                    statistic,
                    p_value: statistic.map(normal_two_sided),
                    conf_low: Some((a.kappa - z * a.std_error).max(-1.0)),
                    conf_high: Some((a.kappa + z * a.std_error).min(1.0)),
                    denominator: Some(total),
                    ..row(name, Status::Ok)
                };
            }
        };
        if denominator <= 0.0 {
            return row(name, Status::NotIdentified);
        }
        let p = numerator / denominator;
        let (low, high) = clopper_pearson(numerator, denominator, level);
        let status = if p <= 0.0 || p >= 1.0 { Status::Boundary } else { Status::Ok };
        Measure {
            estimate: Some(p),
            std_error: Some((p * (1.0 - p) / denominator).sqrt()),
            conf_low: Some(low),
            conf_high: Some(high),
            numerator: Some(numerator),
            denominator: Some(denominator),
            ..row(name, status)
        }
    };
    names.map(one).into()
}

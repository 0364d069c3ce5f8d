//! Meta-analysis of published or stacked study results: effects, pooled in one table, and what else a reader asks of them.

mod applies;
mod checks;
mod covariance;
mod data;
pub mod dose;
mod method;
mod outcomes;
mod pooled;
mod rare;
mod regression;
mod sheet;
mod stages;

pub use applies::{check_named, check_tests};
pub use checks::{Influence, SubsetCell};
pub use covariance::Covariances;
pub use data::{DataError, Dataset, Kind};
pub use method::{Method, Prediction, TestRule};
pub use pooled::{
    Pooled, StudyEffect, Variation, heterogeneity_table, pooled_table, studies_table,
};
pub use sheet::text_of;

use std::collections::BTreeMap;

use tributary_core::estimate::{Estimate, Exactness, Notice, Status};
use tributary_stats::{
    bayes_random_effects::TauPrior,
    effect_size::{AddTo, Correction, Measure, StudyData, effect},
    multivariate_meta::Structure,
    two_by_two::Cells,
};

/// What is asked of a data set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Effect measure.
    pub measure: Measure,
    /// Methods, the one that answers first; by the kind and number of studies if none.
    pub methods: Vec<Method>,
    /// Tests; by the number of studies if none.
    pub tests: Vec<TestRule>,
    /// Continuity correction.
    pub correction: Correction,
    /// Confidence level.
    pub level: f64,
    /// Columns that are moderators.
    pub moderators: Vec<String>,
    /// Column that makes subgroups.
    pub subgroup: Option<String>,
    /// Column that makes clusters for a robust variance.
    pub cluster: Option<String>,
    /// Column by which the cumulative analysis is ordered.
    pub order: Option<String>,
    /// Random permutations; none if 0.
    pub permutations: usize,
    /// Seed of what is random.
    pub seed: u64,
    /// Weight of each study that has an effect, for the generalised Q.
    pub weights: Vec<f64>,
    /// Column of outcomes, where studies have several.
    pub outcome: Option<String>,
    /// Correlation of the errors of two outcomes of a study.
    pub correlation: f64,
    /// Covariances of these errors by study, in place of one correlation.
    pub covariances: Option<Covariances>,
    /// Form of the between-study covariance of outcomes.
    pub structure: Structure,
    /// Prior of τ in Bayesian analysis; [`TauPrior::HalfNormal`] with scale 0.5 if none.
    pub prior: Option<TauPrior>,
    /// Quadrature points of rare-event models, 21 if none.
    pub nodes: Option<usize>,
    /// Prediction intervals.
    pub prediction: Prediction,
}

impl Options {
    /// The usual choices for a measure.
    pub fn new(measure: Measure) -> Self {
        Self {
            measure,
            methods: Vec::new(),
            tests: Vec::new(),
            correction: Correction { add: 0.0, to: AddTo::None },
            level: 0.95,
            moderators: Vec::new(),
            subgroup: None,
            cluster: None,
            order: None,
            permutations: 0,
            seed: 1,
            weights: Vec::new(),
            outcome: None,
            correlation: 0.5,
            covariances: None,
            structure: Structure::Unstructured,
            prior: None,
            nodes: None,
            prediction: Prediction::default(),
        }
    }

    fn prior(&self) -> TauPrior {
        self.prior.unwrap_or(TauPrior::HalfNormal(0.5))
    }

    fn nodes(&self) -> usize {
        self.nodes.unwrap_or(21)
    }

    /// Test of single studies, subgroups and moderators: the first one.
    fn first_test(&self) -> TestRule {
        self.tests.first().copied().unwrap_or(TestRule::HksjFloor)
    }
}

/// A study with its effect, if it has one.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Name.
    pub study: String,
    /// What it reports.
    pub data: StudyData,
    /// Effect and variance.
    pub effect: Option<(f64, f64)>,
    /// Why there is none.
    pub status: Status,
}

/// Two-arm tables of the studies that report them.
fn two_arm_tables(effects: &[Effect]) -> Vec<Cells> {
    let cells = |e: &Effect| match e.data {
        StudyData::Counts { events1, n1, events2, n2 } => {
            Some([events1, n1 - events1, events2, n2 - events2])
        }
        _ => None,
    };
    effects.iter().filter_map(cells).collect()
}

/// Analyses a data set.
///
/// # Errors
/// If a column that is asked for is missing or cannot be used, or the measure does not fit the data.
pub fn analyse(data: &Dataset, options: &Options) -> Result<Estimate, DataError> {
    if !data.kind.measures().contains(&options.measure) {
        return Err(DataError::Measure {
            found: data.kind.words(),
            wanted: data.kind.measure_words(),
        });
    }
    check_named(&options.methods, &options.tests)?;
    let effects: Vec<Effect> = data
        .studies
        .iter()
        .map(|(study, cells)| {
            let found = effect(options.measure, cells, options.correction);
            let status = if found.is_some() { Status::Ok } else { Status::NotIdentified };
            Effect { study: study.clone(), data: *cells, effect: found, status }
        })
        .collect();
    let k = effects.iter().filter(|e| e.effect.is_some()).count();
    if let Some(name) = &options.outcome {
        return outcomes::analyse(data, options, name, &effects);
    }
    if options.methods.contains(&Method::GeneralisedQ) && options.weights.len() != k {
        return Err(DataError::Weights { found: options.weights.len(), wanted: k });
    }
    let methods = if options.methods.is_empty() {
        pooled::usual_methods(data, options.measure, &effects)
    } else {
        options.methods.clone()
    };
    if let Some(method) = methods.iter().find(|m| !m.fits(data.kind, options.measure)) {
        let fitting = Method::ALL.into_iter().filter(|m| m.fits(data.kind, options.measure));
        return Err(DataError::Method {
            method: method.word(),
            found: data.kind.words(),
            wanted: fitting.map(Method::word).collect::<Vec<_>>().join(", "),
        });
    }
    applies::check(data, options, &methods, stages::apply(data, options, &effects))?;
    let mut estimate = Estimate::new(Exactness::TwoStage, 0);
    card_lines(&mut estimate, options, &methods);
    let pools_effects = |m: &Method| applies::takes_tests(*m) || *m == Method::Bayes;
    tell_without_effect(&effects, methods.iter().any(pools_effects), &mut estimate);
    tell_repeated(&effects, options, &mut estimate);
    if k < 2 {
        let values = [("k", k.to_string())];
        estimate.notice(Notice::new(Status::KTooSmall, "too-few-published", &values));
    }
    let tests =
        if options.tests.is_empty() { pooled::usual_tests(k) } else { options.tests.clone() };
    let pooled = pooled_table(options, &methods, &tests, &effects, &mut estimate);
    estimate.tables.push(pooled);
    estimate.tables.push(studies_table(&effects, options.level));
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    if k >= 2 {
        estimate.tables.push(heterogeneity_table(&y, &v, options.level));
        estimate.tables.push(pooled::tau2_intervals(&y, &v, options.level));
    }
    stages::add(data, options, &effects, &mut estimate);
    if let Some(table) = pooled::bayes_table(options, &methods, &effects) {
        estimate.tables.push(table);
    }
    regression::add(data, options, &methods, &effects, &mut estimate)?;
    checks::add(data, options, &methods, &effects, &mut estimate)?;
    Ok(estimate)
}

/// Names the studies without an effect of their own. Where a method pools effects, these studies are `lost`, and somebody should look.
fn tell_without_effect(effects: &[Effect], lost: bool, estimate: &mut Estimate) {
    let without: Vec<&str> =
        effects.iter().filter(|e| e.effect.is_none()).map(|e| e.study.as_str()).collect();
    if without.is_empty() {
        return;
    }
    let values = [("studies", without.join(", "))];
    let notice = Notice::new(Status::NotIdentified, "studies-without-effect", &values);
    if lost { estimate.notice(notice) } else { estimate.notices.push(notice) }
}

/// Names the studies that several lines bear: their effects are pooled as independent, unless they are clusters.
fn tell_repeated(effects: &[Effect], options: &Options, estimate: &mut Estimate) {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for effect in effects.iter().filter(|e| !e.study.is_empty()) {
        *lines.entry(&effect.study).or_default() += 1;
    }
    let repeated: Vec<&str> =
        lines.into_iter().filter(|(_, n)| *n > 1).map(|(study, _)| study).collect();
    if !repeated.is_empty() && options.cluster.is_none() {
        let values = [("studies", repeated.join(", "))];
        estimate.notices.push(Notice::new(Status::Ok, "studies-repeated", &values));
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options, methods: &[Method]) {
    let words: Vec<&str> = methods.iter().map(|m| m.word()).collect();
    estimate.line("pooling-method", "named", &[("methods", words.join(", "))]);
    let correction = match options.correction.to {
        AddTo::None => "none",
        AddTo::OnlyZero => "only-zero",
        AddTo::All => "all",
    };
    estimate.line("zero-cells", correction, &[("add", options.correction.add.to_string())]);
    estimate.line("tau2-interval", "q-profile", &[]);
    estimate.line("prediction", options.prediction.word(), &[]);
    let by = [
        ("method", regression::method_of(methods).word().to_owned()),
        ("test", options.first_test().word().to_owned()),
    ];
    estimate.line("single-studies", "named", &by);
    estimate.line("i2", "from-tau2", &[]);
    if methods.contains(&Method::Bayes) {
        let (family, scale) = match options.prior() {
            TauPrior::HalfNormal(scale) => ("half-normal", scale),
            TauPrior::HalfCauchy(scale) => ("half-cauchy", scale),
            TauPrior::LogNormalTau2(mean, _) => ("log-normal", mean),
        };
        estimate.line("tau-prior", family, &[("scale", scale.to_string())]);
    }
    if methods.iter().any(|m| m.is_glmm()) {
        estimate.line("quadrature", "adaptive", &[("nodes", options.nodes().to_string())]);
    }
}

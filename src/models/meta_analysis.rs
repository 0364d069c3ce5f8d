//! Meta-analysis of the sites' own estimates of one effect, in two stages.
//!
//! *Estimates* a common and an average effect, and how much the sites differ. *A site sends* its own estimate with its
//! variance, visible per site and guarded by the site's floors. *Sums*: none; estimates stand side by side. *The hub* pools
//! them. *Differs from pooling rows*: a second stage on normal approximations; sites without a finite estimate drop out and
//! are named. Read it for heterogeneity; the pooled effect itself is better had from the one-stage model. *Not done*:
//! regression on site characteristics. *Sources*: DerSimonian & Laird (1986); Paule & Mandel (1982); Viechtbauer (2005, 2007);
//! Hartung & Knapp (2001); Röver, Knapp & Friede (2015); Higgins & Thompson (2002); Higgins et al. (2009).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cox;
use crate::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Status, Table, Value},
    model::{Context, Exchanges, FitError, Model, ModelCard, Round, Statistic, Step},
    spec::{Fault, suggestion},
    stats::{
        distribution::normal_point,
        random_effects::{Heterogeneity, Tau2Estimator, Test, heterogeneity, i2_h2, pool, tau2},
    },
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};

/// The model.
#[derive(Debug)]
pub struct MetaAnalysis;

/// Estimator of the between-site variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Method {
    /// Common effect, inverse variance.
    #[serde(rename = "EE")]
    Common,
    /// DerSimonian–Laird.
    #[serde(rename = "DL")]
    DerSimonianLaird,
    /// Restricted maximum likelihood.
    #[serde(rename = "REML")]
    Reml,
    /// Paule–Mandel.
    #[serde(rename = "PM")]
    PauleMandel,
}

impl Method {
    fn estimator(self) -> Tau2Estimator {
        match self {
            Self::Common => Tau2Estimator::Common,
            Self::DerSimonianLaird => Tau2Estimator::DerSimonianLaird,
            Self::Reml => Tau2Estimator::Reml,
            Self::PauleMandel => Tau2Estimator::PauleMandel,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Common => "EE",
            Self::DerSimonianLaird => "DL",
            Self::Reml => "REML",
            Self::PauleMandel => "PM",
        }
    }
}

/// Interval of the average effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum TestRule {
    /// Normal.
    Z,
    /// Hartung–Knapp.
    Hksj,
    /// Hartung–Knapp, never narrower than the normal one.
    HksjFloor,
}

impl TestRule {
    fn test(self) -> Test {
        match self {
            Self::Z => Test::Z,
            Self::Hksj => Test::HartungKnapp,
            Self::HksjFloor => Test::HartungKnappFloor,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Z => "z",
            Self::Hksj => "hksj",
            Self::HksjFloor => "hksj-floor",
        }
    }
}

/// Options of `meta_analysis`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Id of the Cox model, earlier in the analysis, that each site fits alone.
    of: String,
    /// Term whose coefficient is pooled, such as `stage=3`.
    term: String,
    /// Estimators of the between-site variance. The common effect is always shown.
    #[serde(default = "all_methods")]
    methods: Vec<Method>,
    /// Intervals of the average effect.
    #[serde(default = "all_tests")]
    tests: Vec<TestRule>,
    /// Confidence level, the analysis's own if absent.
    #[serde(default)]
    confidence_level: Option<f64>,
    /// Options of the Cox model.
    #[serde(default)]
    #[schemars(skip)]
    cox: Option<cox::Options>,
}

fn all_methods() -> Vec<Method> {
    vec![Method::Reml, Method::DerSimonianLaird, Method::PauleMandel]
}

fn all_tests() -> Vec<TestRule> {
    vec![TestRule::HksjFloor, TestRule::Hksj, TestRule::Z]
}

/// Own estimates of the sites. `outcome` is 0 for a finite estimate, else one of the codes below.
#[derive(Debug)]
pub struct OwnEstimates {
    sites: Vec<String>,
    /// Estimate, variance and outcome by site.
    cells: Vec<[f64; 3]>,
    persons: u64,
    parameters: u64,
    events: u64,
}

const NO_FINITE_MAXIMUM: f64 = 1.0;
const NO_ESTIMATE: f64 = 2.0;

static CARD: ModelCard = ModelCard {
    kind: "meta_analysis",
    title: "Meta-analysis of the sites",
    estimates: "a common and an average effect of the sites' own estimates, and their heterogeneity",
    sends: "its own estimate of one coefficient with its variance, visible per site",
    pools: "estimates stand side by side and are pooled by inverse variance at the hub",
    differs: "two stages on normal approximations; sites without a finite estimate drop out and are named",
    not_done: "regression on site characteristics",
    exchanges: Exchanges::One,
    sources: "DerSimonian & Laird 1986; Paule & Mandel 1982; Viechtbauer 2005, 2007; Hartung & Knapp 2001; Röver, Knapp & Friede 2015; Higgins & Thompson 2002",
    example: "id = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"x_hist_central=UH\"\n",
};

impl Statistic for OwnEstimates {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let axis = Axis::new("quantity", ["estimate", "variance", "outcome"]);
        let cells = self.cells.concat();
        let array = Array::new("own_estimate", vec![axis], Kind::Estimate, Rule::Stack, cells)?;
        Ok(Draft::new(self.persons)
            .with(array, Support::Whole(self.persons))
            .fitted(self.parameters, self.events))
    }

    fn from_summary(summary: &Summary) -> Result<Self, LayoutError> {
        let array = summary.array("own_estimate")?;
        // A hidden estimate leaves its site without one.
        let cell = |i: usize| array.cells().get(i).copied().flatten();
        let sites = array.levels("site").to_vec();
        let cells = (0..sites.len())
            .map(|s| match (cell(3 * s), cell(3 * s + 1), cell(3 * s + 2)) {
                (Some(estimate), Some(variance), Some(outcome)) => [estimate, variance, outcome],
                _ => [0.0, 0.0, NO_ESTIMATE],
            })
            .collect();
        Ok(Self { sites, cells, persons: 0, parameters: 0, events: 0 })
    }
}

impl Model for MetaAnalysis {
    type Options = Options;
    type Params = ();
    type Statistic = OwnEstimates;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        options.confidence_level.get_or_insert(context.confidence_level);
        let fits: Vec<String> =
            context.earlier.iter().filter(|m| m.kind == "cox").map(|m| m.id.clone()).collect();
        let Some(model) = context.earlier.iter().find(|m| m.kind == "cox" && m.id == options.of)
        else {
            let message = format!("no Cox model before this one is called `{}`", options.of);
            let hint = if fits.is_empty() {
                "put a model of kind cox before this one".to_owned()
            } else {
                suggestion(&options.of, &fits)
            };
            return vec![Fault::new("/of", message).hint(hint)];
        };
        let fit: cox::Options = match serde_json::from_value(model.options.clone()) {
            Ok(fit) => fit,
            Err(error) => return vec![Fault::new("/of", error.to_string())],
        };
        if fit.term(&options.term).is_none() {
            let message = format!("`{}` is no term of `{}`", options.term, options.of);
            return vec![
                Fault::new("/term", message).hint(suggestion(&options.term, &fit.term_names())),
            ];
        }
        options.cox = Some(fit);
        Vec::new()
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        options.cox.as_ref().map_or_else(Vec::new, |fit| Model::needs(&cox::Cox, fit))
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::EachSite
    }

    fn begin(&self, _: &Options) -> Result<(), FitError> {
        Ok(())
    }

    fn summarise(
        &self,
        options: &Options,
        (): &(),
        data: &SiteData,
    ) -> Result<OwnEstimates, CohortError> {
        let no_model = || CohortError::Question { reason: "the options name no Cox model".into() };
        let fit = options.cox.as_ref().ok_or_else(no_model)?;
        let term = fit.term(&options.term).ok_or_else(no_model)?;
        let own = cox::fit_alone(fit, data, term)?;
        let cells = match own.estimate {
            Some((estimate, variance)) => [estimate, variance, 0.0],
            None if own.monotone => [0.0, 0.0, NO_FINITE_MAXIMUM],
            None => [0.0, 0.0, NO_ESTIMATE],
        };
        Ok(OwnEstimates {
            sites: Vec::new(),
            cells: vec![cells],
            persons: own.persons,
            parameters: own.parameters,
            events: own.events,
        })
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<(), OwnEstimates>],
    ) -> Result<Step<()>, FitError> {
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        let level = options.confidence_level.unwrap_or(0.95);
        let mut estimate = Estimate::new(Exactness::TwoStage, round.sites);
        let of = [("term", options.term.clone()), ("model", options.of.clone())];
        estimate.line("effect", "own-coefficient", &of);
        estimate.line("weights", "inverse-variance", &[]);
        estimate.line("tau2", "reml-scan", &[]);
        estimate.line("average-interval", "hksj-floor", &[]);
        estimate.line("tau2-interval", "q-profile", &[]);
        estimate.line("prediction", "t-k-1", &[]);
        estimate.line("i2", "from-tau2", &[]);

        let usable = |cells: &[f64; 3]| cells[2] == 0.0 && cells[1] > 0.0;
        let (y, v): (Vec<f64>, Vec<f64>) =
            round.pooled.cells.iter().filter(|c| usable(c)).map(|c| (c[0], c[1])).unzip();
        let lost: Vec<String> = round
            .pooled
            .sites
            .iter()
            .zip(&round.pooled.cells)
            .filter(|(_, c)| !usable(c))
            .map(|(site, _)| site.clone())
            .collect();
        if !lost.is_empty() {
            let values = [("sites", lost.join(", "))];
            estimate.notice(Notice::new(Status::NotIdentified, "sites-without-estimate", &values));
        }
        if y.len() < 2 {
            let values = [("k", y.len().to_string())];
            estimate.notice(Notice::new(Status::KTooSmall, "too-few-studies", &values));
        }
        let pooled = pooled_table(options, &mut estimate, &y, &v, level);
        let studies = studies_table(&round.pooled, &y, &v, level);
        estimate.tables.extend([pooled, studies]);
        if y.len() >= 2 {
            estimate.tables.push(heterogeneity_table(&y, &v, level));
        }
        Ok(Step::Done(Box::new(estimate)))
    }
}

/// One row of numbers of the pooled table, in the order of its columns after `k`.
const POOLED: [&str; 19] = [
    "method",
    "test",
    "k",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "pred_low",
    "pred_high",
    "tau2",
    "q",
    "q_df",
    "q_p_value",
    "i2",
    "h2",
    "statistic",
    "p_value",
    "tau2_std_error",
    "status",
];

fn pooled_table(
    options: &Options,
    estimate: &mut Estimate,
    y: &[f64],
    v: &[f64],
    level: f64,
) -> Table {
    let mut table = Table::new("pooled", &POOLED);
    let k = y.len();
    let empty = |method: &str, test: &str| {
        let mut row = vec![method.into(), test.into(), (k as f64).into()];
        row.resize(POOLED.len() - 1, Value::None);
        row.push(Status::KTooSmall.into());
        row
    };
    if k == 0 {
        table.push(empty("EE", "z"));
        return table;
    }
    let q = (k >= 2).then(|| heterogeneity(y, v, level));
    let mut push = |method: Method, rule: TestRule, tau2_value: f64, tau2_se: Option<f64>| {
        // With two sites t has one degree of freedom, and its interval says nothing.
        if rule != TestRule::Z && k < 3 {
            table.push(empty(method.word(), rule.word()));
            return;
        }
        let p = pool(y, v, tau2_value, rule.test(), level);
        let random = method != Method::Common;
        let (i2, h2) = match (&q, random) {
            (Some(_), true) => (Some(i2_h2(v, tau2_value).0), Some(i2_h2(v, tau2_value).1)),
            (Some(Heterogeneity { q, df, .. }), false) => {
                (Some(((q - df) / q).max(0.0)), Some(q / df))
            }
            (None, _) => (None, None),
        };
        let prediction = p.prediction.filter(|_| random);
        let status = match (k, random, tau2_value > 0.0) {
            (1, _, _) => Status::KTooSmall,
            (_, true, false) => Status::Boundary,
            _ => Status::Ok,
        };
        let numbers = [
            Some(p.estimate),
            Some(p.std_error),
            Some(p.confidence.0),
            Some(p.confidence.1),
            prediction.map(|i| i.0),
            prediction.map(|i| i.1),
            Some(tau2_value),
            q.as_ref().map(|q| q.q),
            q.as_ref().map(|q| q.df),
            q.as_ref().map(|q| q.p_value),
            i2,
            h2,
            Some(p.statistic),
            Some(p.p_value),
            tau2_se,
        ];
        let mut row = vec![method.word().into(), rule.word().into(), (k as f64).into()];
        row.extend(numbers.map(Value::from));
        row.push(status.into());
        table.push(row);
    };
    push(Method::Common, TestRule::Z, 0.0, None);
    if k >= 2 {
        for &method in options.methods.iter().filter(|m| **m != Method::Common) {
            let found = tau2(y, v, method.estimator());
            if found.modes.len() > 1 {
                let modes: Vec<String> = found.modes.iter().map(|m| format!("{m:.4}")).collect();
                estimate.notice(Notice::new(
                    Status::Multimodal,
                    "multimodal",
                    &[("modes", modes.join(", "))],
                ));
            }
            for &rule in &options.tests {
                push(method, rule, found.value, found.std_error);
            }
        }
    }
    table
}

fn studies_table(own: &OwnEstimates, y: &[f64], v: &[f64], level: f64) -> Table {
    let columns = [
        "study",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "weight_common",
        "weight_random",
        "status",
    ];
    let mut table = Table::new("studies", &columns);
    let weights = |tau2_value: f64| {
        if y.is_empty() { Vec::new() } else { pool(y, v, tau2_value, Test::Z, level).weights }
    };
    let common = weights(0.0);
    let random =
        if y.len() >= 2 { weights(tau2(y, v, Tau2Estimator::Reml).value) } else { common.clone() };
    let z = normal_point(level);
    let mut i = 0;
    for (site, &[estimate, variance, outcome]) in own.sites.iter().zip(&own.cells) {
        let mut row = vec![Value::from(site)];
        if outcome == 0.0 && variance > 0.0 {
            let se = variance.sqrt();
            let numbers =
                [estimate, se, estimate - z * se, estimate + z * se, common[i], random[i]];
            row.extend(numbers.map(Value::from));
            row.push(Status::Ok.into());
            i += 1;
        } else {
            let status = if (outcome - NO_FINITE_MAXIMUM).abs() < 0.5 {
                Status::Monotone
            } else {
                Status::NotIdentified
            };
            row.resize(7, Value::None);
            row.push(status.into());
        }
        table.push(row);
    }
    table
}

fn heterogeneity_table(y: &[f64], v: &[f64], level: f64) -> Table {
    let columns = [
        "q",
        "q_df",
        "q_p_value",
        "tau2",
        "tau2_std_error",
        "tau2_low",
        "tau2_high",
        "i2",
        "h2",
        "status",
    ];
    let mut table = Table::new("heterogeneity", &columns);
    let h = heterogeneity(y, v, level);
    let reml = tau2(y, v, Tau2Estimator::Reml);
    let (i2, h2) = i2_h2(v, reml.value);
    let status = if reml.value > 0.0 { Status::Ok } else { Status::Boundary };
    let (low, high) = h.tau2_confidence;
    let mut row: Vec<Value> = [h.q, h.df, h.p_value, reml.value].map(Value::from).into();
    row.push(reml.std_error.into());
    row.extend([low, high, i2, h2].map(Value::from));
    row.push(status.into());
    table.push(row);
    table
}

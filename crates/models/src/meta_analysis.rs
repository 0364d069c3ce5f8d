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
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Notice, Status},
    limits::ConfidenceLevel,
    model::{Context, Exchanges, Model, ModelCard, OneRound, Statistic},
    spec::{Fault, suggestion},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};
use tributary_meta::{
    self as meta, Effect, Method, Prediction, TestRule, check_named, check_tests,
    heterogeneity_table, pooled_table, studies_table,
};
use tributary_stats::effect_size::{Measure, StudyData};

use super::cox;

/// The model.
#[derive(Debug)]
pub struct MetaAnalysis;

/// Options of `meta_analysis`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Id of the Cox model, earlier in the analysis, that each site fits alone.
    pub of: String,
    /// Term whose coefficient is pooled, such as `stage=3`.
    pub term: String,
    /// Estimators of the between-site variance. The common effect is always shown.
    #[serde(default = "all_methods")]
    methods: Vec<Method>,
    /// Intervals of the average effect, and of the common one where `methods` name it: Hartung–Knapp with floor, Hartung–Knapp and
    /// normal if absent.
    #[serde(default)]
    tests: Option<Vec<TestRule>>,
    /// Limits of prediction intervals.
    #[serde(default)]
    prediction: Prediction,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Options of the Cox model.
    #[serde(default)]
    #[schemars(skip)]
    cox: Option<cox::Options>,
}

fn all_methods() -> Vec<Method> {
    vec![Method::Reml, Method::DerSimonianLaird, Method::PauleMandel]
}

const USUAL_TESTS: [TestRule; 3] = [TestRule::HksjFloor, TestRule::Hksj, TestRule::Z];

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
    estimates: "common-effect and random-effects summaries of the sites' own estimates, and their heterogeneity",
    sends: "its own estimate of one coefficient with its variance, visible per site",
    pools: "estimates are shown side by side and pooled at the hub by inverse variance",
    differs: "two-stage, with normal approximations; sites without a finite estimate are excluded and named",
    not_done: "meta-regression on characteristics of the sites",
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

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let array = summary.array("own_estimate")?;
        // A hidden estimate leaves its site without one.
        let cell = |i: usize| array.cells().get(i).copied().flatten();
        let sites = array.levels("site");
        let cells = (0..sites.len())
            .map(|s| match (cell(3 * s), cell(3 * s + 1), cell(3 * s + 2)) {
                (Some(estimate), Some(variance), Some(outcome)) => [estimate, variance, outcome],
                _ => [0.0, 0.0, NO_ESTIMATE],
            })
            .collect();
        Ok(Self { sites, cells, persons: 0, parameters: 0, events: 0 })
    }
}

impl OneRound for MetaAnalysis {
    type Options = Options;
    type Statistic = OwnEstimates;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let fits: Vec<String> =
            context.earlier.iter().filter(|m| m.kind == "cox").map(|m| m.id.clone()).collect();
        if context.faulty.contains(&options.of) {
            // Its own faults are told; whether the term is one of its terms is not known.
            return Vec::new();
        }
        let Some(model) = context.earlier.iter().find(|m| m.kind == "cox" && m.id == options.of)
        else {
            let message = format!("there is no earlier Cox model called `{}`", options.of);
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
            let message = format!("`{}` is not a term of `{}`", options.term, options.of);
            return vec![
                Fault::new("/term", message).hint(suggestion(&options.term, &fit.term_names())),
            ];
        }
        options.cox = Some(fit);
        let unfit = |m: &&Method| m.estimator().is_none() && **m != Method::Bayes;
        let unfit = options.methods.iter().find(unfit);
        let message = |m: &Method| match m {
            Method::GeneralisedQ => "GENQ needs weights, which sites do not send".to_owned(),
            _ => format!("{} needs counts, sites send estimates", m.word()),
        };
        let mut faults: Vec<Fault> =
            unfit.map(|m| Fault::new("/methods", message(m))).into_iter().collect();
        if options.methods.is_empty() {
            faults.push(
                Fault::new("/methods", "expected a method at least").hint("methods = [\"REML\"]"),
            );
        }
        let tests = options.tests.as_deref().unwrap_or_default();
        faults.extend(check_named(&options.methods, tests).err().map(|error| {
            let at =
                if check_named(&options.methods, &[]).is_err() { "/methods" } else { "/tests" };
            Fault::new(at, error.to_string())
        }));
        match &options.tests {
            Some(tests) if tests.is_empty() => {
                faults
                    .push(Fault::new("/tests", "expected a test at least").hint("tests = [\"z\"]"));
            }
            Some(tests) if faults.is_empty() => {
                let idle = check_tests(tests, &options.methods).err();
                faults.extend(idle.map(|error| Fault::new("/tests", error.to_string())));
            }
            _ => {}
        }
        let predicts = options.methods.iter().any(|m| !matches!(m, Method::Common | Method::Bayes));
        if options.prediction == Prediction::AsTest && !predicts {
            let message = "EE has no prediction interval, and BAYES one of its own";
            faults.push(Fault::new("/prediction", message));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        options.cox.as_ref().map_or_else(Vec::new, |fit| Model::needs(&cox::Cox, fit))
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::EachSite
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<OwnEstimates, CohortError> {
        let no_model =
            || CohortError::Question { reason: "the options specify no Cox model".into() };
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

    fn estimate(
        &self,
        options: &Options,
        pooled: &OwnEstimates,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let level = options.confidence_level.share();
        let mut estimate = Estimate::new(Exactness::TwoStage, sites);
        let of = [("term", options.term.clone()), ("model", options.of.clone())];
        estimate.line("effect", "own-coefficient", &of);
        estimate.line("weights", "inverse-variance", &[]);
        estimate.line("tau2", "reml-scan", &[]);
        let tests = options.tests.as_deref().unwrap_or(&USUAL_TESTS);
        let first = tests.first().copied().unwrap_or(TestRule::HksjFloor);
        estimate.line("average-interval", first.word(), &[]);
        estimate.line("tau2-interval", "q-profile", &[]);
        estimate.line("prediction", options.prediction.word(), &[]);
        estimate.line("i2", "from-tau2", &[]);

        let usable = |cells: &[f64; 3]| cells[2] == 0.0 && cells[1] > 0.0;
        let (y, v): (Vec<f64>, Vec<f64>) =
            pooled.cells.iter().filter(|c| usable(c)).map(|c| (c[0], c[1])).unzip();
        let lost: Vec<String> = pooled
            .sites
            .iter()
            .zip(&pooled.cells)
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
        let effects: Vec<Effect> = pooled.sites.iter().zip(&pooled.cells).map(effect_of).collect();
        // Coefficients are log hazard ratios.
        let choices = meta::Options {
            level,
            tests: options.tests.clone().unwrap_or_default(),
            prediction: options.prediction,
            ..meta::Options::new(Measure::HazardRatio)
        };
        let pooled = pooled_table(&choices, &options.methods, tests, &effects, &mut estimate);
        estimate.tables.extend([pooled, studies_table(&effects, level)]);
        if y.len() >= 2 {
            estimate.tables.push(heterogeneity_table(&y, &v, level));
        }
        Ok(estimate)
    }
}

fn effect_of((site, &[estimate, variance, outcome]): (&String, &[f64; 3])) -> Effect {
    let usable = outcome == 0.0 && variance > 0.0;
    let status = if usable {
        Status::Ok
    } else if (outcome - NO_FINITE_MAXIMUM).abs() < 0.5 {
        Status::Monotone
    } else {
        Status::NotIdentified
    };
    Effect {
        study: site.clone(),
        data: StudyData::Estimate { estimate, variance },
        effect: usable.then_some((estimate, variance)),
        status,
    }
}

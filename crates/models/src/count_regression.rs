//! Regression of cases on age, year, sex and group, with an effect of each site.
//!
//! *Estimates* rate ratios, and how much sites differ. *A site sends* cases, person-years and products of the columns; then, in each
//! round, log-likelihood, score and information of its counts: its own intercept at its best (fixed) or integrated (random), so that no
//! site's level is seen. *Sums*: term by term. *The hub* takes Newton steps. *Differs from pooling rows*: not at all. *Not done*:
//! effects of covariates that differ between sites.
//! *Sources*: McCullagh & Nelder (1989); Lawless (1987); Pinheiro & Bates (1995).

use nalgebra::DMatrix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, IncidenceCounts, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::ConfidenceLevel,
    model::{
        Ascent, Context, Exchanges, FitError, Fitted, Model, ModelCard, Question, Round, Step,
        Sums, ascend, incidence_needs, left_out_cases, prepare_cells, rate_sums, refusal,
        summary_without_fit, unknown_age_cases,
    },
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    distribution::{normal_point, normal_two_sided},
    likelihood::packed,
    matrix::independent_columns,
    newton::Evaluation,
    poisson::{Cell, Mean, fit},
    site_counts::{LEAST_LN_KAPPA, LEAST_LN_SIGMA, SiteEffect, site_derivatives},
};

/// The model.
#[derive(Debug)]
pub struct CountRegression;

/// Distribution of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Family {
    /// Poisson.
    #[default]
    Poisson,
    /// Negative binomial, variance μ + κ μ².
    NegativeBinomial,
}

/// Effect of each site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Site {
    /// None: one intercept.
    None,
    /// An intercept of its own.
    #[default]
    Fixed,
    /// Normal intercepts.
    Random,
}

impl Site {
    fn effect(self) -> SiteEffect {
        match self {
            Self::None => SiteEffect::None,
            Self::Fixed => SiteEffect::Fixed,
            Self::Random => SiteEffect::Random,
        }
    }
}

rows! {
    /// A parameter, with its rate ratio where it has one.
    struct Coefficient in "coefficients" {
        term: String,
        estimate: Number,
        std_error: Number,
        rate_ratio: Number,
        rate_ratio_low: Number,
        rate_ratio_high: Number,
        p_value: Number,
        status: Status,
    }

    /// How much rates vary, within sites or between them.
    struct Variation in "variation" {
        quantity: String,
        estimate: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }
}

/// Options of `count_regression`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    incidence: Incidence,
    /// Variable whose levels are terms.
    #[serde(default)]
    by: Option<String>,
    /// Whether the calendar year is a term, per year.
    #[serde(default = "yes")]
    year: bool,
    /// Distribution of the counts.
    #[serde(default)]
    family: Family,
    /// Effect of each site.
    #[serde(default)]
    site: Site,
    /// Quadrature points of random effects.
    #[serde(default = "nodes")]
    #[schemars(range(min = 1, max = 101))]
    nodes: usize,
    /// Most evaluations.
    #[serde(default = "evaluations")]
    #[schemars(range(min = 2, max = 200))]
    max_evaluations: usize,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    groups: Vec<String>,
}

fn yes() -> bool {
    true
}

fn nodes() -> usize {
    15
}

fn evaluations() -> usize {
    40
}

static CARD: ModelCard = ModelCard {
    kind: "count_regression",
    title: "Regression of case counts",
    estimates: "rate ratios by age, year, sex and group, with site effects and their heterogeneity",
    sends: "cases, person-years and products of the columns once; then log-likelihood, score and information of its counts, with its own intercept profiled or integrated out",
    pools: "they are summed; the hub maximises by Newton's method",
    differs: "none; the interval of the negative binomial model uses the observed information, that of MASS::glm.nb the expected",
    not_done: "covariate effects that vary between sites",
    exchanges: Exchanges::Several {
        usual: "5 to 8",
        instead: "`rate_trend`, without site effects",
    },
    sources: "McCullagh & Nelder 1989; Lawless 1987; Pinheiro & Bates 1995",
    example: "id = \"regressed\"\nkind = \"count_regression\"\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5], age_end = 15, years = [1985, 1994] }\n",
};

impl Options {
    /// Coefficients: ages after the first, the second sex, groups after the first, the year.
    fn covariates(&self) -> Vec<String> {
        let cells = &self.incidence;
        let named = |kind: &str, levels: &[String]| {
            levels.iter().skip(1).map(|l| format!("{kind}={l}")).collect::<Vec<_>>()
        };
        let mut names = named("age", &cells.band_names());
        names.extend(named("sex", &cells.sexes));
        names.extend(named("group", &self.groups));
        names.extend(self.year.then(|| "year".to_owned()));
        names
    }

    /// Names of all parameters, in the order of θ.
    fn parameters(&self) -> Vec<String> {
        let mut names = Vec::new();
        if self.site != Site::Fixed {
            names.push("(Intercept)".to_owned());
        }
        names.extend(self.covariates());
        if self.family == Family::NegativeBinomial {
            names.push("log(dispersion)".to_owned());
        }
        if self.site == Site::Random {
            names.push("log(site sd)".to_owned());
        }
        names
    }

    fn cells(&self, layout: &Incidence, counts: &IncidenceCounts) -> Vec<Cell> {
        let (sexes, years, bands) = (layout.sexes(), layout.len(), layout.ages.len());
        let middle = f64::midpoint(f64::from(layout.years[0]), f64::from(layout.years[1]));
        let flag = |is: bool| f64::from(u8::from(is));
        let mut found = Vec::new();
        for s in 0..sexes {
            for g in 0..self.groups.len() {
                for y in 0..years {
                    for b in 0..bands {
                        let time = counts.person_years[(s * years + y) * bands + b];
                        if time <= 0.0 {
                            continue;
                        }
                        let at = ((s * self.groups.len() + g) * years + y) * bands + b;
                        let mut z: Vec<f64> = (1..bands).map(|k| flag(k == b)).collect();
                        z.extend((1..layout.sexes.len()).map(|k| flag(k == s)));
                        z.extend((1..self.groups.len()).map(|k| flag(k == g)));
                        if self.year {
                            z.push(f64::from(layout.years[0] + y as i32) - middle);
                        }
                        found.push(Cell { events: counts.cases[at], time, expected: 0.0, z });
                    }
                }
            }
        }
        found
    }

    /// Position of the first coefficient among the parameters.
    fn first(&self) -> usize {
        usize::from(self.site != Site::Fixed)
    }

    /// Products of the columns over one site's cells, packed: with an intercept of its own they are those about the site's means, and a
    /// site without cases, whose intercept runs to −∞, says nothing of them.
    fn products(&self, cells: &[Cell]) -> Vec<f64> {
        let n = self.first() + self.covariates().len();
        let rows: Vec<Vec<f64>> = match self.site {
            Site::None | Site::Random => {
                cells.iter().map(|c| [&[1.0], c.z.as_slice()].concat()).collect()
            }
            Site::Fixed if cells.iter().all(|c| c.events <= 0.0) => Vec::new(),
            Site::Fixed => about_means(cells),
        };
        let mut products = vec![0.0; n * (n + 1) / 2];
        for row in &rows {
            for i in 0..n {
                for j in 0..=i {
                    products[packed(i, j)] += row[i] * row[j];
                }
            }
        }
        products
    }

    /// Parameters that the cells of all sites can tell apart: the others' columns are empty, constant or combinations of those before
    /// them.
    fn kept(&self, pooled: &Sums, parameters: usize) -> Result<Vec<usize>, LayoutError> {
        let products = pooled.get("products")?;
        let n = self.first() + self.covariates().len();
        let whole = DMatrix::from_fn(n, n, |i, j| products[packed(i.max(j), i.min(j))]);
        Ok(independent_columns(&whole).into_iter().chain(n..parameters).collect())
    }
}

/// Rows of the design less their means; what rounding leaves of a constant column is 0.
fn about_means(cells: &[Cell]) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = cells.iter().map(|c| c.z.clone()).collect();
    for j in 0..rows.first().map_or(0, Vec::len) {
        let mean = rows.iter().map(|row| row[j]).sum::<f64>() / rows.len() as f64;
        let square: f64 = rows.iter().map(|row| row[j] * row[j]).sum();
        rows.iter_mut().for_each(|row| row[j] -= mean);
        let about: f64 = rows.iter().map(|row| row[j] * row[j]).sum();
        if about <= 1e-11 * square {
            rows.iter_mut().for_each(|row| row[j] = 0.0);
        }
    }
    rows
}

impl Model for CountRegression {
    type Options = Options;
    type Params = Question;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let (by, groups) = (options.by.as_deref(), &mut options.groups);
        prepare_cells(&mut options.incidence, by, groups, context)
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, options.by.as_deref())
    }

    fn begin(&self, _: &Options) -> Result<Question, FitError> {
        Ok(Question::Start)
    }

    fn summarise(
        &self,
        options: &Options,
        question: &Question,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        let layout = &options.incidence;
        let (start, counts) = rate_sums(layout, options.by.as_deref(), &options.groups, data)?;
        let names = options.parameters();
        let persons = counts.cases.iter().chain(&counts.unknown_age).sum::<f64>() as usize;
        match question {
            Question::Start => {
                let cells = options.cells(layout, &counts);
                let products = options.products(&cells);
                let pair = Axis::numbered("pair", products.len());
                // A site without person-years has no level of its own.
                let is_followed = cells.iter().any(|cell| cell.time > 0.0);
                Ok(start.sums("products", vec![pair], products).sums(
                    "sites_followed",
                    Vec::new(),
                    vec![f64::from(u8::from(is_followed))],
                ))
            }
            Question::At { theta, .. } => {
                if theta.len() != names.len() {
                    let reason = format!("{} parameters for {} terms", theta.len(), names.len());
                    return Err(CohortError::Question { reason });
                }
                let cells = options.cells(layout, &counts);
                let overdispersed = options.family == Family::NegativeBinomial;
                let found = site_derivatives(
                    &cells,
                    options.site.effect(),
                    overdispersed,
                    theta,
                    options.nodes,
                );
                let pairs = names.len() * (names.len() + 1) / 2;
                Ok(Sums::new(persons)
                    .sums("log_likelihood", Vec::new(), vec![found.log_likelihood])
                    .sums("score", vec![Axis::new("term", names)], found.score)
                    .sums("information", vec![Axis::numbered("pair", pairs)], found.information))
            }
        }
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Question, Sums>],
    ) -> Result<Step<Question>, FitError> {
        let first = rounds.first().ok_or(FitError::NoRounds)?;
        let mut estimate = Estimate::new(Exactness::Exact, first.sites);
        card_lines(&mut estimate, options);
        left_out_cases(&first.pooled, &mut estimate);
        unknown_age_cases(&first.pooled, &mut estimate);
        let sum = |name: &str| Ok::<f64, LayoutError>(first.pooled.get(name)?.iter().sum());
        let events = sum("cases")?;
        let names = options.parameters();
        if let Some((status, key)) = refusal(events, names.len()) {
            let values = [("parameters", names.len().to_string()), ("events", events.to_string())];
            estimate.notice(Notice::new(status, key, &values));
            estimate.tables.push(summary_without_fit(events, events, status));
            return Ok(Step::Done(Box::new(estimate)));
        }
        let kept = options.kept(&first.pooled, names.len())?;
        // The later rounds go on from the answers.
        let begin = if rounds.len() == 1 {
            start(options, &first.pooled, &names, &kept)?
        } else {
            Vec::new()
        };
        match ascend(rounds, options.max_evaluations, &[], &[], &kept, || begin)? {
            Ascent::Ask(question) => Ok(Step::Ask(question)),
            Ascent::Ended(fitted) => {
                let followed = first.pooled.one("sites_followed")?;
                finish(options, &mut estimate, fitted, &names, [events, followed]);
                Ok(Step::Done(Box::new(estimate)))
            }
        }
    }
}

/// Where the ascent begins: intercept and coefficients of the Poisson model of the pooled cells, and ln κ by moments of what is left
/// (McCullagh & Nelder 1989, section 6.2). Parameters that are not kept are 0.
fn start(
    options: &Options,
    pooled: &Sums,
    names: &[String],
    kept: &[usize],
) -> Result<Vec<f64>, LayoutError> {
    /// Coefficients that run to infinity begin nearer by.
    const FARTHEST: f64 = 8.0;
    let counts = IncidenceCounts {
        cases: pooled.get("cases")?.to_vec(),
        person_years: pooled.get("person_years")?.to_vec(),
        ..IncidenceCounts::default()
    };
    let mut cells = options.cells(&options.incidence, &counts);
    let coefficients = options.first()..options.first() + options.covariates().len();
    let kept: Vec<usize> = kept.iter().copied().filter(|j| coefficients.contains(j)).collect();
    for cell in &mut cells {
        let chosen = kept.iter().map(|j| cell.z[j - coefficients.start]);
        cell.z = std::iter::once(1.0).chain(chosen).collect();
    }
    let sum = |f: &dyn Fn(&Cell) -> f64| cells.iter().map(f).sum::<f64>();
    let mut first = vec![0.0; 1 + kept.len()];
    first[0] = (sum(&|c| c.events) / sum(&|c| c.time)).ln();
    let fit = fit(&cells, Mean::Rate, &first, false);
    let usable = |e: &&Evaluation| e.beta.iter().all(|b| b.is_finite());
    let mut begin = fit.record.last().filter(usable).map_or(first, |e| e.beta.clone());
    begin[1..].iter_mut().for_each(|b| *b = b.clamp(-FARTHEST, FARTHEST));
    let mean = |c: &Cell| c.time * c.z.iter().zip(&begin).map(|(z, b)| z * b).sum::<f64>().exp();
    let excess = sum(&|c| (c.events - mean(c)).powi(2) - c.events) / sum(&|c| mean(c).powi(2));
    let dispersion = if excess > 0.0 { excess.ln().clamp(-6.0, 1.0) } else { -6.0 };
    // Where sites have levels of their own, the common one is not among the parameters.
    let of_name = |name: &String| match name.as_str() {
        "(Intercept)" => begin[0],
        "log(dispersion)" => dispersion,
        "log(site sd)" => -1.5,
        _ => 0.0,
    };
    let mut theta: Vec<f64> = names.iter().map(of_name).collect();
    kept.iter().zip(&begin[1..]).for_each(|(&j, b)| theta[j] = *b);
    Ok(theta)
}

fn finish(
    options: &Options,
    estimate: &mut Estimate,
    mut fitted: Fitted,
    names: &[String],
    [events, followed]: [f64; 2],
) {
    let usable = matches!(fitted.status, Status::Ok | Status::Monotone);
    // A variance that runs to 0 is at its border; the rest is where it should be.
    let at_border = |j: usize| match names[j].as_str() {
        "log(dispersion)" => fitted.theta[j] <= LEAST_LN_KAPPA,
        "log(site sd)" => fitted.theta[j] <= LEAST_LN_SIGMA,
        _ => false,
    };
    let border: Vec<usize> = (0..names.len()).filter(|&j| usable && at_border(j)).collect();
    if !border.is_empty() {
        estimate.notice(Notice::new(Status::Boundary, "no-variation", &[]));
        if fitted.status == Status::Ok {
            fitted.status = Status::Boundary;
        }
    }
    fitted.tell_end(estimate, names);
    let z = normal_point(options.confidence_level.share());
    let coefficient = |(j, name): (usize, &String)| {
        let term = name.clone();
        let none = match () {
            () if fitted.dropped.contains(&j) => Some(Status::NotIdentified),
            () if border.contains(&j) => Some(Status::Boundary),
            () if !usable || fitted.running.contains(&j) => Some(fitted.status),
            () => None,
        };
        if let Some(status) = none {
            return Coefficient { term, status, ..Coefficient::default() };
        }
        let (b, se) = (fitted.theta[j], fitted.std_error(j));
        let is_ratio = !name.starts_with("log(") && !name.starts_with('(');
        let ratio = |k: f64| is_ratio.then(|| (b + k * se).exp());
        Coefficient {
            term,
            estimate: Some(b),
            std_error: Some(se),
            rate_ratio: ratio(0.0),
            rate_ratio_low: ratio(-z),
            rate_ratio_high: ratio(z),
            p_value: (is_ratio && se > 0.0).then(|| normal_two_sided(b / se)),
            status: Status::Ok,
        }
    };
    estimate.tables.push(Table::of(names.iter().enumerate().map(coefficient)));
    let mut variation = Vec::new();
    for (name, word) in [("log(dispersion)", "dispersion κ"), ("log(site sd)", "SD between sites")]
    {
        if let Some(j) = names.iter().position(|n| n == name).filter(|_| usable) {
            let (b, se) = (fitted.theta[j], fitted.std_error(j));
            let at = |k: f64| Some((b + k * se).exp());
            let (status, [estimate, conf_low, conf_high]) = if border.contains(&j) {
                (Status::Boundary, [Some(0.0), None, None])
            } else if fitted.running.contains(&j) {
                (fitted.status, [None; 3])
            } else {
                (Status::Ok, [0.0, -z, z].map(at))
            };
            let quantity = word.to_owned();
            variation.push(Variation { quantity, estimate, conf_low, conf_high, status });
        }
    }
    if !variation.is_empty() {
        estimate.tables.push(Table::of(variation));
    }
    let levels = if options.site == Site::Fixed { followed as usize } else { 0 };
    estimate.tables.push(fitted.summary_with(events, events, levels));
    estimate.fit = Some(fitted.record);
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let family = if options.family == Family::Poisson { "poisson" } else { "negative-binomial" };
    estimate.line("counts", family, &[]);
    let site = match options.site {
        Site::None => "none",
        Site::Fixed => "fixed",
        Site::Random => "random",
    };
    estimate.line("site-effect", site, &[("nodes", options.nodes.to_string())]);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "wald", &[("level", level)]);
}
